"""What Gaussian copulas can do: sample alone, an exact density, or a lower bound of one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from latentia.core.model import Bounded, Density
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.functional.gaussian.rectangles import log_rectangle, log_standard_normal, rectangle_weights
from latentia.models.copula import BLOCK, MARGINS, GaussianCopulaModel, cholesky, uniform
from latentia.models.margins import DensityMargin
from latentia.models.sequential_trees import supports_of
from latentia.registry import check_name

EXACT_DISCRETE = 4
"""Largest number of discrete columns, those of gaps included, of which rectangles are integrated numerically."""


class DensityCopulaModel(GaussianCopulaModel):
    """A copula whose continuous columns have densities."""

    def continuous(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]]:
        """Iterate over groups of rows of the same gaps: the log-density of numbers, and what is left of the others.

        Yields:
            rows (B,), log p of the numbers that are present (B,), and of the discrete variables given them the ends
            less the mean, (B, d) each, and the Cholesky factor of the covariance (d, d).
        """
        self._checked()
        self.data.check(x)
        flat = x.flatten(1)
        for seen in self.seen(flat, gaps=True):
            log_p = seen.z.new_zeros(len(seen.rows))
            for i, j in enumerate(seen.points):
                margin = self.margins[j]
                if isinstance(margin, DensityMargin):
                    log_p = log_p + margin.log_prob(flat[seen.rows, j].double())
                log_p = log_p - log_standard_normal(seen.z[:, i])
            coefficients, covariance = self.conditional(seen.intervals, seen.points)
            mean = seen.z @ coefficients.mT
            log_p = log_p + _log_normal(seen.z, self.correlation[seen.points][:, seen.points])
            yield seen.rows, log_p, seen.low - mean, seen.high - mean, cholesky(covariance)


class EmpiricalCopula(GaussianCopulaModel):
    """A copula of the training values themselves: there are samples and no density."""

    measure = None


class ExactCopula(DensityCopulaModel, Density):
    """A copula of at most 4 discrete columns, those of gaps included: an exact density."""

    @torch.no_grad()
    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return log φ_R(z_c)/Π φ(z_c) + Σ log f_c(x_c) + log P(a ≤ z_d ≤ b | z_c) of each row: (B,) nats.

        c are the continuous columns that are present, d the discrete ones and those of gaps; their rectangle is
        integrated by quadrature where there are two or more, see `log_rectangle`.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        found = torch.empty(len(x), dtype=torch.float64, device=x.device)
        for rows, log_p, low, high, factor in self.continuous(x):
            found[rows] = log_p + (log_rectangle(low, high, factor) if low.shape[1] else 0.0)
        return found


class BoundedCopula(DensityCopulaModel, Bounded):
    """A copula of more discrete columns: a lower bound by draws of their normal variables in the rectangle."""

    @torch.no_grad()
    def log_prob_bound(
        self,
        x: Tensor,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        samples: int = 1,
        repeats: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return a stochastic lower bound of log p(x) of each row, log (1/K) Σ_k w_k: (B,) nats.

        w_k is the density of the continuous columns times an unbiased estimate of the probability of the rectangle of
        the discrete ones, from the k-th draw of their variables: see `rectangle_weights`.

        Args:
            x: (B, *event) rows.
            context: none.
            samples: K; more make the bound tighter.
            repeats: independent bounds to average.
            generator: where randomness comes from.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        found = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        with using_generator(generator):
            for rows, log_p, low, high, factor in self.continuous(x):
                bounds = [_log_mean_weight(low, high, factor, samples) for _ in range(repeats)]
                found[rows] = log_p + torch.stack(bounds).mean(0)
        return found


def copula_for(
    data: DataSpec, *, margins: str = "kernel", bandwidth_factor: float = 1.0
) -> GaussianCopulaModel:
    """Return a copula of the class that says what it can do of this data.

    Raises:
        UsageError: for unknown margins.

    Example:
        >>> from latentia.data.support import Support
        >>> [type(copula_for(DataSpec((D,), Support("binary")))).__name__ for D in (4, 5)]
        ['ExactCopula', 'BoundedCopula']
    """
    check_name("margins", margins, MARGINS)
    supports = supports_of(data)
    discrete = sum((each.measure == "counting") + each.missing for each in supports)
    numbers = any(each.measure == "Lebesgue" for each in supports)
    if margins == "empirical" and numbers:
        kind = EmpiricalCopula
    else:
        kind = ExactCopula if discrete <= EXACT_DISCRETE else BoundedCopula
    return kind(data, margins=margins, bandwidth_factor=bandwidth_factor)


def _log_mean_weight(low: Tensor, high: Tensor, factor: Tensor, samples: int) -> Tensor:
    """Return log (1/K) Σ_k w_k of rectangles (B, d), in blocks of draws: (B,)."""
    if not low.shape[1]:
        return low.new_zeros(len(low))
    size = max(1, BLOCK // samples)
    parts = [
        rectangle_weights(a, b, factor, uniform(samples, a))[0].logsumexp(0)
        for a, b in zip(low.split(size), high.split(size), strict=True)
    ]
    return torch.cat(parts) - torch.tensor(float(samples)).log().to(low)


def _log_normal(z: Tensor, R: Tensor) -> Tensor:
    """Return log N(z; 0, R) of rows (B, c); 0 without columns."""
    L = cholesky(R)
    whitened = torch.linalg.solve_triangular(L, z.mT, upper=False).mT
    return log_standard_normal(whitened).sum(1) - L.diagonal().log().sum()
