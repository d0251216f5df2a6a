"""Which entries of rows a mixture reads as numbers, which as categories, and where gaps are a part of it."""

from collections.abc import Sequence
from typing import TypeVar

from latentia.data.spec import DataSpec
from latentia.data.support import Kind, Support
from latentia.errors import UnfitError
from latentia.functional.mixtures.entries import Entries

T = TypeVar("T")
_NUMBERS: tuple[Kind, ...] = ("real", "unit")
_CATEGORIES: tuple[Kind, ...] = ("binary", "categorical", "discrete")


def entries_of(data: DataSpec, *, gaps: bool, whole_numbers: Sequence[Kind] = ()) -> Entries:
    """Return what is what in rows: real and unit entries are numbers, binary, categorical and discrete ones categories.

    Args:
        data: what a row is.
        gaps: whether the pattern of gaps is a part of the distribution, where entries may be missing.
        whole_numbers: kinds of categories that are numbers where all entries are of one kind.

    Raises:
        UnfitError: for entries of another kind.

    Example:
        >>> table = DataSpec((2,), Support.parse("table(real, categorical(3) or missing)"))
        >>> entries_of(table, gaps=True)
        Entries(numbers=(0,), categories=(1,), levels=(3,), gaps=(1,), missing=False)
    """
    support = data.support
    numbers = _NUMBERS if support.kind == "table" else (*_NUMBERS, *whole_numbers)
    each = support.columns or (support,) * data.size
    for j, column in enumerate(each):
        if column.kind not in (*numbers, *_CATEGORIES):
            raise UnfitError(
                f"mixtures model real, unit, binary, categorical and discrete columns; {_name(data, j)} is {column}: "
                "declare another with support=, or choose another recipe"
            )
    found = [j for j, column in enumerate(each) if column.kind in numbers]
    others = [j for j, column in enumerate(each) if column.kind not in numbers]
    return Entries(
        tuple(found),
        tuple(others),
        tuple(_levels(each[j]) for j in others),
        tuple(j for j, column in enumerate(each) if column.missing and gaps),
        any(each[j].missing for j in found),
    )


def without(data: DataSpec, known: Sequence[int]) -> DataSpec:
    """Return what rows of the entries are that are left when some are known: a flat row."""
    left = [j for j in range(data.size) if j not in known]
    columns = tuple(data.support.columns[j] for j in left) if data.support.columns else ()
    support = Support("table", columns=columns) if columns else data.support
    return DataSpec(
        (len(left),),
        support,
        columns=_kept(data.columns, left),
        categories=_kept(data.categories, left),
        offsets=_kept(data.offsets, left),
        scales=_kept(data.scales, left),
    )


def _kept(values: Sequence[T], left: Sequence[int]) -> tuple[T, ...]:
    return tuple(values[j] for j in left) if values else ()


def _levels(support: Support) -> int:
    return support.levels or 2


def _name(data: DataSpec, j: int) -> str:
    return f"column {data.columns[j]}" if data.columns else f"entry {j}"
