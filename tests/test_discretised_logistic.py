"""The mean of the discretised logistic: exact for few levels, in closed form with a known error for many."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from latentia.distributions import discretised_logistic
from latentia.distributions.discretised_logistic import DiscretisedLogistic


def distributions(levels: int, scales: tuple[float, ...]) -> DiscretisedLogistic:
    loc = torch.linspace(-0.3 * levels, 1.3 * levels, 41, dtype=torch.float64)
    grid = torch.cartesian_prod(loc, torch.tensor(scales, dtype=torch.float64))
    return DiscretisedLogistic(grid[:, 0], grid[:, 1], levels=levels)


def summed(distribution: DiscretisedLogistic) -> Tensor:
    """Return Σ_k k P(k), level by level."""
    return sum(
        k * distribution.log_prob(torch.full_like(distribution.loc, k)).exp()
        for k in range(distribution.levels)
    )  # pyright: ignore


@pytest.mark.parametrize("levels", [2, 3, 17, 256, 1024])
def test_the_mean_is_the_sum_over_the_levels(levels):
    distribution = distributions(levels, (0.05, 0.5, 3.0, 100.0))
    assert torch.allclose(distribution.mean, summed(distribution), rtol=1e-9, atol=1e-9)


def test_blocks_of_levels_make_no_difference(monkeypatch):
    distribution = distributions(256, (0.5, 3.0))
    whole = distribution.mean
    monkeypatch.setattr(discretised_logistic, "_ENTRIES", 7 * distribution.loc.numel())
    assert torch.allclose(distribution.mean, whole, rtol=1e-12)
    assert torch.autograd.gradcheck(
        lambda loc: DiscretisedLogistic(loc, torch.ones_like(loc), levels=5).mean,
        torch.tensor([0.3, 2.0], dtype=torch.float64, requires_grad=True),
    )


@pytest.mark.parametrize("scale", [0.01, 0.1, 0.5, 1.0, 5.0, 80.0, 3000.0])
def test_the_mean_of_many_levels_has_the_documented_error(scale):
    distribution = distributions(3000, (scale,))
    bound = min(0.5, 1 / (48 * scale))
    assert (distribution.mean - summed(distribution)).abs().max() < 1.001 * bound + 1e-9
    assert distribution.mean.min() >= 0
    assert distribution.mean.max() <= 2999


def test_a_million_levels_need_no_million_passes():
    loc = torch.tensor([-1e9, 0.0, 4e5, 999_999.0, 1e9])
    distribution = DiscretisedLogistic(loc, torch.full_like(loc, 10.0), levels=1_000_000)
    expected = [0, 10 * math.log(2), 4e5, 999_999 - 10 * math.log(2), 999_999]
    assert distribution.mean.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)
