"""Values of options: of the type that a signature says, and such that config.json can hold them."""

from __future__ import annotations

import json
import math
import types
from typing import Any, Literal, Union, get_args, get_origin

from latentia.errors import UsageError
from latentia.registry import unknown

_CALLED = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    type(None): "None",
}
_LARGEST_SEED = 2**63 - 1


def checked(name: str, value: Any, hint: Any) -> Any:
    """Return an option's value if it is of its type; NumPy's scalars become those of Python.

    Args:
        name: the option's, for messages.
        value: what was given.
        hint: the type of the signature. Numbers, text, truth values, None, and a ``Literal``'s choices are told
            apart; of other types, any value is taken that JSON can hold.

    Raises:
        UsageError: for a value of another type, that is not finite, or that config.json cannot hold.

    Example:
        >>> checked("epochs", 2, int | None)
        2
        >>> checked("epochs", 1.5, int | None)
        Traceback (most recent call last):
        latentia.errors.UsageError: epochs must be a whole number or None; got 1.5
    """
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if not any(_fits(value, kind) for kind in kinds):
        raise UsageError(_complaint(name, value, kinds))
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} must be a finite number; got {value}")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        given = type(value).__name__
        raise UsageError(f"{name} must be a value that JSON can hold; got {given}") from None
    return value


def checked_seed(name: str, value: Any) -> int:
    """Return a seed: a whole number from 0 to 2⁶³ - 1."""
    seed: int = checked(name, value, int)
    if not 0 <= seed <= _LARGEST_SEED:
        raise UsageError(f"{name} must be from 0 to {_LARGEST_SEED}; got {seed}")
    return seed


def at_least(name: str, value: Any, least: int) -> int:
    """Return a whole number that is large enough."""
    number: int = checked(name, value, int)
    if number < least:
        raise UsageError(f"{name} must be at least {least}; got {number}")
    return number


def _fits(value: object, kind: Any) -> bool:
    """Whether a value is of one kind; True is no number, and a whole number is a number."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind not in _CALLED:
        return True
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _complaint(name: str, value: object, kinds: tuple[Any, ...]) -> str:
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices and isinstance(value, str):
        return unknown(name, value, choices)
    expected = [*map(repr, choices), *(_CALLED[kind] for kind in kinds if kind in _CALLED)]
    given = " ".join(repr(value).split())
    return f"{name} must be {' or '.join(expected)}; got {given if len(given) < 60 else given[:60] + '…'}"
