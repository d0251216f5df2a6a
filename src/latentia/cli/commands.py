"""The registry of verbs, and how a function's signature and docstring become options and a help screen.

A verb is one decorated function: what comes before ``*`` in its signature is positional, the rest are options, and
its docstring is its help. Options that several verbs share are the fields of a dataclass, which stands in the
signature as one parameter. Verbs import what is heavy inside, so that help screens need not wait for torch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from latentia.registry import Registry
from latentia.runs.options import explanations

verbs: Registry[Callable[..., int | None]] = Registry("verbs", package="latentia.cli")

GROUPS = ("See what there is", "Fit a model", "Use a run", "Judge a run", "Compare samples")
"""How the overview groups the verbs: each names its group where it is registered."""

REQUIRED = inspect.Parameter.empty
_HEADINGS = "Args|Attributes|Returns|Raises|References|Example|Examples"


@dataclass(frozen=True)
class Option:
    """One option of the command line.

    Attributes:
        name: as Python writes it: ``latent_dim`` is ``--latent-dim``.
        hint: the type of its value.
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
        """The option as it is typed."""
        return f"--{self.name.replace('_', '-')}"


def options_of(documented: Callable[..., Any]) -> list[Option]:
    """Return the options that a verb, a recipe or a dataclass takes, from its signature and its docstring.

    Example:
        >>> from latentia.runs.options import Training
        >>> [option.flag for option in options_of(Training)][:3]
        ['--epochs', '--steps', '--batch-size']
    """
    hints, help_of = get_type_hints(documented), explanations(documented)
    options: list[Option] = []
    for each in inspect.signature(documented).parameters.values():
        hint, positional = hints.get(each.name), _is_positional(each)
        if is_dataclass(hint) and not positional:  # a recipe's data is one too
            options += options_of(hint)  # pyright: ignore[reportArgumentType]
        elif hint is not None and each.kind is not each.VAR_KEYWORD:
            options.append(Option(each.name, hint, each.default, help_of.get(each.name, ""), positional))
    return options


def arguments(verb: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a verb is called with: of options that a dataclass declares together, one object."""
    given = dict(values)
    for name, hint in get_type_hints(verb).items():
        if is_dataclass(hint) and isinstance(hint, type):
            given[name] = hint(**{each.name: given.pop(each.name) for each in fields(hint)})
    return given


def keyword_options_of(recipe: Callable[..., Any]) -> list[Option]:
    """Return a recipe's options: what comes after the data."""
    return [option for option in options_of(recipe) if not option.positional]


def about(verb: Callable[..., Any]) -> str:
    """Return what a verb's help begins with: its docstring's text and its examples."""
    examples = section(verb, "Examples").splitlines()
    return "\n\n".join([section(verb, ""), "Examples:\n" + "\n".join(f"  {line}" for line in examples)])


def section(documented: object, heading: str) -> str:
    """Return the text under a docstring's heading, or an empty one; what comes first has no heading.

    Example:
        >>> section(keyword_options_of, ""), section(keyword_options_of, "Examples")
        ("Return a recipe's options: what comes after the data.", '')
    """
    parts = re.split(rf"^({_HEADINGS}):\n", inspect.getdoc(documented) or "", flags=re.MULTILINE)
    named = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    return inspect.cleandoc("\n" + named.get(heading, "")).strip()


def _is_positional(parameter: inspect.Parameter) -> bool:
    """Whether a parameter comes before ``*``; a dataclass's fields, which may, all have defaults."""
    return parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is REQUIRED
