"""The VAE against closed forms: a linear-Gaussian model whose bounds and posterior are known.

Rows A1-A8, A18-A20 of docs/known-mistakes.md.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from tests.draws import seeded
from tests.problems import linear_gaussian
from torch import Tensor, nn
from torch.distributions import kl_divergence

import latentia as lt
from latentia.cli import main
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.bounds import iwae
from latentia.report.report_rows import pictures

BINARY = DataSpec((1, 4, 4), Support("binary"))


def small(data: DataSpec = BINARY, **options):
    """Return a small VAE's recipe with weights from a fixed seed."""
    with seeded():
        return lt.recipes["vae"](data, **{"hidden": 8, "latent_dim": 3, **options})


def bits(n: int = 12, data: DataSpec = BINARY) -> Tensor:
    return torch.bernoulli(
        torch.full((n, *data.event_shape), 0.5), generator=torch.Generator().manual_seed(0)
    )


def terms(recipe, x: Tensor, seed: int = 0, context: Tensor | None = None):
    with seeded(seed):
        return recipe.objective.terms(x, context)[:2]


# --- a linear-Gaussian model ------------------------------------------------------------------------------------


def planted(slack: float = 0.0):
    """Return our VAE with the weights of the planted problem, and the problem: D = 4, d = 2, float64.

    The exact posterior of the problem has a full covariance, so W is made orthogonal first: then it is diagonal
    and our encoder can be exact.
    """
    problem = linear_gaussian()
    weight = torch.linalg.qr(problem.weight)[0] * torch.tensor([1.5, 0.8]).double()
    problem = type(problem)(weight, problem.bias, problem.noise, slack=slack)
    data = DataSpec((4,), Support("real"))
    model = small(data, layers=0, latent_dim=2, likelihood="gaussian", sigma=problem.noise).objective.model
    model = model.double()
    variance = problem.posterior_covariance.diagonal()
    project = problem.posterior_covariance @ weight.T / problem.noise**2
    with torch.no_grad():
        model.likelihood.log_sigma.fill_(math.log(problem.noise))
        model.encoder.layers[0].weight.copy_(torch.cat([project, torch.zeros(2, 4)]))
        log_var = (variance * (1 + slack) ** 2).log()
        model.encoder.layers[0].bias.copy_(torch.cat([-project @ problem.bias + slack, log_var]))
        model.decoder.layers[0].weight.copy_(weight)
        model.decoder.layers[0].bias.copy_(problem.bias)
    return model, problem, problem.sample(50, generator=torch.Generator().manual_seed(1))


def test_with_the_exact_posterior_every_bound_is_the_log_density():
    """log p(x, z) − log q(z | x) is then log p(x) for every z, so that IWAE-K has no variance at all."""
    model, problem, x = planted()
    posterior = problem.posterior(x)
    assert torch.allclose(model.encode(x).mean, posterior.mean)
    assert torch.allclose(model.encode(x).variance, posterior.variance)
    exact = problem.log_prob(x)
    for samples in (2, 5, 50):
        assert torch.allclose(model.log_prob_bound(x, samples=samples), exact, rtol=1e-10)
    bound = model.log_prob_bound(x, repeats=4000, generator=torch.Generator().manual_seed(0))
    # 50 rows, 4,000 draws of the reconstruction term, whose standard deviation is √(d/2)·… < 2: 6 standard errors.
    assert (bound - exact).abs().max() < 6 * 2 / math.sqrt(4000)


def test_the_elbo_is_the_analytic_one():
    """A4, A5: with its sign and its constants, where the posterior is not exact; 6 standard errors."""
    model, problem, x = planted(slack=0.4)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([model.log_prob_bound(x, generator=generator) for _ in range(2000)])
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - problem.elbo(x)).abs() < 6 * error).all()
    averaged = model.log_prob_bound(x, repeats=2000, generator=generator)
    assert ((averaged - problem.elbo(x)).abs() < 6 * error).all()
    assert (problem.elbo(x) < problem.log_prob(x)).all()


def test_importance_weighted_bounds_rise_to_the_log_density():
    """A6: E IWAE-K rises with K, from the ELBO to log p(x), which it stays below; 5 standard errors."""
    model, problem, x = planted(slack=0.4)
    generator = torch.Generator().manual_seed(0)
    gap, error = [], []
    for samples in (1, 2, 8, 64, 512):
        draws = torch.stack(
            [model.log_prob_bound(x, samples=samples, generator=generator) for _ in range(60)]
        )
        gap.append((problem.log_prob(x) - draws).mean().item())
        error.append((draws.std(0).square().sum().sqrt() / len(x) / math.sqrt(60)).item())
    assert gap[0] == pytest.approx((problem.log_prob(x) - problem.elbo(x)).mean().item(), abs=5 * error[0])
    for number in range(1, 4):
        assert gap[number] < gap[number - 1] - 5 * (error[number] + error[number - 1])
    assert gap[-1] > -5 * error[-1]
    assert gap[-1] < 0.01 * gap[0]


def test_the_bound_is_the_logarithm_of_the_mean_weight():
    """A7: the value that is reported is log (1/K) Σ w, computed here draw by draw; blocks change nothing."""
    model, problem, x = planted(slack=0.4)
    with torch.no_grad():
        torch.manual_seed(3)
        q = model.encode(x)
        z = q.rsample((7,))
        log_w = torch.stack(
            [model.decode(each).log_prob(x) + problem.prior.log_prob(each) - q.log_prob(each) for each in z]
        )
        expected = torch.log(log_w.exp().mean(0))
        assert torch.allclose(iwae(log_w), expected)
        found = model.log_prob_bound(x, samples=7, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(found, expected)


def test_blocks_of_an_importance_weighted_bound_are_one_bound(monkeypatch):
    """Seven draws as blocks of 3, 3 and 1: the mean is over all seven weights, not over the blocks' bounds."""
    model, _, x = planted(slack=0.4)
    monkeypatch.setattr("latentia.models.latent_variable._DECODED_AT_ONCE", 3 * len(x))
    blocked = model.log_prob_bound(x, samples=7, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(3)
    posterior = model.encode(x)
    blocks = [posterior.rsample((size,)) for size in (3, 3, 1)]
    log_w = [model.reconstruction(z, x) + model.prior().log_prob(z) - posterior.log_prob(z) for z in blocks]
    assert torch.allclose(blocked, torch.cat(log_w).exp().mean(0).log())


def test_the_gradient_of_the_bound_is_that_of_the_logarithm_of_the_mean_weight():
    """A6: weights are neither detached nor of the wrong sign; by finite differences with common random numbers."""
    model, _, x = planted(slack=0.4)

    def value() -> Tensor:
        return model.log_prob_bound(x, samples=5, generator=torch.Generator().manual_seed(0)).sum()

    for weight in (model.decoder.layers[0].weight, model.encoder.layers[0].weight):
        gradient = torch.autograd.grad(value(), weight)[0]
        for i, j in ((0, 0), (3, 1)):
            step = torch.zeros_like(weight)
            step[i, j] = 1e-5
            with torch.no_grad():
                weight.add_(step)
                up = value()
                weight.sub_(2 * step)
                slope = (up - value()) / 2e-5
                weight.add_(step)
            assert gradient[i, j].item() == pytest.approx(slope.item(), rel=1e-5)


@pytest.mark.parametrize(("samples", "repeats"), [(1, 1), (1, 6), (5, 1), (5, 3)])
def test_the_number_of_decoded_codes_is_what_was_asked_for(samples, repeats):
    """A5: n_samples is not ignored."""
    model, _, x = planted()
    decoded = []
    model.decoder.register_forward_pre_hook(lambda module, arguments: decoded.append(len(arguments[0])))
    model.log_prob_bound(x, samples=samples, repeats=repeats)
    assert sum(decoded) == len(x) * samples * repeats


def test_repeats_lower_the_variance_and_samples_raise_the_bound():
    model, _, x = planted(slack=0.4)
    generator = torch.Generator().manual_seed(0)

    def draws(**options) -> Tensor:
        return torch.stack([model.log_prob_bound(x, generator=generator, **options) for _ in range(300)])

    one, many = draws(), draws(repeats=16)
    assert (one.var(0) / many.var(0)).mean().item() == pytest.approx(16, rel=0.15)
    assert (one.mean() - many.mean()).abs() < 6 * one.std() / math.sqrt(one.numel())
    assert draws(samples=16).mean() > many.mean() + 0.1


def test_a_linear_vae_learns_probabilistic_pca():
    """Its optimum is known: Tipping and Bishop's (1999), of the standardised rows; scikit-learn's `PCA.score`."""
    from sklearn.decomposition import PCA

    x = linear_gaussian().sample(1000, generator=torch.Generator().manual_seed(0)).float()
    options = {"layers": 0, "latent_dim": 2, "lr": 0.02, "epochs": 60, "schedule": "cosine"}
    run = lt.fit("vae", x, **options, batch_size=200, progress=False)
    bound = run.model.log_prob_bound(x, samples=50, generator=torch.Generator().manual_seed(0)).mean().item()
    deviation = x.std(0, correction=0)
    scaled = ((x - x.mean(0)) / deviation).numpy()
    best = PCA(2).fit(scaled).score(scaled) - deviation.log().sum().item()
    assert best - 0.03 < bound < best + 0.005


# --- the objective, term by term --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "unit", "discrete(17)", "real"])
def test_the_terms_are_those_of_torch_distributions(kind):
    """A1, A2, A8: sums over entries and codes, means over rows only."""
    data = DataSpec((1, 4, 4), Support.parse(kind))
    recipe, model = (made := small(data)), made.objective.model
    x = data.support.project(model.sample(12, generator=torch.Generator().manual_seed(0)))
    reconstruction, kl = terms(recipe, x)
    posterior = model.encode(x)
    torch.manual_seed(0)
    z = posterior.rsample()
    entries = model.decode(z).base_dist.log_prob(x)
    assert reconstruction.item() == pytest.approx(entries.sum((1, 2, 3)).mean().item(), rel=1e-5)
    normal = torch.distributions.Normal
    expected = kl_divergence(normal(posterior.mean, posterior.stddev), normal(0, 1)).sum(-1).mean()
    assert kl.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_is_minus_the_elbo_and_the_logs_have_the_right_signs():
    """A5, A20: loss = −(reconstruction − KL), KL ≥ 0, elbo ≤ 0 for bits."""
    recipe = small()
    for state in train(recipe.objective, [Batch(bits())], optim=recipe.optim, steps=5):
        logged = state.metrics
        assert logged["kl"] >= 0
        assert logged["reconstruction"] <= 0
        assert logged["elbo"] == pytest.approx(logged["reconstruction"] - logged["kl"], rel=1e-6)
        assert logged["loss"] == pytest.approx(-logged["elbo"], rel=1e-6)
        assert logged["beta"] == 1


class Tiled(nn.Module):
    """A network whose output is repeated along one dimension."""

    def __init__(self, network: nn.Module, dim: int) -> None:
        super().__init__()
        self.network, self.dim = network, dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out = self.network(x, context)
        return torch.cat([out, out], dim=self.dim)


class Halved(nn.Module):
    """A network that is shown the first half of its input only."""

    def __init__(self, network: nn.Module, dim: int) -> None:
        super().__init__()
        self.network, self.dim = network, dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.network(x.chunk(2, dim=self.dim)[0], context)


def test_twice_the_pixels_double_the_reconstruction_term_only():
    """A1: β does not move with the image's size."""
    recipe, x = small(), bits()
    before = terms(recipe, x)
    model = recipe.objective.model
    model.encoder, model.decoder = Halved(model.encoder, -1), Tiled(model.decoder, -1)
    after = terms(recipe, torch.cat([x, x], dim=-1))
    assert after[0].item() == pytest.approx(2 * before[0].item(), rel=1e-5)
    assert after[1].item() == pytest.approx(before[1].item(), rel=1e-6)


def test_twice_the_codes_double_the_kl_only():
    """A2: and β does not move with latent_dim."""
    recipe, x = small(), bits()
    before = terms(recipe, x)

    class Doubled(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x, context=None):
            mean, log_var = self.network(x, context).chunk(2, dim=-1)
            return torch.cat([mean, mean, log_var, log_var], dim=-1)

    model, wide = recipe.objective.model, small(latent_dim=6).objective.model
    model.encoder, model.decoder, model.prior = Doubled(model.encoder), Halved(model.decoder, -1), wide.prior
    after = terms(recipe, x)
    assert after[1].item() == pytest.approx(2 * before[1].item(), rel=1e-6)
    assert after[0].item() == pytest.approx(before[0].item(), rel=0.2)  # other draws of the same codes


def test_every_parameter_has_a_gradient():
    """A18: draws are made with rsample, so the encoder learns from the reconstruction term as well."""
    cases = [("auto", "real"), ("auto", "discrete(17)"), ("auto", "unit"), ("relaxed-bernoulli", "unit")]
    for likelihood, kind in cases:
        data = DataSpec((1, 4, 4), Support.parse(kind))
        recipe = small(data, likelihood=likelihood)
        reconstruction, _ = terms(recipe, data.support.project(torch.rand(12, 1, 4, 4)))
        reconstruction.backward()
        for name, parameter in recipe.objective.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_grey_pixels_have_no_bernoulli_likelihood(digits):
    """A3: an error that names the ways out, of which the relaxed one is scored as none."""
    grey = (digits / 16).astype(np.float32)
    with pytest.raises(
        UsageError, match=r"no distribution on unit data; choose .*continuous-bernoulli.*binarise="
    ):
        lt.fit("vae", grey, likelihood="bernoulli", progress=False)
    run = lt.fit("vae", grey, likelihood="relaxed-bernoulli", steps=1, progress=False)
    assert not isinstance(run.model, lt.Bounded | lt.Density)
    assert isinstance(run.model, lt.Generative)
    with pytest.raises(DataError, match="outside its support"):
        small().objective.model.log_prob_bound(torch.full((2, 1, 4, 4), 0.5))


def test_several_draws_lower_the_variance_and_are_not_an_importance_weighted_bound():
    one, many = small(), small(draws=8)
    x = bits()
    values = {
        name: torch.stack([terms(recipe, x, seed=seed)[0].detach() for seed in range(400)])
        for name, recipe in (("one", one), ("many", many))
    }
    assert (values["one"].var() / values["many"].var()).item() == pytest.approx(
        8, rel=0.35
    )  # 400 draws: 5 sigma
    error = values["one"].std() / math.sqrt(400)
    assert (values["one"].mean() - values["many"].mean()).abs() < 5 * error
    model = one.objective.model
    log_w = torch.stack([model.log_prob_bound(x, samples=8).mean() for _ in range(50)])
    assert log_w.mean() > (values["many"].mean() - terms(many, x)[1]) + 5 * error


@pytest.mark.parametrize(
    ("likelihood", "kind"),
    [("gaussian", "unit"), ("relaxed-bernoulli", "discrete(17)"), ("relaxed-bernoulli", "binary")],
)
def test_samples_are_rounded_to_the_support(likelihood, kind):
    """Where the distribution itself exceeds it: Gaussian tails beyond [0, 1], and greys between the levels."""
    data = DataSpec((1, 4, 4), Support.parse(kind))
    model = small(data, likelihood=likelihood).objective.model
    raw = model.decode(torch.randn(50, 3)).sample()
    with pytest.raises(DataError):
        data.check(raw)
    data.check(model.sample(50))


def test_the_weight_of_the_kl_rises_to_one(digits):
    recipe = small(kl_warmup=4)
    states = [s.metrics for s in train(recipe.objective, [Batch(bits())], optim=recipe.optim, steps=6)]
    assert [state["beta"] for state in states] == [0, 0.25, 0.5, 0.75, 1, 1]
    for state in states:
        assert state["loss"] == pytest.approx(state["beta"] * state["kl"] - state["reconstruction"], rel=1e-5)
        assert state["elbo"] == pytest.approx(state["reconstruction"] - state["kl"], rel=1e-5)
    with pytest.raises(UsageError, match="kl_warmup must be at least 0"):
        small(kl_warmup=-1)


@pytest.mark.parametrize("kind", ["fixed", "dynamic", "threshold"])
def test_binarised_digits_are_fitted_as_bits(kind, digits):
    run = lt.fit("vae", digits, support="discrete(17)", binarise=kind, epochs=1, hidden=8, progress=False)
    assert run.model.data.support == Support("binary")
    assert run.model.measure == "counting"
    assert set(run.sample(20, seed=0).unique().tolist()) <= {0.0, 1.0}
    assert run.encode(digits[:3, None]).shape == (3, 16)
    assert run.reconstruct(digits[:3, None]).shape == (3, 1, 8, 8)
    with pytest.raises(UsageError, match="unknown binarise 'dynamik'"):
        lt.fit("vae", digits, binarise="dynamik", progress=False)


def test_a_conditional_model_is_a_distribution_for_each_class():
    """Two classes far apart: what is sampled, encoded and scored depends on the class that is given."""
    x = torch.cat([torch.full((60, 2), -4.0), torch.full((60, 2), 4.0)])
    x = x + 0.3 * torch.randn(120, 2, generator=torch.Generator().manual_seed(0))
    labels = ["low"] * 60 + ["high"] * 60
    options = {
        "conditional": True,
        "latent_dim": 1,
        "hidden": 16,
        "lr": 0.01,
        "epochs": 60,
        "progress": False,
    }
    run = lt.fit("vae", x, labels=labels, **options)
    assert run.sample(50, {"class": "low"}, seed=0).mean() < -2
    assert run.sample(50, {"class": "high"}, seed=0).mean() > 2
    right, wrong = (
        run.model.context_encoder.encode({"class": torch.full((60,), run.spec.class_number(name))})
        for name in ("low", "high")
    )
    generator = torch.Generator().manual_seed(0)
    score = run.model.log_prob_bound(x[:60], right, repeats=20, generator=generator).mean()
    assert score > run.model.log_prob_bound(x[:60], wrong, repeats=20, generator=generator).mean() + 1
    with pytest.raises(UsageError, match="give class=, one of high, low"):
        run.sample(3)
    with pytest.raises(UsageError, match="conditional=True needs labelled data"):
        lt.fit("vae", x, **options)


def test_sigma_is_learned_unless_it_is_given():
    data = DataSpec((3,), Support("real"))
    fixed, learned = small(data, sigma=0.3).objective, small(data).objective
    for objective in (fixed, learned):
        list(train(objective, [Batch(torch.randn(20, 3))], optim=small(data).optim, steps=3))
    assert fixed.model.likelihood.log_sigma.exp().item() == pytest.approx(0.3)
    assert learned.model.likelihood.log_sigma.item() != 0


@pytest.mark.parametrize("latent_dim", [0, -3])
def test_a_code_has_at_least_one_entry(latent_dim):
    with pytest.raises(UsageError, match=f"latent_dim must be at least 1; got {latent_dim}"):
        small(latent_dim=latent_dim)


@pytest.mark.parametrize("options", [{"samples": 0}, {"repeats": 0}, {"samples": -2}])
def test_a_bound_needs_at_least_one_draw(options):
    with pytest.raises(UsageError, match="samples and repeats must be at least 1"):
        small().objective.model.log_prob_bound(bits(), **options)


def test_a_scale_is_taken_from_real_data_and_a_constant_column_keeps_its_units():
    """A column whose standard deviation is only rounding would otherwise be blown up to a density of 10¹⁷."""
    random = np.random.default_rng(0)
    x = np.stack([random.normal(50, 7, 1000), np.full(1000, 0.1), np.full(1000, 1e6)], axis=1).astype(
        np.float32
    )
    run = lt.fit("vae", x, steps=1, hidden=4, progress=False)
    scaling = run.model.scaling
    assert scaling.shift.tolist() == pytest.approx([x[:, 0].mean(), 0.1, 1e6], rel=1e-5)
    assert scaling.scale.tolist() == pytest.approx([x[:, 0].std(), 1, 1], rel=1e-4)
    assert torch.isfinite(run.model.log_prob_bound(torch.from_numpy(x))).all()


def test_the_encoder_sees_scaled_rows():
    for data, x in (
        (DataSpec((3,), Support("real")), torch.randn(500, 3) * 9 - 70),
        (DataSpec((3,), Support("discrete", 256)), torch.randint(256, (500, 3)).float()),
    ):
        model, seen = small(data).objective.model, []
        model.encoder.register_forward_pre_hook(
            lambda module, arguments, seen=seen: seen.append(arguments[0])
        )
        model.begin(Batch(x))
        model.encode(x)
        assert seen[0].abs().mean() < 1
        assert seen[0].std() > 0.5


def test_scaling_and_its_inverse_undo_each_other():
    for support in (Support("binary"), Support("discrete", 256), Support("unit"), Support("real")):
        model = small(DataSpec((5,), support)).objective.model
        x = support.project(torch.rand(20, 5) * 200)
        if not model.scaling.bounded:
            model.begin(Batch(x))
        y = model.scaling(x)
        assert torch.allclose(model.scaling.inverse(y), x, atol=1e-4)
        if model.scaling.bounded:
            assert y.min() >= -1 - 1e-6
            assert y.max() <= 1 + 1e-6
        else:
            assert torch.allclose(y.mean(0), torch.zeros(5), atol=1e-5)


def test_a_copy_is_a_model_of_its_own():
    recipe = small()
    twin = copy.deepcopy(recipe.objective)
    list(train(twin, [Batch(bits())], optim=recipe.optim, steps=2))
    fresh = small().objective.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in recipe.objective.state_dict().items())


# --- samples as means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "discrete(17)", "unit"])
def test_a_sample_of_means_is_the_mean_of_the_law_of_each_draw_s_code(kind):
    """The codes of a seed are the same; means are not rounded. 4,000 draws a code, 6 standard errors."""
    data = DataSpec((1, 4, 4), Support.parse(kind))
    model = small(data).objective.model.eval()
    means = model.sample(3, generator=torch.Generator().manual_seed(0), mean=True)
    with seeded():
        z = model.prior_distribution().sample((3,))
        draws = data.support.project(model.decode(z).sample((4000,)))
    if kind != "unit":
        assert not torch.equal(means, means.round())
    error = draws.std(0) / math.sqrt(4000)
    assert ((draws.mean(0) - means).abs() < 6 * error + 1e-6).all()


def test_means_of_a_table_are_rounded_to_its_columns():
    data = DataSpec((3,), Support.parse("table(real, binary, categorical(3))"))
    made = small(data).objective.model.eval().sample(50, mean=True)
    data.check(made)
    assert not torch.equal(made[:, 0], made[:, 0].round())


def test_the_command_line_samples_means(tmp_path):
    x = torch.rand(40, 1, 4, 4)
    lt.fit("vae", x, hidden=8, latent_dim=2, steps=3, progress=False, out=tmp_path / "run")
    for name, more in (("draw", []), ("mean", ["--mean"])):
        out = str(tmp_path / f"{name}.npy")
        assert main(["sample", str(tmp_path / "run"), "--n", "5", "--seed", "0", "--out", out, *more]) == 0
    run = lt.load(tmp_path / "run")
    means = torch.from_numpy(np.load(tmp_path / "mean.npy"))
    assert torch.equal(means, run.sample(5, seed=0, mean=True))
    assert torch.equal(torch.from_numpy(np.load(tmp_path / "draw.npy")), run.sample(5, seed=0))
    assert means.std() < run.sample(5, seed=0).std() / 2


def test_the_report_shows_means_and_says_so(tmp_path):
    x = torch.rand(40, 1, 4, 4)
    run = lt.fit("vae", x, hidden=8, latent_dim=2, steps=3, progress=False, out=tmp_path / "run")
    assert "Pictures are the means of p(x | z)" in lt.write_report(run).read_text(encoding="utf-8")
    assert torch.equal(pictures(run, 4), run.sample(4, seed=0, mean=True))
    gan = lt.fit("gan", x, hidden=8, latent_dim=2, steps=3, progress=False, out=tmp_path / "gan")
    assert "means of p(x | z)" not in lt.write_report(gan).read_text(encoding="utf-8")


@pytest.mark.parametrize(("side", "layer"), [(8, "Linear"), (15, "Linear"), (16, "Conv2d")])
def test_the_network_is_convolutional_for_images_from_16_by_16(side, layer):
    data = DataSpec((1, side, side), Support("binary"))
    model = lt.recipes["vae"](data, latent_dim=2).objective.model
    kinds = {type(module).__name__ for module in model.encoder.modules()}
    assert layer in kinds
    assert ("Conv2d" in kinds) == (layer == "Conv2d")
