"""Checks of option values against their annotations, before anything is built."""

import inspect
import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from latentia.errors import UnknownNameError, UsageError
from latentia.options import Needs, OneOf, Values
from latentia.registry import unknown

F = TypeVar("F", bound=Callable[..., Any])

_CALLED = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    type(None): "None",
}
_LARGEST = 2**63 - 1  # what torch and JSON readers elsewhere take as a whole number
_LONGEST = 60  # characters of a value in a message


def values_of(hint: Any) -> list[Values]:
    """Return what an annotation says of the values that an option may have."""
    return [each for each in _said(hint) if isinstance(each, Values)]


def needs_of(hint: Any) -> list[Needs]:
    """Return what an annotation says of the options without which this one has no effect."""
    return [each for each in _said(hint) if isinstance(each, Needs)]


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """Return the types that an annotation joins by ``|``.

    Example:
        >>> from latentia.options import Count
        >>> kinds_of(Count | None)
        (<class 'int'>, <class 'NoneType'>)
    """
    hint = bare(hint)
    return tuple(map(bare, get_args(hint))) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def bare(hint: Any) -> Any:
    """Return the type of an annotation, without its annotations."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _said(hint: Any) -> list[Any]:
    """Return an annotation's declarations besides the type, also those of one of several types."""
    joined = get_args(bare(hint)) if get_origin(bare(hint)) in (Union, types.UnionType) else ()
    return [*getattr(hint, "__metadata__", ()), *(word for each in joined for word in _said(each))]


def checked(name: str, value: Any, hint: Any) -> Any:
    """Return an option's value if its annotation allows it; NumPy's scalars become those of Python.

    Args:
        name: the option's, for messages.
        value: what was given.
        hint: the annotation. Numbers, text, truth values, None, and a ``Literal``'s choices are distinguished; of
            other types, any value is taken that JSON can hold. Ranges and names are those of `latentia.options`.

    Raises:
        UsageError: for a value of another type, out of range, that is not finite, or that config.json cannot hold.

    Example:
        >>> checked("epochs", 2, int | None)
        2
        >>> checked("epochs", 1.5, int | None)
        Traceback (most recent call last):
        latentia.errors.UsageError: epochs must be a whole number or None; got 1.5
    """
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if any(isinstance(each, OneOf) and _is_part(value, each.part) for each in values_of(hint)):
        return value
    kinds = kinds_of(hint)
    if not any(_fits(value, kind) for kind in kinds):
        parts = [each.part for each in values_of(hint) if isinstance(each, OneOf) and each.part]
        raise UsageError(_complaint(name, value, kinds, parts), options=[name])
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} must be a finite number; got {value}", options=[name])
    value = value if value is None else allowed(name, value, hint)
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise UsageError(
            f"{name} must be a number of 64 bits, below 2^63; got {_shown(value)}", options=[name]
        )
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        given = type(value).__name__
        raise UsageError(f"{name} must be a value that JSON can hold; got {given}", options=[name]) from None
    return value


def allowed(name: str, value: Any, hint: Any) -> Any:
    """Return a value of an option's type as recipes see it, if its annotation allows it.

    Raises:
        UsageError: for a number out of range, and for a name that there is not.
    """
    for each in values_of(hint):
        value = _resolved(name, value, each)
    return value


def resolving(function: F) -> F:
    """Return a function whose keyword options are checked, and filled up with their defaults, before it sees them.

    Raises:
        UsageError: (from the function) for an option that it does not have, a value that is not allowed, and an
            option that has no effect with the other values.

    Example:
        >>> @resolving
        ... def recipe(data, *, draws: int = 1, lr: float = 0.1):
        ...     return draws, lr
        >>> recipe([], draws=2)
        (2, 0.1)
    """

    @wraps(function)
    def made(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **resolved(made, options))

    return made  # pyright: ignore[reportReturnType]


def resolved(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all keyword options of a function: those given, checked, and the defaults of the others."""
    parameters = keyword_options(function)
    loose = any(each.kind is each.VAR_KEYWORD for each in inspect.signature(function).parameters.values())
    for name in given:
        if name not in parameters and not loose:
            raise UsageError(unknown("option", name, parameters), options=[name])
    hints = hints_of(function)
    asked = {name: checked(name, value, hints.get(name, Any)) for name, value in given.items()}
    options = parameters | asked
    refuse_dead(options, parameters, hints)
    return options


def keyword_options(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's keyword options with their defaults, in its order."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


@cache
def hints_of(documented: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function or dataclass, with what they say of the values."""
    return get_type_hints(documented, include_extras=True)


def refuse_dead(options: Mapping[str, Any], defaults: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Raise `UsageError` for an option that was given a value of its own, and has no effect with the other values."""
    for name, need in dead_options(options, defaults, hints).items():
        other, value = need.option, options[need.option]
        if not need.values:
            reason = f"is for {other}, which is off: set {other}, or leave {name} out"
        elif need.names:
            reason = f"is for {other}={' or '.join(map(repr, need.names))}; got {other}={value!r}"
        else:
            reason = f"is for {other} of {need}; got {other}={value!r}"
        raise UsageError(f"{name}={options[name]!r} {reason}", options=[name, other])


def dead_options(
    options: Mapping[str, Any], defaults: Mapping[str, Any], hints: Mapping[str, Any]
) -> dict[str, Needs]:
    """Return the options with another value than their default that have no effect, and what each needs."""
    return {
        name: need
        for name, value in options.items()
        if name in defaults and value != defaults[name]
        for need in needs_of(hints.get(name))
        if not need.met(options)
    }


def _resolved(name: str, value: Any, allowed: Values) -> Any:
    try:
        return allowed.resolved(value)
    except LookupError as error:
        names = allowed.names if isinstance(allowed, OneOf) else ()
        raise UnknownNameError(unknown(name, str(error.args[0]), names), options=[name]) from None
    except ValueError as error:
        raise UsageError(f"{name} {error}", options=[name]) from None


def _is_part(value: object, part: str) -> bool:
    """Whether a value is an object that may stand in the place of its name; its class is known by name alone."""
    return any(kind.__name__ == part for kind in type(value).__mro__)


def _fits(value: object, kind: Any) -> bool:
    """Whether a value is of one kind; True is no number, and a whole number is a number."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind not in _CALLED:
        return True
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _complaint(name: str, value: object, kinds: tuple[Any, ...], parts: Sequence[str]) -> str:
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices and isinstance(value, str):
        return unknown(name, value, choices)
    expected = [*map(repr, choices), *(_CALLED[kind] for kind in kinds if kind in _CALLED)]
    expected += [f"a {part}" for part in parts]
    return f"{name} must be {' or '.join(expected)}; got {_shown(value)}"


def _shown(value: object) -> str:
    given = " ".join(repr(value).split())
    return given if len(given) < _LONGEST else given[:_LONGEST] + "…"
