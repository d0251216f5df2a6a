"""Whether a table's first line holds the names of its columns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_GAPS = frozenset(
    {
        "",
        "?",
        "na",
        "n/a",
        "nan",
        "-nan",
        "null",
        "none",
        "<na>",
        "#n/a",
        "#n/a n/a",
        "#na",
        "-1.#ind",
        "1.#qnan",
    }
)
_MOST = 400  # rows that a first line is compared with


@dataclass(frozen=True)
class Look:
    """How numbers are written.

    Attributes:
        decimal: the sign before decimals.
        thousands: the sign between thousands, if there is one.
    """

    decimal: str = "."
    thousands: str | None = None

    def number(self, field: str) -> float | None:
        """Return a field's number, or None where it is none.

        Example:
            >>> Look(",", ".").number("1.234,5"), Look().number("1_000"), Look().number("nan")
            (1234.5, None, None)
        """
        text = field.strip()
        text = text.replace(self.thousands, "") if self.thousands else text
        if self.decimal != "." and "." in text:
            return None
        try:
            value = float(text.replace(self.decimal, "."))
        except ValueError:
            return None
        return None if "_" in text or math.isnan(value) else value

    def is_number(self, field: str) -> bool:
        """Whether a field is a number."""
        return self.number(field) is not None


def is_gap(field: str) -> bool:
    """Whether a field is one of the ways in which a missing value is written."""
    return field.strip().lower() in _GAPS


def has_names(first: Sequence[str], columns: Sequence[Sequence[str]], look: Look) -> tuple[bool, bool]:
    """Return whether a first line holds the columns' names, and whether there can be no doubt.

    Words above numbers are names; words that the column below holds too are not. Numbers are names where they go up
    in equal steps, as 0, 1, 2, years or wavelengths do, unlike the numbers below.

    Args:
        first: the line's fields.
        columns: the fields below each of them.
        look: how numbers are written.

    Example:
        >>> has_names(["age", "sex"], [["31", "45"], ["f", "m"]], Look())
        (True, True)
        >>> has_names(["2019", "2020", "2021"], [["1.5"], ["0.5"], ["3.5"]], Look())
        (True, False)
        >>> has_names(["31", "f"], [["45", "27"], ["m", "f"]], Look())
        (False, True)
    """
    numbers = [j for j, field in enumerate(first) if look.is_number(field)]
    words = [j for j, field in enumerate(first) if not is_gap(field) and j not in set(numbers)]
    counted = [_is_numeric(columns[j], look) for j in range(len(first))]
    if not words:
        return _numbers_are_names(first, columns, look)
    above = sum(counted[j] for j in words)
    known = sum(first[j] in set(columns[j]) for j in words)
    if above or known:
        names = above > known and above >= sum(counted[j] for j in numbers)
        names = names or (not known and _in_steps([look.number(first[j]) for j in numbers]))
        sure = not known and not numbers if names else known == len(words) and not above
        return names, sure
    if not numbers:
        return len(set(first)) == len(first), True
    return _in_steps([look.number(first[j]) for j in numbers]), False


def _is_numeric(column: Sequence[str], look: Look) -> bool:
    """Whether a column holds numbers, besides gaps."""
    given = [field for field in column if not is_gap(field)]
    return bool(given) and all(look.is_number(field) for field in given)


def _numbers_are_names(
    first: Sequence[str], columns: Sequence[Sequence[str]], look: Look
) -> tuple[bool, bool]:
    """Return the same for a line of numbers and gaps alone; a gap may stand first, above row names."""
    from_second = not first[0].strip() and len(first) > 1
    line, below = (first[1:], columns[1:]) if from_second else (first, columns)
    values = [look.number(field) for field in line]
    if None in values:
        return False, False
    if [*map(str, range(len(line)))] == list(line):
        names = len(line) > 2 or from_second or not _all_whole(below, look)
        return names, not names
    names = _in_steps(values) and _unlike(values, below, look) and not _often_in_steps(below, look)
    return names, not names and not from_second


def _in_steps(values: Sequence[float | None]) -> bool:
    """Whether numbers go up in equal steps; two of them, by one."""
    numbers = np.array([value for value in values if value is not None])
    if len(numbers) < 2 or not np.isfinite(numbers).all():
        return False
    steps = np.diff(numbers)
    return bool(
        steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-6) and (len(steps) > 1 or steps[0] == 1)
    )


def _unlike(values: Sequence[float | None], columns: Sequence[Sequence[str]], look: Look) -> bool:
    """Whether most numbers lie outside what is below them, or are whole above fractions."""
    return sum(map(_outside, values, columns, [look] * len(values))) * 2 > len(values)


def _outside(value: float | None, column: Sequence[str], look: Look) -> bool:
    below = [number for number in map(look.number, column) if number is not None]
    if value is None or not below:
        return False
    whole = value.is_integer() and not all(number.is_integer() for number in below)
    return whole or not min(below) <= value <= max(below)


def _often_in_steps(columns: Sequence[Sequence[str]], look: Look) -> bool:
    rows = list(zip(*columns, strict=True))[:_MOST]
    return sum(_in_steps([look.number(field) for field in row]) for row in rows) > 0.05 * len(rows)


def _all_whole(columns: Sequence[Sequence[str]], look: Look) -> bool:
    numbers = [look.number(field) for column in columns for field in column[:_MOST]]
    return all(number is None or number.is_integer() for number in numbers)
