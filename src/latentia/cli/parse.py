"""From words to values: tyro parses, by the types in signatures; unknown options are named before it does."""

import difflib
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from latentia.checks import allowed, bare, kinds_of, values_of
from latentia.cli.commands import typed_flags
from latentia.errors import UsageError
from latentia.options import OneOf
from latentia.registry import unknown
from latentia.signatures import REQUIRED, Option

Groups = Mapping[str, Sequence[Option]]
"""Options by the title that they stand under in the help; those under an empty title come first."""

_HELP = {"-h", "--help"}
_EXPECTED = {int: "a whole number", float: "a number", str: "a word", Path: "a path"}


def parse(command: str, about: str, groups: Groups, words: Sequence[str]) -> dict[str, Any]:
    """Return the value of every option, by name; print the help and exit where it is requested.

    Args:
        command: what was typed before the words, for messages and help.
        about: what the help begins with.
        groups: the options.
        words: what was typed.

    Raises:
        UsageError: for options that do not exist, are missing or have a value that does not fit.
        SystemExit: after printing the help.
    """
    options = [option for group in groups.values() for option in group]
    _check_names(options, words)
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            parsed = tyro.cli(
                _nested(groups),
                prog=command,
                description=about,
                args=[*words],
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise UsageError(f"{_one_line(complaint.getvalue())}; see {command} --help") from None
    values = asdict(parsed)
    inner = {_field(title): values.pop(_field(title)) for title in groups if title}
    values |= {name: value for group in inner.values() for name, value in group.items()}
    return {option.name: _allowed(option, values[option.name]) for option in options}


def _allowed(option: Option, value: Any) -> Any:
    """Return a value that the option's annotation allows; a default needs no check."""
    return value if value is None or value == option.default else allowed(option.name, value, option.hint)


def _check_names(options: Sequence[Option], words: Sequence[str]) -> None:
    """Raise `UsageError` for an option that does not exist, with near matches, and for one that is missing."""
    flags = {option.flag for option in options if not option.positional}
    negated = {option.flag.replace("--", "--no-", 1) for option in options if option.hint is bool}
    typed = typed_flags(words)
    for flag in typed:
        if flag not in flags | negated | _HELP:
            near = difflib.get_close_matches(flag, flags, cutoff=0.75)
            raise UsageError(unknown("option", flag, near or flags))
    for option in options:
        if option.default is REQUIRED and not option.positional and not {option.flag, *_HELP} & {*typed}:
            loose = (
                bool(words) and not words[0].startswith("-") and not any(each.positional for each in options)
            )
            advice = f"did you mean {option.flag} {words[0]}?" if loose else option.help
            raise UsageError(f"{option.flag} is missing: {advice}")


def _nested(groups: Groups) -> type:
    """Return a dataclass with a field for each option, those under a title in a dataclass of their own."""
    fields = [_dataclass_field(option) for option in groups.get("", ())]
    for title, options in groups.items():
        if title:
            inner = make_dataclass(_field(title), [_dataclass_field(option) for option in options])
            fields.append((_field(title), inner, field()))  # with a default, tyro imports a type checker
    return make_dataclass("Options", fields, kw_only=True)


def _dataclass_field(option: Option) -> tuple[str, Any, Any]:
    """Return the (name, type, default) that `make_dataclass` takes, with what tyro shows of it."""
    hint = (
        bool if option.hint is bool else Annotated[object, _constructor(option.hint)]
    )  # Any is checked slowly
    shown = tyro.conf.arg(
        name=option.flag.removeprefix("--") if option.name.endswith("_") else None,  # a keyword, as for_
        help=option.explanation,
        help_behavior_hint=_hint(option),
        metavar=option.name.upper() if option.positional else None,
    )
    hint = Annotated[tyro.conf.Positional[hint] if option.positional else hint, shown]
    return option.name, hint, field() if option.default is REQUIRED else field(default=option.default)


def _hint(option: Option) -> str:
    """Return what stands after an option's explanation; what it does without is then said there."""
    if option.default is REQUIRED:
        return "" if option.positional else "(required)"
    if option.default is None or option.default is False or option.default == ():
        return ""
    return f"(default: {' '.join(_texts(option.default))})"


def _constructor(hint: Any) -> PrimitiveConstructorSpec[Any]:
    """Return how tyro reads a value of a type: a scalar, one of several words, or several of these."""
    optional, kind = _without_none(hint)
    if get_origin(kind) is tuple:
        inner = [bare(each) for each in get_args(kind) if each is not Ellipsis]
        several: Any = "*" if Ellipsis in get_args(kind) else len(inner)
        read, metavar = _reader(inner[0]), _metavar(inner[0])
        return PrimitiveConstructorSpec(
            nargs=several,
            metavar=f"[{metavar} ...]" if several == "*" else " ".join([metavar] * several),
            instance_from_str=lambda words: tuple(map(read, words)),
            is_instance=lambda _: True,
            str_from_instance=_texts,
        )
    read = _reader(kind)
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=_metavar(kind),
        instance_from_str=lambda words: None if optional and words[0] == "none" else read(words[0]),
        is_instance=lambda _: True,
        str_from_instance=_texts,
    )


def _without_none(hint: Any) -> tuple[bool, Any]:
    """Return whether the word none stands for None, and the type of other values."""
    kinds = [kind for kind in kinds_of(hint) if kind is not type(None)]
    is_name = any("none" in each.names for each in values_of(hint) if isinstance(each, OneOf))
    optional = len(kinds) < len(kinds_of(hint)) and not is_name
    return optional, float if {*kinds} == {int, float} else kinds[0]


def _reader(kind: Any) -> Callable[[str], Any]:
    """Return the function that reads one word; it raises `ValueError` for words that do not fit."""
    if get_origin(kind) is Literal:
        return lambda word: _chosen(word, {str(choice): choice for choice in get_args(kind)})

    def read(word: str) -> Any:
        try:
            value = kind(word)
        except ValueError:
            raise ValueError(f"expected {_EXPECTED.get(kind, kind)}; got {word!r}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"expected a finite number; got {word!r}")
        return value

    return read


def _chosen(word: str, choices: Mapping[str, Any]) -> Any:
    if word not in choices:
        raise ValueError(f"expected {' or '.join(choices)}; got {word!r}")
    return choices[word]


def _metavar(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"{{{','.join(map(str, get_args(kind)))}}}"
    return {int: "INT", float: "FLOAT", Path: "PATH"}.get(kind, "TEXT")


def _texts(value: Any) -> list[str]:
    """Return the words that a default is shown as."""
    return [str(each) for each in value] if isinstance(value, tuple | list) else [str(value)]


def _field(title: str) -> str:
    return title.replace("-", "_").removesuffix(" options")


def _one_line(complaint: str) -> str:
    """Return what tyro says as a line: of a box under a title, what comes before the first rule.

    Example:
        >>> _one_line("╭─ Oh ─╮\\n│ no   │\\n│ ──── │\\n│ help │\\n╰──────╯"), _one_line("Oh\\n--\\nno\\n--\\nhelp")
        ('no', 'no')
    """
    framed = complaint.startswith(("╭", "+"))  # the title is in the frame; without one, above the first rule
    lines = [line.strip(" │|") for line in complaint.splitlines() if not line.startswith(("╭", "╰", "+"))]
    parts = re.split(r"^[─-]{2,}$", "\n".join(lines), flags=re.MULTILINE)
    return " ".join(parts[0 if framed or len(parts) == 1 else 1].split()).removesuffix(".")
