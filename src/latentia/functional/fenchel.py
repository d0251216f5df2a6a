"""Fenchel conjugates, convex hulls of sampled functions, and checks that a function is convex and closed.

The conjugate of f is f*(t) = sup_u ut − f(u). The biconjugate f** is the largest closed convex function below
f: f itself where f is convex and lower semicontinuous, and otherwise the closed convex hull of f.
"""

import itertools
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.kernel.kernels import row_blocks

Function: TypeAlias = Callable[[Tensor], Tensor]

_LOG_RANGE = 150.0  # suprema over u are sought between e^−150 and e^150, where u⁴ is still a float64
_HALVINGS = 64  # of that range, to the last digit
_TOLERANCE = 1e-9  # a function may lie above a chord by this, relative to its values there
_JUMP = 1e-6  # a function may lie above its one-sided limits by this, relative to its value


def conjugate_on_grid(u: Tensor, values: Tensor, t: Tensor) -> Tensor:
    """Return the conjugate of a function given by its values on a grid.

    f*(t) = max_i u_i t − f(u_i), from below: the supremum over all u is never less

    Args:
        u: (n,) points.
        values: (n,) f(u), where +∞ says that u is outside the domain of f.
        t: (m,) slopes.

    Returns:
        (m,); differentiable in t, with slope the maximising u.

    Raises:
        UsageError: for other shapes.
        DataError: for a NaN, an infinite point or slope, or f = ∞ everywhere.

    Reference: Rockafellar (1970), Convex Analysis, section 12.

    Example:
        >>> u = torch.arange(-400, 401) / 100
        >>> conjugate_on_grid(u, u.square() / 2, torch.tensor([0.0, 2.0]))  # t²/2
        tensor([0., 2.])
    """
    _sampled(u, values)
    _points(t=t)
    blocks = [(t[rows, None] * u - values).amax(1) for rows in row_blocks(len(t), len(u))]
    return torch.cat(blocks)


def biconjugate_on_grid(u: Tensor, values: Tensor, t: Tensor) -> Tensor:
    """Return the conjugate of the conjugate, on the grid itself.

    f**(u_i) = max_j u_i t_j − f*(t_j), an equality once the slopes t hold a subgradient at every u_i

    Args:
        u: (n,) points.
        values: (n,) f(u), where +∞ says that u is outside the domain of f.
        t: (m,) slopes to take the suprema over.

    Returns:
        (n,) values, at most `convex_hull(u, values)` and so at most f.

    Raises:
        UsageError: for other shapes.
        DataError: for a NaN, an infinite point or slope, or f = ∞ everywhere.

    Reference: Rockafellar (1970), Convex Analysis, theorem 12.2.

    Example:
        >>> u, t = torch.linspace(-2, 2, 5), torch.linspace(-20, 20, 401)
        >>> biconjugate_on_grid(u, (u.square() - 1).square(), t).abs().round()  # two wells, bridged at 0
        tensor([9., 0., 0., 0., 9.])
    """
    return conjugate_on_grid(t, conjugate_on_grid(u, values, t), u)


def convex_hull(u: Tensor, values: Tensor) -> Tensor:
    """Return the closed convex hull of a sampled function: the largest convex function that is nowhere above it.

    Args:
        u: (n,) increasing points.
        values: (n,) f(u), where +∞ says that u is outside the domain of f.

    Returns:
        (n,) the hull at the same points, +∞ outside those where f is finite; without gradient.

    Raises:
        UsageError: for other shapes, or points that do not increase.
        DataError: for a NaN, an infinite point, or f = ∞ everywhere.

    Reference: Rockafellar (1970), Convex Analysis, corollary 12.1.1; Andrew (1979), Another efficient algorithm
    for convex hulls in two dimensions.

    Example:
        >>> u = torch.linspace(-2, 2, 5)
        >>> convex_hull(u, (u.square() - 1).square())
        tensor([9., 0., 0., 0., 9.])
    """
    import numpy as np

    _sampled(u, values)
    _increasing(u)
    x, y = u.detach().double().cpu().numpy(), values.detach().double().cpu().numpy()
    corners = _corners(x.tolist(), y.tolist())
    hull = np.interp(x, x[corners], y[corners], left=np.inf, right=np.inf)
    return torch.from_numpy(hull).to(values)


def check_convex(f: Function, u: Tensor) -> None:
    """Raise unless f is convex on a grid: no value lies above a chord of the others.

    Args:
        f: the function, entry by entry.
        u: (n,) increasing points, in float64.

    Raises:
        UsageError: for points that do not increase.
        DataError: with the witness: three points of which the middle one lies above the chord of the others.

    Example:
        >>> check_convex(torch.sin, torch.linspace(0, 6, 7, dtype=torch.float64))
        Traceback (most recent call last):
        latentia.errors.DataError: f is not convex: f(2) = 0.909297 is above the chord from f(0) = 0 to f(5) =
        -0.958924
    """
    values = f(u).detach()
    above = (values - convex_hull(u, values)).nan_to_num(nan=0.0)  # both are ∞ where f is
    corners = torch.tensor(_corners(u.tolist(), values.tolist()))
    right = torch.searchsorted(corners, torch.arange(len(u))).clamp(max=len(corners) - 1)
    left = (right - 1).clamp(min=0)
    scale = 1 + torch.maximum(values[corners[left]].abs(), values[corners[right]].abs())
    worst = int((above / scale).argmax())
    if above[worst] > _TOLERANCE * scale[worst]:
        witness = int(corners[left[worst]]), worst, int(corners[right[worst]])
        a, m, b = (f"f({float(u[i]):.6g}) = {float(values[i]):.6g}" for i in witness)
        raise DataError(f"f is not convex: {m} is above the chord from {a} to {b}")


def check_lower_semicontinuous(f: Function, u: Tensor) -> None:
    """Raise unless f(u₀) ≤ lim inf f(u) as u → u₀, at each point of a grid.

    The limits are evaluated four floats away from the points (1e-300 from zero), inside the grid's range. A jump
    between two grid points goes undetected, so the grid must contain the breakpoints of an f defined by cases.

    Args:
        f: the function, entry by entry.
        u: (n,) increasing points, in float64.

    Raises:
        DataError: with the witness: u₀ and the lower value next to it.

    Example:
        >>> check_lower_semicontinuous(lambda u: (u >= 0).double(), torch.tensor([-1.0, 0.0, 1.0]).double())
        Traceback (most recent call last):
        latentia.errors.DataError: f is not lower semicontinuous: f(0) = 1, but f(-1e-300) = 0 next to it
    """
    here = f(u).detach()
    step = (4 * torch.finfo(u.dtype).eps * u.abs()).clamp(min=1e-300)
    for side in (-step, step):
        near = (u + side).clamp(u[0], u[-1])
        there, further = f(near).detach(), f((u + side.sign() * step.sqrt()).clamp(u[0], u[-1])).detach()
        limit = torch.where(here.isinf() & (there > further + 1), torch.inf, there)  # f climbs to its pole
        below = limit < here - _JUMP * (1 + limit.abs())
        for i in below.nonzero().flatten().tolist()[:1]:
            a, b = (f"f({float(x[i]):.6g}) = {float(y[i]):.6g}" for x, y in ((u, here), (near, there)))
            raise DataError(f"f is not lower semicontinuous: {a}, but {b} next to it")


def conjugate_by_bisection(f: Function, slope: Function, t: Tensor) -> Tensor:
    """Return the conjugate of a convex function on u > 0, where f′(u) = t is found by bisection in log u.

    f*(t) = ut − f(u) at f′(u) = t

    Computed in float64. The supremum is sought over e^−150 < u < e^150; where it lies beyond the upper end, ∞ is
    returned, so that a variational bound made of it remains a bound.

    Args:
        f: the convex function, u → f(u).
        slope: its derivative from the logarithm, log u → f′(u), non-decreasing.
        t: (*B,) slopes.

    Returns:
        (*B,) in t's dtype; once differentiable in t, with slope u.

    Example:
        >>> conjugate_by_bisection(lambda u: u * u.log(), lambda log_u: 1 + log_u, torch.tensor([1.0]))  # eᵗ⁻¹
        tensor([1.])
    """
    target = t.detach().double()
    low, high = torch.full_like(target, -_LOG_RANGE), torch.full_like(target, _LOG_RANGE)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = slope(middle).detach() < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    u = high.exp()
    value = (u * t.double() - f(u).detach()).to(t.dtype)
    return torch.where(high < _LOG_RANGE, value, torch.inf)


class _LogWrightOmega(torch.autograd.Function):
    """The solution y of y + eʸ = x, with dy/dx = 1/(1 + eʸ) = σ(−y)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.where(x > 1, x.clamp(min=1).log(), x)  # too large, so that Newton's steps descend to y
        for _ in range(8):
            y = y - (y + y.exp() - x) * torch.sigmoid(-y)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad_outputs[0] * torch.sigmoid(-y)


def log_wright_omega(x: Tensor) -> Tensor:
    """Return log W(eˣ), with W the Lambert function; eˣ itself is never computed.

    y + eʸ = x,  W(eˣ) = eʸ = x − y

    Args:
        x: (*B,).

    Returns:
        (*B,); differentiable, with dy/dx = 1/(1 + W(eˣ)).

    Reference: Corless & Jeffrey (2002), The Wright ω function.

    Example:
        >>> log_wright_omega(torch.tensor([1.0, 1000.0])).exp()  # W(e) = 1
        tensor([  1.0000, 993.0994])
    """
    return cast(Tensor, _LogWrightOmega.apply(x))


def _corners(u: list[float], values: list[float]) -> list[int]:
    """Return the indices of the lower hull's corners, by Andrew's monotone chain."""
    corners: list[int] = []
    for i, value in enumerate(values):
        if value == float("inf"):
            continue
        while len(corners) > 1 and not _turns_up(u, values, corners[-2], corners[-1], i):
            corners.pop()
        corners.append(i)
    return corners


def _turns_up(u: list[float], values: list[float], a: int, m: int, b: int) -> bool:
    """Return whether the middle one of three points lies below the chord of the others."""
    return (values[m] - values[a]) * (u[b] - u[m]) < (values[b] - values[m]) * (u[m] - u[a])


def _sampled(u: Tensor, values: Tensor) -> None:
    _points(u=u)
    if u.shape != values.shape:
        raise UsageError(f"values must have the shape of u; got {tuple(values.shape)} and {tuple(u.shape)}")
    if bool((values.isnan() | (values == -torch.inf)).any()):
        raise DataError("values must be finite, or +∞ outside the domain; got NaN or −∞")
    if not bool(values.isfinite().any()):
        raise DataError("values must be finite somewhere; got +∞ at every point")


def _points(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if tensor.dim() != 1 or not len(tensor):
            raise UsageError(f"{name} must have shape (n,) with n of at least 1; got {tuple(tensor.shape)}")
        if not bool(tensor.isfinite().all()):
            raise DataError(f"{name} must be finite; got NaN or infinite entries")


def _increasing(u: Tensor) -> None:
    for a, b in itertools.pairwise(u.tolist()):
        if not a < b:
            raise UsageError(f"u must increase; got {a:.6g} before {b:.6g}: sort the points, each once")
