"""Supports: the values that the entries of a row may take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latentia.errors import DataError, UsageError

Kind = Literal["binary", "discrete", "count", "unit", "real", "categorical", "table"]
Measure = Literal["counting", "Lebesgue", "mixed"]


@dataclass(frozen=True)
class Support:
    """The values that one entry of a row may take, and so the measure that its density refers to.

    ``binary`` {0, 1} · ``discrete(K)`` integers 0..K-1, ordered · ``count`` integers from 0 on · ``unit`` the interval
    [0, 1] · ``real`` any finite number · ``categorical(K)`` integers 0..K-1 without order · ``table`` columns of
    different kinds. Each may be followed by ``or missing``: an entry may then also be NaN, which says that it is not
    known.

    Attributes:
        kind: one of the seven.
        levels: K, for discrete and categorical support.
        columns: the support of each column of a table.
        missing: whether an entry may be missing, NaN; of a table, one of some column: each says it of its own.

    Example:
        >>> Support.parse("discrete(256)").bounds, str(Support("unit"))
        ((0.0, 255.0), 'unit')
        >>> Support.parse("table(real, binary or missing)").missing
        True
    """

    kind: Kind
    levels: int | None = None
    columns: tuple[Support, ...] = ()
    missing: bool = False

    def __post_init__(self) -> None:
        counted = self.kind in ("discrete", "categorical")
        if counted and (self.levels is None or self.levels < 2):
            raise UsageError(
                f"{self.kind} support needs at least 2 levels, as in {self.kind}(256); got {self.levels}"
            )
        if not counted and self.levels is not None:
            raise UsageError(f"{self.kind} support takes no levels; got {self.levels}")
        if self.missing:  # of a table: in any column
            object.__setattr__(self, "columns", tuple(replace(each, missing=True) for each in self.columns))
        object.__setattr__(self, "missing", self.missing or any(each.missing for each in self.columns))

    @classmethod
    def parse(cls, text: str) -> Support:
        """Read what ``str`` writes: ``binary``, ``discrete(256)``, ``count``, ``unit``, ``real``, ``categorical(10)``,
        ``table(real, binary, categorical(3))``, ``real or missing``.
        """
        plain = text.strip().removesuffix(_OR_MISSING)
        missing = plain != text.strip()
        kind, _, rest = plain.partition("(")
        if kind == "table":
            columns = tuple(cls.parse(part) for part in rest.removesuffix(")").split(", "))
            return cls("table", columns=columns, missing=missing)
        levels = rest.removesuffix(")").strip()
        if kind not in _PLAIN or not (levels or "0").isdigit():
            raise UsageError(
                f"unknown support {text!r}; there are: binary, discrete(K), count, unit, real, categorical(K), "
                f"table(..., ...) of these, and each with {_OR_MISSING.strip()!r} after it"
            )
        return cls(kind, int(levels) if levels else None, missing=missing)

    def __str__(self) -> str:
        if self.kind == "table":
            everywhere = all(each.missing for each in self.columns)
            shown = [replace(each, missing=False) if everywhere else each for each in self.columns]
            return f"table({', '.join(map(str, shown))})" + (_OR_MISSING if everywhere else "")
        return self.kind + (f"({self.levels})" if self.levels else "") + (_OR_MISSING if self.missing else "")

    @property
    def or_missing(self) -> Support:
        """The same support, with entries that may be missing."""
        return replace(self, missing=True)

    @property
    def present(self) -> Support:
        """The same support without missing entries: that of what is known.

        Example:
            >>> str(Support.parse("table(real, binary or missing)").present)
            'table(real, binary)'
        """
        return replace(self, missing=False, columns=tuple(each.present for each in self.columns))

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The smallest and largest value, or None where there is no largest (count, real) or no one (table)."""
        match self.kind:
            case "binary" | "unit":
                return 0.0, 1.0
            case "discrete" | "categorical":
                return 0.0, float((self.levels or 0) - 1)
            case _:
                return None

    @property
    def measure(self) -> Measure:
        """The measure that densities on this support refer to; ``mixed`` is that of each column's own, multiplied."""
        if self.kind == "table":
            measures: set[Measure] = {column.measure for column in self.columns}
            return measures.pop() if len(measures) == 1 else "mixed"
        return "Lebesgue" if self.kind in ("unit", "real") else "counting"

    def project(self, x: Tensor) -> Tensor:
        """Return the nearest values in the support: what ``sample`` does last."""
        if self.kind == "table":
            parts = [column.project(x[..., j]) for j, column in enumerate(self.columns)]
            return torch.stack(parts, dim=-1)
        if self.bounds is not None:
            x = x.clamp(*self.bounds)
        elif self.kind == "count":
            x = x.clamp_min(0)
        return x.round() if self.measure == "counting" else x

    def check(self, x: Tensor, *, name: str = "x") -> None:
        """Raise `DataError` unless every value of (n, *event) rows is in the support."""
        # In blocks, so that a mapped file is not answered with masks of its own size.
        self.check_blocks(x.split(max(1, _BLOCK // max(1, x[:1].numel()))), name=name)

    def check_blocks(self, blocks: Iterable[Tensor], *, name: str = "x") -> None:
        """Raise `DataError` unless every value of consecutive (B, *event) blocks is in the support."""
        n, faults = 0, list[_Fault]()
        for block in blocks:
            if self.kind == "table" and tuple(block.shape[1:]) != (len(self.columns),):
                shape = tuple(block.shape[1:])
                raise DataError(f"{name} has rows of shape {shape}, outside its support, {self}")
            faults += self._faults(block, first_row=n)
            n += len(block)
        if faults:
            raise DataError(self._complaint(faults, n, name))

    def union(self, other: Support) -> Support:
        """Return the smallest inferable support that holds both.

        Example:
            >>> str(Support("binary").union(Support("discrete", 17)))
            'discrete(17)'
        """
        kinds, missing = {self.kind, other.kind}, self.missing
        if self == other:
            return self
        if missing != other.missing:
            return self.or_missing.union(other.or_missing)
        if kinds <= {"binary", "discrete"}:
            return Support("discrete", max(self.levels or 2, other.levels or 2), missing=missing)
        return Support("unit" if kinds == {"binary", "unit"} else "real", missing=missing)

    def _faults(self, x: Tensor, first_row: int) -> Iterator[_Fault]:
        """Yield what is wrong with a block of rows, at most once: values that are not finite before others."""
        if not x.numel() or _is_quickly_inside(x, self):
            return
        for wrong in (_non_finite(x), _outside(x, self)):
            if self.missing:
                wrong = wrong & ~(x.isnan() & self._gaps(x))
            rows = wrong.reshape(len(x), -1).any(1).nonzero()[:, 0]
            if len(rows):
                row = int(rows[0])
                entry = int(wrong[row].flatten().nonzero()[0])
                yield _Fault(len(rows), first_row + row, x[row].flatten()[entry].item(), entry)
                return

    def _gaps(self, x: Tensor) -> Tensor:
        """Return where entries of (B, *event) rows may be missing, as a mask that applies to them."""
        allowed = [each.missing for each in self.columns] or [True]
        return torch.tensor(allowed, device=x.device)

    def _complaint(self, faults: list[_Fault], n: int, name: str) -> str:
        broken = [fault for fault in faults if not math.isfinite(fault.value)]
        first, rows = (broken or faults)[0], sum(fault.rows for fault in broken or faults)
        count = f"{rows} of {n} rows"
        if broken:
            message = f"{name} holds NaN or infinity in {count}, first in row {first.row}: remove or fill these rows"
            return message + self._hint(first)
        column, support = "", self
        if self.kind == "table":
            column, support = f", column {first.entry}", self.columns[first.entry]
        place = f"row {first.row}{column}"
        return f"{name} holds {first.value:g} in {place}, outside its support, {support}; {count} have such values"

    def _hint(self, fault: _Fault) -> str:
        if not math.isnan(fault.value):
            return ""
        return f"; for models that take missing values, declare support='{self.or_missing}' (--support)"


_BLOCK = 1 << 22  # entries
_OR_MISSING = " or missing"
_PLAIN = ("binary", "discrete", "count", "unit", "real", "categorical")


@dataclass(frozen=True)
class _Fault:
    """What is wrong with a block of rows: in how many, and the first of them."""

    rows: int
    row: int
    value: float
    entry: int


def _is_quickly_inside(x: Tensor, support: Support) -> bool:
    """Whether the smallest and largest of integers show that all are in a support."""
    if x.is_floating_point() or support.bounds is None:
        return False
    low, high = support.bounds
    return bool(x.min() >= low) and bool(x.max() <= high)


def _non_finite(x: Tensor) -> Tensor:
    return ~torch.isfinite(x) if x.is_floating_point() else torch.zeros_like(x, dtype=torch.bool)


def _outside(x: Tensor, support: Support) -> Tensor:
    """Return where finite values of (B, *event) rows are not in a support."""
    if support.kind == "table":
        columns = enumerate(support.columns)
        return torch.stack([_outside(x[:, j], column) for j, column in columns], dim=1)
    wrong = torch.zeros_like(x, dtype=torch.bool)
    if support.bounds is not None:
        low, high = support.bounds
        wrong = (x < low) | (x > high)
    elif support.kind == "count":
        wrong = x < 0
    if support.measure == "counting" and x.is_floating_point():
        wrong = wrong | (x != x.round())
    return wrong


def infer_support(x: np.ndarray | Tensor) -> Support:
    """Infer the support of an array conservatively: never claim more than every value shows.

    Booleans and integers 0/1 are binary; bytes are discrete(256). Images (3 or more dimensions) of other integers
    from 0 on are discrete up to the largest; of floats in [0, 1], unit. All else is real: a table's columns have
    ranges of their own, and its next row may exceed them. Counts and categories are never guessed.
    """
    values = x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))
    if values.dtype == torch.bool:
        return Support("binary")
    low, high = values.min().item(), values.max().item()
    image = values.ndim >= 3
    if not values.is_floating_point():
        if low >= 0 and high <= 1:
            return Support("binary")
        if values.dtype == torch.uint8:
            return Support("discrete", 256)
        return Support("discrete", int(high) + 1) if image and low >= 0 else Support("real")
    if image and low >= 0 and high <= 1:
        binary = bool(((values == 0) | (values == 1)).all())
        return Support("binary") if binary else Support("unit")
    return Support("real")
