"""The rows that a verb works on, beside a run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import torch

from latentia.data.rows import Rows
from latentia.errors import UsageError
from latentia.report.heldout import HeldOut, of_class
from latentia.runs.evaluate import in_classes_of
from latentia.runs.run import Run


def first(run: Run, rows: Rows, n: int) -> HeldOut:
    """Return the first n rows as `chosen` does, or all where there are fewer, which is said."""
    if n > len(rows):
        print(
            f"latentia: note: {rows.name} has {len(rows)} rows, fewer than {n}: all are taken",
            file=sys.stderr,
        )
    return chosen(run, rows, range(min(n, len(rows))))


def chosen(run: Run, rows: Rows, numbers: Sequence[int]) -> HeldOut:
    """Return rows by number, as floating-point numbers, with their labels if those are the run's.

    Raises:
        UsageError: for a number that no row has, and for no numbers.
    """
    for number in numbers:
        if not 0 <= number < len(rows):
            raise UsageError(f"there is no row {number}; {rows.name} has rows 0 to {len(rows) - 1}")
    if not numbers:
        raise UsageError("at least one row is needed")
    index = torch.tensor(numbers)
    if {*rows.spec.classes} <= {*run.spec.classes} and rows.labels is not None:
        rows = in_classes_of(run, rows)
    labels = rows.labels if rows.spec.classes == run.spec.classes else None
    return HeldOut(rows.take(index).x, None if labels is None else labels[index], None, len(rows))


def condition(run: Run, rows: HeldOut, given: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return what a conditional run is to be given: what the user asks, or else the first row's class."""
    if given or not run.recipe.conditional or rows.labels is None:
        return given
    return of_class(run, int(rows.labels[0]))
