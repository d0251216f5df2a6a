"""The components of a Gaussian mixture, and the families of their covariances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentia.functional.gaussian.densities import LOG_2PI
from latentia.registry import Registry, check_name, covariances


@dataclass(frozen=True)
class Covariance:
    """A family of component covariances.

    Attributes:
        matrix: whether a covariance is a (D, D) matrix; otherwise it is a vector of (D,) variances.
        pool: maps unconstrained covariances (K, ...) and weights (K,) to covariances that satisfy the constraint.
        parameters: (K, D) → the number of free parameters of K covariances of D entries.
    """

    matrix: bool
    pool: Callable[[Tensor, Tensor], Tensor]
    parameters: Callable[[int, int], int]


def _free(covariances: Tensor, weights: Tensor) -> Tensor:  # noqa: ARG001  (the signature of every family)
    return covariances


def _over_components(covariances: Tensor, weights: Tensor) -> Tensor:
    pooled = torch.tensordot(weights, covariances, dims=1) / weights.sum()
    return pooled.expand_as(covariances).clone()


def _over_entries(covariances: Tensor, weights: Tensor) -> Tensor:  # noqa: ARG001
    return covariances.mean(-1, keepdim=True).expand_as(covariances).clone()


COVARIANCES: Registry[Covariance] = covariances
covariances.add(
    {
        "full": Covariance(True, _free, lambda K, D: K * D * (D + 1) // 2),
        "tied": Covariance(True, _over_components, lambda _, D: D * (D + 1) // 2),
        "diagonal": Covariance(False, _free, lambda K, D: K * D),
        "spherical": Covariance(False, _over_entries, lambda K, _: K),
    }
)


def covariance_named(name: str) -> Covariance:
    """Return a family of covariances by name; an unknown name raises `UsageError` with near matches."""
    check_name("covariance", name, COVARIANCES)
    return COVARIANCES[name]


@dataclass(frozen=True)
class Components:
    """K Gaussians and their weights: p(x) = Σ_k π_k N(x; μ_k, Σ_k).

    Attributes:
        weights: (K,) π; a component of weight 0 is unused.
        means: (K, D) μ.
        factors: (K, D, D) lower Cholesky factors of Σ_k, or (K, D) standard deviations where they are diagonal.

    Example:
        >>> one = torch.ones(1, 1, dtype=torch.float64)
        >>> round(Components(one[0], 0 * one, one).log_joint(0 * one).item(), 4)
        -0.9189
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    @property
    def matrix(self) -> bool:
        """Whether the covariances are full matrices."""
        return self.factors.dim() == 3

    @property
    def covariances(self) -> Tensor:
        """Σ_k: (K, D, D), or its diagonal (K, D)."""
        return self.factors @ self.factors.mT if self.matrix else self.factors.square()

    @property
    def log_normalisers(self) -> Tensor:
        """log π_k − ½ D log 2π − ½ log det Σ_k: (K,) nats."""
        scales = self.factors.diagonal(dim1=-2, dim2=-1) if self.matrix else self.factors
        return self.weights.log() - 0.5 * LOG_2PI * self.means.shape[1] - scales.log().sum(-1)

    def deviations(self, x: Tensor) -> Tensor:
        """Return x − μ_k for each component and row of (B, D): (K, B, D)."""
        return x - self.means[:, None]

    def log_joint(self, x: Tensor) -> Tensor:
        """Return log π_k + log N(x; μ_k, Σ_k) for each row of (B, D) and each component: (B, K) nats."""
        deviations = self.deviations(x)
        if self.matrix:
            squares = torch.linalg.solve_triangular(self.factors, deviations.mT, upper=False).square().sum(-2)
        else:
            squares = (deviations / self.factors[:, None]).square().sum(-1)
        return self.log_normalisers - 0.5 * squares.mT

    def draw(self, n: int) -> Tensor:
        """Draw n rows from torch's global generator: a component from π, then a row from it: (n, D)."""
        return self.rows_of(self.drawn_components(n))

    def drawn_components(self, n: int) -> Tensor:
        """Draw n components from π, from torch's global generator: (n,)."""
        return torch.multinomial(self.weights, n, replacement=True)

    def rows_of(self, k: Tensor) -> Tensor:
        """Draw a row from each of the components (n,), from torch's global generator: (n, D)."""
        noise = torch.randn(len(k), self.means.shape[1], dtype=self.means.dtype, device=self.means.device)
        if not self.matrix:
            return self.means[k] + self.factors[k] * noise
        rows = torch.empty_like(noise)  # component by component, so that no factor is copied for each row
        for number, (mean, factor) in enumerate(zip(self.means, self.factors, strict=True)):
            rows[k == number] = mean + noise[k == number] @ factor.mT
        return rows

    def padded(self, components: int) -> Components:
        """Return the same distribution with copies of its first component, of weight 0, appended."""
        more = components - len(self.weights)
        return Components(
            torch.cat([self.weights, self.weights.new_zeros(more)]),
            torch.cat([self.means, self.means[:1].expand(more, -1)]),
            torch.cat([self.factors, self.factors[:1].expand(more, *self.factors.shape[1:])]),
        )

    def cloned(self) -> Components:
        """Return a copy that shares no memory."""
        return replace(
            self, weights=self.weights.clone(), means=self.means.clone(), factors=self.factors.clone()
        )


def free_parameters(family: Covariance, components: int, entries: int) -> int:
    """Return the number of free parameters of a mixture: K − 1 weights, K D means, and its family's covariances.

    Reference: McLachlan and Peel (2000), Finite Mixture Models, section 6.9.

    Example:
        >>> free_parameters(COVARIANCES["full"], components=2, entries=3)
        19
    """
    return components - 1 + components * entries + family.parameters(components, entries)
