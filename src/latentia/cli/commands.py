"""The registry of verbs, and how a function's signature and docstring become options and a help screen.

A verb is one decorated function: what comes before ``*`` in its signature is positional, the rest are options, and
its docstring is its help. Options that several verbs share are the fields of a dataclass, which stands in the
signature as one parameter. Verbs import what is heavy inside, so that help screens need not wait for torch.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from latentia.checks import hints_of
from latentia.registry import Registry
from latentia.signatures import Option, section, signature_of

verbs: Registry[Callable[..., int | None]] = Registry("verbs", package="latentia.cli")

GROUPS = ("See what there is", "Fit a model", "Use a run", "Judge a run", "Compare samples")
"""How the overview groups the verbs: each names its group where it is registered."""


def arguments(verb: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a verb is called with: of options that a dataclass declares together, one object."""
    given = dict(values)
    for name, hint in hints_of(verb).items():
        if is_dataclass(hint) and isinstance(hint, type):
            given[name] = hint(**{each.name: given.pop(each.name) for each in fields(hint)})
    return given


def further_options(name: str, words: Sequence[str]) -> Mapping[str, Sequence[Option]]:
    """Return a verb's options beyond those of its signature, under titles.

    A verb registers the function that finds them as ``more``. It is called only where help is wanted, or an option is
    typed that is not in the signature, since it may import much or load a run.

    Args:
        name: the verb's.
        words: what was typed after it.
    """
    more = verbs.facts(name).get("more")
    own = {option.flag for option in signature_of(verbs[name]).options}
    flags = {flag.replace("--no-", "--", 1) for flag in typed_flags(words)}
    return more(words) if more and not flags <= own else {}


def typed_flags(words: Sequence[str]) -> list[str]:
    """Return the options that were typed, as they are written in help screens.

    Example:
        >>> typed_flags(["digits", "--latent_dim=8", "-n", "-3"])
        ['--latent-dim', '-n']
    """
    return [word.partition("=")[0].replace("_", "-") for word in words if re.match(r"--\w|-[a-zA-Z]", word)]


def typed_value(words: Sequence[str], flag: str) -> str:
    """Return the word that was typed for an option, or an empty one.

    Example:
        >>> typed_value(["fit", "--out", "a", "--data=b"], "--data"), typed_value(["--out"], "--out")
        ('b', '')
    """
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == flag:
            return following
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return ""


def default_folder(recipe: str, data: str) -> Path:
    """Return where a run is written unless ``--out`` says so.

    Example:
        >>> print(default_folder("vae", "photos/cats.npy").as_posix())
        runs/vae-cats
    """
    return Path("runs") / f"{recipe}-{Path(data).resolve().name.partition('.')[0]}"


def about(doc: str) -> str:
    """Return what a verb's help begins with: its docstring's text and its examples."""
    return "\n\n".join([section(doc, ""), listed("Examples", section(doc, "Examples").splitlines())])


def listed(title: str, lines: Iterable[str]) -> str:
    """Return lines indented under a title."""
    return f"{title}:\n" + "\n".join(f"  {line}" for line in lines)
