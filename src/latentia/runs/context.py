"""What a conditional run is given of rows: their classes, conditions or factors, matched with its own by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from latentia.data.factors import Factor
from latentia.data.rows import Rows
from latentia.errors import DataError
from latentia.runs.run import Run


def in_context_of(run: Run, rows: Rows) -> Rows:
    """Return the same rows with the numbers that a conditional run has for classes, conditions and factors.

    Raises:
        DataError: for rows without what the run is given, or with a class or category that it does not know.
    """
    spec = run.seen
    if spec.classes:
        rows = _in_classes(spec.classes, rows)
    if spec.conditions:
        conditions, values = spec.conditions, rows.condition_values
        rows = rows.with_conditions(conditions, _matched(conditions, rows.spec.conditions, values, rows.name))
    if not spec.classes and not spec.conditions:
        factors = spec.factors
        rows = rows.with_factors(factors, _matched(factors, rows.spec.factors, rows.factor_values, rows.name))
    return rows


def given_of(run: Run, rows: Rows) -> dict[str, list[Any]]:
    """Return what a conditional run is to be given for each of some rows, after `in_context_of`: values by name."""
    known: list[tuple[tuple[Factor, ...], Tensor | None]] = [
        ((Factor("class", rows.spec.classes),) if rows.spec.classes else (), _column(rows.labels)),
        (rows.spec.conditions, rows.condition_values),
        (rows.spec.factors, rows.factor_values),
    ]
    columns = {
        factor.name: numbers[:, j]
        for factors, numbers in reversed(known)  # a class comes before a factor of that name
        if numbers is not None
        for j, factor in enumerate(factors)
    }
    return {factor.name: factor.listed(columns[factor.name]) for factor in run.seen.context}


def any_given(run: Run, n: int, seed: int) -> dict[str, list[Any]]:
    """Return n values of everything that a conditional run is to be given, drawn uniformly and apart."""
    generator = torch.Generator().manual_seed(seed)
    return {factor.name: factor.listed(factor.drawn(n, generator)) for factor in run.seen.context}


def _in_classes(classes: tuple[str, ...], rows: Rows) -> Rows:
    if rows.labels is None:
        raise DataError(
            f"the run is conditional on {', '.join(classes)}: rows of {rows.name} need these labels"
        )
    ours, theirs = Factor("class", classes), Factor("class", rows.spec.classes)
    labels = _renumbered(ours, theirs, rows.labels, rows.name)
    return replace(rows, labels=labels, spec=replace(rows.spec, classes=classes))


def _matched(ours: Sequence[Factor], theirs: Sequence[Factor], values: Tensor | None, name: str) -> Tensor:
    """Return the (n, F) values of factors of ours, from those of theirs that have their names."""
    places = {factor.name: j for j, factor in enumerate(theirs)}
    missing = [factor.name for factor in ours if factor.name not in places]
    if missing or values is None:
        raise DataError(f"the run is conditional on {', '.join(missing)}, which rows of {name} do not have")
    columns = [
        _renumbered(factor, theirs[places[factor.name]], values[:, places[factor.name]], name)
        for factor in ours
    ]
    return torch.stack(columns, dim=1)


def _renumbered(ours: Factor, theirs: Factor, numbers: Tensor, name: str) -> Tensor:
    """Return the numbers (n,) of the same values among ours; values that are measured stay as they are."""
    if ours.kind != theirs.kind:
        raise DataError(f"{ours.name} is a {ours.kind} for the run, but in {name} it is a {theirs.kind}")
    if ours.kind == "measured":
        return numbers
    places = {value: number for number, value in enumerate(ours.values)}
    strange = [value for value in theirs.values if value not in places]
    if strange:
        known = ", ".join(map(str, ours.values))
        raise DataError(f"{name} has the {ours.name} {strange[0]!r}, which is none of the run's: {known}")
    return torch.tensor([places[value] for value in theirs.values])[numbers.long()]


def _column(labels: Tensor | None) -> Tensor | None:
    return None if labels is None else labels[:, None]
