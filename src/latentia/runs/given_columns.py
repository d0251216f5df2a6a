"""Conditions on the columns of a table: values are read by the columns' kinds, and rows are drawn given them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentia.core.model import Imputes
from latentia.data.columns.column import Column
from latentia.data.columns.kind import Draws, kind_of, modelled
from latentia.data.columns.types import name_of, plain
from latentia.data.ingest.tables import known_columns
from latentia.data.spec import DataSpec
from latentia.errors import DataError, DataWarning, UsageError
from latentia.models.mixture import MixtureModel
from latentia.registry import unknown

Parts = Iterable[tuple[int, Tensor | None]]
"""How many rows to draw at once, and in which contexts."""

_CATEGORIES = ("categorical", "ordinal", "boolean")
_AT_ONCE = 4096  # samples of which some may be kept
_RARE = 1000  # samples for each row that is kept, beyond which there is no going on,
_TRIED = 100_000  # after so many


def split_given(
    given: Mapping[str, Any] | None, spec: DataSpec, own: Mapping[str, str]
) -> tuple[dict[str, Any], Held]:
    """Return what of a user's conditions is for the model's own context, and the values that columns are to have.

    Args:
        given: values by name.
        spec: of the data as it was given.
        own: names of what the model takes itself, by the names that a user may write.

    Raises:
        UsageError: for a name that is neither, and a value that its column does not have.
    """
    columns = _columns_of(spec)
    context = {name: value for name, value in (given or {}).items() if name in own or not columns}
    known = {own.get(name, name): value for name, value in context.items()}
    places = {column.name: (j, column) for j, column in enumerate(columns)}
    held = {name: value for name, value in (given or {}).items() if name not in context}
    strange = [name for name in held if name not in places]
    if strange:
        raise UsageError(_unknown(strange[0], spec, [*places, *own]))
    return known, Held(tuple((*places[name], number_of(places[name][1], held[name])) for name in held))


def own_names(spec: DataSpec, model_spec: DataSpec) -> dict[str, str]:
    """Return the names of what a conditional model takes itself; a label goes by its column's name too.

    Args:
        spec: of the data as it was given.
        model_spec: of the rows that the model sees.
    """
    columns = [column.name for column in spec.table if column.role == "label"] if spec.label else []
    names = [each.name for each in model_spec.context] + ["class", "domain"]
    label = "" if spec.label is None else spec.label.name
    return dict.fromkeys(columns, label) | {name: name for name in names}


def number_of(column: Column, value: Any) -> float:
    """Return a value as natural rows have it.

    Raises:
        UsageError: for a value that the column cannot have.

    Example:
        >>> number_of(Column("town", "categorical", "object", facts={"values": ["Bonn", "Ulm"]}), "Ulm")
        1.0
    """
    if column.kind in _CATEGORIES:
        return _category(column, value)
    number = _date(column, value) if column.kind == "datetime" else _number(column, value)
    kind, alone = kind_of(column), np.array([number])
    back = kind.to_numbers(kind.to_series(alone, column, Draws()), column)[0]
    if not math.isclose(back, number, rel_tol=1e-6, abs_tol=1e-9):
        ends = kind.to_series(
            np.array([column.facts.get(end, number) for end in ("low", "high")]), column, Draws()
        )
        step = f" in steps of {column.facts['step']}" if column.facts.get("step", 1) != 1 else ""
        raise UsageError(
            f"column {column.name!r} has no value {value}: it goes from {ends[0]} to {ends[1]}{step}"
        )
    return number


@dataclass(frozen=True)
class Held:
    """Values that columns are to have.

    Attributes:
        values: the entry of each in natural rows, the column, and its value there.
    """

    values: tuple[tuple[int, Column, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.values)

    def __str__(self) -> str:
        return ", ".join(f"{column.name} = {_written(column, value)}" for _, column, value in self.values)

    def row(self, spec: DataSpec) -> Tensor:
        """Return a natural row with the values, all else missing: (1, D)."""
        return self.put(torch.full((1, spec.size), torch.nan, dtype=torch.float64))

    def put(self, x: Tensor) -> Tensor:
        """Return natural rows (n, D) with the values in their places."""
        x = x.double()
        for entry, _, value in self.values:
            x[:, entry] = value
        return x

    def found_in(self, x: Tensor) -> Tensor:
        """Return which natural rows have the values, those of numbers rounded as they are written: (n,)."""
        there = [(x[:, entry] - value).abs() <= _slack(column) for entry, column, value in self.values]
        return torch.stack(there).all(0)


@dataclass(frozen=True, eq=False)
class GivenColumns:
    """Rows of a model drawn given values of columns.

    Attributes:
        name: of the recipe, for messages.
        model: of the rows.
        spec: what they are.
        held: the values.
        draw: n natural rows in contexts, without conditions on columns.
        generator: where randomness comes from.
        plain: whether the model is to be asked for rows of the data as it reads them, without options of sampling.
    """

    name: str
    model: nn.Module
    spec: DataSpec
    held: Held
    draw: Callable[[int, Tensor | None], Tensor]
    generator: torch.Generator | None
    plain: bool

    def blocks(self, parts: Parts) -> Iterator[Tensor]:
        """Yield natural rows in blocks: exactly where the model can, by its way to fill gaps, or by rejection.

        Raises:
            UsageError: where too few samples have the values.
        """
        if self.plain and isinstance(self.model, MixtureModel) and len(self.held.values) < self.spec.size:
            return self._of_mixture(self.model, parts)
        if self.plain and isinstance(self.model, Imputes):
            return self._filled(self.model, parts)
        return self._accepted(parts)

    def _of_mixture(self, model: MixtureModel, parts: Parts) -> Iterator[Tensor]:
        self._say("are drawn exactly")
        coded = self.spec.coded(self.held.row(self.spec))[0]
        entries = [entry for entry, _, _ in self.held.values]
        others = model.given({entry: coded[entry].item() for entry in entries})
        left = [entry for entry in range(self.spec.size) if entry not in entries]
        for n, _ in parts:
            drawn = others.sample(n, generator=self.generator)
            x = coded.to(drawn).repeat(n, 1)
            x[:, left] = drawn
            yield self.held.put(self.spec.natural(x))

    @torch.no_grad()
    def _filled(self, model: Imputes, parts: Parts) -> Iterator[Tensor]:
        gaps = any(each.missing for each in self.spec.support.columns or (self.spec.support,))
        also = "; which other values are missing is drawn as without conditions" if gaps else ""
        self._say(f"are drawn {model.imputation}{also}")
        for n, context in parts:
            row = self.spec.coded(self.held.row(self.spec)).expand(n, -1)
            there = row if context is None else row.to(context.device)
            x = self.spec.natural(model.impute(there, context, generator=self.generator))
            yield self.held.put(torch.where(self.draw(n, context).isnan(), torch.nan, x) if gaps else x)

    def _accepted(self, parts: Parts) -> Iterator[Tensor]:
        drawn = kept = 0
        for n, context in parts:
            rows: list[Tensor] = []
            while (missing := n - sum(map(len, rows))) > 0:
                some = self.draw(_AT_ONCE, _alike(context))
                found = some[self.held.found_in(some)]
                rows.append(found[:missing])
                drawn, kept = drawn + len(some), kept + len(found)
                self._check(drawn, kept)
            yield self.held.put(torch.cat(rows))
        self._say(f"are kept of samples of {self.name} by rejection: {_share(kept, drawn)}")

    def _check(self, drawn: int, kept: int) -> None:
        """Raise `UsageError` where samples that have the values are too rare to go on."""
        if drawn >= _TRIED and kept * _RARE < drawn:
            raise UsageError(
                f"too few samples of {self.name} have {self.held} to keep these by rejection ({_share(kept, drawn)}): "
                "give fewer conditions, or fit a model that draws rows given them, such as gaussian-mixture"
            )

    def _say(self, how: str) -> None:
        warnings.warn(f"rows given {self.held} {how}", DataWarning, stacklevel=2)


def _share(kept: int, drawn: int) -> str:
    return f"{kept:,} of {drawn:,}, {kept / drawn:.2g}"


def _alike(context: Tensor | None) -> Tensor | None:
    """Return the one context of rows, for as many samples as are drawn at once."""
    if context is None:
        return None
    if not bool((context == context[:1]).all()):
        raise UsageError(
            "conditions on columns go with one condition for all rows; got several: draw them one by one"
        )
    return context[:1].expand(_AT_ONCE, *context.shape[1:])


def _slack(column: Column) -> float:
    """Return how far a number may be from a value and still be written as it.

    Raises:
        UsageError: for a column whose numbers are not rounded.
    """
    match column.kind:
        case "real" if "decimals" not in column.facts:
            raise UsageError(
                f"column {column.name!r} is continuous, so that no sample has one given value: fit a model that draws "
                "rows given it, such as gaussian-mixture"
            )
        case "real":
            return 0.5 * 10.0 ** -column.facts["decimals"]
        case _:
            return 0.5 * column.facts.get("step", 1)


def _columns_of(spec: DataSpec) -> list[Column]:
    """Return the modelled columns of a table; none of rows without names."""
    if spec.table:
        return modelled(spec.table)
    return list(known_columns(spec, spec.columns, "the data")[: spec.size]) if spec.columns else []


def _unknown(name: str, spec: DataSpec, known: Collection[str]) -> str:
    column = next((each for each in spec.table if each.name == name), None)
    if column is None:
        return unknown("column or condition", name, known)
    if column.role:
        return f"{name!r} is a {column.role} of the rows that the run was fitted without: fit it with conditional=True"
    return (
        f"column {name!r} is no part of the rows that are modelled ({column.kind}): nothing is drawn given it"
    )


def _category(column: Column, value: Any) -> float:
    values = column.facts["values"]
    names, wanted = [name_of(each) for each in values], name_of(plain(value))
    if column.kind == "boolean" and wanted not in names:  # true and 1 are True
        names, wanted = (
            [str(int(each)) if isinstance(each, bool) else name_of(each) for each in values],
            wanted.lower(),
        )
        wanted = {"true": "1", "false": "0"}.get(wanted, wanted)
    if wanted in names:
        return float(names.index(wanted))
    if wanted in map(name_of, column.facts.get("others", ())):
        raise UsageError(f"{value!r} is a rare value of {column.name!r}, which shares a category with others")
    raise UsageError(unknown(f"value of {column.name!r}", str(value), map(name_of, values)))


def _date(column: Column, value: Any) -> float:
    import pandas as pd

    try:
        if "format" not in column.facts:
            value = pd.Timestamp(str(value))
        elif not isinstance(value, str | int):
            value = pd.Timestamp(value).strftime(column.facts["format"].replace("%-", "%"))
        return float(kind_of(column).to_numbers(pd.Series([value]), column)[0])
    except (DataError, ValueError, TypeError) as error:
        raise UsageError(f"column {column.name!r} holds dates; got {value!r}: {error}") from None


def _number(column: Column, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UsageError(f"column {column.name!r} holds numbers; got {value!r}") from None
    if not math.isfinite(number):
        raise UsageError(f"column {column.name!r} is to have a finite number; got {value!r}")
    return number


def _written(column: Column, value: float) -> str:
    return str(kind_of(column).to_series(np.array([value]), column, Draws())[0])
