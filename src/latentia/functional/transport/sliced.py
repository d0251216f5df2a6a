"""Sliced Wasserstein distances: transport between projections on lines, solved by sorting.

A name ends in ``_power`` where it returns the mean of W_p^p over directions; its p-th root is the distance. Train on
the power: the root of p > 1 has an infinite derivative at 0.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import finite, point_sets
from latentia.functional.transport._checks import (
    normalised_weights,
    power_at_least_one,
    root,
)
from latentia.functional.transport.projections import mean_cost


@dataclass(frozen=True)
class SlicedEstimate:
    """A sliced Wasserstein distance to the power p, with its standard error over random directions.

    Attributes:
        value_power: () the mean of W_p^p over directions, in the units of the points to the power p.
        stderr: () the standard error of that mean as an estimate of the mean over the whole sphere; the sampling
            error of the points is not included.
    """

    value_power: Tensor
    stderr: Tensor


def sliced_wasserstein(
    x: Tensor,
    y: Tensor,
    p: float = 2,
    projections: int = 500,
    generator: torch.Generator | None = None,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
    *,
    directions: Tensor | None = None,
) -> Tensor:
    """Return the sliced Wasserstein distance SW_p between two sets of points.

    SW_p = (E_θ W_p^p(θᵀx, θᵀy))^(1/p), θ uniform on the unit sphere, the mean taken over random directions

    SW_2 of a shift by c in d dimensions is ‖c‖/√d, not ‖c‖. The root has an infinite derivative where the sets
    are equal: train on `sliced_wasserstein_power`.

    Args:
        x: (n, d) points.
        y: (m, d) points; m need not be n.
        p: the power, at least 1.
        projections: L, the number of directions to draw.
        generator: source of the directions; default: torch's global generator.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.
        directions: (L, d) to use instead of random ones; each is divided by its length here.

    Returns:
        () in the units of the points.

    Raises:
        UsageError: for p < 1, fewer than 1 projection, or shapes that do not fit.
        DataError: for NaN or infinite values, no points, bad weights, or a direction that is 0.

    Reference: Bonneel et al. (2015), Sliced and Radon Wasserstein Barycenters of Measures, definition 4, to the
    power 1/p.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> sliced_wasserstein(x, x + torch.tensor([3.0, 4.0]), directions=torch.eye(2))  # √((9 + 16)/2)
        tensor(3.5355)
    """
    value = sliced_wasserstein_power(
        x, y, p, projections, generator, weights_x, weights_y, directions=directions
    )
    return root(value, p)


def sliced_wasserstein_power(
    x: Tensor,
    y: Tensor,
    p: float = 2,
    projections: int = 500,
    generator: torch.Generator | None = None,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
    *,
    directions: Tensor | None = None,
) -> Tensor:
    """Return SW_p^p, the mean over directions of W_p^p of the projected points: the loss to train on.

    For n = m and equal weights it is (1/L) Σ_l (1/n) Σ_i |θ_lᵀx − θ_lᵀy|_(i)^p, the i-th smallest with the i-th
    smallest: 1/n goes with the sum over points and 1/L with that over directions.

    Directions are projected in blocks and each block is differentiated as it is made, so memory does not grow
    with L, whether or not a gradient is required. The gradient is once differentiable.

    Args:
        x: (n, d) points.
        y: (m, d) points; m need not be n.
        p: the power, at least 1.
        projections: L, the number of directions to draw.
        generator: source of the directions; default: torch's global generator.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.
        directions: (L, d) to use instead of random ones; each is divided by its length here.

    Returns:
        () in the units of the points to the power p; differentiable in points, weights and given directions.

    Raises:
        UsageError: for p < 1, fewer than 1 projection, or shapes that do not fit.
        DataError: for NaN or infinite values, no points, bad weights, or a direction that is 0.

    Reference: Bonneel et al. (2015), Sliced and Radon Wasserstein Barycenters of Measures, definition 4.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> sliced_wasserstein_power(x, x + torch.tensor([3.0, 4.0]), directions=torch.eye(2))  # (9 + 16)/2
        tensor(12.5000)
    """
    theta = _directions(x, projections, generator, directions)
    return costs_of_directions(x, y, theta, p, weights_x, weights_y)[0]


def sliced_wasserstein_estimate(
    x: Tensor,
    y: Tensor,
    p: float = 2,
    projections: int = 500,
    generator: torch.Generator | None = None,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
    *,
    directions: Tensor | None = None,
) -> SlicedEstimate:
    """Return SW_p^p, as `sliced_wasserstein_power` does, with its standard error over the directions.

    se² = var_l(W_p^p(θ_lᵀx, θ_lᵀy)) / L

    Args:
        x: (n, d) points.
        y: (m, d) points; m need not be n.
        p: the power, at least 1.
        projections: L, the number of directions to draw, at least 2.
        generator: source of the directions; default: torch's global generator.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.
        directions: (L, d) to use instead of random ones; the standard error assumes that they are independent.

    Raises:
        UsageError: for p < 1, fewer than 2 directions, or shapes that do not fit.
        DataError: for NaN or infinite values, no points, bad weights, or a direction that is 0.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> sliced_wasserstein_estimate(x, x + torch.tensor([3.0, 4.0]), directions=torch.eye(2)).stderr
        tensor(3.5000)
    """
    theta = _directions(x, projections, generator, directions)
    if len(theta) < 2:
        raise UsageError("a standard error needs at least 2 directions; got 1: raise projections")
    value, costs = costs_of_directions(x, y, theta, p, weights_x, weights_y)
    return SlicedEstimate(value, (costs.std() / len(costs) ** 0.5).to(value.dtype))


def random_directions(
    projections: int,
    d: int,
    generator: torch.Generator | None = None,
    *,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Draw directions that are uniform on the unit sphere: normal vectors divided by their lengths, (L, d).

    Args:
        projections: L.
        d: dimension of the space.
        generator: source of randomness; default: torch's global generator. The directions are on its device.
        dtype: of the directions.

    Raises:
        UsageError: for fewer than 1 direction or dimension.

    Reference: Muller (1959), A note on a method for generating points uniformly on n-dimensional spheres.

    Example:
        >>> random_directions(3, 5, torch.Generator().manual_seed(0)).norm(dim=1).round(decimals=4)
        tensor([1., 1., 1.])
    """
    if projections < 1 or d < 1:
        raise UsageError(f"projections and d must be at least 1; got {projections} and {d}")
    device = torch.device("cpu") if generator is None else generator.device
    normal = torch.randn(projections, d, generator=generator, dtype=dtype, device=device)
    return torch.nn.functional.normalize(normal, dim=1)


def _directions(
    x: Tensor, projections: int, generator: torch.Generator | None, given: Tensor | None
) -> Tensor:
    """Return (L, d) unit vectors, drawn or given; the points themselves are checked later."""
    d = x.shape[-1] if x.dim() else 1
    if given is None:
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        return random_directions(projections, d, generator, dtype=dtype).to(x.device)
    if given.dim() != 2 or given.shape[1] != d or not len(given):
        raise UsageError(
            f"directions must have shape (L, d) with L >= 1 and the d = {d} of the points; "
            f"got {tuple(given.shape)}"
        )
    finite(directions=given)
    lengths = given.norm(dim=1, keepdim=True)
    if not bool((lengths > 0).all()):
        raise DataError("directions must not hold a vector of length 0")
    return given / lengths


def costs_of_directions(
    x: Tensor,
    y: Tensor,
    directions: Tensor,
    p: float = 2,
    weights_x: Tensor | None = None,
    weights_y: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the mean over directions of W_p^p of the projected points, and W_p^p of each direction.

    Args:
        x: (n, d) points.
        y: (m, d) points; m need not be n.
        directions: (L, d) unit vectors.
        p: the power, at least 1.
        weights_x: (n,) ≥ 0, normalised here to sum to one; default: equal weights.
        weights_y: (m,) likewise.

    Returns:
        (), differentiable in all tensors, and (L,) float64, not differentiable.

    Raises:
        UsageError: for p < 1, or shapes that do not fit.
        DataError: for NaN or infinite values, no points, or bad weights.

    Example:
        >>> x = torch.zeros(1, 2)
        >>> costs_of_directions(x, x + torch.tensor([1.0, 3.0]), torch.eye(2), p=1)
        (tensor(2.), tensor([1., 3.], dtype=torch.float64))
    """
    power_at_least_one(p)
    point_sets(x=x, y=y)
    if not (x.is_floating_point() and y.is_floating_point()):
        raise UsageError(
            f"x and y must hold floating-point numbers; got {x.dtype} and {y.dtype}: convert them"
        )
    dtype = torch.promote_types(x.dtype, y.dtype)
    work = torch.float64 if dtype == torch.float64 else torch.float32
    x, y, directions = (tensor.to(work) for tensor in (x, y, directions))
    center = y.detach().mean(0)  # W is invariant to a common shift; near zero the products lose fewer digits
    weights: list[Tensor] = []
    if weights_x is not None or weights_y is not None:
        weights = [_masses("weights_x", weights_x, x), _masses("weights_y", weights_y, y)]
    value, costs = mean_cost(p, directions, x - center, y - center, *weights)
    return value.to(dtype), costs


def _masses(name: str, weights: Tensor | None, points: Tensor) -> Tensor:
    if weights is not None and weights.dim() != 1:
        raise UsageError(f"{name} must be one vector of weights; got shape {tuple(weights.shape)}")
    return normalised_weights(name, weights, points, len(points))
