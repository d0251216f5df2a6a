"""Verbs that take a recipe: its own options stand beside those of the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from latentia.cli.commands import about, keyword_options_of, options_of, section
from latentia.cli.parse import parse, typed_flags
from latentia.errors import UsageError
from latentia.registry import recipes
from latentia.runs.options import Training, owned_elsewhere
from latentia.runs.renamed import current_words


def parse_with_recipe(name: str, verb: Callable[..., Any], words: Sequence[str]) -> dict[str, Any]:
    """Read a recipe's name, which comes first, and then the verb's, the recipe's and the training's options.

    Raises:
        UsageError: for a recipe that does not exist or does not come first, and as `parse` does.
    """
    own = [option for option in options_of(verb) if option.name != "recipe"]
    training = options_of(Training)
    if list(words[:1]) in (["-h"], ["--help"]):
        return parse(
            f"latentia {name} RECIPE", _any_recipe(verb), {"": own, "training options": training}, words
        )
    if not words or words[0].startswith("-"):
        raise UsageError(
            f"{name} takes a recipe first: latentia {name} RECIPE ...; there are: {', '.join(recipes)}"
        )
    chosen = recipes.name_of(words[0])
    recipe, command = recipes[chosen], f"latentia {name} {chosen}"
    groups = {"": own, f"{chosen} options": keyword_options_of(recipe), "training options": training}
    words = current_words(chosen, words[1:])
    _refuse_others([option.flag for group in groups.values() for option in group], recipe, words)
    values = parse(command, _one_recipe(verb, recipe, chosen), groups, words)
    return {"recipe": chosen, **values}


def _refuse_others(known: Sequence[str], recipe: Callable[..., Any], words: Sequence[str]) -> None:
    """Raise `UsageError` for an option that only other recipes have."""
    for flag in typed_flags(words):
        told = "" if flag in known else owned_elsewhere(flag.lstrip("-").replace("-", "_"), recipe)
        if told:
            raise UsageError(told)


def _any_recipe(verb: Callable[..., Any]) -> str:
    summaries = recipes.summaries()
    width = max(map(len, summaries)) + 2
    listed = "\n".join(f"  {name:<{width}}{summary}" for name, summary in summaries.items())
    return f"{about(verb)}\n\nRecipes (latentia fit RECIPE --help shows a recipe's own options):\n{listed}"


def _one_recipe(verb: Callable[..., Any], recipe: Callable[..., Any], name: str) -> str:
    references = section(recipe, "References")
    told = [section(recipe, ""), f"Reference: {' '.join(references.split())}" if references else ""]
    examples = section(verb, "Examples").replace("RECIPE", name).splitlines()
    return "\n\n".join([*filter(None, told), "Examples:\n" + "\n".join(f"  {line}" for line in examples)])
