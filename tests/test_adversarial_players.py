"""Players of adversarial games, for every recipe.

Rows B4, B6 and B13 of docs/known-mistakes.md.
"""

from __future__ import annotations

import copy

import pytest
import torch
from tests.draws import seeded
from tests.games import GREY, PLANE, batch, game, recipe, rows
from tests.running import weights
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec
from latentia.functional.gan.loss_pairs import LOSS_PAIRS
from latentia.objectives.gan.adversarial import Adversarial
from latentia.objectives.gan.one_pass import scores_of_both, scores_rows_apart
from latentia.objectives.gan.player_losses import CriticLosses, of_all_critics
from latentia.objectives.gan.views import View
from latentia.runs.options import recipe_options

GAMES = [name for name in lt.recipes if "critic_steps" in recipe_options(lt.recipes[name])]
MIXING = {  # critics that read rows together
    "dc-gan": "BatchNorm2d",
    "minibatch-gan": "MinibatchDiscrimination",
}


def data_of(name: str) -> DataSpec:
    return GREY if name in ("dc-gan", "conditional-gan") else PLANE


def tracked(name: str) -> bool:
    """Whether a buffer follows what passes through it: batch norm's moments, spectral norm's vectors."""
    return "running_" in name or "num_batches" in name or name.endswith(("._u", "._v"))


@pytest.mark.parametrize("name", GAMES)
def test_no_player_s_move_leaves_anything_in_the_other(name):
    """B6, for every recipe: the other's gradients stay None and its weights and buffers bit-identical.

    Only what batch norm and spectral norm track moves, with all that passes; of a critic that is looked ahead with,
    not even that.
    """
    data = data_of(name)
    made = recipe(name, data)
    played, before, moved = made.objective, {}, []

    def watched(rows):
        for player, loss in Adversarial.step(played, rows):
            other = played.players()[{"critic": "generator", "generator": "critic"}[player]]
            assert all(p.grad is None for p in other.parameters())
            before[player] = weights(other)
            yield player, loss
            assert all(p.grad is None for p in other.parameters())
            assert all(torch.equal(value, before[player][key]) for key, value in weights(other).items())
            moved.append(player)
        return {}

    loss_of = played.generator_losses

    def untouched(*arguments):
        critic = weights(played.critics)
        value = loss_of(*arguments)
        for key, each in weights(played.critics).items():
            assert torch.equal(each, critic[key]) or (tracked(key) and played.unroll is None), key
        return value

    played.step, played.generator_losses = watched, untouched
    start = {player: weights(module) for player, module in played.players().items()}
    list(train(played, [batch(data)], optim=made.optim, steps=2))
    assert set(moved) == {"critic", "generator"}
    for player, module in played.players().items():
        assert any(not torch.equal(value, start[player][key]) for key, value in weights(module).items())


@pytest.mark.parametrize("name", GAMES)
def test_a_score_does_not_depend_on_the_rest_of_the_batch(name):
    """B4, B13: in training too, but for the recipes whose critic reads rows together, which say so."""
    data = data_of(name)
    played = game(name, data)
    (critic, *_), context = played.critics, batch(data).context
    packs = 16 // critic.pack
    contexts = context if played.model.context_encoder.size else None
    x = played.seen(rows(data))
    other = torch.cat([x[: packs // 2], 3 * x[packs // 2 :] + 1])
    first, second = (copy.deepcopy(critic).score(y, contexts)[: packs // 2] for y in (x, other))
    assert first.shape == (packs // 2,)
    assert torch.allclose(first, second, atol=1e-6) == (name not in MIXING)
    assert critic.mixes_rows == (name in MIXING)
    assert MIXING.get(name, "") in str(critic)


@pytest.mark.parametrize("name", LOSS_PAIRS)
def test_swapping_real_and_fake_flips_what_it_must(name):
    """Labels swap with the rows: s ↦ −s, or 1 − s for least squares, gives the swapped losses; V changes its sign."""
    played = game(loss=name, clip_weights=1.0)
    x, y = played.seen(rows()), played.seen(rows(seed=1) * 2 + 1)
    terms = played.critic_losses(View(x), View(y))
    swapped = played.critic_losses(View(y), View(x))
    if name == "wasserstein":
        assert (swapped.real_loss + swapped.fake_loss).item() == pytest.approx(
            -(terms.real_loss + terms.fake_loss).item(), abs=1e-6
        )
    score = played.critics[0].score
    reflected = nn.Module()
    reflected.score = lambda y, context=None: (1 if name == "least-squares" else 0) - score(y)
    played.critics = nn.ModuleList([reflected])
    found = played.critic_losses(View(y), View(x))
    assert found.real_loss.item() == pytest.approx(terms.fake_loss.item(), rel=1e-5, abs=1e-6)
    assert found.fake_loss.item() == pytest.approx(terms.real_loss.item(), rel=1e-5, abs=1e-6)
    assert (found.real_accuracy, found.fake_accuracy) == (terms.fake_accuracy, terms.real_accuracy)
    assert terms.real_loss != swapped.real_loss


@pytest.mark.parametrize(("even", "real", "fake"), [(None, 5 / 8, 5 / 8), (0.5, 5 / 8, 1 / 4)])
def test_accuracies_are_means_over_critics_of_the_rows_on_their_side(even, real, fake):
    """Real scores above, and generated ones below, the even score or the other kind's mean, strictly."""
    zero = torch.zeros(())
    first = torch.tensor([0.5, 2.0, 2.25, 4.75]), torch.tensor([0.5, 0.5, 0.5, 0.5])
    second = torch.tensor([1.0, 2.0, 0.5, -3.5]), torch.tensor([-1.0, 0.0, 1.0, 2.0])
    each = [CriticLosses(zero, zero, (scores,), even) for scores in (first, second)]
    found = of_all_critics(each)
    assert (found.real_accuracy, found.fake_accuracy) == (real, fake)


def test_a_round_clips_after_each_update_and_logs_the_last_of_each_player():
    played = game(loss="wasserstein", clip_weights=0.01, critic_steps=2)
    steps, losses = played.step(batch()), []
    for player in ("critic", "critic", "generator"):
        name, loss = next(steps)
        assert name == player
        losses.append(loss)
        if len(losses) > 1:
            assert all(p.abs().max() <= 0.01 for p in played.critics.parameters())
        for p in played.critics.parameters():
            nn.init.normal_(p, generator=torch.Generator().manual_seed(len(losses)))
    with pytest.raises(StopIteration) as ended:
        next(steps)
    logged = ended.value.value
    assert losses[0] != losses[1]
    assert (logged["critic_loss"], logged["generator_loss"]) == (losses[1], losses[2])
    assert logged["critic_loss_real"] + logged["critic_loss_fake"] == losses[1]


def test_two_learning_rates_reach_the_optimisers():
    made = recipe(lr=0.003, critic_lr=0.007, beta1=0.25, beta2=0.75)
    *_, state = train(made.objective, [batch()], optim=made.optim, steps=1)
    for player, lr in (("generator", 0.003), ("critic", 0.007)):
        mover = state.players[player]
        settings = mover.optimiser.settings
        assert (mover.rate(0), settings["beta1"], settings["beta2"]) == (lr, 0.25, 0.75)
    owned = {id(p) for p in state.players["critic"].parameters}
    assert owned == {id(p) for p in made.objective.critics.parameters()}


def test_samples_come_from_averaged_weights():
    """EMA: w̄ ← d w̄ + (1 − d) w after each step, from the weights after the first."""
    x = rows(n=64).numpy()
    options = {"batch_size": 64, "hidden": 6, "latent_dim": 3, "lr": 0.01, "progress": False}
    each = [lt.fit("gan", x, steps=k, **options).model.state_dict() for k in (1, 2, 3)]
    averaged = lt.fit("gan", x, steps=3, ema=0.6, **options).model
    for key, value in averaged.named_parameters():
        expected = 0.6 * (0.6 * each[0][key] + 0.4 * each[1][key]) + 0.4 * each[2][key]
        assert torch.allclose(value, expected, atol=1e-6)
        assert not torch.allclose(value, each[2][key], atol=1e-5)


class Centred(nn.Module):
    """A network of the user's own, which mixes rows in a way that no list of layers shows."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 1)

    def forward(self, x, context=None):
        return self.inner(x - x.mean(0))


class Plain(nn.Sequential):
    def forward(self, x, context=None):
        return super().forward(x)


NETWORKS = {
    "by rows": (lambda: Plain(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)), 1),
    "batch norm": (lambda: Plain(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), 2),
    "dropout": (lambda: Plain(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1)), 2),
    "spectral norm": (lambda: Plain(spectral_norm(nn.Linear(2, 4)), nn.Linear(4, 1)), 2),
    "of the user's own": (Centred, 2),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_critic_that_scores_rows_apart_reads_both_sides_in_one_pass(kind):
    """The losses and gradients of a step are those of two passes, and a critic that mixes rows makes two."""
    make, passes = NETWORKS[kind]
    made = recipe()
    with seeded():
        network = make().double()
    game = made.objective.double()
    game.critics[0].network = network
    next(game.step(Batch(batch().x.double())))  # tries a copy of the critic, and decides
    gradients, decided = {}, game.one_pass
    assert decided == (passes == 1)
    for one_pass in {decided, False}:
        game.one_pass, counted = one_pass, []
        hook = network.register_forward_hook(lambda *_, counted=counted: counted.append(1))
        with seeded():
            name, loss = next(game.step(Batch(batch().x.double())))
        hook.remove()
        assert (name, len(counted)) == ("critic", 1 if one_pass else 2)
        gradients[one_pass] = torch.autograd.grad(loss, list(network.parameters()))
    for a, b in zip(gradients[decided], gradients[False], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


class Restless(Plain):
    """A network of the user's own that is random and counts its passes, as no list of layers shows."""

    passes = 0

    def forward(self, x, context=None):
        self.passes += 1
        return super().forward(x) + torch.randn(len(x), 1)


def test_the_trial_of_a_critic_leaves_no_trace():
    critic = game().critics[0]
    critic.network = Restless(nn.Linear(2, 1))
    before = torch.get_rng_state()
    assert not scores_rows_apart(critic, View(rows()), View(rows(seed=1)))
    assert critic.network.passes == 0
    assert torch.get_rng_state().equal(before)


def test_in_one_pass_each_side_keeps_a_context_of_its_own():
    real, fake = View(torch.ones(2, 3), torch.zeros(2, 1)), View(torch.zeros(1, 3), torch.full((1, 1), 5.0))
    scores = scores_of_both(lambda view: view.x.sum(1) + view.context[:, 0], real, fake, one_pass=True)
    assert [each.tolist() for each in scores] == [[3.0, 3.0], [5.0]]
    assert not scores_rows_apart(game().critics[0], View(rows()), View(rows(), rows()))


@pytest.mark.parametrize(("options", "expected"), [({}, True), ({"loss": "relativistic-paired"}, False)])
def test_both_sides_are_read_at_once_where_all_critics_can_and_the_loss_allows_it(options, expected):
    """A relativistic loss takes sums of its own on each side, for the gradient of the last bias to be 0."""
    played = game(critics=2, **options)
    next(played.step(batch()))
    assert played.one_pass == expected
    played.one_pass, played.critics[1].network = None, Centred()
    next(played.step(batch()))
    assert not played.one_pass
