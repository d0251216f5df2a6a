"""Adversarial objectives: a generator learns from critics that classify its samples and data."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from latentia.core.model import HasCritic
from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import UsageError
from latentia.functional.gan.loss_pairs import LossPair
from latentia.functional.gan.multi_critic import COMBINED, combined
from latentia.functional.gan.weight_constraints import clip_weights_
from latentia.models.implicit import Implicit
from latentia.networks.critic import Critic, packed
from latentia.objectives.gan.critic_input import CriticInput
from latentia.objectives.gan.critic_penalties import Penalty, refuse_batch_norm
from latentia.objectives.gan.diagnostics import diagnosis, is_due
from latentia.objectives.gan.one_pass import scores_rows_apart
from latentia.objectives.gan.player_losses import (
    CriticLosses,
    GeneratorLosses,
    critic_losses,
    generator_loss,
    of_all_critics,
)
from latentia.objectives.gan.replay import Replay
from latentia.objectives.gan.terms import Term, logged, modules_among, player_of, total
from latentia.objectives.gan.unroll import Unroll
from latentia.objectives.gan.views import Drawn, RowViews, Turn, View, Views, ViewScore
from latentia.registry import check_name

_AS_IT_IS = nullcontext()


class Adversarial(Objective, HasCritic):
    """Play critics against a generator: ``critic_steps`` updates of the critics for each of the generator.

    Critics see both sides of the game as networks read rows: scaled, in packs where they score packs, and after
    `CriticInput`. Penalties, noise and clipping are in those units too. With views v of real rows and of samples, terms
    t of the two losses, and a loss pair:

    critics: E c_real(s(v(x))) + E c_fake(s(v(G(z)))) + Σ t; generator: E g(s(v(G(z)))) + Σ t

    Args:
        model: the generator.
        critics: one, or several, each with weights of its own; together they are one player.
        losses: what a critic and the generator descend, from scores.
        critic_steps: critic updates per generator update (n_critic), on the same real rows and new samples
            (algorithm 1 draws new rows too).
        reuse_samples: whether the generator's update is judged on the samples of the critics' last update, with a
            forward pass less, and not on new ones (algorithm 1). Their graph is kept meanwhile, with ``accumulate``
            that of all micro-batches.
        views: what critics read of each side; rows with their context by default. Where it has parameters, as an
            encoder, they join the generator's player, whose loss then adds the pair's `encoder_loss`.
        critic_terms: added to the critics' loss, such as `Penalty`; see `latentia.objectives.gan.terms`.
        generator_terms: added to the generator's loss, such as `Diversity`.
        clip: c, where a critic's weights are kept in [-c, c] after each of its updates (Wasserstein).
        critic_input: transforms of what critics see, such as noise and augmentation.
        replay: earlier samples that critics see again; they are kept without their context.
        combined: of several critics' losses, the generator descends their mean, softmax-weighted mean or largest.
        unroll: how many of the critics' steps the generator looks ahead, on the rows of its own step, with the
            critics' terms at each of them.

    Raises:
        UsageError: for numbers out of range, names that are none, critics of different packs, a gradient penalty on a
            critic with batch norm, and replay of rows with a context; at the first step for a batch that is too small.

    References:
        Goodfellow et al. (2014), Generative adversarial nets, algorithm 1. Arjovsky, Chintala and Bottou (2017),
        Wasserstein GAN, algorithm 1 (clip). Durugkar, Gemp and Mahadevan (2017), Generative multi-adversarial networks,
        section 3. Metz et al. (2017), Unrolled generative adversarial networks. Lin et al. (2018), PacGAN.
    """

    model: Implicit
    loss_functions: tuple[str, ...] = ("critic_losses", "generator_losses")

    def __init__(
        self,
        model: Implicit,
        critics: Critic | Sequence[Critic],
        losses: LossPair,
        *,
        critic_steps: int = 1,
        reuse_samples: bool = False,
        views: Views | None = None,
        critic_terms: Sequence[Term] = (),
        generator_terms: Sequence[Term] = (),
        clip: float | None = None,
        critic_input: CriticInput | None = None,
        replay: Replay | None = None,
        combined: str = "mean",
        unroll: Unroll | None = None,
    ) -> None:
        super().__init__()
        judges = [critics] if isinstance(critics, Critic) else list(critics)
        if critic_steps < 1:
            raise UsageError(f"critic_steps must be at least 1; got {critic_steps}")
        if clip is not None and not clip > 0:
            raise UsageError(f"clip_weights must be positive, or left out; got {clip}")
        check_name("way to combine critics", combined, COMBINED)
        if len({critic.pack for critic in judges}) != 1:
            raise UsageError(
                f"critics must be at least 1, all of one pack; got packs {[critic.pack for critic in judges]}"
            )
        if replay is not None and (model.context_encoder.size or views is not None):
            raise UsageError(
                "replay keeps rows without what they are conditioned on: leave replay, or conditional and views, out"
            )
        for critic in judges if any(isinstance(term, Penalty) for term in critic_terms) else ():
            refuse_batch_norm(critic)
        self.model, self.critics = model, nn.ModuleList(judges)
        self.pack = judges[0].pack  # rows that critics score together
        self.losses, self.even = losses, losses.even
        self.critic_steps, self.reuse_samples = critic_steps, reuse_samples
        self.views = views or RowViews()
        self.critic_terms, self.generator_terms = tuple(critic_terms), tuple(generator_terms)
        self.critic_input, self.clip = critic_input or CriticInput(), clip
        self.replay, self.combined, self.unroll = replay, combined, unroll
        parts = [*critic_terms, *generator_terms, *self.critic_input.transforms]
        self.parts = nn.ModuleList(modules_among(parts))
        self.one_pass: bool | None = (
            None  # whether critics read both sides at once; found out at the first step
        )
        self.two_sided = any(True for _ in self.views.parameters())
        if unroll is not None:
            self.loss_functions = ("critic_losses",)  # what is differentiated twice stays eager

    def players(self) -> Mapping[str, nn.Module]:
        """Return the two players, each with the terms that learn with it."""
        joined: dict[str, list[nn.Module]] = {"generator": [self.model], "critic": [self.critics]}
        if self.two_sided:
            joined["generator"].append(self.views)
        for part in self.parts:
            if any(True for _ in part.parameters()):
                joined[player_of(part)].append(part)
        return {name: each[0] if len(each) == 1 else nn.ModuleList(each) for name, each in joined.items()}

    @property
    def judges(self) -> list[Critic]:
        """The critics with their type, which a list of modules forgets."""
        return cast("list[Critic]", list(self.critics))

    def row_critics(self) -> list[Critic]:
        """Return the critics, where they score rows and nothing else with them."""
        return self.judges if isinstance(self.views, RowViews) else []

    def begin(self, rows: Blocks) -> None:
        """Take from the rows what scaling needs; the critics get the same."""
        self.model.begin(rows)
        for critic in self.judges:
            critic.scaling.load_state_dict(self.model.scaling.state_dict())

    def step(self, batch: Batch) -> Step:
        """Play one round."""
        if len(batch) < self.pack and not self.steps_done:
            raise UsageError(
                f"pack={self.pack} rows are judged together, and batches have {len(batch)}: take larger batches, "
                "or a smaller pack"
            )
        context = self.context_of(batch)
        x = self.model.scaling(batch.x)
        drawn: Drawn | None = None
        terms: dict[str, Tensor] = {}
        for number in range(1, self.critic_steps + 1):
            last = number == self.critic_steps
            with torch.set_grad_enabled(self.reuse_samples and last):
                drawn = self._draw(len(batch), context)
            made = Drawn(drawn.codes, drawn.rows.detach())
            real, fake = self._critics_views(x, made, context)
            if self.one_pass is None:
                self.one_pass = self._can_read_both(real, fake)
            losses = self.critic_losses(real, fake)
            values = self._critic_values(real, fake, x, made, context)
            yield "critic", losses.real_loss + losses.fake_loss + total(values, x)
            if self.clip is not None:
                clip_weights_(self.critics, self.clip)
            if last:
                terms = self._logged(losses, x, made.rows) | logged("critic", self.critic_terms, values)
        found = self.generator_losses(x, context, drawn if self.reuse_samples else None)
        loss = found.total()
        yield "generator", loss
        terms |= {"generator_loss": loss} | logged("generator", self.generator_terms, found.terms)
        return {name: value.detach() for name, value in terms.items()}

    def seen(self, x: Tensor) -> Tensor:
        """Return (B, *event) rows of data as critics see them: scaled, transformed and packed."""
        return self.shown_to_critics(self.model.scaling(x))

    def shown_to_critics(self, y: Tensor) -> Tensor:
        """Return (B, *event) scaled rows as critics see them: with noise and changes, and packed."""
        return packed(self.critic_input(y, self.clock), self.pack)

    def critic_losses(self, real: View, fake: View) -> CriticLosses:
        """Return what the critics make of both sides, as they see them.

        The two pass a critic apart where it mixes rows, so that no batch statistic does; else they pass it together.
        """
        made = partial(critic_losses, self.losses, one_pass=bool(self.one_pass))
        return of_all_critics([made(score, real, fake, self.even) for score in self._scores()])

    def generator_loss(self, x: Tensor, context: Tensor | None, drawn: Drawn | None = None) -> Tensor:
        """Return all that the generator descends, as one number; see `generator_losses`."""
        return self.generator_losses(x, context, drawn).total()

    def generator_losses(
        self, x: Tensor, context: Tensor | None, drawn: Drawn | None = None
    ) -> GeneratorLosses:
        """Return the generator's mean loss on samples, or on as many new ones as there are real rows, and its terms.

        Args:
            x: (B, *event) real rows, scaled as networks read them.
            context: (B, c) of real rows and samples alike; None for unconditional models.
            drawn: the samples; None draws new ones.
        """
        drawn = self._draw(len(x), context) if drawn is None else drawn
        fake, real = self._generators_views(x, drawn, context)
        scores = self._scores() if self.unroll is None else self._later(real, fake, x, drawn, context)
        losses = [
            generator_loss(self.losses, score, real, fake, two_sided=self.two_sided) for score in scores
        ]
        game = losses[0] if len(losses) == 1 else combined(torch.stack(losses), self.combined)
        if not self.generator_terms:
            return GeneratorLosses(game, ())
        turn = self._turn(real, fake, x, drawn, context)
        return GeneratorLosses(game, tuple(term(turn) for term in self.generator_terms))

    def _draw(self, n: int, context: Tensor | None) -> Drawn:
        codes = self.model.codes(n)
        return Drawn(codes, self.model.scaled(codes, context))

    @property
    def _reads_real(self) -> bool:
        """Whether the generator's turn looks at real rows."""
        return (
            self.losses.relativistic
            or self.two_sided
            or self.unroll is not None
            or bool(self.generator_terms)
        )

    def _can_read_both(self, real: View, fake: View) -> bool:
        """Whether critics may read both sides at once.

        Of a relativistic pair the gradient of a critic's last bias is 0, exactly so only where each side has a sum of
        its own; Adam would make steps of what rounding leaves.
        """
        critics = self.judges
        return not self.losses.relativistic and all(scores_rows_apart(each, real, fake) for each in critics)

    def _scores(self) -> list[ViewScore]:
        return [partial(_score, critic) for critic in self.judges]

    def _critics_views(self, x: Tensor, made: Drawn, context: Tensor | None) -> tuple[View, View]:
        """Return the real and the generated side of the critics' turn, which moves no encoder."""
        judged = made if self.replay is None else Drawn(made.codes, self.replay(made.rows))
        with torch.no_grad() if self.two_sided else _AS_IT_IS:
            return self._shown(self.views.real(x, context), self.views.generated(judged, context))

    def _generators_views(self, x: Tensor, drawn: Drawn, context: Tensor | None) -> tuple[View, View]:
        """Return the generated and the real side of the generator's turn; an empty one where nothing reads it."""
        made = self.views.generated(drawn, context)
        if not self._reads_real:
            fake = View(self.shown_to_critics(made.x), packed(made.context, self.pack))
            return fake, View(x.new_empty(0))
        return self._shown(made, self.views.real(x, context))

    def _shown(self, first: View, second: View) -> tuple[View, View]:
        """Return two views as critics see them; a context that they have in common stays one tensor."""
        context = packed(first.context, self.pack)
        other = context if second.context is first.context else packed(second.context, self.pack)
        return View(self.shown_to_critics(first.x), context), View(self.shown_to_critics(second.x), other)

    def _turn(self, real: View, fake: View, x: Tensor, drawn: Drawn, context: Tensor | None) -> Turn:
        features = partial(_features, self.judges[0])
        return Turn(self._scores(), real, fake, x, drawn, context, features, step=self.steps_done)

    def _critic_values(
        self, real: View, fake: View, x: Tensor, made: Drawn, context: Tensor | None
    ) -> list[Tensor]:
        """Return the values of the critics' terms."""
        if not self.critic_terms:
            return []
        turn = self._turn(real, fake, x, made, context)
        return [term(turn) for term in self.critic_terms]

    def _later(
        self, real: View, fake: View, x: Tensor, drawn: Drawn, context: Tensor | None
    ) -> list[ViewScore]:
        """Return the scores that the critics will give after some steps."""
        assert self.unroll is not None
        turn = replace(self._turn(real, fake, x, drawn, context), step=None)

        def loss(score: ViewScore) -> Tensor:
            found = critic_losses(self.losses, score, real, fake, self.even)
            own = replace(turn, scores=[score])
            return found.real_loss + found.fake_loss + total([term(own) for term in self.critic_terms], x)

        return [self.unroll.score(critic, loss, self.clip) for critic in self.judges]

    def _logged(self, losses: CriticLosses, x: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Return what to log of a critic's update on scaled rows: its losses and, every tenth step, a diagnosis."""
        terms = {
            "critic_loss": losses.real_loss + losses.fake_loss,
            "critic_loss_real": losses.real_loss,
            "critic_loss_fake": losses.fake_loss,
        }
        if not is_due(self.steps_done):
            return terms
        terms["critic_accuracy_real"] = losses.real_accuracy
        terms["critic_accuracy_fake"] = losses.fake_accuracy
        return terms | diagnosis(*losses.scores[0], x, made, self.losses)


def _score(critic: Critic, view: View) -> Tensor:
    return critic.score(view.x, view.context)


def _features(critic: Critic, view: View) -> Tensor:
    return critic.scaled_features(view.x, view.context)
