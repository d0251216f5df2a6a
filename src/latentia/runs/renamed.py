"""Names of earlier versions: what tensors of stored models and options were called, and what they are called now."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latentia.errors import RenamedWarning, UsageError
from latentia.registry import recipes
from latentia.runs.options import TRAINING, recipe_options

if TYPE_CHECKING:
    from torch import Tensor, nn

KEY_PREFIXES: tuple[tuple[int | None, str, str], ...] = (
    (None, "model.likelihood.laws", "model.likelihood.groups"),
    (None, "share", "labelled_fraction"),
)
"""(last format of config.json that has the old name, or None for any; old; new), each a whole path of modules.

They are applied one after the other, in this order, to the names in model.safetensors where these do not fit the model:
``(None, "model.law", "model.prior")`` makes ``model.prior.mean`` of ``model.law.mean``.
"""

OPTION_NAMES: tuple[tuple[str | None, str, str], ...] = (
    ("gaussian", "shrinkage_share", "shrinkage_fraction"),
)
"""(the recipe, or None for the training and every recipe without an option of the old name; old; new)."""

EARLIER_VALUES: tuple[tuple[str, str, Any, str], ...] = (("gaussian-mixture", "gaps", "ignored", "missing"),)
"""(the recipe; an option that it has not always had; what it did before, where that is not today's default; a word in
the support of the data that this is for)."""


def fitting(module: nn.Module, tensors: Mapping[str, Tensor], written: int) -> dict[str, Tensor]:
    """Return stored tensors under the names of today, where they do not fit a module as they are.

    Args:
        module: what they are of.
        tensors: as they were stored.
        written: the format of the config.json next to them.
    """
    if fits(module, tensors):
        return dict(tensors)
    return {_key(name, written): value for name, value in tensors.items()}


def fits(module: nn.Module, names: Iterable[str]) -> bool:
    """Whether names are those of a module's state."""
    return {*module.state_dict()} == {*names}


def current_options(recipe: str | None, options: Mapping[str, Any], *, stacklevel: int = 3) -> dict[str, Any]:
    """Return options under the names of today, with a `RenamedWarning` for each old one.

    Args:
        recipe: whose options they are, or None for a recipe of the user's own.
        options: of the recipe and the training.
        stacklevel: of the line that the warning names, counted from this function, which is 1.

    Raises:
        UsageError: for an option under both of its names.

    Example:
        >>> current_options("vae", {"latent_dim": 2})
        {'latent_dim': 2}
    """
    names = {name: _option(recipe, name) for name in options}
    for old, new in names.items():
        if old != new:
            _note(old, new, new in options, stacklevel)
    return {names[name]: value for name, value in options.items()}


def completed_options(recipe: str, options: Mapping[str, Any], support: str) -> dict[str, Any]:
    """Return options of a stored run with those that its recipe has got since: as they were before, else the defaults.

    Args:
        recipe: whose options they are.
        options: under the names of today.
        support: of the run's data, as it is written.

    Example:
        >>> completed_options("gaussian-mixture", {"components": 2}, "real or missing")["gaps"]
        'ignored'
    """
    before = {
        name: value for whose, name, value, word in EARLIER_VALUES if whose == recipe and word in support
    }
    return {**recipe_options(recipes[recipe]), **before, **options}


def current_words(recipe: str, words: Sequence[str]) -> list[str]:
    """Return typed words with options under the names of today; see `current_options`.

    Example:
        >>> current_words("vae", ["--data", "digits", "--latent-dim=2"])
        ['--data', 'digits', '--latent-dim=2']
    """
    return [_word(recipe, word, words) if word.startswith("--") else word for word in words]


def _key(name: str, written: int) -> str:
    for last, old, new in KEY_PREFIXES:
        if (last is None or written <= last) and (name == old or name.startswith(f"{old}.")):
            name = new + name[len(old) :]
    return name


def _option(recipe: str | None, name: str) -> str:
    for whose, old, new in OPTION_NAMES:
        if name == old and (whose == recipe if whose is not None else not _is_option(recipe, old)):
            name = new
    return name


def _is_option(recipe: str | None, name: str) -> bool:
    return name in TRAINING or (recipe is not None and name in recipe_options(recipes[recipe]))


def _word(recipe: str, word: str, words: Sequence[str]) -> str:
    flag, equals, value = word.partition("=")
    negation = "--no-" if flag.startswith("--no-") else "--"
    old = flag.removeprefix(negation).replace("-", "_")
    new = _option(recipe, old)
    if new == old:
        return word
    known, renamed = f"{negation}{old.replace('_', '-')}", f"{negation}{new.replace('_', '-')}"
    typed = {each.partition("=")[0].replace("_", "-") for each in words}
    _note(known, renamed, renamed in typed, 4)
    return renamed + equals + value


def _note(old: str, new: str, both: bool, stacklevel: int) -> None:
    if both:
        raise UsageError(f"{old} is the old name of {new}, and both are given: give {new} alone")
    warnings.warn(f"{old} is called {new} now", RenamedWarning, stacklevel=stacklevel + 1)
