"""Penalties and bounds of adversarial games, by loops over rows.

Rows B1, B3 and B4 of docs/known-mistakes.md.
"""

from __future__ import annotations

import pytest
import torch
from tests.draws import seeded
from tests.games import GREY, PLANE, batch, game, penalty, recipe, rows
from torch import Tensor
from torch.nn.functional import softplus

from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.errors import UsageError
from latentia.objectives.gan.critic_penalties import PENALTIES, Penalty


def slopes(score, points: Tensor) -> Tensor:
    """Return each row's ‖∇s‖, one row after the other."""
    norms = []
    for point in points:
        y = point[None].clone().requires_grad_()
        norms.append(torch.autograd.grad(score(y).sum(), y)[0].flatten().norm())
    return torch.stack(norms)


@pytest.mark.parametrize("pack", [1, 2])
@pytest.mark.parametrize("data", [PLANE, GREY], ids=["mlp", "conv"])
def test_penalties_are_means_over_rows_as_critics_see_them(data, pack):
    """B1: norms run over all entries of a row, or a pack, and never over rows."""
    played = game(data=data, pack=pack, penalty="r1-r2", penalty_weight=3.0)
    real, fake = played.seen(rows(data)), played.seen(rows(data, seed=1))
    score = played.critics[0].score
    expected = 3 * ((slopes(score, real).square() / 2).mean() + (slopes(score, fake).square() / 2).mean())
    assert penalty(played, real, fake).item() == pytest.approx(expected.item(), rel=1e-4)
    for name, points in (("r1", real), ("r2", fake)):
        value = Penalty(name, 2.0).of(score, real, fake).item()
        assert value == pytest.approx(2 * (slopes(score, points).square() / 2).mean().item(), rel=1e-4)


@pytest.mark.parametrize(("name", "one_sided"), [("gradient", False), ("one-sided-gradient", True)])
def test_the_gradient_penalty_is_taken_between_a_real_and_a_fake_pack(name, one_sided):
    played = game(pack=2)
    real, fake = played.seen(rows()), played.seen(5 * rows(seed=1))
    score = played.critics[0].score
    with seeded(3):
        share = torch.rand(8)[:, None, None]
    excess = slopes(score, share * real + (1 - share) * fake) - 1
    with seeded(3):
        value = Penalty(name).of(score, real, fake)
    expected = (excess.clamp(min=0) if one_sided else excess).square().mean()
    assert value.item() == pytest.approx(10 * expected.item(), rel=1e-4, abs=1e-8)


def test_dragan_s_noise_is_half_the_deviation_of_the_real_rows():
    played = game()
    real = played.seen(4 * rows(n=64))
    seen = []

    def score(y: Tensor) -> Tensor:
        seen.append(y)
        return y.square().sum(1)

    Penalty("dragan").of(score, real, real)
    deviation = (seen[0] - real).std() / real.std()
    assert deviation.item() == pytest.approx(
        0.5, abs=0.13
    )  # of 128 draws: 4 standard deviations, 1 in 15,000


def test_dragan_needs_rows_that_differ():
    with pytest.raises(UsageError, match="all entries of this one are equal: choose another penalty"):
        Penalty("dragan").of(lambda x: x.sum(1), torch.ones(4, 2), torch.zeros(4, 2))


@pytest.mark.parametrize("name", PENALTIES)
def test_units_of_the_data_do_not_matter(name):
    """Penalties and noise are in units of the scaled rows: the same history for rows times 50, plus 300."""
    histories = []
    for scale, shift in ((1.0, 0.0), (64.0, 256.0)):  # powers of two, so that no digit is lost
        made = recipe(penalty=name, instance_noise=0.3, instance_noise_steps=10, unroll_steps=1)
        states = train(made.objective, [Batch(rows(n=64) * scale + shift)], optim=made.optim, steps=4)
        histories.append([(s.metrics["critic_loss"], s.metrics["critic_penalty"]) for s in states])
    for one, other in zip(*histories, strict=True):
        assert one == pytest.approx(other, rel=2e-3)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_with_batch_norm_names_the_layer(name):
    """B4. Minibatch layers, which read rows together by design, are let through, as in the papers that have them."""
    with pytest.raises(
        UsageError, match=r"layer network\.body\.3 \(BatchNorm2d\) couples the rows of a batch"
    ):
        game(data=GREY, critic_norm="batch", penalty=name)
    with pytest.raises(UsageError, match=r"\(VectorBatchNorm\) couples"):
        game(critic_norm="batch", penalty=name)
    assert game(minibatch="deviation", penalty=name).critic_terms
    assert game(data=GREY, critic_norm="spectral", penalty=name).critic_terms


def test_a_lazy_penalty_is_the_dense_one_in_the_mean_over_its_steps():
    """Every fourth step, four times as much."""
    dense, lazy = game(penalty="r1"), game(penalty="r1", penalty_every=4)
    real, fake = dense.seen(rows()), dense.seen(rows(seed=1))
    values = []
    for step in range(8):
        lazy.clock.fill_(step)
        values.append(penalty(lazy, real, fake).item())
    assert [value > 0 for value in values] == [True, False, False, False] * 2
    assert sum(values) / 8 == pytest.approx(penalty(dense, real, fake).item(), rel=1e-6)


def test_what_a_critic_descends_is_its_loss_and_its_penalty():
    played = game("r3-gan", penalty_weight=2.0)
    with seeded(4):
        name, loss = next(played.step(batch()))
    with seeded(4):
        fake = played.seen(played.model.rsample(16).detach())
    real, score = played.seen(rows()), played.critics[0].score
    expected = softplus(score(fake) - score(real)).mean()
    expected = expected + slopes(score, real).square().mean() + slopes(score, fake).square().mean()
    assert name == "critic"
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_clipped_weights_stay_within_their_bound():
    made = recipe("w-gan", clip_weights=0.02, critic_lr=0.05)
    for state in train(made.objective, [batch()], optim=made.optim, steps=5):
        largest = max(p.abs().max().item() for p in state.objective.critics.parameters())
        assert largest == pytest.approx(0.02)
        assert largest <= 0.02 + 1e-9
    assert max(p.abs().max().item() for p in made.objective.model.parameters()) > 0.02


def test_wasserstein_losses_go_with_the_optimisers_of_their_papers():
    """Clipping needs an optimiser without an average of gradients; the penalty's paper has β = (0, 0.9)."""
    assert {each.betas for each in recipe("w-gan").optim.values()} == {(0.0, 0.99)}
    assert {each.betas for each in recipe("wgan-gp").optim.values()} == {(0.0, 0.9)}
