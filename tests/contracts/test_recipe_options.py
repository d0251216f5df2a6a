"""What every option of every recipe does: another value changes the training, and a bad one is one line.

Rows A19 of docs/known-mistakes.md. Values are made from the options' annotations: there is no list of them here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from typing import Any

import pytest
from tests.option_values import invalid, others
from tests.small_recipes import GAMES, KINDS, N, fit, models

import latentia as lt
from latentia.checks import hints_of, kinds_of, needs_of
from latentia.cli import main
from latentia.core.state import prefixed
from latentia.errors import LatentiaError, UsageError
from latentia.recipes.gan_builder import build_gan
from latentia.recipes.vae_builder import build_vae
from latentia.runs.options import TRAINING, Training, recipe_options
from latentia.signatures import flag, signature_of

LABELS = ["cat", "dog", "eel"] * (N // 3)


def shown_on_another(name: str, option: str) -> bool:
    """Whether an option is of a family of recipes, and shown on the family's first."""
    if name in GAMES:
        its_own = (name, option) == ("dc-gan", "critic_norm")
        return name != "gan" and option in recipe_options(build_gan) and not its_own
    family = "posterior" in recipe_options(lt.recipes[name])
    return family and name != "vae" and option in recipe_options(build_vae)


OPTIONS = [
    (name, option)
    for name in lt.recipes
    for option in recipe_options(lt.recipes[name])
    if not shown_on_another(name, option)
]


def beside(name: str, option: str) -> list[dict[str, Any]]:
    """Return settings of other options with which an option has an effect; the recipe's own come first."""
    hints, defaults = hints_of(lt.recipes[name]), recipe_options(lt.recipes[name])
    ways = []
    for need in needs_of(hints[option]):
        own = defaults.get(need.option, "auto")
        candidates = need.names or others(hints[need.option], own)
        values = [value for value in candidates if need.met({need.option: value}) and need.option in defaults]
        ways.append([{}] if need.met({need.option: own}) else [])
        if own == "auto" or not ways[-1]:  # auto may stand for another on this data
            ways[-1] += [
                inner | {need.option: value} for value in values for inner in beside(name, need.option)
            ]
    return [dict(pair for each in way for pair in each.items()) for way in product(*ways)]


def settings(name: str, option: str) -> list[dict[str, Any]]:
    """Return what an option is tried with: also with values for all options that are left open by default."""
    hints, defaults = hints_of(lt.recipes[name]), recipe_options(lt.recipes[name])
    open_ones = [each for each, value in defaults.items() if value is None and each != option]
    filled = {each: others(hints[each], None)[0] for each in open_ones if not needs_of(hints[each])}
    return [*beside(name, option), *({key: value} for key, value in filled.items())]


def trained(name: str, kind: str, options: dict[str, Any]) -> tuple[Any, Any]:
    run = fit(name, kind, steps=4, labels=LABELS, **options)
    state = prefixed("state", run.recipe.objective.state_dict())
    return {key: each.tolist() for key, each in state.items()}, run.history.to_dict()


def changes(name: str, option: str, kind: str) -> bool:
    """Whether another value of an option trains another model on a kind of data."""
    hint, default = hints_of(lt.recipes[name])[option], recipe_options(lt.recipes[name])[option]
    for setting in settings(name, option):
        try:
            before = trained(name, kind, setting)
        except LatentiaError:  # not on this data
            continue
        for value in others(hint, default):
            try:
                if trained(name, kind, setting | {option: value}) != before:
                    return True
            except LatentiaError:
                continue
    return False


OF_FRAMES = ["discretise"]  # tests/test_discretised.py
OF_CATEGORIES = ["categories", "temperature"]  # of rows that are encoded


@pytest.mark.parametrize(("name", "option"), [each for each in OPTIONS if each[1] not in OF_FRAMES])
def test_every_option_changes_the_training(name, option):
    """A19: a dead option is a defect."""
    kinds = ["gaps"] if option in OF_CATEGORIES else [kind for kind in KINDS if models(name, kind)]
    assert any(changes(name, option, kind) for kind in kinds), f"{option} changes nothing"


@pytest.mark.parametrize(("name", "option"), [*OPTIONS, *(("vae", option) for option in TRAINING)])
def test_a_bad_value_is_one_line_before_anything_is_read(name, option):
    hint = (hints_of(Training) | hints_of(lt.recipes[name]))[option]
    for value in invalid(hint):
        with pytest.raises(UsageError) as caught:
            lt.fit(name, "no/such/file.npy", progress=False, **{option: value})
        message = str(caught.value)
        assert "\n" not in message, value
        assert message.startswith((f"{option} must be ", f"unknown {option} ")), value
        assert caught.value.options == (option,)


@pytest.mark.parametrize(("name", "option"), [*OPTIONS, *(("vae", option) for option in TRAINING)])
def test_the_command_line_refuses_it_too_and_spells_it_as_it_is_typed(name, option, capsys):
    hint = (hints_of(Training) | hints_of(lt.recipes[name]))[option]
    numbers = {int, float} & {*kinds_of(hint)}
    values = [value for value in invalid(hint) if not isinstance(value, bool | None)]
    for value in [value for value in values if isinstance(value, str) or numbers]:
        if hint is bool:  # which is typed without a value
            continue
        assert main(["fit", name, "--data", "no/such/file.npy", f"{flag(option)}={value}"]) == 2, value
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert told.startswith("latentia: error: ")
        assert flag(option) in told
        assert "_" not in option or option not in told


STATIC = """
import json, sys
import latentia as lt
from latentia.syntax import signature_in
read = {name: signature_in(*lt.recipes.listed(name)) for name in lt.recipes}
assert not {"torch", "numpy"} & {*sys.modules}
rows = {name: [[o.name, repr(o.hint), repr(o.default), o.explanation] for o in s.keywords] for name, s in read.items()}
print(json.dumps([rows, {name: s.doc.strip() for name, s in read.items()}]))
"""


def test_syntax_trees_say_what_the_recipes_themselves_say():
    """Help is read from syntax trees, checks from the functions: both are the same, for every recipe."""
    done = subprocess.run([sys.executable, "-c", STATIC], capture_output=True, text=True, check=True)
    rows, docs = json.loads(done.stdout)
    for name in lt.recipes:
        own = signature_of(lt.recipes[name])
        assert rows[name] == [[o.name, repr(o.hint), repr(o.default), o.explanation] for o in own.keywords], (
            name
        )
        assert docs[name] == own.doc.strip()
    assert {*rows} == {*lt.recipes}
