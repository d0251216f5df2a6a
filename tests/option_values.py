"""Values of an option that its annotation allows, other than the default, and values that it does not allow."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any, Literal, get_args, get_origin

from latentia.checks import kinds_of, values_of
from latentia.options import Label, OneOf, Range, SomeOf

_NUMBERS = (0.5, 5.0, 0.05, 50.0, 0.2, 0.7)
_COUNTS = (3, 2, 1, 20, 6)


def others(hint: Any, default: Any) -> list[Any]:
    """Return values that an annotation allows and that are not the default, small ones first."""
    return [value for value in _allowed(hint) if value != default]


def _allowed(hint: Any) -> list[Any]:
    kinds, values = kinds_of(hint), values_of(hint)
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices or bool in kinds:
        return choices or [True, False]
    for each in values:
        match each:
            case SomeOf(names=names):
                return ["+".join(some) for n in (len(names), 1) for some in combinations(names, n)]
            case OneOf(names=names):
                return [*names]
            case Label():
                return ["eel"]
            case _:
                pass
    numbers = _COUNTS if int in kinds else _NUMBERS
    ranges = [each for each in values if isinstance(each, Range)]
    return [value for value in numbers if all(value in each for each in ranges)]


def invalid(hint: Any) -> list[Any]:
    """Return values that an annotation does not allow: of other types, not finite, out of range, unknown names."""
    kinds = kinds_of(hint)
    found: list[Any] = [] if type(None) in kinds else [None]
    if {int, float} & {*kinds}:
        found += ["many", math.nan, math.inf, True, *([1.5] if float not in kinds else [])]
        found += [value for each in values_of(hint) if isinstance(each, Range) for value in _outside(each)]
    elif bool in kinds:
        found += ["yes", 1]
    elif any(isinstance(each, OneOf) for each in values_of(hint)) or str not in kinds:
        found += ["no-such-name", 3]
    else:
        found += [3]
    return found


def _outside(numbers: Range) -> list[float]:
    step = 1 if isinstance(numbers.least, int) or isinstance(numbers.most, int) else 0.1
    below = numbers.least - (step if numbers.ends[0] == "[" else 0)
    above = numbers.most + (step if numbers.ends[1] == "]" else 0)
    return [value for value in (below, above) if math.isfinite(value)]
