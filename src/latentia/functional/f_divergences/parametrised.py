"""The members of `latentia.divergences` that take a parameter: calling one returns the record."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from latentia.errors import UsageError
from latentia.functional.f_divergences._numerics import inverse_logsigmoid, log_softplus, weighted_expm1
from latentia.functional.f_divergences.divergence import Domain, FDivergence
from latentia.registry import divergences


@divergences.register("jensen-shannon-weighted")
def jensen_shannon_weighted(weight: float) -> FDivergence:
    """Weighted Jensen-Shannon, π KL(p‖m) + (1 − π) KL(q‖m) with m = πp + (1 − π)q; π = ½ is JSD itself.

    f(u) = π u log u − (1 − π + πu) log(1 − π + πu)

    Args:
        weight: π, in (0, 1).

    Raises:
        UsageError: for another π.

    Reference: Nowozin, Cseke & Tomioka (2016), f-GAN, supplement, table 5; Lin (1991), Divergence measures based
    on the Shannon entropy, eq. 4.1.
    """
    pi = _parameter("weight", weight)
    if not 0 < pi < 1:
        raise UsageError(f"weight must be above 0 and below 1; got {weight}")
    rest, high = 1 - pi, -pi * math.log(pi)

    def integrand(log_p: Tensor, log_q: Tensor) -> Tensor:
        log_m = torch.logaddexp(log_p + math.log(pi), log_q + math.log(rest))
        return pi * log_p.exp() * (log_p - log_m) + rest * log_q.exp() * (log_q - log_m)

    def log_fraction(r: Tensor) -> Tensor:
        """Return log(πp/m), m = πp + (1 − π)q: the log-probability that a row of m is from p."""
        return logsigmoid(r + math.log(pi / rest))

    def of_activation(v: Tensor) -> Tensor:
        """(1 − π)[log(1 − π) − log(1 − σ(v)^{1/π})], where for large v the last logarithm is −v − log π."""
        near = torch.where(v > 37, 0.0, v)
        last = torch.where(v > 37, -v - math.log(pi), torch.log(-torch.expm1(logsigmoid(near) / pi)))
        return rest * (math.log(rest) - last)

    return FDivergence(
        name=f"jensen-shannon-weighted({pi:g})",
        generator=lambda u: pi * u * u.log() - (rest + pi * u) * torch.log(rest + pi * u),
        integrand=integrand,
        optimal_critic=lambda r: high + pi * log_fraction(r),
        conjugate_inside=lambda t: -rest * torch.log1p(-pi / rest * torch.expm1(t / pi)),
        domain=Domain(high),
        activation=lambda v: high + logsigmoid(v),
        conjugate_of_activation=of_activation,
        optimal_score=lambda r: inverse_logsigmoid(-pi * log_fraction(r)),
        at_zero=-rest * math.log(rest),
    )


@divergences.register("alpha")
def alpha(alpha: float) -> FDivergence:
    """Alpha-divergence (Σ p^α q^(1−α) − 1)/(α(α − 1)), which tends to kl for α → 1 and reverse-kl for α → 0.

    f(u) = (u^α − 1 − α(u − 1))/(α(α − 1)), computed so that nothing cancels near 0 and 1. α = 2 is half of
    pearson, −1 half of neyman, ½ twice squared-hellinger. Texts that have (q/p)^α with this f define D_f(q, p).

    Args:
        alpha: α, finite, other than 0 and 1.

    Raises:
        UsageError: for α = 0 or 1, whose limits are reverse-kl and kl.

    Reference: Nowozin, Cseke & Tomioka (2016), f-GAN, supplement, tables 5 and 6; Cichocki & Amari (2010),
    Families of alpha- beta- and gamma-divergences, eq. 20.
    """
    a = _parameter("alpha", alpha)
    if a in (0, 1):
        raise UsageError(f"alpha = {a:g} is a limit: use {'kl' if a else 'reverse-kl'!r}")
    return _alpha_above_one(a) if a > 1 else _alpha_below_one(a)


def _alpha_above_one(a: float) -> FDivergence:
    def conjugate(t: Tensor) -> Tensor:
        """((1 + (α−1)t)^{α/(α−1)} − 1)/α, and −1/α = −f(0) for t below f′(0) = −1/(α−1)."""
        above = (a - 1) * t > -1
        return torch.where(above, _alpha_conjugate(a, torch.where(above, t, 0.0)), -1 / a)

    return FDivergence(
        name=f"alpha({a:g})",
        generator=lambda u: _alpha_integrand(a, u.log(), torch.zeros_like(u)),
        integrand=lambda log_p, log_q: _alpha_integrand(a, log_p, log_q),
        optimal_critic=lambda r: torch.expm1((a - 1) * r) / (a - 1),
        conjugate_inside=conjugate,
        domain=Domain(),
        activation=lambda v: v,
        conjugate_of_activation=conjugate,
        optimal_score=lambda r: torch.expm1((a - 1) * r) / (a - 1),
        at_zero=1 / a,
    )


def _alpha_below_one(a: float) -> FDivergence:
    high = 1 / (1 - a)

    def of_activation(v: Tensor) -> Tensor:
        """(((1 − α) log(1 + e⁻ᵛ))^{−α/(1−α)} − 1)/α."""
        return torch.expm1(-a / (1 - a) * (math.log(1 - a) + log_softplus(-v))) / a

    return FDivergence(
        name=f"alpha({a:g})",
        generator=lambda u: _alpha_integrand(a, u.log(), torch.zeros_like(u)),
        integrand=lambda log_p, log_q: _alpha_integrand(a, log_p, log_q),
        optimal_critic=lambda r: -torch.expm1((a - 1) * r) / (1 - a),
        conjugate_inside=lambda t: _alpha_conjugate(a, t),
        domain=Domain(high, at_high=-1 / a if a < 0 else math.inf),
        activation=lambda v: high + logsigmoid(v),
        conjugate_of_activation=of_activation,
        optimal_score=lambda r: inverse_logsigmoid(torch.exp((a - 1) * r) / (1 - a)),
        at_zero=1 / a if a > 0 else math.inf,
    )


def _alpha_integrand(a: float, log_p: Tensor, log_q: Tensor) -> Tensor:
    """(p^α q^{1−α} − q − α(p − q))/(α(α−1)), expanded around the nearer of the limits α = 1 and α = 0."""
    p, q, r = log_p.exp(), log_q.exp(), log_p - log_q
    if a >= 0.5:
        return (weighted_expm1(log_p, (a - 1) * r) / (a - 1) - (p - q)) / a
    return ((p - q) - weighted_expm1(log_q, a * r) / a) / (1 - a)


def _alpha_conjugate(a: float, t: Tensor) -> Tensor:
    return torch.expm1(a / (a - 1) * torch.log1p((a - 1) * t)) / a


def _parameter(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise UsageError(f"{name} must be a finite number; got {value}")
    return float(value)
