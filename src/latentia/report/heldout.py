"""What a report shows of a run's rows: some held-out ones as the model sees them, and draws beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from latentia.data.randomness import permutation
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.report.plots import LogDensity
from latentia.runs.evaluate import in_classes_of
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
    """

    given: Tensor
    labels: Tensor | None
    log_density: LogDensity | None
    total: int

    def first(self, n: int) -> HeldOut:
        """Return the first n of the rows."""
        return replace(self, given=self.given[:n], labels=None if self.labels is None else self.labels[:n])


def choose(run: Run, rows: Rows, most: int) -> HeldOut:
    """Return at most ``most`` of the rows, in random order, since a set may be sorted by class.

    Raises:
        DataError: for a conditional run and rows without the labels that it was fitted with.
    """
    if run.recipe.conditional:
        rows = in_classes_of(run, rows)
    labels = rows.labels if rows.spec.classes == run.spec.classes else None
    chosen = permutation(len(rows), SEED)[:most]
    given = rows.select(chosen).x
    return HeldOut(given, None if labels is None else labels[chosen], rows.log_density, len(rows))


def seen_spec(run: Run) -> DataSpec:
    """Return what the rows are that the model sees: the data's spec, or what the recipe's transform makes of it."""
    return run.spec if run.recipe.transform is None else run.recipe.transform.spec(run.spec)


def seen(run: Run, held: HeldOut) -> Tensor:
    """Return held-out rows as the model sees them: (n, *event)."""
    return per_class(run, held, lambda x, _: run.rows(x))


def per_class(run: Run, held: HeldOut, use: Callable[[Tensor, Given], Tensor]) -> Tensor:
    """Return what ``use(rows, given)`` makes of each row, given the row's class if the model is conditional."""
    if not run.recipe.conditional or held.labels is None:
        return use(held.given, None).cpu()
    places = [(held.labels == number).nonzero()[:, 0] for number in range(len(run.spec.classes))]
    parts = [use(held.given[place], of_class(run, c)).cpu() for c, place in enumerate(places) if len(place)]
    return torch.cat(parts)[torch.cat(places).argsort()]


def draw(run: Run, n: int, labels: Tensor | None = None) -> Tensor:
    """Return n samples, the first that come: (n, *event); of a conditional model, of the classes ``labels`` (n,)."""
    if not run.recipe.conditional:
        return run.sample(n, seed=SEED).cpu()
    if labels is None:
        labels = torch.arange(n) % len(run.spec.classes)
    generator = torch.Generator(run.device).manual_seed(SEED)
    places = [(labels == number).nonzero()[:, 0] for number in range(len(run.spec.classes))]
    parts = [
        run.sample(len(place), of_class(run, c), seed=generator).cpu()
        for c, place in enumerate(places)
        if len(place)
    ]
    return torch.cat(parts)[torch.cat(places).argsort()]


def of_class(run: Run, number: int) -> dict[str, str]:
    """Return the condition that names a class by its number."""
    return {"class": run.spec.classes[number]}
