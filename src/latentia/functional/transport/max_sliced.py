"""The max-sliced Wasserstein distance: transport along the direction that separates two sets most."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latentia.errors import UsageError
from latentia.functional.checks import finite, point_sets
from latentia.functional.transport._checks import root
from latentia.functional.transport.sliced import (
    costs_of_directions,
    random_directions,
    sliced_wasserstein_power,
)

Costs = Callable[[Tensor], tuple[Tensor, Tensor]]

_ANGLES = tuple(math.pi / 2 ** (k + 1) for k in range(12))  # from 90° to 0.04°


def max_sliced_wasserstein(
    x: Tensor,
    y: Tensor,
    p: float = 2,
    projections: int = 50,
    steps: int = 20,
    generator: torch.Generator | None = None,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> Tensor:
    """Return the Wasserstein distance W_p along the direction that separates two sets of points most.

    max_θ W_p(θᵀx, θᵀy) over the unit sphere

    The direction is found by a local search (`max_sliced_direction`), so the value is a lower bound of the
    maximum, and never less than that of the best of the random directions it starts from.

    Args:
        x: (n, d) points.
        y: (m, d) points; m need not be n.
        p: the power, at least 1.
        projections: random directions to start from.
        steps: of the ascent.
        generator: source of the directions; default: torch's global generator.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.

    Returns:
        () in the units of the points; its root has an infinite derivative at 0, so train on
        `max_sliced_wasserstein_power`.

    Raises:
        UsageError: for p < 1, fewer than 1 projection, steps < 0, or shapes that do not fit.
        DataError: for NaN or infinite values, no points, or bad weights.

    Reference: Deshpande et al. (2019), Max-Sliced Wasserstein Distance and its use for GANs, definition 1.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> seeded = torch.Generator().manual_seed(0)
        >>> float(max_sliced_wasserstein(x, x + torch.tensor([3.0, 4.0]), generator=seeded).round(decimals=3))
        5.0
    """
    power = max_sliced_wasserstein_power(x, y, p, projections, steps, generator, weights_x, weights_y)
    return root(power, p)


def max_sliced_wasserstein_power(
    x: Tensor,
    y: Tensor,
    p: float = 2,
    projections: int = 50,
    steps: int = 20,
    generator: torch.Generator | None = None,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> Tensor:
    """Return W_p^p along the direction that separates two sets of points most: a lower bound of the maximum.

    The gradient treats the direction as constant, which is exact at a maximum (the envelope theorem).

    Args:
        x: (n, d) points.
        y: (m, d) points; m need not be n.
        p: the power, at least 1.
        projections: random directions to start from.
        steps: of the ascent.
        generator: source of the directions; default: torch's global generator.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.

    Returns:
        () in the units of the points to the power p; differentiable in points and weights.

    Raises:
        UsageError: for p < 1, fewer than 1 projection, steps < 0, or shapes that do not fit.
        DataError: for NaN or infinite values, no points, or bad weights.

    Reference: Deshpande et al. (2019), Max-Sliced Wasserstein Distance and its use for GANs, definition 1.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> seeded = torch.Generator().manual_seed(0)
        >>> y = x + torch.tensor([3.0, 4.0])
        >>> float(max_sliced_wasserstein_power(x, y, generator=seeded).round(decimals=3))
        25.0
    """
    direction = max_sliced_direction(x, y, p, projections, steps, generator, weights_x, weights_y)
    return sliced_wasserstein_power(
        x, y, p, weights_x=weights_x, weights_y=weights_y, directions=direction[None]
    )


@torch.no_grad()
def max_sliced_direction(
    x: Tensor,
    y: Tensor,
    p: float = 2,
    projections: int = 50,
    steps: int = 20,
    generator: torch.Generator | None = None,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> Tensor:
    """Search for the unit vector along which W_p between two sets of points is largest.

    From the best of the random directions each step follows the great circle of the gradient,
    θ(a) = cos(a) θ + sin(a) g/‖g‖ with g the component of the gradient orthogonal to θ, to the best of twelve angles a
    from 90° to 0.04°. It ends early where none is better, so the value never falls. It finds a local maximum.

    Args:
        x: (n, d) points.
        y: (m, d) points; m need not be n.
        p: the power, at least 1.
        projections: random directions to start from.
        steps: of the ascent.
        generator: source of the directions; default: torch's global generator.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.

    Returns:
        (d,), of length 1.

    Raises:
        UsageError: for p < 1, fewer than 1 projection, steps < 0, or shapes that do not fit.
        DataError: for NaN or infinite values, no points, or bad weights.

    Example:
        >>> x = torch.zeros(1, 2)
        >>> seeded = torch.Generator().manual_seed(0)
        >>> direction = max_sliced_direction(x, x + torch.tensor([0.0, 2.0]), generator=seeded)
        >>> float(direction[1].abs().round(decimals=3))
        1.0
    """
    if steps < 0:
        raise UsageError(f"steps must be at least 0; got {steps}")
    finite(x=x, y=y)
    point_sets(x=x, y=y)

    def costs(directions: Tensor) -> tuple[Tensor, Tensor]:
        return costs_of_directions(x, y, directions, p, weights_x, weights_y)

    directions = random_directions(projections, x.shape[1], generator, dtype=x.dtype).to(x.device)
    best, value = _best(directions, costs)
    for _ in range(steps):
        candidate, higher = _best(_great_circle(best, costs), costs)
        if higher <= value:
            break
        best, value = candidate, higher
    return best


def _best(directions: Tensor, costs: Costs) -> tuple[Tensor, Tensor]:
    """Return the direction of largest W_p^p, and its value."""
    values = costs(directions)[1]
    return directions[values.argmax()], values.max()


def _great_circle(direction: Tensor, costs: Costs) -> Tensor:
    """Return the directions at the given angles along the great circle of steepest ascent."""
    with torch.enable_grad():
        leaf = direction.clone().requires_grad_()
        (slope,) = torch.autograd.grad(costs(leaf[None])[0], leaf)
    across = slope - (slope @ direction) * direction
    if not bool(across.norm() > 0):
        return direction[None]
    angles = torch.tensor(_ANGLES, dtype=direction.dtype, device=direction.device)[:, None]
    return normalize(angles.cos() * direction + angles.sin() * across / across.norm(), dim=1)
