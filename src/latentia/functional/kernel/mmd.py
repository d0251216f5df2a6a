"""The maximum mean discrepancy (MMD) of two samples: estimates of its square, the witness function, permutations."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import point_sets
from latentia.functional.kernel.kernels import Kernel, row_blocks

_PAIRS = 128  # points whose kernel matrix is computed for its diagonal: the cost stays linear in n


@dataclass(frozen=True)
class MMDEstimate:
    """An MMD² and its standard error, both () in the units of the kernel."""

    value: Tensor
    stderr: Tensor


def mmd2(
    x: Tensor, y: Tensor, kernel: Kernel, estimator: Literal["unbiased", "biased"] = "unbiased"
) -> Tensor:
    """Estimate the squared maximum mean discrepancy between the distributions of two samples.

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
        >>> from latentia.functional.kernel.kernels import negative_distance_kernel
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
    """Average k(x_i, x_j) over pairs, without those of a point with itself where unbiased."""
    n = len(x)
    if not unbiased:
        return sum_of_kernel(x, x, kernel) / n**2
    sums: list[Tensor] = []
    for rows in row_blocks(n, n):
        block = kernel(x[rows], x)
        sums.append(block.sum() - block.diagonal(offset=rows.start).sum())
    return torch.stack(sums).sum() / (n * (n - 1))


def mmd2_linear_time(x: Tensor, y: Tensor, kernel: Kernel) -> MMDEstimate:
    """Estimate the squared maximum mean discrepancy in linear time, with its standard error.

    MMD² = (1/r) Σ_i h_i,   h_i = k(x_2i−1, x_2i) + k(y_2i−1, y_2i) − k(x_2i−1, y_2i) − k(x_2i, y_2i−1),   r = ⌊n/2⌋

    Unbiased, and an average of independent terms, so se² = var_i(h_i)/r holds for equal distributions too,
    where estimate/se is asymptotically standard normal. Its noise is of the order √n times that of `mmd2`.

    Args:
        x: (n, d) points in random order, n at least 4; the last is left out where n is odd.
        y: (n, d) points, as many as x.
        kernel: (n, d), (m, d) → (n, m), symmetric.

    Returns:
        The estimate, differentiable in the points, and its standard error.

    Raises:
        UsageError: for shapes that do not fit.
        DataError: for a point that is not finite, fewer than 4 points, or samples of different sizes.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, lemma 14 and corollary 16.

    Example:
        >>> from latentia.functional.kernel.kernels import negative_distance_kernel
        >>> x, y = torch.tensor([[0.0], [1.0], [0.0], [1.0]]), torch.tensor([[5.0], [7.0], [5.0], [7.0]])
        >>> mmd2_linear_time(x, y, negative_distance_kernel).value  # −1 − 2 + 7 + 4
        tensor(8.)
    """
    point_sets(at_least=4, x=x, y=y)
    if len(x) != len(y):
        raise DataError(f"the linear-time estimate needs as many x as y; got {len(x)} and {len(y)}: cut one")
    odd, even = slice(0, len(x) // 2 * 2, 2), slice(1, len(x) // 2 * 2, 2)
    h = _pairwise(x[odd], x[even], kernel) + _pairwise(y[odd], y[even], kernel)
    h = h - _pairwise(x[odd], y[even], kernel) - _pairwise(x[even], y[odd], kernel)
    return MMDEstimate(value=h.mean(), stderr=h.std() / len(h) ** 0.5)


def _pairwise(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    """Return k(a_i, b_i), (n,)."""
    blocks = zip(a.split(_PAIRS), b.split(_PAIRS), strict=True)
    return torch.cat([kernel(some, others).diagonal() for some, others in blocks])


def witness(points: Tensor, x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    """Estimate the witness function, whose sign shows which distribution has more mass, smoothed by the kernel.

    f(t) = mean_i k(t, x_i) − mean_j k(t, y_j)

    It is not normalised: f/‖f‖ attains the MMD, and the biased MMD² is the mean of f over x minus that over y.

    Args:
        points: (N, d) t, at which f is evaluated.
        x: (n, d) points.
        y: (m, d) points.
        kernel: (n, d), (m, d) → (n, m).

    Returns:
        (N,) in the units of the kernel: positive where x has more mass; differentiable.

    Raises:
        UsageError: for shapes that do not fit.
        DataError: for a point that is not finite, or an empty set.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, section 2.3.

    Example:
        >>> from latentia.functional.kernel.kernels import negative_distance_kernel
        >>> x, y = torch.tensor([[0.0]]), torch.tensor([[4.0]])
        >>> witness(torch.tensor([[1.0], [2.0]]), x, y, negative_distance_kernel)
        tensor([2., 0.])
    """
    point_sets(points=points, x=x, y=y)
    values = [
        kernel(points[rows], x).mean(1) - kernel(points[rows], y).mean(1)
        for rows in row_blocks(len(points), max(len(x), len(y)))
    ]
    return torch.cat(values)


@torch.no_grad()
def mmd2_of_splits(points: Tensor, splits: Tensor, kernel: Kernel) -> Tensor:
    """Return the unbiased MMD² of each of many splits (permutations) of the same points, from one kernel matrix.

    With K the kernel matrix without its diagonal, u ∈ {0, 1}^N a split into n ones and m zeros,
    a = uᵀKu, c = uᵀK1 and t = 1ᵀK1:  MMD² = a / n(n−1) + (t − 2c + a) / m(m−1) − 2 (c − a) / nm

    One matrix product serves all splits, and only the upper triangle of K is computed, in blocks: memory is O(N · S).

    Args:
        points: (N, d).
        splits: (N, S) of 0 and 1: which points are in the first group, at least 2 in each.
        kernel: (n, d), (m, d) → (n, m), symmetric.

    Returns:
        (S,) in the units of the kernel.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, eq. 3, of every split.

    Example:
        >>> from latentia.functional.kernel.kernels import negative_distance_kernel
        >>> points = torch.tensor([[0.0], [1.0], [0.0], [3.0]])
        >>> mmd2_of_splits(points, torch.tensor([[1.0], [1.0], [0.0], [0.0]]), negative_distance_kernel)
        tensor([-1.])
    """
    a, degrees = splits.new_zeros(splits.shape[1]), splits.new_zeros(len(points))
    for rows in row_blocks(len(points), len(points)):
        upper = kernel(points[rows], points[rows.start :]).to(splits.dtype).triu(1)
        a += 2 * (splits[rows] * (upper @ splits[rows.start :])).sum(0)
        degrees[rows] += upper.sum(1)
        degrees[rows.start :] += upper.sum(0)
    c, t = degrees @ splits, degrees.sum()
    n = splits.sum(0)
    m = len(points) - n
    return a / (n * (n - 1)) + (t - 2 * c + a) / (m * (m - 1)) - 2 * (c - a) / (n * m)
