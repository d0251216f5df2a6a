"""Two-sample tests: do two samples come from one law?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import member, point_sets
from latentia.functional.kernels import (
    Kernel,
    gaussian_kernel,
    median_bandwidth,
    mmd2_of_splits,
    negative_distance_kernel,
)


@dataclass(frozen=True)
class TestResult:
    """What a two-sample test found.

    Attributes:
        statistic: what the method computes from the two samples.
        p_value: the probability, under equal laws, of a statistic as large; at least 1/(1 + permutations).
        reject: whether p ≤ level. Otherwise the test failed to reject, which is not a proof of equality.
        level: the probability of rejecting equal laws that was accepted.
        n: points in the first sample.
        m: points in the second sample.
        method: the method's name.
        settings: what else decides the result.
    """

    __test__ = False  # not a test of pytest's, whatever its name

    statistic: float
    p_value: float
    reject: bool
    level: float
    n: int
    m: int
    method: str
    settings: Mapping[str, Any]

    @property
    def decision(self) -> str:
        """ "reject" or "fail to reject" that the laws are equal."""
        return "reject" if self.reject else "fail to reject"


def two_sample_test(
    x: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    method: str = "mmd",
    permutations: int = 500,
    seed: int = 0,
    level: float = 0.05,
) -> TestResult:
    """Test by permutation whether two samples come from one law.

    p = (1 + #{permuted statistic ≥ observed}) / (1 + permutations)

    "mmd": the unbiased MMD² with a Gaussian kernel, bandwidth by the median heuristic; "energy": the energy
    distance. Both are computed in float64, all permutations through one kernel matrix.

    Args:
        x: (n, *event) points; each is flattened.
        y: (m, *event) points; m need not be n.
        method: a name of `METHODS`.
        permutations: random splits to compare with, at least 1.
        seed: of the permutations.
        level: reject where p ≤ level.

    Raises:
        UnknownNameError: for another method.
        UsageError: for shapes that do not fit, or permutations or level out of range.
        DataError: for fewer than 2 points, points that are not finite, or points that are all equal.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test; Phipson & Smyth (2010), Permutation P-values
    Should Never Be Zero, section 4.

    Example:
        >>> x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> two_sample_test(x[:20], x[20:] + 2.0, permutations=99).p_value
        0.01
    """
    if permutations < 1 or not 0 < level < 1:
        raise UsageError(f"a test needs permutations >= 1 and 0 < level < 1; got {permutations} and {level}")
    x, y = _points(x), _points(y)
    point_sets(at_least=2, x=x, y=y)
    if bool((torch.cat([x, y]) == x[0]).all()):
        raise DataError("x and y hold one point only, repeated: there is nothing to test")
    kernel, settings = member(METHODS, method, "method")(x, y)
    splits = _splits(len(x), len(y), permutations, torch.Generator().manual_seed(seed)).to(x.device)
    statistics = mmd2_of_splits(torch.cat([x, y]), splits, kernel)
    p_value = permutation_p_value(statistics[0], statistics[1:])
    return TestResult(
        statistic=float(statistics[0]),
        p_value=p_value,
        reject=p_value <= level,
        level=level,
        n=len(x),
        m=len(y),
        method=method,
        settings={**settings, "permutations": permutations, "seed": seed},
    )


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
    rounding = 1e-9 * (permuted - observed).abs().max()
    return (1 + int((permuted >= observed - rounding).sum())) / (1 + len(permuted))


def _mmd(x: Tensor, y: Tensor) -> tuple[Kernel, dict[str, Any]]:
    bandwidth = median_bandwidth(x, y)
    return partial(gaussian_kernel, bandwidth=bandwidth), {"kernel": "gaussian", "bandwidth": bandwidth}


def _energy(x: Tensor, y: Tensor) -> tuple[Kernel, dict[str, Any]]:  # noqa: ARG001  (the table's signature)
    return negative_distance_kernel, {}


METHODS: Mapping[str, Callable[[Tensor, Tensor], tuple[Kernel, dict[str, Any]]]] = MappingProxyType(
    {"mmd": _mmd, "energy": _energy}
)
"""Each method's kernel, chosen from the two samples together, and the settings to report."""


def _points(x: Tensor | np.ndarray) -> Tensor:
    """Return (n, D) float64 points."""
    points = torch.as_tensor(x).detach().double()
    return points.reshape(len(points), -1) if points.dim() else points


def _splits(n: int, m: int, permutations: int, generator: torch.Generator) -> Tensor:
    """Return (n + m, 1 + permutations): the given split, then random ones with n ones each."""
    splits = torch.zeros(n + m, 1 + permutations, dtype=torch.float64)
    splits[:n, 0] = 1.0
    for column in range(1, 1 + permutations):
        splits[torch.randperm(n + m, generator=generator)[:n], column] = 1.0
    return splits
