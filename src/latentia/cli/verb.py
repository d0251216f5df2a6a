"""The registry of verbs, and how a function's signature and docstring become options and a help screen.

A verb is one decorated function: what comes before ``*`` in its signature is positional, the rest are options, and
its docstring is its help. Verbs import what is heavy inside, so that help screens need not wait for torch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from latentia.registry import Registry
from latentia.runs.options import explanations

verbs: Registry[Callable[..., int | None]] = Registry("verbs", package="latentia.cli")

GROUPS = ("See what there is", "Fit a model", "Use a run", "Judge a run")
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
    return [
        Option(each.name, hints[each.name], each.default, help_of.get(each.name, ""), _is_positional(each))
        for each in inspect.signature(documented).parameters.values()
        if each.name in hints and each.kind is not each.VAR_KEYWORD
    ]


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
