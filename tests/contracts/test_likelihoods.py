"""Every registered likelihood is the law it says it is. Rows A3, A4, A8 of the known mistakes."""

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
    "unit": Support("unit"),
    "real": Support("real"),
}
CASES = [(name, kind) for name in likelihoods for kind in likelihoods[name].kinds]
LAWS = [(name, kind) for name, kind in CASES if likelihoods[name].measure is not None]
COUNTING = [(name, kind) for name, kind in LAWS if likelihoods[name].measure == "counting"]
LEBESGUE = [(name, kind) for name, kind in LAWS if likelihoods[name].measure == "Lebesgue"]
EXTREMES = [-60.0, -20.0, -3.0, -0.4, -1e-4, 0.0, 1e-4, 0.049, 0.7, 5.0, 16.5, 60.0]


def likelihood(name: str, kind: str, shape: tuple[int, ...] = (1,), **options) -> Likelihood:
    """Return a likelihood in float64, for real data with a mean of 3 and deviations of 2."""
    data = DataSpec(shape, SUPPORTS[kind])
    scaling = Scaling(data)
    if kind == "real":
        scaling.shift.fill_(3.0)
        scaling.scale.fill_(2.0)
    return make_likelihood(name, data, scaling, **options).double()


def numbers(law: Likelihood, values: list[float]) -> Tensor:
    """Return h for rows of one entry: every P-tuple of the values, (B, P, 1)."""
    grid = torch.tensor(values, dtype=torch.float64)
    return torch.cartesian_prod(*[grid] * law.entry_parameters).view(-1, law.entry_parameters, 1)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_law_has_one_event_for_each_row(name, kind):
    law = likelihood(name, kind, (2, 3, 3))
    h = torch.randn(5, law.entry_parameters, 2, 3, 3, dtype=torch.float64)
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
    h = torch.randn(5, law.entry_parameters, 1, 4, dtype=torch.float64)
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
    h = torch.randn(rows, law.entry_parameters, 3, dtype=torch.float64)
    x = law.support.project(law(h).sample())
    each = torch.cat([law.reconstruction(h[i : i + 1], x[i : i + 1]) for i in range(rows)])
    assert torch.allclose(law.reconstruction(h, x), each, rtol=1e-12)


@pytest.mark.parametrize(("name", "kind"), COUNTING)
def test_probabilities_add_up_to_one_over_the_support(name, kind):
    law = likelihood(name, kind)
    h = numbers(law, EXTREMES)
    values = torch.arange(law.support.levels or 2, dtype=torch.float64)
    total = torch.stack([law(h).log_prob(value.expand(len(h), 1)) for value in values]).exp().sum(0)
    assert (total - 1).abs().max() < 1e-9


@pytest.mark.parametrize(("name", "kind"), LEBESGUE)
def test_densities_integrate_to_one(name, kind):
    """By Gauss-Legendre quadrature on many cells on either side of the mean, where a law may have a kink."""
    law = likelihood(name, kind) if name != "gaussian" else likelihood(name, kind, sigma=0.05)
    bounded = kind == "unit" and name != "gaussian"  # whose tails leave [0, 1]
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
    """20,000 draws each; 5 standard errors: a false alarm in 2 million comparisons, of which there are under 100."""
    torch.manual_seed(0)
    law = likelihood(name, kind, sigma=0.3) if name == "gaussian" else likelihood(name, kind)
    h = numbers(law, [-4.0, -0.5, 0.0, 1.0, 6.0]) / (4 if name == "gaussian" else 1)
    samples = law(h).sample((20_000,))
    if name != "gaussian":  # whose tails leave [0, 1]; the model rounds its samples to the support
        law.support.check(samples.flatten(0, 1))
    error = samples.std(0) / math.sqrt(len(samples)) + 1e-6
    assert ((samples.mean(0) - law(h).mean).abs() < 5 * error).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_values_and_gradients_are_finite_at_extreme_parameters(name, kind, dtype):
    law = likelihood(name, kind).to(dtype)
    h = numbers(law, [*EXTREMES, -1e4, 1e4]).to(dtype)
    values = {"binary": [0, 1], "discrete": [0, 1, 8, 16], "unit": [0, 0.3, 1], "real": [-50, 0, 50]}[kind]
    for value in values:
        h.requires_grad_()
        out = law.reconstruction(h, torch.full((len(h), 1), value, dtype=dtype))
        gradient = torch.autograd.grad(out.sum(), h)[0]
        assert torch.isfinite(out).all()
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_gradients_equal_finite_differences(name, kind):
    torch.manual_seed(1)
    law = likelihood(name, kind, (2,))
    h = torch.randn(3, law.entry_parameters, 2, dtype=torch.float64)
    x = law.support.project(law(h).sample())
    parameters = list(law.parameters())
    assert torch.autograd.gradcheck(lambda h, *_: law.reconstruction(h, x), (h.requires_grad_(), *parameters))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_half_precision_networks_give_float32_losses(name, kind):
    law = likelihood(name, kind).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h = torch.zeros(3, law.entry_parameters, 1)
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


@pytest.mark.parametrize("kind", DEFAULTS)
def test_auto_chooses_a_law_on_the_support(kind):
    law = likelihood("auto", kind)
    assert law.measure == SUPPORTS[kind].measure
    assert kind in law.kinds
    assert type(law) is likelihoods[DEFAULTS[kind]]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("bernoulli", "unit", "not a law on unit data; choose .*'continuous-bernoulli'.*binarise="),  # A3
        ("bernoulli", "discrete", r"not a law on discrete\(17\) data"),
        ("continuous-bernoulli", "binary", "not a law on binary data"),
        ("gaussian", "discrete", r"not a law on discrete\(17\) data"),
        ("discretised-logistic", "real", "not a law on real data; choose .*'gaussian'"),
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


@pytest.mark.parametrize("kind", ["categorical", "table"])
def test_data_without_a_law_is_refused(kind):
    support = (
        Support("categorical", 3) if kind == "categorical" else Support("table", columns=(Support("real"),))
    )
    data = DataSpec((1,), support)
    with pytest.raises(UsageError, match="no likelihood here is a law on"):
        make_likelihood("auto", data, Scaling(data))


@pytest.mark.parametrize("name", likelihoods)
def test_every_likelihood_says_what_it_is(name):
    member = likelihoods[name]
    assert issubclass(member, Likelihood)
    assert member.entry_parameters >= 1
    assert set(member.kinds) <= set(SUPPORTS)
    assert member.measure in ("counting", "Lebesgue", None)
    assert likelihoods.summaries()[name].endswith((".", ")"))
