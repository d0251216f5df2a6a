"""The splits, the p-value and the threshold of tests by permutation."""

from math import floor, inf
from typing import Any

import torch
from torch import Tensor

from latentia.metrics.two_sample.problem import TwoSampleProblem

_ROUNDING = 1e-9  # statistics that differ by less, relative to their spread, are equal


def permutation_p_value(observed: Tensor, permuted: Tensor) -> float:
    """Return (1 + #{permuted ≥ observed}) / (1 + #permuted), which is never 0.

    Statistics that differ by rounding only, as those of equal points do, count as equal.

    Args:
        observed: () the statistic.
        permuted: (P,) the statistics of permuted samples.

    Reference: Phipson & Smyth (2010), Permutation P-values Should Never Be Zero, section 4.

    Example:
        >>> permutation_p_value(torch.tensor(3.0), torch.tensor([1.0, 2.0, 4.0]))
        0.5
    """
    return (1 + int((_ties_equal(observed, permuted) >= observed).sum())) / (1 + len(permuted))


def permutation_threshold(permuted: Tensor, level: float) -> float:
    """Return the value that a statistic exceeds exactly where its permutation p-value is at most the level.

    That is the r-th largest permuted statistic, r = ⌊level · (1 + P)⌋; infinite where r is 0.

    Args:
        permuted: (P,) the statistics of permuted samples.
        level: in (0, 1).

    Example:
        >>> permutation_threshold(torch.arange(1.0, 20.0), level=0.1)  # the second largest of 19
        18.0
    """
    r = floor(level * (1 + len(permuted)) + _ROUNDING)
    return float(permuted.sort(descending=True).values[r - 1]) if r else inf


def random_splits(n: int, m: int, permutations: int, generator: torch.Generator) -> Tensor:
    """Return (n + m, 1 + permutations): the given split, then random ones with n ones each."""
    splits = torch.zeros(n + m, 1 + permutations, dtype=torch.float64)
    splits[:n, 0] = 1.0
    for column in range(1, 1 + permutations):
        splits[torch.randperm(n + m, generator=generator)[:n], column] = 1.0
    return splits


def by_permutation(statistics: Tensor, problem: TwoSampleProblem) -> dict[str, Any]:
    """Return what `TestOutcome` begins with, from (1 + P,) statistics of the given split and of permutations."""
    return {
        "statistic": float(statistics[0]),
        "threshold": permutation_threshold(_ties_equal(statistics[0], statistics[1:]), problem.level),
        "p_value": permutation_p_value(statistics[0], statistics[1:]),
    }


def permutation_settings(problem: TwoSampleProblem) -> dict[str, Any]:
    """Return the settings that decide the permutations."""
    return {"permutations": problem.permutations, "seed": problem.seed}


def _ties_equal(observed: Tensor, permuted: Tensor) -> Tensor:
    """Return permuted statistics; those that differ from the observed one by rounding only are it exactly."""
    apart = (permuted - observed).abs()
    return torch.where(apart <= _ROUNDING * apart.max(), observed, permuted)
