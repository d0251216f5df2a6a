"""Estimates of log p(x) against the closed form of the linear-Gaussian model, and where they fail.

Row A5 of docs/known-mistakes.md.

Errors are of seeded draws: an assertion of 3 standard errors has a false alarm of 0.3 % when a seed is changed.
"""

from __future__ import annotations

import json
import math
from importlib import import_module

import numpy as np
import pytest
import torch
from tests.problems import LinearGaussian, as_latent_variable, linear_gaussian, only
from tests.running import X, vae
from torch.distributions import Independent, Normal

import latentia as lt
import latentia.cli
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.bounds import iwae
from latentia.functional.likelihood.naive_estimates import (
    log_mean_likelihood,
    parzen_bandwidth,
    parzen_log_density,
)
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.scoring import default_metrics

annealed = import_module("latentia.metrics.likelihood.ais")  # `latentia.metrics` itself is the registry
naive_likelihood = import_module("latentia.metrics.likelihood.naive_estimates")
ESTIMATES = ("monte-carlo", "parzen", "ais", "bidirectional-gap")
SMALL = {"ais_rows": 25, "ais_chains": 8, "ais_temperatures": 150}


def points(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double()


# Parzen windows


def test_parzen_windows_are_the_mean_of_gaussians_around_samples():
    x, samples, sigma = points(30, 3), points(700, 3, seed=1), 0.4
    distribution = Independent(Normal(samples, torch.tensor(sigma)), 1)
    expected = torch.logsumexp(distribution.log_prob(x[:, None]), 1) - math.log(700)
    assert torch.allclose(parzen_log_density(x, samples, sigma), expected, atol=1e-5)


def test_parzen_windows_are_those_of_scikit_learn_far_from_zero_too():
    from sklearn.neighbors import KernelDensity

    x, samples = points(30, 5) + 1000, points(200, 5, seed=1) + 1000
    theirs = KernelDensity(bandwidth=0.3, rtol=1e-10).fit(samples.numpy()).score_samples(x.numpy())
    assert parzen_log_density(x, samples, 0.3).numpy() == pytest.approx(theirs, abs=1e-4)


def test_the_bandwidth_is_the_likeliest_on_the_validation_rows():
    x, samples = points(60, 2), points(300, 2, seed=1)
    found = parzen_bandwidth(x, samples)
    grid = [float(parzen_log_density(x, samples, s).mean()) for s in np.geomspace(0.02, 3, 60)]
    assert found.log_density >= max(grid) - 1e-4
    assert found.log_density == pytest.approx(float(parzen_log_density(x, samples, found.sigma).mean()))
    assert not found.at_an_end
    assert parzen_bandwidth(
        samples[:50], samples[:50]
    ).at_an_end  # rows among the samples want no width at all


def test_bad_windows_are_refused():
    with pytest.raises(UsageError, match="sigma must be positive"):
        parzen_log_density(points(2, 2), points(2, 2), 0.0)
    with pytest.raises(DataError, match="all equal"):
        parzen_bandwidth(points(2, 2), torch.ones(5, 2))
    with pytest.raises(UsageError, match="same number of dimensions"):
        parzen_log_density(points(2, 2), points(2, 3), 1.0)


# Against the closed form


def test_every_estimate_is_the_closed_form_within_its_error():
    """AIS, IWAE-2000 and naive Monte Carlo on 25 rows, 3 errors of the draws at the rows given."""
    problem = linear_gaussian(slack=0.3)
    model = as_latent_variable(problem)
    rows = Rows(problem.rows(25).x.double(), problem.rows(2).spec)
    exact = problem.log_prob(rows.x)
    evaluation = Evaluation.of(model, rows, iwae_samples=2000, **SMALL)
    found = only(evaluation, "ais")
    assert abs(found.value - exact.mean().item()) < 3 * found.settings["stderr_of_chains"] < 0.15
    for name in ("iwae", "monte-carlo"):
        draws = [
            only(Evaluation.of(model, rows, iwae_samples=2000, seed=seed), name).value for seed in range(12)
        ]
        error = np.std(draws, ddof=1) / math.sqrt(12)
        assert abs(np.mean(draws) - exact.mean().item()) < 3 * error + 2e-3  # bias of order 1/K
    assert found.stderr == pytest.approx(exact.std().item() / 5, rel=0.2)


def test_ais_is_the_logarithm_of_the_mean_weight_of_chains_that_start_from_the_prior():
    """Its value is recomputed from the weights, and does not need the encoder: here it is far off."""
    problem = linear_gaussian()
    near, far = (
        as_latent_variable(LinearGaussian(problem.weight, problem.bias, 0.7, slack=s)) for s in (0.0, 9.0)
    )
    rows = Rows(problem.rows(6).x.double(), problem.rows(2).spec)
    found = [Evaluation.of(model, rows, **SMALL) for model in (near, far)]
    assert torch.equal(
        found[0].shared(annealed.annealed_rows).log_w, found[1].shared(annealed.annealed_rows).log_w
    )
    log_w = found[0].shared(annealed.annealed_rows).log_w
    assert only(found[0], "ais").value == pytest.approx(iwae(log_w).mean().item())
    assert only(found[1], "elbo").value < only(found[1], "ais").value - 50


def test_the_sandwich_holds_the_likelihood_of_simulated_rows_and_closes():
    problem = linear_gaussian()
    model, rows = as_latent_variable(problem), problem.rows(60)
    few, many = (
        only(Evaluation.of(model, rows, ais_rows=60, ais_chains=8, ais_temperatures=T), "bidirectional-gap")
        for T in (6, 120)
    )
    for gap in (few, many):
        assert gap.value > -3 * gap.stderr
        assert gap.settings["reverse"] - gap.settings["forward"] == pytest.approx(gap.value)
        assert gap.kind.startswith("upper bound of the error of AIS")
    assert few.value > many.value + 3 * few.stderr
    assert many.value < 0.2


def test_on_simulated_rows_their_own_codes_are_draws_of_the_posterior(monkeypatch):
    """Reverse chains from other codes would not bound log p(x): E log p(x | z) is −½ D (1 + log 2πs²) at own codes."""
    problem, seen = linear_gaussian(), []
    plain = annealed.reverse_ais
    monkeypatch.setattr(
        annealed,
        "reverse_ais",
        lambda path, z, *rest: (seen.append(path.log_ratio(z)), plain(path, z, *rest))[1],
    )
    evaluation = Evaluation.of(
        as_latent_variable(problem), problem.rows(200), ais_rows=200, ais_chains=2, ais_temperatures=2
    )
    only(evaluation, "bidirectional-gap")
    log_p = torch.cat([each[0] for each in seen])
    expected = -0.5 * 4 * (1 + math.log(2 * math.pi * 0.49))
    assert len(log_p) == 200
    assert abs(log_p.mean().item() - expected) < 4 * math.sqrt(2 / 200)


def test_naive_estimates_fail_in_many_dimensions_where_ais_and_iwae_hold():
    """40 entries, 10 codes, noise 0.3: the posterior fills a 1e-10th of the prior, and no window is near a row."""
    draws = torch.Generator().manual_seed(1)
    weight = torch.linalg.qr(torch.randn(40, 10, generator=draws).double())[0] * 3
    problem = LinearGaussian(weight, torch.zeros(40), 0.3, slack=0.05)
    model = as_latent_variable(problem)
    rows = Rows(problem.rows(10).x.double(), problem.rows(2).spec)
    exact = problem.log_prob(rows.x).mean().item()
    evaluation = Evaluation.of(
        model, rows, iwae_samples=1000, ais_rows=10, ais_chains=8, ais_temperatures=400
    )
    found = {name: only(evaluation, name).value - exact for name in ("monte-carlo", "parzen", "iwae", "ais")}
    assert found["monte-carlo"] < -100
    assert found["parzen"] < -10
    assert abs(found["iwae"]) < 0.2
    assert -1 < found["ais"] < 0.3


# What comes with a score


def test_scores_say_what_they_are_and_what_they_cost():
    problem = linear_gaussian()
    model, rows = as_latent_variable(problem), problem.rows(30)
    evaluation = Evaluation.of(model, rows, iwae_samples=50, ais_rows=6, ais_chains=3, ais_temperatures=5)
    found = {name: only(evaluation, name) for name in ESTIMATES}
    assert [found[name].kind.partition(" ")[0] for name in ESTIMATES] == [
        "estimate",
        "estimate",
        "lower",
        "upper",
    ]
    assert [found[name].n for name in ESTIMATES] == [30, 24, 6, 6]
    assert all(found[name].stderr > 0 and found[name].unit == "nats" for name in ESTIMATES)
    assert found["monte-carlo"].settings["decoder_calls"] == 50
    assert 1 <= found["monte-carlo"].settings["effective_sample_size"] <= 50
    assert found["parzen"].settings["validation_rows"] == 6
    ais = found["ais"].settings
    assert (ais["chains"], ais["temperatures"], ais["leapfrog_steps"]) == (3, 5, 5)
    assert 0 < ais["acceptance"] <= 1
    assert 1 <= ais["effective_sample_size"] <= 3
    json.dumps([dict(each.settings) for each in found.values()])
    assert not set(ESTIMATES) & set(default_metrics(model, rows.spec))


@pytest.mark.parametrize(("name", "chains"), [("ais", 3), ("bidirectional-gap", 3), ("monte-carlo", 1)])
def test_decoder_calls_are_counted_as_they_are(monkeypatch, name, chains):  # A5
    problem = linear_gaussian()
    model, rows, decoded = as_latent_variable(problem), problem.rows(30), []
    plain = type(model).reconstruction
    monkeypatch.setattr(
        type(model),
        "reconstruction",
        lambda self, z, *rest: (decoded.append(z.shape[:2].numel()), plain(self, z, *rest))[1],
    )
    evaluation = Evaluation.of(
        model, rows, iwae_samples=50, ais_rows=6, ais_chains=chains, ais_temperatures=4
    )
    result = only(evaluation, name)
    assert sum(decoded) == result.n * result.settings["decoder_calls"]


def test_blocks_and_seeds():
    problem = linear_gaussian()
    model, rows = as_latent_variable(problem), problem.rows(30)
    options = {"ais_rows": 6, "ais_chains": 3, "ais_temperatures": 5, "iwae_samples": 20}
    for name in ESTIMATES:
        values = [only(Evaluation.of(model, rows, seed=seed, **options), name).value for seed in (0, 0, 1)]
        assert values[0] == values[1] != values[2]
    assert log_mean_likelihood(torch.zeros(7, 2)).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_the_rows_that_are_scored_are_not_those_that_the_width_was_chosen_on(monkeypatch):
    problem, given = linear_gaussian(), []

    def watched(name):
        plain = getattr(naive_likelihood, name)
        return lambda rows, *rest: (given.append(rows), plain(rows, *rest))[1]

    for name in ("parzen_bandwidth", "parzen_log_density"):
        monkeypatch.setattr(naive_likelihood, name, watched(name))
    only(Evaluation(problem, problem.rows(30)), "parzen")
    validation, scored = (set(map(tuple, rows.tolist())) for rows in given)
    assert (len(validation), len(scored), validation & scored) == (6, 24, set())


def test_what_cannot_be_estimated_is_a_row_with_a_reason():
    problem = linear_gaussian()
    assert "1" in only(Evaluation(problem, problem.rows(1)), "parzen").reason
    conditional = Evaluation(problem, problem.rows(30), conditional=True)
    assert "p(x | context)" in only(conditional, "parzen").reason
    sampler = lt.recipes["gaussian"](DataSpec((2,), Support("real"))).objective.model
    for name in ("ais", "bidirectional-gap", "monte-carlo"):
        assert (
            "is not LatentVariableModel"
            in only(Evaluation(sampler, Rows(points(5, 2), DataSpec((2,), Support("real")))), name).reason
        )
    for option in ("ais_rows", "ais_chains", "ais_temperatures"):
        with pytest.raises(UsageError, match=f"{option} must be at least 1"):
            Evaluation.of(problem, problem.rows(3), **{option: 0})


@pytest.mark.parametrize("prior", ["gaussian-mixture", "vamp", "realnvp"])
def test_chains_start_from_the_fitted_prior(prior):
    """A9: the prior is the model's own, whichever it is, and the bounds agree in the end."""
    options = {} if prior == "realnvp" else {"prior_components": 4}
    run = vae(epochs=1, prior=prior, **options)
    evaluation = Evaluation.of(run.model, run_rows(), iwae_samples=3000, **SMALL)
    annealed, weighted = only(evaluation, "ais"), only(evaluation, "iwae")
    assert annealed.value == pytest.approx(
        weighted.value, abs=5 * annealed.settings["stderr_of_chains"] + 0.02
    )


def run_rows() -> Rows:
    return Rows(torch.from_numpy(X[:25]), DataSpec((3,), Support("real")))


# As the user asks for it


def test_evaluate_and_the_command_take_the_metrics_by_name(out, capsys):
    vae(epochs=1, out=out)
    table = lt.evaluate(out, X[:20], metrics=["ais"], ais_rows=4, ais_chains=2, ais_temperatures=5)
    assert table[["metric", "n"]].values.tolist() == [["ais", 4]]
    np.save(out.parent / "rows.npy", X[:20])
    words = ["evaluate", str(out), "--data", str(out.parent / "rows.npy"), "--metrics", "ais", "monte-carlo"]
    latentia.cli.main([*words, "--ais-rows", "3", "--ais-chains", "2", "--ais-temperatures", "4"])
    printed = capsys.readouterr().out
    assert "lower bound (AIS, T=4)" in printed
    assert "estimate (naive Monte Carlo, K=100)" in printed
