"""Steps of objectives of autoencoders, from a seed."""

from __future__ import annotations

from typing import Any

import torch
from tests.draws import seeded, seeded_generator
from torch import Tensor

from latentia.core.objective import Batch


def rows(n: int = 30) -> Tensor:
    """Return (n, 4) standard normal rows in float64, exact in float32 too."""
    return torch.randn(n, 4, generator=seeded_generator(1)).double()


def loss(objective: Any, x: Tensor, seed: int = 0) -> Tensor:
    """Return the model's loss in one step."""
    with seeded(seed):
        yielded = next(objective.step(Batch(x)))
    losses = yielded if isinstance(yielded, dict) else dict([yielded])
    return losses["model"]


def terms(objective: Any, x: Tensor, seed: int = 0) -> tuple[Tensor, ...]:
    """Return the terms of the bound of each row."""
    with seeded(seed):
        return objective.terms(x, None)
