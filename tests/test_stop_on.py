"""Stopping by a metric of held-out rows: what is watched, what is kept, and that it resumes."""

from __future__ import annotations

import json
import math
import signal

import numpy as np
import pytest
import torch
from tests.running import same, vae, watching, weights
from torch import Tensor, nn

import latentia as lt
from latentia.cli import main
from latentia.core.objective import Batch, Objective
from latentia.core.player import Optim
from latentia.data.rows import Rows
from latentia.data.transforms import Binarise
from latentia.errors import UsageError
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.samples.distances import energy_distance
from latentia.metrics.score import Score
from latentia.runs.monitor import Monitor, load_best, make_monitor
from latentia.runs.options import PATIENCE, Training

RING = lt.datasets["ring"](split="train", seed=0).take(torch.arange(640)).x.numpy()
SMALL = {"hidden": 32, "layers": 1, "latent_dim": 4, "validation": 0.2, "progress": False}
ENERGY = "validation_energy-distance"


def gan(**options) -> lt.Run:
    return lt.fit("gan", RING, **(SMALL | options))


class Away(Objective):
    """A model whose samples walk through the data and on: N(clock − 30, 1) after so many steps."""

    class Walker(lt.Generative):
        def __init__(self) -> None:
            super().__init__()
            self.place = nn.Parameter(torch.tensor(-30.0))
            self.register_buffer("apart", torch.ones(()))

        def sample(self, n, context=None, *, generator=None) -> Tensor:
            return self.place.detach() + self.apart * torch.randn(n, 1, generator=generator)

    def __init__(self, breaks_at: float = math.inf) -> None:
        super().__init__()
        self.model, self.breaks_at = self.Walker(), breaks_at

    def players(self):
        return {"model": self.model}

    def step(self, batch: Batch):
        yield "model", -self.model.place  # with lr 1, one further
        if int(self.clock) >= self.breaks_at:
            self.model.apart.fill_(torch.inf)
        return {}


def walked(breaks_at: float = math.inf, **options) -> lt.Run:
    data = np.random.default_rng(0).normal(size=(100, 1)).astype(np.float32)
    recipe = lt.Recipe(Away(breaks_at), Optim("sgd", lr=1.0), batch_size=80)  # a step an epoch
    return lt.fit(recipe, data, validation=0.2, epochs=90, progress=False, **options)


# --- what it means ----------------------------------------------------------------------------------------------


def test_it_is_a_monitor_with_patience_in_one_word(tmp_path):
    """The same numbers and the same model as with the two words; only config.json, which holds the words, differs."""
    walked(stop_on="energy-distance", out=tmp_path / "one")
    walked(monitor="energy-distance", patience=PATIENCE, out=tmp_path / "two")
    for file in ("model.safetensors", "metrics.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_best_weights_are_restored_and_patience_is_ten_epochs():
    run = walked(stop_on="energy-distance")
    assert run.model.place.item() == pytest.approx(0, abs=1)
    best = int(run.history[ENERGY].argmin())
    assert run.model.place == best + 1 - 30
    assert len(run.history) == best + 1 + 10


def test_patience_begins_anew_at_each_better_value(monkeypatch):
    game, rows = Away(), Rows(torch.zeros(2, 1), lt.DataSpec((1,), lt.Support("real")))
    monitor, waited = Monitor("watched", Evaluation(game.model, rows), patience=2, asked=False), []
    for value in (3.0, 4.0, 2.0, 5.0, 2.0):
        found = [Score("watched", value, direction="lower")]
        monkeypatch.setattr("latentia.runs.monitor.score", lambda *_, found=found: found)
        monitor.watch(game.model, game)
        waited.append((monitor.waited, monitor.out_of_patience))
    assert waited == [(0, False), (1, False), (0, False), (1, False), (2, True)]


def test_the_best_weights_are_the_model_s_under_each_of_its_names():
    """Those of training, which an objective holds under another name too, are not the averaged ones."""
    game = Away()
    game.again = game.model
    averaged = {f"model.{name}": value + 7 for name, value in game.model.state_dict().items()}
    load_best(game, {name: value.clone() for name, value in game.state_dict().items()} | averaged)
    assert game.model.place == -23


def test_held_out_rows_are_watched_through_the_transform_of_the_recipe():
    rows = Rows(torch.rand(4, 1), lt.DataSpec((1,), lt.Support("unit")))
    recipe = lt.Recipe(Away(), Optim(), transform=Binarise("dynamic"))
    monitor = make_monitor(recipe, rows, Training(monitor="energy-distance", seed=3))
    assert monitor.evaluation.settings.seed == 3
    assert monitor.evaluation.rows.spec.support == lt.Support("binary")


def test_a_patience_that_is_given_counts():
    run = walked(stop_on="energy-distance", patience=3)
    assert len(run.history) == int(run.history[ENERGY].argmin()) + 1 + 3


@pytest.mark.parametrize(
    ("asked", "watched", "waits"),
    [
        ({}, None, None),
        ({"monitor": "elbo"}, "elbo", None),
        ({"patience": 4}, None, 4),
        ({"stop_on": "elbo"}, "elbo", PATIENCE),
        ({"stop_on": "elbo", "patience": 4}, "elbo", 4),
        ({"stop_on": "elbo", "monitor": "elbo"}, "elbo", PATIENCE),
    ],
)
def test_what_is_asked_by_each_word(asked, watched, waits):
    assert (Training(**asked).watched, Training(**asked).waits) == (watched, waits)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"stop_on": "elbo", "monitor": "energy-distance"},
            "stop_on='elbo' is a monitor with patience, and monitor=",
        ),
        (
            {"stop_on": "elbo", "validation": None},
            "monitor and patience need held-out rows, and so does stop_on",
        ),
        ({"stop_on": "elbow"}, "unknown stop_on 'elbow'; did you mean 'elbo'"),
        ({"stop_on": "elbo"}, "monitor 'elbo' has no value here: Implicit"),
        (
            {"stop_on": "mmd-test"},
            "monitor 'mmd-test' has no better and no worse, so nothing can be stopped by it",
        ),
    ],
)
def test_what_cannot_be_stopped_on_is_refused(options, told):
    with pytest.raises(UsageError, match=told.replace("(", r"\(")):
        gan(epochs=1, **options)


def test_a_metric_without_a_better_is_watched_where_nothing_stops():
    assert gan(epochs=1, monitor="mmd-test").history["validation_mmd-test"].notna().all()


# --- what is monitored by default ------------------------------------------------------------------------------------


def test_a_model_without_a_likelihood_is_watched_by_its_samples():
    run = gan(epochs=2)
    assert run.history[ENERGY].notna().all()
    assert len(gan(epochs=3, patience=1, lr=1e-9, critic_lr=1e-9).history) <= 3
    assert not any(name.startswith("validation") for name in gan(epochs=1, validation=None).history)


def test_a_likelihood_comes_first():
    assert [name for name in vae(epochs=1, validation=0.2).history if name.startswith("val")] == [
        "validation_elbo"
    ]


def test_a_model_with_neither_needs_a_name():
    options = {"hidden": 6, "latent_dim": 2, "epochs": 1, "validation": 0.2, "progress": False}
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    assert not any(name.startswith("validation") for name in lt.fit("autoencoder", x, **options).history)
    with pytest.raises(UsageError, match="patience needs monitor= here, such as reconstruction-error"):
        lt.fit("autoencoder", x, patience=2, **options)


def test_it_looks_at_five_hundred_rows_at_most(monkeypatch):
    """The value is the metric's own on as many rows, so that a second computation agrees."""
    seen: list[Evaluation] = []

    def watched(self, model, objective):
        seen.append(self.evaluation)
        return plain(self, model, objective)

    plain = Monitor.watch
    monkeypatch.setattr(Monitor, "watch", watched)
    x = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
    run = lt.fit("gan", x, **(SMALL | {"epochs": 1, "validation": 0.5}))
    assert len(seen[0].heldout) == len(seen[0].samples) == 500
    again = Evaluation.of(run.model, run.held_out, max_rows=500)
    assert energy_distance(again).value == run.history[ENERGY].iloc[-1]


# --- trainings that go wrong ------------------------------------------------------------------------------------


def test_a_gan_that_diverges_is_taken_back_to_its_best_epoch():
    """The learning rates rise until nothing is learned any more; the generator is that of a run to the best epoch."""
    rising = {"lr": 1.0, "critic_lr": 1.0, "warmup": 2000}
    run = gan(epochs=60, stop_on="energy-distance", patience=60, **rising)
    distances = run.history[ENERGY]
    best = int(distances.argmin())
    assert distances.iloc[-1] > 3 * distances.iloc[best]
    assert best < 50
    until_then = gan(epochs=best + 1, **rising)
    assert same(weights(run.model), weights(until_then.model))
    assert same(weights(run.recipe.objective.critics), weights(until_then.recipe.objective.critics))
    assert energy_distance(Evaluation.of(run.model, run.held_out, max_rows=500)).value == distances.iloc[best]


def test_samples_that_become_infinite_are_a_gap_and_cost_patience():
    run = walked(breaks_at=25, stop_on="energy-distance", patience=4)
    assert run.history[ENERGY].isna().tolist() == [False] * 25 + [True] * 4
    assert run.model.place == 25 - 30
    with pytest.raises(UsageError, match="monitor 'energy-distance' has no value here"):
        walked(breaks_at=0, stop_on="energy-distance")


def test_averaged_weights_are_the_ones_that_are_watched_and_kept():
    """a₁ = w₁ and aₜ = ½ aₜ₋₁ + ½ wₜ lags a step behind the walker, so its best epoch comes a step later."""
    plain, averaged = walked(stop_on="energy-distance"), walked(stop_on="energy-distance", ema=0.5)
    assert averaged.model.place.item() == pytest.approx(plain.model.place.item(), abs=1e-3)
    assert len(averaged.history) == len(plain.history) + 1


# --- resume and the command line --------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [20, 34])  # before the best epoch, and while patience counts
def test_it_resumes_bit_exactly(at, tmp_path, monkeypatch):
    options = {"stop_on": "energy-distance", "patience": 8, "ema": 0.5, "checkpoint_every": 3}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    walked(out=whole, **options)
    with watching(monkeypatch, lambda s: signal.raise_signal(signal.SIGINT) if s.step == at else None):
        assert walked(out=parts, **options).interrupted
    assert not walked(out=parts, resume=True, **options).interrupted
    for file in ("model.safetensors", "metrics.csv", "config.json"):
        assert (whole / file).read_bytes() == (parts / file).read_bytes(), file


def test_a_gan_resumes_bit_exactly(tmp_path, monkeypatch):
    options = {"stop_on": "energy-distance", "patience": 3, "epochs": 8}
    gan(out=tmp_path / "whole", **options)
    with watching(monkeypatch, lambda s: signal.raise_signal(signal.SIGINT) if s.step == 13 else None):
        gan(out=tmp_path / "parts", **options)
    gan(out=tmp_path / "parts", resume=True, **options)
    for file in ("model.safetensors", "metrics.csv"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()


def test_the_command_line_takes_it(tmp_path, capsys):
    np.save(tmp_path / "x.npy", RING)
    words = "--hidden 8 --epochs 2 --validation 0.2 --stop-on energy-distance"
    out = tmp_path / "run"
    assert main(["fit", "gan", "--data", str(tmp_path / "x.npy"), "--out", str(out), *words.split()]) == 0
    assert json.loads((out / "config.json").read_text())["training"]["stop_on"] == "energy-distance"
    capsys.readouterr()
    clash = [*words.split(), "--monitor", "mmd-test", "--overwrite"]
    assert main(["fit", "gan", "--data", str(tmp_path / "x.npy"), "--out", str(out), *clash]) == 2
    assert "give one of them" in capsys.readouterr().err
