"""An f-divergence from a user's own generator f."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from latentia.errors import DataError, UsageError
from latentia.functional.f_divergences._numerics import inverse_logsigmoid
from latentia.functional.f_divergences.divergence import Domain, FDivergence, Function
from latentia.functional.fenchel import check_convex, check_lower_semicontinuous, conjugate_by_bisection

_LOG_LARGEST = 700.0  # of a float64


def from_function(
    f: Function,
    *,
    name: str = "custom",
    at_zero: float | None = None,
    slope_at_infinity: float | None = None,
    breakpoints: Sequence[float] = (),
) -> FDivergence:
    """Return the f-divergence of a function, after checking that it is one.

    f is checked in float64: f(1) = 0; lower semicontinuous at 0, 1 and the breakpoints; convex on these and
    2,001 points from e⁻²⁰ to e²⁰. Its derivative comes from autograd, its conjugate from bisection (once
    differentiable), and its activation is v, or f′(∞) + log σ(v) where f′(∞) is finite.

    Args:
        f: the generator, u → f(u) entry by entry on u > 0, in torch operations.
        name: for messages and `FDivergence.name`.
        at_zero: f(0), for a formula that gives NaN there.
        slope_at_infinity: f′(∞) = lim f(u)/u; default: evaluated at u = 1e80 and 1e100.
        breakpoints: points between the cases of an f defined by cases, where it may jump.

    Raises:
        UsageError: for breakpoints that are not positive, or an f that does not map entry by entry.
        DataError: for an f that is not finite on u > 0, not 0 at 1, not lower semicontinuous or not convex,
            with the points that witness it.

    Example:
        >>> chi = from_function(lambda u: (u - 1).abs() ** 1.5, name="chi^1.5")
        >>> chi.discrete(torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5]))
        tensor(0.3536)
    """
    if not all(0 < point < math.inf for point in breakpoints):
        raise UsageError(f"breakpoints must be positive and finite; got {tuple(breakpoints)}")
    special = _float64(1.0, *breakpoints)
    u = torch.cat([special, torch.linspace(-20, 20, 2001, dtype=torch.float64).exp()])
    u = u[u > 0].unique()
    _check_values(f, u)
    zero = _value_at_zero(f) if at_zero is None else at_zero
    extended = partial(_with_zero, f, zero)
    check_lower_semicontinuous(
        extended, torch.cat([_float64(0.0), special, 2 * special.max()[None]]).unique()
    )
    check_convex(extended, torch.cat([_float64(0.0), u]))
    high = _limit(_chords(f, (1e80, 1e100))) if slope_at_infinity is None else slope_at_infinity
    at_high = _limit(_intercepts(f, high, (1e6, 1e8))) if math.isfinite(high) else math.inf
    at_low = -_limit(-_slope(f, _float64(1e-80, 1e-100).log()))
    return _record(f, name, zero, at_low, Domain(high, at_high))


def _record(f: Function, name: str, at_zero: float, slope_at_zero: float, domain: Domain) -> FDivergence:
    high, bounded = domain.high, math.isfinite(domain.high)

    def critic(log_ratio: Tensor) -> Tensor:
        inside = _slope(f, torch.where(log_ratio.isinf(), 0.0, log_ratio))
        above = torch.where(log_ratio == torch.inf, high, inside)
        return torch.where(log_ratio == -torch.inf, slope_at_zero, above)

    def activation(v: Tensor) -> Tensor:
        return high + logsigmoid(v) if bounded else v

    def score(log_ratio: Tensor) -> Tensor:
        return inverse_logsigmoid(high - critic(log_ratio)) if bounded else critic(log_ratio)

    record = FDivergence(
        name=name,
        generator=f,
        integrand=lambda log_p, log_q: _integrand(f, at_zero, high, log_p, log_q),
        optimal_critic=critic,
        conjugate_inside=lambda t: conjugate_by_bisection(f, critic, t),
        domain=domain,
        activation=activation,
        conjugate_of_activation=lambda v: record.conjugate(activation(v)),
        optimal_score=score,
        at_zero=at_zero,
    )
    return record


def _slope(f: Function, log_u: Tensor) -> Tensor:
    """Return f′(u) by autograd, in float64 inside."""
    with torch.enable_grad():
        u = log_u.double().exp()
        u = u if u.requires_grad else u.requires_grad_()
        (slope,) = torch.autograd.grad(f(u).sum(), u, create_graph=log_u.requires_grad)
    return slope.to(log_u.dtype)


def _integrand(f: Function, at_zero: float, high: float, log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return q f(u) for u ≤ 1 and p f(u)/u above, in float64 inside, with the limits where u is not a float64."""
    r = (log_p - log_q).double()
    u = r.clamp(-_LOG_LARGEST, _LOG_LARGEST).exp()
    value = torch.where(r > 0, f(u) / u, f(u))
    value = torch.where(r > _LOG_LARGEST, high, torch.where(r < -_LOG_LARGEST, at_zero, value))
    weight = torch.maximum(log_p, log_q).double().exp()
    return (weight * torch.where(weight > 0, value, 0.0)).to(log_p.dtype)


def _check_values(f: Function, u: Tensor) -> None:
    values, one = f(u).detach(), _float64(1.0)
    if values.shape != u.shape:
        raise UsageError(f"f must map entry by entry; got {tuple(values.shape)} from {tuple(u.shape)}")
    for i in (~values.isfinite()).nonzero().flatten().tolist()[:1]:
        raise DataError(f"f must be finite for u > 0; got f({float(u[i]):.6g}) = {float(values[i])}")
    at_one = float(f(one).detach())
    if abs(at_one) > 1e-9:
        raise DataError(f"f(1) must be 0, so that D_f(p, p) = 0; got f(1) = {at_one:.6g}: subtract it")


def _value_at_zero(f: Function) -> float:
    value = float(f(_float64(0.0)).detach())
    if math.isnan(value):
        raise DataError("f(0) is NaN; give its limit as at_zero=, or write u log u as torch.xlogy(u, u)")
    return value


def _with_zero(f: Function, at_zero: float, u: Tensor) -> Tensor:
    return torch.where(u > 0, f(torch.where(u > 0, u, 1.0)), at_zero)


def _chords(f: Function, at: tuple[float, float]) -> Tensor:
    u = _float64(*at)
    return f(u).detach() / u


def _intercepts(f: Function, slope: float, at: tuple[float, float]) -> Tensor:
    u = _float64(*at)
    return u * slope - f(u).detach()


def _limit(values: Tensor) -> float:
    """Return the limit of an increasing sequence from two late values: the last one if they agree, otherwise ∞."""
    first, last = values.tolist()
    return last if abs(last - first) <= 1e-6 * (1 + abs(last)) else math.inf


def _float64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
