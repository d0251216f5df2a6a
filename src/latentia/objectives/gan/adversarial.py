"""Adversarial objectives: a generator learns from critics that tell its samples from data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import UsageError
from latentia.functional.gan.diversity import DIVERSITY, Made, fewest_rows
from latentia.functional.gan.loss_pairs import LossPair
from latentia.functional.gan.multi_critic import COMBINED, combined
from latentia.functional.gan.penalties import ScoreFunction
from latentia.functional.gan.weight_constraints import clip_weights_
from latentia.models.implicit import Implicit
from latentia.networks.critic import Critic, packed
from latentia.objectives.gan.critic_input import CriticInput
from latentia.objectives.gan.critic_penalties import Penalty, refuse_batch_norm
from latentia.objectives.gan.diagnostics import diagnosis, is_due
from latentia.objectives.gan.replay import Replay
from latentia.objectives.gan.unroll import Unroll
from latentia.registry import check_name, unknown


@dataclass(frozen=True)
class Diversity:
    """A term of `DIVERSITY` in the generator's loss, and its weight."""

    name: str
    weight: float

    def __post_init__(self) -> None:
        if self.name not in DIVERSITY:
            raise UsageError(unknown("diversity", self.name, ["none", *DIVERSITY]))
        if not self.weight >= 0:
            raise UsageError(f"diversity_weight must be at least 0; got {self.weight}")


class Drawn(NamedTuple):
    """A batch of samples.

    Attributes:
        codes: (B, d) z.
        rows: (B, *event) G(z), scaled as networks read them.
    """

    codes: Tensor
    rows: Tensor


class CriticTerms(NamedTuple):
    """What critics make of a batch.

    Attributes:
        real_loss: mean loss on real rows, of several critics the sum: a number, as the next three.
        fake_loss: on generated rows.
        real_accuracy: share of the real rows that are told right.
        fake_accuracy: of the generated rows.
        real_scores: (B',) of the first critic.
        fake_scores: (B',) of the first critic.
    """

    real_loss: Tensor
    fake_loss: Tensor
    real_accuracy: Tensor
    fake_accuracy: Tensor
    real_scores: Tensor
    fake_scores: Tensor


class Adversarial(Objective):
    """Play critics against a generator: the critics move ``critic_steps`` times, then the generator once.

    Critics see real and generated rows as networks read them: scaled, in packs where they want them, and `CriticInput`.
    Penalties, noise and clipping are in those units too.

    Args:
        model: the generator.
        critics: one, or several, each with weights of its own; together they are one player.
        losses: what a critic and the generator descend, from scores.
        critic_steps: moves of the critics for each move of the generator, on the same real rows and new samples
            (algorithm 1 draws new rows too).
        reuse_samples: whether the generator's move is judged on the samples of the critics' last move, with a forward
            pass less, and not on new ones (algorithm 1). Their graph is kept meanwhile, with ``accumulate`` that of
            all micro-batches.
        conditional: whether all are given each row's context.
        penalties: what critics descend beside their loss.
        clip: c, where a critic's weights are kept in [-c, c] after each of its moves (Wasserstein).
        shown: noise and augmentation of what critics see.
        replay: earlier samples that critics see again; they are kept without their context.
        combined: of several critics' losses, the generator descends their mean, softmax-weighted mean or largest.
        unroll: how many of the critics' steps the generator looks ahead, on the rows of its own step, with penalties
            at each of them.
        diversity: what the generator descends beside its loss, so that its rows differ; left out of the last batch of
            an epoch where that has too few rows to compare.

    Raises:
        UsageError: for numbers out of range, names that are none, critics of different packs, a gradient penalty on a
            critic with batch norm, and replay of rows with a context; at the first step for a batch that is too small.

    References:
        Goodfellow et al. (2014), Generative adversarial nets, algorithm 1. Arjovsky, Chintala and Bottou (2017),
        Wasserstein GAN, algorithm 1 (clip). Durugkar, Gemp and Mahadevan (2017), Generative multi-adversarial networks,
        section 3. Metz et al. (2017), Unrolled generative adversarial networks. Lin et al. (2018), PacGAN.
    """

    model: Implicit
    loss_functions: tuple[str, ...] = ("critic_terms", "generator_loss")

    def __init__(
        self,
        model: Implicit,
        critics: Critic | Sequence[Critic],
        losses: LossPair,
        *,
        critic_steps: int = 1,
        reuse_samples: bool = False,
        conditional: bool = False,
        penalties: Sequence[Penalty] = (),
        clip: float | None = None,
        shown: CriticInput | None = None,
        replay: Replay | None = None,
        combined: str = "mean",
        unroll: Unroll | None = None,
        diversity: Diversity | None = None,
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
        if conditional and replay is not None:
            raise UsageError(
                "replay keeps rows without what they were given: leave replay or conditional out"
            )
        for critic in judges if penalties else ():
            refuse_batch_norm(critic)
        self.model, self.critics = model, nn.ModuleList(judges)
        self.losses, self.even = losses, losses.even
        self.critic_steps, self.reuse_samples, self.conditional = critic_steps, reuse_samples, conditional
        self.penalties, self.clip = tuple(penalties), clip
        self.shown, self.replay = shown or CriticInput(), replay
        self.combined, self.unroll, self.diversity = combined, unroll, diversity
        if unroll is not None:
            self.loss_functions = ("critic_terms",)  # what is differentiated twice stays eager

    @property
    def pack(self) -> int:
        """Rows that critics score together."""
        return self._critics()[0].pack

    def players(self) -> Mapping[str, nn.Module]:
        """Return the two players."""
        return {"generator": self.model, "critic": self.critics}

    def begin(self, rows: Blocks) -> None:
        """Take from the rows what scaling needs; the critics get the same."""
        self.model.begin(rows)
        for critic in self._critics():
            critic.scaling.load_state_dict(self.model.scaling.state_dict())

    def step(self, batch: Batch) -> Step:
        """Play one round."""
        if len(batch) < self.pack and not self.steps_done:
            raise UsageError(
                f"pack={self.pack} rows are judged together, and batches have {len(batch)}: take larger batches, "
                "or a smaller pack"
            )
        context = self.context_of(batch)
        contexts = packed(context, self.pack)
        x = self.model.scaling(batch.x)
        drawn: Drawn | None = None
        logged: dict[str, Tensor] = {}
        for number in range(1, self.critic_steps + 1):
            last = number == self.critic_steps
            with torch.set_grad_enabled(self.reuse_samples and last):
                drawn = self._draw(len(batch), context)
            made = drawn.rows.detach()
            judged = made if self.replay is None else self.replay(made)
            real, fake = self.shown_to_critics(x), self.shown_to_critics(judged)
            terms = self.critic_terms(real, fake, contexts)
            penalty = self.penalty(real, fake, contexts)
            yield "critic", terms.real_loss + terms.fake_loss + penalty
            if self.clip is not None:
                clip_weights_(self.critics, self.clip)
            if last:
                logged = self._told(terms, x, made) | ({"critic_penalty": penalty} if self.penalties else {})
        loss = self.generator_loss(x, context, drawn if self.reuse_samples else None)
        yield "generator", loss
        return {name: value.detach() for name, value in ({"generator_loss": loss} | logged).items()}

    def seen(self, x: Tensor) -> Tensor:
        """Return (B, *event) rows of data as critics see them: scaled, shown and packed."""
        return self.shown_to_critics(self.model.scaling(x))

    def shown_to_critics(self, y: Tensor) -> Tensor:
        """Return (B, *event) scaled rows as critics see them: with noise and changes, and packed."""
        return packed(self.shown(y, self.clock), self.pack)

    def critic_terms(self, real: Tensor, fake: Tensor, context: Tensor | None) -> CriticTerms:
        """Return what the critics make of real and fake rows, as `seen`.

        The two pass a critic apart, so that no batch statistic mixes them. A row is told right by its side of the even
        score or, where there is none, of the other kind's mean score. Of several critics the losses are summed, since
        each has its own to descend, and the shares averaged.
        """
        terms = [self._terms_of(score, real, fake) for score in self._scores(context)]
        if len(terms) == 1:
            return terms[0]
        real_loss, fake_loss, real_accuracy, fake_accuracy = (
            torch.stack([each[i] for each in terms]) for i in range(4)
        )
        first = terms[0]
        return CriticTerms(
            real_loss.sum(),
            fake_loss.sum(),
            real_accuracy.mean(),
            fake_accuracy.mean(),
            first.real_scores,
            first.fake_scores,
        )

    def penalty(self, real: Tensor, fake: Tensor, context: Tensor | None) -> Tensor:
        """Return the sum of all critics' penalties at this step."""
        values = [
            penalty.at(self.steps_done, score, real, fake)
            for penalty in self.penalties
            for score in self._scores(context)
        ]
        return torch.stack(values).sum() if values else real.new_zeros(())

    def generator_loss(self, x: Tensor, context: Tensor | None, drawn: Drawn | None = None) -> Tensor:
        """Return the generator's mean loss on samples, or on as many new ones as there are real rows.

        Args:
            x: (B, *event) real rows, scaled as networks read them.
            context: (B, c) of real rows and samples alike; None without.
            drawn: the samples; None draws new ones.
        """
        codes, made = self._draw(len(x), context) if drawn is None else drawn
        fake, contexts = self.shown_to_critics(made), packed(context, self.pack)
        real = self.shown_to_critics(x) if self._reads_real else fake.new_empty(0)
        scores = self._scores(contexts) if self.unroll is None else self._later(real, fake, contexts)
        terms = [self._generator_term(score, real, fake) for score in scores]
        loss = terms[0] if len(terms) == 1 else combined(torch.stack(terms), self.combined)
        if self.diversity is None:
            return loss
        name = self.diversity.name
        if len(made) < fewest_rows(name) and int(
            self.clock
        ):  # the end of an epoch; the term refuses a first one
            return loss
        features = partial(self._features, real, fake, contexts)
        return loss + self.diversity.weight * DIVERSITY[name](Made(codes, made, features, context))

    def _draw(self, n: int, context: Tensor | None) -> Drawn:
        codes = self.model.codes(n)
        return Drawn(codes, self.model.scaled(codes, context))

    @property
    def _reads_real(self) -> bool:
        """Whether the generator's move looks at real rows."""
        return self.losses.relativistic or self.unroll is not None or self.diversity is not None

    def _critics(self) -> list[Critic]:
        """Return the critics with their type, which a list of modules forgets."""
        return cast("list[Critic]", list(self.critics))

    def _scores(self, context: Tensor | None) -> list[ScoreFunction]:
        return [partial(critic.score, context=context) for critic in self._critics()]

    def _later(self, real: Tensor, fake: Tensor, context: Tensor | None) -> list[ScoreFunction]:
        """Return the scores that the critics will give after some steps."""
        assert self.unroll is not None

        def loss(score: ScoreFunction) -> Tensor:
            terms = self._terms_of(score, real, fake)
            penalties = [penalty.of(score, real, fake) for penalty in self.penalties]
            return torch.stack([terms.real_loss + terms.fake_loss, *penalties]).sum()

        return [self.unroll.score(critic, context, loss, self.clip) for critic in self._critics()]

    def _terms_of(self, score: ScoreFunction, real: Tensor, fake: Tensor) -> CriticTerms:
        """Return what one critic makes of real and fake rows."""
        real_scores, fake_scores = score(real), score(fake)
        real_loss, fake_loss = self.losses.critic(real_scores, fake_scores)
        even = self.even
        above, below = (fake_scores.mean(), real_scores.mean()) if even is None else (even, even)
        real_accuracy, fake_accuracy = (
            (real_scores > above).float().mean(),
            (fake_scores < below).float().mean(),
        )
        return CriticTerms(
            real_loss.mean(), fake_loss.mean(), real_accuracy, fake_accuracy, real_scores, fake_scores
        )

    def _generator_term(self, score: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:
        """Return the generator's mean loss to one critic."""
        fake_scores = score(fake)
        real_scores = score(real) if self.losses.relativistic else fake_scores.new_empty(0)
        return self.losses.generator(fake_scores, real_scores).mean()

    def _features(self, real: Tensor, fake: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the first critic's features of fake and of real rows."""
        critic = self._critics()[0]
        return critic.scaled_features(fake, context), critic.scaled_features(real, context)

    def _told(self, terms: CriticTerms, x: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Return what to log of a critic's move on scaled rows: its terms and, at some steps, a diagnosis."""
        logged = {
            "critic_loss": terms.real_loss + terms.fake_loss,
            "critic_loss_real": terms.real_loss,
            "critic_loss_fake": terms.fake_loss,
            "critic_accuracy_real": terms.real_accuracy,
            "critic_accuracy_fake": terms.fake_accuracy,
        }
        if not is_due(self.steps_done):
            return logged
        return logged | diagnosis(terms.real_scores, terms.fake_scores, x, made, self.losses)
