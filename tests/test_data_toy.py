"""Toy distributions: their densities integrate to one and are those of their samples."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import make_moons

from latentia.data.rows import Rows
from latentia.data.sets.toy import grid_centres, ring_centres
from latentia.errors import UsageError
from latentia.registry import datasets

TOYS = ("moons", "ring", "grid", "swiss-roll", "pinwheel", "checkerboard")
# Wide enough for a lattice to resolve; the lattice's half width and its number of cells a side.
KNOWN = [
    ("ring", {"sd": 0.1, "radius": 1.2}, 2.5, 500),
    ("ring", {"sd": 0.05, "modes": 5}, 2.0, 500),
    ("grid", {"sd": 0.1, "spacing": 0.7}, 2.5, 500),
    ("grid", {"sd": 0.2, "side": 2, "spacing": 2.0}, 3.0, 300),
    ("pinwheel", {}, 4.0, 800),
    ("pinwheel", {"arms": 3, "rate": 0.4, "tangential_sd": 0.2}, 4.0, 800),
    ("checkerboard", {}, 5.0, 500),
    ("checkerboard", {"side": 0.5}, 1.25, 500),
]


def lattice(half: float, cells: int) -> tuple[torch.Tensor, float]:
    """Return the midpoints of a square's cells, and the area of a cell."""
    axis = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells * 2 * half - half
    return torch.cartesian_prod(axis, axis), (2 * half / cells) ** 2


def density(rows: Rows, x: torch.Tensor) -> torch.Tensor:
    assert rows.log_density is not None
    return rows.log_density(x).exp()


@pytest.mark.parametrize(("name", "options", "half", "cells"), KNOWN)
def test_the_density_integrates_to_one(name, options, half, cells):
    points, area = lattice(half, cells)
    mass = density(datasets[name](n=2, **options), points).sum() * area
    assert abs(float(mass) - 1) < 2e-4  # tails of the pinwheel beyond the square hold 1e-4 at most


@pytest.mark.parametrize(("name", "options", "half", "cells"), KNOWN)
def test_samples_have_the_density(name, options, half, cells):
    rows = datasets[name](n=50_000, seed=1, **options)
    points, area = lattice(half, cells)
    mass = (density(rows, points) * area).reshape(cells, cells).numpy()
    expected = 50_000 * mass.reshape(50, cells // 50, 50, cells // 50).sum((1, 3)).ravel()
    edges = np.linspace(-half, half, 51)
    counts = np.histogram2d(*rows.x.double().numpy().T, bins=(edges, edges))[0].ravel()
    often = expected >= 10
    observed = np.append(counts[often], 50_000 - counts[often].sum())
    wanted = np.append(expected[often], 50_000 - expected[often].sum())
    if wanted[-1] < 10:
        assert observed[-1] < 40  # Poisson with mean below 10: false-alarm rate below 1e-11
        observed, wanted = observed[:-1], wanted[:-1] * observed[:-1].sum() / wanted[:-1].sum()
    assert stats.chisquare(observed, wanted).pvalue > 1e-6  # the false-alarm rate


def test_the_ring_is_the_mixture_that_torch_builds():
    rows = datasets["ring"](n=100)
    angle = 2 * math.pi * torch.arange(8) / 8
    parts = torch.distributions.Independent(
        torch.distributions.Normal(torch.stack([angle.cos(), angle.sin()], 1), 0.01), 1
    )
    distribution = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(8)), parts
    )
    torch.testing.assert_close(rows.log_density(rows.x), distribution.log_prob(rows.x), rtol=1e-4, atol=1e-3)


def test_the_ring_has_eight_different_modes():
    x = datasets["ring"]().x.double()
    nearest = torch.cdist(x, ring_centres()).min(1)
    counts = torch.bincount(nearest.indices, minlength=8)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-6  # the false-alarm rate
    assert nearest.values.max() < 0.07  # seven standard deviations: rate 1e4 · exp(-7²/2) = 2e-7
    assert torch.pdist(ring_centres()).min() > 0.7


def test_the_grid_has_twenty_five_modes_around_the_origin():
    assert grid_centres().shape == (25, 2)
    assert grid_centres().mean(0).tolist() == [0, 0]
    assert grid_centres()[:, 0].unique().tolist() == [-4, -2, 0, 2, 4]


def test_moons_without_noise_lie_on_scikit_learn_s():
    x = datasets["moons"](n=1000, noise=0.0).x.double()
    reference = torch.from_numpy(make_moons(20_000, noise=0.0)[0])
    assert torch.cdist(x, reference).min(1).values.max() < 2e-4  # half of the reference's spacing
    assert torch.cdist(reference, x).min(1).values.max() < 0.2  # both moons, to their ends


def test_the_swiss_roll_without_noise_is_its_spiral():
    x = 7.5 * datasets["swiss-roll"](n=1000, noise=0.0).x.double()
    t = x.norm(dim=1)
    assert t.min() >= 1.5 * math.pi - 1e-4
    assert t.max() <= 4.5 * math.pi + 1e-4
    torch.testing.assert_close(x, torch.stack([t * t.cos(), t * t.sin()], 1), rtol=0, atol=1e-4)
    uniform = (t.numpy() / math.pi - 1.5) / 3
    assert stats.kstest(uniform, "uniform").pvalue > 1e-6  # the false-alarm rate


def test_checkerboard_samples_are_inside_and_between_is_outside():
    rows = datasets["checkerboard"](n=100_000)
    assert rows.log_density is not None
    assert torch.isfinite(rows.log_density(rows.x)).all()
    light = rows.x + torch.tensor([2.0, 0.0])
    assert torch.isinf(rows.log_density(light)).all()


@pytest.mark.parametrize("name", TOYS)
def test_a_part_has_ten_thousand_points_by_default(name):
    assert len(datasets[name]()) == 10_000
    assert datasets[name]().x.dtype == torch.float32


@pytest.mark.parametrize("name", TOYS)
def test_bad_arguments_are_refused(name):
    with pytest.raises(UsageError, match="at least two points"):
        datasets[name](n=1)
