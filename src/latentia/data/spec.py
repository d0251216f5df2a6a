"""What data is: the shape of a row, the values it may take, and what it is conditional on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from latentia.data.attributes import ROLES, Attribute, Role
from latentia.data.columns.column import Column
from latentia.data.margins import Margin
from latentia.data.support import Kind, Measure, Support, infer_support
from latentia.errors import DataError, UnfitError, UsageError

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
        table: all columns of the frame that the rows come from, in their order, also those that are not modelled; empty
            for arrays.
        offsets: for each entry of a table's row what models read it from, as float64 has it: models read
            (x − offset) / scale in float32, so that numbers far from 0 lose nothing; empty where all are 0.
        scales: for each entry the unit in which models read it; empty where all are 1.
        margins: of each entry of a table's row, in the rows that a model is fitted to; empty where nothing needs them.
        blocks: of encoded rows, (first, length) of the entries that are one category in one-hot form, or (first, 1) of
            one that is 0 or 1; not kept with a run, for an encoding gives them.

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
    table: tuple[Column, ...] = ()
    offsets: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    margins: tuple[Margin, ...] = ()
    blocks: tuple[tuple[int, int], ...] = ()

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

    @property
    def is_shifted(self) -> bool:
        """Whether models read rows less an offset, or in another unit."""
        return bool(self.offsets or self.scales)

    def coded(self, x: Tensor) -> Tensor:
        """Return natural rows (B, *event) as models read them: (x − offset) / scale, in the default dtype."""
        if not self.is_shifted:
            return x.to(torch.get_default_dtype())
        offset, scale = self._affine(x.device)
        return ((x.double() - offset) / scale).to(torch.get_default_dtype())

    def natural(self, y: Tensor) -> Tensor:
        """Return rows (B, *event) that a model gives as numbers of the data: offset + scale · y, in float64.

        Without offsets and scales they are returned as they are.
        """
        if not self.is_shifted:
            return y
        offset, scale = self._affine(y.device)
        return offset + scale * y.double()

    def log_det(self, y: Tensor) -> Tensor:
        """Return log |dy/dx| of rows (B, *event) as models read them: −Σ log scale of the entries that are there, (B,).

        It turns a log-density of what models read into one of the data.
        """
        if not self.scales:
            return y.new_zeros(len(y), dtype=torch.float64)
        log_scale = torch.tensor(self.scales, dtype=torch.float64, device=y.device).log()
        return -torch.where(y.isnan(), 0.0, log_scale).sum(1)

    def _affine(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return offsets and scales as float64 tensors (D,)."""
        offsets, scales = self.offsets or (0.0,) * self.size, self.scales or (1.0,) * self.size
        offset, scale = torch.tensor([offsets, scales], dtype=torch.float64, device=device)
        return offset, scale

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
            **({"table": [each.to_json() for each in self.table]} if self.table else {}),
            **({"offsets": list(self.offsets)} if self.offsets else {}),
            **({"scales": list(self.scales)} if self.scales else {}),
            **({"margins": [each.to_json() for each in self.margins]} if self.margins else {}),
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
            table=tuple(Column.from_json(each) for each in values.get("table", ())),
            offsets=tuple(values.get("offsets", ())),
            scales=tuple(values.get("scales", ())),
            margins=tuple(Margin.from_json(each) for each in values.get("margins", ())),
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
    """Raise `UnfitError` unless a recipe can model data of this support; ``missing``: with missing values too."""
    if data.support.missing and not missing:
        raise UnfitError(
            f"{recipe} cannot take rows with missing values: remove or fill them, or choose a recipe that takes them; "
            "lt.recipes_for(data), or latentia recipes --for DATA, lists these"
        )
    if data.support.kind not in kinds:
        raise UnfitError(
            f"{recipe} models {', '.join(kinds)} data; this data is {data.support}: "
            "declare another with support=, or choose a recipe of those that lt.recipes_for(data), or latentia recipes "
            "--for DATA, lists"
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
