"""What data is: the shape of a row, the values it may take, and what it is conditional on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from latentia.data.attributes import ROLES, Attribute, Role
from latentia.data.support import Kind, Measure, Support, infer_support
from latentia.errors import DataError, UsageError

__all__ = ["DataSpec", "Kind", "Measure", "Support", "conditioned_on", "infer_support", "require"]


@dataclass(frozen=True)
class DataSpec:
    """What rows are: it accompanies the data to the model and to every score.

    Attributes:
        event_shape: the shape of one row: (D,) for tables, (channels, height, width) for images.
        support: the values that an entry may take.
        columns: the names of a table's columns; empty for images.
        categories: for each of a table's columns the names of its categories in the order of their numbers, none for
            other columns; empty where no names are known.
        attributes: what is known of each row besides its entries: at most one label, factors, conditions.

    Raises:
        UsageError: for two attributes of one name, or two labels.

    Example:
        >>> spec = DataSpec((1, 8, 8), Support("discrete", 17)).with_classes(tuple("0123456789"))
        >>> spec.size, spec.is_image, DataSpec.from_json(spec.to_json()) == spec
        (64, True, True)
    """

    event_shape: tuple[int, ...]
    support: Support
    columns: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    categories: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        names = [each.name for each in self.attributes]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UsageError(f"two attributes of the rows are called {twice[0]}: rename one")
        if len(self._of("label")) > 1:
            raise UsageError(f"rows have one label; got {', '.join(each.name for each in self._of('label'))}")

    @property
    def size(self) -> int:
        """The number of entries in one row, D."""
        return math.prod(self.event_shape)

    @property
    def is_image(self) -> bool:
        """Whether a row is an image: (channels, height, width)."""
        return len(self.event_shape) == 3

    @property
    def label(self) -> Attribute | None:
        """The class of the rows; None where they have none."""
        return next(iter(self._of("label")), None)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the label's classes, in the order of their numbers; empty without a label."""
        return () if self.label is None else tuple(map(str, self.label.values))

    @property
    def factors(self) -> tuple[Attribute, ...]:
        """The causes of how each row looks, where they are known."""
        return self._of("factor")

    @property
    def conditions(self) -> tuple[Attribute, ...]:
        """What a conditional model is given in addition to the class."""
        return self._of("condition")

    @property
    def context(self) -> tuple[Attribute, ...]:
        """What a model may be conditioned on: the label and the conditions, or the factors of rows without either."""
        return self._of("label") + self.conditions or self.factors

    def with_role(self, role: Role, attributes: Sequence[Attribute]) -> DataSpec:
        """Return the same spec with these attributes of a role, in the place of those that it has."""
        others = [each for each in self.attributes if each.role != role]
        new = [*others, *(replace(each, role=role) for each in attributes)]
        return replace(self, attributes=tuple(sorted(new, key=lambda each: ROLES.index(each.role))))

    def with_classes(self, classes: Sequence[str], name: str = "class") -> DataSpec:
        """Return the same spec with a label of these classes; without a label where there are none."""
        return self.with_role("label", [Attribute(name, tuple(classes))] if classes else [])

    def check(self, x: Tensor, *, name: str = "x") -> None:
        """Raise `DataError` unless x has shape (n, *event) and every value is in the support."""
        if tuple(x.shape[1:]) != self.event_shape:
            raise DataError(
                f"{name} has rows of shape {tuple(x.shape[1:])}, but the model is for {self.event_shape}"
            )
        self.support.check(x, name=name)

    def class_number(self, given: str | int) -> int:
        """Return a class's number from its name or, where no class has that name, its number from 0.

        Raises:
            UsageError: for another class, with those that there are.
        """
        if self.label is None:
            raise UsageError("class given, but this data has no classes")
        return self.label.number(given)

    def to_json(self) -> dict[str, Any]:
        """Return the spec as JSON values."""
        names = {"categories": [list(column) for column in self.categories]} if self.categories else {}
        return {
            "event_shape": list(self.event_shape),
            "support": str(self.support),
            "columns": list(self.columns),
            "attributes": [each.to_json() for each in self.attributes],
            **names,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DataSpec:
        """Read what ``to_json`` returns, also from older versions."""
        return cls(
            event_shape=tuple(values["event_shape"]),
            support=Support.parse(values["support"]),
            columns=tuple(values.get("columns", ())),
            attributes=tuple(_attributes_from(values)),
            categories=tuple(tuple(column) for column in values.get("categories", ())),
        )

    def _of(self, role: Role) -> tuple[Attribute, ...]:
        return tuple(each for each in self.attributes if each.role == role)


def _attributes_from(values: Mapping[str, Any]) -> Iterator[Attribute]:
    """Read the attributes of a spec; older versions wrote classes, factors and conditions apart."""
    yield from map(Attribute.from_json, values.get("attributes", ()))
    if values.get("classes"):
        yield Attribute("class", tuple(values["classes"]), role="label")
    yield from (Attribute.from_json(each, "factor") for each in values.get("factors", ()))
    yield from (Attribute.from_json(each, "condition") for each in values.get("conditions", ()))


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


def conditioned_on(data: DataSpec, conditional: bool) -> tuple[Attribute, ...]:
    """Return the attributes that a model is conditioned on; none for an unconditional one.

    Raises:
        UsageError: for a conditional model of data without attributes, or a condition that is constant.
    """
    if conditional and not data.context:
        raise UsageError(
            "conditional=True needs labelled data; this data has no classes, nor factors nor columns named as context="
        )
    for each in data.conditions:
        if conditional and each.kind != "text" and len(set(each.values)) < 2:
            raise UsageError(f"{each.name} is {each.values[0]} in all rows: leave it out of the context")
    return data.context if conditional else ()
