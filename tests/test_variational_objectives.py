"""What is descended in place of the bound: weights, capacities, free bits, constraints.

Rows A1, A18-A20 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math

import pytest
import torch
from tests.draws import seeded
from tests.objectives import loss, rows, terms
from tests.problems import linear_gaussian
from torch import Tensor
from torch.distributions import Normal, kl_divergence

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.errors import UsageError
from latentia.objectives.vae.kl_terms import beta_weighted, cyclically_weighted, free_bits, near_capacity

REAL = DataSpec((4,), Support("real"))


def made(name: str = "vae", data: DataSpec = REAL, **options):
    """Return the recipe with weights from a fixed seed, in float64."""
    with seeded():
        recipe = lt.recipes[name](data, **{"hidden": 6, "latent_dim": 3, **options})
    recipe.objective.double()
    return recipe


def gradient(value: Tensor, objective) -> Tensor:
    weights = [each for name, each in objective.model.named_parameters() if "log_sigma" not in name]
    return torch.cat([each.flatten() for each in torch.autograd.grad(value, weights)])


def trained(recipe, x: Tensor, steps: int) -> list[dict[str, float]]:
    return [s.metrics for s in train(recipe.objective, [Batch(x)], optim=recipe.optim, steps=steps)]


# --- scales -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("w", [0.25, 3.0])
def test_a_reconstruction_scale_has_the_optimum_of_a_beta(w):
    """w log p − KL is w times log p − KL/w, and so are their gradients: one is 0 where the other is."""
    scaled, weighted = made(reconstruction_scale=w).objective, made("beta-vae", beta=1 / w).objective
    one, other = (gradient(loss(each, rows()), each) for each in (scaled, weighted))
    assert torch.allclose(one, w * other, rtol=1e-10, atol=1e-12)
    plain = made().objective
    assert not torch.allclose(one, w * gradient(loss(plain, rows()), plain), rtol=0.01)


@pytest.mark.parametrize("w", [0.5, 8.0])
def test_of_squared_errors_it_is_a_variance(w):
    """w ‖x − x̂‖² has the gradient of −log N(x; x̂, σ²) with σ² = 1/(2w)."""
    squared = made(likelihood="squared-error", reconstruction_scale=w).objective
    gaussian = made(likelihood="gaussian", sigma=(1 / (2 * w)) ** 0.5).objective
    one, other = (gradient(loss(each, rows()), each) for each in (squared, gaussian))
    assert torch.allclose(one, other, rtol=1e-5)  # σ is kept in float32


def test_a_learned_variance_is_the_mean_squared_residual():
    """At the optimum of σ given the rest: the gradient is 0 there, and of opposite signs on both sides of it."""
    objective = made().objective
    distribution, x = objective.model.likelihood, rows()
    with seeded():
        z = objective.model.encode(x).rsample((1,))[0]
    squares = (x - objective.model.decode(z).mean).square().mean().item()

    def slope(variance: float) -> float:
        with torch.no_grad():
            distribution.log_sigma.fill_(0.5 * math.log(variance))
        return torch.autograd.grad(loss(objective, x), distribution.log_sigma)[0].item()

    assert slope(squares) == pytest.approx(0, abs=1e-9)
    assert slope(1.1 * squares) > 0.1
    assert slope(0.9 * squares) < -0.1


def test_a_trained_variance_is_the_mean_squared_residual():
    """By many draws of the code, after training by gradient: within 5 %."""
    x = linear_gaussian().sample(400, generator=torch.Generator().manual_seed(0)).float()
    run = lt.fit("vae", x, latent_dim=2, layers=0, lr=0.02, epochs=60, schedule="cosine", progress=False)
    model = run.model
    torch.manual_seed(0)
    z = model.encode(x).sample((20,))
    residual = (x - model.decode(z.flatten(0, 1)).mean.view(20, *x.shape)) / model.scaling.scale
    assert model.likelihood.log_sigma.exp().square().item() == pytest.approx(
        residual.square().mean().item(), rel=0.05
    )


# --- weights of the KL ------------------------------------------------------------------------------------------


def test_linear_annealing_ends_in_the_bound_and_a_beta_never_changes():
    """E3: they are different things."""
    logs = trained(made("annealed-vae", annealing_steps=4), rows(), 7)
    assert [each["beta"] for each in logs] == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    for each in logs:
        assert each["loss"] == pytest.approx(each["beta"] * each["kl"] - each["reconstruction"], rel=1e-9)
        assert each["elbo"] == pytest.approx(each["reconstruction"] - each["kl"], rel=1e-9)
    assert logs[-1]["loss"] == pytest.approx(-logs[-1]["elbo"], rel=1e-12)
    assert {each["beta"] for each in trained(made("beta-vae", beta=3.0), rows(), 5)} == {3.0}


def test_cyclical_annealing_begins_again():
    options = {"annealing": "cyclical", "annealing_steps": 4}
    assert [each["beta"] for each in trained(made("annealed-vae", **options), rows(), 9)] == [
        0, 0.5, 1, 1, 0, 0.5, 1, 1, 0,
    ]  # fmt: skip
    slow = trained(made("annealed-vae", annealing_rise=1.0, **options), rows(), 5)
    assert [each["beta"] for each in slow] == [0, 0.25, 0.5, 0.75, 0]


def test_a_capacity_rises_and_is_approached_from_both_sides():
    """γ |KL − C|: its gradient raises a KL that is below C and lowers one that is above."""
    logs = trained(made("beta-vae", beta=50.0, capacity=2.0, capacity_steps=4), rows(), 6)
    assert [each["capacity"] for each in logs] == [0, 0.5, 1, 1.5, 2, 2]
    for each in logs:
        expected = 50 * abs(each["kl"] - each["capacity"]) - each["reconstruction"]
        assert each["loss"] == pytest.approx(expected, rel=1e-9)
        assert each["elbo"] == pytest.approx(each["reconstruction"] - each["kl"], rel=1e-9)
    for kl, slope in ((1.0, -7.0), (3.0, 7.0)):
        value = torch.tensor(kl, requires_grad=True)
        term, _ = near_capacity(7.0, 2.0)(value, 0)
        assert torch.autograd.grad(term, value)[0].item() == slope


def test_training_holds_the_kl_at_its_capacity():
    """In the mean of the last 50 steps within 0.15 nats, where the vae's own KL is more than a nat off."""
    x = linear_gaussian().sample(300, generator=torch.Generator().manual_seed(0)).float()
    options = {"latent_dim": 2, "layers": 0, "lr": 0.02, "epochs": 100, "batch_size": 100, "progress": False}
    free = lt.fit("vae", x, **options).history["kl"].dropna()[-50:].mean()
    for capacity in (free - 1.2, free + 1.2):
        run = lt.fit("beta-vae", x, beta=20.0, capacity=capacity, **options)
        assert run.history["kl"].dropna()[-50:].mean() == pytest.approx(capacity, abs=0.15)


# --- free bits --------------------------------------------------------------------------------------------------


def test_free_bits_are_a_maximum_of_each_entry():
    """KL + Σ_j max(λ − KL_j, 0) = Σ_j max(λ, KL_j), with KL_j the mean over rows, by torch's normal."""
    objective = made(free_bits=0.08).objective
    reconstruction, kl, extra = terms(objective, rows())
    q = objective.model.encode(rows())
    each = kl_divergence(Normal(q.mean, q.stddev), Normal(0.0, 1.0)).mean(0)
    assert (each < 0.08).any()
    assert (each > 0.08).any()
    assert (kl + extra).item() == pytest.approx(each.clamp(min=0.08).sum().item(), rel=1e-9)
    assert loss(objective, rows()).item() == pytest.approx((kl + extra - reconstruction).item(), rel=1e-9)
    logged = trained(made(free_bits=0.08), rows(), 1)[0]
    assert logged["elbo"] == pytest.approx(logged["reconstruction"] - logged["kl"], rel=1e-9)


def test_entries_below_their_free_bits_have_no_gradient():
    kl = torch.tensor([[0.1, 2.0], [0.3, 4.0]], requires_grad=True)
    descended = kl.mean(0).sum() + free_bits(kl, 0.5)
    assert torch.autograd.grad(descended, kl)[0].tolist() == [[0.0, 0.5], [0.0, 0.5]]
    with pytest.raises(UsageError, match=r"kl must be \(B, d\); got \(4,\)"):
        free_bits(torch.zeros(4), 0.5)


# --- constraints ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("constraint", "limit"), [("kl", 0.2), ("reconstruction", 9.0)])
def test_both_players_have_the_gradients_of_the_lagrangian(constraint, limit):
    """The model descends and the multiplier ascends one function, each with the other fixed."""
    objective, x = made("constrained-vae", constraint=constraint, limit=limit).objective, rows()
    reconstruction, kl = terms(objective, x)
    raw = objective.multiplier.raw
    multiplier = torch.nn.functional.softplus(raw)
    assert multiplier.item() == pytest.approx(1)
    if constraint == "kl":
        lagrangian = -reconstruction + multiplier * (kl - limit)
    else:
        lagrangian = kl + multiplier * (-reconstruction - limit)
    torch.manual_seed(0)
    told = next(objective.step(Batch(x)))
    parameters = list(objective.model.parameters())
    found = torch.autograd.grad(told["model"], parameters, retain_graph=True)
    expected = torch.autograd.grad(lagrangian, [*parameters, raw])
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(found, expected, strict=False))
    (ascent,) = torch.autograd.grad(told["multiplier"], raw)
    assert ascent.item() == pytest.approx(-expected[-1].item(), rel=1e-9)
    assert torch.autograd.grad(told["model"], raw, allow_unused=True)[0] is None


@pytest.mark.parametrize("constraint", ["kl", "reconstruction"])
def test_training_meets_the_limit_and_finds_beta(constraint):
    """In the mean of the last 100 rows of the history within 0.05 nats; λ, or 1/λ, is that β, within 10 %.

    One seed, recorded; the limits are those that a β-VAE with β = 2 reaches.
    """
    x = linear_gaussian().sample(300, generator=torch.Generator().manual_seed(0)).float()
    options = {"latent_dim": 2, "layers": 0, "lr": 0.02, "batch_size": 100, "sigma": 0.5, "progress": False}
    target = lt.fit("beta-vae", x, beta=2.0, epochs=200, **options).history.dropna(subset="kl")[-100:].mean()
    limit = {"kl": target["kl"], "reconstruction": -target["reconstruction"]}[constraint]
    run = lt.fit(
        "constrained-vae", x, constraint=constraint, limit=limit, multiplier_lr=0.05, epochs=250, **options
    )
    last = run.history.dropna(subset="kl")[-100:].mean()
    reached = last["kl"] if constraint == "kl" else -last["reconstruction"]
    assert reached == pytest.approx(limit, abs=0.05)
    assert last["excess"] == pytest.approx(reached - limit, abs=1e-4)
    beta = last["multiplier"] if constraint == "kl" else 1 / last["multiplier"]
    assert beta == pytest.approx(2.0, rel=0.1)


def test_a_limit_that_is_kept_lets_the_multiplier_fall():
    logs = trained(made("constrained-vae", limit=50.0, multiplier_lr=0.1), rows(), 30)
    assert logs[-1]["multiplier"] < 0.2
    assert all(each["excess"] < 0 for each in logs)
    assert logs[-1]["loss"] == pytest.approx(
        -logs[-1]["reconstruction"] + logs[-1]["multiplier"] * logs[-1]["excess"], rel=1e-9
    )


# --- all of them ------------------------------------------------------------------------------------------------

VARIANTS = [
    ("vae", {"free_bits": 0.5}),
    ("vae", {"reconstruction_scale": 3.0}),
    ("beta-vae", {"capacity": 3.0}),
    ("annealed-vae", {}),
    ("annealed-vae", {"annealing": "cyclical"}),
    ("constrained-vae", {}),
    ("constrained-vae", {"constraint": "reconstruction", "limit": 3.0}),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_every_parameter_has_a_gradient_and_logs_are_of_beta_one(name, options):
    """A18, A20: draws are reparameterised, and the KL that is logged is not negative."""
    recipe = made(name, **options)
    loss(recipe.objective, rows()).backward()
    for parameter, value in recipe.objective.model.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.abs().sum() > 0, parameter
    for logged in trained(made(name, **options), rows(), 4):
        assert logged["kl"] >= 0
        assert logged["elbo"] == pytest.approx(logged["reconstruction"] - logged["kl"], rel=1e-9)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_scores_are_of_the_bound_itself(name, options):
    """Whatever was descended: the score of weights is the vae's score of the same weights."""
    one, other = made(name, **options).objective.model, made().objective.model
    assert one.state_dict().keys() == other.state_dict().keys()
    bounds = [
        each.log_prob_bound(rows(), generator=torch.Generator().manual_seed(0)) for each in (one, other)
    ]
    assert torch.equal(*bounds)


def test_options_that_mean_nothing_are_refused_before_there_is_a_run(tmp_path):
    cases = [
        ("vae", {"reconstruction_scale": 0.0}, "reconstruction_scale must be above 0"),
        ("vae", {"free_bits": 0.0}, "free_bits must be above 0; got 0.0"),
        (
            "vae",
            {"free_bits": 1.0, "posterior": "full"},
            "free_bits needs a Gaussian with independent entries: choose posterior='diagonal'",
        ),
        ("vae", {"free_bits": 1.0, "prior": "gaussian-mixture"}, "choose prior='standard-normal'"),
        (
            "beta-vae",
            {"capacity_steps": 5},
            "capacity_steps=5 is for capacity, which is off: set capacity, or leave capacity_steps out",
        ),
        ("beta-vae", {"capacity": -1.0}, "capacity must be at least 0; got -1.0"),
        ("annealed-vae", {"annealing": "linaer"}, "unknown annealing 'linaer'; did you mean 'linear'"),
        (
            "annealed-vae",
            {"annealing_rise": 0.3},
            "annealing_rise=0.3 is for annealing='cyclical'; got annealing='linear'",
        ),
        (
            "annealed-vae",
            {"annealing": "cyclical", "annealing_rise": 1.5},
            "annealing_rise must be above 0 and at most 1",
        ),
        (
            "annealed-vae",
            {"annealing": "cyclical", "annealing_steps": 0},
            "annealing_steps must be at least 1",
        ),
        ("constrained-vae", {"constraint": "reconstruction"}, "give limit, in nats for a row"),
        ("constrained-vae", {"constraint": "KLD"}, "unknown constraint 'KLD'"),
        ("constrained-vae", {"limit": 0.0}, "that of a KL above 0; got 0.0"),
        ("constrained-vae", {"prior": "uniform"}, "choose another prior"),
    ]
    for name, options, message in cases:
        with pytest.raises(UsageError, match=message):
            lt.fit(name, rows().float(), out=tmp_path / "run", progress=False, **options)
        assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="limit must be a finite number"):
        made("constrained-vae", limit=math.nan)
    for term in (lambda: beta_weighted(-1.0), lambda: cyclically_weighted(0)):
        with pytest.raises(UsageError):
            term()
