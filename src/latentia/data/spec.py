"""What data is: the shape of a row, the values it may take, and what it is conditional on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentia.data.factors import Factor
from latentia.data.support import Kind, Measure, Support, infer_support
from latentia.errors import DataError, UsageError

__all__ = ["DataSpec", "Kind", "Measure", "Support", "context_size", "infer_support", "require"]


@dataclass(frozen=True)
class DataSpec:
    """What travels from the data to the model and to every number.

    Attributes:
        event_shape: the shape of one row: (D,) for tables, (channels, height, width) for images.
        support: the values that an entry may take.
        classes: the names of the labels' classes, in the order of their numbers; empty without labels.
        columns: the names of a table's columns; empty for images.
        categories: for each of a table's columns the names of its categories in the order of their numbers, none for
            other columns; empty where no names are known.
        factors: what is known of how each row came about; empty where nothing is.
        conditions: what else is known of each row, which a conditional model is given beside its class: columns of a
            table that were named as context; empty without.

    Example:
        >>> spec = DataSpec((1, 8, 8), Support("discrete", 17), classes=tuple("0123456789"))
        >>> spec.size, spec.is_image, DataSpec.from_json(spec.to_json()) == spec
        (64, True, True)
    """

    event_shape: tuple[int, ...]
    support: Support
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    factors: tuple[Factor, ...] = ()
    conditions: tuple[Factor, ...] = ()
    categories: tuple[tuple[str, ...], ...] = ()

    @property
    def size(self) -> int:
        """The number of entries in one row, D."""
        return math.prod(self.event_shape)

    @property
    def is_image(self) -> bool:
        """Whether a row is an image: (channels, height, width)."""
        return len(self.event_shape) == 3

    @property
    def context(self) -> tuple[Factor, ...]:
        """What a model may be conditioned on: the class and the conditions, or the factors of rows without either."""
        classes = (Factor("class", self.classes),) if self.classes else ()
        return classes + self.conditions or self.factors

    def check(self, x: Tensor, *, name: str = "x") -> None:
        """Raise `DataError` unless x has shape (n, *event) and every value is in the support."""
        if tuple(x.shape[1:]) != self.event_shape:
            raise DataError(
                f"{name} has rows of shape {tuple(x.shape[1:])}, but the model is for {self.event_shape}"
            )
        self.support.check(x, name=name)

    def one_hot(self, labels: Tensor) -> Tensor:
        """Return (n, classes) one-hot rows for (n,) class numbers."""
        return torch.nn.functional.one_hot(labels.long(), len(self.classes)).to(torch.get_default_dtype())

    def class_number(self, given: str | int) -> int:
        """Return a class's number from its name or, where no class has that name, its number from 0.

        Raises:
            UsageError: for another class, with those that there are.
        """
        if not self.classes:
            raise UsageError("class given, but this data has no classes")
        return Factor("class", self.classes).number(given)

    def to_json(self) -> dict[str, Any]:
        """Return the spec as JSON values."""
        known = {"factors": self.factors, "conditions": self.conditions}
        known = {name: [factor.to_json() for factor in factors] for name, factors in known.items() if factors}
        names = {"categories": [list(column) for column in self.categories]} if self.categories else {}
        return {
            "event_shape": list(self.event_shape),
            "support": str(self.support),
            "classes": list(self.classes),
            "columns": list(self.columns),
            **known,
            **names,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DataSpec:
        """Read what ``to_json`` returns."""
        return cls(
            event_shape=tuple(values["event_shape"]),
            support=Support.parse(values["support"]),
            classes=tuple(values.get("classes", ())),
            columns=tuple(values.get("columns", ())),
            factors=tuple(Factor.from_json(factor) for factor in values.get("factors", ())),
            conditions=tuple(Factor.from_json(factor) for factor in values.get("conditions", ())),
            categories=tuple(tuple(column) for column in values.get("categories", ())),
        )


def require(data: DataSpec, recipe: str, kinds: Sequence[Kind], *, missing: bool = False) -> None:
    """Raise `UsageError` unless a recipe can model data of this support; ``missing``: with missing values too."""
    if data.support.missing and not missing:
        raise UsageError(
            f"{recipe} cannot take rows with missing values: remove or fill them, or choose gaussian-mixture"
        )
    if data.support.kind not in kinds:
        raise UsageError(
            f"{recipe} models {', '.join(kinds)} data; this data is {data.support}: "
            "declare another with support=, or choose another recipe"
        )


def context_size(data: DataSpec, conditional: bool) -> int:
    """Return the entries of a conditional model's context (a class one-hot and codes of others); 0 for others.

    Raises:
        UsageError: for a conditional model of data of which nothing is known, or a condition that is constant.
    """
    if conditional and not data.context:
        raise UsageError(
            "conditional=True needs labelled data; this data has no classes, nor factors nor columns named as context="
        )
    for factor in data.conditions:
        if conditional and len(set(factor.values)) < 2:
            raise UsageError(
                f"{factor.name} is {factor.values[0]} in all rows, so as context it tells nothing"
            )
    return sum(factor.size for factor in data.context) if conditional else 0
