"""Kernels, and the maximum mean discrepancy (MMD) between two samples.

A kernel is any function of points (n, d) and (m, d) that returns the matrix (n, m) of k(x_i, y_j).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import point_sets

Kernel = Callable[[Tensor, Tensor], Tensor]

_BLOCK = 2**22  # entries of a kernel matrix that are held at once: 32 MB in float64
_LOG_SMALLEST = -80.0  # exp of less is denormal in float32, which runs up to 100 times slower


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Iterate over slices of n rows such that a block of ``width`` columns has a bounded size."""
    size = max(1, _BLOCK // max(1, width))
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return ‖x_i − y_j‖² of every pair, from one matrix product: (n, d), (m, d) → (n, m).

    Example:
        >>> squared_distances(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]]))
        tensor([[9.],
                [4.]])
    """
    center = y.detach().mean(0)  # distances do not depend on it; near zero the products cancel less
    x, y = x - center, y - center
    products = torch.addmm(y.square().sum(1), x, y.T, alpha=-2)
    return (products + x.square().sum(1, keepdim=True)).clamp(min=0)


def gaussian_kernel(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """Return the Gaussian kernel k(x, y) = exp(−‖x − y‖² / 2h²).

    Args:
        x: (n, d) points.
        y: (m, d) points.
        bandwidth: h, in the units of the points.

    Returns:
        (n, m) in (0, 1]; values below e^−80 are returned as e^−80.

    Raises:
        UsageError: unless h > 0.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, section 8.

    Example:
        >>> gaussian_kernel(torch.zeros(1, 1), torch.tensor([[0.0], [2.0]]), bandwidth=2.0)
        tensor([[1.0000, 0.6065]])
    """
    if not bandwidth > 0:
        raise UsageError(f"bandwidth must be positive; got {bandwidth}")
    log_k = squared_distances(x, y) * (-0.5 / bandwidth**2)
    return log_k.clamp(min=_LOG_SMALLEST).exp()


def negative_distance_kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return k(x, y) = −‖x − y‖, with which MMD² is the energy distance: (n, d), (m, d) → (n, m).

    Reference: Sejdinovic et al. (2013), Equivalence of distance-based and RKHS-based statistics, theorem 22.

    Example:
        >>> negative_distance_kernel(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
        tensor([[-5.]])
    """
    center = y.detach().mean(0)
    return -torch.cdist(x - center, y - center)


def median_bandwidth(x: Tensor, y: Tensor, *, max_points: int = 2000, seed: int = 0) -> float:
    """Return the median distance between different points of two samples taken together.

    Args:
        x: (n, d) points.
        y: (m, d) points.
        max_points: where there are more, the median is that of so many points drawn at random.
        seed: of that draw.

    Raises:
        DataError: where all points are equal, or one is not finite.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, section 8 (the median heuristic).

    Example:
        >>> median_bandwidth(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]]))
        2.0
    """
    point_sets(x=x, y=y)
    points = torch.cat([x, y]).detach()
    if len(points) > max_points:
        chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:max_points]
        points = points[chosen.to(points.device)]
    distances = torch.nn.functional.pdist(points)
    distances = distances[distances > 0]
    if not len(distances):
        raise DataError(
            "x and y hold one point only, repeated: there is no distance to take a bandwidth from"
        )
    return float(distances.median())


def mmd2(
    x: Tensor, y: Tensor, kernel: Kernel, estimator: Literal["unbiased", "biased"] = "unbiased"
) -> Tensor:
    """Estimate the squared maximum mean discrepancy between the laws of two samples.

    MMD² = E k(X, X′) + E k(Y, Y′) − 2 E k(X, Y)

    The unbiased estimate averages k(X, X′) and k(Y, Y′) over pairs of different points (a U-statistic, which
    may be negative); the biased one over all pairs (a V-statistic, ≥ 0).

    Args:
        x: (n, d) points.
        y: (m, d) points.
        kernel: (n, d), (m, d) → (n, m), as ``partial(gaussian_kernel, bandwidth=h)``.
        estimator: "unbiased" or "biased".

    Returns:
        () in the units of the kernel; differentiable in the points.

    Raises:
        UsageError: for another estimator, or shapes that do not fit.
        DataError: for a point that is not finite, or fewer than 2 points where the estimate is unbiased.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, eq. 3 (unbiased), and eq. 5 squared (biased).

    Example:
        >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [3.0]])
        >>> mmd2(x, y, negative_distance_kernel)  # 2 · 1.5 − 1 − 3
        tensor(-1.)
    """
    if estimator not in ("unbiased", "biased"):
        raise UsageError(f"estimator must be 'unbiased' or 'biased'; got {estimator!r}")
    unbiased = estimator == "unbiased"
    point_sets(at_least=2 if unbiased else 1, x=x, y=y)
    between = sum_of_kernel(x, y, kernel) / (len(x) * len(y))
    return _mean_within(x, kernel, unbiased) + _mean_within(y, kernel, unbiased) - 2 * between


def sum_of_kernel(x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    """Return Σ_ij k(x_i, y_j), in blocks of bounded size."""
    return torch.stack([kernel(x[rows], y).sum() for rows in row_blocks(len(x), len(y))]).sum()


def _mean_within(x: Tensor, kernel: Kernel, unbiased: bool) -> Tensor:
    """Average k(x_i, x_j) over pairs, those of a point with itself left out where unbiased."""
    n = len(x)
    if not unbiased:
        return sum_of_kernel(x, x, kernel) / n**2
    sums: list[Tensor] = []
    for rows in row_blocks(n, n):
        block = kernel(x[rows], x)
        sums.append(block.sum() - block.diagonal(offset=rows.start).sum())
    return torch.stack(sums).sum() / (n * (n - 1))


@torch.no_grad()
def mmd2_of_splits(points: Tensor, splits: Tensor, kernel: Kernel) -> Tensor:
    """Return the unbiased MMD² of each of many splits of the same points, from one kernel matrix.

    With K the kernel matrix without its diagonal, u ∈ {0, 1}^N a split into n ones and m zeros,
    a = uᵀKu, c = uᵀK1 and t = 1ᵀK1:  MMD² = a / n(n−1) + (t − 2c + a) / m(m−1) − 2 (c − a) / nm

    All splits share one matrix product, and K is made in blocks, so memory is O(N · S).

    Args:
        points: (N, d).
        splits: (N, S) of 0 and 1: which points are in the first group, at least 2 in each.
        kernel: (n, d), (m, d) → (n, m), symmetric.

    Returns:
        (S,) in the units of the kernel.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, eq. 3, of every split.

    Example:
        >>> points = torch.tensor([[0.0], [1.0], [0.0], [3.0]])
        >>> mmd2_of_splits(points, torch.tensor([[1.0], [1.0], [0.0], [0.0]]), negative_distance_kernel)
        tensor([-1.])
    """
    a, c, t = splits.new_zeros(splits.shape[1]), splits.new_zeros(splits.shape[1]), splits.new_zeros(())
    for rows in row_blocks(len(points), len(points)):
        K = kernel(points[rows], points).to(splits.dtype, copy=True)
        K.diagonal(offset=rows.start).zero_()
        degrees = K.sum(1)
        a += (splits[rows] * (K @ splits)).sum(0)
        c += degrees @ splits[rows]
        t += degrees.sum()
    n = splits.sum(0)
    m = len(points) - n
    return a / (n * (n - 1)) + (t - 2 * c + a) / (m * (m - 1)) - 2 * (c - a) / (n * m)
