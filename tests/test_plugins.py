"""Parts from outside the package: tables that take new members, a user's own file, installed plugins."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import latentia as lt
from latentia import registry
from latentia.cli import main
from latentia.errors import PluginWarning, UnknownNameError, UsageError
from latentia.functional.gan.loss_pairs import LossPair, fake_only
from latentia.plugins import import_part, load_plugins
from latentia.registry import Registry
from latentia.runs.outside import outside_parts

REGISTRIES = {name: each for name, each in vars(registry).items() if isinstance(each, Registry)}
TABLES = sorted(set(REGISTRIES) - {"recipes", "datasets", "metrics", "likelihoods", "priors", "posteriors"})


@pytest.fixture
def forgetting():
    """Forget afterwards what a test registers and imports."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    for each in REGISTRIES.values():
        for name in list(each._outside):
            for known in (each._members, each._facts, each._outside):
                known.pop(name, None)
            for written in [written for written, named in each._written.items() if named == name]:
                del each._written[written]
    for name in set(sys.modules) - modules:
        if name.startswith("parts_of_a_test"):
            del sys.modules[name]
    sys.path[:] = path


@pytest.mark.parametrize("name", TABLES)
def test_the_names_of_a_table_are_those_that_its_module_adds(name):
    """Read from syntax trees before, and there once they are imported; an unknown name gets the one line."""
    table = REGISTRIES[name]
    assert len(table) > 1
    assert all(table[member] is not None for member in table)
    assert set(table) == set(table._members)
    with pytest.raises(
        UnknownNameError, match=f"unknown {table.what} '§§§'; there are: .*{next(iter(table))}"
    ):
        table["§§§"]


def test_naming_the_members_of_every_table_imports_no_torch():
    code = "import sys\nfrom latentia import registry as r\n"
    code += "".join(f"assert len(r.{name}) > 1\n" for name in TABLES)
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


def test_a_table_takes_a_member_at_run_time_and_calls_it_by_name(forgetting):
    from latentia.functional.schedules import learning_rate_factor

    registry.schedules.add({"halved": lambda step, total: 0.5})
    assert "halved" in registry.schedules
    assert learning_rate_factor("halved", 3, 10) == 0.5
    assert (
        registry.schedules.module_outside("halved") == registry.schedules.module_outside("Halved") == __name__
    )
    assert registry.schedules.module_outside("cosine") is None


def test_a_name_is_taken_once_but_a_module_may_be_run_again(forgetting):
    for table, name in ((lt.recipes, "vae"), (lt.recipes, "VAE"), (registry.loss_pairs, "hinge")):
        with pytest.raises(UsageError, match=f"'{name}' is taken, by latentia: choose another name"):
            table.register(name)(object())
    for value in (1, 2):
        registry.kernels.register("mine")(value)
    assert registry.kernels["mine"] == 2
    with pytest.raises(UsageError, match=f"'mine' is taken, by {__name__}"):
        exec("kernels.add({'mine': 3})", {"__name__": "another", "kernels": registry.kernels})


# --- a user's own file ----------------------------------------------------------------------------------------------


def test_a_file_is_imported_once_as_the_module_of_its_name(tmp_path: Path, forgetting):
    file = tmp_path / "parts_of_a_test.py"
    (tmp_path / "parts_of_a_test_too.py").write_text("half = 0.5\n")
    file.write_text(
        "from parts_of_a_test_too import half\nfrom latentia.registry import schedules\n\n\n"
        '@schedules.register("halved")\ndef halved(step: int, total: int) -> float:\n    return half\n'
    )
    module = import_part(str(file))
    assert sys.modules["parts_of_a_test"] is module is import_part(str(file))
    assert registry.schedules["halved"](0, 1) == 0.5
    assert registry.schedules.module_outside("halved") == "parts_of_a_test"
    assert import_part("parts_of_a_test") is module


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nowhere.py", None, "there is no file .*nowhere.py to import: give the path of a Python file"),
        ("no_such_module", None, "there is no module no_such_module to import"),
        ("json.py", "", "json.py has the name of another module, json: rename it"),
        ("this.py", "", "this.py has the name of another module, this: rename it"),  # never imported here
        ("my parts.py", "", "my parts.py is no name of a module: rename it"),
        ("parts_of_a_test_a.py", "x = 1\ny = (\n", "fails at line 2: SyntaxError"),
        ("parts_of_a_test_b.py", "\n\nx = 1 / 0\n", "fails at line 3 of parts_of_a_test_b.py: ZeroDivisionError"),
        ("parts_of_a_test_c.py", "import nothing_like_it\n", "ModuleNotFoundError: No module named 'nothing_like_it'"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_imported_gets_one_line(tmp_path: Path, forgetting, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        import_part(str(tmp_path / name) if name.endswith(".py") else name)
    assert "\n" not in str(error.value)


# --- installed plugins ----------------------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, forgetting, monkeypatch: pytest.MonkeyPatch):
    """Install a package that names two entry points, one of which fails."""
    metadata = tmp_path / "parts_of_a_test-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: parts-of-a-test\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[latentia.plugins]\nmine = parts_of_a_test_plugin\nbroken = parts_of_a_test_broken\n"
    )
    (tmp_path / "parts_of_a_test_plugin.py").write_text(
        'from latentia.registry import schedules\n\nschedules.add({"flat": lambda step, total: 1.0})\n'
    )
    (tmp_path / "parts_of_a_test_broken.py").write_text("raise RuntimeError('out\\nof order')\n")
    monkeypatch.syspath_prepend(tmp_path)
    load_plugins.cache_clear()
    yield tmp_path
    load_plugins.cache_clear()


@pytest.mark.parametrize("seen", [list, lambda table: table["flat"], lambda table: "flat" in table, len])
def test_an_installed_plugin_is_found_and_a_broken_one_is_left_out_with_a_line(installed: Path, seen):
    with pytest.warns(PluginWarning, match=r"the plugin broken .* is left out: RuntimeError: out of order"):
        assert seen(registry.schedules)
    assert registry.schedules["flat"](0, 1) == 1.0
    assert list(registry.schedules) == ["constant", "cosine", "flat"]
    assert load_plugins() == ("mine",)


# --- the command line -----------------------------------------------------------------------------------------------

CONTRIBUTING = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()
EXAMPLES = re.findall(r"^```python\n# (my_\w+\.py)\n(.*?)^```$", CONTRIBUTING, re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the parts that CONTRIBUTING shows into a working directory."""
    for name, text in EXAMPLES:
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def latentia(*words: str, code: int = 0) -> str:
    """Run the command line in a process of its own; return what it prints, on standard error where it fails."""
    command = [sys.executable, "-m", "latentia", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_a_run_of_one_s_own_parts_names_them_and_asks_for_them(folder: Path):
    """Without the import: one line that says which file to import, and nothing of versions."""
    own = [word for name in ("my_prior.py", "my_dataset.py", "my_metric.py") for word in ("--import", name)]
    fit = (
        "fit",
        "vae",
        "--data",
        "cross",
        "--prior",
        "laplace",
        "--latent-dim",
        "2",
        "--steps",
        "2",
        "--out",
        "run",
    )
    latentia(*own, *fit, "--monitor", "mean-gap")
    config = json.loads((folder / "run/config.json").read_text())
    assert config["parts"] == [
        {"registry": "datasets", "name": "cross", "module": "my_dataset", "file": "my_dataset.py"},
        {"registry": "priors", "name": "laplace", "module": "my_prior", "file": "my_prior.py"},
        {"registry": "metrics", "name": "mean-gap", "module": "my_metric", "file": "my_metric.py"},
    ]
    latentia(*own, "sample", "run", "--n", "3", "--out", "rows.npy")
    assert "mean-gap" in latentia(*own, "evaluate", "run", "--metrics", "mean-gap")
    for words in (("sample", "run", "--n", "3"), ("evaluate", "run"), ("doctor", "run")):
        assert latentia(*words, code=1) == (
            "latentia: error: run uses the dataset name 'cross', the prior name 'laplace', the metric name 'mean-gap' "
            "of my_dataset.py, my_prior.py, my_metric.py, not imported here: put --import my_dataset.py --import "
            "my_prior.py --import my_metric.py between latentia and the verb, or in Python import my_dataset, "
            "my_prior, my_metric first\n"
        )
    code = "import my_prior, my_dataset, my_metric, latentia as lt; print(lt.load('run').sample(3).shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "torch.Size([3, 2])" in done.stdout, done.stderr


def test_help_and_lists_show_one_s_own_parts(folder: Path):
    assert "robust-vae" in latentia("--import=my_recipe.py", "recipes")
    assert "Two Gaussians that cross" in latentia("--import", "my_dataset.py", "datasets")
    assert "outliers do not pull" in latentia("--import", "my_recipe.py", "fit", "robust-vae", "--help")
    assert "robust-vae" not in latentia("recipes")


def test_a_run_of_a_recipe_of_one_s_own_is_loaded_with_its_file(folder: Path):
    own = ("--import", "my_recipe.py", "--import", "my_dataset.py")
    latentia(*own, "fit", "robust-vae", "--data", "cross", "--steps", "1", "--out", "run")
    named = {part["name"] for part in json.loads((folder / "run/config.json").read_text())["parts"]}
    assert named == {"robust-vae", "cross"}
    assert "the recipe name 'robust-vae' of my_recipe.py" in latentia(*own[2:], "sample", "run", code=1)


def test_a_run_of_one_s_own_parts_is_gone_on_with_only_with_their_files(folder: Path):
    """The recipe, the dataset and an option's name: none of them is called unknown where the run says whose it is."""
    own = ("--import", "my_recipe.py", "--import", "my_dataset.py", "--import", "my_prior.py")
    fits = (
        ("fit", "robust-vae", "--data=cross", "--latent-dim=2"),
        ("fit", "vae", "--data", "cross", "--prior", "laplace", "--latent-dim=2", "--out=run"),
    )
    for fit in fits:
        latentia(*own, *fit, "--steps", "1")
        said = latentia(*fit, "--steps", "2", "--resume", code=1)
        assert re.search(
            r"not imported here: put --import my_dataset.py .*between latentia and the verb", said
        ), said
        assert "version" not in said
        latentia(*own, *fit, "--steps", "2", "--resume")
    code = "import latentia as lt; lt.fit('robust-vae', 'cross', out='runs/robust-vae-cross', resume=True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "--import my_dataset.py --import my_recipe.py" in done.stderr
    assert "unknown recipe name 'robust-vae'" in latentia(
        "fit", "robust-vae", "--data", "cross", "--resume", "--out=new", code=2
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--import"], "--import needs a Python file: latentia --import my_parts.py VERB ..."),
        (["recipes", "--import", "a.py"], "--import stands before the verb: latentia --import FILE VERB ..."),
        (["--import", "nowhere.py", "recipes"], "there is no file nowhere.py to import: give the path of a"),
    ],
)  # fmt: skip
def test_import_on_the_command_line_is_checked(words, message, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"latentia: error: {message}")


def test_errors_after_an_import_spell_options_as_they_are_typed(folder: Path):
    words = [
        "--import",
        "my_loss.py",
        "fit",
        "gan",
        "--data",
        "ring",
        "--critic-norm",
        "loud",
        "--out",
        "run",
    ]
    assert "unknown --critic-norm 'loud'" in latentia(*words, code=2)


def test_parts_of_a_config_that_are_damaged_get_one_line(folder: Path):
    latentia("fit", "gaussian", "--data", "moons", "--out", "run")
    config = json.loads((folder / "run/config.json").read_text())
    assert "parts" not in config
    for parts in ({"a": 1}, [{"name": "x"}], [{"registry": "zoo", "name": "x", "module": "m", "file": None}]):
        (folder / "run/config.json").write_text(json.dumps(config | {"parts": parts}))
        assert "parts are not readable; it is damaged" in latentia("sample", "run", code=1)
    plugin = [{"registry": "priors", "name": "gone", "module": "their.parts", "file": None}]
    (folder / "run/config.json").write_text(json.dumps(config | {"parts": plugin}))
    assert "of a package that is not installed: install their.parts" in latentia("sample", "run", code=1)


# --- norms, optimisers, constraints and covariances of one's own -----------------------------------------------------

OWN = """
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from latentia.models.gaussian import Family
from latentia.networks.norms import Norm
from latentia.registry import constraints, gaussian_covariances, norms, optimisers


def layer_norm(channels, planes, affine):
    return nn.GroupNorm(1, channels, affine=affine)


norms.add({
    "weight": Norm(wraps=weight_norm, encoder=True),
    "layer": Norm(layer_norm, encoder=True, decoder=True, image_to_image=True),
})


@optimisers.register("lion")
class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas, weight_decay):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is not None:
                    average = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.sub_(group["lr"] * (beta1 * average + (1 - beta1) * p.grad).sign())
                    average.mul_(beta2).add_((1 - beta2) * p.grad)


@constraints.register("half-kl", limit=2.0)
def half_kl(reconstruction, kl):
    return -reconstruction, kl / 2


def equal_correlations(cov):
    D, variance = len(cov), cov.diagonal().mean()
    shared = (cov.sum() - D * variance) / (D * (D - 1))
    return shared.expand(D, D) + (variance - shared) * torch.eye(D).to(cov)


gaussian_covariances.add({"equal-correlations": Family(True, equal_correlations, lambda D: 2)})
"""


@pytest.fixture
def own(tmp_path: Path, forgetting):
    (tmp_path / "parts_of_a_test_own.py").write_text(OWN)
    return import_part(str(tmp_path / "parts_of_a_test_own.py"))


@pytest.mark.parametrize("norm", ["weight", "layer"])
@pytest.mark.parametrize("network", ["mlp", "conv", "resnet"])
def test_a_norm_of_one_s_own_stands_in_critics_and_generators(network, norm, own):
    from torch.nn.utils.parametrize import is_parametrized

    x = np.random.default_rng(0).uniform(size=(16, 1, 16, 16)).astype("float32")
    options = {"steps": 2, "latent_dim": 2, "network": network, "progress": False, "support": "unit"}
    options |= {"critic_norm": norm, "norm": "layer"}
    if network == "resnet" and norm == "layer":
        with pytest.raises(
            UsageError, match="the norm of a ResNet encoder is none or spectral or weight; got 'layer'"
        ):
            lt.fit("gan", x, **options)
        return
    run = lt.fit("gan", x, **options)
    critic, generator = run.recipe.objective.critics[0], run.model
    assert any(map(is_parametrized, critic.modules())) == (norm == "weight")
    assert any(isinstance(each, torch.nn.GroupNorm) for each in critic.modules()) == (norm == "layer")
    assert any(isinstance(each, torch.nn.GroupNorm) for each in generator.modules())
    with pytest.raises(UsageError, match="unknown norm 'weight'; there are: auto, batch, layer, none"):
        lt.fit("gan", x, **options | {"norm": "weight"})


def test_an_optimiser_of_one_s_own_moves_players_and_says_what_it_takes(own):
    from latentia.core.player import Optim, Player

    layer = torch.nn.Linear(3, 1)
    before = layer.weight.detach().clone()
    player = Player("model", layer, Optim("lion", lr=0.1, weight_decay=0.5))
    for step, sign in enumerate((1, -1)):
        player.descend((sign * layer(torch.ones(3))).sum(), step)
    # The average of 0.001 keeps 0.0009 of the first gradient, less than 0.1 of the second.
    assert torch.allclose(layer.weight, 0.95 * (0.95 * before - 0.1) + 0.1)
    assert {key.partition(".")[2] for key in player.tensors()} == {"exp_avg"}
    with pytest.raises(UsageError, match="momentum is for rmsprop and sgd; lion has betas"):
        Optim("lion", momentum=0.9)


def test_a_constraint_of_one_s_own_limits_what_it_says(own):
    x = np.random.default_rng(0).normal(size=(64, 2))
    options = {"steps": 5, "hidden": 4, "latent_dim": 2, "progress": False, "seed": 1}
    half = lt.fit("constrained-vae", x, constraint="half-kl", **options)
    assert half.recipe.objective.limit == 2.0
    last = half.epochs[-1]
    assert last["excess"] == pytest.approx(last["kl"] / 2 - 2, abs=1e-5)
    with pytest.raises(UnknownNameError, match="unknown constraint 'half'; did you mean 'half-kl'"):
        lt.fit("constrained-vae", x, constraint="half", **options)


def test_a_covariance_of_one_s_own_is_fitted_in_closed_form_and_by_gradient(own):
    """Compound symmetry: the mean variance and the mean covariance are the most likely ones."""
    x = np.random.default_rng(0).multivariate_normal(
        [1, 2, 3], [[2, 0.9, 1], [0.9, 2.2, 1.1], [1, 1.1, 1.8]], 400
    )
    S = np.cov(x.T, bias=True)
    variance, shared = np.trace(S) / 3, (S.sum() - np.trace(S)) / 6
    expected = torch.full((3, 3), shared).double() + (variance - shared) * torch.eye(3).double()
    for by, tolerance in (("closed-form", 1e-5), ("gradient", 0.02)):
        run = lt.fit("gaussian", x, covariance="equal-correlations", by=by, progress=False)
        assert torch.allclose(run.model.covariance.detach(), expected, atol=tolerance)
        assert run.model.free_parameters == 5


def test_help_lists_members_of_one_s_own(folder: Path):
    (folder / "parts_of_a_test_own.py").write_text(OWN)
    own = ("--import", "parts_of_a_test_own.py", "fit")
    for recipe, name in (
        ("gan", "weight"),
        ("constrained-vae", "half-kl"),
        ("gaussian", "equal-correlations"),
    ):
        assert name in latentia(*own, recipe, "--help")
    latentia(*own, "gaussian", "--data", "moons", "--covariance", "equal-correlations", "--out", "run")
    assert "the covariance 'equal-correlations' of parts_of_a_test_own.py" in latentia(
        "sample", "run", code=1
    )


# --- a part in the place of its name --------------------------------------------------------------------------------

PAIR = LossPair(lambda real, fake: ((real - 1) ** 2, (fake + 1) ** 2), fake_only(lambda fake: fake**2))


def test_a_loss_is_also_given_as_a_pair_and_stored_by_its_name(tmp_path: Path, forgetting):
    x = np.random.default_rng(0).normal(size=(64, 2))
    options = {"steps": 2, "hidden": 4, "latent_dim": 2, "progress": False}
    run = lt.fit("gan", x, loss=PAIR, **options)
    assert run.recipe.objective.losses == PAIR
    with pytest.raises(
        UsageError, match="loss is a LossPair without a name, and a run folder holds names: add it"
    ):
        lt.fit("gan", x, loss=PAIR, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    registry.loss_pairs.add({"mine": PAIR})
    named = lt.fit("gan", x, loss=PAIR, out=tmp_path / "run", **options)
    assert named.config()["options"]["loss"] == "mine"
    config = {"recipe": "gan", "training": {}, "data": {}, "options": {"loss": "non-saturating-mine"}}
    assert [part["name"] for part in outside_parts(config)] == ["mine"]
    loaded = lt.load(tmp_path / "run")
    assert loaded.recipe.objective.losses == PAIR
    assert torch.equal(loaded.sample(4, seed=0), run.sample(4, seed=0))
    assert lt.recipes["gan"](run.spec, loss=PAIR).objective.losses == PAIR
    with pytest.raises(UsageError, match=r"loss must be text or a LossPair; got 3"):
        lt.fit("gan", x, loss=3, **options)
    with pytest.raises(UsageError, match="no optimum unless the critic's slope is bounded"):
        lt.fit("gan", x, loss=registry.loss_pairs["wasserstein"], **options)


def test_a_kind_of_column_is_named_by_the_runs_of_its_tables(tmp_path: Path, forgetting):
    """A frame's run says which file to import, and its samples have the kind's values."""
    import pandas as pd

    from latentia.data.columns.categories import Categorical

    @registry.column_kinds.register("shouted")
    class Shouted(Categorical):
        """Categories in capitals."""

        def to_series(self, numbers, column, draws):
            """Return the categories in capitals."""
            return super().to_series(numbers, column, draws).str.upper()

    frame = pd.DataFrame({"x": np.arange(40) / 7, "word": ["a", "b"] * 20})
    options = {"components": 1, "progress": False, "out": tmp_path / "run"}
    run = lt.fit("gaussian-mixture", frame, columns={"word": "shouted"}, **options)
    assert [(part["registry"], part["name"]) for part in run.config()["parts"]] == [
        ("column_kinds", "shouted")
    ]
    assert set(lt.load(tmp_path / "run").sample(30, seed=0)["word"]) == {"A", "B"}
