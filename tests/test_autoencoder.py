"""Autoencoders, and the second stage that fits a density to their codes."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestCentroid
from tests.running import contents, same, weights

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, RunError, UsageError
from latentia.networks.scaling import Scaling
from latentia.objectives.em.mixture import MixtureEM
from latentia.objectives.latent_stage import OnLatents

SMALL = {"hidden": 8, "latent_dim": 2, "batch_size": 20, "progress": False}
TABLE = DataSpec((6,), Support("real"))
X = torch.randn(100, 6, generator=torch.Generator().manual_seed(0)).numpy()


def objective(spec=TABLE, **options):
    torch.manual_seed(0)
    return lt.recipes["autoencoder"](spec, latent_dim=2, hidden=8, **options).objective


def gradients(learner, x):
    terms = learner.terms(x, None)
    terms[0].backward()
    return [p.grad.clone() for p in learner.model.encoder.parameters()]


# --- losses -----------------------------------------------------------------------------------------------------


def test_a_gaussian_likelihood_of_fixed_sigma_has_the_squared_error_s_gradient_over_two_variances():
    x, sigma = torch.tensor(X), 0.7
    squared = gradients(objective(reconstruction="squared"), x)
    likelihood = gradients(objective(reconstruction="likelihood", sigma=sigma), x)
    for a, b in zip(squared, likelihood, strict=True):
        assert torch.allclose(b, a / (2 * sigma**2), rtol=1e-4, atol=1e-7)


def test_each_reconstruction_loss_is_what_it_is_called():
    x = torch.rand(5, 6, generator=torch.Generator().manual_seed(1))
    unit = DataSpec((6,), Support("unit"))
    written = {
        "squared": lambda y, h: (y - x).square().sum(1).mean(),
        "absolute": lambda y, h: (y - x).abs().sum(1).mean(),
        "cross-entropy": lambda y, h: -(x * y.log() + (1 - x) * (1 - y).log()).sum(1).mean(),
    }
    for name, loss in written.items():
        learner = objective(unit, reconstruction=name)
        z = learner.model.encode(x).mean
        expected = loss(learner.model.decode(z).mean, None)
        assert learner.terms(x, None)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_adds_over_entries_and_averages_over_rows():
    """Row A1 of docs/known-mistakes.md: rows twice as often change nothing."""
    learner, x = objective(), torch.tensor(X)
    once, twice = (learner.terms(each, None)[0].item() for each in (x, torch.cat([x, x])))
    assert twice == pytest.approx(once, rel=1e-5)
    assert once == pytest.approx(
        (x - learner.model.decode(learner.model.encode(x).mean).mean).square().sum(1).mean().item(), rel=1e-5
    )


def test_a_linear_autoencoder_spans_the_space_of_pca():
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([3.0, 2.0, 0.5, 0.3, 0.2, 0.1])
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    x = (torch.randn(400, 6, generator=generator) * scales) @ turn.T + 1
    run = lt.fit(
        "autoencoder",
        x,
        latent_dim=2,
        layers=0,
        lr=0.03,
        epochs=150,
        schedule="cosine",
        progress=False,
        seed=0,
    )
    decoder = run.decode(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    ours = torch.linalg.qr((decoder[1:] - decoder[0]).T.double()).Q
    theirs = torch.from_numpy(PCA(2).fit(x.numpy()).components_.T).double()
    cosines = torch.linalg.svdvals(ours.T @ theirs)  # of the principal angles
    assert cosines.min() > 0.999


def test_noise_and_dropout_are_for_training_only():
    x = torch.tensor(X)
    noisy, dropping = objective(noise=0.5), objective(dropout=0.5)
    plain = objective().terms(x, None)[0]
    assert not torch.equal(noisy.terms(x, None)[0], plain)
    assert torch.equal(dropping.eval().terms(x, None)[0], plain)
    assert not torch.equal(dropping.train().terms(x, None)[0], plain)
    assert torch.equal(noisy.model.encode(x).mean, objective().model.encode(x).mean)


def test_noise_has_the_deviation_asked_for_in_units_of_the_scaled_data(monkeypatch):
    learner = objective(noise=0.5)
    learner.model.scaling.scale.fill_(3.0)
    seen = []
    original = type(learner.model).reconstruction
    monkeypatch.setattr(
        type(learner.model),
        "reconstruction",
        lambda self, x, **given: seen.append(given["corrupted"] - x) or original(self, x, **given),
    )
    learner.terms(torch.zeros(20_000, 6), None)
    # 120,000 draws: the relative error of a standard deviation is 1/√240,000 = 0.002, and 5 of these are one in 2
    # million
    assert seen[0].std().item() == pytest.approx(1.5, rel=0.01)


def test_a_classifier_separates_classes_in_the_code():
    x, y = load_digits(return_X_y=True)
    options = {"latent_dim": 2, "hidden": 64, "epochs": 20, "labels": y, "progress": False, "lr": 3e-3}
    right = []
    for weight in (0.0, 10.0):
        run = lt.fit(
            "supervised-autoencoder", x.astype(np.float32), weight=weight, support="discrete(17)", **options
        )
        z = run.encode(x).numpy()
        right.append(NearestCentroid().fit(z, y).score(z, y))
    assert right[1] > right[0] + 0.1
    assert run.history["classifier_accuracy"].iloc[-1] > 0.7


# --- the second stage ---------------------------------------------------------------------------------------------


def test_without_a_latent_density_nothing_is_sampled():
    run = lt.fit("autoencoder", X, epochs=1, **SMALL)
    with pytest.raises(UsageError, match="autoencoder does not sample; it can encode, decode"):
        run.sample(3)
    scores = lt.evaluate(run, X).set_index("metric")
    assert scores.loc["log-likelihood", "value"] != scores.loc["log-likelihood", "value"]
    assert "codes have no prior" in scores.loc["log-likelihood", "reason"]


def test_the_second_stage_leaves_the_autoencoder_as_it_was():
    plain = lt.fit("autoencoder", X, epochs=3, **SMALL)
    for law in ("gaussian-mixture", "flow"):
        run = lt.fit("autoencoder", X, epochs=3, latent_density=law, **SMALL)
        assert same(weights(run.model.codec), weights(plain.model))
        assert run.stage == 1


def test_the_latent_density_is_fitted_to_the_rows_codes():
    run = lt.fit("autoencoder", X, epochs=3, latent_density="gaussian-mixture", latent_components=2, **SMALL)
    codes = run.encode(X)
    direct = lt.fit("gaussian-mixture", codes, components=2, progress=False)
    assert run.model.density.log_prob(codes).mean().item() == pytest.approx(
        direct.model.log_prob(codes).mean().item(), abs=1e-9
    )
    z = run.model.density.sample(4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(run.sample(4, seed=0), run.decode(z))


def test_the_encoder_reads_rows_without_dropout_and_once_where_they_stay_the_same(monkeypatch):
    codec = objective(dropout=0.5).model.requires_grad_(True)
    learner = OnLatents(
        codec,
        MixtureEM(
            lt.recipes["gaussian-mixture"](DataSpec((2,), Support("real")), components=2).objective.model,
            tol=0.0,
        ),
    )
    batch, seen = Batch(torch.tensor(X)), []
    original = type(codec).encode
    monkeypatch.setattr(
        type(codec),
        "encode",
        lambda self, x, context=None: seen.append(self.training) or original(self, x, context),
    )
    list(train(learner, [batch], steps=5))
    assert seen.count(True) == 0
    assert len(seen) == 2  # once to begin, once for all steps
    assert not any(p.requires_grad for p in learner.parameters())


def test_the_history_goes_on_over_stages(out):
    run = lt.fit("autoencoder", X, epochs=3, latent_density="gaussian-mixture", out=out, **SMALL)
    epochs, steps = run.history["epoch"], run.history["step"]
    assert epochs.tolist() == list(range(1, len(epochs) + 1))
    assert steps.tolist() == [5, 10, 15, *range(16, 16 + len(steps) - 3)]
    assert run.history["reconstruction_loss"].notna().sum() == 3
    assert run.history["log_likelihood"].notna().sum() == len(steps) - 3
    again = lt.load(out)
    assert again.stage == 1
    assert torch.equal(again.sample(3, seed=0), run.sample(3, seed=0))


def test_options_of_the_training_are_those_of_the_first_stage():
    run = lt.fit(
        "autoencoder",
        X,
        epochs=2,
        latent_density="gaussian-mixture",
        ema=0.5,
        clip=1.0,
        schedule="cosine",
        **SMALL,
    )
    assert run.stage == 1
    averaged = lt.fit("autoencoder", X, epochs=2, ema=0.5, clip=1.0, schedule="cosine", **SMALL)
    assert same(weights(run.model.codec), weights(averaged.model))


def test_a_finished_run_of_two_stages_is_resumed_by_changing_nothing(out):
    lt.fit("autoencoder", X, epochs=2, latent_density="gaussian-mixture", out=out, **SMALL)
    before = contents(out)
    again = lt.fit(
        "autoencoder", X, epochs=2, latent_density="gaussian-mixture", out=out, resume=True, **SMALL
    )
    assert contents(out) == before
    assert again.stage == 1


KILLED = """
import contextlib, os, signal, sys, torch, latentia as lt
torch.set_num_threads(1)
seen = 0

@contextlib.contextmanager
def bar(*_, **__):
    def show(state):
        global seen
        seen += 1
        if seen == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
    yield show

import latentia.runs.fit as fit
fit.progress_bar = bar
lt.fit("autoencoder", sys.argv[1], out=sys.argv[2], **eval(sys.argv[4]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("law", ["gaussian-mixture", "flow"])
@pytest.mark.parametrize("step", [7, 11, 17])
def test_a_killed_training_of_two_stages_is_resumed_bit_exactly(law, step, tmp_path):
    """kill -9 in the first stage of ten steps, in the first step of the second, and later in it."""
    options = SMALL | {"epochs": 2, "checkpoint_every": 3, "seed": 1, "latent_density": law, "ema": 0.9}
    np.save(tmp_path / "x.npy", X)
    arguments = [str(tmp_path / "x.npy"), str(tmp_path / "run"), str(step), repr(options)]
    result = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert result.returncode == -signal.SIGKILL
    if step != 11:  # before the first step of the second stage, the first stage's model is there
        with pytest.raises(RunError, match="holds an unfinished training: continue it with resume"):
            lt.load(tmp_path / "run")
    lt.fit("autoencoder", arguments[0], out=tmp_path / "run", resume=True, **options)
    lt.fit("autoencoder", arguments[0], out=tmp_path / "whole", **options)
    for file in ("model.safetensors", "metrics.csv", "config.json"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reconstruction": "squarred"}, "unknown reconstruction 'squarred'; did you mean 'squared'"),
        (
            {"latent_density": "gausian"},
            "unknown latent_density 'gausian'; did you mean 'gaussian' or 'gaussian-mixture'",
        ),
        ({"latent_dim": 0}, "latent_dim must be at least 1; got 0"),
        ({"noise": -1.0}, "noise must be at least 0; got -1.0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; got 1.0"),
        (
            {"reconstruction": "cross-entropy"},
            "likelihood='relaxed-bernoulli' is no distribution on real data",
        ),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        lt.fit("autoencoder", X, epochs=1, **SMALL | options)


def test_supervision_needs_classes():
    with pytest.raises(DataError, match="needs labelled rows"):
        lt.fit("supervised-autoencoder", X, epochs=1, **SMALL)


@pytest.mark.parametrize("support", ["real", "unit", "discrete(17)"])
def test_the_squared_error_and_its_gradients_are_those_of_the_formula(support):
    """Once and twice differentiated, with respect to network outputs and to rows, in units of the data's range."""
    spec = lt.DataSpec((1, 3, 2), lt.Support.parse(support))
    scaling = Scaling(spec).double()
    if support == "real":
        scaling.shift.copy_(torch.randn(1, 3, 2))
        scaling.scale.copy_(torch.rand(1, 3, 2) + 0.5)
    loss, generator = lt.likelihoods["squared-error"](spec, scaling), torch.Generator().manual_seed(0)
    h = torch.randn(4, 1, 1, 3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    x = torch.randn(4, 1, 3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    width = {"real": 1.0, "unit": 1.0, "discrete(17)": 16.0}[support]
    expected = -((x - scaling.shift - scaling.scale * h[:, 0]) / width).square().flatten(1).sum(1)
    torch.testing.assert_close(loss.reconstruction(h, x), expected)
    assert torch.autograd.gradcheck(loss.reconstruction, (h, x))
    assert torch.autograd.gradgradcheck(loss.reconstruction, (h, x))
