"""A model with mixed codes has the same distribution, bound and KL; only labels could distinguish it."""

from __future__ import annotations

import math

import pytest
import torch
from tests.draws import seeded
from torch import Tensor
from torch.distributions import Laplace, MultivariateNormal, Normal, Uniform, kl_divergence

import latentia as lt
from latentia.data.spec import DataSpec, Support
from latentia.distributions.posteriors import sample_with_log_prob
from latentia.errors import DataError, UsageError
from latentia.functional.disentanglement.regularisers import code_covariance, covariance_penalty
from latentia.theory.identifiability import mixing
from latentia.theory.joint_kl import LinearEncoder, LinearModel, joint_kl_linear_gaussian
from latentia.theory.rotated_latents import with_mapped_latents

HALF = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).double() / math.sqrt(2)


def rotation(d: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(seed)).double())[0]


def double(law):
    return type(law)(*(getattr(law, name).double() for name in law.arg_constraints))


FACTORS = [None, Normal(1.0, 2.0), Uniform(-1.0, 1.0), Laplace(0.5, 0.7)]


@pytest.mark.parametrize("factor", FACTORS, ids=["standard", "normal", "uniform", "laplace"])
def test_the_map_leaves_the_prior_as_it_is(factor):
    """The density of f(z), z ~ p, is that of p itself, point by point; and each entry moves every other."""
    factor = None if factor is None else double(factor)
    prior = factor or Normal(torch.zeros(()).double(), 1.0)
    f = mixing(rotation(3), factor)
    z = prior.sample((200, 3))
    y = f(z)
    log_det = f.log_abs_det_jacobian(z, y)
    log_det = log_det.sum(-1) if log_det.dim() == 2 else log_det
    assert torch.allclose(prior.log_prob(y).sum(1) + log_det, prior.log_prob(z).sum(1), atol=1e-9)
    assert torch.allclose(f.inv(y), z, atol=1e-9)
    for row in z[:5]:
        jacobian = torch.autograd.functional.jacobian(f, row)
        assert (jacobian != 0).all()
        expected = torch.linalg.slogdet(jacobian)[1]
        assert f.log_abs_det_jacobian(row, f(row)).sum().item() == pytest.approx(expected.item(), abs=1e-9)


def network(d: int = 3):
    with seeded():
        data = DataSpec((5,), Support("real"))
        return lt.recipes["vae"](data, latent_dim=d, hidden=8).objective.model.double()


def test_a_model_with_mixed_codes_has_the_same_bound_and_the_same_likelihood():
    """With the same noise, bound by bound: the ELBO of each draw, and IWAE-50, an estimate of p(x)."""
    model, x = network(), torch.randn(20, 5).double()
    other = with_mapped_latents(model, mixing(rotation(3)))

    def weights(each, samples: int) -> Tensor:
        with seeded(3):
            z, log_q = sample_with_log_prob(each.encode(x), samples)
        return each.reconstruction(z, x) + each.prior_distribution().log_prob(z) - log_q

    assert torch.allclose(weights(model, 7), weights(other, 7), atol=1e-9)
    one, two = (
        each.log_prob_bound(x, samples=50, generator=torch.Generator().manual_seed(0))
        for each in (model, other)
    )
    assert torch.allclose(one, two, atol=1e-9)
    samples = [each.rsample(6, generator=torch.Generator().manual_seed(1)) for each in (model, other)]
    assert not torch.allclose(*samples)  # of equal distributions, but by other codes
    assert not torch.allclose(model.encode(x).mean, other.encode(x).mean, atol=0.1)


def test_a_decoder_without_the_inverse_map_is_another_model():
    model, x = network(), torch.randn(20, 5).double()
    other = with_mapped_latents(model, mixing(rotation(3)))
    other.decoder = model.decoder
    one, two = (
        each.log_prob_bound(x, samples=50, generator=torch.Generator().manual_seed(0))
        for each in (model, other)
    )
    assert (one - two).abs().max() > 1e-3


def test_the_kl_of_each_row_is_the_same():
    """In closed form: f carries N(μ, Σ) to N(Rμ, RΣRᵀ)."""
    model, x, R = network(), torch.randn(20, 5).double(), rotation(3)
    q = model.encode(x)
    pushed = MultivariateNormal(q.mean @ R.T, R @ torch.diag_embed(q.variance) @ R.T)
    prior = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    assert torch.allclose(
        kl_divergence(pushed, prior), kl_divergence(q, model.prior_distribution()), atol=1e-9
    )
    z = with_mapped_latents(model, mixing(R)).encode(x).sample((5,))
    log_q = with_mapped_latents(model, mixing(R)).encode(x).log_prob(z)
    assert torch.allclose(log_q, pushed.log_prob(z), atol=1e-9)


def linear(seed: int = 0) -> tuple[LinearModel, LinearEncoder]:
    generator = torch.Generator().manual_seed(seed)
    model = LinearModel(torch.randn(4, 2, generator=generator).double(), torch.ones(4).double(), noise=0.7)
    return model, model.posterior


def mixed(model: LinearModel, encoder: LinearEncoder, R: Tensor) -> tuple[LinearModel, LinearEncoder]:
    rotated = LinearEncoder(R @ encoder.weight, R @ encoder.bias, R @ encoder.covariance @ R.T)
    return LinearModel(model.weight @ R.T, model.bias, model.noise), rotated


def test_every_part_of_the_joint_kl_is_the_same():
    """For any encoder and any data, in closed form."""
    model, exact = linear()
    encoder = LinearEncoder(0.5 * exact.weight, exact.bias + 0.3, 2 * exact.covariance)
    other, rotated = mixed(model, encoder, rotation(2))
    mean, covariance = torch.zeros(4).double(), 1.5 * torch.eye(4).double()
    one = joint_kl_linear_gaussian(mean, covariance, encoder, model)
    two = joint_kl_linear_gaussian(mean, covariance, rotated, other)
    for name in vars(one):
        assert getattr(one, name).item() == pytest.approx(getattr(two, name).item(), abs=1e-9), name
    assert torch.allclose(model.covariance, other.covariance, atol=1e-12)


def gaussian_total_correlation(covariance: Tensor) -> float:
    return 0.5 * (covariance.diagonal().log().sum() - torch.linalg.slogdet(covariance)[1]).item()


def aggregated(model: LinearModel, encoder: LinearEncoder) -> Tensor:
    return encoder.weight @ model.covariance @ encoder.weight.T + encoder.covariance


def test_penalties_cannot_tell_them_apart_where_all_codes_follow_the_prior():
    """With data of the model and its own posterior q(z) is p(z): DIP-II and total correlation are 0 for both."""
    model, encoder = linear()
    for each in ((model, encoder), mixed(model, encoder, rotation(2))):
        covariance = aggregated(*each)
        assert torch.allclose(covariance, torch.eye(2).double(), atol=1e-9)
        assert covariance_penalty(covariance, 10.0, 10.0).item() == pytest.approx(0, abs=1e-9)
        assert gaussian_total_correlation(covariance) == pytest.approx(0, abs=1e-9)


def test_elsewhere_penalties_are_not_invariant():
    covariance = torch.diag(torch.tensor([2.0, 0.5])).double()
    turned = HALF @ covariance @ HALF.T
    assert gaussian_total_correlation(covariance) == 0
    assert gaussian_total_correlation(turned) > 0.1
    assert covariance_penalty(covariance, 10.0, 1.0).item() == pytest.approx(1.25)
    assert covariance_penalty(turned, 10.0, 1.0).item() > 10


def test_dip_ii_sees_covariances_only():
    """A distribution of codes with covariance I, but not the prior, is invisible to it too; rotated rows, exactly."""
    mean = torch.cartesian_prod(*[torch.tensor([-0.8, 0.8]).double()] * 2)
    within = torch.full((4, 2), 1 - 0.64).double()
    R = rotation(2)
    turned = code_covariance(mean @ R.T, R @ torch.diag_embed(within) @ R.T)
    for covariance in (code_covariance(mean, within), turned):
        assert covariance_penalty(covariance, 10.0, 10.0).item() == pytest.approx(0, abs=1e-12)


def mutual_information_gap(codes: Tensor, factors: Tensor) -> float:
    """Return MIG of codes in [0, 1], each in 20 bins, by scikit-learn's mutual information."""
    from sklearn.metrics import mutual_info_score

    bins = (20 * codes).long()
    gaps = []
    for factor in factors.T.numpy():
        found = sorted(mutual_info_score(code, factor) for code in bins.T.numpy())
        gaps.append((found[-1] - found[-2]) / mutual_info_score(factor, factor))
    return sum(gaps) / len(gaps)


def test_the_mutual_information_gap_falls_from_one_to_none():
    """Two factors of ten values, each a code of its own; then mixed, with codes uniform before and after."""
    factors = torch.cartesian_prod(torch.arange(10), torch.arange(10)).repeat(100, 1)
    noise = torch.rand(factors.shape, generator=torch.Generator().manual_seed(0)).double()
    codes = (factors + noise) / 10
    turned = mixing(HALF, double(Uniform(0.0, 1.0)))(codes)
    assert mutual_information_gap(codes, factors) > 0.9
    assert mutual_information_gap(turned, factors) < 0.1
    uniform = torch.linspace(0, 1, len(turned)).double()
    # Kolmogorov's statistic of 10,000 uniform codes is below 0.02 but in 1 of 1,500 draws.
    assert (turned.sort(0).values - uniform[:, None]).abs().max() < 0.02


def test_matrices_that_do_not_mix_are_refused():
    for matrix, message in (
        (torch.ones(1, 1), r"R must be \(d, d\) with d of at least 2; got \(1, 1\)"),
        (torch.ones(2, 3), r"got \(2, 3\)"),
        (torch.ones(2, 2), r"R must be orthogonal; R Rᵀ is off the identity by 2"),
        (torch.eye(3), r"R must have no zeros, .* got 6"),
    ):
        with pytest.raises(UsageError, match=message):
            mixing(matrix)
    with pytest.raises(DataError, match="matrix holds NaN"):
        mixing(torch.full((2, 2), torch.nan))
