"""Games whose critics read something with the rows, and losses with terms: BiGAN, InfoGAN and terms of one's own."""

from __future__ import annotations

import math

import pytest
import torch
from tests.draws import seeded
from tests.games import GREY, PLANE, batch, game, recipe, rows
from torch import Tensor, nn
from torch.nn.functional import softplus

import latentia as lt
from latentia.core.model import HasCritic
from latentia.core.objective import Batch
from latentia.core.player import Optim
from latentia.core.train import train
from latentia.errors import UsageError
from latentia.functional.gan.loss_pairs import LOSS_PAIRS, loss_pair
from latentia.models.implicit import Implicit
from latentia.networks.critic import Critic
from latentia.networks.mlp import MLP
from latentia.networks.scaling import Scaling
from latentia.objectives.gan.adversarial import Adversarial
from latentia.objectives.gan.critic_input import CriticInput, InstanceNoise
from latentia.objectives.gan.critic_penalties import Penalty
from latentia.objectives.gan.replay import Replay
from latentia.objectives.gan.terms import label_of
from latentia.objectives.gan.unroll import Unroll
from latentia.objectives.gan.views import Drawn, Turn, View, Views
from latentia.runs.critic_ratio import CriticReading

LINE = lt.DataSpec((1,), lt.Support("real"))

# --- a critic of (x, z) ---------------------------------------------------------------------------------------------


class WithCodes(Views):
    """BiGAN: the critic reads (x, E(x)) on the real side and (G(z), z) on the generated one."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def real(self, x: Tensor, context: Tensor | None) -> View:
        return View(x, self.encoder(x))

    def generated(self, drawn: Drawn, context: Tensor | None) -> View:
        return View(drawn.rows, drawn.codes)


class Joint(nn.Module):
    """s(x, z) of a network of both."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.network(torch.cat([x.flatten(1), context.flatten(1)], dim=1))


def bigan(
    loss: str = "non-saturating", joint: nn.Module | None = None, pack: int = 1, **options
) -> Adversarial:
    """Return a game on the line whose encoder and generator begin as x = 0.3 z + 0.1 and z = 0.4 x - 0.2."""
    with seeded():
        network = joint or MLP((2 * pack,), (1,), hidden=[32])
    generator, encoder = nn.Linear(1, 1), nn.Linear(1, 1)
    for layer, (slope, shift) in ((generator, (0.3, 0.1)), (encoder, (0.4, -0.2))):
        nn.init.constant_(layer.weight, slope)
        nn.init.constant_(layer.bias, shift)
    model = Implicit.of_noise(LINE, Reading(generator), latent_dim=1)
    critic = Critic(Joint(network), Scaling(LINE), pack=pack)
    return Adversarial(model, critic, loss_pair(loss), views=WithCodes(encoder), **options)


class Reading(nn.Module):
    """A generator's network that has no use for a context."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.network(z)


def line(n: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(n, 1, generator=torch.Generator().manual_seed(seed))


LOSSES = ["non-saturating", "minimax", "least-squares", "kl", "hinge", "wasserstein", "relativistic-paired"]


@pytest.mark.parametrize("loss", LOSSES)
def test_encoder_and_generator_move_together_and_the_critic_reads_both(loss):
    played = bigan(loss)
    before = {name: value.clone() for name, value in played.named_parameters()}
    optim = {"generator": Optim(lr=0.01), "critic": Optim(lr=0.01)}
    list(train(played, [Batch(line())], optim=optim, steps=2))
    moved = {name for name, value in played.named_parameters() if not torch.equal(value, before[name])}
    constant = {"critics.0.network.network.layers.2.bias"}  # what cancels between the two sides
    assert moved == set(before) - (constant if loss in LOSSES[4:] else set())
    generator, critic = (set(module.parameters()) for module in played.players().values())
    assert set(played.views.parameters()) < generator
    assert not generator & critic
    x, z = line(), line(seed=1).requires_grad_()
    assert torch.autograd.grad(played.critics[0].score(x, z).sum(), z)[0].abs().min() > 0


def test_labels_of_a_joint_critic_are_those_of_the_paper():
    """B14: (x, E(x)) is real and (G(z), z) generated; encoder and generator descend the loss with labels swapped.

    critic: −log D(x, E(x)) − log(1 − D(G(z), z)); the others: −log(1 − D(x, E(x))) − log D(G(z), z), or minus the
    critic's loss where the game is minimax. Swapping the two sides changes the sign of a value linear in the scores.
    """
    x, z = line(), line(seed=1)
    losses = {}
    for name in ("non-saturating", "minimax"):
        played = bigan(name)
        played.model.codes = lambda n: z
        told = played.step(Batch(x))
        losses[name] = [next(told)[1].item() for _ in range(2)]
    E, G, s = played.views.encoder(x), played.model.scaled(z), played.critics[0].score
    assert losses["minimax"][0] == losses["non-saturating"][0]
    assert losses["minimax"][0] == pytest.approx(
        (softplus(-s(x, E)).mean() + softplus(s(G, z)).mean()).item()
    )
    assert losses["minimax"][1] == pytest.approx(-losses["minimax"][0])
    swapped = softplus(s(x, E)).mean() + softplus(-s(G, z)).mean()
    assert losses["non-saturating"][1] == pytest.approx(swapped.item())
    values = [
        bigan("wasserstein").critic_losses(*sides)
        for sides in ((View(x, E), View(G, z)), (View(G, z), View(x, E)))
    ]
    assert (values[0].real_loss + values[0].fake_loss).item() == pytest.approx(
        -(values[1].real_loss + values[1].fake_loss).item()
    )


def test_in_the_game_s_optimum_the_encoder_inverts_the_generator():
    """Data N(1, 2²): x = 2z + 1 and z = (x − 1)/2, up to the sign of both slopes, which the pairs do not fix."""
    x = 1 + 2 * torch.randn(4096, 1, generator=torch.Generator().manual_seed(0))
    played = bigan()
    optim = {"generator": Optim(lr=5e-3, betas=(0.5, 0.99)), "critic": Optim(lr=5e-3, betas=(0.5, 0.99))}
    batches = [Batch(part) for part in x.split(256)]
    list(train(played, batches, optim=optim, steps=1500, seed=0))
    z = torch.linspace(-2, 2, 9)[:, None]
    with torch.no_grad():
        made = played.model.push(z)
        back = played.views.encoder(played.model.scaling(made))
        spread = played.model.sample(4000, generator=torch.Generator().manual_seed(1))
    assert (back - z).abs().max() < 0.35
    assert spread.mean().item() == pytest.approx(1, abs=0.35)
    assert spread.std().item() == pytest.approx(2, rel=0.2)


class Plane(nn.Module):
    """s(x, z) = 3x + 4z: its gradient has norm 5 at every point."""

    def forward(self, joint: Tensor) -> Tensor:
        return joint @ torch.tensor([[3.0], [4.0]])


def test_a_gradient_penalty_of_a_joint_critic_is_of_both_its_parts():
    """B14: (5 − 1)² on pairs; (3 − 1)² where both sides have one context, which is held fixed."""
    played = bigan(joint=Plane(), critic_terms=[Penalty("gradient", 1.0)])
    critic = played.critics[0]
    contexts = line(seed=2), line(seed=3)
    for pair, expected in ((contexts, 16), (contexts[:1] * 2, 4)):
        real, fake = (View(line(seed=seed), each) for seed, each in enumerate(pair))
        drawn = Drawn(fake.context, fake.x)
        given = Turn(
            [lambda view: critic.score(view.x, view.context)], real, fake, real.x, drawn, None, len, 0
        )
        assert played.critic_terms[0](given).item() == pytest.approx(expected)


OPTIONS = [
    {"pack": 2},
    {"unroll": Unroll(2, 0.05)},
    {"critic_steps": 2, "reuse_samples": True},
    {"critic_terms": [Penalty("r1-r2")]},
    {"critic_input": CriticInput([InstanceNoise(0.1)])},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
def test_a_joint_critic_goes_with_what_other_games_have(options):
    played = bigan(**options)
    optim = {"generator": Optim(lr=0.01), "critic": Optim(lr=0.01)}
    *_, state = train(played, [Batch(line())], optim=optim, steps=3)
    assert all(math.isfinite(value) for value in state.metrics.values())
    loss = played.generator_loss(line(), None)
    weights = [*played.views.parameters(), *played.model.parameters()]
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(loss, weights))


@pytest.mark.parametrize("clip", [0.0, -1.0, math.nan])
def test_weights_are_clipped_to_a_positive_number(clip):
    parts = game()
    with pytest.raises(UsageError, match="clip_weights must be positive"):
        Adversarial(parts.model, list(parts.critics), parts.losses, clip=clip)


def test_replay_keeps_no_codes_for_a_joint_critic():
    parts = game()
    with pytest.raises(UsageError, match="replay keeps rows without what they are conditioned on"):
        Adversarial(
            parts.model,
            list(parts.critics),
            parts.losses,
            views=WithCodes(nn.Linear(2, 3)),
            replay=Replay(5, (2,)),
        )


def test_a_joint_critic_has_no_ratio_of_rows_and_a_critic_of_rows_has():
    with pytest.raises(UsageError, match="does not score rows alone"):
        CriticReading.of(bigan())
    assert len(CriticReading.of(game(critics=2)).critics) == 2


# --- terms ----------------------------------------------------------------------------------------------------------


class Recogniser(nn.Module):
    """InfoGAN: −E log q(c | G(z)) of the code's first entry, with q = N(Q(x), 1) up to a constant."""

    label = "information"

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight, self.network = weight, MLP((2,), (1,), hidden=[16])

    def forward(self, turn: Turn) -> Tensor:
        return self.weight * (self.network(turn.drawn.rows) - turn.drawn.codes[:, :1]).square().mean() / 2


def explained(played: Adversarial) -> float:
    """Return the fraction of the code's variance that a linear map of the rows explains."""
    with torch.no_grad(), seeded(4):
        codes = played.model.codes(2000)
        made = played.model.scaled(codes)
    inputs = torch.cat([made, made.square(), torch.ones(2000, 1)], dim=1)
    fitted = inputs @ torch.linalg.lstsq(inputs, codes[:, :1]).solution
    return 1 - float((codes[:, :1] - fitted).var() / codes[:, :1].var())


def test_a_recogniser_joins_the_generator_and_raises_the_mutual_information():
    """Rows say little of the first of 8 entries of the code without it, and nearly all with it."""
    found = []
    for weight in (0.0, 3.0):
        made = recipe(latent_dim=8, hidden=32, lr=2e-3, critic_lr=2e-3)
        parts = made.objective
        with seeded():
            term = Recogniser(weight)
        played = Adversarial(parts.model, list(parts.critics), parts.losses, generator_terms=[term])
        before = [p.clone() for p in term.parameters()]
        *_, state = train(played, [batch(n=128)], optim=made.optim, steps=400)
        assert "generator_information" in state.metrics
        assert all(not torch.equal(p, q) for p, q in zip(before, term.parameters(), strict=True)) == (
            weight > 0
        )
        assert set(term.parameters()) < set(played.players()["generator"].parameters())
        assert any(key.startswith("parts.0.") for key in played.state_dict())
        found.append(explained(played))
    assert found[1] > 0.8 > 0.5 > found[0]


def distance_of_means(turn: Turn) -> Tensor:
    return (turn.x.mean(0) - turn.drawn.rows.mean(0)).square().sum()


def test_a_term_of_the_generator_is_any_function_of_a_turn():
    """Feature matching by raw means: added with its gradient, logged by its name, once for the generator's update."""
    plain = game()
    played = Adversarial(plain.model, list(plain.critics), plain.losses, generator_terms=[distance_of_means])
    x = plain.model.scaling(rows())
    values = []
    for each in (plain, played):
        with seeded(2):
            values.append(each.generator_loss(x, None))
    with seeded(2):
        drawn = plain.model.scaled(plain.model.codes(16))
    assert (values[1] - values[0]).item() == pytest.approx(
        (x.mean(0) - drawn.mean(0)).square().sum().item(), rel=1e-4
    )
    *_, state = train(played, [batch()], optim=recipe().optim, steps=1)
    assert state.metrics["generator_distance_of_means"] > 0


def drift(turn: Turn) -> Tensor:
    return 0.5 * sum(score(turn.real).square().mean() for score in turn.scores)


def test_a_term_of_the_critics_needs_no_parameters():
    """Progressive growing's drift ½ E s(x)², of both critics."""
    plain = game(critics=2)
    played = Adversarial(plain.model, list(plain.critics), plain.losses, critic_terms=[drift])
    losses = []
    for each in (plain, played):
        with seeded(2):
            losses.append(next(each.step(batch()))[1].item())
    real = plain.seen(rows())
    expected = sum(critic.score(real).square().mean().item() for critic in plain.critics) / 2
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-4)
    assert [label_of(term) for term in (drift, Penalty("r1"), Recogniser(1.0))] == [
        "drift",
        "penalty",
        "information",
    ]


def test_packs_of_both_sides_share_one_context():
    """A penalty then differentiates rows alone, as it does without packs."""
    parts, seen = game("conditional-gan", GREY, pack=2), []

    def noted(turn: Turn) -> Tensor:
        seen.append(turn)
        return turn.x.new_zeros(())

    played = Adversarial(parts.model, list(parts.critics), parts.losses, critic_terms=[noted])
    next(played.step(batch(GREY)))
    assert seen[0].real.context.shape == (8, 2, 2)
    assert seen[0].real.context is seen[0].fake.context


def test_features_are_those_of_the_first_critic():
    parts, seen = game(critics=2), []
    played = Adversarial(
        parts.model, list(parts.critics), parts.losses, critic_terms=[lambda t: seen.append(t) or t.x.sum()]
    )
    next(played.step(batch()))
    fake, real = seen[0].features()
    for found, view in ((fake, seen[0].fake), (real, seen[0].real)):
        assert found.equal(played.critics[0].scaled_features(view.x, view.context))


class Judge(nn.Module):
    """A term whose parameters move with the player that it names."""

    def __init__(self, player: str | None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        if player is not None:
            self.player = player

    def forward(self, turn: Turn) -> Tensor:
        return (self.scale * turn.real.x.mean() - 2).square()


@pytest.mark.parametrize("player", [None, "generator", "critic"])
def test_a_term_says_with_which_player_it_moves(player):
    plain, term = game(), Judge(player)
    where = {"critic_terms" if player == "critic" else "generator_terms": [term]}
    played = Adversarial(plain.model, list(plain.critics), plain.losses, **where)
    list(train(played, [batch()], optim=recipe().optim, steps=2))
    assert term.scale.item() != 1
    assert term.scale in set(played.players()[player or "generator"].parameters())
    with pytest.raises(UsageError, match=r"Judge\.player must be generator or critic; got 'umpire'"):
        Adversarial(
            plain.model, list(plain.critics), plain.losses, generator_terms=[Judge("umpire")]
        ).players()


def test_a_training_with_terms_resumes_exactly():
    def played(resume=None, steps=6):
        made = recipe()
        parts = made.objective
        with seeded():
            term = Recogniser(1.0)
        whole = Adversarial(parts.model, list(parts.critics), parts.losses, generator_terms=[term])
        return list(train(whole, [batch()], optim=made.optim, steps=steps, seed=1, resume=resume))

    whole, half = played()[-1].tensors(), played(steps=3)[-1].tensors()
    rest = played(resume=half)[-1].tensors()
    assert all(torch.equal(value, rest[key]) for key, value in whole.items())


# --- what critics see, and who has critics --------------------------------------------------------------------------


class Fading(nn.Module):
    """A transform with a buffer: what it was at is saved with the training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.tensor(0.5))

    def forward(self, y: Tensor, step: Tensor) -> Tensor:
        return self.level * y


def test_critics_see_rows_through_transforms_of_one_s_own_in_their_order():
    plain = game()
    given = CriticInput([Fading(), lambda y, step: y + step])
    played = Adversarial(plain.model, list(plain.critics), plain.losses, critic_input=given)
    played.clock.fill_(3)
    assert torch.allclose(played.seen(rows()), plain.model.scaling(rows()) / 2 + 3)
    assert "parts.0.level" in played.state_dict()


class Ratio(lt.Objective, HasCritic):
    """Another kind of game with a critic: no `Adversarial`."""

    losses = LOSS_PAIRS["minimax"]

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(2, 2)
        self.critic = game().critics[0]

    def players(self):
        return {"critic": self.critic}

    def step(self, batch):
        yield "critic", self.critic(batch.x).mean()
        return {}

    def row_critics(self):
        return [self.critic]


def test_whatever_has_a_critic_has_a_ratio_and_features():
    from latentia.runs.doctor import training_facts
    from latentia.runs.options import Training

    played, far = game(), 5 * rows() + 100
    played.begin(Batch(far))
    assert played.critics[0](far).equal(
        played.critics[0].score(played.seen(far))
    )  # scaled as for the generator
    reading, x = CriticReading.of(Ratio()), rows()
    assert torch.allclose(reading.log_ratio(x), reading.critics[0](x), atol=1e-5)
    assert reading.features().encode(x).mean.shape[0] == 16
    assert training_facts(Ratio(), Training(), PLANE, 1).even
