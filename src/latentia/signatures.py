"""What a function or a dataclass of settings takes: names, annotations, defaults and one-line explanations."""

import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, is_dataclass
from typing import Any

from latentia.checks import hints_of, needs_of, values_of
from latentia.options import Label, Needs, Range, SomeOf, Values

REQUIRED = inspect.Parameter.empty
_HEADINGS = "Args|Attributes|Returns|Raises|References|Example|Examples"
_ENTRIES = re.compile(r"^    (\w+): (.*\n(?:^ {8,}.*\n)*)", re.MULTILINE)
_ARGS = re.compile(r"^(?:Args|Attributes):\n((?:    .*\n|\n(?=    ))*)", re.MULTILINE)


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: as Python writes it: ``latent_dim`` is ``--latent-dim`` on the command line.
        hint: the annotation of its value.
        default: its value where it is not given, or REQUIRED.
        help: one line.
        positional: whether it is given by its place, without its name.
    """

    name: str
    hint: Any
    default: Any
    help: str
    positional: bool = False

    @property
    def flag(self) -> str:
        """The option as it is typed.

        Example:
            >>> Option("latent_dim", int, 16, "entries of a code").flag
            '--latent-dim'
        """
        return flag(self.name)

    @property
    def explanation(self) -> str:
        """The line of help, with the values that the annotation allows and the options that it needs."""
        values = "".join(map(_allowed, values_of(self.hint)))
        return self.help + "".join(map(_needed, needs_of(self.hint))) + values


@dataclass(frozen=True)
class Signature:
    """What a function takes, and what its docstring says.

    Attributes:
        options: its parameters.
        doc: its docstring, without indentation.
    """

    options: list[Option]
    doc: str

    @property
    def keywords(self) -> list[Option]:
        """The options that are given by name."""
        return [option for option in self.options if not option.positional]


def flag(name: str) -> str:
    """Return an option's name as it is typed on the command line; `for_` is --for, which Python has taken."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def signature_of(documented: Callable[..., Any]) -> Signature:
    """Return what a verb, a recipe or a dataclass takes, from the object itself; fields that are dataclasses count.

    Example:
        >>> from latentia.runs.options import Training
        >>> [option.name for option in signature_of(Training).options][:3]
        ['epochs', 'steps', 'batch_size']
    """
    hints, help_of = hints_of(documented), explanations(documented)
    options: list[Option] = []
    for each in inspect.signature(documented).parameters.values():
        hint, positional = hints.get(each.name), _is_positional(each)
        if is_dataclass(hint) and not positional:  # a recipe's data is one too
            options += signature_of(hint).options  # pyright: ignore[reportArgumentType]
        elif hint is not None and each.kind is not each.VAR_KEYWORD:
            options.append(Option(each.name, hint, each.default, help_of.get(each.name, ""), positional))
    return Signature(options, inspect.getdoc(documented) or "")


def explanations(documented: object) -> dict[str, str]:
    """Return the one-line explanation of each argument in a docstring's ``Args:`` or ``Attributes:``.

    Example:
        >>> explanations(Option)["help"]
        'one line.'
    """
    return explained(inspect.getdoc(documented) or "")


def explained(doc: str) -> dict[str, str]:
    """Return the one-line explanation of each argument in the text of a docstring."""
    args = _ARGS.search(doc + "\n")
    return {name: " ".join(text.split()) for name, text in _ENTRIES.findall(args[1])} if args else {}


def section(doc: str, heading: str) -> str:
    """Return the text under a docstring's heading, or an empty one; what comes first has no heading.

    Example:
        >>> section("Do it.\\n\\nExample:\\n    do()", ""), section("Do it.\\n\\nExample:\\n    do()", "Example")
        ('Do it.', 'do()')
    """
    parts = re.split(rf"^({_HEADINGS}):\n", doc, flags=re.MULTILINE)
    named = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    return inspect.cleandoc("\n" + named.get(heading, "")).strip()


def with_entries(doc: str, theirs: str, names: Collection[str]) -> str:
    """Return a docstring with what another one says of some arguments at the end of its own."""
    doc, theirs = doc + "\n", theirs + "\n"
    args = _ARGS.search(theirs)
    entries = [entry[0] for entry in _ENTRIES.finditer(args[1] if args else "") if entry[1] in names]
    own = _ARGS.search(doc)
    if own is None:
        return doc.rstrip("\n") + "\n\nArgs:\n" + "".join(entries)
    return doc[: own.end()].rstrip("\n") + "\n" + "".join(entries) + doc[own.end() :]


def _allowed(values: Values) -> str:
    if isinstance(values, Label):
        return ""
    return f"; {'' if isinstance(values, Range | SomeOf) else 'one of '}{values}"


def _needed(need: Needs) -> str:
    return f"; with {flag(need.option)} {need}".rstrip()


def _is_positional(parameter: inspect.Parameter) -> bool:
    """Whether a parameter comes before ``*``; a dataclass's fields, which may, all have defaults."""
    return parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is REQUIRED
