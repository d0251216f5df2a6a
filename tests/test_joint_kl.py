"""The joint KL and its parts against naive sums, integrals, and each other."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from latentia.errors import DataError, UsageError
from latentia.theory.joint_kl import (
    JointKL,
    LinearEncoder,
    LinearModel,
    joint_kl,
    joint_kl_linear_gaussian,
)


def tables(seed: int, rows: int = 4, codes: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    data, posterior, joint = (
        torch.rand(*shape, generator=generator).double() for shape in ((rows,), (rows, codes), (rows, codes))
    )
    return data / data.sum(), posterior / posterior.sum(1, keepdim=True), joint / joint.sum()


def agree(parts: JointKL, tolerance: float = 1e-9) -> None:
    for form in (parts.conceptual, parts.computational):
        assert form.item() == pytest.approx(parts.value.item(), abs=tolerance)
    assert parts.elbo_as_likelihood.item() == pytest.approx(parts.elbo.item(), abs=tolerance)


@pytest.mark.parametrize("seed", range(5))
def test_both_forms_of_a_table_are_its_joint_kl(seed):
    data, posterior, joint = tables(seed)
    parts = joint_kl(data, posterior, joint)
    agree(parts)
    naive = sum(
        data[x].item() * q.item() * math.log(data[x].item() * q.item() / joint[x, z].item())
        for x in range(4)
        for z, q in enumerate(posterior[x])
    )
    assert parts.value.item() == pytest.approx(naive, abs=1e-12)
    p_x, p_z = joint.sum(1), joint.sum(0)
    expected = {
        "model_gap": (data * (data / p_x).log()).sum(),
        "inference_gap": (data[:, None] * posterior * (posterior / (joint / p_x[:, None])).log()).sum(),
        "data_entropy": -(data * data.log()).sum(),
        "log_likelihood": (data * p_x.log()).sum(),
        "reconstruction": (data[:, None] * posterior * (joint / p_z).log()).sum(),
        "rate": (data[:, None] * posterior * (posterior / p_z).log()).sum(),
    }
    for name, value in expected.items():
        assert getattr(parts, name).item() == pytest.approx(value.item(), abs=1e-12), name


def test_with_given_codes_it_is_the_kl_of_the_joint_distributions():
    """p_data(z | x) takes the encoder's place."""
    joint_data, joint = tables(1)[2], tables(2)[2]
    data = joint_data.sum(1)
    parts = joint_kl(data, joint_data / data[:, None], joint)
    agree(parts)
    assert parts.value.item() == pytest.approx(
        (joint_data * (joint_data / joint).log()).sum().item(), abs=1e-12
    )


def test_gaps_close_where_theory_says_so():
    data, posterior, joint = tables(3)
    exact = joint / joint.sum(1, keepdim=True)
    best = joint_kl(data, exact, joint)
    agree(best)
    assert abs(best.inference_gap.item()) < 1e-12
    assert best.elbo.item() == pytest.approx(best.log_likelihood.item(), abs=1e-12)
    assert joint_kl(data, posterior, joint).elbo < best.elbo
    own = joint_kl(joint.sum(1), exact, joint)
    assert abs(own.value.item()) < 1e-12
    assert own.elbo.item() == pytest.approx(-own.data_entropy.item(), abs=1e-12)


def test_rows_and_codes_that_never_come_cost_nothing():
    data = torch.tensor([0.5, 0.5, 0.0]).double()
    posterior = torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]]).double()
    joint = torch.tensor([[0.5, 0.0], [0.25, 0.25], [0.0, 0.0]]).double()
    agree(joint_kl(data, posterior, joint))


def test_bad_tables_are_refused():
    data, posterior, joint = tables(0)
    with pytest.raises(
        UsageError, match=r"must be \(X,\), \(X, Z\) and \(X, Z\); got \(3,\), \(4, 3\), \(4, 3\)"
    ):
        joint_kl(data[:3], posterior, joint)
    with pytest.raises(DataError, match="posterior must sum to one"):
        joint_kl(data, 2 * posterior, joint)
    hole = joint.clone()
    hole[0, 0] = 0
    with pytest.raises(DataError, match="p\\(x, z\\) is 0 at 1 pairs"):
        joint_kl(data, posterior, hole / hole.sum())


def problem(D: int = 3, d: int = 2, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).double()

    def positive(size: int) -> Tensor:
        root = drawn(size, size)
        return root @ root.T + 0.3 * torch.eye(size).double()

    encoder = LinearEncoder(0.5 * drawn(d, D), drawn(d), positive(d))
    return drawn(D), positive(D), encoder, LinearModel(drawn(D, d), drawn(D), noise=0.8)


@pytest.mark.parametrize("seed", range(5))
def test_both_forms_of_the_linear_gaussian_model_are_its_joint_kl(seed):
    parts = joint_kl_linear_gaussian(*problem(seed=seed))
    agree(parts)
    assert parts.inference_gap > 0
    assert parts.model_gap > 0


def test_its_parts_are_the_integrals():
    """By the trapezium rule on a grid of (x, z) in one dimension each."""
    mean, S, encoder, model = problem(D=1, d=1, seed=2)
    parts = joint_kl_linear_gaussian(mean, S, encoder, model)
    x = torch.linspace(-14, 14, 1201).double()
    z = torch.linspace(-14, 14, 1201).double()[None]
    cell = (28 / 1200) ** 2
    log_data = Normal(mean, S.sqrt().squeeze()).log_prob(x)[:, None]
    log_q = Normal(x[:, None] * encoder.weight + encoder.bias, encoder.covariance.sqrt()).log_prob(z)
    log_given = Normal(z * model.weight + model.bias, model.noise).log_prob(x[:, None])
    log_prior = Normal(0.0, 1.0).log_prob(z)
    log_p = Normal(model.bias, model.covariance.sqrt().squeeze()).log_prob(x)[:, None]
    of = (log_data + log_q).exp() * cell
    expected = {
        "value": log_data + log_q - log_given - log_prior,
        "model_gap": log_data - log_p,
        "inference_gap": log_q - (log_given + log_prior - log_p),
        "data_entropy": -log_data,
        "log_likelihood": log_p,
        "reconstruction": log_given,
        "rate": log_q - log_prior,
    }
    for name, integrand in expected.items():
        assert getattr(parts, name).item() == pytest.approx((of * integrand).sum().item(), abs=1e-6), name


def test_the_posterior_of_the_model_is_that_of_its_joint_distribution():
    """Against conditioning the joint Gaussian of (x, z) by Bayes, at a few rows and codes."""
    _, _, _, model = problem()
    x, z = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    q = model.posterior
    found = MultivariateNormal(x @ q.weight.T + q.bias, q.covariance).log_prob(z)
    given = Normal(z @ model.weight.T + model.bias, model.noise).log_prob(x).sum(1)
    evidence = MultivariateNormal(model.bias, model.covariance).log_prob(x)
    assert torch.allclose(found, given + Normal(0.0, 1.0).log_prob(z).sum(1) - evidence, atol=1e-12)
    exact = joint_kl_linear_gaussian(model.bias, model.covariance, q, model)
    assert abs(exact.value.item()) < 1e-9
    assert abs(exact.inference_gap.item()) < 1e-9


def test_a_covariance_that_is_none_is_refused():
    mean, S, encoder, model = problem()
    with pytest.raises(DataError, match="positive definite"):
        joint_kl_linear_gaussian(mean, -S, encoder, model)
    with pytest.raises(DataError, match="covariance holds NaN"):
        joint_kl_linear_gaussian(mean, S * torch.nan, encoder, model)
