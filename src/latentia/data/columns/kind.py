"""What a kind of column does: learn what its values are like, read them as numbers, and write numbers back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from latentia.data.columns.column import Column
from latentia.data.support import Support
from latentia.registry import column_kinds

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Where a column that is made anew takes its values from.

    Attributes:
        generator: of what is drawn; torch's global state by default.
        first: how many rows were written before these, which ids go on from.
    """

    generator: torch.Generator | None = None
    first: int = 0

    def numpy(self) -> np.random.Generator:
        """Return a generator of NumPy's whose seed is drawn."""
        device = "cpu" if self.generator is None else self.generator.device
        seed = torch.randint(2**62, (), generator=self.generator, device=device)
        return np.random.default_rng(int(seed))


class Kind(Protocol):
    """A kind of column, made without arguments; register one with ``@column_kinds.register("name")``."""

    def learn(self, series: "pd.Series", detail: str) -> dict[str, Any]:
        """Return what is to be known of a column's values, as JSON values.

        Args:
            series: the column.
            detail: what a user declared after the kind's name and a colon, such as a date's format.

        Raises:
            DataError: for values that are not of this kind.
        """
        ...

    def support(self, column: Column) -> Support | None:
        """Return the values that the column's numbers may take; None where it is not modelled."""
        ...

    def to_numbers(self, series: "pd.Series", column: Column) -> Numbers:
        """Return (n,) numbers, NaN where a value is missing."""
        ...

    def to_series(self, numbers: Numbers, column: Column, draws: Draws) -> "pd.Series":
        """Return (n,) numbers as values of the column's type; those of a column that is not modelled are all NaN."""
        ...


def kind_of(column: Column) -> Kind:
    """Return the kind of a column."""
    return column_kinds[column.kind]()


def support_of(column: Column) -> Support | None:
    """Return the support of a column's numbers; None where it is no part of the modelled rows."""
    return None if column.role else kind_of(column).support(column)


def modelled(columns: "tuple[Column, ...]") -> "list[Column]":
    """Return the columns that rows are made of, in their order."""
    return [column for column in columns if support_of(column) is not None]
