"""Run folders that are replaced, gone on with or stopped half-way: nothing is lost, nothing stale is left."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
import torch
from tests.running import VAE, X, contents, full_disk, same, vae, watching, weights

import latentia as lt
from latentia.core.objective import Batch, Objective
from latentia.core.player import Optim
from latentia.errors import NonFiniteError, RunError
from latentia.runs import folder, loop


@pytest.mark.parametrize("writes", range(3))  # config.json, metrics.csv, the checkpoint
def test_on_a_full_disk_overwrite_keeps_the_old_run(writes, out, monkeypatch):
    vae(epochs=1, out=out)
    before = contents(out)
    with monkeypatch.context() as patched:
        full_disk(patched, writes)
        with pytest.raises(RunError, match="No space left on device"):
            vae(epochs=1, seed=1, out=out, overwrite=True)
    assert contents(out) == before
    assert [each.name for each in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("writes", range(3))  # config.json, metrics.csv, model.safetensors
def test_on_a_full_disk_save_keeps_the_old_run(writes, out, monkeypatch):
    run = vae(epochs=1)
    run.save(out)
    before = contents(out)
    with monkeypatch.context() as patched:
        full_disk(patched, writes)
        with pytest.raises(RunError, match="No space left on device"):
            run.save(out, overwrite=True)
    assert contents(out) == before
    assert [each.name for each in out.parent.iterdir()] == [out.name]


def test_the_old_run_is_there_until_the_new_one_has_a_checkpoint(out, monkeypatch):
    vae(epochs=1, out=out)
    before, seen = contents(out), []
    with watching(monkeypatch, lambda state: seen.append((state.step, contents(out) == before))):
        vae(epochs=3, seed=1, checkpoint_every=5, out=out, overwrite=True)
    assert seen == [(step, step <= 5) for step in range(1, 10)]
    assert [each.name for each in out.parent.iterdir()] == [out.name]
    assert lt.load(out).training.seed == 1


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(out, monkeypatch):
    vae(epochs=1, out=out)
    before, plain = contents(out), Path.rename

    def rename(self, target):
        if self.name.endswith(".new"):
            raise OSError("refused")
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(RunError, match="refused"):
        vae(epochs=1, seed=1, out=out, overwrite=True)
    assert contents(out) == before
    assert [each.name for each in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("options", [{}, {"ema": 0.8}, {"validation": 0.2, "patience": 1, "lr": 0.5}])
def test_a_model_older_than_the_last_checkpoint_is_written_anew(options, out, tmp_path, monkeypatch):
    """Ctrl-C leaves a model; the resumed training is killed after its last checkpoint, before its model."""
    options |= {"epochs": 12}
    with watching(monkeypatch, lambda s: signal.raise_signal(signal.SIGINT) if s.step == 2 else None):
        vae(out=out, **options)
    stale = (out / "model.safetensors").read_bytes()
    vae(out=out, resume=True, **options)
    whole = shutil.copytree(out, tmp_path / "whole")
    (out / "model.safetensors").write_bytes(stale)
    run = vae(out=out, resume=True, **options)
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert same(weights(run.model), weights(lt.load(whole).model))
    assert run.history.equals(lt.load(whole).history)


@pytest.mark.parametrize("name", ["vae", "gaussian-mixture"])
def test_a_missing_model_is_written_from_the_last_checkpoint(name, out):
    options = {**VAE, "epochs": 2} if name == "vae" else {"components": 2, "progress": False}
    lt.fit(name, X, out=out, **options)
    before = contents(out)
    (out / "model.safetensors").unlink()
    lt.fit(name, X, out=out, resume=True, **options)
    assert {key: value for key, (value, _) in contents(out).items()} == {
        key: value for key, (value, _) in before.items()
    }


def test_what_was_said_of_an_older_model_goes_with_it(out):
    run = vae(epochs=1, out=out)
    lt.evaluate(run, X, metrics=["elbo"])
    lt.write_report(run, X)
    vae(epochs=2, out=out, resume=True)
    assert not {"scores.json", "samples.png", "report.html"} & {each.name for each in out.iterdir()}


def test_checkpoints_come_at_once_and_every_half_minute_within_epochs_too(out, monkeypatch):
    """Steps of 2 seconds: the first ends at 0, and the third is the first after more than 3; then each 16th."""
    written, now = [], [0.0]
    plain = folder.write_checkpoint

    def write(checkpoint, path):
        written.append(checkpoint.facts["step"])
        plain(checkpoint, path)

    def tick(state):
        now[0] = 2.0 * (state.step - 1)

    monkeypatch.setattr(folder, "write_checkpoint", write)
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    with watching(monkeypatch, tick):
        vae(steps=40, batch_size=1, out=out)
    assert written == [3, 19, 35, 40]


class Falls(Objective):
    """A player whose loss is a line, until it is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.model = torch.nn.Linear(3, 1, bias=False)

    def players(self):
        return {"model": self.model}

    def step(self, batch: Batch):
        loss = self.model(batch.x).mean() * (torch.nan if int(self.clock) == 5 else 1)
        yield "model", loss
        return {"loss": loss.detach()}


def test_after_a_loss_that_is_not_finite_no_average_is_put_in_the_place_of_good_weights(out):
    """The average may hold the weights that made the loss fail."""
    recipe = lt.Recipe(Falls(), Optim("sgd", lr=0.1), batch_size=20)
    found = []
    for ema in (None, 0.9):
        with pytest.raises(NonFiniteError) as error:
            lt.fit(recipe, X, epochs=4, ema=ema, out=out, overwrite=True, progress=False)
        found.append(weights(error.value.run.model))
    assert same(*found)
    assert same(found[0], weights(lt.load(out, recipe=recipe).model))
