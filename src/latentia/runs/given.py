"""What a user gives to condition a model on, as the model takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from latentia.data.factors import Factor, codes_of
from latentia.data.spec import DataSpec
from latentia.errors import UsageError


def context_of(name: str, seen: DataSpec, n: int, given: Mapping[str, Any] | None) -> Tensor:
    """Return the contexts of n rows, (n, c), of a conditional model.

    Args:
        name: the recipe's, for messages.
        seen: what the data is that the model sees.
        n: number of rows.
        given: a value of every condition, by name.

    Raises:
        UsageError: for other conditions than the model takes.
    """
    given, factors = dict(given or {}), seen.context
    if set(given) != {factor.name for factor in factors}:
        choices = " and ".join(f"{factor.name}=, {factor.choices}" for factor in factors)
        raise UsageError(
            f"{name} is conditional: give {choices}" + (f"; got {', '.join(given)}" if given else "")
        )
    return codes_of(factors, n, given)


def by_factor(given: Mapping[str, Any] | None, spec: DataSpec, seen: DataSpec) -> dict[str, Any]:
    """Return conditions by the names of factors: the class is the factor whose values the classes are."""
    given = dict(given or {})
    classes = Factor("class", spec.classes).choices if spec.classes else None
    names = [factor.name for factor in seen.context if factor.choices == classes]
    if "class" in given and names and names[0] not in given:
        given[names[0]] = given.pop("class")
    return given
