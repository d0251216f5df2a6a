"""Options in error messages, spelled as they are typed."""

import re
from collections.abc import Collection, Sequence
from contextlib import suppress

from latentia.cli.commands import further_options, verbs
from latentia.errors import LatentiaError
from latentia.registry import recipes
from latentia.runs.options import TRAINING, option_names
from latentia.signatures import flag, signature_of

_VALUE = r"\[[^\]]*\]|'[^']*'|\"[^\"]*\"|[\w.+-]+"


def as_typed(message: str, about: Collection[str], known: Collection[str]) -> str:
    """Return a message in which options are spelled as on the command line.

    Args:
        message: with options as Python spells them: ``name``, or ``name=value``.
        about: options that the message is known to name, in quotes too.
        known: the options of the command; they are recognised by an underscore or a value.

    Example:
        >>> as_typed("penalty_weight=7.0 is for penalty, which is off", ["penalty"], ["penalty_weight"])
        '--penalty-weight 7.0 is for --penalty, which is off'
    """
    for name in sorted({*about, *known}, key=len, reverse=True):
        quoted = rf"(?<!\w)(?P<quote>['\"]){name}(?P=quote)" if name in about else r"(?!)"
        bare = rf"(?<![\w'\"/-]){name}(?![\w/-])(?:(?P<equals>=)(?P<value>{_VALUE})?)?"
        message = re.sub(f"{quoted}|{bare}", lambda found, name=name: _spelled(found, name, about), message)
    return re.sub(r"(--[\w-]+) \(\1\)", r"\1", message)  # where a message spells an option in both ways


def options_typed(words: Sequence[str]) -> list[str]:
    """Return the names of the options that a command has: of its verb, and of its recipe and the training."""
    if not words or words[0] not in verbs:
        return []
    own = [option.name for option in signature_of(verbs[words[0]]).keywords]
    with suppress(LatentiaError):  # a run that cannot be loaded has no further options
        own += [option.name for group in further_options(words[0], words[1:]).values() for option in group]
    if not verbs.facts(words[0]).get("recipe", False):
        return own
    recipe = recipes.name_of(words[1]) if len(words) > 1 else ""
    return [*own, *TRAINING, *(option_names(recipe) if recipe in recipes else ())]


def line_of(error: LatentiaError, words: Sequence[str]) -> str:
    """Return an error's message for who typed these words."""
    return as_typed(str(error), getattr(error, "options", ()), options_typed(words))


def _spelled(found: re.Match[str], name: str, about: Collection[str]) -> str:
    groups = found.groupdict()
    if groups["equals"] is None and not (name in about or "_" in name):
        return found[0]
    value = re.sub(r"[\[\],'\"]", "", groups["value"] or "")  # a list is typed as its words
    if value == "False":
        return flag(f"no_{name}")
    return flag(name) if value in ("", "True") else f"{flag(name)} {value}"
