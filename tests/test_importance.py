"""Importance-weighted training: values, gradients and their means.

Rows A6, A7, A18 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from tests.draws import seeded
from tests.objectives import loss, rows
from tests.problems import linear_gaussian
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.distributions.posteriors import sample_with_log_prob
from latentia.errors import UsageError
from latentia.functional.bounds import renyi
from latentia.objectives.vae.importance import ImportanceWeighted

REAL = DataSpec((4,), Support("real"))


def made(data: DataSpec = REAL, **options):
    """Return the recipe with weights from a fixed seed, in float64."""
    with seeded():
        recipe = lt.recipes["iwae"](data, **{"hidden": 6, "latent_dim": 2, **options})
    recipe.objective.double()
    return recipe


def log_weights(objective: ImportanceWeighted, x: Tensor, seed: int = 0) -> Tensor:
    """Return log p(x | z) + log p(z) − log q(z | x), draw by draw, by the model's distributions."""
    model = objective.model
    with seeded(seed):
        q = model.encode(x)
        z, log_q = sample_with_log_prob(q, objective.samples)
    prior = model.prior_distribution()
    return torch.stack(
        [
            model.decode(each).log_prob(x) + prior.log_prob(each) - q_z
            for each, q_z in zip(z, log_q, strict=True)
        ]
    )


@pytest.mark.parametrize("doubly", [False, True], ids=["plain", "doubly"])
def test_what_is_descended_and_logged_is_minus_the_logarithm_of_the_mean_weight(doubly):
    """A7: not the sum of normalised weights times log-weights, whose gradient is right and whose value is not."""
    objective = made(samples=7, doubly_reparameterised=doubly).objective
    x = rows()
    expected = log_weights(objective, x).exp().mean(0).log().mean().item()
    assert loss(objective, x).item() == pytest.approx(-expected, rel=1e-9)
    torch.manual_seed(0)
    game = objective.step(Batch(x))
    next(game)
    with pytest.raises(StopIteration) as end:
        next(game)
    logged = {name: float(value) for name, value in end.value.value.items()}
    assert logged["bound"] == pytest.approx(expected, rel=1e-9)
    assert logged["loss"] == -logged["bound"]
    assert logged["elbo"] == pytest.approx(log_weights(objective, x).mean().item(), rel=1e-9)
    assert logged["elbo"] < logged["bound"]
    assert 1 <= logged["effective_samples"] <= 7


@pytest.mark.parametrize("alpha", [-1.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("doubly", [False, True], ids=["plain", "doubly"])
def test_other_bounds_of_the_family(alpha, doubly):
    objective = made(samples=5, alpha=alpha, doubly_reparameterised=doubly).objective
    expected = renyi(log_weights(objective, rows()), alpha).mean().item()
    assert loss(objective, rows()).item() == pytest.approx(-expected, rel=1e-9)


def test_of_one_draw_it_is_the_elbo():
    """A6: with the KL of the draw, and the gradient of the vae's Monte Carlo bound."""
    iwae, x = made(samples=1).objective, rows()
    assert loss(iwae, x).item() == pytest.approx(-log_weights(iwae, x).mean().item(), rel=1e-12)


@pytest.mark.parametrize("posterior", ["diagonal", "full", "iaf", "planar"])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_the_gradient_is_that_of_the_bound(posterior, alpha):
    """A6: by finite differences with common random numbers, of encoder and decoder."""
    objective = made(posterior=posterior, samples=4, alpha=alpha).objective
    model, x = objective.model, rows(8)
    for weight in (model.decoder.layers[0].weight, model.encoder.layers[2].weight):
        (gradient,) = torch.autograd.grad(loss(objective, x), weight)
        for i, j in ((0, 0), (3, 1)):
            ends = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    weight[i, j] += step
                    ends.append(loss(objective, x).item())
                    weight[i, j] -= step
            slope = (ends[0] - ends[1]) / 2e-5
            assert gradient[i, j].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)


def gradients(objective: ImportanceWeighted, x: Tensor, repeats: int) -> dict[str, Tensor]:
    """Return the gradients of several independent losses, by parameter: (repeats, numbers)."""
    named = dict(objective.named_parameters())
    found = [
        torch.autograd.grad(loss(objective, x, seed), list(named.values()), allow_unused=True)
        for seed in range(repeats)
    ]
    columns = zip(*found, strict=True)
    return {
        name: torch.stack([each.flatten() for each in column])
        for name, column in zip(named, columns, strict=True)
    }


CASES = [
    ("diagonal", "standard-normal", 0.0),
    ("diagonal", "standard-normal", 0.5),
    ("diagonal", "standard-normal", -1.0),
    ("diagonal", "vamp", 0.0),
    ("full", "maf", 0.0),
    ("planar", "standard-normal", 0.0),
    ("iaf", "gaussian-mixture", 0.0),
]


@pytest.mark.parametrize(("posterior", "prior", "alpha"), CASES)
def test_the_doubly_reparameterised_gradient_has_the_same_mean(posterior, prior, alpha):
    """Of every parameter, of a prior that reads the encoder too. A χ² of all coordinates' distances, each in its
    standard errors, must stay below 5.5 on the largest: about 300 of them, false alarm below 2e-5 a case."""
    options = {"posterior": posterior, "prior": prior, "samples": 4, "alpha": alpha, "hidden": 3}
    x = rows(5).repeat(120, 1)  # each row with 120 sets of draws
    plain, doubly = (
        gradients(made(doubly_reparameterised=doubly, **options).objective, x, repeats=24)
        for doubly in (False, True)
    )
    for name, one in plain.items():
        other = doubly[name]
        error = ((one.var(0) + other.var(0)) / len(one)).sqrt()
        distance = (one.mean(0) - other.mean(0)).abs()
        # 24 repeats: Student's t with 46 degrees of freedom passes 5.5 with 2e-6.
        assert (distance <= 5.5 * error + 1e-9).all(), name


def exact_posterior() -> tuple[object, Tensor]:
    """Return an objective whose encoder is the model's posterior: linear, with W orthogonal, in float64."""
    problem = linear_gaussian()
    weight = torch.linalg.qr(problem.weight)[0] * torch.tensor([1.5, 0.8]).double()
    problem = type(problem)(weight, problem.bias, problem.noise)
    objective = made(layers=0, sigma=problem.noise, samples=16, doubly_reparameterised=True).objective
    model, variance = objective.model, problem.posterior_covariance.diagonal()
    project = problem.posterior_covariance @ weight.T / problem.noise**2
    with torch.no_grad():
        model.likelihood.log_sigma.fill_(math.log(problem.noise))
        model.encoder.layers[0].weight.copy_(torch.cat([project, torch.zeros(2, 4)]))
        model.encoder.layers[0].bias.copy_(torch.cat([-project @ problem.bias, variance.log()]))
        model.decoder.layers[0].weight.copy_(weight)
        model.decoder.layers[0].bias.copy_(problem.bias)
    return objective, problem.sample(50, generator=torch.Generator().manual_seed(1))


def test_at_the_exact_posterior_the_doubly_reparameterised_gradient_has_no_noise_at_all():
    """log w does not depend on z there, so the encoder's gradient is 0 for every draw; the plain one is not."""
    objective, x = exact_posterior()
    encoder = list(objective.model.encoder.parameters())
    found = torch.autograd.grad(loss(objective, x), encoder)
    assert max(each.abs().max() for each in found) < 1e-10
    objective.doubly_reparameterised = False
    plain = torch.autograd.grad(loss(objective, x), encoder)
    assert max(each.abs().max() for each in plain) > 1e-3


def test_it_is_less_noisy_for_many_draws():
    x = rows(10)
    spread = {
        doubly: gradients(made(samples=64, doubly_reparameterised=doubly).objective, x, 40)[
            "model.encoder.layers.0.weight"
        ]
        .var(0)
        .sum()
        for doubly in (False, True)
    }
    assert spread[True] < 0.5 * spread[False]


@pytest.mark.parametrize("doubly", [False, True], ids=["plain", "doubly"])
@pytest.mark.parametrize("posterior", ["diagonal", "full", "iaf", "maf", "realnvp", "planar"])
def test_every_parameter_has_a_gradient(posterior, doubly):
    """A18: the encoder is trained."""
    objective = made(posterior=posterior, doubly_reparameterised=doubly, prior="gaussian-mixture").objective
    loss(objective, rows()).backward()
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_training_raises_the_bound_which_is_never_below_the_elbo_of_the_same_draws():
    x = linear_gaussian().sample(500, generator=torch.Generator().manual_seed(0)).float()
    options = {"latent_dim": 2, "layers": 0, "lr": 0.02, "epochs": 30, "batch_size": 100, "progress": False}
    for doubly in (False, True):
        run = lt.fit("iwae", x, samples=10, doubly_reparameterised=doubly, **options)
        bounds = run.history["bound"].dropna()
        assert bounds.iloc[-5:].mean() > bounds.iloc[:5].mean() + 0.3
        assert (run.history["bound"] >= run.history["elbo"]).all()


def test_more_draws_give_a_higher_bound():
    """A6: E IWAE-K rises with K; 6 standard errors."""
    found = []
    for samples in (1, 4, 16):
        objective = made(samples=samples).objective
        x = rows().repeat(40, 1)
        values = torch.stack([-loss(objective, x, seed).detach() for seed in range(30)])
        found.append((values.mean(), values.std() / math.sqrt(30)))
    for (low, a), (high, b) in pairwise(found):
        assert high - low > 6 * (a + b)


def test_options_that_mean_nothing_are_refused():
    for options, message in (
        ({"samples": 0}, "samples must be at least 1; got 0"),
        ({"alpha": math.nan}, "alpha must be a finite number"),
        ({"prior": "uniform"}, "uniform prior is infinite"),
    ):
        with pytest.raises(UsageError, match=message):
            made(**options)
    with pytest.raises(UsageError, match="need a likelihood, and this one is a loss"):
        made(DataSpec((4,), Support("unit")), likelihood="relaxed-bernoulli")


def test_what_is_differentiated_twice_is_not_compiled():
    assert made().objective.loss_functions == ("log_weights",)
    assert not made(doubly_reparameterised=True).objective.compile_losses()


def test_it_trains_on_batches_in_parts():
    recipe = made(doubly_reparameterised=True)
    states = list(train(recipe.objective, [Batch(rows())], optim=recipe.optim, steps=3, accumulate=3))
    assert all(math.isfinite(state.metrics["bound"]) for state in states)
