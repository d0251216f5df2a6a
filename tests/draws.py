"""Seeded draws and grids, for tests of formulas and of networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def seeded_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Seed torch's global generator, and restore its state afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal draws in float64."""
    return torch.randn(*shape, generator=seeded_generator(seed), dtype=torch.float64)


def points(n: int, d: int = 3, seed: int = 0, shift: float = 0.0) -> Tensor:
    """Return n standard normal points, shifted in every entry, in float64."""
    return shift + normal(n, d, seed=seed)


def line(low: float, high: float, n: int) -> Tensor:
    """Return n points from low to high, evenly, in float64."""
    return torch.linspace(low, high, n, dtype=torch.float64)
