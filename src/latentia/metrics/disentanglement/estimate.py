"""A number that codes have, with its standard error and what decided it; and how rows are drawn for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError

_DRAWS = 100


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error where one is known, and the settings that decide both."""

    value: float
    stderr: float | None
    settings: Mapping[str, Any]


def stream(purpose: str, seed: int) -> torch.Generator:
    """Return the generator of a purpose, so that no two metrics of a seed share their draws."""
    return torch.Generator().manual_seed(crc32(f"{purpose} {seed}".encode()))


def some_rows(n: int, most: int, generator: torch.Generator) -> Tensor:
    """Return the numbers of at most so many of n rows, drawn without replacement."""
    return torch.randperm(n, generator=generator)[:most]


def two_parts(n: int, train: int, test: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the numbers of disjoint rows to fit to and to score on; where there are fewer, in proportion.

    Raises:
        UsageError: for a size below 1.
        DataError: for fewer than two rows.
    """
    if train < 1 or test < 1:
        raise UsageError(f"train and test must be at least 1; got {train} and {test}")
    if n < 2:
        raise DataError(f"rows to fit to and others to score on are needed; got {n} rows")
    if n < train + test:
        train = min(n - 1, max(1, n * train // (train + test)))
        test = n - train
    shuffled = torch.randperm(n, generator=generator)
    return shuffled[:train], shuffled[train : train + test]


def bootstrapped(statistic: Callable[[Tensor], Tensor], n: int, generator: torch.Generator) -> float:
    """Return the standard deviation of a statistic over bootstrap samples of n rows, whose numbers it takes.

    Reference: Efron (1979), Bootstrap Methods: Another Look at the Jackknife, section 3.
    """
    drawn = [statistic(torch.randint(n, (n,), generator=generator)) for _ in range(_DRAWS)]
    return float(torch.stack(drawn).std())


def infinitesimal_jackknife(statistic: Callable[[Tensor], Tensor], n: int) -> float:
    """Return the standard error √Σ_k (∂θ/∂w_k − mean)²/n of a smooth statistic θ of n rows, from their weights' slopes.

    At w_k = 1/n the centred slope is the influence of a row, the derivative of θ as its weight grows and the others'
    shrink in proportion; θ̂ − θ is the mean of the influences to first order.

    Args:
        statistic: (n,) float64 weights, which sum to 1 → (), differentiable.
        n: rows.

    Reference: Jaeckel (1972), The Infinitesimal Jackknife; Efron (1982), The Jackknife, the Bootstrap and Other
    Resampling Plans, chapter 6.

    Example:
        >>> x = torch.tensor([1.0, 3.0], dtype=torch.float64)
        >>> round(infinitesimal_jackknife(lambda w: (w * x).sum(), 2), 6)  # √(Σ (x − x̄)²)/n
        0.707107
    """
    weights = torch.full((n,), 1 / n, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        (slopes,) = torch.autograd.grad(statistic(weights), weights)
    return float((slopes - slopes.mean()).norm() / n)


BOOTSTRAP = f"bootstrap over rows, {_DRAWS} draws"
"""How `bootstrapped` standard errors are described in settings."""
