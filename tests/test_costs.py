"""What a training costs: time with the monitor's apart, steps, parameters, operations; resumed runs add up."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.running import VAE, X, same, vae, watching, weights
from torch import nn

import latentia as lt
from latentia.cli import main
from latentia.errors import RunError
from latentia.report.page import write_report
from latentia.runs.costs import Costs, FlopCounter, Meter
from latentia.runs.monitor import Monitor


def test_operations_are_those_of_matrix_products_and_convolutions():
    """2·n·in·out forward, and the same again for the weights' gradient and for the input's."""
    layer, x = nn.Linear(7, 5), torch.randn(3, 7)
    with FlopCounter() as forward:
        loss = layer(x).square().sum()
    with FlopCounter() as backward:
        loss.backward()
    assert (forward.total, backward.total) == (2 * 3 * 7 * 5, 2 * 3 * 7 * 5)  # x needs no gradient
    with FlopCounter() as convolution:
        nn.Conv2d(2, 4, 3)(torch.randn(1, 2, 6, 6))
    assert convolution.total == 2 * 4 * 4 * 4 * 2 * 3 * 3


def test_operations_of_a_penalty_count_too():
    """A loss that is differentiated twice: PyTorch's own counter refuses it."""
    layer, x = nn.Linear(7, 5, bias=False), torch.randn(3, 7, requires_grad=True)
    with FlopCounter() as counter:
        (slope,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
    assert counter.total >= 5 * 2 * 3 * 7 * 5


def test_operations_of_a_training_are_those_of_a_step_times_the_steps():
    run = lt.fit("autoencoder", X, hidden=6, latent_dim=2, batch_size=20, epochs=4, progress=False)
    layers = [layer for layer in run.model.modules() if isinstance(layer, nn.Linear)]
    forward = sum(2 * 20 * layer.in_features * layer.out_features for layer in layers)
    first = 2 * 20 * layers[0].in_features * layers[0].out_features  # of no gradient: that of the rows
    assert run.costs.steps == 12
    assert run.costs.flops == 12 * (3 * forward - first)


def test_parameters_are_those_of_all_players_and_of_the_model():
    run = lt.fit("gan", X, hidden=6, steps=2, progress=False)
    count = {True: 0, False: 0}
    for name, parameter in run.recipe.objective.named_parameters():
        count[name.startswith("model.")] += parameter.numel()
    assert count[False] > 0
    assert run.costs.parameters == count[True] + count[False]
    assert run.costs.model_parameters == count[True]
    assert lt.fit("gaussian", X, progress=False).costs.parameters == 0


def test_counting_changes_no_weight(monkeypatch):
    plain = weights(vae(epochs=2).model)
    monkeypatch.setattr(
        FlopCounter, "__torch_dispatch__", lambda self, f, t, args=(), kw=None: f(*args, **(kw or {}))
    )
    assert same(plain, weights(vae(epochs=2).model))


def test_the_monitor_s_time_is_apart(monkeypatch):
    plain = Monitor.watch

    def slow(self, *args):
        time.sleep(0.2)
        return plain(self, *args)

    monkeypatch.setattr(Monitor, "watch", slow)
    costs = vae(epochs=3, validation=0.2, monitor="elbo").costs
    assert costs.evaluation_seconds >= 0.6
    whole = Meter(nn.Identity(), nn.Identity(), counting=False)
    whole.evaluate(lambda: time.sleep(0.1))
    assert whole.evaluated >= 0.1
    assert whole.costs().seconds < 0.1
    assert vae(epochs=3).costs.evaluation_seconds == 0


def test_a_resumed_run_adds_up(tmp_path):
    begun = vae(epochs=2, out=tmp_path / "run").costs
    run = vae(epochs=5, out=tmp_path / "run", resume=True)
    assert run.costs.steps == 15
    assert run.costs.flops == begun.flops // 6 * 15
    assert run.costs.seconds > begun.seconds
    assert lt.load(tmp_path / "run").costs == run.costs
    again = vae(epochs=5, out=tmp_path / "run", resume=True)  # it is over: nothing is added
    assert again.costs == run.costs


def test_a_run_that_was_stopped_adds_up(tmp_path, monkeypatch):
    class StoppedError(Exception):
        pass

    def stop(state):
        if state.step == 5:
            raise StoppedError

    with watching(monkeypatch, stop), pytest.raises(StoppedError):
        vae(epochs=5, out=tmp_path / "run", checkpoint_every=3)
    spent = json.loads((tmp_path / "run" / "costs.json").read_text())["seconds"]
    run = vae(epochs=5, out=tmp_path / "run", checkpoint_every=3, resume=True)
    assert run.costs.steps == 15  # 3 that a checkpoint held, and 12 more
    assert run.costs.seconds > spent > 0


def test_costs_add_up_are_cut_back_and_tell_a_model_from_its_critics():
    one, two = Costs(2.0, 0.5, 100, 1000, 70, 50), Costs(3.0, 0.25, 50, 700, 60, 60)
    assert two.after(one) == Costs(5.0, 0.75, 150, 1700, 60, 60)
    assert two.after(replace(one, flops=None)).flops is replace(two, flops=None).after(one).flops is None
    assert one.until(40) == replace(one, steps=40, flops=400)
    assert "70 parameters (50 of the model)" in str(one)
    assert "60 parameters, " in str(two)


def test_the_clock_starts_with_the_training_and_operations_are_those_of_all_processes():
    def states():
        for _ in range(2):
            yield torch.ones(2, 3) @ torch.ones(3, 5)

    meter = Meter(nn.Identity(), nn.Identity(), processes=3, started=time.monotonic() - 1000)
    assert len(list(meter.metered(states()))) == 2
    assert meter.costs().flops == 2 * 3 * 60
    assert meter.costs().seconds < 500


def test_stages_add_up():
    run = lt.fit("autoencoder", X, latent_density="gaussian-mixture", hidden=6, epochs=2, progress=False)
    first = lt.fit("autoencoder", X, hidden=6, epochs=2, progress=False)
    assert run.costs.steps > first.costs.steps
    assert run.costs.flops >= first.costs.flops


def test_compiled_losses_are_not_counted():
    meter = Meter(nn.Linear(2, 2), nn.Linear(2, 2), counting=False)
    assert list(meter.metered(range(3))) == [0, 1, 2]
    assert (meter.costs().steps, meter.costs().flops) == (3, None)
    counted = Costs(1.0, 0.0, 3, 30, 6, 6)
    assert meter.costs().after(counted).flops is None
    assert "FLOP" not in str(meter.costs())


def test_saved_loaded_shown(tmp_path, monkeypatch, capsys):
    run = lt.fit("vae", X, **VAE, epochs=1)
    run.save(tmp_path / "run")
    assert lt.load(tmp_path / "run").costs == run.costs
    monkeypatch.chdir(tmp_path)
    assert str(run.costs) in write_report(lt.load("run")).read_text(encoding="utf-8")
    np.save("held.npy", X)
    assert main(["evaluate", "run", "--data", "held.npy", "--metrics", "elbo"]) == 0
    assert capsys.readouterr().out.endswith(f"\ncosts: {run.costs}\n")


def test_a_folder_of_an_earlier_version_has_none(tmp_path):
    vae(epochs=1).save(tmp_path / "run")
    (tmp_path / "run" / "costs.json").unlink()
    assert lt.load(tmp_path / "run").costs is None
    (tmp_path / "run" / "costs.json").write_text(json.dumps({"hours": 1}))
    with pytest.raises(RunError, match=r"costs\.json holds no costs that this version knows"):
        lt.load(tmp_path / "run")
