"""The help of every recipe: its examples can be typed as they stand, and its words are those of the field."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.small_recipes import small

import latentia as lt
from latentia.cli import main
from latentia.cli.commands import verbs
from latentia.cli.with_recipe import examples_for, signature_of_recipe
from latentia.runs.options import TRAINING
from latentia.signatures import flag, section, signature_of


def words_of(name: str, kind: str) -> list[str]:
    """Return the words that make a fit short: two steps of a small model."""
    options = {key: value for key, value in small(name, kind).items() if key != "progress"} | {"steps": 2}
    return [word for key, value in options.items() for word in (flag(key), str(value))]


def write_rows(folder: Path) -> None:
    """Write the user's files that examples name: a table, and a folder of images."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.normal(size=(60, 3)), columns=["a", "b", "c"])
    table.to_csv(folder / "rows.csv", index=False)
    pd.DataFrame(generator.integers(2, size=(60, 3)), columns=["a", "b", "c"]).to_csv(
        folder / "answers.csv", index=False
    )
    (folder / "labelled").mkdir()
    table.assign(species=["cat", "dog", "eel"] * 20).to_csv(folder / "labelled" / "rows.csv", index=False)
    from PIL import Image

    for place in [folder / "photos" / name for name in ("cats", "dogs")]:
        place.mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")


@pytest.mark.parametrize("name", lt.recipes)
def test_each_example_of_the_help_can_be_typed(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "latentia.cli.fit._judge", lambda run, rows: None
    )  # scores and reports have tests of their own
    write_rows(tmp_path)
    examples = examples_for(name, section(signature_of(verbs["fit"]).doc, "Examples").splitlines())
    assert len(examples) >= 3
    for example in examples:
        program, *words = shlex.split(example)
        assert program == "latentia"
        kind = (
            "table"
            if {"rows.csv", "answers.csv"} & {*words} or "ring" in words
            else "bytes"
            if "photos/" in words
            else "digits"
        )
        words = [
            word.replace("rows.csv", "labelled/rows.csv") if "--labels" in words else word for word in words
        ]
        assert main([*words, *words_of(name, kind)]) == 0, (example, capsys.readouterr().err)


def test_the_help_of_flow_names_rows_that_it_takes(capsys):
    assert main(["fit", "flow", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--data ring" in shown
    assert "--data digits" not in shown


def test_the_critic_is_found_under_its_other_name(capsys):
    assert main(["fit", "gan", "--help"]) == 0
    assert "discriminator" in capsys.readouterr().out


def test_sizes_are_explained_by_the_networks_that_have_them():
    help_of = {option.name: option.explanation for option in signature_of_recipe("vae").keywords}
    assert "--network gated-mlp, maxout-mlp or mlp" in help_of["layers"]
    assert "--network conv or resnet" in help_of["width"]


PART = """
from typing import Annotated
import latentia as lt
from latentia.options import Between, OneOf
from latentia.registry import priors

@lt.recipes.register("halved")
def halved(data, *, part: Annotated[float, Between(0, 1)] = 0.5, prior: Annotated[str, OneOf(priors)] = "mine"):
    \"\"\"Half a VAE.

    Args:
        data: what a row is.
        part: how much of it
        prior: p(z)
    \"\"\"
    return lt.recipes["vae"](data)

@priors.register("mine")
def mine(setting):
    return priors["standard-normal"](setting)
"""


def test_a_recipe_and_a_prior_from_outside_are_in_the_help(tmp_path, capsys):
    """Parts that come by --import are read at run time, and choices are those of the registry at that time."""
    part = tmp_path / "parts_of_help.py"
    part.write_text(PART, encoding="utf-8")
    try:
        assert main(["--import", str(part), "fit", "halved", "--help"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "how much of it; from 0 to 1 (default: 0.5)" in shown.replace("│ │ ", "")
        assert "mine" in shown
        assert main(["fit", "vae", "--help"]) == 0
        assert "mine" in capsys.readouterr().out
        assert main(["fit", "halved", "--data", "ring", "--part", "2"]) == 2
        assert capsys.readouterr().err == "latentia: error: --part must be from 0 to 1; got 2.0\n"
    finally:
        lt.recipes._members.pop("halved", None)
        lt.priors._members.pop("mine", None)


def test_names_of_the_training_are_no_recipe_s():
    for name in lt.recipes:
        assert not {*TRAINING} & {option.name for option in signature_of_recipe(name).keywords}
