"""What every recipe does, on every kind of data that it models.

Rows A19, D17, D22 of docs/known-mistakes.md.
"""

from __future__ import annotations

import inspect
import json
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tests.small_recipes import KINDS, N, fit, given, is_done_at_once, kinds_of, same, spec
from torch import Tensor

import latentia as lt
from latentia.errors import DataError, UsageError
from latentia.runs.options import TRAINING, explanations, recipe_options

NOW_AND_THEN = "gradient_norm|sample_|range_|critic_saturated|critic_accuracy|twice_jsd"  # every tenth step
AT_ONCE = [name for name in lt.recipes if is_done_at_once(name)]


CASES = [(name, kind) for name in lt.recipes for kind in kinds_of(name)]
FIRST = [next(case for case in CASES if case[0] == name) for name in lt.recipes]
each_case = pytest.mark.parametrize(("name", "kind"), CASES)
each_recipe = pytest.mark.parametrize(("name", "kind"), FIRST)


def test_every_recipe_models_something():
    assert {name for name, _ in CASES} == set(lt.recipes)


# --- fit, sample, save, load ------------------------------------------------------------------------------------


@each_case
def test_it_fits_two_steps_and_samples_rows_of_the_data_s_shape_and_support(name, kind):
    run = fit(name, kind, steps=2)
    steps = run.history["step"].max()
    assert steps > 2 if run.stage else steps == (1 if name in AT_ONCE else 2)
    assert not run.model.training
    assert isinstance(run.model, lt.Generative)
    given_class = given(name, run.model)
    sample = run.sample(7, given_class, seed=0)
    run.model.data.check(sample)
    assert sample.shape == (7, *KINDS[kind].event_shape)
    assert not sample.requires_grad
    assert same(sample, run.sample(7, given_class, seed=0))
    assert not same(sample, run.sample(7, given_class, seed=1))
    before = torch.get_rng_state()
    run.sample(7, given_class, seed=0)
    assert torch.equal(before, torch.get_rng_state())


@each_case
def test_it_is_loaded_from_a_copy_of_its_folder(name, kind, tmp_path):
    run = fit(name, kind, steps=2, out=tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "elsewhere" / "copy")
    shutil.rmtree(tmp_path / "run")
    again = lt.load(tmp_path / "elsewhere" / "copy")
    assert not again.model.training
    ours, theirs = run.recipe.objective.state_dict(), again.recipe.objective.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    for _ in range(2):  # the generator goes on
        runs = zip((run, again), generators, strict=True)
        first, second = (each.sample(5, given(name, run.model), seed=g) for each, g in runs)
        assert same(first, second)
    assert again.options == run.options
    assert again.spec == run.spec
    assert again.history.equals(run.history)


@each_recipe
def test_a_saved_run_is_the_run_that_was_written_as_it_went(name, kind, tmp_path):
    fit(name, kind, steps=2, out=tmp_path / "written")
    fit(name, kind, steps=2).save(tmp_path / "saved")
    for file in ("model.safetensors", "config.json", "metrics.csv"):
        assert (tmp_path / "saved" / file).read_bytes() == (tmp_path / "written" / file).read_bytes(), file


@each_case
def test_it_refuses_rows_of_another_shape_or_support(name, kind):
    run = fit(name, kind, steps=1)
    wrong = [torch.zeros(4, 2), torch.zeros(4, *KINDS[kind].event_shape, 2), torch.zeros(4)]
    if KINDS[kind].support.bounds:
        wrong.append(torch.full((4, *KINDS[kind].event_shape), -1.0))
    wrong.append(torch.full((4, *KINDS[kind].event_shape), torch.nan))
    for x in wrong:
        if isinstance(run.model, lt.Density):
            with pytest.raises(DataError):
                run.model.log_prob(x)
        if isinstance(run.model, lt.Bounded):
            with pytest.raises(DataError):
                run.model.log_prob_bound(x)
        if isinstance(run.model, lt.Encodes):
            with pytest.raises(DataError):
                run.encode(x)
        with pytest.raises(DataError):
            lt.evaluate(run, x)
    with pytest.raises(UsageError, match="n must be at least 1; got 0"):
        run.sample(0)


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"accumulate": 3}], ids=["bf16", "accumulated"])
@each_case
def test_it_trains_in_half_precision_and_in_parts(name, kind, options):
    """On every kind of data, with convolutions where it has them; weights stay float32."""
    if KINDS[kind].is_image and "network" in recipe_options(lt.recipes[name]):
        options = options | {"network": "conv"}
    if not lt.recipes[name](spec(name, kind)).objective.players():
        pytest.skip("it has no gradients")
    run = fit(name, kind, steps=2, **options)
    first = run.history[run.history["step"] <= 2].dropna(axis=1, how="all")
    assert first.iloc[0].notna().all()
    assert first.filter(regex=rf"^(?!{NOW_AND_THEN})").notna().all(axis=None)
    assert all(parameter.dtype == torch.float32 for parameter in run.model.parameters())
    assert run.sample(3, given(name, run.model), seed=0).dtype == torch.float32


CONDITIONAL = [case for case in CASES if "conditional" in recipe_options(lt.recipes[case[0]])]


@pytest.mark.parametrize(("name", "kind"), CONDITIONAL)
def test_a_conditional_model_is_given_a_class(name, kind, tmp_path):
    labels = ["cat", "dog", "eel"] * (N // 3)
    run = fit(name, kind, labels=labels, conditional=True, steps=2, out=tmp_path / "run")
    again = lt.load(tmp_path / "run")
    for name_of_class in ("cat", "eel"):
        sample = run.sample(4, given={"class": name_of_class}, seed=0)
        run.model.data.check(sample)
        assert same(sample, again.sample(4, given={"class": name_of_class}, seed=0))
    contexts = torch.eye(3)
    if isinstance(run.model, lt.Pathwise):  # before rounding
        made = [run.model.rsample(1, c[None], generator=torch.Generator().manual_seed(0)) for c in contexts]
        assert not torch.equal(made[0], made[1])
    with pytest.raises(UsageError, match="give class=, one of cat, dog, eel"):
        run.sample(4)
    with pytest.raises(UsageError, match="unknown class 'cow'; there are: cat, dog, eel"):
        run.sample(4, given={"class": "cow"})
    with pytest.raises(UsageError, match="conditional=True needs labelled data; this data has no classes"):
        fit(name, kind, conditional=True, steps=1, labels=None)


# --- resume -----------------------------------------------------------------------------------------------------


@contextmanager
def stopping(monkeypatch, at: int, how: str):
    """Press Ctrl-C, or fail, once the step ``at`` has been shown."""

    @contextmanager
    def bar(*_, **__):
        def show(state):
            if state.step == at and how == "Ctrl-C":
                signal.raise_signal(signal.SIGINT)
            if state.step == at and how == "crash":
                raise RuntimeError("the machine went down")

        yield show

    with monkeypatch.context() as patched:
        patched.setattr("latentia.runs.fit.progress_bar", bar)
        yield


def full_options(name: str, objective) -> dict[str, object]:
    """Return training options that put everything into the state that can be there."""
    common: dict[str, object] = {"validation": 0.2, "patience": 50, "checkpoint_every": 2, "seed": 3}
    if not objective.players():
        return common | {"epochs": 10, "tol": 0.0}
    options = {"epochs": 4, "batch_size": 20, "ema": 0.9, "schedule": "cosine", "warmup": 3, "clip": 1.0}
    if not isinstance(objective.model, lt.Bounded | lt.Density):
        sampled = isinstance(objective.model, lt.Generative)
        options["monitor"] = "energy-distance" if sampled else "reconstruction-error"
    return common | options


@pytest.mark.parametrize("how", ["Ctrl-C", "crash"])
@pytest.mark.parametrize("interruptions", [(5,), (3, 7)], ids=["once", "twice"])
@each_recipe
def test_it_resumes_bit_exactly(name, kind, how, interruptions, tmp_path, monkeypatch):
    """D22: k + m steps = k steps, interrupted, m steps: weights, averages, patience, order and history."""
    if name in AT_ONCE and not lt.recipes[name](spec(name, kind)).then:
        pytest.skip("there is nothing left after its one step")
    options = full_options(name, lt.recipes[name](spec(name, kind)).objective)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit(name, kind, out=whole, **options)
    for number, at in enumerate(interruptions):
        with stopping(monkeypatch, at, how):
            if how == "crash":
                with pytest.raises(RuntimeError, match="went down"):
                    fit(name, kind, out=parts, resume=bool(number), **options)
            else:
                assert fit(name, kind, out=parts, resume=bool(number), **options).interrupted
                assert (parts / "model.safetensors").exists()
    run = fit(name, kind, out=parts, resume=True, **options)
    assert not run.interrupted
    for file in ("model.safetensors", "metrics.csv", "config.json"):
        assert (whole / file).read_bytes() == (parts / file).read_bytes(), file
    checkpoints = [sorted(path.name for path in (each / "checkpoint").iterdir()) for each in (whole, parts)]
    assert checkpoints[0] == checkpoints[1]
    assert len(checkpoints[0]) == 2
    for file in checkpoints[0]:
        assert (whole / "checkpoint" / file).read_bytes() == (parts / "checkpoint" / file).read_bytes()


@each_recipe
def test_equal_runs_are_equal_bytes_and_other_seeds_are_not(name, kind, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(seed + len(folder))
        torch.rand(ord(folder))  # whatever the global state is
        fit(name, kind, steps=3, seed=seed, out=tmp_path / folder)
    a, b, c = ((tmp_path / folder / "model.safetensors").read_bytes() for folder in "abc")
    assert a == b
    assert (a == c) == (name in AT_ONCE and name != "pca")


# --- options ----------------------------------------------------------------------------------------------------


@each_recipe
def test_an_option_that_does_not_exist_is_refused_with_near_matches(name, kind, tmp_path):
    option = next(iter(recipe_options(lt.recipes[name])))
    with pytest.raises(UsageError, match=f"unknown option '{option}x'; did you mean .*'{option}'"):
        fit(name, kind, out=tmp_path / "run", **{option + "x": 1})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", lt.recipes)
def test_options_are_json_values_under_names_of_their_own(name):
    options = recipe_options(lt.recipes[name])
    assert options
    assert json.loads(json.dumps(options)) == options
    assert not set(options) & {*TRAINING, *inspect.signature(lt.fit).parameters}
    parameters = inspect.signature(lt.recipes[name]).parameters
    assert next(iter(parameters)) == "data"
    assert set(parameters) == {"data", *options}
    for parameter in parameters.values():
        assert parameter.annotation is not parameter.empty


@pytest.mark.parametrize("name", lt.recipes)
def test_the_docstring_has_a_formula_a_reference_and_explains_every_option(name):
    recipe = lt.recipes[name]
    explained = explanations(recipe)
    assert set(explained) == {"data", *recipe_options(recipe)}
    assert all(text and "\n" not in text for text in explained.values())
    assert "References:" in (recipe.__doc__ or "")
    assert name in lt.recipes.summaries()


@each_recipe
def test_it_makes_the_same_recipe_from_the_same_seed_wherever_it_is_called(name, kind):
    def made() -> dict[str, Tensor]:
        torch.manual_seed(0)
        return lt.recipes[name](spec(name, kind)).objective.state_dict()

    first, second = made(), made()
    assert all(torch.equal(first[key], second[key]) for key in first)


@each_recipe
def test_training_options_that_have_no_meaning_are_refused(name, kind, tmp_path):
    objective = lt.recipes[name](spec(name, kind)).objective
    out = Path(tmp_path / "run")
    if not objective.players():
        for option in (
            {"ema": 0.9},
            {"clip": 1.0},
            {"precision": "bf16"},
            {"accumulate": 2},
            {"batch_size": 8},
        ):
            with pytest.raises(UsageError, match=f"{next(iter(option))} is for gradients"):
                fit(name, kind, out=out, **option)
    else:
        with pytest.raises(UsageError, match=r"batch size 61 is larger than the data, 60 rows"):
            fit(name, kind, out=out, batch_size=61)
        for options in ({"precision": "bf16"}, {"accumulate": 3}):
            assert 2 in fit(name, kind, steps=2, **options).history["step"].tolist()
    with pytest.raises(UsageError, match="give epochs or steps, not both"):
        fit(name, kind, out=out, epochs=1, steps=1)
    assert not out.exists()
