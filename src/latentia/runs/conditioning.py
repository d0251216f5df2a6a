"""Conditioning: what a user gives a conditional model, and what rows know, as the model takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from latentia.data.attributes import ROLES, Attribute, by_name, given_values
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.errors import DataError, UsageError


def values_of(name: str, spec: DataSpec, n: int, given: Mapping[str, Any] | None) -> dict[str, Tensor]:
    """Return the values of n rows that a conditional model is given, by attribute.

    Args:
        name: the recipe's, for messages.
        spec: what the data is that the model sees.
        n: number of rows.
        given: a value of every attribute, by name; a label may also be given as ``class`` or ``domain``.

    Raises:
        UsageError: for other attributes than the model takes.
    """
    attributes, given = spec.context, given or {}
    choices = " and ".join(f"{each.name}=, {each.choices}" for each in attributes)
    try:
        known = by_name(attributes, given)
    except UsageError:
        known = {}
    if set(known) != {each.name for each in attributes}:
        raise UsageError(
            f"{name} is conditional: give {choices}" + (f"; got {', '.join(given)}" if given else "")
        )
    return given_values(attributes, n, known)


def conditions_by_factor(
    given: Mapping[str, Any] | None, spec: DataSpec, model_spec: DataSpec
) -> dict[str, Any]:
    """Return conditions by the names of factors: the label is the factor whose values the classes are."""
    given = dict(given or {})
    classes = None if spec.label is None else spec.label.choices
    names = [each.name for each in model_spec.context if each.choices == classes]
    if "class" in given and names and names[0] not in given:
        given[names[0]] = given.pop("class")
    return given


def in_context_of(spec: DataSpec, rows: Rows) -> Rows:
    """Return the same rows, their values numbered as a conditional run numbers its classes, conditions and factors.

    A run's label is the rows' label, whatever each is called.

    Raises:
        DataError: for rows without an attribute of the run's, or with a class or category that it does not know.
    """
    theirs = {each.name: each for each in rows.spec.attributes if each.name in rows.attributes}
    if spec.label is not None and rows.spec.label is not None and rows.labels is not None:
        theirs = {spec.label.name: rows.spec.label} | theirs
    missing = [each for each in spec.context if each.name not in theirs]
    if missing:
        raise DataError(_without(missing, rows))
    values = {
        each.name: _renumbered(each, theirs[each.name], rows.attributes[theirs[each.name].name], rows.name)
        for each in spec.context
    }
    kept = [each for each in rows.spec.attributes if each.name not in values]
    merged = replace(rows.spec, attributes=tuple(kept))
    for role in ROLES:
        ours = [each for each in spec.context if each.role == role]
        merged = merged.with_role(role, ours) if ours else merged
    return replace(rows, spec=merged, attributes={**rows.attributes, **values})


def conditions_of(spec: DataSpec, rows: Rows) -> dict[str, list[Any]]:
    """Return what a conditional run is to be given for each of some rows, after `in_context_of`: values by name."""
    return {each.name: each.names(rows.attributes[each.name]) for each in spec.context}


def random_conditions(spec: DataSpec, n: int, seed: int) -> dict[str, list[Any]]:
    """Return n values of everything that a conditional run is to be given, drawn uniformly and independently."""
    generator = torch.Generator().manual_seed(seed)
    return {each.name: each.names(each.draw(n, generator)) for each in spec.context}


def _without(missing: Sequence[Attribute], rows: Rows) -> str:
    """Return the line that says what rows lack of what a run is conditional on."""
    if missing[0].role == "label":
        classes = ", ".join(map(str, missing[0].values))
        return f"the run is conditional on {classes}: rows of {rows.name} need these labels"
    names = ", ".join(each.name for each in missing)
    return f"the run is conditional on {names}, which rows of {rows.name} do not have"


def _renumbered(ours: Attribute, theirs: Attribute, values: Tensor, name: str) -> Tensor:
    """Return the values (n, ...) of rows in the numbers of ours; real numbers and texts stay as they are."""
    if ours.kind != theirs.kind:
        raise DataError(f"{ours.name} is {ours.kind} for the run, but in {name} it is {theirs.kind}")
    if not ours.listed:
        return values
    places = {value: number for number, value in enumerate(ours.values)}
    strange = [value for value in theirs.values if value not in places]
    if strange:
        known = ", ".join(map(str, ours.values))
        raise DataError(f"{name} has the {ours.name} {strange[0]!r}, which is none of the run's: {known}")
    return torch.tensor([places[value] for value in theirs.values])[values.long()]
