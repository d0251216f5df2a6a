"""The members of `latentia.divergences`: one record each, f with f(1) = 0 unless stated otherwise.

In the formulas u = p/q, r = log u, and v is a critic's raw score. A conjugate is taken over u ≥ 0, so it is −f(0)
for slopes t below f′(0): published tables that omit this give a looser bound, or NaN, there.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from latentia.functional.f_divergences.divergence import Domain, FDivergence
from latentia.functional.fenchel import log_wright_omega
from latentia.registry import divergences

LOG_2 = math.log(2)


def _record(make: Callable[[], FDivergence]) -> FDivergence:
    """Call the function once; its docstring becomes the record's."""
    record = make()
    object.__setattr__(record, "__doc__", make.__doc__)  # the dataclass is frozen
    return record


def _same(v: Tensor) -> Tensor:
    return v


def _pearson_conjugate(t: Tensor) -> Tensor:
    """t²/4 + t, and −1 = −f(0) for t < f′(0) = −2."""
    t = t.clamp(min=-2)
    return t.square() / 4 + t


def _jeffreys_conjugate(t: Tensor) -> Tensor:
    """W + 1/W + t − 2 with W = W(e¹⁻ᵗ); y = log W and y + W = 1 − t leave e⁻ʸ − 1 − y, which does not cancel."""
    y = log_wright_omega(1 - t)
    return torch.expm1(-y) - y


@divergences.register("total-variation")
@_record
def total_variation() -> FDivergence:
    """Total variation: f(u) = |u − 1|/2, D = ½ Σ |p − q|, in [0, 1]."""
    return FDivergence(
        name="total-variation",
        generator=lambda u: (u - 1).abs() / 2,
        integrand=lambda log_p, log_q: (log_p.exp() - log_q.exp()).abs() / 2,
        optimal_critic=lambda r: torch.sign(r) / 2,
        conjugate_inside=lambda t: t.clamp(min=-0.5),
        domain=Domain(0.5, at_high=0.5),
        activation=lambda v: torch.tanh(v) / 2,
        conjugate_of_activation=lambda v: torch.tanh(v) / 2,
        optimal_score=lambda r: torch.where(r == 0, r, torch.copysign(torch.full_like(r, torch.inf), r)),
        at_zero=0.5,
    )


@divergences.register("kl")
@_record
def kl() -> FDivergence:
    """Kullback-Leibler, KL(p‖q): f(u) = u log u; infinite where q misses mass of p."""
    return FDivergence(
        name="kl",
        generator=lambda u: u * u.log(),
        integrand=lambda log_p, log_q: log_p.exp() * (log_p - log_q),
        optimal_critic=lambda r: 1 + r,
        conjugate_inside=lambda t: torch.exp(t - 1),
        domain=Domain(),
        activation=_same,
        conjugate_of_activation=lambda v: torch.exp(v - 1),
        optimal_score=lambda r: 1 + r,
        at_zero=0.0,
    )


@divergences.register("reverse-kl")
@_record
def reverse_kl() -> FDivergence:
    """Reverse Kullback-Leibler, KL(q‖p): f(u) = −log u; infinite where q has mass that p lacks."""
    return FDivergence(
        name="reverse-kl",
        generator=lambda u: -u.log(),
        integrand=lambda log_p, log_q: log_q.exp() * (log_q - log_p),
        optimal_critic=lambda r: -torch.exp(-r),
        conjugate_inside=lambda t: -1 - torch.log(-t),
        domain=Domain(0.0),
        activation=lambda v: -torch.exp(-v),
        conjugate_of_activation=lambda v: v - 1,
        optimal_score=_same,
        at_zero=math.inf,
    )


@divergences.register("pearson")
@_record
def pearson() -> FDivergence:
    """Pearson χ²: f(u) = (u − 1)², D = Σ (p − q)²/q."""
    return FDivergence(
        name="pearson",
        generator=lambda u: (u - 1).square(),
        integrand=lambda log_p, log_q: (torch.exp(log_p - log_q / 2) - torch.exp(log_q / 2)).square(),
        optimal_critic=lambda r: 2 * torch.expm1(r),
        conjugate_inside=_pearson_conjugate,
        domain=Domain(),
        activation=_same,
        conjugate_of_activation=_pearson_conjugate,
        optimal_score=lambda r: 2 * torch.expm1(r),
        at_zero=1.0,
    )


@divergences.register("neyman")
@_record
def neyman() -> FDivergence:
    """Neyman χ²: f(u) = (1 − u)²/u, D = Σ (p − q)²/p."""
    return FDivergence(
        name="neyman",
        generator=lambda u: (1 - u).square() / u,
        integrand=lambda log_p, log_q: (torch.exp(log_q - log_p / 2) - torch.exp(log_p / 2)).square(),
        optimal_critic=lambda r: -torch.expm1(-2 * r),
        conjugate_inside=lambda t: 2 - 2 * torch.sqrt(1 - t),
        domain=Domain(1.0, at_high=2.0),
        activation=lambda v: -torch.expm1(-v),
        conjugate_of_activation=lambda v: -2 * torch.expm1(-v / 2),
        optimal_score=lambda r: 2 * r,
        at_zero=math.inf,
    )


@divergences.register("squared-hellinger")
@_record
def squared_hellinger() -> FDivergence:
    """Squared Hellinger: f(u) = (√u − 1)², D = Σ (√p − √q)², in [0, 2] (some texts halve it)."""
    return FDivergence(
        name="squared-hellinger",
        generator=lambda u: (u.sqrt() - 1).square(),
        integrand=lambda log_p, log_q: (torch.exp(log_p / 2) - torch.exp(log_q / 2)).square(),
        optimal_critic=lambda r: -torch.expm1(-r / 2),
        conjugate_inside=lambda t: t / (1 - t),
        domain=Domain(1.0),
        activation=lambda v: -torch.expm1(-v),
        conjugate_of_activation=lambda v: torch.expm1(v),
        optimal_score=lambda r: r / 2,
        at_zero=1.0,
    )


@divergences.register("jeffreys")
@_record
def jeffreys() -> FDivergence:
    """Jeffreys, KL(p‖q) + KL(q‖p): f(u) = (u − 1) log u; its conjugate involves the Lambert W function."""
    return FDivergence(
        name="jeffreys",
        generator=lambda u: (u - 1) * u.log(),
        integrand=lambda log_p, log_q: (log_p.exp() - log_q.exp()) * (log_p - log_q),
        optimal_critic=lambda r: r - torch.expm1(-r),
        conjugate_inside=_jeffreys_conjugate,
        domain=Domain(),
        activation=_same,
        conjugate_of_activation=_jeffreys_conjugate,
        optimal_score=lambda r: r - torch.expm1(-r),
        at_zero=math.inf,
    )


@divergences.register("jensen-shannon")
@_record
def jensen_shannon() -> FDivergence:
    """Twice Jensen-Shannon, 2 JSD(p, q), in [0, 2 log 2]: f(u) = u log u − (u + 1) log((u + 1)/2)."""
    return FDivergence(
        name="jensen-shannon",
        generator=lambda u: u * u.log() - (u + 1) * torch.log((u + 1) / 2),
        integrand=lambda log_p, log_q: (
            log_p.exp() * (LOG_2 + logsigmoid(log_p - log_q))
            + log_q.exp() * (LOG_2 + logsigmoid(log_q - log_p))
        ),
        optimal_critic=lambda r: LOG_2 + logsigmoid(r),
        conjugate_inside=lambda t: -torch.log1p(-torch.expm1(t)),
        domain=Domain(LOG_2),
        activation=lambda v: LOG_2 + logsigmoid(v),
        conjugate_of_activation=lambda v: softplus(v) - LOG_2,
        optimal_score=_same,
        at_zero=LOG_2,
    )


@divergences.register("gan")
@_record
def gan() -> FDivergence:
    """The value of the original GAN's game, 2 JSD − log 4, in [−log 4, 0]: f(u) = u log u − (u + 1) log(u + 1)."""
    return FDivergence(
        name="gan",
        generator=lambda u: u * u.log() - (u + 1) * torch.log(u + 1),
        integrand=lambda log_p, log_q: (
            log_p.exp() * logsigmoid(log_p - log_q) + log_q.exp() * logsigmoid(log_q - log_p)
        ),
        optimal_critic=logsigmoid,
        conjugate_inside=lambda t: -torch.log(-torch.expm1(t)),
        domain=Domain(0.0),
        activation=logsigmoid,
        conjugate_of_activation=softplus,
        optimal_score=_same,
        at_zero=0.0,
        at_one=-2 * LOG_2,
    )
