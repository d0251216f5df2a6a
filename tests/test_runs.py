"""Runs and their folders: averages, patience, Ctrl-C, resume, and files that are damaged.

Rows D17, D22 of docs/known-mistakes.md.
"""

from __future__ import annotations

import copy
import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tests.running import VAE, X, contents, full_disk, same, vae, watching, weights
from torch import Tensor, nn

import latentia as lt
from latentia.core.logged import Logged
from latentia.core.objective import Batch, Objective
from latentia.core.player import Optim
from latentia.errors import DataError, LatentiaError, NonFiniteError, RunError, UsageError
from latentia.interrupts import interruptible
from latentia.runs import files, folder, monitor
from latentia.runs.loop import Averages
from latentia.runs.monitor import Monitor
from latentia.runs.options import Training


class Slope(Objective):
    """A player whose loss is a line, until it is not finite."""

    def __init__(self, fails_at: int = -1) -> None:
        super().__init__()
        self.model = nn.Linear(3, 1, bias=False)
        self.fails_at = fails_at

    def players(self):
        return {"model": self.model}

    def step(self, batch: Batch):
        loss = self.model(batch.x).mean() * (torch.nan if int(self.clock) == self.fails_at else 1)
        yield "model", loss
        return {"loss": loss.detach()}


# --- averaged weights -------------------------------------------------------------------------------------------


def test_averaged_weights_equal_a_hand_computation_and_are_the_ones_that_are_used(monkeypatch, out):
    """a₁ = w₁ and aₜ = 0.8 aₜ₋₁ + 0.2 wₜ; the monitor scores them, the run samples them, the folder holds them."""
    average: dict[str, Tensor] = {}
    scored = []
    plain = Monitor.watch

    def watch(state):
        for name, parameter in state.objective.model.named_parameters():
            before = average.get(name, parameter.detach())
            average[name] = 0.8 * before + 0.2 * parameter.detach()

    def watched(self, model, objective):
        scored.append((weights(model), model.training))
        return plain(self, model, objective)

    monkeypatch.setattr(Monitor, "watch", watched)
    with watching(monkeypatch, watch):
        run = vae(ema=0.8, epochs=3, validation=0.2, out=out)
    found = dict(run.model.named_parameters())
    assert found.keys() == average.keys()
    assert all(torch.allclose(found[name], average[name], atol=1e-6) for name in average)
    assert same(scored[-1][0], weights(run.model))
    assert same(weights(lt.load(out).model), weights(run.model))
    assert not run.model.training
    plainly = vae(epochs=3, validation=0.2)
    assert not torch.allclose(found["decoder.layers.0.weight"], plainly.model.decoder.layers[0].weight)


def test_averages_follow_the_buffers(digits):
    """Batch-norm statistics of the averaged model are those of the model: they are averages already."""
    run = lt.fit("gan", digits, width=2, steps=6, ema=0.9, progress=False)
    buffers = dict(run.model.named_buffers())
    assert any("running_mean" in name and value.abs().sum() > 0 for name, value in buffers.items())
    assert torch.isfinite(run.sample(5, seed=0)).all()


@pytest.mark.parametrize("ema", [0, 1, -0.5, 1.5])
def test_a_decay_is_between_0_and_1(ema):
    with pytest.raises(UsageError, match="ema must be between 0 and 1"):
        vae(ema=ema)


# --- early stopping ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize("ema", [None, 0.8])
def test_early_stopping_restores_a_copy_of_the_best_weights(monkeypatch, direction, ema, out):
    """D17: planted values, of which the third is the best; the weights are those of the third epoch."""
    sign = 1 if direction == "higher" else -1
    values, snapshots = [1.0, 2.0, 3.0, 2.9, 3.0, 5.0], []

    def planted(evaluation, names):
        snapshots.append(weights(evaluation.model))
        value = sign * values[len(snapshots) - 1]
        return [dataclasses.replace(real(evaluation, names)[0], value=value, direction=direction)]

    real = monitor.score
    monkeypatch.setattr("latentia.runs.monitor.score", planted)
    run = vae(epochs=10, validation=0.2, patience=2, ema=ema, out=out)
    assert len(snapshots) == 5
    assert run.history["validation_elbo"].tolist() == [sign * value for value in values[:5]]
    assert same(weights(run.model), snapshots[2])
    assert not same(snapshots[2], snapshots[3])
    assert same(weights(lt.load(out).model), snapshots[2])


def test_a_likelihood_that_a_held_out_row_does_not_have_is_a_gap_unless_it_was_asked_for():
    data = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    options = {"kernel": "epanechnikov", "bandwidth": "fixed", "bandwidth_factor": 1e-3, "progress": False}
    run = lt.fit("kernel-density", data, validation=0.2, **options)
    assert run.history["validation_log-likelihood"].isna().all()
    with pytest.raises(UsageError, match="monitor 'log-likelihood' has no value here"):
        lt.fit("kernel-density", data, validation=0.2, monitor="log-likelihood", **options)


def test_a_monitor_without_patience_only_watches():
    run = vae(epochs=3, validation=0.2)
    assert run.history["validation_elbo"].notna().all()
    assert len(run.history) == 3
    assert same(weights(run.model), weights(vae(epochs=3, validation=0.2, monitor="elbo").model))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 2}, "monitor and patience need held-out rows"),
        ({"monitor": "elbo"}, "monitor and patience need held-out rows"),
        ({"monitor": "elbow", "validation": 0.2}, "unknown monitor 'elbow'; did you mean 'elbo'"),
        ({"patience": 0, "validation": 0.2}, "patience must be at least 1"),
        ({"validation": 1.0}, "validation must be at least 0 and below 1"),
        ({"validation": 0.001}, "too few to split"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_anything_is_written(options, message, out):
    with pytest.raises(LatentiaError, match=message):
        vae(out=out, **options)
    assert not out.exists()


# --- training options -------------------------------------------------------------------------------------------

PLAIN = {"epochs": 3, "validation": 0.2, "schedule": "constant"}
CHANGES = {
    "epochs": {"epochs": 4},
    "steps": {"epochs": None, "steps": 4},
    "batch_size": {"batch_size": 10},
    "seed": {"seed": 1},
    "precision": {"precision": "bf16"},
    "accumulate": {"accumulate": 2},
    "schedule": {"schedule": "cosine"},
    "warmup": {"warmup": 5},
    "clip": {"clip": 1e-3},
    "ema": {"ema": 0.9},
    "monitor": {"monitor": "energy-distance"},
    "validation": {"validation": 0.4},
    "split_seed": {"split_seed": 1},
}
TESTED_APART = {"device", "compile", "patience", "stop_on", "checkpoint_every", "copies", "number_encoding"}


@pytest.mark.parametrize("option", CHANGES)
def test_every_training_option_changes_the_run(option):
    """A19: none is accepted and then not used."""
    runs = [vae(**(PLAIN | options)) for options in ({}, CHANGES[option])]
    found = [(weights(run.model), run.history) for run in runs]
    assert not same(found[0][0], found[1][0]) or not found[0][1].equals(found[1][1])


def test_no_training_option_is_forgotten_here():
    assert {*CHANGES, *TESTED_APART} == {field.name for field in dataclasses.fields(Training)}


def test_equal_options_give_equal_runs():
    first, second = vae(**PLAIN), vae(**PLAIN)
    assert same(weights(first.model), weights(second.model))
    assert first.history.equals(second.history)


def test_checkpoints_are_as_far_apart_as_asked(out, monkeypatch):
    written = []
    plain = folder.write_checkpoint

    def write(checkpoint, path):
        written.append(checkpoint.facts["step"])
        plain(checkpoint, path)

    monkeypatch.setattr(folder, "write_checkpoint", write)
    vae(steps=7, checkpoint_every=3, out=out)
    assert written == [3, 6, 7]


# --- Ctrl-C -----------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_the_step_saves_and_can_be_resumed(monkeypatch, out):
    before = signal.getsignal(signal.SIGINT)
    with watching(monkeypatch, lambda s: signal.raise_signal(signal.SIGINT) if s.step == 3 else None):
        run = vae(epochs=4, out=out)
    assert signal.getsignal(signal.SIGINT) is before
    assert run.interrupted
    assert run.recipe.objective.clock == 4
    assert len(run.history) == 1
    assert lt.load(out).sample(3, seed=0).equal(run.sample(3, seed=0))
    again = vae(epochs=4, out=out, resume=True)
    assert not again.interrupted
    assert same(weights(again.model), weights(vae(epochs=4).model))
    assert again.history.equals(lt.load(out).history)


def test_ctrl_c_from_another_process_or_thread_is_the_same(monkeypatch, out):
    def press(state):
        if state.step == 2:
            thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
            thread.start()
            thread.join()

    with watching(monkeypatch, press):
        assert vae(steps=500, out=out).interrupted


def test_a_second_ctrl_c_does_not_wait():
    with interruptible() as pressed:
        signal.raise_signal(signal.SIGINT)
        assert pressed.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_fit_in_a_thread_leaves_signals_alone():
    found = []
    thread = threading.Thread(target=lambda: found.append(vae(steps=2)))
    thread.start()
    thread.join()
    assert len(found) == 1


# --- resume -----------------------------------------------------------------------------------------------------

KILLED = """
import contextlib, os, signal, sys, torch, latentia as lt
torch.set_num_threads(1)

@contextlib.contextmanager
def bar(*_, **__):
    yield lambda state: os.kill(os.getpid(), signal.SIGKILL) if state.step == 7 else None

import latentia.runs.fit as fit
fit.progress_bar = bar
lt.fit(sys.argv[1], sys.argv[2], out=sys.argv[3], **eval(sys.argv[4]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "gan", "gaussian-mixture"])
def test_a_killed_training_is_resumed_bit_exactly(name, tmp_path):
    """kill -9 in the seventh step; the last checkpoint is of the sixth."""
    options = {"checkpoint_every": 3, "seed": 1}
    if name == "gaussian-mixture":
        options |= {"components": 4, "tol": 0.0, "epochs": 12}
    else:
        options |= {
            "hidden": 6,
            "latent_dim": 2,
            "batch_size": 20,
            "epochs": 4,
            "ema": 0.9,
            "schedule": "cosine",
        }
    np.save(tmp_path / "x.npy", X)
    arguments = [name, str(tmp_path / "x.npy"), str(tmp_path / "run"), repr(options)]
    result = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "model.safetensors").exists()
    with pytest.raises(RunError, match="holds an unfinished training: continue it with resume"):
        lt.load(tmp_path / "run")
    lt.fit(name, arguments[1], out=tmp_path / "run", resume=True, progress=False, **options)
    lt.fit(name, arguments[1], out=tmp_path / "whole", progress=False, **options)
    bytes_of = [(tmp_path / each / "model.safetensors").read_bytes() for each in ("run", "whole")]
    assert bytes_of[0] == bytes_of[1]


def test_resume_of_a_finished_run_changes_nothing(out):
    run = vae(epochs=2, out=out)
    before = contents(out)
    again = vae(epochs=2, out=out, resume=True)
    assert contents(out) == before
    assert same(weights(again.model), weights(run.model))
    assert len(again.history) == 2


def test_more_epochs_go_on_from_where_it_ended(out, tmp_path):
    vae(epochs=2, out=out)
    vae(epochs=4, out=out, resume=True)
    vae(epochs=4, out=tmp_path / "whole")
    for file in ("model.safetensors", "metrics.csv", "config.json"):
        assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


@pytest.mark.parametrize(
    "length",
    [{"epochs": 4}, {"steps": 11}, {"epochs": 40, "patience": 1, "validation": 0.2, "lr": 0.5}],
    ids=str,
)
def test_resume_without_a_length_goes_on_to_the_one_it_was_begun_with(length, out, tmp_path, monkeypatch):
    rest = {name: value for name, value in length.items() if name not in ("epochs", "steps", "patience")}
    with watching(monkeypatch, lambda s: signal.raise_signal(signal.SIGINT) if s.step == 2 else None):
        vae(out=out, **length)
    run = vae(out=out, resume=True, **rest)
    vae(out=tmp_path / "whole", **length)
    for file in ("model.safetensors", "metrics.csv", "config.json"):
        assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    before = contents(out)
    assert run.history.equals(vae(out=out, resume=True, **rest).history)
    assert contents(out) == before


def test_a_length_that_is_given_takes_the_place_of_the_other(out):
    vae(epochs=1, out=out)
    run = vae(steps=5, out=out, resume=True)
    assert (run.training.epochs, run.training.steps, run.history["step"].iloc[-1]) == (None, 5, 5)
    run = vae(epochs=2, out=out, resume=True)
    assert (run.training.epochs, run.training.steps, run.history["step"].iloc[-1]) == (2, None, 6)


@pytest.mark.parametrize(
    ("length", "told"),
    [
        ({"epochs": 2}, "epochs=2 is requested, but 3 are done"),
        ({"steps": 8}, "steps=8 is requested, but 9 are done"),
    ],
)
def test_less_than_is_done_is_refused_without_a_bar(length, told, out, monkeypatch):
    vae(epochs=3, out=out)
    before = contents(out)
    monkeypatch.setattr("latentia.runs.fit.progress_bar", lambda *_, **__: pytest.fail("a bar"))
    with pytest.raises(RunError, match=f"cannot be resumed: {told}; request more, or begin anew"):
        vae(out=out, resume=True, **length)
    assert contents(out) == before


def test_just_what_is_done_is_a_finished_run(out, tmp_path, monkeypatch):
    """It was to be longer, and was killed at the end of its second epoch, before a model was written."""
    with watching(monkeypatch, lambda s: signal.raise_signal(signal.SIGINT) if s.step == 5 else None):
        vae(epochs=9, out=out)
    (out / "model.safetensors").unlink()
    run = vae(epochs=2, out=out, resume=True)
    assert not run.interrupted
    vae(epochs=2, out=tmp_path / "whole")
    for file in ("model.safetensors", "metrics.csv", "config.json"):
        assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


def test_the_length_of_a_first_training_that_is_over_stays(out):
    options = VAE | {"latent_density": "gaussian-mixture", "latent_components": 2, "out": out}
    lt.fit("autoencoder", X, epochs=2, **options)
    before = contents(out)
    lt.fit("autoencoder", X, resume=True, **options)
    with pytest.raises(RunError, match="its first training is over, so its epochs stays 2; got 3"):
        lt.fit("autoencoder", X, epochs=3, resume=True, **options)
    assert contents(out) == before


def test_resume_without_a_folder_begins(out):
    run = vae(epochs=1, out=out, resume=True)
    assert same(weights(run.model), weights(vae(epochs=1).model))
    with pytest.raises(UsageError, match="resume needs out="):
        vae(resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 5}, "it was begun with seed=0, not with seed=5"),
        ({"latent_dim": 3}, "it was begun with latent_dim=2, not with latent_dim=3"),
        ({"batch_size": 10}, "it was begun with batch_size=20, not with batch_size=10"),
        ({"schedule": "cosine"}, "it was begun with schedule='constant', not with schedule='cosine'"),
    ],
)
def test_another_run_is_not_resumed(out, options, message):
    vae(epochs=1, out=out)
    before = contents(out)
    with pytest.raises(RunError, match=f"cannot be resumed: {message}"):
        vae(epochs=1, out=out, resume=True, **options)
    with pytest.raises(RunError, match="cannot be resumed: its recipe is 'vae', not 'gan'"):
        lt.fit("gan", X, out=out, resume=True, progress=False)
    with pytest.raises(RunError, match=r"cannot be resumed: its data's "):
        lt.fit("vae", X[:50], epochs=1, out=out, resume=True, **VAE)
    assert contents(out) == before


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(out, tmp_path):
    vae(epochs=3, checkpoint_every=2, out=out)
    shutil.copytree(out, tmp_path / "whole")
    last = sorted((out / "checkpoint").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:100])
    vae(epochs=4, checkpoint_every=2, out=out, resume=True)
    vae(epochs=4, checkpoint_every=2, out=tmp_path / "straight")
    assert (out / "model.safetensors").read_bytes() == (
        tmp_path / "straight" / "model.safetensors"
    ).read_bytes()
    for checkpoint in (out / "checkpoint").iterdir():
        checkpoint.write_bytes(b"\0" * 20)
    with pytest.raises(RunError, match="is damaged or cut off"):
        vae(epochs=5, checkpoint_every=2, out=out, resume=True)


# --- the folder -------------------------------------------------------------------------------------------------


def test_the_folder_holds_what_it_should_and_no_pickle(out):
    vae(epochs=1, out=out)
    found = set(contents(out))
    written = {"config.json", "metrics.csv", "model.safetensors", "costs.json"}
    assert found == written | {"checkpoint/0000000003.safetensors"}
    config = json.loads((out / "config.json").read_text())
    assert config["recipe"] == "vae"
    assert config["options"]["latent_dim"] == 2
    assert config["options"]["likelihood"] == "auto"  # defaults are written down too
    assert config["training"]["seed"] == 0
    assert config["data"]["spec"]["support"] == "real"
    assert set(config["versions"]) == {"latentia", "torch", "numpy", "python"}
    for name in ("model.safetensors", "checkpoint/0000000003.safetensors"):
        with safe_open(out / name, "pt") as file:
            assert len(file.metadata() or {}) <= 1


def damage_config(path: Path, **changes) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "no config": (lambda p: (p / "config.json").unlink(), "config.json is missing"),
    "cut config": (
        lambda p: cut(p / "config.json"),
        "config.json is no readable JSON file .* damaged or cut off",
    ),
    "a list": (
        lambda p: (p / "config.json").write_text("[]"),
        "config.json holds list, expected a JSON object",
    ),
    "half a config": (
        lambda p: (p / "config.json").write_text('{"format": 1}'),
        "lacks data, options, recipe, stage, training",
    ),
    "newer": (
        lambda p: damage_config(p, format=2, versions={"latentia": "9.1"}),
        "has format 2, written by latentia 9.1; .* install a newer one",
    ),
    "no format": (lambda p: damage_config(p, format=None), "has format None"),
    "no model": (
        lambda p: ((p / "model.safetensors").unlink(), shutil.rmtree(p / "checkpoint")),
        "model.safetensors is missing",
    ),
    "unfinished": (
        lambda p: (p / "model.safetensors").unlink(),
        r"unfinished training: continue it with resume=True \(in fit\)",
    ),
    "photos": (
        lambda p: (shutil.rmtree(p), p.mkdir(), (p / "a.png").write_bytes(b"")),
        "is no run folder: it holds no config.json",
    ),
    "cut model": (
        lambda p: cut(p / "model.safetensors"),
        "model.safetensors is no readable safetensors file",
    ),
    "empty model": (lambda p: (p / "model.safetensors").write_bytes(b""), "no readable safetensors file"),
    "other weights": (
        lambda p: damage_config(
            p, options=json.loads((p / "config.json").read_text())["options"] | {"hidden": 7}
        ),
        r"do not fit the configured model: .* has shape \(6, 3\), expected \(7, 3\)",
    ),
    "more weights": (
        lambda p: damage_config(
            p, options=json.loads((p / "config.json").read_text())["options"] | {"layers": 2}
        ),
        "do not fit the configured model: missing .*, unexpected none",
    ),
    "unknown recipe": (lambda p: damage_config(p, recipe="veo"), "unknown recipe name 'veo'"),
    "unknown option": (lambda p: damage_config(p, options={"latent": 2}), "does not describe a model"),
    "cut metrics": (
        lambda p: (p / "metrics.csv").write_bytes(b"a,b\n1\n1,2\n"),
        "metrics.csv is no readable table",
    ),
}


@pytest.mark.parametrize("fault", DAMAGE)
def test_a_damaged_folder_is_refused_in_one_line(fault, out):
    vae(epochs=1, out=out)
    damage, message = DAMAGE[fault]
    damage(out)
    with pytest.raises(RunError, match=message) as error:
        lt.load(out)
    assert "\n" not in str(error.value)
    assert str(out) in str(error.value)


def test_nothing_at_the_path_is_refused(out):
    with pytest.raises(RunError, match="there is no run folder at"):
        lt.load(out)


def test_an_existing_folder_is_only_replaced_if_that_is_asked(out):
    vae(epochs=1, out=out)
    before = contents(out)
    with pytest.raises(
        RunError, match=r"exists already: .*go on with resume=True, or replace it with overwrite=True"
    ):
        vae(epochs=1, out=out)
    run = vae(epochs=1)
    with pytest.raises(RunError, match="exists already"):
        run.save(out)
    assert contents(out) == before
    vae(epochs=1, seed=1, out=out, overwrite=True)
    assert contents(out)["model.safetensors"][0] != before["model.safetensors"][0]
    run.save(out, overwrite=True)
    assert contents(out)["model.safetensors"][0] == before["model.safetensors"][0]


@pytest.mark.parametrize("what", ["folder", "file"])
def test_overwrite_replaces_runs_and_nothing_else(what, out):
    if what == "folder":
        out.mkdir()
        (out / "thesis.txt").write_text("years")
    else:
        out.write_text("years")
    with pytest.raises(RunError, match="is not a run folder, so overwrite=True leaves it alone"):
        vae(epochs=1, out=out, overwrite=True)
    assert (out / "thesis.txt" if what == "folder" else out).read_text() == "years"


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (np.full((60, 3), np.nan, np.float32), {}),
        (X[:0], {}),
        (X, {"likelihood": "bernoulli"}),
        (X, {"batch_size": 61}),
        (X, {"latent_dim": -1}),
        (X, {"lr": 0.0}),
        (X, {"precision": "fp8"}),
        (X, {"schedule": "linear"}),
        (X, {"device": "cuda:99"}),
        (X * np.inf, {}),
    ],
    ids=["NaN", "no rows", "law", "batch", "codes", "rate", "precision", "schedule", "device", "infinity"],
)
def test_an_error_before_the_first_step_leaves_no_folder_and_the_old_one(data, options, out):
    with pytest.raises(LatentiaError) as error:
        lt.fit("vae", data, out=out, **(VAE | options))
    assert "\n" not in str(error.value)
    assert not out.exists()
    vae(epochs=1, out=out)
    before = contents(out)
    with pytest.raises(LatentiaError):
        lt.fit("vae", data, out=out, overwrite=True, **(VAE | options))
    assert contents(out) == before


def test_a_loss_that_is_not_finite_keeps_the_last_good_weights(out):
    recipe = lt.Recipe(Slope(fails_at=5), Optim("sgd", lr=0.1), batch_size=20)
    with pytest.raises(NonFiniteError, match="player 'model' is nan at step 5") as error:
        lt.fit(recipe, X, epochs=4, out=out, progress=False)
    start = weights(recipe.objective.model)  # of step 0: copies are taken every hundred steps
    assert same(weights(error.value.run.model), start)
    assert same(weights(lt.load(out, recipe=copy.deepcopy(recipe)).model), start)


def test_a_recipe_of_one_s_own_stays_as_it_is(out):
    """Fitting and loading work on copies: the same object can be fitted again from the same start."""
    recipe = lt.Recipe(Slope(), Optim("sgd", lr=0.1), batch_size=20)
    before = weights(recipe.objective)
    lt.fit(recipe, X, epochs=2, out=out, progress=False)
    assert same(before, weights(recipe.objective))
    lt.load(out, recipe=recipe)
    assert same(before, weights(recipe.objective))


def test_a_recipe_of_one_s_own_is_loaded_with_it(out):
    recipe = lt.Recipe(Slope(), Optim("sgd", lr=0.1), batch_size=20)
    run = lt.fit(recipe, X, epochs=2, out=out, progress=False)
    with pytest.raises(
        RunError, match=r"made with a Recipe object: pass it again, as lt.load\(path, recipe=...\)"
    ):
        lt.load(out)
    again = lt.load(out, recipe=copy.deepcopy(recipe))
    assert same(weights(again.model), weights(run.model))
    assert again.name is None
    longer = lt.fit(recipe, X, epochs=3, out=out, resume=True, progress=False)
    assert same(weights(longer.model), weights(lt.fit(recipe, X, epochs=3, progress=False).model))
    with pytest.raises(RunError, match="do not fit the configured model"):
        lt.load(out, recipe=lt.recipes["vae"](run.spec))


def test_a_run_in_memory_can_be_saved_and_loaded(out):
    run = vae(epochs=1)
    assert run.path is None
    run.save(out)
    assert run.path == out
    again = lt.load(str(out))
    assert again.sample(4, seed=0).equal(run.sample(4, seed=0))
    assert again.history.equals(run.history)
    assert again.training == run.training


def test_means_over_an_epoch_weigh_rows_and_only_the_steps_that_logged():
    averages = Averages()
    averages.add(Logged({"loss": 1.0, "norm": 4.0}), rows=3)
    averages.add(Logged({"loss": torch.tensor(5.0)}), rows=1)
    assert averages.close() == {"loss": 2.0, "norm": 4.0}
    assert averages.close() == {}


def test_numbers_come_back_from_the_table_exactly(out):
    run = vae(epochs=3, out=out)
    again = lt.load(out).history
    assert list(again.columns) == list(run.history.columns)
    np.testing.assert_array_equal(again.to_numpy(), run.history.to_numpy())
    assert again["epoch"].dtype == run.history["epoch"].dtype


# --- full disks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writes", range(8))
def test_on_a_full_disk_the_last_checkpoint_survives(writes, out, tmp_path, monkeypatch):
    """Wherever in the second half it happens: every file stays whole, and the training can be resumed."""
    options = {"checkpoint_every": 2, "epochs": 6}
    with watching(monkeypatch, lambda s: signal.raise_signal(signal.SIGINT) if s.step == 6 else None):
        vae(out=out, **options)
    with monkeypatch.context() as patched:
        full_disk(patched, writes)
        with pytest.raises(RunError, match="No space left on device; what was there before is kept") as error:
            vae(out=out, resume=True, **options)
    assert "\n" not in str(error.value)
    assert not [name for name in contents(out) if Path(name).name.startswith(".")]
    lt.load(out)
    assert folder.read_checkpoint(out).facts["step"] >= 7
    vae(out=out, resume=True, **options)
    vae(out=tmp_path / "whole", **options)
    for file in ("model.safetensors", "metrics.csv"):
        assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def fails(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match="No space left on device"):
        files.write_atomically(path, fails)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    with pytest.raises(RunError, match="cannot write"):
        files.write_atomically(tmp_path / "nowhere" / "file", lambda file: file.write(b"x"))


def test_a_write_that_is_interrupted_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def interrupted(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, interrupted)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_tensors_come_back_with_their_own_memory_and_equal_bytes(tmp_path):
    tensors = {
        "b": torch.randn(3, 4).T,
        "a": torch.tensor(1.5),
        "c": torch.arange(4)[::2],
        "d": torch.zeros(0, 2),
    }
    tensors["e"] = tensors["b"]  # shared memory is written twice
    files.write_tensors(tmp_path / "one", tensors, {"step": 1})
    files.write_tensors(tmp_path / "two", dict(reversed(tensors.items())), {"step": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found, facts = files.read_tensors(tmp_path / "one")
    assert facts == {"step": 1}
    assert same(found, {name: value.contiguous() for name, value in tensors.items()})
    (tmp_path / "one").unlink()
    found["b"].add_(1)
    assert torch.equal(found["e"], tensors["b"])


# --- what a run offers ------------------------------------------------------------------------------------------


def test_a_run_offers_what_its_model_can_do_and_says_what_it_lacks():
    run = vae(epochs=1)
    assert run.encode(X).shape == (60, 2)
    assert run.reconstruct(X).shape == (60, 3)
    assert run.decode(torch.zeros(4, 2)).shape == (4, 3)
    assert run.interpolate(X[0], X[1], steps=5).shape == (5, 3)
    assert run.traverse(X[0], steps=7).shape == (2, 7, 3)
    with pytest.raises(UsageError, match=r"vae does not translate; it can sample, .*encode, decode"):
        run.translate(X)
    with pytest.raises(UsageError, match=r"gan does not encode nor decode; it can sample$"):
        lt.fit("gan", X, hidden=4, steps=1, progress=False).reconstruct(X)
    mixture = lt.fit("gaussian-mixture", X, components=2, progress=False)
    with pytest.raises(UsageError, match="gaussian-mixture does not encode; it can sample, "):
        mixture.encode(X)
    with pytest.raises(UsageError, match="vae is not conditional; it cannot be given class"):
        run.sample(3, given={"class": 3})


def test_a_run_is_shown_in_one_line(out):
    assert repr(vae(epochs=2)) == "<Run of vae on data: LatentVariable, 2 epochs, in memory>"
    assert repr(vae(steps=1, out=out)) == f"<Run of vae on data: LatentVariable, 1 epoch, {out}>"
    own = lt.fit(lt.Recipe(Slope(), Optim("sgd", lr=0.1), batch_size=20), X, epochs=1, progress=False)
    assert repr(own) == "<Run of own recipe on data: Linear, 1 epoch, in memory>"
    assert str(own) == repr(own)


def test_the_ends_of_an_interpolation_are_the_reconstructions():
    run = vae(epochs=1)
    for path in ("linear", "spherical"):
        way = run.interpolate(X[0], X[1], steps=5, path=path)
        assert torch.allclose(way[[0, -1]], run.reconstruct(X[:2]), atol=1e-5)
    with pytest.raises(UsageError, match="steps must be at least 2"):
        run.interpolate(X[0], X[1], steps=1)
    with pytest.raises(UsageError, match="unknown path 'sperical'; did you mean 'spherical'"):
        run.interpolate(X[0], X[1], path="sperical")


def test_rows_are_taken_as_fit_takes_them(digits):
    """What was given to fit can be given to the run: (n, 8, 8) greys, one (8, 8) picture too."""
    run = lt.fit("vae", digits, hidden=6, latent_dim=2, steps=1, progress=False)
    assert run.encode(digits[:5]).shape == (5, 2)
    assert run.traverse(digits[0], steps=3).shape == (2, 3, 1, 8, 8)
    with pytest.raises(DataError):
        run.encode(digits[:5, :7])
