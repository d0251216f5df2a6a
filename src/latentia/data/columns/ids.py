"""Ids: the form that names of rows have, and new names of that form."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from latentia.data.columns.kind import Draws
from latentia.data.columns.types import family_of
from latentia.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_DIGITS = re.compile(r"([0-9]+)")
_ALPHABETS = {
    "digit": "0123456789",
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "lower": "abcdefghijklmnopqrstuvwxyz",
    "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "any": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
}
_CAMEL = re.compile(r"[a-z]I[dD]$")
ENOUGH = 20  # rows, from which numbers 1, 2, 3, ... or different words are taken for ids


def is_id(series: pd.Series, place: int) -> bool:
    """Whether a column's values are unmistakably names of rows.

    All that are there differ, and: whole numbers are called an id, or are beyond 2^53, or count the rows of the first
    column in order, none missing; words are UUIDs, a number between words that are the same in all, or a pattern of
    characters, such as N1A2.

    Args:
        series: the column.
        place: its number in the table.
    """
    present = series.dropna()
    if len(present) < ENOUGH or not present.is_unique:
        return False
    if family_of(present) in ("integer", "float"):
        x = present.to_numpy()
        counting = place == 0 and len(present) == len(series) and _counts(x)
        return bool(is_called_id(str(series.name)) or x.max() > 2**53 or counting)
    return family_of(present) == "words" and _is_coded(form_of(present))


def is_called_id(name: str) -> bool:
    """Whether a column's name says that it holds ids.

    Example:
        >>> [is_called_id(name) for name in ("id", "PassengerId", "customer_id", "grid", "width")]
        [True, True, True, False, False]
    """
    parts = re.split(r"[_\W]+", name.lower())
    return bool({"id", "uuid", "guid", "rownames", "rowid"} & {*parts} or _CAMEL.search(name))


def form_of(series: pd.Series) -> dict[str, Any]:
    """Return the form of ids, as JSON values."""
    if family_of(series) in ("integer", "float"):
        x = [int(value) for value in series.dropna()]
        low, high = min(x, default=0), max(x, default=0)
        return {"form": "numbers", "low": low, "high": high, "dense": high - low < 10 * len(x)}
    words = series.dropna().astype(str).tolist()
    if words and all(map(_UUID.fullmatch, words)):
        return {"form": "uuid", "upper": words[0].isupper()}
    return _numbered(words) or _pattern(words)


def made(form: Mapping[str, Any], n: int, name: str, draws: Draws) -> Sequence[Any]:
    """Return n new ids of a form, each once, and other than those made before.

    Raises:
        DataError: where there are not so many of this form.
    """
    match form["form"]:
        case "numbers" if form["dense"]:
            return range(form["high"] + 1 + draws.first, form["high"] + 1 + draws.first + n)
        case "numbers":
            return [form["low"] + each for each in _scattered(n, form["high"] - form["low"] + 1, name, draws)]
        case "uuid":
            return list(_uuids(n, draws.numpy(), upper=form["upper"]))
        case "numbered":
            return _counted(form, n, draws)
        case "pattern":
            return _patterned(form["alphabets"], n, name, draws)
        case _:
            return [f"{name}-{each}" for each in range(draws.first + 1, draws.first + 1 + n)]


def _counts(x: np.ndarray) -> bool:
    """Whether numbers count the rows: from 0 or 1 on, one by one."""
    return bool(x[0] in (0, 1) and (np.diff(x) == 1).all())


def _numbered(words: Sequence[str]) -> dict[str, Any] | None:
    """Return the form of words that are numbers between the same other characters, as N1A2; None of others."""
    split = [_DIGITS.split(word) for word in words]
    if not words or len(split[0]) < 3 or any(each[::2] != split[0][::2] for each in split):
        return None
    runs = [[each[place] for each in split] for place in range(1, len(split[0]), 2)]
    numbers = [_run(each) for each in runs]
    if None in numbers:
        return None
    counts = [len(set(each)) for each in runs]
    return {
        "form": "numbered",
        "between": split[0][::2],
        "numbers": numbers,
        "counted": counts.index(max(counts)),
    }


def _run(digits: Sequence[str]) -> dict[str, int] | None:
    """Return the range and the width of numbers as they are written; None of some that are padded to no width."""
    padded = any(each[0] == "0" and len(each) > 1 for each in digits)
    if padded and len(set(map(len, digits))) > 1:
        return None
    numbers = [int(each) for each in digits]
    return {"low": min(numbers), "high": max(numbers), "width": len(digits[0]) if padded else 1}


def _counted(form: Mapping[str, Any], n: int, draws: Draws) -> list[str]:
    """Return words whose number that varies most counts on; the others are drawn from those seen."""
    generator = draws.numpy()
    columns: list[Any] = []
    for place, run in enumerate(form["numbers"]):
        first = run["high"] + 1 + draws.first
        counted = place == form["counted"]
        drawn = (
            range(first, first + n)
            if counted
            else generator.integers(run["low"], run["high"], n, endpoint=True)
        )
        columns.append([f"{number:0{run['width']}d}" for number in drawn])
    before, *between = form["between"]
    return [
        before + "".join(digits + after for digits, after in zip(row, between, strict=True))
        for row in zip(*columns, strict=True)
    ]


def _pattern(words: Sequence[str]) -> dict[str, Any]:
    """Return the characters that may stand at each place of words of one length; otherwise the form is free."""
    if len({len(word) for word in words}) != 1:
        return {"form": "words"}
    alphabets = [_alphabet({word[place] for word in words}) for place in range(len(words[0]))]
    if None in alphabets or math.prod(map(len, map(str, alphabets))) < 10 * len(words):
        return {"form": "words"}
    return {"form": "pattern", "alphabets": alphabets}


def _alphabet(characters: set[str]) -> str | None:
    if len(characters) == 1:
        return characters.pop()
    fits = (alphabet for alphabet in _ALPHABETS.values() if characters <= {*alphabet})
    return next(fits, None)


def _is_coded(form: Mapping[str, Any]) -> bool:
    """Whether a form is that of ids: words of one length without digits, such as names, are none, nor is 12 kg."""
    match form["form"]:
        case "numbered":
            return bool(form["between"][0]) or form["numbers"][0]["width"] > 1
        case "pattern":
            return any(set("0123456789") & {*alphabet} for alphabet in form["alphabets"])
        case kind:
            return kind == "uuid"


def _scattered(n: int, size: int, name: str, draws: Draws) -> list[int]:
    """Return n different numbers below a size, which look like drawn ones, after those that were made before."""
    if draws.first + n > size:
        raise DataError(
            f"column {name!r} has ids of a form of which there are {size}: no {draws.first + n} can be made"
        )
    stride = size * 618 // 1000 | 1
    while math.gcd(stride, size) != 1:
        stride += 2
    return [(size // 3 + stride * each) % size for each in range(draws.first, draws.first + n)]


def _patterned(alphabets: Sequence[str], n: int, name: str, draws: Draws) -> list[str]:
    numbers = _scattered(n, math.prod(map(len, alphabets)), name, draws)
    return ["".join(_digits(each, alphabets)) for each in numbers]


def _digits(number: int, alphabets: Sequence[str]) -> Iterator[str]:
    """Yield a number's digits, the lowest first, in a system whose places have alphabets of their own."""
    for alphabet in alphabets:
        number, place = divmod(number, len(alphabet))
        yield alphabet[place]


def _uuids(n: int, generator: np.random.Generator, *, upper: bool) -> Iterator[str]:
    """Yield random UUIDs (version 4)."""
    from uuid import UUID

    for chunk in np.frombuffer(generator.bytes(16 * n), dtype="V16"):
        text = str(UUID(bytes=bytes(chunk), version=4))
        yield text.upper() if upper else text
