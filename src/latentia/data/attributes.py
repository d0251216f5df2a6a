"""Attributes: what is known of each row besides its entries, such as its class, its caption or the pose it shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.registry import check_name

Kind = Literal["categorical", "ordinal", "angle", "real", "text"]
Role = Literal["label", "factor", "condition"]
ROLES: tuple[Role, ...] = get_args(Role)
_OLD_KINDS = {
    "category": "categorical",
    "number": "ordinal",
    "measured": "real",
}  # which older versions wrote
_LABEL_NAMES = ("class", "domain")  # by which a label may be given, whatever it is called


@dataclass(frozen=True)
class Attribute:
    """A property that is known of every row, which a conditional model may be given.

    A tensor holds the values of rows in one of these forms; networks read them through a `ContextEncoder`.

    | kind | values of n rows |
    |---|---|
    | categorical | (n,) int64, numbers of categories; or (n, K) float, weights of categories |
    | ordinal, angle | (n,) int64, numbers of the listed values; or (n,) float, values between them |
    | real | (n,) float |
    | text | (n, L) uint8, UTF-8 padded with zeros |

    Attributes:
        name: what it is called.
        values: names of categories; the numbers of an ordinal attribute, in order; angles in degrees; the smallest and
            the largest value of a real one; a few examples of texts, or none.
        kind: categorical, ordinal, angle, real or text.
        role: label (the class), factor (a cause of how the row looks, which scores of disentanglement compare codes
            with) or condition (what a conditional model is given in addition to the class).

    Raises:
        UsageError: for another kind or role, an attribute without values, or numbers that do not vary.

    Example:
        >>> Attribute("size", (1.0, 2.0, 5.0), "ordinal").given("1:5", 3).tolist()
        [1.0, 3.0, 5.0]
    """

    name: str
    values: tuple[str, ...] | tuple[float, ...] = ()
    kind: Kind = "categorical"
    role: Role = "condition"

    def __post_init__(self) -> None:
        check_name("kind of attribute", self.kind, get_args(Kind))
        check_name("role of an attribute", self.role, ROLES)
        constant = self.kind == "ordinal" and min(self.values, default=0) == max(self.values, default=0)
        if self.kind != "text" and (not self.values or constant):
            raise UsageError(f"the attribute {self.name} has no different values; got {list(self.values)}")

    @property
    def listed(self) -> bool:
        """Whether rows hold the number of one of the values."""
        return self.kind in ("categorical", "ordinal", "angle")

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest value of numbers."""
        return float(min(self.values)), float(max(self.values))

    @property
    def choices(self) -> str:
        """What may be given, in words."""
        match self.kind:
            case "categorical":
                return f"one of {', '.join(map(str, self.values))}"
            case "text":
                return "a text"
            case "angle":
                return "in degrees"
            case kind:
                words = "about {:g} to {:g}" if kind == "real" else "from {:g} to {:g}"
                return words.format(*self.range)

    def given(self, given: Any, n: int) -> Tensor:
        """Return the values of n rows from what a user gives.

        Args:
            given: one value (of a category, its name or its number from 0), n of them, or ``"a:b"``: n equal steps
                from a to b, both included; between two categories, their weights.
            n: number of rows.

        Returns:
            (n, K) weights of categories, (n,) numbers, or (n, L) bytes of text.

        Raises:
            UsageError: for an unknown value, a number outside the range of the values, or another count.

        Example:
            >>> Attribute("type", ("stool", "bench")).given("stool:bench", 3).tolist()
            [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
        """
        path = self.kind != "text" and isinstance(given, str) and ":" in given and given not in self.values
        if path:
            first, _, last = given.partition(":")
            ends = torch.linspace(0, 1, n, dtype=torch.float64).view(-1, *[1] * self._value(first).dim())
            return torch.lerp(self._value(first), self._value(last), ends)
        each = np.ravel(given).tolist()
        if len(each) not in (1, n):
            raise UsageError(f"{self.name} takes one value, or one for each of {n} rows; got {len(each)}")
        if self.kind == "text":
            return text_values(list(map(str, each)) * (n if len(each) == 1 else 1))
        return torch.stack([self._value(value) for value in each] * (n if len(each) == 1 else 1))

    def number(self, given: str | int) -> int:
        """Return a category's number from its name or, where none has that name, its number from 0.

        Raises:
            UsageError: for another category, with those that there are.
        """
        name = str(given)
        if name in self.values:
            return list(self.values).index(name)
        if name.isdecimal() and int(name) < len(self.values):
            return int(name)
        raise UsageError(f"unknown {self.name} {given!r}; there are: {', '.join(map(str, self.values))}")

    def names(self, values: Tensor) -> list[Any]:
        """Return the values of rows, as `given` takes them."""
        if self.kind == "text":
            return texts(values)
        return [self.values[j] for j in values.tolist()] if self.listed else values.tolist()

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw the values of n rows, uniform: over the listed ones (of texts, the examples), or between two numbers.

        Raises:
            UsageError: for texts without examples.
        """
        device = "cpu" if generator is None else generator.device
        if self.kind == "real":
            low, high = self.range
            uniform = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
            return low + (high - low) * uniform
        if not self.values:
            raise UsageError(f"{self.name} is a text without examples to draw from: give it")
        numbers = torch.randint(len(self.values), (n,), generator=generator, device=device)
        if self.kind == "text":
            return text_values([str(self.values[j]) for j in numbers.tolist()]).to(device)
        return numbers

    def stored(self, values: Any) -> Tensor:
        """Return values of rows, numbers or texts, in the form in which rows keep them."""
        if self.kind == "text":
            return values if isinstance(values, Tensor) else text_values(values)
        return torch.as_tensor(values, dtype=torch.float64 if self.kind == "real" else torch.int64)

    def check(self, values: Tensor, n: int, name: str) -> None:
        """Raise `DataError` unless values, as `stored`, are one valid value for each of n rows, called ``name``."""
        what, text = self.name, self.kind == "text"
        if len(values) != n:
            counted = "labels" if self.role == "label" else f"values of {what}"
            raise DataError(f"{name} has {n} rows but {len(values)} {counted}")
        if values.dim() != 1 + text or (values.dtype == torch.uint8) != text:
            given = f"{values.dtype} values of shape {tuple(values.shape)}"
            raise DataError(f"{what} of {name} has {given}: give one a row")
        if not values.isfinite().all():
            raise DataError(f"{what} of {name} holds NaN or infinity")
        if self.listed and n:
            low, high, count = int(values.min()), int(values.max()), len(self.values)
            if low < 0 or high >= count:
                number = low if low < 0 else high
                raise DataError(f"{name} has value number {number} of {what}, which has {count} values")

    def to_json(self) -> dict[str, Any]:
        """Return the attribute as JSON values."""
        return asdict(self) | {"values": list(self.values)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], role: Role = "condition") -> Attribute:
        """Read what ``to_json`` returns, also from older versions, which wrote no role."""
        kind: Any = _OLD_KINDS.get(values["kind"], values["kind"])
        return cls(values["name"], tuple(values["values"]), kind, values.get("role", role))

    def _value(self, given: Any) -> Tensor:
        """Return one value, float64: weights of categories, (K,), or a number, ()."""
        if self.kind == "categorical":
            return torch.eye(len(self.values), dtype=torch.float64)[self.number(given)]
        try:
            value = float(given)
        except (TypeError, ValueError):
            raise UsageError(f"{self.name} is a number {self.choices}; got {given!r}") from None
        low, high = self.range if self.kind == "ordinal" else (-math.inf, math.inf)
        if not (math.isfinite(value) and low <= value <= high):
            raise UsageError(f"{self.name} is a number {self.choices}; got {value:g}")
        return torch.tensor(value, dtype=torch.float64)


def given_values(
    attributes: Sequence[Attribute],
    n: int,
    given: Mapping[str, Any],
    *,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return the values of n rows, by attribute, from what a user gives; attributes that are not given are drawn.

    Args:
        attributes: what may be given.
        n: number of rows.
        given: by name, what `Attribute.given` takes; a label may also be given as ``class`` or ``domain``.
        generator: where randomness comes from; torch's global state by default.

    Raises:
        UsageError: for an unknown name or value.
    """
    given = by_name(attributes, given)
    device = "cpu" if generator is None else generator.device
    return {
        each.name: each.given(given[each.name], n).to(device)
        if each.name in given
        else each.draw(n, generator)
        for each in attributes
    }


def by_name(attributes: Sequence[Attribute], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a user gives by the attributes' own names: a label may also be given as ``class`` or ``domain``.

    Raises:
        UsageError: for a name that no attribute has.
    """
    names = [each.name for each in attributes]
    label = next((each.name for each in attributes if each.role == "label"), None)
    renamed = {
        (label if label and name in _LABEL_NAMES and name not in names else name): value
        for name, value in given.items()
    }
    strange = [name for name in renamed if name not in names]
    if strange:
        raise UsageError(f"unknown attribute {strange[0]!r}; there are: {', '.join(names)}")
    if len(renamed) < len(given):
        raise UsageError(f"{label} is given twice, as {' and '.join(given)}")
    return renamed


def text_values(texts: Sequence[str]) -> Tensor:
    """Return texts as (n, L) uint8: UTF-8, padded with zeros to the longest.

    Example:
        >>> text_values(["a", "bc"]).tolist()
        [[97, 0], [98, 99]]
    """
    encoded = [np.frombuffer(text.encode(), np.uint8) for text in texts]
    values = np.zeros((len(encoded), max(map(len, encoded), default=0)), np.uint8)
    for row, each in zip(values, encoded, strict=True):
        row[: len(each)] = each
    return torch.from_numpy(values)


def texts(values: Tensor) -> list[str]:
    """Return the texts of (n, L) UTF-8 bytes, padded with zeros.

    Example:
        >>> texts(text_values(["a", "Übung"]))
        ['a', 'Übung']
    """
    return [bytes(row).rstrip(b"\0").decode() for row in values.cpu().numpy()]
