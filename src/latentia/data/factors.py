"""Factors: what is known of how each row came about, such as which chair it shows and from where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from latentia.errors import UsageError

Kind = Literal["category", "number", "angle", "measured"]


@dataclass(frozen=True)
class Factor:
    """A cause of how rows look, or another thing that is known of them: for each row one of some values.

    A model reads it as numbers: a category one-hot; a number v as (2v - low - high)/(high - low), from -1 to 1; an
    angle as its cosine and sine, so that 359° is next to 0°. What is measured may be any number, and has no list of
    values: rows hold the value itself where they hold the number of one of the listed values otherwise.

    Attributes:
        name: what it is called.
        values: the values in the order of their numbers: names of categories, numbers, or degrees; the smallest and
            the largest of what is measured.
        kind: category, number, angle or measured.

    Raises:
        UsageError: for another kind, a factor without values, or numbers that are all the same.

    Example:
        >>> Factor("size", (1.0, 2.0, 5.0), "number").code(torch.tensor([0, 2, 1]))[:, 0].tolist()
        [-1.0, 1.0, -0.5]
    """

    name: str
    values: tuple[str, ...] | tuple[float, ...]
    kind: Kind = "category"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError(f"unknown kind of factor {self.kind!r}; there are: {', '.join(get_args(Kind))}")
        if not self.values or (self.kind == "number" and min(self.values) == max(self.values)):
            raise UsageError(f"the factor {self.name} takes no different values; got {list(self.values)}")

    @property
    def size(self) -> int:
        """The entries of its code."""
        return {"category": len(self.values), "number": 1, "angle": 2, "measured": 1}[self.kind]

    @property
    def choices(self) -> str:
        """What may be given, in words."""
        if self.kind == "category":
            return f"one of {', '.join(map(str, self.values))}"
        words = {"angle": "in degrees", "measured": "about {:g} to {:g}", "number": "from {:g} to {:g}"}
        return words[self.kind].format(min(self.values), max(self.values))

    def code(self, numbers: Tensor) -> Tensor:
        """Return the (n, size) codes of values by their numbers (n,), or of the values where they are measured."""
        if self.kind == "measured":
            return self._measured(numbers.double())
        if self.kind == "category":
            one_hot = torch.nn.functional.one_hot(numbers.long(), len(self.values))
            return one_hot.to(torch.get_default_dtype())
        values = torch.tensor(self.values, dtype=torch.float64, device=numbers.device)
        return self._measured(values[numbers.long()])

    def code_of(self, given: Any, n: int) -> Tensor:
        """Return the (n, size) codes of what a user gives for n rows.

        Args:
            given: one value (of a category, its name or its number from 0), n of them, or ``"a:b"``: n steps on the
                way from a to b, both included; between two categories their codes are mixed.
            n: number of rows.

        Raises:
            UsageError: for a value that there is not, a number outside the range of the values, or another count.

        Example:
            >>> Factor("type", ("stool", "bench")).code_of("stool:bench", 3).tolist()
            [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
        """
        if isinstance(given, str) and ":" in given and given not in self.values:
            first, _, last = given.partition(":")
            share = torch.linspace(0, 1, n, dtype=torch.float64)[:, None]
            places = torch.lerp(self._place(first), self._place(last), share)
        else:
            each = np.ravel(given).tolist()
            if len(each) not in (1, n):
                raise UsageError(f"{self.name} takes one value, or one for each of {n} rows; got {len(each)}")
            places = torch.stack([self._place(value) for value in each]).expand(n, -1)
        if self.kind == "category":
            return places.to(torch.get_default_dtype())
        return self._measured(places[:, 0])

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

    def listed(self, numbers: Tensor) -> list[Any]:
        """Return values by their numbers (n,), as `code_of` takes them."""
        return (
            numbers.tolist() if self.kind == "measured" else [self.values[j] for j in numbers.long().tolist()]
        )

    def drawn(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return n numbers of values, uniform; of what is measured, values between the smallest and the largest."""
        device = "cpu" if generator is None else generator.device
        if self.kind != "measured":
            return torch.randint(len(self.values), (n,), generator=generator, device=device)
        low, high = (float(value) for value in self.values)
        share = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
        return low + (high - low) * share

    def to_json(self) -> dict[str, Any]:
        """Return the factor as JSON values."""
        return asdict(self) | {"values": list(self.values)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Factor:
        """Read what ``to_json`` returns."""
        return cls(values["name"], tuple(values["values"]), values["kind"])

    def _place(self, given: Any) -> Tensor:
        """Return where a value is, so that the way between two can be walked: one-hot, or the value itself."""
        if self.kind == "category":
            return torch.eye(len(self.values), dtype=torch.float64)[self.number(given)]
        try:
            value = float(given)
        except (TypeError, ValueError):
            raise UsageError(f"{self.name} is a number {self.choices}; got {given!r}") from None
        free = self.kind in ("angle", "measured")
        low, high = (-math.inf, math.inf) if free else (min(self.values), max(self.values))
        if not (math.isfinite(value) and float(low) <= value <= float(high)):
            raise UsageError(f"{self.name} is a number {self.choices}; got {value:g}")
        return torch.tensor([value], dtype=torch.float64)

    def _measured(self, values: Tensor) -> Tensor:
        """Return the (n, size) codes of numbers or angles (n,)."""
        if self.kind == "angle":
            parts = [values.deg2rad().cos(), values.deg2rad().sin()]
        else:
            low, high = float(min(self.values)), float(max(self.values))
            parts = [(2 * values - low - high) / ((high - low) or 1.0)]
        return torch.stack(parts, dim=1).to(torch.get_default_dtype())


def codes(factors: Sequence[Factor], numbers: Tensor) -> Tensor:
    """Return the (n, c) codes of rows, factor beside factor, from the numbers (n, F) of their values."""
    return torch.cat([factor.code(numbers[:, j]) for j, factor in enumerate(factors)], dim=1)


def codes_of(
    factors: Sequence[Factor],
    n: int,
    given: Mapping[str, Any],
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the (n, c) codes of what a user gives; factors that are not given are drawn uniformly.

    Args:
        factors: what may be given.
        n: number of rows.
        given: by name, what `Factor.code_of` takes.
        generator: where randomness comes from; torch's global state without one.

    Raises:
        UsageError: for a name or a value that there is not.
    """
    refuse_others(factors, given)
    device = "cpu" if generator is None else generator.device

    def code(factor: Factor) -> Tensor:
        if factor.name in given:
            return factor.code_of(given[factor.name], n).to(device)
        return factor.code(factor.drawn(n, generator))

    return torch.cat([code(factor) for factor in factors], dim=1)


def refuse_others(factors: Sequence[Factor], given: Mapping[str, Any]) -> None:
    """Raise `UsageError` for conditions that name none of the factors."""
    names = [factor.name for factor in factors]
    strange = [name for name in given if name not in names]
    if strange:
        raise UsageError(f"unknown factor {strange[0]!r}; there are: {', '.join(names)}")
