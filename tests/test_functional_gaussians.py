"""Gaussians against torch.distributions, SciPy, POT and quadrature.

Rows A2 and A8 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from latentia.functional.gaussian.densities import (
    kl_diagonal_gaussian,
    kl_gaussian,
    kl_standard_gaussian,
    log_prob_diagonal_gaussian,
    log_prob_gaussian,
)
from latentia.functional.gaussian.divergences import (
    bhattacharyya_diagonal_gaussian,
    bhattacharyya_gaussian,
    jeffreys_diagonal_gaussian,
    jeffreys_gaussian,
    squared_hellinger_diagonal_gaussian,
    squared_hellinger_gaussian,
)
from latentia.functional.gaussian.wasserstein import (
    bures_wasserstein,
    bures_wasserstein_diagonal,
    bures_wasserstein_diagonal_power,
    bures_wasserstein_power,
)


def parameters(*shape: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mean, log_var = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return 2 * mean, 2 * log_var


def reference(mean: torch.Tensor, log_var: torch.Tensor) -> Independent:
    return Independent(Normal(mean, (0.5 * log_var).exp()), 1)


@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 4)])
def test_log_density_equals_torch(shape):
    mean, log_var = parameters(*shape, seed=0)
    x, _ = parameters(*shape, seed=1)
    ours = log_prob_diagonal_gaussian(x, mean, log_var)
    torch.testing.assert_close(ours, reference(mean, log_var).log_prob(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 4)])
def test_kl_equals_torch(shape):
    q, p = parameters(*shape, seed=0), parameters(*shape, seed=1)
    torch.testing.assert_close(
        kl_diagonal_gaussian(*q, *p), kl_divergence(reference(*q), reference(*p)), rtol=1e-12, atol=1e-12
    )


def test_kl_to_the_standard_gaussian_equals_torch():
    q = parameters(7, 3, seed=0)
    standard = reference(torch.zeros(7, 3).double(), torch.zeros(7, 3).double())
    torch.testing.assert_close(
        kl_standard_gaussian(*q), kl_divergence(reference(*q), standard), rtol=1e-12, atol=1e-12
    )


def test_kl_doubles_when_every_latent_is_duplicated():  # A2: no average over latents
    q, p = parameters(7, 3, seed=0), parameters(7, 3, seed=1)
    twice = [part.repeat(1, 2) for part in (*q, *p)]
    torch.testing.assert_close(kl_diagonal_gaussian(*twice), 2 * kl_diagonal_gaussian(*q, *p))
    torch.testing.assert_close(kl_standard_gaussian(*twice[:2]), 2 * kl_standard_gaussian(*q))


def test_kl_is_positive_and_zero_for_equal_distributions():
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


FULL_AND_DIAGONAL = [
    (kl_gaussian, kl_diagonal_gaussian),
    (jeffreys_gaussian, jeffreys_diagonal_gaussian),
    (bhattacharyya_gaussian, bhattacharyya_diagonal_gaussian),
    (squared_hellinger_gaussian, squared_hellinger_diagonal_gaussian),
    (bures_wasserstein, bures_wasserstein_diagonal),
    (bures_wasserstein_power, bures_wasserstein_diagonal_power),
]
FULL = [full for full, _ in FULL_AND_DIAGONAL]
DIAGONAL = [diagonal for _, diagonal in FULL_AND_DIAGONAL]
SYMMETRIC = [full for full in FULL if full is not kl_gaussian]
BURES = [bures_wasserstein, bures_wasserstein_power]


def full(*shape: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return means (*B, D) and positive definite covariances (*B, D, D)."""
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(*shape, generator=generator, dtype=torch.float64)
    root = torch.randn(*shape, shape[-1], generator=generator, dtype=torch.float64)
    return mean, root @ root.mT + 0.1 * torch.eye(shape[-1]).double()


@pytest.mark.parametrize("shape", [(3,), (7, 3), (2, 5, 4)])
def test_full_log_density_equals_torch(shape):
    mean, cov = full(*shape, seed=0)
    for points in ((), (6,), (2, 6)):
        x, _ = parameters(*points, *shape, seed=1)
        ours = log_prob_gaussian(x, mean, cov)
        torch.testing.assert_close(ours, MultivariateNormal(mean, cov).log_prob(x), rtol=1e-10, atol=1e-10)


def test_no_gaussian_at_all_gives_no_value():
    mean, cov = full(0, 3, seed=0)
    assert log_prob_gaussian(mean, mean, cov).shape == kl_gaussian(mean, cov, mean, cov).shape == (0,)


def test_full_log_density_equals_the_diagonal_one():
    mean, log_var = parameters(7, 3, seed=0)
    x, _ = parameters(7, 3, seed=1)
    ours = log_prob_gaussian(x, mean, log_var.exp().diag_embed())
    torch.testing.assert_close(ours, log_prob_diagonal_gaussian(x, mean, log_var), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (7, 3), (2, 5, 4)])
def test_full_kl_and_jeffreys_equal_torch(shape):
    q, p = full(*shape, seed=0), full(*shape, seed=1)
    there = kl_divergence(MultivariateNormal(*q), MultivariateNormal(*p))
    back = kl_divergence(MultivariateNormal(*p), MultivariateNormal(*q))
    torch.testing.assert_close(kl_gaussian(*q, *p), there, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(jeffreys_gaussian(*q, *p), there + back, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("divergence", "diagonal"), FULL_AND_DIAGONAL)
def test_full_divergences_equal_the_diagonal_ones(divergence, diagonal):
    q, p = parameters(6, 3, seed=0), parameters(6, 3, seed=1)
    matrices = [part.exp().diag_embed() for part in (q[1], p[1])]
    ours = divergence(q[0], matrices[0], p[0], matrices[1])
    torch.testing.assert_close(ours, diagonal(*q, *p), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("divergence", "integrand"),
    [
        (kl_diagonal_gaussian, lambda log_q, log_p: log_q.exp() * (log_q - log_p)),
        (jeffreys_diagonal_gaussian, lambda log_q, log_p: (log_q.exp() - log_p.exp()) * (log_q - log_p)),
        (squared_hellinger_diagonal_gaussian, lambda a, b: ((a / 2).exp() - (b / 2).exp()).square()),
    ],
)
def test_divergences_equal_quadrature(divergence, integrand):
    mean_q, log_var_q, mean_p, log_var_p = torch.tensor([0.3, -0.4, -0.5, 0.7]).double()[:, None]
    x = torch.linspace(-30, 30, 60_001).double()[:, None]
    log_q, log_p = (
        log_prob_diagonal_gaussian(x, mean.expand_as(x), log_var.expand_as(x))
        for mean, log_var in ((mean_q, log_var_q), (mean_p, log_var_p))
    )
    integral = torch.trapezoid(integrand(log_q, log_p), x.squeeze(1))
    torch.testing.assert_close(
        divergence(mean_q, log_var_q, mean_p, log_var_p), integral, rtol=1e-9, atol=1e-12
    )


def test_bhattacharyya_is_minus_the_log_of_the_overlap():
    q, p = (
        (torch.tensor(mean).double(), torch.tensor(cov).double())
        for mean, cov in (([0.0, 0.0], [[2.0, 0.8], [0.8, 1.0]]), ([1.0, -1.0], [[0.5, -0.2], [-0.2, 1.5]]))
    )
    t = torch.linspace(-12, 12, 481, dtype=torch.float64)
    x = torch.cartesian_prod(t, t)
    overlap = (0.5 * (log_prob_gaussian(x, *q) + log_prob_gaussian(x, *p))).exp().sum(0) * (t[1] - t[0]) ** 2
    torch.testing.assert_close(bhattacharyya_gaussian(*q, *p), -overlap.log(), rtol=1e-8, atol=0)
    torch.testing.assert_close(squared_hellinger_gaussian(*q, *p), 2 - 2 * overlap, rtol=1e-8, atol=0)


def test_bures_of_commuting_covariances():
    # Σ = V diag(λ) Vᵀ with one V: the power is ‖δ‖² + Σ (√λ₁ − √λ₂)²
    V, _ = torch.linalg.qr(full(5, seed=0)[1])
    (mean1, log_var1), (mean2, log_var2) = parameters(5, seed=1), parameters(5, seed=2)
    matrices = [V @ log_var.exp().diag() @ V.T for log_var in (log_var1, log_var2)]
    spread = ((0.5 * log_var1).exp() - (0.5 * log_var2).exp()).square().sum()
    expected = (mean1 - mean2).square().sum() + spread
    ours = bures_wasserstein_power(mean1, matrices[0], mean2, matrices[1])
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        bures_wasserstein(mean1, matrices[0], mean2, matrices[1]), expected.sqrt(), rtol=1e-12, atol=0
    )


def test_bures_equals_the_matrix_square_roots():
    from scipy.linalg import sqrtm

    (mean1, cov1), (mean2, cov2) = full(4, 5, seed=0), full(4, 5, seed=1)
    for b in range(4):
        root = sqrtm(cov1[b].numpy())
        cross = sqrtm(root @ cov2[b].numpy() @ root).trace().real
        expected = (mean1[b] - mean2[b]).square().sum() + cov1[b].trace() + cov2[b].trace() - 2 * cross
        ours = bures_wasserstein_power(mean1, cov1, mean2, cov2)[b]
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=0)


def test_bures_equals_pot():
    ot = pytest.importorskip("ot")
    first, second = full(5, seed=0), full(5, seed=1)
    pots = ot.gaussian.bures_wasserstein_distance(first[0], second[0], first[1], second[1])
    torch.testing.assert_close(bures_wasserstein(*first, *second), pots.squeeze(), rtol=1e-9, atol=0)


def test_bures_is_the_limit_of_the_distance_between_samples():
    ot = pytest.importorskip("ot")
    mean1, cov1 = torch.zeros(2).double(), torch.tensor([[2.0, 0.8], [0.8, 1.0]]).double()
    mean2, cov2 = torch.tensor([3.0, -1.0]).double(), torch.tensor([[0.5, -0.2], [-0.2, 1.5]]).double()
    normal = torch.randn(2, 500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = mean1 + normal[0] @ torch.linalg.cholesky(cov1).T
    y = mean2 + normal[1] @ torch.linalg.cholesky(cov2).T
    cost = ot.emd2(torch.full((500,), 1 / 500).double(), torch.full((500,), 1 / 500).double(), ot.dist(x, y))
    # Over seeds the ratio spreads by 3 %: false alarm at 12 % about 1e-4.
    assert float(cost) == pytest.approx(bures_wasserstein_power(mean1, cov1, mean2, cov2).item(), rel=0.12)


@pytest.mark.parametrize("bures", BURES)
def test_bures_of_singular_covariances(bures):
    power = bures is bures_wasserstein_power
    zero, root = torch.zeros(2).double(), torch.tensor([[1.0], [2.0]]).double()
    line, point, ball = root @ root.T, torch.zeros(2, 2).double(), torch.eye(2).double()
    there = torch.tensor([3.0, 4.0]).double()
    assert bures(zero, point, there, point).item() == pytest.approx(25.0 if power else 5.0)
    assert bures(zero, line, zero, point).item() == pytest.approx(5.0 if power else math.sqrt(5.0))
    assert bures(zero, line, zero, line).item() == pytest.approx(0.0, abs=1e-7)
    # √Σ₁ = Σ₁/√5, so tr (√Σ₁ I √Σ₁)^½ = √5, and W₂² = 5 + 2 − 2√5
    expected = 7 - 2 * math.sqrt(5.0)
    assert bures(zero, line, zero, ball).item() == pytest.approx(expected if power else math.sqrt(expected))
    assert bures(zero, ball, zero, line).item() == pytest.approx(expected if power else math.sqrt(expected))


def test_bures_of_a_singular_covariance_has_a_gradient_in_the_means_only():
    mean = torch.tensor([3.0, 4.0], requires_grad=True)
    point = torch.zeros(2, 2)
    bures_wasserstein(mean, point, torch.zeros(2), point).backward()
    torch.testing.assert_close(mean.grad, torch.tensor([0.6, 0.8]))
    with pytest.raises(ValueError, match=r"^cov2 is singular, where W₂ has no gradient: add"):
        bures_wasserstein(mean, torch.eye(2), mean, point.requires_grad_())


@pytest.mark.parametrize("divergence", SYMMETRIC)
def test_symmetric_divergences_are_symmetric(divergence):
    q, p = full(20, 3, seed=0), full(20, 3, seed=1)
    torch.testing.assert_close(divergence(*q, *p), divergence(*p, *q), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("divergence", FULL)
def test_full_divergences_are_positive_and_zero_for_equal_distributions(divergence):
    q, p = full(50, 3, seed=0), full(50, 3, seed=1)
    assert (divergence(*q, *p) > 0).all()
    same = divergence(*q, *q)
    assert (same >= 0).all()
    assert same.max() < 1e-6  # the root of rounding, for the distance
    nearly = q[1] * (1 + 1e-9)  # rounding is more than the divergence, and is not to make it negative
    assert (divergence(*q, q[0], nearly) >= 0).all()


@pytest.mark.parametrize("divergence", FULL)
def test_gradients_of_full_divergences_equal_finite_differences(divergence):
    (mean1, cov1), (mean2, cov2) = full(2, 3, seed=0), full(2, 3, seed=1)
    roots = torch.linalg.cholesky(cov1), torch.linalg.cholesky(cov2)
    inputs = [part.detach().requires_grad_() for part in (mean1, roots[0], mean2, roots[1])]
    assert torch.autograd.gradcheck(lambda a, A, b, B: divergence(a, A @ A.mT, b, B @ B.mT), inputs)


@pytest.mark.parametrize("divergence", DIAGONAL)
def test_gradients_of_diagonal_divergences_equal_finite_differences(divergence):
    inputs = [part.requires_grad_() for part in (*parameters(2, 3, seed=0), *parameters(2, 3, seed=1))]
    assert torch.autograd.gradcheck(divergence, inputs)


def test_gradient_of_the_full_log_density_equals_finite_differences():
    mean, cov = full(2, 3, seed=0)
    x, _ = parameters(4, 2, 3, seed=1)
    inputs = [part.detach().requires_grad_() for part in (x, mean, torch.linalg.cholesky(cov))]
    assert torch.autograd.gradcheck(lambda x, a, A: log_prob_gaussian(x, a, A @ A.mT), inputs)


@pytest.mark.parametrize("divergence", FULL)
def test_gradients_at_equal_distributions_vanish(divergence):
    mean, cov = full(3, seed=0)
    cov[:] = torch.eye(3)  # and equal eigenvalues, where those of eigenvectors would be infinite
    inputs = [part.clone().requires_grad_() for part in (mean, cov, mean, cov)]
    for gradient in torch.autograd.grad(divergence(*inputs), inputs):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-7)


@pytest.mark.parametrize("divergence", DIAGONAL)
def test_gradients_at_equal_diagonal_distributions_vanish(divergence):
    inputs = [part.clone().requires_grad_() for part in 2 * parameters(3, seed=0)]
    for gradient in torch.autograd.grad(divergence(*inputs), inputs):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=0)


def test_gradient_of_bures_is_one_minus_the_transport_map():
    # ∂W₂²/∂Σ₁ = I − T, with T the linear map that takes N(0, Σ₁) to N(0, Σ₂): T Σ₁ T = Σ₂
    (mean, cov1), (_, cov2) = full(4, seed=0), full(4, seed=1)
    cov1.requires_grad_()
    (gradient,) = torch.autograd.grad(bures_wasserstein_power(mean, cov1, mean, cov2), cov1)
    T = torch.eye(4).double() - gradient
    torch.testing.assert_close(T @ cov1 @ T, cov2, rtol=1e-8, atol=1e-8)


def test_float32_keeps_its_dtype_and_the_digits_of_nearly_equal_distributions():
    mean, cov = (part.float() for part in full(4, 6, seed=0))
    nearly = cov * (1 + 1e-3)  # KL = 3 (r − log(1 + r)), r the ratio less one
    kl = kl_gaussian(mean, nearly, mean, cov)
    assert kl.dtype == torch.float32
    torch.testing.assert_close(kl, torch.full((4,), 3 * (1e-3 - math.log1p(1e-3))), rtol=1e-3, atol=0)
    for divergence in FULL:
        assert divergence(mean, cov, mean + 1, nearly).dtype == torch.float32
    assert log_prob_gaussian(mean, mean, cov).dtype == torch.float32


@pytest.mark.parametrize("divergence", FULL)
def test_bad_covariances_are_refused_by_name(divergence):
    mean, cov = torch.zeros(2), torch.eye(2)
    name = "cov_p" if divergence is kl_gaussian else "cov2"
    cases = [
        ([[1.0, 0.5], [0.4, 1.0]], "must be symmetric; got entries 0.1 off"),
        ([[1.0, 2.0], [2.0, 1.0]], r"must be positive (semi)?definite; got a smallest eigenvalue of -1"),
        ([[1.0, 0.0], [0.0, torch.nan]], "holds NaN or infinite values in 1 of its 4"),
        ([[1.0]], r"must have shapes \(\*B, D\) and .* got \(2,\) and \(1, 1\)"),
    ]
    for wrong, message in cases:
        with pytest.raises(ValueError, match=f"{name} {message}"):
            divergence(mean, cov, mean, torch.tensor(wrong))
    with pytest.raises(ValueError, match=r"\(3, 2\).* \(2,\)"):  # nothing is broadcast
        divergence(torch.zeros(3, 2), cov.expand(3, 2, 2), mean, cov)
    with pytest.raises(ValueError, match="must hold floating-point numbers"):
        divergence(mean.long(), cov, mean.long(), cov)


@pytest.mark.parametrize("divergence", [full for full in FULL if full not in BURES])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_singular_covariances_have_no_density(divergence, dtype):
    # three points in five dimensions: rounding alone decides whether a Cholesky factor seems to exist
    points = torch.randn(40, 3, 5, generator=torch.Generator().manual_seed(0), dtype=dtype)
    mean = torch.zeros(5, dtype=dtype)
    for singular in (torch.zeros(5, 5, dtype=dtype), *(rows.T.cov() for rows in points)):
        with pytest.raises(ValueError, match=r"must be positive definite; .* add a small multiple"):
            divergence(mean, singular, mean, torch.eye(5, dtype=dtype))
        assert torch.isfinite(bures_wasserstein(mean, singular, mean, torch.eye(5, dtype=dtype)))


@pytest.mark.parametrize(
    "divergence", [diagonal for diagonal in DIAGONAL if diagonal is not kl_diagonal_gaussian]
)
def test_bad_diagonal_gaussians_are_refused_by_name(divergence):
    one = torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"log_var1 \(3,\)"):
        divergence(one, one[0], one, one)
    with pytest.raises(ValueError, match=r"^log_var2 holds NaN or infinite values in 6 of its 6"):
        divergence(one, one, one, one * torch.nan)


def test_points_that_do_not_fit_the_gaussian_are_refused():
    mean, cov = torch.zeros(4, 3), torch.eye(3).expand(4, 3, 3)
    with pytest.raises(
        ValueError, match=r"^x must have shape \(\*S, \*B, D\) .* got x \(5, 3\), mean \(4, 3\)"
    ):
        log_prob_gaussian(torch.zeros(5, 3), mean, cov)
    with pytest.raises(ValueError, match=r"^x must have shape"):
        log_prob_gaussian(torch.zeros(3), mean, cov)
    with pytest.raises(ValueError, match=r"^x holds NaN"):
        log_prob_gaussian(torch.full((4, 3), torch.nan), mean, cov)
