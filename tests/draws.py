"""Seeded draws and grids: what the tests of formulas and of networks share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def seeded_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Draw from torch's global generator as from a seed, and put it back."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal draws in float64."""
    return torch.randn(*shape, generator=seeded_generator(seed), dtype=torch.float64)


def line(low: float, high: float, n: int) -> Tensor:
    """Return n points from low to high, evenly, in float64."""
    return torch.linspace(low, high, n, dtype=torch.float64)
