"""Every registered likelihood is the law it says it is.

Rows A3, A4, A8 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from latentia.data.spec import DataSpec, Support
from latentia.distributions.discretised_logistic import DiscretisedLogistic
from latentia.distributions.likelihoods import DEFAULTS, Likelihood, make_likelihood
from latentia.errors import UsageError
from latentia.networks.scaling import Scaling
from latentia.registry import likelihoods

SUPPORTS = {
    "binary": Support("binary"),
    "discrete": Support("discrete", 17),
    "count": Support("count"),
    "unit": Support("unit"),
    "real": Support("real"),
    "categorical": Support("categorical", 4),
}
OF_ENTRIES = [name for name in likelihoods if name != "table"]  # made of these: tests/test_tables.py
CASES = [(name, kind) for name in OF_ENTRIES for kind in likelihoods[name].kinds]
LAWS = [(name, kind) for name, kind in CASES if likelihoods[name].measure is not None]
COUNTING = [(name, kind) for name, kind in LAWS if likelihoods[name].measure == "counting"]
LEBESGUE = [(name, kind) for name, kind in LAWS if likelihoods[name].measure == "Lebesgue"]
GAUSSIAN = ("gaussian", "heteroscedastic-gaussian")
EXTREMES = [-60.0, -20.0, -3.0, -0.4, -1e-4, 0.0, 1e-4, 0.049, 0.7, 5.0, 16.5, 60.0]


def likelihood(name: str, kind: str, shape: tuple[int, ...] = (1,), **options) -> Likelihood:
    """Return a likelihood in float64, for real data and counts with a mean of 3 and deviations of 2."""
    data = DataSpec(shape, SUPPORTS[kind])
    scaling = Scaling(data)
    if kind in ("real", "count"):
        scaling.shift.fill_(3.0)
        scaling.scale.fill_(2.0)
    return make_likelihood(name, data, scaling, **options).double()


def numbers(law: Likelihood, values: list[float]) -> Tensor:
    """Return h for rows of one entry: every P-tuple of the values, (B, P, 1); of more than three, 1,000 at random."""
    grid, P = torch.tensor(values, dtype=torch.float64), law.params_per_entry
    if P > 3:
        chosen = torch.randint(len(grid), (1000, P, 1), generator=torch.Generator().manual_seed(0))
        return grid[chosen]
    return torch.cartesian_prod(*[grid] * P).view(-1, P, 1)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_law_has_one_event_for_each_row(name, kind):
    law = likelihood(name, kind, (2, 3, 3))
    h = torch.randn(5, law.params_per_entry, 2, 3, 3, dtype=torch.float64)
    given = law(h)
    assert given.batch_shape == (5,)
    assert given.event_shape == (2, 3, 3)
    assert given.mean.shape == given.sample().shape == (5, 2, 3, 3)
    x = law.support.project(given.sample())
    law.support.check(x)
    assert law.reconstruction(h, x).shape == (5,)


@pytest.mark.parametrize(("name", "kind"), LAWS)
def test_what_training_raises_is_the_laws_log_density_and_sums_over_entries(name, kind):
    """A1: twice the entries, twice the log-density; nothing is averaged."""
    law, wide = likelihood(name, kind, (1, 4)), likelihood(name, kind, (1, 8))
    h = torch.randn(5, law.params_per_entry, 1, 4, dtype=torch.float64)
    x = law.support.project(law(h).sample())
    value = law.reconstruction(h, x)
    assert torch.allclose(value, law(h).log_prob(x), rtol=1e-12)
    twice = wide.reconstruction(torch.cat([h, h], dim=-1), torch.cat([x, x], dim=-1))
    assert torch.allclose(twice, 2 * value, rtol=1e-12)


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize(("name", "kind"), LAWS)
def test_a_row_counts_the_same_in_every_batch(name, kind, rows):
    """A batch of one row is not taken for something else, and rows do not mix."""
    law = likelihood(name, kind, (3,))
    h = torch.randn(rows, law.params_per_entry, 3, dtype=torch.float64)
    x = law.support.project(law(h).sample())
    each = torch.cat([law.reconstruction(h[i : i + 1], x[i : i + 1]) for i in range(rows)])
    assert torch.allclose(law.reconstruction(h, x), each, rtol=1e-12)


@pytest.mark.parametrize(("name", "kind"), COUNTING)
def test_probabilities_add_up_to_one_over_the_support(name, kind):
    """Of counts up to 20,000, for means up to 300 and dispersions from 0.5 on, which leave less than 1e-9 beyond."""
    law = likelihood(name, kind)
    h = numbers(law, EXTREMES if kind != "count" else [value for value in EXTREMES if -0.6 < value < 5])
    values = torch.arange(20_000 if kind == "count" else law.support.levels or 2, dtype=torch.float64)
    total = torch.stack([law(h).log_prob(value.expand(len(h), 1)) for value in values]).exp().sum(0)
    assert (total - 1).abs().max() < 1e-9


@pytest.mark.parametrize(("name", "kind"), LEBESGUE)
def test_densities_integrate_to_one(name, kind):
    """By Gauss-Legendre quadrature on many cells on either side of the mean, where a law may have a kink."""
    law = likelihood(name, kind) if name != "gaussian" else likelihood(name, kind, sigma=0.05)
    bounded = kind == "unit" and name not in GAUSSIAN  # whose tails leave [0, 1]
    for row in numbers(law, EXTREMES if bounded else [value / 30 for value in EXTREMES]).split(1):
        mean = law(row).mean.item()
        reach = 0.0 if bounded else 30 * law(row).variance.sqrt().item()
        low, high = (0.0, 1.0) if bounded else (mean - reach, mean + reach)
        x, weight = (
            torch.cat(parts) for parts in zip(quadrature(low, mean), quadrature(mean, high), strict=True)
        )
        density = law(row).log_prob(x[:, None]).exp()
        assert (density @ weight).item() == pytest.approx(1, abs=1e-9)
        assert ((density * x) @ weight).item() == pytest.approx(mean, abs=1e-7)


def quadrature(low: float, high: float, cells: int = 2000) -> tuple[Tensor, Tensor]:
    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(8))
    width = (high - low) / cells
    x = low + width * (torch.arange(cells)[:, None] + (nodes + 1) / 2)
    return x.flatten(), (weights * width / 2).expand(cells, -1).flatten()


@pytest.mark.parametrize(("name", "kind"), LAWS)
def test_samples_are_in_the_support_and_have_the_laws_mean(name, kind):
    """20,000 draws each; 5 standard errors: a false alarm in 2 million comparisons, of which there are under 500."""
    torch.manual_seed(0)
    law = likelihood(name, kind, sigma=0.3) if name == "gaussian" else likelihood(name, kind)
    h = numbers(law, [-4.0, -0.5, 0.0, 1.0, 6.0])[:100] / (4 if name in GAUSSIAN or kind == "count" else 1)
    samples = law(h).sample((20_000,))
    if name not in GAUSSIAN:  # whose tails leave [0, 1]; the model rounds its samples to the support
        law.support.check(samples.flatten(0, 1))
    if kind == "categorical":  # names have no mean: the likeliest stands for it
        most = torch.stack([(samples == level).sum(0) for level in range(4)])
        assert (most.gather(0, law(h).mean.long()[None]) >= most.amax(0) - 5 * math.sqrt(len(samples))).all()
        return
    error = samples.std(0) / math.sqrt(len(samples)) + 1e-6
    assert ((samples.mean(0) - law(h).mean).abs() < 5 * error).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_values_and_gradients_are_finite_at_extreme_parameters(name, kind, dtype):
    law = likelihood(name, kind).to(dtype)
    h = numbers(law, [*EXTREMES, -1e4, 1e4]).to(dtype)
    values = {"binary": [0, 1], "discrete": [0, 1, 8, 16], "unit": [0, 0.3, 1], "real": [-50, 0, 50]}
    for value in values.get(kind, [0, 1, 3]):
        h.requires_grad_()
        out = law.reconstruction(h, torch.full((len(h), 1), value, dtype=dtype))
        gradient = torch.autograd.grad(out.sum(), h)[0]
        assert torch.isfinite(out).all()
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_gradients_equal_finite_differences(name, kind):
    torch.manual_seed(1)
    law = likelihood(name, kind, (2,))
    h = torch.randn(3, law.params_per_entry, 2, dtype=torch.float64)
    x = law.support.project(law(h).sample())
    parameters = list(law.parameters())
    assert torch.autograd.gradcheck(lambda h, *_: law.reconstruction(h, x), (h.requires_grad_(), *parameters))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_half_precision_networks_give_float32_losses(name, kind):
    law = likelihood(name, kind).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h = torch.zeros(3, law.params_per_entry, 1)
        assert law.reconstruction(h, torch.zeros(3, 1)).dtype == torch.float32


# --- each one against another implementation --------------------------------------------------------------------


def test_bernoulli_equals_torch():
    law, h = likelihood("bernoulli", "binary", (6,)), torch.randn(5, 1, 6, dtype=torch.float64) * 3
    x = torch.bernoulli(torch.full((5, 6), 0.5, dtype=torch.float64))
    assert torch.allclose(law(h).log_prob(x), Bernoulli(logits=h[:, 0]).log_prob(x).sum(-1))


def test_continuous_bernoulli_equals_its_formula():
    """Loaiza-Ganem and Cunningham (2019), equations 3 and 4, written for λ away from ½."""
    law = likelihood("continuous-bernoulli", "unit")
    p = torch.tensor([0.001, 0.2, 0.4, 0.7, 0.99], dtype=torch.float64)
    x = torch.linspace(0, 1, 5, dtype=torch.float64)
    log_norm = torch.log(2 * torch.atanh(1 - 2 * p) / (1 - 2 * p))
    expected = x * p.log() + (1 - x) * (1 - p).log() + log_norm
    h = p.logit().view(-1, 1, 1)
    assert torch.allclose(law(h).log_prob(x[:, None]), expected, rtol=1e-9)


@pytest.mark.parametrize("sigma", [None, 0.3, 1])
def test_gaussian_equals_torch_with_its_constant(sigma):
    """A4, A8: −½ log 2πσ² is there. σ is learned where it is not given, and counts in scaled units."""
    law = likelihood("gaussian", "real", (6,), sigma=sigma)
    if sigma is None:
        law.log_sigma.data.fill_(math.log(0.3))
    assert len(list(law.parameters())) == (1 if sigma is None else 0)
    h, x = torch.randn(2, 5, 6, dtype=torch.float64)
    expected = Normal(3 + 2 * h, 2 * (sigma or 0.3)).log_prob(x).sum(-1)
    assert torch.allclose(law(h[:, None]).log_prob(x), expected, rtol=1e-6)  # log σ was float32


def test_the_heteroscedastic_gaussian_equals_torch_above_its_floor():
    """A8: σ = exp h₁, not exp ½h₁ or exp 2h₁, but for the floor e⁻⁶, which moves it by e⁻⁶ there: 1 + e⁻⁶ at h₁ = 0."""
    law = likelihood("heteroscedastic-gaussian", "real", (6,))
    h = torch.randn(5, 2, 6, dtype=torch.float64)
    x = torch.randn(5, 6, dtype=torch.float64)
    deviation = 2 * (h[:, 1].exp() + math.exp(-6))  # log(1 + e^(h + 6)) - 6 = log(e^h + e^-6)
    expected = Normal(3 + 2 * h[:, 0], deviation).log_prob(x).sum(-1)
    assert torch.allclose(law(h).log_prob(x), expected, rtol=1e-12)


def test_the_heteroscedastic_gaussian_cannot_diverge():
    """At the mean, however small the network makes σ, log p stays below 6 - ½ log 2π - log scale, which it reaches."""
    law = likelihood("heteroscedastic-gaussian", "real", (1,))
    h = torch.zeros(4, 2, 1, dtype=torch.float64)
    h[:, 1, 0] = torch.tensor([-6.0, -20.0, -100.0, -1e6])
    ceiling = 6 - 0.5 * math.log(2 * math.pi) - math.log(2)
    found = law(h).log_prob(torch.full((4, 1), 3.0, dtype=torch.float64))
    assert (found <= ceiling + 1e-12).all()
    assert found[-1].item() == pytest.approx(ceiling)


def test_the_mixture_equals_the_sum_of_its_parts():
    """Against differences of SciPy's CDF, weighted; with means spread over the range where h is 0."""
    law = likelihood("discretised-logistic-mixture", "discrete", (1,), components=3)
    h = torch.randn(1, 9, 1, dtype=torch.float64)
    weights = h[0, :3, 0].softmax(0)
    means = 8 + 8 * (h[0, 3:6, 0] + torch.tensor([-2 / 3, 0, 2 / 3]))
    scales = 8 * (h[0, 6:, 0] - 2).exp()
    for k in range(17):
        cdf = stats.logistic(loc=means, scale=scales).cdf
        upper, lower = (cdf(k + 0.5) if k < 16 else 1.0), (cdf(k - 0.5) if k > 0 else 0.0)
        expected = float((weights.numpy() * (upper - lower)).sum())
        found = law(h).log_prob(torch.full((1, 1), float(k), dtype=torch.float64)).exp()
        assert found.item() == pytest.approx(expected, rel=1e-6)


def test_the_mixture_with_one_component_is_the_discretised_logistic():
    one = likelihood("discretised-logistic-mixture", "discrete", (6,), components=1)
    plain = likelihood("discretised-logistic", "discrete", (6,))
    h = torch.randn(5, 3, 6, dtype=torch.float64)
    x = torch.randint(17, (5, 6)).double()
    assert torch.allclose(one.reconstruction(h, x), plain.reconstruction(h[:, 1:], x), rtol=1e-12)


@pytest.mark.parametrize("kind", ["discrete", "categorical"])
def test_categorical_equals_torch(kind):
    law = likelihood("categorical", kind, (6,))
    h = torch.randn(5, law.params_per_entry, 6, dtype=torch.float64)
    assert law.params_per_entry == SUPPORTS[kind].levels
    x = torch.randint(law.params_per_entry, (5, 6))
    expected = -torch.nn.functional.cross_entropy(h, x, reduction="none").sum(-1)
    assert torch.allclose(law(h).log_prob(x.double()), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("x", [0, 1, 7, 300, 100_000])
def test_counts_equal_scipy_with_all_digits(x, dtype):
    """Means and dispersions far apart; float32 returns what float64 computes, to 6 digits."""
    for h in (torch.randn(20, 2, 1, generator=torch.Generator().manual_seed(x)) * 3).clamp(-6.9, 6.9):
        mean, r = 3 * math.exp(h[0]), math.exp(h[1])
        value = torch.full((1, 1), float(x), dtype=dtype)
        poisson = likelihood("poisson", "count").to(dtype)(h[None, :1].to(dtype)).log_prob(value)
        binomial = likelihood("negative-binomial", "count").to(dtype)(h[None].to(dtype)).log_prob(value)
        assert poisson.dtype == binomial.dtype == dtype
        assert poisson.item() == pytest.approx(stats.poisson.logpmf(x, mean), rel=1e-5)
        expected = stats.nbinom.logpmf(x, r, r / (r + mean))
        assert binomial.item() == pytest.approx(float(expected), rel=1e-5)


def test_discretised_logistic_equals_differences_of_a_logistic_cdf():
    """In the middle of the range to 1e-12; the end bins hold the tails."""
    cdf = partial(stats.logistic.cdf, loc=6.3, scale=2.1)
    law = DiscretisedLogistic(*torch.tensor([[6.3], [2.1]], dtype=torch.float64), levels=17)
    for k in range(17):
        upper = cdf(k + 0.5) if k < 16 else 1.0
        lower = cdf(k - 0.5) if k > 0 else 0.0
        assert law.log_prob(torch.tensor([float(k)])).exp().item() == pytest.approx(
            float(upper - lower), rel=1e-9
        )


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 0.5, 30.0])
@pytest.mark.parametrize("loc", [-40.0, -0.5, 0.0, 7.9, 16.0, 60.0])
def test_discretised_logistic_keeps_its_digits_in_the_tails(loc, scale):
    """float32 against float64 computed by the survival function on the side where it is small."""
    law = DiscretisedLogistic(torch.tensor(loc), torch.tensor(scale), levels=17)
    wide = DiscretisedLogistic(torch.tensor(loc).double(), torch.tensor(scale).double(), levels=17)
    k = torch.arange(17.0)
    assert torch.allclose(law.log_prob(k).double(), wide.log_prob(k.double()), rtol=1e-4, atol=1e-5)
    assert wide.log_prob(k.double()).logsumexp(0).item() == pytest.approx(0, abs=1e-9)
    mean = (wide.log_prob(k.double()).exp() * k).sum()
    assert wide.mean.item() == pytest.approx(mean.item(), abs=1e-9)


def test_discretised_logistic_wants_shapes_that_agree():
    with pytest.raises(ValueError, match="one shape"):
        DiscretisedLogistic(torch.zeros(2), torch.ones(1), levels=3)


@pytest.mark.parametrize("kind", ["unit", "discrete", "binary"])
def test_relaxed_bernoulli_is_the_cross_entropy_and_no_law(kind):
    law = likelihood("relaxed-bernoulli", kind, (4,))
    high = law.support.bounds[1]
    h, grey = torch.randn(3, 1, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64)
    p = torch.sigmoid(h[:, 0])
    expected = (grey * p.log() + (1 - grey) * (1 - p).log()).sum(-1)
    assert torch.allclose(law.reconstruction(h, high * grey), expected)
    assert law.measure is None
    assert torch.allclose(law(h).mean, high * p)
    with pytest.raises(NotImplementedError):
        law(h).log_prob(high * grey)  # torch's own word for a law without a density


# --- choosing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SUPPORTS)
def test_auto_chooses_a_law_on_the_support(kind):
    law = likelihood("auto", kind)
    assert law.measure == SUPPORTS[kind].measure
    assert kind in law.kinds
    assert type(law) is likelihoods[DEFAULTS[kind]]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "bernoulli",
            "unit",
            "no distribution on unit data; choose .*'continuous-bernoulli'.*binarise=",
        ),  # A3
        ("bernoulli", "discrete", r"no distribution on discrete\(17\) data"),
        ("continuous-bernoulli", "binary", "no distribution on binary data"),
        ("gaussian", "discrete", r"no distribution on discrete\(17\) data"),
        ("discretised-logistic", "real", "no distribution on real data; choose .*'gaussian'"),
        ("bernouli", "binary", "unknown likelihood 'bernouli'; did you mean 'bernoulli'"),
    ],
)
def test_a_law_on_another_support_is_refused(name, kind, message):
    with pytest.raises(UsageError, match=message):
        likelihood(name, kind)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_sigma_is_positive_and_the_gaussians_own(sigma):
    with pytest.raises(UsageError, match="sigma must be positive"):
        likelihood("gaussian", "real", sigma=sigma)
    with pytest.raises(UsageError, match="sigma is an option of likelihood='gaussian'"):
        likelihood("bernoulli", "binary", sigma=1.0)


def test_components_are_the_mixtures_own():
    """A19: their number is at least 1, and no other law takes it."""
    assert likelihood("discretised-logistic-mixture", "discrete").params_per_entry == 3 * 5
    assert likelihood("discretised-logistic-mixture", "discrete", components=2).params_per_entry == 6
    with pytest.raises(UsageError, match="likelihood_components must be at least 1; got 0"):
        likelihood("discretised-logistic-mixture", "discrete", components=0)
    with pytest.raises(
        UsageError,
        match="likelihood_components is an option of likelihood='discretised-logistic-mixture'; this",
    ):
        likelihood("discretised-logistic", "discrete", components=3)


def test_more_than_256_levels_are_too_many_for_a_probability_each():
    data = DataSpec((1,), Support("discrete", 257))
    with pytest.raises(UsageError, match=r"at most 256 levels; this data is discrete\(257\)"):
        make_likelihood("categorical", data, Scaling(data))


def test_every_kind_of_data_has_a_default():
    assert set(DEFAULTS) == {*SUPPORTS, "table"}
    assert all(kind in likelihoods[name].kinds for kind, name in DEFAULTS.items())


@pytest.mark.parametrize("name", OF_ENTRIES)
def test_every_likelihood_says_what_it_is(name):
    member = likelihoods[name]
    assert issubclass(member, Likelihood)
    assert set(member.kinds) <= set(SUPPORTS)
    assert member.measure in ("counting", "Lebesgue", None)
    for kind in member.kinds:
        law = likelihood(name, kind, (2, 3))
        assert law.param_shape == (law.params_per_entry, 2, 3)
        assert law.params_per_entry >= 1
        assert law.measure in (SUPPORTS[kind].measure, None)
    assert likelihoods.summaries()[name].endswith((".", ")"))
