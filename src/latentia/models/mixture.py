"""Gaussian mixtures: exact densities and samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.core.model import Density, Generative
from latentia.core.randomness import drawing_from
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.registry import unknown


@dataclass(frozen=True)
class Covariance:
    """A family of component covariances.

    Attributes:
        matrix: whether a component has a (D, D) matrix; otherwise it has (D,) variances.
        pool: what the family's constraint makes of unconstrained covariances (K, ...) and weights (K,).
    """

    matrix: bool
    pool: Callable[[Tensor, Tensor], Tensor]


def _free(covariances: Tensor, weights: Tensor) -> Tensor:  # noqa: ARG001  (the families' common shape)
    return covariances


def _over_components(covariances: Tensor, weights: Tensor) -> Tensor:
    pooled = torch.tensordot(weights, covariances, dims=1) / weights.sum()
    return pooled.expand_as(covariances).clone()


def _over_entries(covariances: Tensor, weights: Tensor) -> Tensor:  # noqa: ARG001
    return covariances.mean(-1, keepdim=True).expand_as(covariances).clone()


COVARIANCES: Mapping[str, Covariance] = {
    "full": Covariance(matrix=True, pool=_free),
    "tied": Covariance(matrix=True, pool=_over_components),
    "diagonal": Covariance(matrix=False, pool=_free),
    "spherical": Covariance(matrix=False, pool=_over_entries),
}


def covariance_named(name: str) -> Covariance:
    """Return a family of covariances; `UsageError` lists near matches for a name that is none."""
    if name not in COVARIANCES:
        raise UsageError(unknown("covariance", name, COVARIANCES))
    return COVARIANCES[name]


class GaussianMixture(Generative, Density):
    """p(x) = Σ_k π_k N(x; μ_k, Σ_k), in float64, on rows flattened to D entries.

    Args:
        data: what a row is.
        components: K.
        covariance: the family of Σ_k: full, tied, diagonal or spherical.

    Attributes:
        weights: (K,) π.
        means: (K, D) μ.
        factors: (K, D, D) lower Cholesky factors of Σ_k, or (K, D) standard deviations.
    """

    measure = "Lebesgue"
    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, data: DataSpec, *, components: int, covariance: str = "full") -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"components must be at least 1; got {components}")
        self.data = data
        self.covariance = covariance_named(covariance)
        K, D = components, data.size
        unit = (
            torch.eye(D, dtype=torch.float64)
            if self.covariance.matrix
            else torch.ones(D, dtype=torch.float64)
        )
        self.register_buffer("weights", torch.full((K,), 1 / K, dtype=torch.float64))
        self.register_buffer("means", torch.zeros(K, D, dtype=torch.float64))
        self.register_buffer("factors", unit.expand(K, *unit.shape).clone())

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return log Σ_k π_k N(x; μ_k, Σ_k) of each row: (B,) nats, a density even where rows are integers.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        self.data.check(x)
        return self.log_joint(x).logsumexp(-1)

    def log_joint(self, x: Tensor) -> Tensor:
        """Return log π_k + log N(x; μ_k, Σ_k) for each row and component: (B, K) nats."""
        deviations = self.deviations(x)  # (K, B, D)
        if self.covariance.matrix:
            whitened = torch.linalg.solve_triangular(self.factors, deviations.mT, upper=False)
            squares, scales = whitened.square().sum(-2), self.factors.diagonal(dim1=-2, dim2=-1)
        else:
            squares, scales = (deviations / self.factors[:, None]).square().sum(-1), self.factors
        D = self.means.shape[1]
        log_norm = 0.5 * D * math.log(2 * math.pi) + scales.log().sum(-1)
        return (self.weights.log() - log_norm - 0.5 * squares.mT).to(self.means.dtype)

    def deviations(self, x: Tensor) -> Tensor:
        """Return x - μ_k for each component and row: (K, B, D)."""
        return x.flatten(1).to(self.means.dtype) - self.means[:, None]

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n rows: a component from π, then a row from it, rounded to the support."""
        with drawing_from(generator):
            k = torch.multinomial(self.weights, n, replacement=True)
            noise = torch.randn(n, self.means.shape[1], dtype=self.means.dtype, device=self.means.device)
        factors = self.factors[k]
        scaled = (factors @ noise[..., None])[..., 0] if self.covariance.matrix else factors * noise
        rows = (self.means[k] + scaled).view(n, *self.data.event_shape).to(torch.get_default_dtype())
        return self.data.support.project(rows)
