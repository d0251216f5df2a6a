"""Every registered prior and posterior is the law it says it is.

Rows A8, A9 and A18 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math

import pytest
import torch
from tests.draws import seeded, seeded_generator
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

import latentia as lt
from latentia.core.objective import Batch
from latentia.data.spec import DataSpec, Support
from latentia.distributions.diagonal_gaussian import DiagonalGaussian, StandardGaussian
from latentia.distributions.diagonal_mixture import DiagonalMixture
from latentia.distributions.flows import Flows
from latentia.distributions.posteriors import Posterior, make_posterior, sample_and_kl, sample_with_log_prob
from latentia.distributions.priors import Prior, PriorSetting, make_prior
from latentia.distributions.transformed import Transformed
from latentia.errors import DataError, UsageError
from latentia.networks.scaling import Scaling

DIM = 2
DATA = DataSpec((3,), Support("real"))
each_prior = pytest.mark.parametrize("name", lt.priors)
each_posterior = pytest.mark.parametrize("name", lt.posteriors)
LIMIT = 6.0  # standard errors: a false alarm in 1 of 5·10⁸


def encode(x: Tensor) -> DiagonalGaussian:
    """Return narrow Gaussians at the rows' first entries."""
    return DiagonalGaussian(x[:, :DIM], x[:, 1:] - 2)


def prior(name: str, dim: int = DIM, data: DataSpec = DATA, components: int = 4) -> Prior:
    """Return a prior in float64 with parameters that are not those it begins with."""
    with seeded():
        scaling = Scaling(data)
        scaling.shift.fill_(0.5)
        scaling.scale.fill_(2.0)
        made = make_prior(name, PriorSetting(dim, data, scaling, components, Flows(2, 8))).double()
        for parameter in made.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
        made.begin(Batch(torch.randn(20, *data.event_shape).double()))
    return made


def posterior(name: str, rows: int = 3, dim: int = DIM, *, scale: float = 0.5):
    """Return q(z | x) of some rows, in float64, and the module."""
    with seeded(1):
        module = make_posterior(name, dim, Flows(2, 8)).double()
        h = (scale * torch.randn(rows, module.param_dim)).double().requires_grad_()
    return module, h


def grid(low: float = -9.0, high: float = 9.0, steps: int = 500) -> tuple[Tensor, float]:
    """Return the points of a square of the plane, and the area of each."""
    line = torch.linspace(low, high, steps, dtype=torch.float64)
    return torch.cartesian_prod(line, line), float(line[1] - line[0]) ** 2


# --- priors -----------------------------------------------------------------------------------------------------


@each_prior
def test_a_prior_is_a_law_of_vectors_that_integrates_to_one(name):
    law = prior(name).requires_grad_(False)(encode)
    assert (law.batch_shape, law.event_shape) == ((), (DIM,))
    if name == "uniform":
        assert law.log_prob(torch.zeros(5, DIM).double()).tolist() == pytest.approx([-DIM * math.log(2)] * 5)
        return
    points, area = grid()
    assert float(law.log_prob(points).exp().sum()) * area == pytest.approx(1, abs=2e-3)


@each_prior
def test_its_samples_are_of_its_density(name):
    """The mean of 40,000 draws and their second moments are the integrals of the density, within 6 standard errors."""
    law = prior(name).requires_grad_(False)(encode)
    with seeded(2):
        z = law.sample((40_000,))
    assert z.shape == (40_000, DIM)
    points, area = grid() if name != "uniform" else grid(-1 + 1 / 500, 1 - 1 / 500)
    weights = law.log_prob(points).exp() * area
    for moment in (
        lambda x: x[:, 0],
        lambda x: x[:, 1],
        lambda x: x[:, 0] * x[:, 1],
        lambda x: x[:, 1].square(),
    ):
        values = moment(z)
        error = float(values.std()) / math.sqrt(len(z))
        assert abs(float(values.mean() - (weights * moment(points)).sum())) < LIMIT * error + 5e-3


@each_prior
def test_its_parameters_move_with_the_density(name):
    """A fixed prior has none; of a learned one, every parameter has a gradient."""
    made = prior(name)
    learned = {key: value for key, value in made.named_parameters() if value.requires_grad}
    assert bool(learned) == (name not in ("standard-normal", "uniform", "vamp-data"))
    z = 0.5 * torch.randn(30, DIM, generator=seeded_generator()).double()
    if learned:
        made(encode).log_prob(z).sum().backward()
    for key, value in learned.items():
        assert value.grad is not None, key
        assert value.grad.abs().sum() > 0, key


def test_a_mixture_is_that_of_torch():
    generator = seeded_generator()
    logits, mean, log_var = torch.randn(5, generator=generator), *torch.randn(2, 5, 3, generator=generator)
    law = DiagonalMixture(logits.double(), mean.double(), log_var.double())
    parts = Independent(Normal(mean.double(), (0.5 * log_var.double()).exp()), 1)
    expected = MixtureSameFamily(Categorical(logits=logits.double()), parts)
    z = 3 * torch.randn(4, 7, 3, generator=generator).double()
    assert torch.allclose(law.log_prob(z), expected.log_prob(z), rtol=1e-12)
    assert torch.allclose(law.mean, expected.mean)
    assert torch.allclose(law.variance, expected.variance)


def test_a_mixture_far_from_the_origin_keeps_its_digits():
    """In float32, about 1,000 deviations away: against float64, to 1e-3 nats."""
    mean = 1000 + torch.randn(6, 2, generator=seeded_generator())
    law, exact = (DiagonalMixture(torch.zeros(6), mean, torch.zeros(6, 2)), None)
    exact = DiagonalMixture(torch.zeros(6).double(), mean.double(), torch.zeros(6, 2).double())
    z = mean[:3] + 0.5
    assert torch.allclose(law.log_prob(z).double(), exact.log_prob(z.double()), atol=1e-3)


@pytest.mark.parametrize("name", ["vamp", "vamp-data"])
def test_a_vamp_prior_is_the_mixture_of_its_pseudo_inputs_posteriors(name):
    """Tomczak and Welling (2018), equation 10; its pseudo-inputs begin as rows."""
    made = prior(name)
    z = torch.randn(6, DIM, generator=seeded_generator()).double()
    parts = encode(made.inputs.detach())
    expected = torch.stack(
        [DiagonalGaussian(m, v).log_prob(z) for m, v in zip(parts.mean, parts.log_var, strict=True)]
    )
    assert torch.allclose(made(encode).log_prob(z), expected.logsumexp(0) - math.log(4))
    rows = torch.randn(20, 3, generator=seeded_generator(5)).double()
    made.begin(Batch(rows))
    distance = (made.scaling.inverse(made.inputs)[:, None] - rows).abs().amax(-1)
    assert (distance.amin(1) < 1e-12).all()
    assert len(distance.argmin(1).unique()) == 4


def test_pseudo_inputs_of_bounded_data_stay_within_its_bounds():
    grey = DataSpec((3,), Support("unit"))
    made = make_prior("vamp", PriorSetting(DIM, grey, Scaling(grey), 4))
    made.inputs.data.fill_(7.0)
    seen: list[Tensor] = []
    made(lambda x: seen.append(x) or encode(x))
    assert 0.999 < seen[0].max() <= 1


def test_every_pixel_of_a_pseudo_input_can_move_though_binary_rows_are_at_the_ends():
    bits = DataSpec((3,), Support("binary"))
    made = make_prior("vamp", PriorSetting(DIM, bits, Scaling(bits), 4))
    rows = torch.bernoulli(torch.full((20, 3), 0.5), generator=seeded_generator(5))
    made.begin(Batch(rows))
    begun = made.scaling.inverse(made.rows().detach())
    assert torch.allclose((begun - 0.5).abs(), torch.full_like(begun, 0.25))  # half the contrast
    assert ((begun > 0.5).float()[:, None] == rows).all(-1).any(1).all()  # of some row each
    optimiser = torch.optim.Adam(made.parameters(), lr=0.5)
    for _ in range(20):  # outwards, in steps that would have left the range at once
        optimiser.zero_grad()
        (-made.rows().sum()).backward()
        optimiser.step()
    (gradient,) = torch.autograd.grad(made.rows().sum(), [made.inputs])
    assert (gradient > 0).all()


def test_a_model_samples_from_the_prior_it_has_learned():
    """A9. Two learned priors far apart give different samples, through one decoder."""
    data = torch.rand(50, 4, generator=seeded_generator())
    run = lt.fit("vae", data, prior="gaussian-mixture", latent_dim=2, hidden=8, steps=1, progress=False)
    found = []
    for place in (-50.0, 50.0):
        run.model.prior.means.data.fill_(place)
        found.append(run.sample(200, seed=0).mean(0))
    assert (found[0] - found[1]).abs().max() > 1


def test_bad_priors_are_refused():
    data = torch.rand(5, 4, generator=seeded_generator())
    fit = {"hidden": 4, "steps": 1, "progress": False}
    for options, line in (
        ({"prior": "vamps"}, "unknown prior 'vamps'; did you mean 'vamp'"),
        ({"prior": "vamp", "prior_components": 0}, "prior_components must be at least 1; got 0"),
        (
            {"prior_components": 3},
            "prior_components=3 is for prior='gaussian-mixture' .*; got prior='standard-normal'",
        ),
        ({"prior": "maf", "prior_hidden": 0}, "hidden must be at least 1"),
        ({"prior": "uniform"}, "KL of a Gaussian from a uniform prior is infinite"),
        ({"prior": "realnvp", "latent_dim": 1}, "couples entries of the code, and latent_dim is 1"),
        ({"prior": "vamp", "prior_components": 2, "posterior": "full"}, "choose posterior='diagonal'"),
        ({"prior": "vamp", "conditional": True, "labels": list("aabbc")}, "has rows without a class"),
        ({"posterior": "fall"}, "unknown posterior 'fall'; did you mean 'full'"),
        ({"posterior_hidden": 8}, "posterior_hidden=8 is for posterior='iaf' .*; got posterior='diagonal'"),
    ):
        with pytest.raises(UsageError, match=line):
            lt.fit("vae", data, **fit, **options)
    with pytest.raises(DataError, match="6 pseudo-inputs start as random rows, and there are 5 rows"):
        lt.fit("vae", data, prior="vamp", prior_components=6, **fit)


# --- posteriors -------------------------------------------------------------------------------------------------


@each_posterior
def test_a_posterior_is_a_law_of_vectors_for_each_row(name):
    module, h = posterior(name)
    law = module(h)
    assert (law.batch_shape, law.event_shape) == ((3,), (DIM,))
    assert law.mean.shape == (3, DIM)
    z = law.rsample((5,))
    assert z.shape == (5, 3, DIM)
    assert law.log_prob(z).shape == (5, 3)


@each_posterior
def test_its_density_integrates_to_one_for_each_row(name):
    module, h = posterior(name)
    points, area = grid()
    with torch.no_grad():
        density = module(h).log_prob(points[:, None].expand(-1, 3, -1)).exp()
    assert (density.sum(0) * area).tolist() == pytest.approx([1, 1, 1], abs=2e-3)


@each_posterior
def test_draws_come_with_the_log_density_that_it_has_there(name):
    module, h = posterior(name, dim=3)
    with seeded():
        z, log_q = sample_with_log_prob(module(h), 7)
    assert torch.allclose(module(h).log_prob(z), log_q, atol=1e-8)


@each_posterior
def test_every_number_and_every_parameter_has_a_gradient(name):
    """A18: draws are reparameterised."""
    module, h = posterior(name)
    with seeded():
        z, kl = sample_and_kl(
            module(h), StandardGaussian(torch.zeros(DIM).double(), torch.zeros(DIM).double()), 4
        )
    (z.square().sum() + kl.sum()).backward()
    assert (h.grad.abs().sum(0) > 0).all()
    for key, value in module.named_parameters():
        # A mask leaves some weights of the first entry's networks without use; no tensor is without.
        assert value.grad is not None, key
        assert value.grad.abs().sum() > 0, key


@each_posterior
def test_the_kl_is_the_integral_in_the_plane(name):
    """In closed form for Gaussians; else the mean over 20,000 draws, within 6 standard errors."""
    module, h = posterior(name)
    p = StandardGaussian(torch.zeros(DIM).double(), torch.zeros(DIM).double())
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        _, kl = sample_and_kl(module(h), p, 20_000)
        points, area = grid()
        log_q = module(h).log_prob(points[:, None].expand(-1, 3, -1))
        ratio = log_q - p.log_prob(points)[:, None]
        expected = (log_q.exp() * ratio).sum(0) * area
        spread = ((log_q.exp() * ratio.square()).sum(0) * area - expected.square()).sqrt()
    within = 1e-4 if name in ("diagonal", "full") else LIMIT * spread.max().item() / math.sqrt(20_000)
    assert kl.tolist() == pytest.approx(expected.tolist(), abs=within)


@pytest.mark.parametrize("name", ["iaf", "maf", "realnvp", "planar"])
def test_log_determinants_are_those_of_the_jacobian(name):
    module, h = posterior(name, rows=1, dim=4)
    law = module(h.detach())
    assert isinstance(law, Transformed)
    z_0 = torch.randn(1, 4, generator=seeded_generator()).double()
    full = jacobian(lambda z: law.transform(z), z_0)[0, :, 0]
    z = law.transform(z_0)
    expected = torch.linalg.slogdet(full).logabsdet
    assert torch.allclose(law.transform.log_abs_det_jacobian(z_0, z)[0], expected, atol=1e-8)
    assert torch.allclose(law.transform.inv(z), z_0, atol=1e-7)


def test_draws_take_one_pass_of_an_inverse_autoregressive_flow_and_as_many_as_entries_of_the_other():
    calls = {"iaf": 2, "maf": 2 * 6, "realnvp": 2 * 2}  # of 2 layers, 5 entries; once for determinants
    for name, expected in calls.items():
        module, h = posterior(name, dim=5)
        seen: list[str] = []
        for part in module.modules():
            if type(part).__name__ in ("MaskedMLP", "MLP"):
                part.register_forward_hook(lambda *_, seen=seen: seen.append(""))
        module(h).rsample((1,))
        assert len(seen) == expected, name


def test_planar_layers_can_be_undone_where_they_nearly_fold():
    """wᵀu = −5.5, which the layer turns into −0.99; gradients of the inverse are those of finite differences."""
    module, _ = posterior("planar", rows=1)
    h = torch.zeros(1, module.param_dim).double()
    h[0, 4:6], h[0, 6:8] = torch.tensor([-2.0, 0.5]), torch.tensor([3.0, 1.0])
    z_0 = torch.randn(200, 1, DIM, generator=seeded_generator()).double()
    transform = module(h).transform
    assert torch.allclose(transform.inv(transform(z_0)), z_0, atol=1e-6)
    z = torch.tensor([[0.3, -0.4]]).double()
    torch.autograd.gradcheck(lambda h: module(h).log_prob(z), h.clone().requires_grad_(), atol=1e-5)


def test_a_full_posterior_is_torchs_gaussian():
    module, h = posterior("full", dim=3)
    law = module(h)
    plain = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    standard = StandardGaussian(torch.zeros(3).double(), torch.zeros(3).double())
    assert torch.allclose(kl_divergence(law, standard), kl_divergence(law, plain.expand((3,))))
    zero = module(torch.zeros(1, module.param_dim).double())
    assert torch.allclose(zero.covariance_matrix, torch.eye(3).double())


# --- the two ways to see a flow ---------------------------------------------------------------------------------


def elbo(q: Transformed | DiagonalGaussian, p, decode, noise_seed: int = 0) -> Tensor:
    """Return log p(x | z) + log p(z) − log q(z) of one draw for each row."""
    with seeded(noise_seed):
        z, log_q = sample_with_log_prob(q, 1)
    return decode(z[0]) + p.log_prob(z[0]) - log_q[0]


@pytest.mark.parametrize("name", ["maf", "realnvp"])
def test_a_flow_prior_is_a_plain_prior_with_the_flow_in_the_posterior_and_the_decoder(name):
    """ELBO(flow prior, q, p(x|z)) = ELBO(plain prior, q through f⁻¹, p(x|f(z₀))), for each draw; E18 and E19."""
    law = prior(name, dim=3)(encode)
    q = DiagonalGaussian(*torch.randn(2, 5, 3, generator=seeded_generator()).double())
    target, W = (
        torch.randn(5, 4, generator=seeded_generator(1)).double(),
        torch.randn(3, 4, generator=seeded_generator(2)).double(),
    )

    def decode(z: Tensor) -> Tensor:
        return Normal(z @ W, 0.5).log_prob(target).sum(1)

    one = elbo(q, law, decode)
    pulled = Transformed(q, law.transform.inv)
    other = elbo(pulled, law.base, lambda z_0: decode(law.transform(z_0)))
    assert torch.allclose(one, other, atol=1e-10)
    assert not torch.allclose(one, elbo(pulled, law.base, decode), atol=1e-2)  # the decoder is not composed


def test_module_types():
    assert all(issubclass(lt.posteriors[name], Posterior) for name in lt.posteriors)
    assert all(issubclass(lt.priors[name], Prior) for name in lt.priors)
