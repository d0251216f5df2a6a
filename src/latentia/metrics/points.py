"""Rows of tables as points in which every column counts alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from latentia.data.margins import Margin
from latentia.data.moments import Moments
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError

PLANE = ("x", "y")  # the names of a plane's coordinates, which are of one unit


def is_table(spec: DataSpec) -> bool:
    """Whether rows are a table's: their columns have names, or kinds of their own, and units that do not compare.

    Example:
        >>> wines = DataSpec((2,), Support("real"), columns=("pH", "alcohol"))
        >>> is_table(wines), is_table(DataSpec((2,), Support("real")))
        (True, False)
    """
    named = bool(spec.columns) and spec.columns != PLANE
    return len(spec.event_shape) == 1 and (bool(spec.table or spec.support.columns) or named)


def supports_of(spec: DataSpec) -> tuple[Support, ...]:
    """Return the support of each entry of a table's rows."""
    return spec.support.columns or (spec.support,) * spec.size


@dataclass(frozen=True, eq=False)
class Points:
    """Make points of a table's rows.

    A number is (x − centre) / scale; where one may be missing it is then 0, and an indicator 1. A category is one-hot
    over √2, so that any two are 1 apart, and missing is one more of them; so are the two values of a binary entry.

    Attributes:
        supports: of the D entries of a row.
        centres: (D,) of numbers.
        scales: (D,) of numbers.

    Example:
        >>> table = Support.parse("table(real or missing, categorical(3))")
        >>> points = Points(table.columns, torch.tensor([10.0, 0.0]), torch.tensor([2.0, 1.0]))
        >>> x = points(torch.tensor([[14.0, 0.0], [float("nan"), 0.0], [14.0, 2.0]]))
        >>> (x[0] - x[1]).square().sum().item(), round((x[0] - x[2]).norm().item(), 6)
        (5.0, 1.0)
    """

    supports: tuple[Support, ...]
    centres: Tensor
    scales: Tensor

    @classmethod
    def standardised(cls, spec: DataSpec, rows: Tensor) -> Points:
        """Return points whose numbers have mean 0 and standard deviation 1 in the training rows.

        Args:
            spec: whose margins say what training rows are like.
            rows: (n, D) rows whose moments are taken where it has none.
        """
        known = [_moments(each) for each in spec.margins] or list(_moments_of(rows))
        centres, scales = torch.tensor(known, dtype=torch.float64).T
        return cls(supports_of(spec), centres, torch.where(scales > 0, scales, 1.0))

    @classmethod
    def raw(cls, spec: DataSpec, rows: Tensor) -> Points:
        """Return points whose numbers are the table's, where they are missing the mean of rows."""
        centres = torch.tensor([mean for mean, _ in _moments_of(rows)], dtype=torch.float64)
        gaps = torch.tensor([each.missing for each in supports_of(spec)])
        return cls(supports_of(spec), torch.where(gaps, centres, 0.0), torch.ones(spec.size).double())

    def __call__(self, x: Tensor, name: str = "rows") -> Tensor:
        """Return (n, D) rows as (n, D') points.

        Raises:
            DataError: for values that are missing where none may be, and categories that are none.
        """
        x = x.double().cpu()
        self._check(x, name)
        parts = [self._entry(x[:, j], j) for j in range(len(self.supports))]
        return torch.stack([column for part in parts for column in part], dim=1)

    def names(self, columns: Sequence[str], categories: Sequence[Sequence[str]] = ()) -> tuple[str, ...]:
        """Return the names of the points' D' entries, such as ``age``, ``age missing`` and ``town = Ulm``."""
        known = [*categories] or [()] * len(columns)
        return tuple(
            name
            for column, support, names in zip(columns, self.supports, known, strict=True)
            for name in _names(column, support, names)
        )

    def _entry(self, x: Tensor, j: int) -> Sequence[Tensor]:
        """Return what an entry (n,) of rows becomes: columns (n,)."""
        support, gap = self.supports[j], x.isnan()
        if support.kind == "categorical":
            levels = support.levels or 0
            number = torch.where(gap, levels, x).long()
            return one_hot(number, levels + support.missing).double().div(math.sqrt(2)).unbind(1)
        if support.kind == "binary":
            return [torch.where(gap, 0.5, x), math.sqrt(0.75) * gap.double()][: 1 + support.missing]
        scaled = torch.where(gap, 0.0, (x - self.centres[j]) / self.scales[j])
        return [scaled, gap.double()][: 1 + support.missing]

    def _check(self, x: Tensor, name: str) -> None:
        gaps = torch.tensor([each.missing for each in self.supports])
        if bool((x.isnan() & ~gaps).any()) or bool(x.isinf().any()):
            raise DataError(f"{name} hold NaN or infinity")
        for j, each in enumerate(self.supports):
            there = x[:, j][~x[:, j].isnan()]
            if each.kind == "categorical" and not bool(((there >= 0) & (there < (each.levels or 0))).all()):
                raise DataError(
                    f"{name} hold numbers in column {j} that are none of its {each.levels} categories"
                )


def _names(column: str, support: Support, categories: Sequence[str]) -> list[str]:
    gap = [f"{column} missing"] * support.missing
    if support.kind != "categorical":
        return [column, *gap]
    named = categories or [str(number) for number in range(support.levels or 0)]
    return [f"{column} = {name}" for name in named] + gap


def _moments(margin: Margin) -> tuple[float, float]:
    """Return the mean and the standard deviation of a margin."""
    if not margin.rates:
        return margin.mean, margin.sd
    mean = sum(number * rate for number, rate in enumerate(margin.rates))
    return mean, math.sqrt(sum((number - mean) ** 2 * rate for number, rate in enumerate(margin.rates)))


def _moments_of(rows: Tensor) -> list[tuple[float, float]]:
    """Return the mean and the standard deviation of each entry of (n, D) rows where it is not missing."""
    moments = Moments.of_present(rows.double().cpu())
    variances = moments.scatter / moments.total.clamp_min(1)
    return list(zip(moments.mean.tolist(), variances.sqrt().tolist(), strict=True))
