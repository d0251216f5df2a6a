"""The diagonal Gaussian against torch's own."""

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from latentia.distributions.diagonal_gaussian import DiagonalGaussian, StandardGaussian


@pytest.fixture
def parts():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 3, generator=generator), torch.randn(5, 3, generator=generator)


def reference(mean, log_var):
    return Independent(Normal(mean, (0.5 * log_var).exp()), 1)


def test_it_is_torchs_distribution(parts):
    ours, theirs = DiagonalGaussian(*parts), reference(*parts)
    x = torch.randn(7, 5, 3)
    assert torch.allclose(ours.log_prob(x), theirs.log_prob(x), atol=1e-5)
    assert ours.log_prob(x).shape == (7, 5)
    assert torch.allclose(ours.mean, theirs.mean)
    assert torch.allclose(ours.variance, theirs.variance, rtol=1e-5)
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)


def test_it_draws_mean_plus_scaled_noise_with_gradients(parts):
    mean, log_var = (part.clone().requires_grad_() for part in parts)
    torch.manual_seed(0)
    x = DiagonalGaussian(mean, log_var).rsample((4,))
    torch.manual_seed(0)
    noise = torch.randn(4, 5, 3)
    assert torch.allclose(x, mean + (0.5 * log_var).exp() * noise)
    x.sum().backward()
    assert torch.allclose(mean.grad, torch.full((5, 3), 4.0))
    assert torch.allclose(log_var.grad, 0.5 * ((0.5 * log_var).exp() * noise).sum(0), atol=1e-5)


def test_divergences_are_torchs(parts):
    q, p = DiagonalGaussian(*parts), DiagonalGaussian(parts[1], parts[0])
    expected = kl_divergence(reference(*parts), reference(parts[1], parts[0]))
    assert torch.allclose(kl_divergence(q, p), expected, rtol=1e-4)
    zero = torch.zeros(3)
    standard = kl_divergence(q, StandardGaussian(zero, zero))
    assert torch.allclose(standard, kl_divergence(reference(*parts), reference(zero, zero)), rtol=1e-4)
    assert torch.allclose(standard, kl_divergence(q, DiagonalGaussian(zero, zero)), rtol=1e-5)
