"""Gaussians fitted by forward and by reverse KL, against the moments of a mixture and SciPy's quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate, stats
from tests.plots import lines
from torch.distributions import Normal

from latentia.errors import DataError, UsageError
from latentia.theory.figures.divergences import forward_and_reverse
from latentia.theory.kl_fits import forward_kl_fit, reverse_kl_fit

GRID = torch.linspace(-14, 14, 4001)
WEIGHTS = torch.tensor([0.3, 0.7]).double()
MEANS = torch.tensor([-3.0, 3.0]).double()
SCALES = torch.tensor([0.6, 1.0]).double()


def two_modes(x: torch.Tensor) -> torch.Tensor:
    return (WEIGHTS.log() + Normal(MEANS, SCALES).log_prob(x[..., None])).logsumexp(-1) + 5  # unnormalised


def kl(p, q) -> float:
    """Return the divergence of SciPy densities, by its quadrature."""
    return integrate.quad(
        lambda x: p(x) * math.log(p(x) / q(x)) if p(x) > 1e-300 else 0.0, -14, 14, limit=500
    )[0]


def density(x: float) -> float:
    return sum(w * stats.norm.pdf(x, m, s) for w, m, s in zip(WEIGHTS, MEANS, SCALES, strict=True)).item()


def normal(fit) -> stats.rv_continuous:
    return lambda x: stats.norm.pdf(x, fit.mean, fit.standard_deviation)


def test_the_forward_fit_has_the_mixture_s_moments():
    fit = forward_kl_fit(two_modes, GRID)
    mean = float(WEIGHTS @ MEANS)
    assert fit.mean == pytest.approx(mean, abs=1e-6)
    variance = float(WEIGHTS @ (SCALES**2 + MEANS**2)) - mean**2
    assert fit.standard_deviation**2 == pytest.approx(variance, rel=1e-6)
    assert fit.divergence == pytest.approx(kl(density, normal(fit)), abs=1e-6)


def test_the_reverse_fit_covers_one_mode_the_heavier():
    fit = reverse_kl_fit(two_modes, GRID)
    assert fit.mean == pytest.approx(3, abs=0.02)
    assert fit.standard_deviation == pytest.approx(1, abs=0.02)
    assert fit.divergence == pytest.approx(-math.log(0.7), abs=0.01)  # of the mode that it covers
    assert fit.divergence == pytest.approx(kl(normal(fit), density), abs=1e-4)


@pytest.mark.parametrize("fit", [forward_kl_fit, reverse_kl_fit])
def test_a_gaussian_is_its_own_fit(fit):
    found = fit(Normal(torch.tensor(1.5).double(), 0.7).log_prob, GRID)
    assert (found.mean, found.standard_deviation) == pytest.approx((1.5, 0.7), abs=1e-5)
    assert found.divergence == pytest.approx(0, abs=1e-8)


def test_where_the_modes_touch_both_directions_cover_both():
    def near(x: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp(-((x - 0.7) ** 2) / 2, -((x + 0.7) ** 2) / 2)

    forward, reverse = forward_kl_fit(near, GRID), reverse_kl_fit(near, GRID)
    assert reverse.mean == pytest.approx(forward.mean, abs=1e-3)
    assert forward.standard_deviation**2 == pytest.approx(1 + 0.7**2, rel=1e-6)


def test_fits_refuse_what_has_none():
    with pytest.raises(UsageError, match="increasing"):
        forward_kl_fit(two_modes, GRID.flip(0))
    with pytest.raises(DataError, match="above 0 somewhere"):
        forward_kl_fit(lambda x: torch.full_like(x, -torch.inf), GRID)
    with pytest.raises(DataError, match="where a Gaussian reaches"):
        reverse_kl_fit(lambda x: torch.where(x.abs() < 1, 0 * x, -torch.inf), GRID)


def test_the_figure_draws_the_density_and_both_fits():
    drawn = list(lines(forward_and_reverse(two_modes, GRID[::4]).axes[0]).values())
    x = drawn[0][:, 0]
    assert drawn[0][:, 1] == pytest.approx([density(each) for each in x], abs=1e-5)
    fits = forward_kl_fit(two_modes, GRID), reverse_kl_fit(two_modes, GRID)
    for curve, fit in zip(drawn[1:], fits, strict=True):
        assert curve[:, 1] == pytest.approx(stats.norm.pdf(x, fit.mean, fit.standard_deviation), abs=1e-4)
