"""What a report shows of a run's rows: some held-out ones as the model sees them, and draws beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from latentia.data.randomness import permutation
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.figures.plots import LogDensity
from latentia.runs.conditioning import conditions_of, in_context_of, random_conditions
from latentia.runs.run import Run

SEED = 0  # of every draw in a report

Given = Mapping[str, Any] | None


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows, a few, chosen at random once for all sets of that size.

    Attributes:
        given: (n, *event) rows of the data as the user gave it.
        labels: (n,) class numbers, or None.
        log_density: the true log-density of rows, where it is known.
        total: rows that there are.
        conditions: what a conditional run is given for each of the rows: n values of each condition, by name.
    """

    given: Tensor
    labels: Tensor | None
    log_density: LogDensity | None
    total: int
    conditions: Mapping[str, list[Any]] | None = None

    def first(self, n: int) -> HeldOut:
        """Return the first n of the rows."""
        return replace(
            self,
            given=self.given[:n],
            labels=None if self.labels is None else self.labels[:n],
            conditions=None if self.conditions is None else {k: v[:n] for k, v in self.conditions.items()},
        )

    def own(self, row: int) -> dict[str, Any] | None:
        """Return what a conditional run is given for one of the rows; None for other runs."""
        if self.conditions is None:
            return None
        return {name: values[row] for name, values in self.conditions.items()}


def choose(run: Run, rows: Rows, most: int) -> HeldOut:
    """Return at most ``most`` of the rows, in random order, since a set may be sorted by class.

    Raises:
        DataError: for a conditional run and rows without what it is given.
    """
    if run.recipe.conditional:
        rows = in_context_of(run.model_spec, rows)
    some = rows.select(permutation(len(rows), SEED)[:most])
    labels = some.labels if rows.spec.classes == run.spec.classes else None
    conditions = conditions_of(run.model_spec, some) if run.recipe.conditional else None
    return HeldOut(some.x, labels, rows.log_density, len(rows), conditions)


def seen_spec(run: Run) -> DataSpec:
    """Return what the rows are that the model sees: the data's spec, or what the recipe's transform makes of it."""
    return run.model_spec


def seen(run: Run, held: HeldOut) -> Tensor:
    """Return held-out rows as the model sees them: (n, *event)."""
    return run.rows(held.given).cpu()


def with_own(held: HeldOut, use: Callable[[Tensor, Given], Tensor]) -> Tensor:
    """Return what ``use(rows, given)`` makes of rows, given what each of them has if the model is conditional."""
    return use(held.given, held.conditions).cpu()


def draw(run: Run, n: int, given: Given = None) -> Tensor:
    """Return n samples, the first that come: (n, *event); of a conditional model, given what is said or drawn."""
    if run.recipe.conditional and given is None:
        given = random_conditions(run.model_spec, n, SEED)
    return run.sample(n, given, seed=SEED).cpu()


def named(given: Given) -> str:
    """Return what one row is given, in words: the class by its name alone.

    Example:
        >>> named({"class": "cat"}), named({"sex": "f", "age": 31.0}), named(None)
        ('cat', 'sex f, age 31', '')
    """
    if given is None or list(given) == ["class"]:
        return "" if given is None else str(given["class"])
    words = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in given.items()}
    return ", ".join(f"{name} {value}" for name, value in words.items())
