"""Rejection sampling by a density ratio: exact in the limit, bounded in its draws, honest where it fails."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Normal

from latentia.errors import DataError, UsageError
from latentia.functional.gan.rejection import Rejection, rejection_sample

P, Q = Normal(0.0, 1.0), Normal(0.7, 1.6)  # of data and of samples: p/q is bounded


def exact(x: Tensor) -> Tensor:
    return P.log_prob(x) - Q.log_prob(x)


def run(n: int = 3000, seed: int = 0, log_ratio=exact, **options) -> Rejection:
    source = torch.Generator().manual_seed(seed)

    def draw(m: int) -> Tensor:
        return 0.7 + 1.6 * torch.randn(m, generator=source)

    return rejection_sample(
        draw, log_ratio, n, **{"generator": torch.Generator().manual_seed(seed + 1)} | options
    )


def ks(rows: Tensor, law: Normal) -> float:
    """Return the p-value of a Kolmogorov-Smirnov test against a distribution."""
    return stats.kstest(rows.double().numpy(), stats.norm(float(law.loc), float(law.scale)).cdf).pvalue


def greatest() -> float:
    """Return the greatest log p/q, on a fine grid."""
    return float(exact(torch.linspace(-8, 8, 100_001, dtype=torch.float64)).max())


@pytest.mark.parametrize("seed", range(4))
def test_accepted_rows_have_the_data_s_distribution(seed):
    found = run(seed=seed)
    assert found.rows.shape == (3000,)
    assert ks(found.rows, P) > 1e-5  # false-alarm rate 4e-5 over the seeds
    assert ks(found.rows, Q) < 1e-50  # the test has power
    assert found.log_bound == pytest.approx(greatest(), abs=1e-4)
    assert found.gamma == 0.0
    # The acceptance rate is 1/M, within 4.5 binomial errors.
    share = 1 / math.exp(greatest())
    error = math.sqrt(share * (1 - share) / found.draws)
    assert abs(found.accepted / found.draws - share) < 4.5 * error


def test_a_maximum_that_is_found_late_counts_for_earlier_rows_too(monkeypatch):
    """With one draw of burn-in, rows accepted by a maximum that only runs are far too wide."""
    monkeypatch.setattr("latentia.functional.gan.rejection._BLOCK", 1)
    rows = torch.cat([run(10, seed=seed, burn_in=1).rows for seed in range(300)])
    spread = float(rows.square().mean())
    assert abs(spread - 1) < 0.12  # 4.5 errors of √(2/3000); what is left of the bias is below half of it


def test_a_constant_in_the_ratio_changes_nothing():
    shifted = run(log_ratio=lambda x: exact(x) + 123.0)
    torch.testing.assert_close(shifted.rows, run().rows)
    assert shifted.log_bound == pytest.approx(run().log_bound + 123, abs=1e-4)


def test_rows_are_kept_in_order_and_the_seed_decides():
    assert torch.equal(run(seed=3).rows, run(seed=3).rows)
    first, more = run(500), run(1500)
    assert torch.equal(more.rows[:500], first.rows)


def test_gamma_is_the_paper_s_quantile_and_acceptance_its_sigmoid():
    quantile, burn_in = 0.8, 4000
    found = run(1000, quantile=quantile, burn_in=burn_in)
    source = torch.Generator().manual_seed(0)
    ratio = exact(0.7 + 1.6 * torch.randn(burn_in, generator=source)).double()
    below = ratio - ratio.max()
    F = (below - torch.log1p(-torch.exp(below - 1e-14)))[below < 0]  # eq. 8 without its γ
    expected = float(F.quantile(quantile))
    assert found.gamma == pytest.approx(expected, abs=0.05)
    # In the mean over samples, σ(F − γ) is the acceptance rate.
    share = float(torch.sigmoid(F - found.gamma).mean())
    error = math.sqrt(share * (1 - share) / found.draws)
    assert abs(found.accepted / found.draws - share) < 6 * error  # F is that of the burn-in


def test_a_lower_quantile_keeps_more_of_rare_rows():
    def steep(x: Tensor) -> Tensor:
        return -20 * (x - 4).abs()  # a critic that is confident of nearly every row

    with pytest.raises(UsageError, match=r"draws were accepted, of 50 requested.*quantile=0.8"):
        run(50, log_ratio=steep, burn_in=1000, max_draws=3000)
    accepted = [
        found.accepted / found.draws
        for found in (run(50, log_ratio=steep, burn_in=1000, quantile=each) for each in (0.9, 0.5))
    ]
    assert accepted[0] < accepted[1]
    assert accepted[0] == pytest.approx(0.1, abs=0.03)  # steep: rows are above or below γ, and hardly between


@pytest.mark.parametrize("quantile", [None, 0.5])
def test_equal_distributions_keep_all_rows(quantile):
    found = run(100, log_ratio=torch.zeros_like, burn_in=100, quantile=quantile)
    assert (found.accepted, found.draws) == (100, 100)


def test_the_number_of_draws_is_bounded():
    drawn = []

    def draw(m: int) -> Tensor:
        drawn.append(m)
        return torch.zeros(m)

    peak = iter([0.0, *[-100.0] * 10])  # after the first, all rows are e^100 times less likely

    def ratio(x: Tensor) -> Tensor:
        return torch.full_like(x, next(peak))

    with pytest.raises(UsageError, match=r"of 2500 draws were accepted, of 40 requested: .* e\^0 times"):
        rejection_sample(draw, ratio, 40, burn_in=10, max_draws=2500)
    assert drawn == [10, 1000, 1000, 490]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n >= 1"),
        ({"burn_in": 0}, "burn_in >= 1"),
        ({"burn_in": 100, "max_draws": 50}, "max_draws >= burn_in"),
        ({"quantile": 1.0}, "quantile must be between 0 and 1"),
        ({"log_ratio": lambda x: x[:, None]}, r"one number per row, \(10000,\); got \(10000, 1\)"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        run(**options)


def test_a_ratio_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="log_ratio holds NaN or infinite values in 10000"):
        run(log_ratio=lambda x: x * math.nan)
