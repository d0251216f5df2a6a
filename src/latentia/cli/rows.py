"""The rows that a verb works on, beside a run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from latentia.data.rows import Rows
from latentia.errors import DataError, UsageError
from latentia.report.heldout import HeldOut
from latentia.runs.context import given_of, in_context_of
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
    """Return rows by number, as floating-point numbers, with what the run is given if they have it.

    Raises:
        UsageError: for a number that no row has, and for no numbers.
    """
    for number in numbers:
        if not 0 <= number < len(rows):
            raise UsageError(f"there is no row {number}; {rows.name} has rows 0 to {len(rows) - 1}")
    if not numbers:
        raise UsageError("at least one row is needed")
    some = rows.select(torch.tensor(numbers))
    conditions = None
    if run.recipe.conditional:
        try:
            some = in_context_of(run, some)
            conditions = given_of(run, some)
        except DataError:  # the user may say what is given
            pass
    labels = some.labels if some.spec.classes == run.spec.classes else None
    x = some.take(torch.arange(len(some))).x
    return HeldOut(x, labels, None, len(rows), conditions)


def condition(rows: HeldOut, given: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return what a conditional run is to be given: what the user asks, or else what the first row has."""
    return given or rows.own(0)
