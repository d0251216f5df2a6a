"""The mean over directions of W_p^p between projected points, in blocks of directions of bounded size."""

from typing import Any

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.kernel.kernels import row_blocks
from latentia.functional.transport._sorted import row_costs
from latentia.functional.transport.one_dimensional import wasserstein_1d_power


def mean_cost(p: float, directions: Tensor, x: Tensor, y: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean over directions θ_l of W_p^p(θ_lᵀx, θ_lᵀy), and its value for each direction.

    A block of directions is projected, sorted and, where a gradient is required, differentiated at once: only the sum
    of the gradients is kept, so memory does not grow with the number of directions.

    Args:
        p: the power, at least 1.
        directions: (L, d) of the type of the points.
        x: (n, d) points, float32 or float64.
        y: (m, d) points of the same type.
        weights: none, or (n,) and (m,) masses that sum to one.

    Returns:
        () float64, once differentiable in all tensors; and (L,) float64 W_p^p, not differentiable.

    Example:
        >>> x = torch.zeros(1, 2)
        >>> mean_cost(1, torch.eye(2), x, x + torch.tensor([1.0, 3.0]))
        (tensor(2., dtype=torch.float64), tensor([1., 3.], dtype=torch.float64))
    """
    return _MeanCost.apply(p, directions, x, y, *weights)  # pyright: ignore[reportReturnType]


class _MeanCost(torch.autograd.Function):
    """Accumulate the gradient in the forward pass, block by block; the backward pass only scales it."""

    @staticmethod
    def forward(ctx: Any, p: float, directions: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        needed = ctx.needs_input_grad[1:]
        sums = [torch.zeros_like(each) for each in (directions, *tensors)] if any(needed) else []
        parts: list[Tensor] = []
        for rows in row_blocks(len(directions), _width(*tensors)):
            leaves = [each.detach() for each in (directions[rows], *tensors)]
            views = [each[rows] if i == 0 else each for i, each in enumerate(sums)]
            parts.append(_differentiated(p, leaves, views, needed) if sums else _line_costs(p, *leaves))
        costs = torch.cat(parts)
        ctx.save_for_backward(directions, *tensors, *(each / len(costs) for each in sums))
        ctx.mark_non_differentiable(costs)
        return costs.mean(), costs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        needed = ctx.needs_input_grad[1:]
        inputs, gradients = ctx.saved_tensors[: len(needed)], ctx.saved_tensors[len(needed) :]
        scaled = [_OnceOnly.apply(each * grads[0].to(each.dtype), *inputs) for each in gradients]
        return None, *(each if need else None for each, need in zip(scaled, needed, strict=True))


class _OnceOnly(torch.autograd.Function):
    """Pass a gradient on, and raise on differentiation: the accumulated gradient would count as constant."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *_: Tensor) -> Tensor:  # noqa: ARG004
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Tensor:  # noqa: ARG004  # pyright: ignore[reportIncompatibleMethodOverride]
        raise UsageError(
            "the sliced Wasserstein distance is once differentiable: its gradient cannot be differentiated again"
        )


def _differentiated(p: float, leaves: list[Tensor], sums: list[Tensor], needed: tuple[bool, ...]) -> Tensor:
    """Return W_p^p of a block of directions, and add its gradients to the required sums."""
    with torch.enable_grad():
        for leaf, need in zip(leaves, needed, strict=True):
            leaf.requires_grad_(need)
        costs = _line_costs(p, *leaves)
        total = costs.sum()
    asked = [i for i, need in enumerate(needed) if need]
    for i, gradient in zip(asked, torch.autograd.grad(total, [leaves[i] for i in asked]), strict=True):
        sums[i].add_(gradient)
    return costs.detach()


def _line_costs(p: float, directions: Tensor, x: Tensor, y: Tensor, *weights: Tensor) -> Tensor:
    """Return W_p^p of the projections on each direction, (L,) float64."""
    on_x, on_y = directions @ x.T, directions @ y.T
    if _is_one_sort(x, y, *weights):
        return row_costs(on_x, on_y, p)
    each = (weight.expand(len(directions), -1) for weight in weights)
    return wasserstein_1d_power(on_x, on_y, p, *each).double()


def _is_one_sort(x: Tensor, y: Tensor, *weights: Tensor) -> bool:
    """Whether sorting alone solves the problem (equal sizes, no weights), on a device where NumPy can sort."""
    return not weights and len(x) == len(y) and x.device.type == "cpu"


def _width(x: Tensor, y: Tensor, *weights: Tensor) -> int:
    """Return the memory that a direction takes: few large blocks for the sort, whose threads would compete with torch's
    after each product; smaller ones where the steps of two quantile functions are merged in float64.
    """
    both = len(x) + len(y)
    return both // 2 if _is_one_sort(x, y, *weights) else 8 * both
