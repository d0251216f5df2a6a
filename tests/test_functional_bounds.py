"""Bounds against their definitions and a linear-Gaussian model with known answers.

Rows A6, A7 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math

import pytest
import torch
from tests.problems import linear_gaussian
from torch.distributions import MultivariateNormal

from latentia.core.randomness import using_generator
from latentia.functional.bounds import (
    cubo,
    effective_sample_size,
    elbo,
    iwae,
    jvi,
    renyi,
    renyi_jackknife,
    sandwich,
)


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


@pytest.mark.parametrize(
    "bound", [elbo, iwae, cubo, jvi, sandwich, effective_sample_size, lambda log_w: renyi(log_w, 0.5)]
)
def test_no_weight_is_refused(bound):
    with pytest.raises(ValueError, match=r"log_w needs shape .* got \(0, 3\)"):
        bound(torch.zeros(0, 3))


ALPHAS = [-1.0, 0.0, 0.3, 1.0, 2.0]
FINITE = [-1.0, 0.0, 0.3, 1.0, 1.3]  # where w^(1−α) of the problem below has a finite variance


def renyi_divergence(q: MultivariateNormal, p: MultivariateNormal, alpha: float) -> torch.Tensor:
    """Return D_α(q‖p) = log ∫ q^α p^(1−α) / (α − 1) of Gaussians, (B,)."""
    cov_q, cov_p = q.covariance_matrix, p.covariance_matrix
    mixed = alpha * cov_p + (1 - alpha) * cov_q
    assert (torch.linalg.eigvalsh(mixed) > 0).all()  # the integral is finite
    delta = (q.mean - p.mean)[..., None]
    shift = (delta.mT @ torch.linalg.solve(mixed, delta)).squeeze((-2, -1))
    log_det = mixed.logdet() - (1 - alpha) * cov_q.logdet() - alpha * cov_p.logdet()
    return alpha / 2 * shift - log_det / (2 * (alpha - 1))


def exact_renyi(model, x: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return the bound of infinitely many weights, log p(x) − D_α(q(z|x) ‖ p(z|x)), (B,) nats."""
    if alpha == 1:
        return model.elbo(x)
    return model.log_prob(x) - renyi_divergence(model.encode(x), model.posterior(x), alpha)


def posterior_log_weights(model, x: torch.Tensor, samples: int, seed: int) -> torch.Tensor:
    with using_generator(torch.Generator().manual_seed(seed)):
        z = model.posterior(x).sample((samples,))
    return model.decode(z).log_prob(x.double()) + model.prior.log_prob(z) - model.encode(x).log_prob(z)


def naive_renyi(log_w: list[float], alpha: float) -> float:
    if alpha == 1:
        return sum(log_w) / len(log_w)
    return math.log(sum(math.exp(value) ** (1 - alpha) for value in log_w) / len(log_w)) / (1 - alpha)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_renyi_is_its_definition(alpha):
    log_w = log_weights()
    for b in range(log_w.shape[1]):
        assert renyi(log_w, alpha)[b].item() == pytest.approx(naive_renyi(log_w[:, b].tolist(), alpha))


def test_renyi_is_the_elbo_at_one_iwae_at_nought_and_the_chi_bound_below():
    log_w = log_weights()
    torch.testing.assert_close(renyi(log_w, 1), elbo(log_w))
    torch.testing.assert_close(renyi(log_w, 0), iwae(log_w))
    for alpha in (1 - 1e-7, 1 + 1e-7):
        torch.testing.assert_close(renyi(log_w, alpha), elbo(log_w), rtol=0, atol=1e-5)
    root_mean_square = (2 * log_w).exp().mean(0).sqrt().log()
    torch.testing.assert_close(cubo(log_w), root_mean_square)
    torch.testing.assert_close(cubo(log_w, n=1), iwae(log_w))
    torch.testing.assert_close(cubo(log_w, n=3.5), renyi(log_w, -2.5))


def test_renyi_falls_in_alpha_on_the_same_weights():
    log_w = log_weights()
    values = torch.stack([renyi(log_w, alpha) for alpha in (-5, -1, -0.5, 0, 0.5, 1, 1.5, 4)])
    assert (values.diff(dim=0) < 0).all()


@pytest.mark.parametrize("alpha", FINITE)
def test_renyi_tends_to_log_p_less_the_renyi_divergence(alpha):
    model = linear_gaussian(slack=0.3)
    x = model.rows(20).x
    estimate = renyi_jackknife(model.log_weights(x, 20_000, torch.Generator().manual_seed(1)), alpha)
    exact = exact_renyi(model, x, alpha)
    error = (estimate.value - exact) / estimate.stderr
    assert error.abs().max() < 4.5  # false alarm: 20 two-sided normal tails at 4.5, about 1e-4
    assert estimate.stderr.max() < 0.05
    truth = model.log_prob(x)
    assert ((exact < truth) if alpha > 0 else (exact >= truth - 1e-12)).all()


def test_exact_posterior_makes_every_renyi_bound_equal_log_p_with_no_error():
    model = linear_gaussian()
    x = model.rows(20).x
    log_w = model.log_weights(x, 6, torch.Generator().manual_seed(1))
    for alpha in ALPHAS:
        estimate = renyi_jackknife(log_w, alpha)
        torch.testing.assert_close(estimate.value, model.log_prob(x), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(estimate.corrected, model.log_prob(x), rtol=1e-9, atol=1e-8)
        assert estimate.stderr.max() < 1e-8
    torch.testing.assert_close(effective_sample_size(log_w), torch.full((20,), 6.0).double())


@pytest.mark.parametrize("alpha", ALPHAS)
def test_jackknife_is_its_naive_loop(alpha):
    log_w = log_weights()
    ours = renyi_jackknife(log_w, alpha)
    for b in range(log_w.shape[1]):
        column = log_w[:, b].tolist()
        without = [naive_renyi(column[:k] + column[k + 1 :], alpha) for k in range(5)]
        value, mean = naive_renyi(column, alpha), sum(without) / 5
        stderr = math.sqrt(4 / 5 * sum((one - mean) ** 2 for one in without))
        assert ours.value[b].item() == pytest.approx(value)
        assert ours.stderr[b].item() == pytest.approx(stderr)
        assert ours.corrected[b].item() == pytest.approx(5 * value - 4 * mean)


def test_jackknife_error_of_the_elbo_is_that_of_a_mean():
    log_w = log_weights()
    torch.testing.assert_close(renyi_jackknife(log_w, 1.0).stderr, log_w.std(0) / math.sqrt(5))
    torch.testing.assert_close(renyi_jackknife(log_w, 1.0).corrected, elbo(log_w))  # which has no bias


@pytest.mark.parametrize("alpha", FINITE)
def test_jackknife_error_is_the_spread_over_draws(alpha):
    model = linear_gaussian(slack=0.3)
    x = model.rows(1).x.expand(2000, 4)
    estimate = renyi_jackknife(model.log_weights(x, 200, torch.Generator().manual_seed(1)), alpha)
    # the spread of 2,000 draws is known to 1.6 %, the jackknife's mean better, its bias is some 5 %
    assert estimate.stderr.square().mean().sqrt().item() == pytest.approx(
        estimate.value.std().item(), rel=0.15
    )


def test_jackknife_where_one_weight_dominates():
    log_w = torch.tensor([[0.0], [500.0], [1.0], [-300.0]])  # without the second, log (1 + e + 0)/3
    estimate = renyi_jackknife(log_w, 0.0)
    without = [500 - math.log(3)] * 3 + [math.log((1 + math.e) / 3)]
    mean = sum(without) / 4
    expected = math.sqrt(3 / 4 * sum((one - mean) ** 2 for one in without))
    assert estimate.stderr.item() == pytest.approx(expected, rel=1e-6)


def test_jackknife_of_far_weights_and_weights_of_nought():
    far = log_weights() - 5000.0
    torch.testing.assert_close(renyi_jackknife(far, 0.0).stderr, renyi_jackknife(log_weights(), 0.0).stderr)
    log_w = torch.tensor([[0.0], [-torch.inf], [1.0]])
    assert renyi_jackknife(log_w, 0.0).stderr.isfinite().all()


def test_jackknife_removes_the_bias_of_order_one_over_k():
    model = linear_gaussian(slack=0.5)
    x = model.rows(50).x
    log_w = model.log_weights(x, 16 * 400, torch.Generator().manual_seed(1)).view(16, 400, 50)
    truth = model.log_prob(x)
    bias = (iwae(log_w) - truth).mean().item()
    corrected = (jvi(log_w) - truth).mean().item()
    assert bias < -0.02  # some ten standard errors
    assert abs(corrected) < 0.4 * abs(bias)
    torch.testing.assert_close(jvi(log_w), renyi_jackknife(log_w, 0.0).corrected)


def test_sandwich_holds_log_p_on_average_with_few_weights():
    model = linear_gaussian(slack=0.5)
    x = model.rows(50).x
    log_w = model.log_weights(x, 4 * 500, torch.Generator().manual_seed(1)).view(4, 500, 50)
    from_posterior = posterior_log_weights(model, x, 4 * 500, seed=2).view(4, 500, 50)
    bounds, truth = sandwich(log_w, from_posterior), model.log_prob(x).mean().item()
    lower, upper = bounds.lower.mean().item(), bounds.upper.mean().item()
    assert lower < truth - 0.05 < truth + 0.05 < upper  # more than five standard errors on either side
    torch.testing.assert_close(bounds.lower, iwae(log_w))
    torch.testing.assert_close(bounds.upper, -iwae(-from_posterior))
    torch.testing.assert_close(bounds.lower_stderr, renyi_jackknife(log_w, 0.0).stderr)
    torch.testing.assert_close(bounds.upper_stderr, renyi_jackknife(-from_posterior, 0.0).stderr)


def test_sandwich_closes_with_many_weights():
    model = linear_gaussian(slack=0.2)
    x = model.rows(20).x
    log_w = model.log_weights(x, 20_000, torch.Generator().manual_seed(1))
    bounds = sandwich(log_w, posterior_log_weights(model, x, 20_000, seed=2))
    truth = model.log_prob(x)
    for side, stderr in ((bounds.lower, bounds.lower_stderr), (bounds.upper, bounds.upper_stderr)):
        assert ((side - truth) / stderr).abs().max() < 4.5  # false alarm: about 1e-4
        assert stderr.max() < 0.02


def test_sandwich_without_posterior_draws_has_the_chi_bound_above():
    model = linear_gaussian(slack=0.5)
    x = model.rows(20).x
    log_w = model.log_weights(x, 20_000, torch.Generator().manual_seed(1))
    bounds, truth = sandwich(log_w), model.log_prob(x)
    torch.testing.assert_close(bounds.upper, cubo(log_w))
    assert (bounds.upper > truth + 5 * bounds.upper_stderr).all()
    assert (exact_renyi(model, x, -1.0) > truth).all()


def test_effective_sample_size():
    log_w = log_weights()
    w = log_w.exp()
    torch.testing.assert_close(effective_sample_size(log_w), w.sum(0) ** 2 / w.square().sum(0))
    torch.testing.assert_close(effective_sample_size(log_w - 4000.0), effective_sample_size(log_w))
    assert effective_sample_size(torch.tensor([[-2000.0], [0.0], [-torch.inf]])).item() == 1.0


@pytest.mark.parametrize("alpha", ALPHAS)
def test_gradients_equal_finite_differences(alpha):
    log_w = log_weights().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: renyi(values, alpha), log_w)
    assert torch.autograd.gradcheck(lambda values: renyi_jackknife(values, alpha).corrected, log_w)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    log_w = log_weights().to(dtype)
    bounds = sandwich(log_w)
    results = [renyi(log_w, 0.5), cubo(log_w), jvi(log_w), effective_sample_size(log_w)]
    results += [bounds.lower, bounds.lower_stderr, bounds.upper, bounds.upper_stderr]
    assert all(result.dtype == dtype and result.shape == (4,) for result in results)


def test_bad_weights_and_options_are_refused_by_name():
    log_w = log_weights()
    with pytest.raises(ValueError, match="alpha must be a finite number; got inf"):
        renyi(log_w, math.inf)
    for n in (0.5, math.nan, math.inf):
        with pytest.raises(ValueError, match="n must be a finite order of at least 1"):
            cubo(log_w, n)
    for function in (jvi, sandwich):
        with pytest.raises(ValueError, match="log_w needs at least 2 weights for a standard error; got 1"):
            function(log_w[:1])
    for function in (jvi, sandwich, effective_sample_size):
        for wrong in (torch.nan, torch.inf):
            with pytest.raises(ValueError, match=r"log_w holds NaN or \+∞ in 1 of its 2 entries"):
                function(torch.tensor([0.0, wrong]))
    with pytest.raises(ValueError, match=r"two weights above 0 in every column; got fewer in 1 columns"):
        jvi(torch.tensor([[0.0, 0.0], [-torch.inf, 0.0]]))
    with pytest.raises(ValueError, match=r"a weight above 0 in every column; got none in 1 columns"):
        effective_sample_size(torch.full((3, 1), -torch.inf))
    with pytest.raises(ValueError, match=r"got \(5, 4\) and \(5, 3\)"):
        sandwich(log_w, log_w[:, :3])
