"""The energy distance between two samples, and its standard error."""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.functional.checks import point_sets
from latentia.functional.kernel.kernels import negative_distance_kernel, row_blocks


@dataclass(frozen=True)
class EnergyEstimate:
    """An energy distance and its standard error, both () in the units of the points."""

    value: Tensor
    stderr: Tensor


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """Estimate the energy distance between the distributions of two samples, without the square root.

    D = 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖ ≥ 0, and 0 only for equal distributions

    This is the U-statistic: pairs of a point with itself are left out, so the estimate is unbiased and may be
    negative. Distances are made in blocks, so memory is O(n + m) where no gradient is required.

    Args:
        x: (n, d) points.
        y: (m, d) points.

    Returns:
        () in the units of the points; differentiable in them.

    Raises:
        UsageError: for shapes that do not fit.
        DataError: for fewer than 2 points, or a point that is not finite.

    Reference: Székely & Rizzo (2013), Energy statistics, proposition 1.

    Example:
        >>> energy_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [3.0]]))  # 2 · 1.5 − 1 − 3
        tensor(-1.)
    """
    return energy_estimate(x, y).value


def energy_estimate(x: Tensor, y: Tensor) -> EnergyEstimate:
    """Estimate the energy distance, as `energy_distance` does, with its standard error.

    se² = var_i(g_i)/n + var_j(h_j)/m, with the first-order (Hoeffding) projections
    g_i = 2 mean_j ‖x_i − y_j‖ − 2 mean_{i′≠i} ‖x_i − x_i′‖ and h_j likewise.

    For equal distributions the projections vanish in the limit (the statistic is degenerate); the standard error is
    then of the estimate's own order, 1/n, and too large.

    Args:
        x: (n, d) points.
        y: (m, d) points.

    Raises:
        UsageError: for shapes that do not fit.
        DataError: for fewer than 2 points, or a point that is not finite.

    Reference: van der Vaart (1998), Asymptotic Statistics, theorem 12.6 (U-statistics of two samples).

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [2.0]])
        >>> energy_estimate(x, x + 10.0).stderr.round(decimals=3)
        tensor(1.7000)
    """
    point_sets(at_least=2, x=x, y=y)
    x_to_y, y_to_x = _mean_distances_between(x, y)
    x_to_x, y_to_y = _mean_distances_within(x), _mean_distances_within(y)
    g, h = 2 * (x_to_y - x_to_x), 2 * (y_to_x - y_to_y)
    return EnergyEstimate(
        value=2 * x_to_y.mean() - x_to_x.mean() - y_to_y.mean(),
        stderr=(g.var() / len(x) + h.var() / len(y)).sqrt(),
    )


def _mean_distances_between(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return each point's mean distance to the other set: (n,) and (m,)."""
    to_y: list[Tensor] = []
    to_x = y.new_zeros(len(y))
    for rows in row_blocks(len(x), len(y)):
        distances = -negative_distance_kernel(x[rows], y)
        to_y.append(distances.mean(1))
        to_x = to_x + distances.sum(0)
    return torch.cat(to_y), to_x / len(x)


def _mean_distances_within(x: Tensor) -> Tensor:
    """Return each point's mean distance to the others of its set: (n,)."""
    sums: list[Tensor] = []
    for rows in row_blocks(len(x), len(x)):
        distances = -negative_distance_kernel(x[rows], x)
        sums.append(distances.sum(1) - distances.diagonal(offset=rows.start))
    return torch.cat(sums) / (len(x) - 1)
