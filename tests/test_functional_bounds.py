"""Bounds against their definitions and a linear-Gaussian model with known answers. Known mistakes A6, A7."""

from __future__ import annotations

import math

import pytest
import torch
from tests.problems import linear_gaussian

from latentia.functional.bounds import elbo, iwae


def log_weights(K: int = 5, B: int = 4) -> torch.Tensor:
    return 3 * torch.randn(K, B, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_definitions():
    log_w = log_weights()
    for b in range(log_w.shape[1]):
        column = log_w[:, b].tolist()
        assert elbo(log_w)[b].item() == pytest.approx(sum(column) / 5, rel=1e-12)
        # A7: the logarithm of the mean weight, not the weighted mean of the logarithms
        assert iwae(log_w)[b].item() == pytest.approx(math.log(sum(map(math.exp, column)) / 5), rel=1e-12)


def test_weights_far_beyond_what_exp_can_hold():
    assert iwae(torch.tensor([[-2000.0], [-2000.0]])).item() == pytest.approx(-2000.0)
    assert iwae(torch.tensor([[0.0], [-torch.inf]])).item() == pytest.approx(-math.log(2))


def test_one_weight_makes_both_the_same():
    torch.testing.assert_close(elbo(log_weights(K=1)), iwae(log_weights(K=1)))


def test_gradient_of_iwae_is_the_normalised_weight():  # A6: the best sample gets most weight
    log_w = log_weights().requires_grad_()
    (gradient,) = torch.autograd.grad(iwae(log_w).sum(), log_w)
    torch.testing.assert_close(gradient, log_w.detach().softmax(0))


def test_exact_posterior_makes_every_bound_equal_log_p():
    model = linear_gaussian()
    x = model.rows(20).x
    log_w = model.log_weights(x, 3, torch.Generator().manual_seed(1))
    truth = model.log_prob(x)
    torch.testing.assert_close(elbo(log_w), truth, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(iwae(log_w), truth, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.elbo(x), truth, rtol=1e-9, atol=1e-9)


def test_elbo_averages_to_its_closed_form():
    model = linear_gaussian(slack=0.5)
    x = model.rows(20).x
    log_w = model.log_weights(x, 20_000, torch.Generator().manual_seed(1))
    error = (elbo(log_w) - model.elbo(x)) / (log_w.std(0) / math.sqrt(20_000))
    assert error.abs().max() < 4.0  # false alarm: 20 two-sided normal tails at 4, about 1e-3


def test_bound_rises_with_the_number_of_weights_towards_log_p():
    model = linear_gaussian(slack=0.5)
    x = model.rows(50).x
    log_w = model.log_weights(x, 64 * 300, torch.Generator().manual_seed(1))
    means = [iwae(log_w.view(K, -1, 50)).mean().item() for K in (1, 4, 16, 64)]
    truth = model.log_prob(x).mean().item()
    assert means[0] == pytest.approx(model.elbo(x).mean().item(), abs=0.01)  # more than 5 standard errors
    assert means == sorted(means)
    assert means[0] < truth - 0.3
    assert means[-1] < truth + 0.01  # more than 5 standard errors
    assert truth - means[-1] < 0.1 * (truth - means[0])


@pytest.mark.parametrize("bound", [elbo, iwae])
def test_no_weight_is_refused(bound):
    with pytest.raises(ValueError, match=r"log_w needs shape .* got \(0, 3\)"):
        bound(torch.zeros(0, 3))
