"""What a game tells of its own health: against naive loops, torch's sigmoid, and quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from latentia.functional.gan.label_noise import smoothed
from latentia.functional.gan.loss_pairs import LOSS_PAIRS, loss_pair
from latentia.functional.gan.losses import cross_entropy_critic, twice_jsd_terms
from latentia.objectives.gan.diagnostics import (
    EVERY,
    MOST,
    diagnosis,
    is_due,
    logits_of,
    ranges,
    sample_diversity,
    saturated,
)


def rows(n: int, d: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


# --- rows -------------------------------------------------------------------------------------------------------


def naive_distance(x: Tensor) -> float:
    pairs = [float((x[i] - x[j]).norm()) for i in range(len(x)) for j in range(i)]
    return sum(pairs) / len(pairs)


def test_diversity_is_a_ratio_of_mean_distances_between_pairs():
    real, fake = rows(7), rows(5, seed=1) * 0.3 + 4
    expected = naive_distance(fake) / naive_distance(real)
    assert sample_diversity(real, fake).item() == pytest.approx(expected, rel=1e-5)
    assert sample_diversity(real, real + 1).item() == pytest.approx(1, rel=1e-5)
    assert sample_diversity(real, fake[:1].expand(5, 3)) == 0


def test_diversity_is_never_nan():
    """Rows without a spread have no diversity to compare with: 1, which no symptom minds."""
    still = torch.ones(4, 3)
    assert sample_diversity(still, rows(4)) == 1
    assert sample_diversity(rows(1), rows(1)) == 1


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        ((0, 1), (-1, 1), (0.45, 1.0)),  # tanh beside [0, 1]: out is what is below −0.1
        ((-1, 1), (0, 1), (0.0, 0.5)),  # sigmoid beside [−1, 1]
        ((0, 1), (0.02, 0.97), (0.0, 0.95)),
        ((0, 1), (2, 3), (1.0, 0.0)),
    ],
)
def test_ranges_tell_entries_outside_and_what_is_spanned(real, fake, expected):
    real, fake = (torch.linspace(*ends, 2000).view(-1, 2) for ends in (real, fake))
    assert [value.item() for value in ranges(real, fake)] == pytest.approx(expected, abs=2e-3)


def test_rows_without_a_range_are_spanned():
    outside, covered = ranges(torch.ones(3, 2), torch.ones(3, 2))
    assert (outside.item(), covered.item()) == (0, 1)


# --- scores -----------------------------------------------------------------------------------------------------


def test_a_saturated_score_is_within_a_hundredth_of_0_or_1():
    logits = torch.linspace(-8, 8, 401)
    probability = torch.sigmoid(logits.double())
    expected = torch.minimum(probability, 1 - probability) < 0.01
    assert saturated(logits).item() == pytest.approx(expected.double().mean().item())


LOGITS = {"minimax", "non-saturating", "relativistic-average", "relativistic-paired"}


@pytest.mark.parametrize("name", LOSS_PAIRS)
def test_logits_are_known_of_each_loss_pair(name):
    real, fake = rows(4)[:, 0], rows(6, seed=1)[:, 0]
    found = logits_of(real, fake, loss_pair(name))
    assert (found is not None) == (name in LOGITS)
    if name.startswith("relativistic"):
        assert torch.equal(found[0], real - fake.mean())
        assert torch.equal(found[1], fake - real.mean())
    elif found is not None:
        assert found[0] is real


@pytest.mark.parametrize(
    ("name", "reads"),
    [("gan", True), ("jensen-shannon", True), ("kl", False), ("pearson", False), ("reverse-kl", False)],
)
def test_logits_are_known_of_f_divergences(name, reads):
    assert (logits_of(rows(4)[:, 0], rows(4)[:, 0], loss_pair(name)) is not None) == reads


def test_smoothed_labels_leave_logits_what_they_are():
    pair = smoothed(loss_pair("non-saturating"), 0.1)
    assert logits_of(rows(4)[:, 0], rows(4)[:, 0], pair) is not None


# --- 2 log 2 − L_D ------------------------------------------------------------------------------------------------

GRID = torch.linspace(-15, 15, 30001, dtype=torch.float64)


def log_normal(mean: float, deviation: float) -> Tensor:
    return torch.distributions.Normal(mean, deviation).log_prob(GRID)


def integral(values: Tensor) -> float:
    return torch.trapezoid(values, GRID).item()


def bound(scores: Tensor, log_p: Tensor, log_q: Tensor) -> float:
    real, fake = twice_jsd_terms(scores, scores)
    return integral(log_p.exp() * real) + integral(log_q.exp() * fake)


def twice_jsd(log_p: Tensor, log_q: Tensor) -> float:
    """KL(p ‖ m) + KL(q ‖ m) with m = (p + q)/2, by quadrature."""
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    return integral(log_p.exp() * (log_p - log_m)) + integral(log_q.exp() * (log_q - log_m))


CRITICS = {
    "constant": lambda x: 0 * x,
    "half as steep": lambda x: 0.5 * (0.5 - x),
    "too steep": lambda x: 4 * (0.5 - x),
    "the wrong way": lambda x: x - 0.5,
    "wild": lambda x: 3 * torch.sin(3 * x),
}


@pytest.mark.parametrize(("mean", "deviation"), [(1.0, 1.0), (0.3, 2.0), (5.0, 0.5)])
def test_the_estimate_is_below_twice_jsd_and_reaches_it_at_the_best_critic(mean, deviation):
    """Two Gaussians, N(0, 1) and another, by quadrature."""
    log_p, log_q = log_normal(0, 1), log_normal(mean, deviation)
    value = twice_jsd(log_p, log_q)
    assert bound(log_p - log_q, log_p, log_q) == pytest.approx(value, abs=1e-9)
    for name, critic in CRITICS.items():
        assert bound(critic(GRID), log_p, log_q) < value - 1e-4, name
    assert bound(CRITICS["constant"](GRID), log_p, log_q) == pytest.approx(0, abs=1e-9)


def test_the_terms_are_log_2_less_the_cross_entropy():
    scores = rows(9, 2)
    terms, losses = twice_jsd_terms(*scores.T), cross_entropy_critic(*scores.T)
    for term, loss in zip(terms, losses, strict=True):
        torch.testing.assert_close(term, math.log(2) - loss)


# --- together ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["minimax", "relativistic-average", "wasserstein"])
def test_what_is_logged_depends_on_what_scores_mean(name):
    told = diagnosis(rows(8)[:, 0], rows(8, seed=1)[:, 0], rows(8), rows(8, seed=2), loss_pair(name))
    expected = {"sample_diversity", "range_outside", "range_covered"}
    expected |= {"critic_saturated"} if name != "wasserstein" else set()
    expected |= {"twice_jsd_bound"} if name == "minimax" else set()
    assert told.keys() == expected
    assert all(value.shape == () and not value.requires_grad for value in told.values())


def test_the_numbers_are_those_of_the_functions_on_the_first_rows():
    real, fake = rows(100, 8).view(100, 2, 2, 2), rows(80, 8, seed=1).view(80, 2, 2, 2) * 2
    scores = rows(100, seed=3)[:, 0] * 5, rows(80, seed=4)[:, 0].requires_grad_()
    told = diagnosis(*scores, real, fake, loss_pair("minimax"))
    first = real[:MOST].flatten(1), fake[:MOST].flatten(1)
    assert told["sample_diversity"] == sample_diversity(*first)
    assert (told["range_outside"], told["range_covered"]) == ranges(*first)
    assert told["critic_saturated"] == saturated(torch.cat(scores))
    losses = cross_entropy_critic(*scores)
    expected = 2 * math.log(2) - sum(loss.mean().item() for loss in losses)
    assert told["twice_jsd_bound"].item() == pytest.approx(expected, rel=1e-5)


def test_half_precision_is_read_as_single():
    told = diagnosis(
        *(x.bfloat16() for x in (rows(8)[:, 0], rows(8)[:, 1], rows(8), rows(8))), loss_pair("minimax")
    )
    assert all(value.dtype == torch.float32 for value in told.values())
    assert told["sample_diversity"] == 1


def test_every_tenth_step_is_due():
    due = [step for step in range(31) if is_due(step)]
    assert due == [0, 10, 20, 30]
    assert EVERY == 10
