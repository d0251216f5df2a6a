"""Wasserstein distances between distributions on the line that are given by their quantile functions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.transport._checks import power_at_least_one, root

Quantile = Callable[[Tensor], Tensor]

_END = 3.1  # of t: u from 8e-16 to 1 − 8e-16; just beyond, u is 1 in float64
_COARSE, _FINEST = 512, 2**21  # intervals in t


def wasserstein_quantiles(
    quantile_x: Quantile, quantile_y: Quantile, p: float = 1, *, tolerance: float = 1e-6
) -> Tensor:
    """Return W_p between two distributions on the line from their quantile functions, by quadrature.

    W_p = (∫₀¹ |Q_x(u) − Q_y(u)|^p du)^(1/p)

    Args:
        quantile_x: u (N,) in (0, 1), float64 → Q_x(u) (N,), as ``torch.distributions.Normal.icdf``.
        quantile_y: likewise.
        p: the power, at least 1.
        tolerance: accepted relative error of W_p^p, estimated from two meshes.

    Returns:
        () in the units of the quantiles; differentiable in their parameters, but for p > 1 not where it is 0:
        train on `wasserstein_quantiles_power`.

    Raises:
        UsageError: for p < 1, or a quantile function that returns another shape.
        DataError: where a quantile is not finite, or the integral does not converge.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, remark 2.30, eq. 2.34.

    Example:
        >>> normal = torch.distributions.Normal
        >>> zero, one, four = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
        >>> wasserstein_quantiles(normal(zero, one).icdf, normal(four, four).icdf, p=2)  # √(4² + 3²)
        tensor(5.0000, dtype=torch.float64)
    """
    return root(wasserstein_quantiles_power(quantile_x, quantile_y, p, tolerance=tolerance), p)


def wasserstein_quantiles_power(
    quantile_x: Quantile, quantile_y: Quantile, p: float = 1, *, tolerance: float = 1e-6
) -> Tensor:
    """Return W_p^p from two quantile functions, by quadrature: `wasserstein_quantiles` without its root.

    ∫₀¹ h(u) du = ∫ h(u(t)) u′(t) dt,   u(t) = ½ + ½ tanh(½π sinh t)

    The trapezoidal rule in t converges exponentially for smooth quantile functions, infinite ends included;
    a kink leaves an error of the order of the squared mesh width, a jump (a discrete distribution) one of the order of
    the width. The mesh is halved until two successive values agree to the tolerance.

    Args:
        quantile_x: u (N,) in (0, 1), float64 → Q_x(u) (N,).
        quantile_y: likewise.
        p: the power, at least 1.
        tolerance: accepted relative error.

    Returns:
        () in the units of the quantiles to the power p; differentiable in their parameters.

    Raises:
        UsageError: for p < 1, or a quantile function that returns another shape.
        DataError: where a quantile is not finite, or the integral does not converge.

    Reference: Takahasi & Mori (1974), Double exponential formulas for numerical integration, eq. 3.1.

    Example:
        >>> wasserstein_quantiles_power(lambda u: u, lambda u: u + 3, p=2)
        tensor(9.0000, dtype=torch.float64)
    """
    power_at_least_one(p)
    if not 0 < tolerance < 1:
        raise UsageError(f"tolerance must lie between 0 and 1; got {tolerance}")

    def integrand(t: Tensor) -> Tensor:
        return _cost(quantile_x, quantile_y, p, t)

    intervals, change = _COARSE, math.inf
    width = 2 * _END / intervals
    ends = integrand(torch.tensor([-_END, _END], dtype=torch.float64))
    inside = torch.linspace(-_END, _END, intervals + 1, dtype=torch.float64)[1:-1]
    total = width * (ends.sum() / 2 + integrand(inside).sum())
    while intervals < _FINEST:
        middles = width * (torch.arange(intervals, dtype=torch.float64) + 0.5) - _END
        finer = (total + width * integrand(middles).sum()) / 2
        change, total = float((finer - total).detach().abs()), finer
        intervals, width = 2 * intervals, width / 2
        if change <= tolerance * float(total.detach()):
            return _with_light_tails(total, ends, tolerance)
    raise DataError(
        f"the quadrature did not converge: {intervals} intervals still change W_p^p by {change:.1g} of "
        f"{float(total.detach()):.3g}; raise tolerance, use wasserstein_1d for discrete distributions, "
        "or lower p: W_p is infinite for a distribution without a p-th moment"
    )


def _cost(quantile_x: Quantile, quantile_y: Quantile, p: float, t: Tensor) -> Tensor:
    """Return |Q_x(u) − Q_y(u)|^p du/dt at u(t)."""
    s = math.pi * torch.sinh(t)
    u = torch.sigmoid(s)  # = ½ + ½ tanh(s/2), accurate near 0
    slope = math.pi * torch.cosh(t) * u * torch.sigmoid(-s)
    x, y = quantile_x(u), quantile_y(u)
    for name, values in (("quantile_x", x), ("quantile_y", y)):
        if values.shape != u.shape:
            raise UsageError(
                f"{name} must return shape {tuple(u.shape)}, as u has; got {tuple(values.shape)}"
            )
        if not bool(torch.isfinite(values).all()):
            raise DataError(f"{name} is not finite at u = {float(u[~torch.isfinite(values)][0]):.3g}")
    gaps = (x.double() - y.double()).abs()
    return (gaps if p == 1 else gaps.pow(p)) * slope


def _with_light_tails(total: Tensor, ends: Tensor, tolerance: float) -> Tensor:
    """Return the integral, or raise where the tails beyond the last nodes are not negligible.

    At the ends du/dt is about (π cosh t) u (1 − u), so the integrand bounds |Q_x − Q_y|^p times the tail
    probability, which is of the order of the omitted part.
    """
    beyond = float(ends.detach().sum()) / (math.pi * math.cosh(_END))
    if beyond > tolerance * float(total.detach()):
        raise DataError(
            f"the tails beyond u = 1e-15 hold about {beyond:.1g} of W_p^p = {float(total.detach()):.3g}: "
            "raise tolerance, or lower p: W_p is infinite for a distribution without a p-th moment"
        )
    return total
