"""The log-likelihood, its ceiling and their gap; and what a likelihood says about a model, and what it does not."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from tests.draws import normal
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from latentia.functional.discrete import entropy, kl_categorical
from latentia.functional.likelihood.model_gap import likelihood_gap, mean_log_likelihood
from latentia.theory.hardy_weinberg import hardy_weinberg, project_on_hardy_weinberg


def isotropic(mean: float, std: float, D: int) -> Independent:
    return Independent(Normal(torch.full((D,), mean).double(), torch.full((D,), std).double()), 1)


def kernel_density(x: torch.Tensor, points: torch.Tensor, bandwidth: float) -> torch.Tensor:
    """Return log (1/n) Σ_i N(x; x_i, h² I): (N,)."""
    squares = torch.cdist(x, points).square()
    constant = x.shape[1] * math.log(bandwidth * math.sqrt(2 * math.pi)) + math.log(len(points))
    return torch.logsumexp(-squares / (2 * bandwidth**2), 1) - constant


def test_mean_and_standard_error():
    log_p = normal(50, 3, seed=0)
    ours = mean_log_likelihood(log_p)
    for b in range(3):
        column = log_p[:, b].tolist()
        mean = sum(column) / 50
        variance = sum((value - mean) ** 2 for value in column) / 49
        assert ours.value[b].item() == pytest.approx(mean, rel=1e-12)
        assert ours.stderr[b].item() == pytest.approx(math.sqrt(variance / 50), rel=1e-12)


def test_likelihood_of_the_true_distribution_is_minus_its_entropy():
    p = torch.tensor([0.5, 0.3, 0.2]).double()
    x = torch.multinomial(p, 20_000, replacement=True, generator=torch.Generator().manual_seed(0))
    ceiling = mean_log_likelihood(p.log()[x])
    assert abs(ceiling.value + entropy(p)) < 4 * ceiling.stderr  # false alarm: a normal tail at 4, 6e-5


def test_gap_is_the_kl_divergence_of_truth_and_model():
    distribution, model = isotropic(0.0, 1.0, 3), isotropic(0.4, 1.3, 3)
    x = normal(20_000, 3, seed=0)
    gap = likelihood_gap(model.log_prob(x), distribution.log_prob(x))
    error = (gap.value - kl_divergence(distribution, model)) / gap.stderr
    assert abs(error) < 4  # false alarm: a normal tail at 4, 6e-5
    assert gap.stderr < 0.01 * gap.value + 0.005
    torch.testing.assert_close(gap.value, gap.ceiling - gap.log_likelihood)
    assert gap.log_likelihood < gap.ceiling
    # point by point: the two sides move together, so the gap is better known than either
    assert gap.stderr < mean_log_likelihood(distribution.log_prob(x)).stderr


def test_standard_error_is_the_spread_over_repetitions():
    distribution, model = isotropic(0.0, 1.0, 2), isotropic(0.5, 1.0, 2)
    x = normal(100, 2000, 2, seed=0)
    gaps = likelihood_gap(model.log_prob(x), distribution.log_prob(x))
    assert gaps.value.shape == gaps.stderr.shape == (2000,)
    # both are known to about 2 %: false alarm at 10 % below 1e-5
    assert gaps.stderr.mean().item() == pytest.approx(gaps.value.std().item(), rel=0.1)


def test_training_points_can_exceed_the_ceiling_and_held_out_points_do_not():
    x = normal(12, 4, seed=0)
    fitted = MultivariateNormal(x.mean(0), x.T.cov(correction=0))
    distribution = isotropic(0.0, 1.0, 4)
    # always so: the truth is one of the Gaussians over which the fit is the maximum
    assert likelihood_gap(fitted.log_prob(x), distribution.log_prob(x)).value < -0.1
    new = normal(5000, 4, seed=1)
    gap = likelihood_gap(fitted.log_prob(new), distribution.log_prob(new))
    assert gap.value > 10 * gap.stderr


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_a_share_of_noise_loses_at_most_minus_its_logarithm_in_every_dimension(share):
    """p = 0.01 p_data + 0.99 noise: the samples are noise, the likelihood is nearly the ceiling's."""
    losses: list[float] = []
    for D in (1, 3, 10, 100, 1000):
        distribution, noise = isotropic(0.0, 1.0, D), isotropic(0.0, 3.0, D)
        x = normal(400, D, seed=D)
        log_data = distribution.log_prob(x)
        log_mixture = torch.logaddexp(log_data + math.log(share), noise.log_prob(x) + math.log(1 - share))
        gap = likelihood_gap(log_mixture, log_data)
        losses.append(gap.value.item())
        assert (log_data - log_mixture).max() <= -math.log(share) + 1e-9 * D  # of each point
    assert all(after >= before - 1e-9 for before, after in pairwise(losses))
    assert losses[-1] == pytest.approx(
        -math.log(share), rel=1e-6
    )  # reached, while the ceiling is −1,400 nats
    assert losses[0] < 0.5 * losses[-1]


def test_a_memorising_model_has_perfect_samples_and_no_likelihood():
    train, test = normal(100, 2, seed=0), normal(100, 2, seed=1)
    held_out, seen = [], []
    for h in (1e-1, 1e-2, 1e-3, 1e-4):
        held_out.append(mean_log_likelihood(kernel_density(test, train, h)).value.item())
        seen.append(mean_log_likelihood(kernel_density(train, train, h)).value.item())
    samples = train[:50] + 1e-4 * normal(50, 2, seed=2)  # at the last bandwidth: the data, to the eye
    assert torch.cdist(samples, train).min(1).values.max() < 1e-3
    assert held_out == sorted(held_out, reverse=True)
    assert held_out[-1] < -1e4
    assert seen == sorted(seen)  # and on the points it has seen, towards +∞
    assert seen[-1] > 10


def test_a_model_that_rules_a_point_out_is_infinitely_far():
    gap = likelihood_gap(torch.tensor([-1.0, -torch.inf, -2.0]), torch.tensor([-1.0, -1.0, -1.0]))
    assert gap.value == gap.stderr == torch.inf
    assert gap.log_likelihood == -torch.inf
    assert gap.ceiling == -1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept_and_gradients_flow(dtype):
    log_p = normal(10, 2, seed=0).to(dtype).requires_grad_()
    gap = likelihood_gap(log_p, torch.zeros(10, 2, dtype=dtype))
    assert gap.value.dtype == gap.stderr.dtype == dtype
    gap.value.sum().backward()
    torch.testing.assert_close(log_p.grad, torch.full((10, 2), -0.1, dtype=dtype))


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ([-1.0], [-1.0], r"^log_p_model needs at least 2 points; got 1"),
        ([-1.0, torch.nan], [-1.0, -1.0], r"^log_p_model holds NaN or \+∞ in 1 of its 2"),
        ([-1.0, -1.0], [-1.0, torch.inf], r"^log_p_data holds NaN or \+∞"),
        ([-1.0, -1.0], [-1.0, -torch.inf], r"^log_p_data is −∞ at 1 points"),
        ([-1.0, -1.0, -1.0], [-1.0, -1.0], r"log_p_model \(3,\), log_p_data \(2,\)"),
        (-1.0, -1.0, r"^log_p_model must have shape \(N, \*B\)"),
    ],
)
def test_what_is_no_log_likelihood_is_refused_by_name(model, data, message):
    with pytest.raises(ValueError, match=message):
        likelihood_gap(torch.tensor(model), torch.tensor(data))


def distributions_over_three_outcomes(n: int) -> torch.Tensor:
    return (2 * normal(n, 3, seed=0)).softmax(-1)


def test_projection_is_the_nearest_of_all_points_of_the_curve():
    p = distributions_over_three_outcomes(50)
    projection = project_on_hardy_weinberg(p)
    t = torch.linspace(0, 1, 10_001).double()[1:-1]
    curve = hardy_weinberg(t)
    all_distances = kl_categorical(p[:, None].expand(50, len(t), 3), curve.expand(50, len(t), 3))
    nearest, index = all_distances.min(1)
    torch.testing.assert_close(projection.parameter, t[index], rtol=0, atol=1e-4)
    torch.testing.assert_close(projection.distance, nearest, rtol=0, atol=1e-5)
    assert (projection.distance <= nearest).all()


def test_projection_of_a_point_of_the_curve_is_that_point():
    p = torch.tensor([9, 12, 4]).double() / 25
    projection = project_on_hardy_weinberg(p)
    assert projection.parameter.item() == pytest.approx(3 / 5)
    torch.testing.assert_close(projection.point, p)
    assert projection.distance.item() == pytest.approx(0.0, abs=1e-15)
    corner = project_on_hardy_weinberg(torch.tensor([1.0, 0.0, 0.0]))
    assert (corner.parameter.item(), corner.distance.item()) == (1.0, 0.0)


def test_distance_of_the_projection_is_the_likelihood_gap():
    x = torch.tensor([0] * 50 + [1] * 20 + [2] * 30)
    frequencies = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    projection = project_on_hardy_weinberg(frequencies)
    gap = likelihood_gap(projection.point.log()[x], frequencies.log()[x])
    assert gap.value.item() == pytest.approx(projection.distance.item(), rel=1e-12)
    # maximum likelihood: any other parameter does worse by KL(p_t* ‖ p_t), for the curve is exponential
    other = hardy_weinberg(torch.tensor(0.7, dtype=torch.float64))
    worse = likelihood_gap(other.log()[x], frequencies.log()[x]).value
    pythagoras = projection.distance + kl_categorical(projection.point, other)
    assert worse.item() == pytest.approx(pythagoras.item(), rel=1e-12)


def test_what_lies_off_the_simplex_is_refused():
    with pytest.raises(ValueError, match=r"^t must lie in \[0, 1\]; got 1\.2"):
        hardy_weinberg(torch.tensor([0.5, 1.2]))
    with pytest.raises(ValueError, match=r"^p must have shape \(\*B, 3\)"):
        project_on_hardy_weinberg(torch.tensor([0.5, 0.5]))
    with pytest.raises(ValueError, match="p must sum to one"):
        project_on_hardy_weinberg(torch.tensor([0.5, 0.5, 0.5]))
