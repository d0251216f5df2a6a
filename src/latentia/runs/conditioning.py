"""Conditioning: what a user gives a conditional model, and what rows know, as the model takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from latentia.data.factors import Factor, codes_of
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.errors import DataError, UsageError


def context_of(name: str, spec: DataSpec, n: int, given: Mapping[str, Any] | None) -> Tensor:
    """Return the contexts of n rows, (n, c), of a conditional model.

    Args:
        name: the recipe's, for messages.
        spec: what the data is that the model sees.
        n: number of rows.
        given: a value of every condition, by name.

    Raises:
        UsageError: for other conditions than the model takes.
    """
    given, factors = dict(given or {}), spec.context
    if set(given) != {factor.name for factor in factors}:
        choices = " and ".join(f"{factor.name}=, {factor.choices}" for factor in factors)
        raise UsageError(
            f"{name} is conditional: give {choices}" + (f"; got {', '.join(given)}" if given else "")
        )
    return codes_of(factors, n, given)


def conditions_by_factor(
    given: Mapping[str, Any] | None, spec: DataSpec, model_spec: DataSpec
) -> dict[str, Any]:
    """Return conditions by the names of factors: the class is the factor whose values the classes are."""
    given = dict(given or {})
    classes = Factor("class", spec.classes).choices if spec.classes else None
    names = [factor.name for factor in model_spec.context if factor.choices == classes]
    if "class" in given and names and names[0] not in given:
        given[names[0]] = given.pop("class")
    return given


def in_context_of(spec: DataSpec, rows: Rows) -> Rows:
    """Return the same rows with the numbers that a conditional run has for classes, conditions and factors.

    Raises:
        DataError: for rows without what the run is given, or with a class or category that it does not know.
    """
    if spec.classes:
        rows = _in_classes(spec.classes, rows)
    if spec.conditions:
        conditions, values = spec.conditions, rows.condition_values
        rows = rows.with_conditions(conditions, _matched(conditions, rows.spec.conditions, values, rows.name))
    if not spec.classes and not spec.conditions:
        factors = spec.factors
        rows = rows.with_factors(factors, _matched(factors, rows.spec.factors, rows.factor_values, rows.name))
    return rows


def conditions_of(spec: DataSpec, rows: Rows) -> dict[str, list[Any]]:
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
    return {factor.name: factor.listed(columns[factor.name]) for factor in spec.context}


def random_conditions(spec: DataSpec, n: int, seed: int) -> dict[str, list[Any]]:
    """Return n values of everything that a conditional run is to be given, drawn uniformly and apart."""
    generator = torch.Generator().manual_seed(seed)
    return {factor.name: factor.listed(factor.drawn(n, generator)) for factor in spec.context}


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
