"""The rows of a report: held-out rows as the model sees them, and samples given the same conditions."""

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
    """A few held-out rows, chosen with a fixed seed.

    Attributes:
        given: (n, *event) rows of the data as the user gave it.
        labels: (n,) class indices, or None.
        log_density: the true log-density of rows, if known.
        total: number of all held-out rows.
        conditions: of a conditional run, n values of each condition by name, one for each row.
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
        """Return the conditions of one of the rows; None for an unconditional run."""
        if self.conditions is None:
            return None
        return {name: values[row] for name, values in self.conditions.items()}


def choose(run: Run, rows: Rows, most: int) -> HeldOut:
    """Return at most ``most`` of the rows, in random order, since data may be sorted by class.

    Raises:
        DataError: for a conditional run and rows without its conditions.
    """
    if run.recipe.conditional:
        rows = in_context_of(run.model_spec, rows)
    some = rows.select(permutation(len(rows), SEED)[:most])
    labels = some.labels if rows.spec.classes == run.spec.classes else None
    conditions = conditions_of(run.model_spec, some) if run.recipe.conditional else None
    return HeldOut(some.x, labels, rows.log_density, len(rows), conditions)


def seen_spec(run: Run) -> DataSpec:
    """Return the spec of the rows as the model sees them: the data's, after the recipe's transform."""
    return run.model_spec


def seen(run: Run, held: HeldOut) -> Tensor:
    """Return held-out rows as the model sees them, in the data's units: (n, *event)."""
    return run.spec.natural(run.rows(held.given)).cpu()


def with_own(held: HeldOut, use: Callable[[Tensor, Given], Tensor]) -> Tensor:
    """Return ``use(rows, given)``, with the conditions of each row for a conditional model."""
    return use(held.given, held.conditions).cpu()


def draw(run: Run, n: int, given: Given = None) -> Tensor:
    """Return the first n samples of the report's seed: (n, *event); conditions that are not given are drawn."""
    if run.recipe.conditional and given is None:
        given = random_conditions(run.model_spec, n, SEED)
    return run.tensors.sample(n, given, SEED).cpu()


def pictures(run: Run, n: int, given: Given = None) -> Tensor:
    """Return n samples as `draw` does, as means of p(x | z) where the model offers them in the place of draws."""
    if not shows_means(run):
        return draw(run, n, given)
    if run.recipe.conditional and given is None:
        given = random_conditions(run.model_spec, n, SEED)
    return run.tensors.sample(n, given, SEED, mean=True).cpu()


def shows_means(run: Run) -> bool:
    """Whether the pictures of a run's samples are means of p(x | z), without the likelihood's noise."""
    return "mean" in run.sampling_options


def named(given: Given) -> str:
    """Return the conditions of one row as text: the class by its name alone.

    Example:
        >>> named({"class": "cat"}), named({"sex": "f", "age": 31.0}), named(None)
        ('cat', 'sex f, age 31', '')
    """
    if given is None or list(given) == ["class"]:
        return "" if given is None else str(given["class"])
    words = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in given.items()}
    return ", ".join(f"{name} {value}" for name, value in words.items())
