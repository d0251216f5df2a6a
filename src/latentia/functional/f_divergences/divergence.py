"""The record of an f-divergence: its formulas, and the divergences, bounds and losses computed from them.

Symbols, as in the f-GAN paper: u = p/q, T a critic's value, T* the optimal one, t a slope, v a critic's raw score,
g_f the output activation with T = g_f(v), f* the conjugate of f over u ≥ 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import finite, probability_vectors, same_shape
from latentia.functional.f_divergences._checks import check_grid, check_logs, check_masses, log_mass, times
from latentia.functional.fenchel import conjugate_by_bisection
from latentia.functional.gan.loss_pairs import LossPair, Optimum

Function: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class DivergenceEstimate:
    """A divergence estimated from draws and its standard error, both (*B,) nats."""

    value: Tensor
    stderr: Tensor


@dataclass(frozen=True)
class Domain:
    """Where the conjugate is finite: all t below ``high`` = f′(∞), and ``high`` itself if f* is finite there.

    Attributes:
        high: f′(∞) = lim f(u)/u as u → ∞.
        at_high: f*(high), +∞ where the domain is open.
    """

    high: float = math.inf
    at_high: float = math.inf

    def contains(self, t: Tensor) -> Tensor:
        """Return, entry by entry, whether f*(t) is finite."""
        return (t < self.high) | ((t == self.high) & math.isfinite(self.at_high))


@dataclass(frozen=True)
class FDivergence:
    """An f-divergence: D_f(p, q) = E_q[f(p/q)] + f′(∞) P(q = 0), with a convex f on u ≥ 0.

    D_f ≥ f(1), with equality for p = q only where f is strictly convex at 1. The attributes are formulas on the
    interior of their domains; the methods `f`, `derivative` and `conjugate` add the limits.

    Attributes:
        name: as in `latentia.divergences`.
        generator: u → f(u), for 0 < u < ∞.
        integrand: (log p, log q) → q f(p/q), both finite, in a form that neither overflows nor cancels.
        optimal_critic: log p/q → T* = f′(p/q), the critic's value at which the bound is tight.
        conjugate_inside: t → f*(t), for t below ``domain.high``.
        domain: where f* is finite.
        activation: v → g_f(v), increasing, from ℝ into the domain.
        conjugate_of_activation: v → f*(g_f(v)), in a form that is stable where g_f saturates.
        optimal_score: log p/q → v*, the raw score with g_f(v*) = T*; ±∞ where only the limit reaches it.
        at_zero: f(0).
        at_one: f(1), 0 except for divergences that are not normalised in the literature.

    Reference: Csiszár & Shields (2004), Information Theory and Statistics, section 4; Nowozin, Cseke & Tomioka
    (2016), f-GAN, tables 1 and 2.

    Example:
        >>> import latentia as lt
        >>> kl = lt.divergences["kl"]
        >>> kl.discrete(torch.tensor([0.36, 0.48, 0.16]), torch.full((3,), 1 / 3))
        tensor(0.0853)
    """

    name: str
    generator: Function
    integrand: Callable[[Tensor, Tensor], Tensor]
    optimal_critic: Function
    conjugate_inside: Function
    domain: Domain
    activation: Function
    conjugate_of_activation: Function
    optimal_score: Function
    at_zero: float
    at_one: float = 0.0

    def f(self, u: Tensor) -> Tensor:
        """Return f(u) entry by entry, with the limit f(0), and +∞ for u < 0."""
        inside = self.generator(torch.where(u > 0, u, 1.0))
        edge = torch.where(u == 0, self.at_zero, torch.where(u < 0, torch.inf, u))  # keeps NaN
        return torch.where(u > 0, inside, edge)

    def derivative(self, u: Tensor) -> Tensor:
        """Return f′(u) = T* entry by entry for u ≥ 0, with the limit f′(0); at a kink, one subgradient."""
        return self.optimal_critic(u.log())

    def conjugate(self, t: Tensor) -> Tensor:
        """Return f*(t) = sup over u ≥ 0 of ut − f(u) entry by entry, +∞ outside the domain."""
        high = self.domain.high
        inside = self.conjugate_inside(torch.where(t >= high, high - 1, t) if high < math.inf else t)
        return torch.where(t > high, torch.inf, torch.where(t == high, self.domain.at_high, inside))

    def discrete(self, p: Tensor, q: Tensor) -> Tensor:
        """Return the divergence of probability vectors.

        D_f(p, q) = Σ_{q>0} q f(p/q) + f′(∞) Σ_{q=0} p

        Args:
            p: (*B, K) probabilities.
            q: (*B, K) probabilities.

        Returns:
            (*B,) nats, possibly +∞; differentiable in the entries where both are positive.

        Raises:
            UsageError: for shapes that differ.
            DataError: for negative mass, a NaN, or a vector that does not sum to one.

        Example:
            >>> import latentia as lt
            >>> lt.divergences["total-variation"].discrete(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
            tensor(1.)
        """
        probability_vectors(p=p, q=q)
        return self._terms(log_mass(p), log_mass(q)).sum(-1)

    def densities(self, log_p: Tensor, log_q: Tensor, x: Tensor, *, tolerance: float = 1e-3) -> Tensor:
        """Return the divergence of two densities on the line, by the trapezoidal rule on a grid.

        D_f(p, q) = ∫ q f(p/q) dx

        Args:
            log_p: (*B, n) log-densities on the grid; −∞ where there is no mass.
            log_q: (*B, n) log-densities on the grid.
            x: (n,) increasing points that cover both masses.
            tolerance: by how much the masses on the grid may differ from one.

        Returns:
            (*B,) nats; differentiable in the log-densities.

        Raises:
            UsageError: for shapes that do not fit.
            DataError: for a NaN or +∞, or a density that does not integrate to one on the grid.

        Example:
            >>> import latentia as lt
            >>> from torch.distributions import Normal
            >>> x = torch.linspace(-10, 10, 2001)
            >>> lt.divergences["kl"].densities(Normal(1, 1).log_prob(x), Normal(0, 1).log_prob(x), x)  # 1/2
            tensor(0.5000)
        """
        same_shape(log_p=log_p, log_q=log_q)
        check_grid(x, log_p)
        for name, values in (("log_p", log_p), ("log_q", log_q)):
            check_logs(name, values)
            check_masses(name, torch.trapezoid(values.detach().exp(), x), tolerance)
        return torch.trapezoid(self._terms(log_p, log_q), x)

    def monte_carlo(self, log_ratio: Tensor) -> DivergenceEstimate:
        """Estimate the divergence from log-ratios at independent draws from q.

        (1/N) Σ_n f(p(x_n)/q(x_n)), x_n ~ q, unbiased where q > 0 wherever p > 0

        The standard error is that of the mean, std/√N. Points with q = 0 are never drawn, so the term
        f′(∞) P(q = 0) is not part of the estimate.

        Args:
            log_ratio: (N, *B) log p(x)/q(x); −∞ where p has no mass.

        Raises:
            DataError: for fewer than 2 draws, a NaN, or +∞ (a draw from q has q > 0).

        Example:
            >>> import latentia as lt
            >>> lt.divergences["total-variation"].monte_carlo(torch.tensor([1.5, 0.5]).log())
            DivergenceEstimate(value=tensor(0.2500), stderr=tensor(0.))
        """
        if log_ratio.dim() == 0 or len(log_ratio) < 2:
            raise DataError(f"log_ratio needs at least 2 draws, (N, *B); got shape {tuple(log_ratio.shape)}")
        check_logs("log_ratio", log_ratio)
        terms = self._terms(log_ratio, torch.zeros_like(log_ratio))
        return DivergenceEstimate(terms.mean(0), terms.std(0) / math.sqrt(len(terms)))

    def bound_terms(self, critic_real: Tensor, critic_fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return T on rows of p and f*(T) on rows of q, one value per row: the bound is the difference of means.

        Args:
            critic_real: (*B,) values T of a critic on rows of p; raw scores go through `activation` first.
            critic_fake: (*B',) values on rows of q.

        Returns:
            (*B,) and (*B',) nats; f*(T) is +∞ outside the domain.

        Raises:
            DataError: for a NaN or infinite value.
        """
        finite(critic_real=critic_real, critic_fake=critic_fake)
        return critic_real, self.conjugate(critic_fake)

    def bound(self, critic_real: Tensor, critic_fake: Tensor) -> Tensor:
        """Return the variational lower bound of the divergence from a critic's values.

        D_f(p, q) ≥ E_p[T] − E_q[f*(T)], with equality for T = T* = f′(p/q)

        Both expectations are means over the given rows, and nothing else is reduced. It is a bound in expectation:
        its value on a finite sample may exceed the divergence.

        Args:
            critic_real: (*B,) values T of a critic on rows of p; raw scores go through `activation` first.
            critic_fake: (*B',) values on rows of q.

        Returns:
            () nats; −∞ where a fake value is outside the domain.

        Raises:
            UsageError: for no rows.
            DataError: for a NaN or infinite value.

        Reference: Nguyen, Wainwright & Jordan (2010), lemma 1; Nowozin et al. (2016), f-GAN, eq. 4.

        Example:
            >>> import latentia as lt
            >>> lt.divergences["kl"].bound(torch.ones(3), torch.ones(2))  # T = 1: p = q
            tensor(0.)
        """
        if not critic_real.numel() or not critic_fake.numel():
            raise UsageError("critic_real and critic_fake need at least 1 value each; got none")
        real, fake = self.bound_terms(critic_real, critic_fake)
        return real.mean() - fake.mean()

    def loss(self, *, non_saturating: bool = False) -> LossPair:
        """Return the loss pair of f-GAN, from raw critic scores v with T = g_f(v).

        critic: −g_f(v) on real rows, f*(g_f(v)) on fake ones; generator: −f*(g_f(v)), or −g_f(v)

        Args:
            non_saturating: whether the generator minimises −g_f(v) in place of −f*(g_f(v)).

        Reference: Nowozin, Cseke & Tomioka (2016), f-GAN, eq. 6; section 3.2 for the non-saturating generator.

        Example:
            >>> import latentia as lt
            >>> lt.divergences["gan"].loss().critic(torch.zeros(1), torch.zeros(1))  # −log ½ each
            (tensor([0.6931]), tensor([0.6931]))
        """
        raised = self.activation if non_saturating else self.conjugate_of_activation
        return LossPair(
            critic=lambda real, fake: (-self.activation(real), self.conjugate_of_activation(fake)),
            generator=lambda fake, _real: -raised(fake),
            optimal_critic=self.optimal_score,
            value_at_optimum=Optimum(f"D_f(p, q) of {self.name}", self.discrete),
        )

    def reverse(self) -> FDivergence:
        """Return the divergence with its arguments exchanged: f°(u) = u f(1/u), D_f°(p, q) = D_f(q, p).

        The activations are g_f°(v) = −f*(g_f(−v)), constant where f* is, and f°*(g_f°(v)) = −max(g_f(−v), f′(0)).
        The conjugate as a function of t is found by bisection of f°′(u) = t, and is once differentiable.

        Example:
            >>> import latentia as lt
            >>> lt.divergences["kl"].reverse().conjugate(torch.tensor(-2.0))  # −1 − log 2
            tensor(-1.6931)
        """

        def generator(u: Tensor) -> Tensor:
            return u * self.generator(1 / u)

        def critic(log_ratio: Tensor) -> Tensor:
            return -self.conjugate_of_activation(self.optimal_score(-log_ratio))

        slope_at_zero = float(self.derivative(torch.zeros((), dtype=torch.float64)))
        return replace(
            self,
            name=f"reverse of {self.name}",
            generator=generator,
            integrand=lambda log_p, log_q: self.integrand(log_q, log_p),
            optimal_critic=critic,
            conjugate_inside=lambda t: conjugate_by_bisection(generator, critic, t),
            domain=Domain(self.at_zero, -slope_at_zero),
            activation=lambda v: -self.conjugate_of_activation(-v),
            conjugate_of_activation=lambda v: -self.activation(-v).clamp(min=slope_at_zero),
            optimal_score=lambda log_ratio: -self.optimal_score(-log_ratio),
            at_zero=self.domain.high,
        )

    def _terms(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Return q f(p/q) entry by entry, with the limits q f(0) and p f′(∞) where p or q has no mass."""
        both = log_p.isfinite() & log_q.isfinite()
        inside = self.integrand(torch.where(both, log_p, 0.0), torch.where(both, log_q, 0.0))
        edge = times(log_p.exp(), self.domain.high) + times(log_q.exp(), self.at_zero)
        return torch.where(both, inside, edge)
