"""A two-sample problem: two samples as points, the level and the number of permutations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from latentia.data.ingest.arrays import as_tensor
from latentia.errors import DataError, UsageError
from latentia.functional.checks import point_sets
from latentia.metrics.two_sample.frames import points_of_frames

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import TypeIs

Sample: TypeAlias = "Tensor | np.ndarray | pd.DataFrame | Sequence[Any]"
Extractor: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TwoSampleProblem:
    """Do x and y come from one distribution? Methods answer this with `TestOutcome`.

    Attributes:
        x: (n, D) float64 points, finite, n ≥ 2.
        y: (m, D) likewise.
        names: of the D features.
        permutations: how many to compare with.
        seed: of every draw.
        level: the accepted probability of rejecting equal distributions.
        correction: a name of `CORRECTIONS`, for tests of many features.
    """

    x: Tensor
    y: Tensor
    names: tuple[str, ...]
    permutations: int
    seed: int
    level: float
    correction: str

    @property
    def points(self) -> Tensor:
        """Both samples together, x first: (n + m, D)."""
        return torch.cat([self.x, self.y])

    def generator(self) -> torch.Generator:
        """Return a new generator with the problem's seed."""
        return torch.Generator().manual_seed(self.seed)

    def at_least(self, points: int, why: str) -> None:
        """Raise `DataError` for a sample with fewer points."""
        for name, sample in (("x", self.x), ("y", self.y)):
            if len(sample) < points:
                raise DataError(f"{name} needs at least {points} points {why}; got {len(sample)}")


def read_samples(
    x: Sample, y: Sample, extractor: Extractor | None, distances: str
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return two samples as (n, D) and (m, D) float64 points, and the names of the D features.

    Raises:
        UsageError: for widths or columns that differ.
        DataError: for values that are not finite, for values of arrays that are no numbers, for fewer than 2 points,
            and for points that are all equal.
    """
    if is_frame(x) and is_frame(y):
        y = _in_order(y, list(x.columns))
    if extractor is None and is_frame(x) and is_frame(y):
        a, b, names = points_of_frames(x, y, distances)
    else:
        a, b = _values(x, "x", extractor), _values(y, "y", extractor)
        names = tuple(",".join(map(str, place)) for place in np.ndindex(tuple(a.shape[1:]) or (1,)))
    a, b = _flat(a, "x"), _flat(b, "y")
    point_sets(at_least=2, x=a, y=b)
    if bool((a == a[0]).all()) and bool((b == a[0]).all()):
        raise DataError("x and y hold one point only, repeated: there is nothing to test")
    return a, b, names


def is_frame(sample: Any) -> TypeIs[pd.DataFrame]:
    """Return whether a sample is a pandas DataFrame."""
    pandas = sys.modules.get("pandas")  # a frame exists only where pandas has been imported
    return pandas is not None and isinstance(sample, pandas.DataFrame)


def _in_order(y: Any, columns: list[Any]) -> Any:
    """Return a frame's columns in the order of another's."""
    if list(y.columns) == columns:
        return y
    different = sorted(map(str, {*columns} ^ {*y.columns}))
    if different or len(y.columns) != len(columns):
        raise UsageError(
            f"x and y must have the same columns; only one of them has {', '.join(different) or 'some twice'}"
        )
    return y[columns]


def _values(sample: Any, name: str, extractor: Extractor | None) -> Tensor:
    """Return what is tested of a sample: its values, or what the extractor makes of them."""
    if is_frame(sample):
        sample = _numbers(sample, name)
    values = sample.detach() if isinstance(sample, Tensor) else as_tensor(sample, name)
    if values.is_complex():
        raise DataError(f"{name} holds complex numbers; give real and imaginary parts as two columns")
    if extractor is None:
        return values
    with torch.no_grad():
        extracted = extractor(values)
    if not isinstance(extracted, Tensor) or extracted.shape[:1] != values.shape[:1]:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"extractor must return a tensor with one row for each of the {len(values)} points of {name}; "
            f"got {tuple(getattr(extracted, 'shape', ())) or type(extracted).__name__}"
        )
    return extracted


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    numbers = frame.select_dtypes(["number", "bool"])
    others = [str(column) for column in frame.columns if column not in numbers.columns]
    if others:
        raise DataError(
            f"{name} has columns that are not numbers: {', '.join(others)}; give both samples as DataFrames, or drop "
            "them"
        )
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _flat(values: Tensor, name: str) -> Tensor:
    """Return (n, D) float64 points."""
    if not values.dim() or not len(values):
        raise DataError(f"{name} needs at least 2 points; got {len(values) if values.dim() else 'a number'}")
    return values.double().reshape(len(values), -1)
