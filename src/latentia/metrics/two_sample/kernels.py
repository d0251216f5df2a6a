"""Tests by permutation of a kernel's statistic, all permutations through one kernel matrix: MMD, energy."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from latentia.errors import DataError
from latentia.functional.kernel.kernels import (
    Kernel,
    gaussian_kernel,
    median_bandwidth,
    negative_distance_kernel,
    row_blocks,
)
from latentia.functional.kernel.mmd import mmd2_of_splits
from latentia.metrics.two_sample.permutation import by_permutation, permutation_settings, random_splits
from latentia.metrics.two_sample.problem import TwoSampleProblem
from latentia.metrics.two_sample.result import TestOutcome, most_telling


def mmd(
    problem: TwoSampleProblem, *, bandwidth: float | None = None, kernel: Kernel | None = None
) -> TestOutcome:
    """Test by the unbiased MMD², with a Gaussian kernel whose bandwidth is the median distance.

    Args:
        problem: the two samples, and how to test them.
        bandwidth: of the Gaussian kernel; by default the median distance between points.
        kernel: another kernel, chosen without looking at which point is of which sample.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, sections 2.2 and 8.
    """
    if kernel is not None:
        return kernel_outcome(problem, kernel, {"kernel": "given"})
    h = median_bandwidth(problem.x, problem.y) if bandwidth is None else bandwidth
    return kernel_outcome(
        problem, partial(gaussian_kernel, bandwidth=h), {"kernel": "gaussian", "bandwidth": h}
    )


def energy(problem: TwoSampleProblem) -> TestOutcome:
    """Test by the unbiased energy distance 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖.

    Reference: Székely & Rizzo (2013), Energy statistics, sections 2 and 6.
    """
    return kernel_outcome(problem, negative_distance_kernel, {})


def kernel_outcome(problem: TwoSampleProblem, kernel: Kernel, settings: Mapping[str, Any]) -> TestOutcome:
    """Test by the unbiased MMD² of any kernel; one kernel matrix serves all permutations.

    The effect size MMD²/E‖φ(X) − φ(Y)‖², where k(x, y) = ⟨φ(x), φ(y)⟩, is the fraction of the squared distance
    between the samples that is due to their distributions: 0 for equal ones, 1 for two different point masses.

    Reference: Székely & Rizzo (2013), Energy statistics, section 6, for the coefficient of inhomogeneity.
    """
    points, n, m = problem.points, len(problem.x), len(problem.y)
    splits = random_splits(n, m, problem.permutations, problem.generator()).to(points.device)
    statistics = mmd2_of_splits(points, splits, kernel)
    sums = _kernel_sums(points, splits[:, 0], kernel)
    between = float(sums.diagonal[:n].mean() + sums.diagonal[n:].mean() - 2 * sums.x[n:].sum() / (n * m))
    if not between > 0:
        raise DataError("the kernel takes all points of x and y for one: choose another kernel")
    return TestOutcome(
        **by_permutation(statistics, problem),
        effect_size=float(statistics[0]) / between,
        effect="MMD² / mean squared distance between the samples in the kernel's space",
        points=most_telling(sums.witness(n), range(n + m), n),
        points_show="witness function: mean similarity to x, less that to y",
        settings={**settings, **permutation_settings(problem)},
    )


@dataclass(frozen=True)
class _KernelSums:
    """Sums over a kernel matrix K of all points: (N,) Σ_{j in x} K_ij and Σ_{j in y} K_ij, j ≠ i; and K_ii."""

    x: Tensor
    y: Tensor
    diagonal: Tensor

    def witness(self, n: int) -> Tensor:
        """Return the mean of k(z, x_i) less the mean of k(z, y_j) at every point, itself left out: (N,)."""
        m = len(self.diagonal) - n
        in_x = self.x[:n] / (n - 1) - self.y[:n] / m
        in_y = self.x[n:] / n - self.y[n:] / (m - 1)
        return torch.cat([in_x, in_y])


@torch.no_grad()
def _kernel_sums(points: Tensor, split: Tensor, kernel: Kernel) -> _KernelSums:
    sides = torch.stack([split, 1 - split], dim=1)
    sums, diagonal = torch.zeros_like(sides), torch.zeros_like(split)
    for rows in row_blocks(len(points), len(points)):
        K = kernel(points[rows], points[rows.start :]).to(sides.dtype)
        diagonal[rows] = K.diagonal()
        upper = K.triu(1)
        sums[rows] += upper @ sides[rows.start :]
        sums[rows.start :] += upper.T @ sides[rows]
    return _KernelSums(sums[:, 0], sums[:, 1], diagonal)
