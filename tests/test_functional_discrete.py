"""Entropy and divergences of probability vectors against closed forms, SciPy and torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch.distributions import Categorical, kl_divergence

from latentia.functional.discrete import (
    cross_entropy,
    entropy,
    jensen_shannon,
    jensen_shannon_terms,
    kl_categorical,
    total_variation,
)

PAIRWISE = [cross_entropy, kl_categorical, jensen_shannon, total_variation]


def vectors(*shape: int, seed: int, sharp: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharp * torch.randn(*shape, generator=generator, dtype=torch.float64)).softmax(-1)


def test_worked_example():
    p, q = torch.tensor([9, 12, 4]).double() / 25, torch.full((3,), 1 / 3).double()
    assert kl_categorical(p, q).item() == pytest.approx(0.0852996, abs=5e-8)
    assert kl_categorical(q, p).item() == pytest.approx(0.097455, abs=5e-7)


@pytest.mark.parametrize("shape", [(5,), (7, 4), (2, 3, 6)])
def test_values_equal_torch_and_scipy_for_every_batch_shape(shape):
    p, q = vectors(*shape, seed=0), vectors(*shape, seed=1)
    distributions = Categorical(p), Categorical(q)
    torch.testing.assert_close(entropy(p), distributions[0].entropy(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(kl_categorical(p, q), kl_divergence(*distributions), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        cross_entropy(p, q), entropy(p) + kl_divergence(*distributions), rtol=1e-12, atol=1e-12
    )
    scipys = torch.as_tensor(jensenshannon(p.numpy(), q.numpy(), axis=-1)) ** 2
    torch.testing.assert_close(jensen_shannon(p, q), scipys, rtol=1e-10, atol=1e-12)
    largest_event = torch.where(p > q, p - q, 0.0).sum(-1)
    torch.testing.assert_close(total_variation(p, q), largest_event, rtol=1e-12, atol=1e-12)


def test_points_without_mass_count_nothing():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.5, 0.25])
    assert entropy(p).item() == pytest.approx(math.log(2))
    assert cross_entropy(p, q).item() == pytest.approx(1.5 * math.log(2))
    assert kl_categorical(p, q).item() == pytest.approx(0.5 * math.log(2))
    assert kl_categorical(p, p).item() == 0.0
    assert jensen_shannon(p, p).item() == 0.0


def test_mass_on_an_impossible_point_is_infinite():
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
    assert kl_categorical(p, q).item() == torch.inf
    assert cross_entropy(p, q).item() == torch.inf
    assert kl_categorical(q, p).item() == pytest.approx(math.log(2))


def test_laws_without_a_common_point():
    p, q = torch.tensor([0.3, 0.7, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.6, 0.4])
    assert jensen_shannon(p, q).item() == pytest.approx(math.log(2))
    assert total_variation(p, q).item() == pytest.approx(1.0)


def test_masses_that_underflow_next_to_others_stay_finite():
    for dtype in (torch.float32, torch.float64):
        smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps  # half of it is 0
        p, q = torch.tensor([smallest, 1.0], dtype=dtype), torch.tensor([0.0, 1.0], dtype=dtype)
        assert p[0] > 0
        assert jensen_shannon(p, q).item() == pytest.approx(0.0, abs=1e-30)
        assert kl_categorical(torch.tensor([1.0, 0.0], dtype=dtype), p.flip(0)).item() == 0.0
        assert kl_categorical(torch.tensor([1.0, 0.0], dtype=dtype), p).item() == pytest.approx(
            -math.log(smallest), rel=1e-6
        )


def test_divergences_are_positive_and_jensen_shannon_is_a_symmetric_squared_metric():
    p, q, r = (vectors(500, 4, seed=seed, sharp=4.0) for seed in range(3))
    assert (kl_categorical(p, q) > 0).all()
    js = jensen_shannon(p, q)
    torch.testing.assert_close(js, jensen_shannon(q, p), rtol=1e-12, atol=0)
    assert (js > 0).all()
    assert (js <= math.log(2)).all()
    assert (js.sqrt() <= jensen_shannon(p, r).sqrt() + jensen_shannon(r, q).sqrt()).all()
    # Without the root the triangle inequality fails on some of these, so the line above can fail.
    assert (js > jensen_shannon(p, r) + jensen_shannon(r, q)).any()


def test_jensen_shannon_terms_name_what_is_missed_and_what_is_invented():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.9, 0.0, 0.1])
    terms = jensen_shannon_terms(p, q)
    assert terms.coverage_points.argmax() == 1  # p's point that q misses
    assert terms.coverage_points[1].item() == pytest.approx(0.5 * math.log(2))
    assert terms.quality_points[2].item() == pytest.approx(0.1 * math.log(2))


def test_jensen_shannon_terms_add_up():
    p, q = vectors(2, 5, 4, seed=0), vectors(2, 5, 4, seed=1)
    terms, m = jensen_shannon_terms(p, q), (p + q) / 2
    torch.testing.assert_close(terms.coverage, kl_categorical(p, m), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(terms.quality, kl_categorical(q, m), rtol=1e-12, atol=1e-15)
    assert terms.coverage_points.shape == terms.quality_points.shape == p.shape
    torch.testing.assert_close(terms.coverage_points.sum(-1), terms.coverage)
    torch.testing.assert_close(terms.quality_points.sum(-1), terms.quality)
    torch.testing.assert_close(
        terms.value, entropy(m) - (entropy(p) + entropy(q)) / 2, rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("divergence", PAIRWISE)
def test_gradients_equal_finite_differences(divergence):
    logits = [vectors(3, 4, seed=seed).log().requires_grad_() for seed in (0, 1)]
    assert torch.autograd.gradcheck(lambda a, b: divergence(a.softmax(-1), b.softmax(-1)), logits)


def test_gradient_of_entropy_equals_finite_differences():
    logits = vectors(3, 4, seed=0).log().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: entropy(a.softmax(-1)), logits)


@pytest.mark.parametrize("divergence", PAIRWISE)
def test_gradients_at_points_without_mass_are_never_nan(divergence):
    p = torch.tensor([0.5, 0.5, 0.0, 0.0], requires_grad=True)
    q = torch.tensor([0.5, 0.0, 0.5, 0.0], requires_grad=True)
    for first, second in ((p, q), (p, p.detach()), (q.detach(), q)):
        inputs = [tensor for tensor in (first, second) if tensor.requires_grad]
        for gradient in torch.autograd.grad(divergence(first, second), inputs):
            assert not gradient.isnan().any()
    (gradient,) = torch.autograd.grad(entropy(p), p)
    torch.testing.assert_close(gradient[2:], torch.zeros(2))
    (gradient,) = torch.autograd.grad(kl_categorical(p, torch.full((4,), 0.25)), p)
    torch.testing.assert_close(gradient, torch.tensor([1 + math.log(2), 1 + math.log(2), 0.0, 0.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    p, q = vectors(3, 4, seed=0).to(dtype), vectors(3, 4, seed=1).to(dtype)
    assert entropy(p).dtype == dtype
    assert all(divergence(p, q).dtype == dtype for divergence in PAIRWISE)


def test_sums_may_be_off_by_the_rounding_of_their_dtype():
    p = torch.tensor([0.5, 0.500005])
    assert entropy(p).item() == pytest.approx(math.log(2), rel=1e-5)
    with pytest.raises(ValueError, match="p must sum to one"):
        entropy(p.double())


def test_large_float32_vectors_are_accepted():
    p = torch.randn(3, 200_000, generator=torch.Generator().manual_seed(0)).softmax(-1)
    assert 0 < entropy(p).min() < math.log(200_000)


@pytest.mark.parametrize("divergence", PAIRWISE)
@pytest.mark.parametrize(
    ("p", "message"),
    [
        ([0.5, 0.4], r"^p must sum to one .* got a sum of 0\.9: "),
        ([1.5, -0.5], r"^p must not hold negative mass; got -0\.5"),
        ([0.5, torch.nan], r"^p holds NaN or infinite values in 1 of its 2"),
        ([0.2, 0.3, 0.5], r"p \(3,\), q \(2,\)"),
        ([1, 0], r"^p must hold floating-point numbers; got torch\.int64"),
    ],
)
def test_what_is_no_probability_vector_is_refused_by_name(divergence, p, message):
    q = torch.tensor([0.25, 0.75])
    with pytest.raises(ValueError, match=message):
        divergence(torch.tensor(p), q)


def test_second_argument_and_batches_are_checked_too():
    good = torch.tensor([[0.5, 0.5]]).expand(3, 2)
    bad = torch.tensor([[0.5, 0.5], [0.5, 0.6], [0.5, 0.7]])
    with pytest.raises(
        ValueError, match=r"^q must sum to one .* got a sum of 1\.1 \(and 1 more of 3 vectors\)"
    ):
        kl_categorical(good, bad)
    with pytest.raises(ValueError, match=r"p \(3, 2\), q \(2,\)"):  # nothing is broadcast
        jensen_shannon(good, good[0])
    with pytest.raises(ValueError, match=r"^p must have shape \(\*B, K\)"):
        entropy(torch.tensor(1.0))
