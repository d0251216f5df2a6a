"""Gaussians against torch.distributions. Known mistakes A2 and A8."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from latentia.functional.gaussians import (
    kl_diagonal_gaussian,
    kl_standard_gaussian,
    log_prob_diagonal_gaussian,
)


def parameters(*shape: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mean, log_var = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return 2 * mean, 2 * log_var


def law(mean: torch.Tensor, log_var: torch.Tensor) -> Independent:
    return Independent(Normal(mean, (0.5 * log_var).exp()), 1)


@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 4)])
def test_log_density_equals_torch(shape):
    mean, log_var = parameters(*shape, seed=0)
    x, _ = parameters(*shape, seed=1)
    ours = log_prob_diagonal_gaussian(x, mean, log_var)
    torch.testing.assert_close(ours, law(mean, log_var).log_prob(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 4)])
def test_kl_equals_torch(shape):
    q, p = parameters(*shape, seed=0), parameters(*shape, seed=1)
    torch.testing.assert_close(
        kl_diagonal_gaussian(*q, *p), kl_divergence(law(*q), law(*p)), rtol=1e-12, atol=1e-12
    )


def test_kl_to_the_standard_gaussian_equals_torch():
    q = parameters(7, 3, seed=0)
    standard = law(torch.zeros(7, 3).double(), torch.zeros(7, 3).double())
    torch.testing.assert_close(
        kl_standard_gaussian(*q), kl_divergence(law(*q), standard), rtol=1e-12, atol=1e-12
    )


def test_kl_doubles_when_every_latent_is_duplicated():  # A2: no average over latents
    q, p = parameters(7, 3, seed=0), parameters(7, 3, seed=1)
    twice = [part.repeat(1, 2) for part in (*q, *p)]
    torch.testing.assert_close(kl_diagonal_gaussian(*twice), 2 * kl_diagonal_gaussian(*q, *p))
    torch.testing.assert_close(kl_standard_gaussian(*twice[:2]), 2 * kl_standard_gaussian(*q))


def test_kl_is_positive_and_zero_for_equal_laws():
    q, p = parameters(200, 3, seed=0), parameters(200, 3, seed=1)
    assert (kl_diagonal_gaussian(*q, *p) > 0).all()
    assert (kl_standard_gaussian(*q) > 0).all()
    assert (kl_diagonal_gaussian(*q, *q) == 0).all()


def test_kl_keeps_its_digits_for_nearly_equal_variances():
    zero, r = torch.zeros(1, 1), torch.full((1, 1), 1e-3)  # ½(eʳ − 1 − r) = r²/4 + r³/12 + …
    torch.testing.assert_close(kl_standard_gaussian(zero, r), torch.tensor([2.50083e-7]), rtol=1e-3, atol=0)


def test_shapes_that_would_broadcast_are_refused_by_name():
    x, row = torch.zeros(5, 3), torch.zeros(3)
    with pytest.raises(ValueError, match=r"mean \(5, 3\), log_var \(3,\)"):
        kl_standard_gaussian(x, row)
    with pytest.raises(ValueError, match=r"log_var_p \(3,\)"):
        kl_diagonal_gaussian(x, x, x, row)
    with pytest.raises(ValueError, match=r"x \(5, 3\), mean \(5, 1\)"):
        log_prob_diagonal_gaussian(x, torch.zeros(5, 1), x)
