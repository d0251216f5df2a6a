"""Sampling options: a model declares them, and runs, the command line and its help read them from there."""

from __future__ import annotations

import json
from typing import Annotated

import numpy as np
import pytest
import torch
from tests.fixtures.measured import RUNS
from tests.running import vae
from torch import Tensor, nn

import latentia as lt
import latentia.runs.load as load_module
from latentia.cli import main
from latentia.core.model import Generative, HasCritic
from latentia.errors import UsageError
from latentia.options import Between


class Tempered(Generative):
    """N(0, 1), with a sampling option of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        heat: Annotated[float, Between(0, 2)] = 1.0,
    ) -> Tensor:
        """Draw n rows.

        Args:
            n: number of rows.
            context: none.
            generator: where randomness comes from.
            heat: factor of the standard deviation
        """
        return heat * torch.randn(n, 3, generator=generator)


def tempered(**settings) -> lt.Run:
    run = vae(epochs=1, **settings)
    run.recipe.objective.model = Tempered()
    return run


def test_a_model_s_own_option_reaches_it():
    run = tempered()
    plain, hot = run.sample(6, seed=0), run.sample(6, seed=0, heat=2)
    torch.testing.assert_close(hot, 2 * plain)
    option = run.sampling_options["heat"]
    assert (option.default, option.help) == (1.0, "factor of the standard deviation")
    assert [*run.sampling_options] == ["heat"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heat": 3}, "heat must be from 0 to 2; got 3"),
        ({"heat": "hot"}, "heat must be a number; got 'hot'"),
        ({"het": 1}, "'het' is no sampling option of vae; it has heat"),
        ({"rejection": True}, "'rejection' is no sampling option of vae; it has heat"),
    ],
)
def test_values_and_names_that_it_does_not_have_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        tempered().sample(2, **options)
    assert str(error.value) == message


def test_a_critic_gives_rejection_and_the_model_keeps_its_own(monkeypatch):
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    run = lt.fit("gan", x, steps=2, hidden=6, latent_dim=2, progress=False)
    assert [*run.sampling_options] == ["rejection", "quantile"]
    few, many = (run.sample(20, seed=0, quantile=quantile) for quantile in (0.01, 0.99))
    assert not run.sample(20, seed=0).equal(few)
    assert not few.equal(many)
    with pytest.raises(UsageError, match=r"quantile must be between 0 and 1, both excluded; got 1\.0"):
        run.sample(3, quantile=1.0)
    assert [*vae(epochs=1).sampling_options] == ["mean"]
    run.recipe.objective.model = Tempered()
    assert [*run.sampling_options] == ["heat", "rejection", "quantile"]
    plain, kept = run.sample(500, seed=0, quantile=0.5), run.sample(500, seed=0, quantile=0.5, heat=0.1)
    assert kept.std() < 0.2 < plain.std()


@pytest.mark.parametrize("layer", ["realnvp", "maf", "spline"])
def test_a_flow_at_temperature_t_draws_from_a_base_of_standard_deviation_t(layer):
    """Against the codes: f(x) of rows at temperature T are T times those of the same draws at 1."""
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    run = lt.fit("flow", x, layer=layer, transforms=2, hidden=8, epochs=1, progress=False)
    scaled = [run.model.scaling(run.sample(50, seed=0, temperature=t)) for t in (1.0, 0.5)]
    with torch.no_grad():
        whole, half = (run.model.flow().transform(y) for y in scaled)
    torch.testing.assert_close(half, 0.5 * whole, atol=1e-3, rtol=1e-3)
    assert torch.equal(run.sample(50, seed=0), run.sample(50, seed=0, temperature=1))
    with pytest.raises(UsageError, match="temperature must be above 0; got 0"):
        run.sample(2, temperature=0)


FOLDERS = sorted(path.name for path in RUNS.iterdir() if path.is_dir())


@pytest.mark.filterwarnings("ignore::latentia.errors.RenamedWarning")
@pytest.mark.parametrize("name", FOLDERS)
def test_options_of_every_recipe_are_explained_and_their_defaults_change_nothing(name):
    if json.loads((RUNS / name / "config.json").read_text())["recipe"] is None:
        pytest.skip("a run of a Recipe object")
    run = lt.load(RUNS / name)
    options = run.sampling_options
    assert all(option.help for option in options.values())
    assert ("rejection" in options) == isinstance(run.recipe.objective, HasCritic)
    assert "temperature" in options or run.name != "flow"
    if isinstance(run.model, Generative) and not run.recipe.conditional:
        defaults = {option.name: option.default for option in options.values()}
        ours, theirs = run.sample(3, seed=0), run.sample(3, seed=0, **defaults)
        assert torch.allclose(ours, theirs, rtol=0, atol=0, equal_nan=True)


# --- the command line -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch) -> str:
    """Return the folder of a run whose model has an option of its own."""
    vae(epochs=1, out=tmp_path / "run")
    plain = load_module.load

    def load(path, **options) -> lt.Run:
        run = plain(path, **options)
        run.recipe.objective.model = Tempered()
        return run

    monkeypatch.setattr(load_module, "load", load)
    return str(tmp_path / "run")


def test_help_of_sample_shows_a_run_s_own_options(folder, capsys):
    assert main(["sample", folder, "--help"]) == 0
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--heat FLOAT factor of the standard deviation; from 0 to 2 (default: 1.0)" in out
    assert "--rejection, --no-rejection" not in out
    assert main(["sample", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--heat" not in out
    assert "latentia sample RUN --help" in " ".join(out.replace("│", " ").split())


def test_sample_passes_them_on(folder, tmp_path, capsys):
    words = ["sample", folder, "--n", "5", "--seed", "0", "--out"]
    assert main([*words, str(tmp_path / "plain.npy")]) == 0
    assert main([*words, str(tmp_path / "hot.npy"), "--heat", "2"]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "hot.npy"), 2 * np.load(tmp_path / "plain.npy"), rtol=1e-6)
    capsys.readouterr()
    assert main([*words, str(tmp_path / "x.npy"), "--heat", "3"]) == 2
    assert capsys.readouterr().err == "latentia: error: --heat must be from 0 to 2; got 3.0\n"
    assert main([*words, str(tmp_path / "x.npy"), "--het", "1"]) == 2
    assert "unknown option '--het'; did you mean '--heat'?" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_named_whatever_the_options(tmp_path, capsys):
    assert main(["sample", str(tmp_path), "--n", "2"]) == 1
    assert "is no run folder" in capsys.readouterr().err
    assert main(["sample", str(tmp_path), "--heat", "2"]) == 2
    assert "unknown option '--heat'" in capsys.readouterr().err


def test_a_name_that_sample_uses_itself_is_refused():
    class Seeded(Tempered):
        def sample(self, n, context=None, *, generator=None, seed: int = 0) -> Tensor:
            return torch.zeros(n, 3)

    run = tempered()
    run.recipe.objective.model = Seeded()
    with pytest.raises(UsageError, match="Seeded declares a sampling option 'seed'"):
        _ = run.sampling_options
