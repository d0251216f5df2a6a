"""Option values of the wrong type: one line that says what was given and expected, before anything is done."""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import pytest
import torch
from tests.running import X, contents, vae

import latentia as lt
from latentia.errors import RunError, UsageError
from latentia.runs.options import checked, split_options


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": "3"}, "epochs must be a whole number or None; got '3'"),
        ({"epochs": 1.5}, "epochs must be a whole number or None; got 1.5"),
        ({"epochs": True}, "epochs must be a whole number or None; got True"),
        ({"latent_dim": 2.5}, "latent_dim must be a whole number; got 2.5"),
        ({"latent_dim": None}, "latent_dim must be a whole number; got None"),
        ({"lr": "1e-3"}, "lr must be a number; got '1e-3'"),
        ({"lr": float("nan")}, "lr must be a finite number; got nan"),
        ({"clip": np.inf}, "clip must be a finite number; got inf"),
        ({"conditional": 1}, "conditional must be True or False; got 1"),
        ({"network": 3}, "network must be text; got 3"),
        ({"device": torch.device("cpu")}, "device must be text; got device"),
        ({"binarise": "fixd"}, "unknown binarise 'fixd'; did you mean 'fixed'"),
        ({"latent_dim": np.arange(3)}, "latent_dim must be a whole number; got array"),
        (
            {"latent_dim": 10**20},
            "latent_dim must be a number of 64 bits, below 2^63; got 100000000000000000000",
        ),
        ({"lr": 10**400}, "lr must be a number of 64 bits, below 2^63; got 1000000"),
        ({"on_epoch": 3}, "on_epoch must be a function of the run and a row of its history; got 3"),
        ({"seed": -1}, "seed must be from 0 to"),
        ({"seed": 2**63}, "seed must be from 0 to"),
        ({"split_seed": -1}, "split_seed must be from 0 to"),
        ({"device": "cuda:99"}, "there is no device 'cuda:99' here"),
        ({"device": "cpuu"}, "there is no device 'cpuu' here"),
    ],
    ids=str,
)
def test_values_of_another_type_are_refused_in_one_line(options, told, out):
    with pytest.raises(UsageError) as error:
        vae(out=out, **options)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not out.exists()


def test_an_option_of_another_recipe_is_said_to_be_its():
    with pytest.raises(
        UsageError, match=r"^'critic_norm' is an option of conditional-gan.* others, not of vae$"
    ):
        vae(critic_norm="spectral")
    with pytest.raises(UsageError, match="unknown option 'critic_norms'"):
        vae(critic_norms="spectral")


def test_a_seed_of_a_split_is_checked_for_named_sets_too():
    with pytest.raises(UsageError, match="split_seed must be from 0 to"):
        lt.fit("gaussian-mixture", "moons", split_seed=-1, progress=False)


def test_numbers_of_numpy_become_those_of_python(out):
    before = vae(epochs=1)
    run = vae(
        epochs=np.int64(1), latent_dim=np.int32(2), lr=np.float64(1e-3), conditional=np.bool_(False), out=out
    )
    assert type(run.training.epochs) is int
    assert [type(run.options[name]) for name in ("latent_dim", "lr", "conditional")] == [int, float, bool]
    assert json.loads((out / "config.json").read_text())["options"] == dict(before.options)


def test_what_json_cannot_hold_is_refused_before_training(out):
    vae(epochs=1, out=out)
    before = contents(out)

    def recipe(data: lt.DataSpec, *, weights: Any = None) -> lt.Recipe:
        return lt.recipes["vae"](data)

    lt.recipes.register("anything")(recipe)
    try:
        with pytest.raises(UsageError, match="weights must be a value that JSON can hold; got Tensor"):
            lt.fit("anything", X, weights=torch.zeros(2), out=out, overwrite=True, progress=False)
        assert split_options(recipe, {"weights": [1, "a", None]})[1] == {"weights": [1, "a", None]}
    finally:
        lt.recipes._members.pop("anything")
    assert contents(out) == before


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (3, int, 3),
        (3, float, 3),
        (3, int | float | None, 3),
        (None, int | None, None),
        ("fixed", Literal["fixed", "dynamic"] | None, "fixed"),
        (None, Literal["fixed", "dynamic"] | None, None),
        (np.str_("a"), str, "a"),
        ((1, 2), tuple[int, int], (1, 2)),
        ([1, 2], tuple[int, int], [1, 2]),
        ({"a": 1}, Any, {"a": 1}),
    ],
    ids=str,
)
def test_values_that_fit_are_kept(value, hint, expected):
    found = checked("option", value, hint)
    assert found == expected
    assert type(found) is type(expected)


def test_seeds_of_samples():
    run = vae(epochs=1)
    assert run.sample(3, seed=np.int64(4)).equal(run.sample(3, seed=4))
    assert run.sample(3, seed=torch.Generator().manual_seed(4)).equal(run.sample(3, seed=4))
    for seed in (-1, 1.5, "4"):
        with pytest.raises(UsageError, match="seed must be"):
            run.sample(3, seed=seed)
    with pytest.raises(UsageError, match=r"n must be a whole number; got 2\.5"):
        run.sample(2.5)


@pytest.mark.parametrize("steps", [0, 1, -3, 2.5])
def test_a_traversal_has_two_ends(steps):
    with pytest.raises(UsageError, match="steps must be"):
        vae(epochs=1).traverse(X[0], steps=steps)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without the device")
def test_a_run_is_loaded_to_a_device_that_is_there(out):
    vae(epochs=1, out=out)
    with pytest.raises(UsageError, match="there is no device 'cuda' here; there are: cpu"):
        lt.load(out, device="cuda")


def without(part: str, name: str):
    def change(config):
        del config[part][name]

    return change


def setting(part: str, name: str, value):
    def change(config):
        config[part][name] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        without("data", "spec"),
        without("data", "named"),
        setting("data", "spec", 3),
        setting("data", "spec", {"support": "real"}),
        setting("training", "epochs", "x"),
        setting("training", "seed", -1),
        setting("options", "hidden", "six"),
        lambda config: config.update(data=[]),
        lambda config: config.update(options=[1]),
        lambda config: config.update(training=None),
        lambda config: config.update(recipe=3),
        lambda config: config.update(versions=[]),
        lambda config: config.update(versions=[], format=9),
    ],
)
def test_a_config_with_something_else_in_it_is_reported_in_one_line(change, out):
    vae(epochs=1, out=out)
    config = json.loads((out / "config.json").read_text())
    change(config)
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError) as error:
        lt.load(out)
    assert "\n" not in str(error.value)
    assert str(out) in str(error.value)
