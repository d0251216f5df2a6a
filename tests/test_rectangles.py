"""Rectangles under Gaussians and correlations of normal variables, against closed forms and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from torch import Tensor

from latentia.functional.gaussian.latent_correlation import bivariate_cdf, nearest_correlation
from latentia.functional.gaussian.rectangles import (
    log_interval,
    log_rectangle,
    rectangle_weights,
    within_interval,
)


def correlation(d: int, seed: int = 0) -> Tensor:
    a = torch.randn(d, d + 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    R = a @ a.mT
    scale = R.diagonal().rsqrt()
    return scale[:, None] * R * scale


@pytest.mark.parametrize(
    ("a", "b"), [(-1.0, 1.0), (20.0, 21.0), (-30.0, -29.5), (-math.inf, 0.3), (4.0, math.inf)]
)
def test_intervals_have_all_digits_in_both_tails(a, b):
    tail = stats.norm.logsf if a > 0 else stats.norm.logcdf
    ends = (tail(a), tail(b)) if a > 0 else (tail(b), tail(a))
    expected = logsumexp(ends, b=[1, -1])
    low, high = torch.tensor([[a], [b]], dtype=torch.float64)
    assert float(log_interval(low, high)) == pytest.approx(expected, rel=1e-9)
    inside = within_interval(low, high, torch.tensor([0.01, 0.5, 0.99]).double()[:, None])
    assert bool(((inside >= a) & (inside <= b)).all())


def test_quantiles_inside_an_interval_are_those_of_scipy():
    u = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
    low, high = torch.tensor(-2.0).double(), torch.tensor(0.5).double()
    assert within_interval(low, high, u).tolist() == pytest.approx(
        stats.truncnorm.ppf(u.numpy(), -2.0, 0.5).tolist()
    )


@pytest.mark.parametrize(("d", "tolerance"), [(1, 1e-12), (2, 1e-9), (3, 1e-7), (4, 1e-4)])
def test_orthants_have_their_closed_forms(d, tolerance):
    """P(z > 0) = 1/(d + 1) where all correlations are ½; 1/8 + (Σ asin ρ)/4π in three dimensions."""
    R = torch.full((d, d), 0.5, dtype=torch.float64).fill_diagonal_(1)
    zero, far = torch.zeros(1, d).double(), torch.full((1, d), torch.inf).double()
    assert float(log_rectangle(zero, far, torch.linalg.cholesky(R))) == pytest.approx(
        -math.log(d + 1), rel=tolerance
    )
    if d == 3:
        R = correlation(3)
        expected = 1 / 8 + float(R[[0, 0, 1], [1, 2, 2]].asin().sum()) / (4 * math.pi)
        assert float(log_rectangle(zero, far, torch.linalg.cholesky(R)).exp()) == pytest.approx(
            expected, rel=1e-6
        )


@pytest.mark.parametrize("d", [2, 3, 4])
def test_rectangles_are_scipy_s(d):
    R = correlation(d, seed=d)
    low = torch.randn(6, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    high = low + torch.rand(6, d, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2
    low[0], high[1] = -math.inf, math.inf
    found = log_rectangle(low, high, torch.linalg.cholesky(R)).exp()
    normal = stats.multivariate_normal(
        np.zeros(d), R.numpy(), abseps=1e-8, releps=1e-8, maxpts=2_000_000, seed=0
    )
    expected = [normal.cdf(b, lower_limit=a) for a, b in zip(low.numpy(), high.numpy(), strict=True)]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_weights_of_random_draws_have_the_probability_as_their_mean():
    """Five rectangles in six dimensions, each mean of 100,000 within 5 standard errors: false alarms 3e-6."""
    R, g = correlation(6), torch.Generator().manual_seed(0)
    low = torch.randn(5, 6, generator=g, dtype=torch.float64) - 1
    high = low + 1.5
    u = torch.rand(100_000, 5, 6, generator=g, dtype=torch.float64)
    log_w, z = rectangle_weights(low, high, torch.linalg.cholesky(R), u)
    assert bool(((z >= low - 1e-9) & (z <= high + 1e-9)).all())
    normal = stats.multivariate_normal(np.zeros(6), R.numpy(), maxpts=2_000_000, abseps=1e-7, seed=0)
    expected = torch.tensor(
        [normal.cdf(b, lower_limit=a) for a, b in zip(low.numpy(), high.numpy(), strict=True)]
    )
    w = log_w.exp()
    error = w.std(0) / math.sqrt(len(w)) + 1e-6
    assert ((w.mean(0) - expected).abs() / error).max() < 5


@pytest.mark.parametrize("rho", [-0.95, -0.3, 0.0, 0.6, 0.98])
def test_bivariate_distribution_function_is_scipy_s(rho):
    h, k = torch.tensor([-37.0, -1.2, 0.0, 0.7]).double(), torch.tensor([-0.5, 0.7, 2.5, 37.0]).double()
    normal = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]])
    expected = [[normal.cdf([min(a, 30), min(b, 30)]) for b in k.tolist()] for a in h.tolist()]
    assert bivariate_cdf(h, k, rho).numpy() == pytest.approx(np.array(expected), abs=1e-7)


def test_the_nearest_correlation_is_one_and_valid_ones_stay():
    R = correlation(4)
    assert torch.equal(nearest_correlation(R), R)
    wrong = torch.tensor([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]).double()
    mended = nearest_correlation(wrong)
    assert float(torch.linalg.eigvalsh(mended)[0]) > 0
    assert mended.diagonal().tolist() == [1, 1, 1]
    assert torch.equal(mended, mended.mT)
    assert float((mended - wrong).abs().max()) < 0.5
