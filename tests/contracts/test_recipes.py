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
from tests.problems import small_sizes
from torch import Tensor

import latentia as lt
from latentia.core.state import prefixed
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.recipes.gan_builder import build_gan
from latentia.recipes.vae_builder import build_vae
from latentia.runs.options import TRAINING, explanations, recipe_options

KINDS = {
    "table": DataSpec((3,), Support("real")),
    "bits": DataSpec((1, 8, 8), Support("binary")),
    "grey": DataSpec((1, 8, 8), Support("unit")),
    "bytes": DataSpec((3, 9, 8), Support("discrete", 256)),
    "digits": DataSpec((1, 8, 8), Support("discrete", 17)),
    "columns": DataSpec((4,), Support.parse("table(real, binary, categorical(3), count)")),
}
SMALL = {  # where a recipe has them
    "latent_dim": 2,
    "components": 3,
    "latent_density": "gaussian-mixture",
    "latent_components": 2,
    "transforms": 1,
    "critic_hidden": 6,
}
SIZES_OF = {"vamp-vae": {"prior_components": 5}}  # as many pseudo-inputs as such small sets have rows for
SUPERVISED = (  # those that need classes
    "supervised-autoencoder",
    "deconvolution-generator",
    "conditional-vae",
    "semi-supervised-vae",
    "conditional-gan",
)
GIVEN = {name: {"class": "cat"} for name in ("conditional-vae", "conditional-gan")}  # needed for a sample
AT_ONCE = ("gaussian", "kernel-density", "pca", "ppca")  # those that are done in one step, without chance
NOW_AND_THEN = "gradient_norm|sample_|range_|critic_saturated|twice_jsd"  # what is logged every tenth step
N = 60


def small(name: str, kind: str, **options) -> dict[str, object]:
    own = recipe_options(lt.recipes[name])
    sizes = small_sizes(options.get("network", own.get("network", "")), KINDS[kind])
    tiny = {key: value for key, value in SMALL.items() if key in own}
    return sizes | tiny | SIZES_OF.get(name, {}) | {"progress": False} | options


def labels(name: str) -> dict[str, object]:
    return {"labels": ["cat", "dog", "eel"] * (N // 3)} if name in SUPERVISED else {}


def spec(name: str, kind: str) -> DataSpec:
    return KINDS[kind].with_classes(("cat", "dog", "eel") if name in SUPERVISED else ())


def models(name: str, kind: str) -> bool:
    try:
        lt.recipes[name](spec(name, kind))
    except UsageError:
        return False
    return True


def rows(kind: str, n: int = N, seed: int = 0) -> Tensor:
    """Return rows of a kind that are not uniform: two clusters."""
    spec, generator = KINDS[kind], torch.Generator().manual_seed(seed)
    x = torch.randn(n, *spec.event_shape, generator=generator) + 2 * torch.randint(
        2, (n, 1), generator=generator
    ).view(n, *[1] * len(spec.event_shape))
    bounds = spec.support.bounds
    return spec.support.project(x if bounds is None else x.sigmoid() * bounds[1])


def fit(name: str, kind: str, **options) -> lt.Run:
    support = str(KINDS[kind].support)
    return lt.fit(name, rows(kind), support=support, **labels(name) | small(name, kind, **options))


GAMES = [
    name for name in lt.recipes if {*recipe_options(build_gan)} <= {*recipe_options(lt.recipes[name]), "loss"}
]
ON_ALL_KINDS = (
    "gan",
    "wgan-gp",
)  # of the games, which differ in an option or two: the others on one kind of data


def kinds_of(name: str) -> list[str]:
    modelled = (kind for kind in KINDS if models(name, kind))
    return [next(modelled)] if name in GAMES and name not in ON_ALL_KINDS else [*modelled]


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
    given = GIVEN.get(name)
    sample = run.sample(7, given, seed=0)
    run.model.data.check(sample)
    assert sample.shape == (7, *KINDS[kind].event_shape)
    assert not sample.requires_grad
    assert torch.equal(sample, run.sample(7, given, seed=0))
    assert not torch.equal(sample, run.sample(7, given, seed=1))
    before = torch.get_rng_state()
    run.sample(7, given, seed=0)
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
        first, second = (each.sample(5, GIVEN.get(name), seed=g) for each, g in runs)
        assert torch.equal(first, second)
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
    assert run.sample(3, GIVEN.get(name), seed=0).dtype == torch.float32


CONDITIONAL = [case for case in CASES if "conditional" in recipe_options(lt.recipes[case[0]])]


@pytest.mark.parametrize(("name", "kind"), CONDITIONAL)
def test_a_conditional_model_is_given_a_class(name, kind, tmp_path):
    labels = ["cat", "dog", "eel"] * (N // 3)
    run = fit(name, kind, labels=labels, conditional=True, steps=2, out=tmp_path / "run")
    again = lt.load(tmp_path / "run")
    for given in ("cat", "eel"):
        sample = run.sample(4, given={"class": given}, seed=0)
        run.model.data.check(sample)
        assert torch.equal(sample, again.sample(4, given={"class": given}, seed=0))
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

# Another value of each option, what it needs beside it, and the data on which it shows.
OTHER: dict[str, tuple[object, dict[str, object], str]] = {
    "alpha": (0.5, {}, "grey"),
    "annealing": ("cyclical", {"annealing_steps": 2}, "grey"),
    "annealing_rise": (1.0, {"annealing": "cyclical", "annealing_steps": 4}, "grey"),
    "annealing_steps": (2, {}, "grey"),
    "capacity": (3.0, {}, "grey"),
    "capacity_steps": (2, {"capacity": 3.0}, "grey"),
    "constraint": ("reconstruction", {"limit": 5.0}, "grey"),
    "critic_hidden": (5, {}, "grey"),
    "critic_layers": (1, {}, "grey"),
    "diagonal": (1.0, {}, "grey"),
    "doubly_reparameterised": (True, {}, "grey"),
    "estimator": ("weighted", {}, "grey"),
    "free_bits": (2.0, {}, "grey"),
    "gamma": (1.0, {}, "grey"),
    "limit": (1.0, {}, "grey"),
    "multiplier_lr": (0.1, {}, "grey"),
    "off_diagonal": (1.0, {}, "grey"),
    "reconstruction_scale": (3.0, {}, "grey"),
    "samples": (3, {}, "grey"),
    "scale": (5.0, {}, "grey"),
    "bandwidth": ("silverman", {}, "table"),
    "bandwidth_factor": (2.0, {}, "table"),
    "beta": (9.0, {}, "grey"),
    "binarise": ("threshold", {}, "grey"),
    "by": ("gradient", {}, "table"),
    "components": (4, {}, "table"),
    "conditional": (True, {"labels": [0, 1, 2] * (N // 3)}, "grey"),
    "covariance": ("diagonal", {}, "table"),
    "critic_lr": (0.1, {}, "grey"),
    "draws": (3, {}, "grey"),
    "hidden": (7, {"network": "mlp"}, "grey"),
    "kernel": ("laplace", {}, "table"),
    "kl_warmup": (5, {}, "grey"),
    "labelled": (9, {}, "grey"),
    "latent_dim": (3, {}, "grey"),
    "layers": (3, {"network": "mlp"}, "grey"),
    "dropout": (0.5, {}, "grey"),
    "layer": ("maf", {}, "table"),
    "latent_components": (3, {"latent_density": "gaussian-mixture"}, "grey"),
    "latent_density": ("flow", {}, "grey"),
    "likelihood": ("gaussian", {}, "grey"),
    "likelihood_components": (3, {"likelihood": "discretised-logistic-mixture"}, "digits"),
    "noise": (0.5, {}, "grey"),
    "order": ("bic", {}, "table"),
    "posterior": ("full", {}, "grey"),
    "posterior_hidden": (8, {"posterior": "iaf"}, "grey"),
    "posterior_transforms": (3, {"posterior": "planar"}, "grey"),
    "prior": ("gaussian-mixture", {}, "grey"),
    "prior_components": (3, {"prior": "vamp"}, "grey"),
    "prior_hidden": (8, {"prior": "maf"}, "grey"),
    "prior_transforms": (3, {"prior": "realnvp"}, "grey"),
    "refine_lr": (0.9, {"refine_steps": 1}, "grey"),
    "refine_steps": (2, {}, "grey"),
    "reconstruction": ("absolute", {}, "grey"),
    "transforms": (2, {}, "table"),
    "unlabelled": ("eel", {}, "grey"),
    "variance_floor": (0.9, {"shape": "full"}, "table"),
    "weight": (7.0, {}, "grey"),
    "loss": ("minimax", {}, "grey"),
    "lr": (0.1, {"by": "gradient"}, "grey"),
    "minibatch": (20, {}, "table"),
    "network": ("mlp", {}, "grey"),
    "norm": ("none", {"network": "conv"}, "grey"),
    "regularisation": (0.5, {}, "table"),
    "restarts": (4, {}, "table"),
    "rotation": ("varimax", {}, "table"),
    "shape": ("full", {}, "table"),
    "shrinkage": ("oas", {}, "table"),
    "shrinkage_share": (0.5, {"shrinkage": "fixed"}, "table"),
    "sigma": (0.3, {"likelihood": "gaussian", "reconstruction": "likelihood"}, "table"),
    "solver": ("randomized", {}, "grey"),
    "step_decay": (0.9, {"minibatch": 20}, "table"),
    "tol": (10.0, {"by": "em"}, "table"),
    "whiten": (True, {}, "table"),
    "width": (3, {"network": "conv"}, "grey"),
}
# The same for options of adversarial games, which other recipes have under the same names.
OTHER_IN_GAMES: dict[str, tuple[object, dict[str, object], str]] = {
    "augment": ("shift+cutout", {"network": "mlp"}, "grey"),
    "beta1": (0.9, {}, "table"),
    "beta2": (0.5, {}, "table"),
    "clip_weights": (0.01, {}, "table"),
    "combined": ("softmax", {"critics": 2}, "table"),
    "conditioning": ("projection", {"conditional": True, "labels": [0, 1, 2] * (N // 3)}, "grey"),
    "critic_norm": ("spectral", {}, "grey"),
    "critic_steps": (2, {}, "table"),
    "critics": (2, {}, "table"),
    "divergence": ("reverse-kl", {}, "table"),
    "diversity": ("mode-seeking", {}, "table"),
    "diversity_weight": (9.0, {"diversity": "mode-seeking"}, "table"),
    "instance_noise": (0.5, {}, "table"),
    "instance_noise_steps": (3, {"instance_noise": 0.5}, "table"),
    "label_flips": (0.3, {}, "table"),
    "label_smoothing": (0.3, {}, "table"),
    "minibatch": ("deviation", {}, "table"),
    "non_saturating": (True, {}, "table"),
    "pack": (3, {}, "table"),
    "penalty": ("r1", {}, "table"),
    "penalty_every": (2, {"penalty": "r1"}, "table"),
    "penalty_weight": (7.0, {"penalty": "r1"}, "table"),
    "prior": ("uniform", {}, "table"),
    "replay": (50, {}, "table"),
    "reuse_samples": (True, {}, "table"),
    "unroll_lr": (0.7, {"unroll_steps": 2}, "table"),
    "unroll_steps": (2, {}, "table"),
}


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


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_changes_the_training(name, option):
    """A19: a dead option is a defect. A new one needs a line in `OTHER`."""
    other = OTHER | (OTHER_IN_GAMES if name in GAMES else {})
    assert option in other, f"give {option} another value in OTHER"
    value, beside, kind = other[option]
    if recipe_options(lt.recipes[name])[option] == value:
        value = {"mlp": "conv", "gaussian": "auto"}[str(value)]
    beside = {
        key: each for key, each in beside.items() if key in ("labels", *recipe_options(lt.recipes[name]))
    }
    found = []
    for options in ({}, {option: value}):
        run = fit(name, kind, steps=4, **(beside | options))
        state = prefixed("state", run.recipe.objective.state_dict())
        found.append(({key: each.tolist() for key, each in state.items()}, run.history.to_dict()))
    assert found[0] != found[1]


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
