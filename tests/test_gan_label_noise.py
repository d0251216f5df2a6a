"""Label smoothing and label flips, for every loss pair."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from latentia.errors import UsageError
from latentia.functional.gan.label_noise import flipped, smoothed
from latentia.functional.gan.loss_pairs import LOSS_PAIRS, loss_pair

SHARE = 0.1
WITH_LABELS = [
    *(name for name in LOSS_PAIRS if name != "wasserstein"),
    "kl",
    "squared-hellinger",
    "alpha(0.5)",
]


def scores(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_of_the_cross_entropy_it_is_the_target_of_real_rows():
    real, fake = scores(5), scores(5, 1)
    on_real, on_fake = smoothed(loss_pair("non-saturating"), SHARE).critic(real, fake)
    target = torch.full_like(real, 1 - SHARE)
    assert torch.allclose(on_real, binary_cross_entropy_with_logits(real, target, reduction="none"))
    zero = torch.zeros_like(fake)
    assert torch.allclose(on_fake, binary_cross_entropy_with_logits(fake, zero, reduction="none"))


def test_of_least_squares_it_has_the_slope_of_the_target():
    real = scores(5).requires_grad_()
    on_real, _ = smoothed(loss_pair("least-squares"), SHARE).critic(real, scores(5, 1))
    (slope,) = torch.autograd.grad(on_real.sum(), real)
    assert torch.allclose(slope, real - (1 - SHARE))


@pytest.mark.parametrize("name", WITH_LABELS)
def test_real_rows_cost_a_mean_of_both_kinds_and_fake_rows_what_they_did(name):
    pair, real, fake = loss_pair(name), scores(6), scores(6, 1)
    if name in ("squared-hellinger", "alpha(0.5)"):
        real, fake = real / 10, fake / 10
    on_real, on_fake = smoothed(pair, SHARE).critic(real, fake)
    as_real, as_fake = pair.critic(real, fake)[0], pair.critic(fake, real)[1]
    assert torch.allclose(on_real, (1 - SHARE) * as_real + SHARE * as_fake)
    assert torch.equal(on_fake, pair.critic(real, fake)[1])
    assert smoothed(pair, SHARE).generator is pair.generator


def test_wasserstein_losses_have_no_labels_to_smooth():
    """Of (1 − ε) s(x) against −s(G(z)) a constant added to s would lower the loss without end."""
    with pytest.raises(UsageError, match="wasserstein has none: leave label_smoothing out"):
        smoothed(loss_pair("wasserstein"), SHARE)


def test_flips_change_about_that_share_of_rows_of_both_kinds():
    """10,000 rows a kind: the share is off by 4 standard deviations, 0.012, once in 15,000 draws."""
    pair, n = loss_pair("non-saturating"), 10_000
    real, fake = scores(n), scores(n, 1)
    told = flipped(pair, SHARE, torch.Generator().manual_seed(0))
    on_real, on_fake = told.critic(real, fake)
    true, wrong = pair.critic(real, fake), pair.critic(fake, real)
    for found, right, other in ((on_real, true[0], wrong[1]), (on_fake, true[1], wrong[0])):
        changed = found != right
        assert torch.equal(found, torch.where(changed, other, right))
        assert abs(changed.double().mean().item() - SHARE) < 0.012


def test_flips_are_drawn_from_the_generator_and_anew():
    pair, real = loss_pair("hinge"), scores(50)
    first, again = (flipped(pair, 0.4, torch.Generator().manual_seed(1)) for _ in range(2))
    on_real = first.critic(real, real)[0]
    assert torch.equal(on_real, again.critic(real, real)[0])
    assert not torch.equal(on_real, first.critic(real, real)[0])


@pytest.mark.parametrize("name", ["non-saturating", "least-squares", "kl", "pearson", "jensen-shannon"])
@pytest.mark.parametrize("changed", [smoothed, flipped])
def test_the_best_critic_is_where_the_expected_loss_is_least(name, changed):
    """At a point of densities p and q, by a grid over scores around it; hinge has a flat floor there."""
    pair, p, q = loss_pair(name), 0.7, 0.2
    told = changed(pair, SHARE)
    best = told.optimal_critic(torch.tensor(p / q, dtype=torch.float64).log())
    grid = best + torch.linspace(-0.05, 0.05, 101, dtype=torch.float64)
    as_real, as_fake = pair.critic(grid, grid)
    backwards = SHARE if changed is flipped else 0.0
    loss = ((1 - SHARE) * p + backwards * q) * as_real + ((1 - backwards) * q + SHARE * p) * as_fake
    assert loss.argmin().item() == 50
    assert told.value_at_optimum is None
    assert told.even != pair.even or changed is flipped  # as likely called real as fake where p = q


def test_of_the_cross_entropy_the_best_critic_is_the_known_one():
    """D* = (1 − ε) p/(p + q)."""
    best = smoothed(loss_pair("minimax"), SHARE).optimal_critic(torch.tensor(0.8, dtype=torch.float64).log())
    assert best.sigmoid().item() == pytest.approx((1 - SHARE) * 0.8 / 1.8, rel=1e-12)


def test_relativistic_pairs_keep_no_closed_optimum():
    for changed in (smoothed, flipped):
        assert changed(loss_pair("relativistic-paired"), SHARE).optimal_critic is None


@pytest.mark.parametrize("changed", [smoothed, flipped])
def test_no_share_is_the_pair_itself_and_wrong_ones_are_refused(changed):
    pair = loss_pair("minimax")
    assert changed(pair, 0.0) is pair
    assert changed(pair, 0.2).true_labels is pair
    assert changed(changed(pair, 0.2), 0.1).true_labels is pair
    for share in (-0.1, 0.5, 1.0, float("nan")):
        with pytest.raises(UsageError, match=r"must be a rate from 0 to below 0\.5; got"):
            changed(pair, share)
