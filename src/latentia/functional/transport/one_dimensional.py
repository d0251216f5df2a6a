"""Transport on the line, solved by quantiles: exact Wasserstein distances and the dual of W₁."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import finite, probability_vectors, same_shape
from latentia.functional.transport._checks import (
    normalised_weights,
    power_at_least_one,
    root,
    sums_to_one,
)


def wasserstein_1d(
    x: Tensor,
    y: Tensor,
    p: float = 1,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> Tensor:
    """Return the exact Wasserstein distance W_p between two weighted one-dimensional samples.

    W_p = (∫₀¹ |Q_x(u) − Q_y(u)|^p du)^(1/p), with Q the quantile functions

    The root of p > 1 has an infinite derivative where the samples are equal; train on `wasserstein_1d_power`.

    Args:
        x: (*B, n) values, in any order.
        y: (*B, m) values; m need not be n.
        p: the power, at least 1.
        weights_x: (*B, n) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (*B, m) likewise.

    Returns:
        (*B,) in the units of the values, computed in float64; differentiable in them.

    Raises:
        UsageError: for p < 1, or shapes that do not fit.
        DataError: for NaN or infinite values, negative weights, or weights that are all 0.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, remark 2.30, eq. 2.34.

    Example:
        >>> wasserstein_1d(torch.tensor([0.0, 1.0]), torch.tensor([5.0, 2.0, 2.0, 3.0]))
        tensor(2.5000)
    """
    return root(wasserstein_1d_power(x, y, p, weights_x, weights_y), p)


def wasserstein_1d_power(
    x: Tensor,
    y: Tensor,
    p: float = 1,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> Tensor:
    """Return the exact W_p^p between two weighted one-dimensional samples: `wasserstein_1d` without its root.

    W_p^p = ∫₀¹ |Q_x(u) − Q_y(u)|^p du

    Args:
        x: (*B, n) values, in any order.
        y: (*B, m) values; m need not be n.
        p: the power, at least 1.
        weights_x: (*B, n) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (*B, m) likewise.

    Returns:
        (*B,) in the units of the values to the power p; differentiable in them and in the weights.

    Raises:
        UsageError: for p < 1, or shapes that do not fit.
        DataError: for NaN or infinite values, negative weights, or weights that are all 0.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, remark 2.30, eq. 2.34.

    Example:
        >>> wasserstein_1d_power(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 4.0]), p=2)
        tensor(6.5000)
    """
    power_at_least_one(p)
    _numbers(x, y, weights_x, weights_y)
    dtype = torch.promote_types(x.dtype, y.dtype)
    x, y = (values if values.dtype == torch.float32 else values.double() for values in (x, y))
    if weights_x is None and weights_y is None and x.shape == y.shape:
        gaps = (sorted_values(x).double() - sorted_values(y).double()).abs()
        return (gaps if p == 1 else gaps.pow(p)).mean(-1).to(dtype)
    x, cumulative_x = _quantiles("weights_x", x, weights_x)
    y, cumulative_y = _quantiles("weights_y", y, weights_y)
    widths, i, j = _common_steps(cumulative_x, cumulative_y)
    gaps = (x.gather(-1, i).double() - y.gather(-1, j).double()).abs()
    return (widths * (gaps if p == 1 else gaps.pow(p))).sum(-1).to(dtype)


def sorted_values(values: Tensor) -> Tensor:
    """Sort values along the last dimension; differentiable, by NumPy on a CPU, which is several times faster.

    Example:
        >>> sorted_values(torch.tensor([[2.0, 1.0]]))
        tensor([[1., 2.]])
    """
    if values.requires_grad or values.device.type != "cpu":
        return values.gather(-1, _argsort(values))
    return torch.from_numpy(np.sort(values.contiguous().numpy(), axis=-1))


def _argsort(values: Tensor) -> Tensor:
    values = values.detach()
    if values.device.type != "cpu":
        return values.argsort(-1)
    return torch.from_numpy(np.argsort(values.contiguous().numpy(), axis=-1))


def _numbers(x: Tensor, y: Tensor, weights_x: Tensor | None, weights_y: Tensor | None) -> None:
    """Raise unless the shapes fit and the values are finite."""
    if not x.dim() or not y.dim() or x.shape[:-1] != y.shape[:-1]:
        raise UsageError(
            f"x and y must have shapes (*B, n) and (*B, m) with one B; got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if weights_x is not None:
        same_shape(x=x, weights_x=weights_x)
    if weights_y is not None:
        same_shape(y=y, weights_y=weights_y)
    if not x.numel() or not y.numel():
        raise DataError(f"x and y must not be empty; got {tuple(x.shape)} and {tuple(y.shape)}")
    finite(x=x, y=y)


def _quantiles(name: str, values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return a quantile function: the sorted values, and the level at which the step of each ends."""
    n = values.shape[-1]
    if weights is None:
        ends = torch.arange(1, n + 1, dtype=torch.float64, device=values.device) / n
        return sorted_values(values), ends.expand(values.shape)
    order = _argsort(values)
    cumulative = normalised_weights(name, weights, values, n).gather(-1, order).cumsum(-1)
    return values.gather(-1, order), cumulative / cumulative[..., -1:]  # both end at exactly 1


def _common_steps(cumulative_x: Tensor, cumulative_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the intervals of [0, 1] on which both quantile functions are constant.

    Returns:
        The widths (*B, n + m), which sum to 1, and the indices of the values of x and of y on each.
    """
    n, m = cumulative_x.shape[-1], cumulative_y.shape[-1]
    levels = torch.cat([cumulative_x, cumulative_y], -1)
    order = _merge(levels)
    ends = levels.gather(-1, order)
    widths = ends.diff(dim=-1, prepend=torch.zeros_like(ends[..., :1]))
    is_x = order < n
    x_before, y_before = is_x.cumsum(-1) - is_x.long(), (~is_x).cumsum(-1) - (~is_x).long()
    return widths, x_before.clamp(max=n - 1), y_before.clamp(max=m - 1)


def _merge(levels: Tensor) -> Tensor:
    """Return the order that merges two sorted runs; a stable sort does so in one pass."""
    levels = levels.detach()
    if levels.device.type != "cpu":
        return levels.argsort(dim=-1, stable=True)
    return torch.from_numpy(np.argsort(levels.numpy(), axis=-1, kind="stable"))


@dataclass(frozen=True)
class KantorovichRubinstein:
    """The solution of the dual of W₁ on the line.

    Attributes:
        value: (*B,) W₁, in the units of the positions.
        potential: (*B, n) an optimal f, with f_0 = 0.
    """

    value: Tensor
    potential: Tensor


def kantorovich_rubinstein(p: Tensor, q: Tensor, positions: Tensor | None = None) -> KantorovichRubinstein:
    """Return W₁ between two distributions on points of the line by its dual, with the optimal critic.

    W₁ = max_f Σ_i f_i (p_i − q_i)   subject to   |f_i − f_j| ≤ |t_i − t_j|

    Constraints between neighbours suffice: the others follow by summation. Summation by parts turns the objective
    into −Σ_i (F_i − G_i)(f_{i+1} − f_i), with F and G the cumulative sums, so the optimal slope is −sign(F − G).

    The constraint is often misprinted as |f_i − f_j| ≤ 1 for every pair of bins; the maximum is then the total
    variation, which ignores the distance between bins.

    Args:
        p: (*B, n) probabilities.
        q: (*B, n) probabilities.
        positions: (n,) t, in ascending order; default: 0, 1, …, n − 1.

    Raises:
        UsageError: for shapes that differ.
        DataError: for masses that are NaN, negative or do not sum to 1, or positions that do not ascend.

    Reference: Villani (2003), Topics in Optimal Transportation, theorem 1.14 (Kantorovich-Rubinstein).

    Example:
        >>> p, q = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.5, 0.5])
        >>> dual = kantorovich_rubinstein(p, q)
        >>> dual.value, dual.potential
        (tensor(1.5000), tensor([ 0., -1., -2.]))
    """
    probability_vectors(p=p, q=q)
    dtype = torch.promote_types(p.dtype, q.dtype)
    p, q = sums_to_one(p), sums_to_one(q)
    steps = _steps(positions, p)
    excess = (p - q)[..., :-1].cumsum(-1)
    slopes = torch.cat([torch.zeros_like(p[..., :1]), -excess.sign() * steps], -1)
    f = slopes.cumsum(-1)
    return KantorovichRubinstein((f * (p - q)).sum(-1).to(dtype), f.to(dtype))


def _steps(positions: Tensor | None, p: Tensor) -> Tensor:
    """Return t_{i+1} − t_i, (n − 1,) in float64."""
    n = p.shape[-1]
    if positions is None:
        return p.new_ones(n - 1)
    if positions.shape != (n,):
        raise UsageError(f"positions must have shape ({n},), as p has; got {tuple(positions.shape)}")
    finite(positions=positions)
    steps = positions.double().diff()
    if bool((steps < 0).any()):
        raise DataError("positions must be in ascending order: sort them, and p and q with them")
    return steps
