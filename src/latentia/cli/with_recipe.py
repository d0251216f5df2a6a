"""Verbs that take a recipe: its options, those of the training, and examples on rows that it takes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentia.cli.commands import about, default_folder, listed, typed_flags, typed_value
from latentia.cli.parse import parse
from latentia.cli.spelling import as_typed
from latentia.errors import UnknownNameError, UsageError
from latentia.registry import recipes
from latentia.runs.options import Training, owned_by_others
from latentia.runs.renamed import current_words
from latentia.signatures import Option, Signature, section, signature_of
from latentia.syntax import UnreadableError, signature_in


def parse_with_recipe(name: str, verb: Callable[..., Any], words: Sequence[str]) -> dict[str, Any]:
    """Read a recipe's name, which comes first, and then the verb's, the recipe's and the training's options.

    Raises:
        UsageError: for a recipe that does not exist or does not come first, and as `parse` does.
    """
    signature = signature_of(verb)
    if list(words[:1]) in (["-h"], ["--help"]):
        return parse(f"latentia {name} RECIPE", _any_recipe(signature.doc), _groups(signature), words)
    if not words or words[0].startswith("-"):
        raise UsageError(
            f"{name} takes a recipe first: latentia {name} RECIPE ...; there are: {', '.join(recipes)}"
        )
    try:
        return _parsed(name, signature, words)
    except UnknownNameError:
        _refuse_unimported(words)
        raise


def _parsed(name: str, verb: Signature, words: Sequence[str]) -> dict[str, Any]:
    chosen = recipes.name_of(words[0])
    recipe, command = signature_of_recipe(chosen), f"latentia {name} {chosen}"
    doc, keywords = _typed(recipe)
    groups = _groups(verb, **{f"{chosen} options": keywords})
    words = current_words(chosen, words[1:])
    _refuse_others([option.flag for group in groups.values() for option in group], chosen, words)
    values = parse(command, _one_recipe(verb.doc, doc, chosen), groups, words)
    return {"recipe": chosen, **values}


def _groups(verb: Signature, **recipe: Sequence[Option]) -> dict[str, Sequence[Option]]:
    own = [option for option in verb.options if option.name != "recipe"]
    return {"": own, **recipe, "training options": signature_of(Training).options}


def _refuse_unimported(words: Sequence[str]) -> None:
    """Raise `RunError`, which says what to import, where a run of parts that are not imported is to go on."""
    if "--resume" not in typed_flags(words):
        return
    from latentia.runs.folder import read_config

    out, data = typed_value(words, "--out"), typed_value(words, "--data")
    path = Path(out) if out else default_folder(words[0], data)
    if path.is_dir():
        read_config(path)


def signature_of_recipe(name: str) -> Signature:
    """Return what a recipe takes: from its file's syntax tree, or from itself where it comes from elsewhere."""
    home = recipes.listed(name)
    try:
        return signature_of(recipes[name]) if home is None else signature_in(*home)
    except UnreadableError:
        return signature_of(recipes[name])


def _typed(recipe: Signature) -> tuple[str, list[Option]]:
    """Return a recipe's docstring and options, which Python reads too, with options spelled as they are typed."""
    names = [option.name for option in recipe.keywords]
    options = [replace(option, help=as_typed(option.help, (), names)) for option in recipe.keywords]
    return as_typed(recipe.doc, (), names), options


def examples_for(name: str, examples: Sequence[str]) -> list[str]:
    """Return a verb's examples for a recipe, on data that it takes."""
    facts = recipes.known_facts(name)
    named = facts.get("example", "digits")
    own = "photos/ --resize 32 32" if facts.get("images") else facts.get("table", "rows.csv")
    labels = " --labels species" if facts.get("labelled") and not facts.get("images") else ""
    return [
        line.replace("RECIPE", name).replace("digits", named).replace("rows.csv", own + labels)
        for line in examples
    ]


def _refuse_others(known: Sequence[str], recipe: str, words: Sequence[str]) -> None:
    """Raise `UsageError` for an option that only other recipes have."""
    for flag in typed_flags(words):
        option = flag.lstrip("-").replace("-", "_")
        found = "" if flag in known else owned_by_others(option, recipe)
        if found:
            raise UsageError(found, options=[option])


def _any_recipe(doc: str) -> str:
    summaries = recipes.summaries()
    width = max(map(len, summaries)) + 2
    lines = [f"{name:<{width}}{summary}" for name, summary in summaries.items()]
    return f"{about(doc)}\n\n{listed('Recipes (latentia fit RECIPE --help shows the options of one)', lines)}"


def _one_recipe(verb: str, recipe: str, name: str) -> str:
    references = " ".join(section(recipe, "References").split())
    examples = examples_for(name, section(verb, "Examples").splitlines())
    parts = [
        section(recipe, ""),
        f"Reference: {references}" if references else "",
        listed("Examples", examples),
    ]
    return "\n\n".join(filter(None, parts))
