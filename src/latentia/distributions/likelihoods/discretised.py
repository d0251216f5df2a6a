"""Likelihoods of columns of numbers that lie on a grid, such as whole numbers or those with two decimals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from latentia.data.columns.column import Column
from latentia.data.spec import DataSpec
from latentia.distributions.cells import GaussianCells
from latentia.distributions.likelihoods.base import Likelihood
from latentia.errors import UsageError
from latentia.networks.scaling import Affine


@dataclass(frozen=True)
class Grid:
    """The values that a column of numbers has, as models read them: start + step · k for whole k.

    Attributes:
        step: their distance.
        start: one of them.
        unit: what models divide the column's numbers by, `DataSpec.scales`.
    """

    step: float
    start: float
    unit: float


def grids_of(data: DataSpec) -> dict[int, Grid]:
    """Return the grid of each real column whose step or decimals are known, by the column's index.

    Example:
        >>> from latentia.data.spec import Support
        >>> ph = Column("pH", "real", "float64", facts={"decimals": 2})
        >>> grids_of(DataSpec((1,), Support("real"), columns=("pH",), table=(ph,), scales=(0.5,)))
        {0: Grid(step=0.02, start=0.0, unit=0.5)}
    """
    known = {column.name: column for column in data.table}
    supports = data.support.columns or (data.support,) * data.size
    found: dict[int, Grid] = {}
    for j, (name, support) in enumerate(zip(data.columns, supports, strict=False)):
        step = _step(known[name]) if name in known and support.kind == "real" else None
        if step is not None:
            found[j] = _as_read(data, j, step, float(known[name].facts.get("low", 0)))
    return found


def _step(column: Column) -> float | None:
    """Return the distance between a column's values, where it is known."""
    if "step" in column.facts:
        return float(column.facts["step"])
    if "decimals" in column.facts:
        return 10.0 ** -int(column.facts["decimals"])
    return 1.0 if column.kind == "count" else None


def _as_read(data: DataSpec, j: int, step: float, start: float) -> Grid:
    offset = data.offsets[j] if data.offsets else 0.0
    unit = data.scales[j] if data.scales else 1.0
    return Grid(step / unit, (start - offset) / unit, unit)


class Discretised(Likelihood):
    """The probability of a cell, P(x) = F(x + step/2) − F(x − step/2), in the place of a Gaussian's density.

    Relative to counting measure: a probability does not depend on the unit. Since `DataSpec.log_det` takes the log of
    each cell's unit off a model's log-density, that is added here.

    Args:
        data: what a row is; all its columns have a grid.
        scaling: of these columns.
        inner: the Gaussian that is rounded.
        grids: of the columns.

    Raises:
        UsageError: for a likelihood that is no Gaussian.

    References:
        Salimans et al. (2017), PixelCNN++, eq. 2, for a logistic variable.
    """

    kinds = ()
    measure = "counting"
    step: Tensor
    start: Tensor
    log_unit: Tensor

    def __init__(self, data: DataSpec, scaling: Affine, inner: Likelihood, grids: Sequence[Grid]) -> None:
        super().__init__(data, scaling)
        self.inner, self.params_per_entry = inner, inner.params_per_entry
        for name, values in (
            ("step", [grid.step for grid in grids]),
            ("start", [grid.start for grid in grids]),
            ("log_unit", [math.log(grid.unit) for grid in grids]),
        ):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution of the columns for parameters (B, P, columns)."""
        normal = self.inner(h)
        entries = normal.base_dist if isinstance(normal, Independent) else normal
        if not isinstance(entries, Normal):
            raise UsageError("discretise=True rounds Gaussians: choose likelihood='gaussian' or 'auto'")
        return self.independent(_InUnits(entries, self.step, self.start, self.log_unit))


class _InUnits(GaussianCells):
    """Gaussian cells whose log-probabilities have the log of a unit added."""

    def __init__(self, normal: Normal, step: Tensor, start: Tensor, log_unit: Tensor) -> None:
        super().__init__(normal.loc, normal.scale, step, start)
        self.log_unit = log_unit

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P plus the log of the unit, elementwise, in nats."""
        return super().log_prob(value) + self.log_unit
