"""Gaussian copulas: columns of any margins, joined by the correlation of normal variables behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from latentia.core.model import Generative, Imputes
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.data.support import Support
from latentia.errors import UsageError
from latentia.functional.gaussian.rectangles import rectangle_weights
from latentia.models.continuous_margins import KernelMargin, ParametricMargin
from latentia.models.margins import (
    ClassMargin,
    ContinuousMargin,
    CountMargin,
    DiscreteMargin,
    EmpiricalMargin,
    Margin,
)
from latentia.models.sequential_trees import supports_of

MARGINS = ("kernel", "parametric", "empirical")
_DRAWS = 32  # of a row's discrete variables when entries are filled, of which one is chosen
BLOCK = 1 << 17  # draws × rows that are held at once


@dataclass(frozen=True)
class Seen:
    """What is known of the normal variables of rows with the same gaps.

    Attributes:
        rows: (B,) their numbers.
        points: which variables are known, c of them.
        intervals: which variables are known to be in intervals, d of them.
        z: (B, c) the known ones.
        low: (B, d) lower ends of the intervals.
        high: (B, d) upper ends.
    """

    rows: Tensor
    points: list[int]
    intervals: list[int]
    z: Tensor
    low: Tensor
    high: Tensor


class GaussianCopulaModel(Generative, Imputes):
    """x_j = F_j⁻¹(Φ(z_j)), z ~ N(0, R), R a correlation matrix.

    A column with gaps has a second normal variable, above a threshold of which its value is missing; it correlates with
    all columns but its own. Discrete columns are intervals of their variables; unordered categories are put in an order
    that is fixed when the model is fitted, and kept. Rows are flattened to D columns.

    Args:
        data: what a row is.
        margins: of numbers: kernel, parametric or empirical.
        bandwidth_factor: multiplies the bandwidth of kernels.

    Attributes:
        columns: F_j of each column.
        gaps: the distributions of which entries are missing, for the columns ``with_gaps``.
        correlation: (L, L) R; the variables of the D columns come first, then those of gaps.

    References:
        Sklar (1959); Song (2000), Multivariate dispersion models generated from Gaussian copula; Hoff (2007), Extending
        the rank likelihood for semiparametric copula estimation.
    """

    imputation = "exactly for continuous columns, and by the weights of 32 draws for others"

    correlation: Tensor

    def __init__(self, data: DataSpec, *, margins: str = "kernel", bandwidth_factor: float = 1.0) -> None:
        super().__init__()
        self.data = data
        supports = supports_of(data)
        self.columns = nn.ModuleList(_margin(each, margins, bandwidth_factor) for each in supports)
        self.with_gaps = [j for j, each in enumerate(supports) if each.missing]
        self.gaps = nn.ModuleList(ClassMargin(2) for _ in self.with_gaps)
        size = len(self.columns) + len(self.gaps)
        self.register_buffer("correlation", torch.eye(size, dtype=torch.float64))
        self.fitted: Tensor
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def margins(self) -> list[Margin]:
        """F of each normal variable: of the columns, then of gaps."""
        return [each for each in (*self.columns, *self.gaps) if isinstance(each, Margin)]

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n rows: normal variables, and the values that they stand for."""
        self._checked()
        R = self.correlation
        with using_generator(generator):
            noise = torch.randn(n, len(R), dtype=R.dtype, device=R.device)
        z = noise @ torch.linalg.cholesky(R).mT
        flat = torch.stack([margin.value(z[:, i]) for i, margin in enumerate(self.margins)], 1)
        x = flat[:, : self.data.size]
        for i, j in enumerate(self.with_gaps):
            x[:, j] = torch.where(flat[:, self.data.size + i] > 0, torch.nan, x[:, j])
        return self.data.support.project(x.to(torch.get_default_dtype()).view(n, *self.data.event_shape))

    @torch.no_grad()
    def impute(
        self,
        x: Tensor,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return rows whose missing entries are drawn given the values of the others.

        Given continuous columns this is exact. Of discrete ones the normal variables are drawn 32 times in their
        intervals, and one draw is chosen by its weight. That entries are missing says nothing here.

        Args:
            x: (B, *event) rows, NaN where an entry is missing.
            context: none.
            generator: where randomness comes from.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        self._checked()
        replace(self.data, support=self.data.support.or_missing).check(x)
        flat = x.flatten(1).clone()
        z = torch.zeros_like(flat, dtype=torch.float64)
        with using_generator(generator):
            for seen in self.seen(flat, gaps=False):
                absent = [j for j in range(self.data.size) if j not in {*seen.points, *seen.intervals}]
                z[seen.rows[:, None], absent] = self._drawn(seen, absent)
        for j, margin in enumerate(self.margins[: self.data.size]):
            missing = flat[:, j].isnan()
            flat[missing, j] = margin.value(z[missing, j]).to(flat)
        return self.data.support.project(flat.view_as(x))

    def seen(self, x: Tensor, *, gaps: bool) -> Iterator[Seen]:
        """Iterate over groups of rows (B, D) with the same gaps; ``gaps``: that they are missing is known too."""
        patterns, number = x.isnan().unique(dim=0, return_inverse=True)
        for i, missing in enumerate(patterns):
            rows = (number == i).nonzero()[:, 0]
            yield from (self._seen(x, block, missing, gaps) for block in rows.split(BLOCK // _DRAWS))

    def _seen(self, x: Tensor, rows: Tensor, missing: Tensor, gaps: bool) -> Seen:
        """Return what is known of rows of one pattern of gaps (D,)."""
        present = (~missing).nonzero()[:, 0].tolist()
        margins = self.margins
        columns = {j: x[rows, j].double() for j in present}
        if gaps:
            flags = missing.double()
            columns |= {self.data.size + i: flags[j].expand(len(rows)) for i, j in enumerate(self.with_gaps)}
        z, low, high = ({}, {}, {})
        for j, values in columns.items():
            margin = margins[j]
            if isinstance(margin, ContinuousMargin):
                z[j] = margin.score(values)
            elif isinstance(margin, DiscreteMargin):
                low[j], high[j] = margin.interval(values)
        none = x.new_zeros(len(rows), 0, dtype=torch.float64)
        parts = (torch.stack([*each.values()], 1) if each else none for each in (z, low, high))
        return Seen(rows, [*z], [*low], *parts)

    def conditional(self, of: list[int], given: list[int]) -> tuple[Tensor, Tensor]:
        """Return the coefficients (d, c) and the covariance (d, d) of normal variables given others."""
        R = self.correlation
        if not given:
            return R.new_zeros(len(of), 0), R[of][:, of]
        cross = R[of][:, given]
        coefficients = torch.linalg.solve(R[given][:, given], cross.mT).mT
        return coefficients, R[of][:, of] - coefficients @ cross.mT

    def _drawn(self, seen: Seen, absent: list[int]) -> Tensor:
        """Draw the normal variables that are absent, (B, m), given what is known of rows."""
        z, given = seen.z, seen.points
        if seen.intervals:
            coefficients, covariance = self.conditional(seen.intervals, given)
            mean = z @ coefficients.mT
            u = uniform(_DRAWS, mean)
            log_w, draws = rectangle_weights(seen.low - mean, seen.high - mean, cholesky(covariance), u)
            chosen = torch.multinomial(log_w.mT.softmax(1), 1)[:, 0]
            own = draws[chosen, torch.arange(len(z), device=z.device)] + mean
            z, given = torch.cat([z, own], 1), [*given, *seen.intervals]
        coefficients, covariance = self.conditional(absent, given)
        noise = torch.randn(len(z), len(absent), dtype=z.dtype, device=z.device)
        return z @ coefficients.mT + (noise @ cholesky(covariance).mT if absent else noise)

    def _checked(self) -> None:
        """Raise `UsageError` before the model is fitted."""
        if not bool(self.fitted):
            raise UsageError("this copula has no margins yet: fit it")


def _margin(support: Support, margins: str, factor: float) -> Margin:
    """Return the margin of a column of this support."""
    if support.kind == "count":
        return CountMargin()
    if support.measure == "counting":
        return ClassMargin(support.levels or 2)
    if margins == "kernel":
        return KernelMargin(support, factor)
    return ParametricMargin(support) if margins == "parametric" else EmpiricalMargin()


def uniform(draws: int, like: Tensor) -> Tensor:
    """Return uniform numbers from torch's global generator, without 0: (draws, *shape)."""
    return torch.rand(draws, *like.shape, dtype=like.dtype, device=like.device).clamp_min(1e-16)


def cholesky(matrix: Tensor) -> Tensor:
    """Return the lower factor of a covariance, also of no variables."""
    return torch.linalg.cholesky(matrix)
