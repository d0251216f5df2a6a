"""The rows that a verb works on: where they come from, and which of them are taken."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from latentia.errors import DataError, UsageError
from latentia.options import Count, OneOf

if TYPE_CHECKING:
    from latentia.data.rows import Rows
    from latentia.report.report_rows import HeldOut
    from latentia.runs.run import Run


@dataclass(frozen=True)
class Source:
    """Where a verb's rows come from.

    Attributes:
        data: rows, a name or a file; default: the test part of the named set that the run was fitted to, or the rows
            that were held out of its data
        labels: the column of a table that holds classes
        resize: height and width to give the images of a folder
        header: whether the first line of a table of text holds the columns' names
        index: whether its first column holds row names or row numbers, which are left out
        separator: what stands between its fields: a character, tab or space; default: found in the file
    """

    data: str | None = None
    labels: str | None = None
    resize: tuple[Count, Count] | None = None
    header: Annotated[str, OneOf("auto", "yes", "no")] = "auto"
    index: Annotated[str, OneOf("auto", "yes", "no")] = "auto"
    separator: str | None = None

    def rows(self, run: Run) -> Rows:
        """Read the rows, which are to be like a run's.

        Raises:
            UsageError: without data, where nothing was held out or it is not there any more.
            DataError: for data that cannot be read, or is of another shape or other values.
        """
        from latentia.runs.evaluate import held_out_rows

        facts = asdict(self)
        return held_out_rows(run, facts.pop("data"), **facts)


def first(run: Run, rows: Rows, n: int) -> HeldOut:
    """Return the first n rows as `chosen` does, or all where there are fewer, which is said."""
    if n > len(rows):
        print(
            f"latentia: note: {rows.name} has {len(rows)} rows, fewer than {n}: all are taken",
            file=sys.stderr,
        )
    return chosen(run, rows, range(min(n, len(rows))))


def chosen(run: Run, rows: Rows, numbers: Sequence[int]) -> HeldOut:
    """Return rows by number, as floating-point numbers, with what the run is given if they have it.

    Raises:
        UsageError: for a number that no row has, and for no numbers.
    """
    import torch

    from latentia.report.report_rows import HeldOut
    from latentia.runs.conditioning import conditions_of, in_context_of

    for number in numbers:
        if not 0 <= number < len(rows):
            raise UsageError(f"there is no row {number}; {rows.name} has rows 0 to {len(rows) - 1}")
    if not numbers:
        raise UsageError("at least one row is needed")
    some = rows.select(torch.tensor(numbers))
    conditions = None
    if run.recipe.conditional:
        try:
            some = in_context_of(run.model_spec, some)
            conditions = conditions_of(run.model_spec, some)
        except DataError:  # the user may say what is given
            pass
    labels = some.labels if some.spec.classes == run.spec.classes else None
    x = some.spec.natural(some.take(torch.arange(len(some))).x)
    return HeldOut(x, labels, None, len(rows), conditions)


def condition(rows: HeldOut, given: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return what a conditional run is to be given: what the user asks, or else what the first row has."""
    return given or rows.own(0)
