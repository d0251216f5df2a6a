"""Distributions in the plane, seeded, with their true density where it has a closed form."""

import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from latentia.data.rows import Modes, Rows
from latentia.data.spec import DataSpec, Support
from latentia.data.splits import FRACTIONS, check_split, joined
from latentia.errors import UsageError
from latentia.registry import datasets

_PLANE = DataSpec((2,), Support("real"), columns=("x", "y"))

Sampler = Callable[[np.random.Generator, int], np.ndarray]
LogDensity = Callable[[Tensor], Tensor]


@datasets.register("moons")
def moons(split: str = "train", seed: int = 0, *, n: int = 10_000, noise: float = 0.1) -> Rows:
    """Two interleaved half circles with Gaussian noise: 10,000 points in the plane for each split.

    Args:
        split: train, validation, test (independent draws of n points) or all (the three together).
        seed: of the draws.
        n: points in each.
        noise: standard deviation around the half circles of radius 1.
    """

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        angle, lower = rng.uniform(0, math.pi, n), rng.random(n) < 0.5
        upper = np.stack([np.cos(angle), np.sin(angle)], 1)
        arcs = np.where(lower[:, None], np.array([1.0, 0.5]) - upper, upper)
        return arcs + rng.normal(0, noise, (n, 2))

    return _draw("moons", split, seed, n, sample)


@datasets.register("ring")
def ring(
    split: str = "train",
    seed: int = 0,
    *,
    n: int = 10_000,
    modes: int = 8,
    radius: float = 1.0,
    sd: float = 0.01,
) -> Rows:
    """Eight narrow Gaussians on a circle: 10,000 points in the plane for each split, density known.

    p(x) = (1/M) Σᵢ N(x; μᵢ, sd² I) with μᵢ at the angle 2πi/M, i = 0..M-1: M different modes.

    Args:
        split: train, validation, test (independent draws of n points) or all (the three together).
        seed: of the draws.
        n: points in each.
        modes: M.
        radius: of the circle.
        sd: standard deviation of each Gaussian.
    """
    return _bumps("ring", split, seed, n, Modes(ring_centres(modes, radius), sd))


@datasets.register("grid")
def grid(
    split: str = "train",
    seed: int = 0,
    *,
    n: int = 10_000,
    side: int = 5,
    spacing: float = 2.0,
    sd: float = 0.05,
) -> Rows:
    """Twenty-five narrow Gaussians on a lattice: 10,000 points in the plane for each split, density known.

    p(x) = (1/M) Σᵢ N(x; μᵢ, sd² I) with M = side² centres around the origin.

    Args:
        split: train, validation, test (independent draws of n points) or all (the three together).
        seed: of the draws.
        n: points in each.
        side: centres in a row.
        spacing: distance between neighbours.
        sd: standard deviation of each Gaussian.
    """
    return _bumps("grid", split, seed, n, Modes(grid_centres(side, spacing), sd))


@datasets.register("swiss-roll")
def swiss_roll(split: str = "train", seed: int = 0, *, n: int = 10_000, noise: float = 0.25) -> Rows:
    """A spiral with Gaussian noise: 10,000 points in the plane for each split.

    (t cos t, t sin t)/7.5 with t uniform in [1.5π, 4.5π], the section of the three-dimensional swiss roll.

    Args:
        split: train, validation, test (independent draws of n points) or all (the three together).
        seed: of the draws.
        n: points in each.
        noise: standard deviation around the spiral, before it is divided by 7.5.
    """

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        t = rng.uniform(1.5 * math.pi, 4.5 * math.pi, n)
        spiral = np.stack([t * np.cos(t), t * np.sin(t)], 1)
        return (spiral + rng.normal(0, noise, (n, 2))) / 7.5

    return _draw("swiss-roll", split, seed, n, sample)


@datasets.register("pinwheel")
def pinwheel(
    split: str = "train",
    seed: int = 0,
    *,
    n: int = 10_000,
    arms: int = 5,
    radial_sd: float = 0.3,
    tangential_sd: float = 0.1,
    rate: float = 0.25,
) -> Rows:
    """Five curved arms: 10,000 points in the plane for each split, density known.

    A point y ~ N((1, 0), diag(radial_sd², tangential_sd²)) is turned by 2πk/arms + rate·exp(‖y‖), k uniform.
    The turn keeps ‖y‖ and moves each circle rigidly, so it keeps area: the density is the mixture over k of
    the Gaussian at the point turned back. After Johnson and others (2016), "Composing graphical models with
    neural networks", whose angle depends on the first coordinate instead.

    Args:
        split: train, validation, test (independent draws of n points) or all (the three together).
        seed: of the draws.
        n: points in each.
        arms: number of arms.
        radial_sd: standard deviation along an arm.
        tangential_sd: standard deviation across an arm.
        rate: how much the arms curve.
    """
    sds = (radial_sd, tangential_sd)

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        y = np.array([1.0, 0.0]) + rng.normal(0, sds, (n, 2))
        angle = 2 * math.pi * rng.integers(arms, size=n) / arms + rate * np.exp(np.hypot(*y.T))
        cos, sin = np.cos(angle), np.sin(angle)
        return np.stack([cos * y[:, 0] - sin * y[:, 1], sin * y[:, 0] + cos * y[:, 1]], 1)

    def log_density(x: Tensor) -> Tensor:
        radius, direction = x.norm(dim=1), torch.atan2(x[:, 1], x[:, 0])
        turns = 2 * math.pi * torch.arange(arms, dtype=x.dtype, device=x.device) / arms
        angle = (direction - rate * radius.exp())[:, None] - turns
        back = torch.stack([radius[:, None] * angle.cos() - 1, radius[:, None] * angle.sin()], dim=2)
        return _mixture_log_density(back, x.new_tensor(sds))

    return _draw("pinwheel", split, seed, n, sample, log_density)


@datasets.register("checkerboard")
def checkerboard(split: str = "train", seed: int = 0, *, n: int = 10_000, side: float = 2.0) -> Rows:
    """The dark squares of a board of four by four: 10,000 points in the plane for each split, density known.

    Uniform on the 8 squares of [-2 side, 2 side]² whose column and row numbers have an even sum.

    Args:
        split: train, validation, test (independent draws of n points) or all (the three together).
        seed: of the draws.
        n: points in each.
        side: of a square.
    """

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        column, half = rng.integers(4, size=n), rng.integers(2, size=n)
        corner = np.stack([column, 2 * half + column % 2], 1) - 2
        # Midpoints of a fine lattice: rounding to float32 cannot move a point into the next square.
        return side * (corner + (rng.integers(1 << 20, size=(n, 2)) + 0.5) / (1 << 20))

    def log_density(x: Tensor) -> Tensor:
        square = torch.floor(x / side)
        dark = (square.sum(1) % 2 == 0) & (square.abs().amax(1) <= 2) & (square.amax(1) <= 1)
        inside = x.new_full((len(x),), -math.log(8 * side**2))
        return torch.where(dark, inside, -math.inf)

    return _draw("checkerboard", split, seed, n, sample, log_density)


def ring_centres(modes: int = 8, radius: float = 1.0) -> Tensor:
    """Return the (modes, 2) centres of the ring's Gaussians, at angles 2πi/modes."""
    angle = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    return radius * torch.stack([angle.cos(), angle.sin()], dim=1)


def grid_centres(side: int = 5, spacing: float = 2.0) -> Tensor:
    """Return the (side², 2) centres of the grid's Gaussians, around the origin."""
    axis = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return torch.cartesian_prod(axis, axis)


def _bumps(name: str, split: str, seed: int, n: int, modes: Modes) -> Rows:
    """Draw from equally likely N(centre, sd² I); the rows know their density and their modes."""
    centres, sd = modes.centres, modes.sd

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        return centres.numpy()[rng.integers(len(centres), size=n)] + rng.normal(0, sd, (n, 2))

    def log_density(x: Tensor) -> Tensor:
        return _mixture_log_density(x[:, None] - centres.to(x), x.new_tensor((sd, sd)))

    return replace(_draw(name, split, seed, n, sample, log_density), modes=modes)


def _mixture_log_density(deviation: Tensor, sds: Tensor) -> Tensor:
    """Return log (1/K) Σ_k N(d_k; 0, diag(sds²)) for (B, K, 2) differences d: (B,) nats."""
    parts = -0.5 * (deviation / sds).square().sum(2) - (2 * math.pi * sds.prod()).log()
    return torch.logsumexp(parts, dim=1) - math.log(deviation.shape[1])


def _draw(
    name: str, split: str, seed: int, n: int, sample: Sampler, log_density: LogDensity | None = None
) -> Rows:
    """Draw a split: an independent set of n points, a function of (name, split, seed)."""
    check_split(split)
    if n < 2:
        raise UsageError(f"n={n} given; a set has at least two points")
    draw = partial(_points, name, seed=seed, n=n, sample=sample, log_density=log_density)
    return joined([draw(part) for part in FRACTIONS]) if split == "all" else draw(split)


def _points(
    name: str, split: str, seed: int, n: int, sample: Sampler, log_density: LogDensity | None
) -> Rows:
    rng = np.random.default_rng([seed, zlib.crc32(f"{name} {split}".encode())])
    x = torch.from_numpy(sample(rng, n)).float()
    return Rows(x, _PLANE, name=name, log_density=log_density)
