"""Annealed importance sampling on the linear-Gaussian model, where every intermediate distribution is known."""

from __future__ import annotations

import math

import pytest
import torch
from tests.draws import seeded, seeded_generator
from torch.distributions import Normal

from latentia.errors import UnknownNameError, UsageError
from latentia.functional.bounds import renyi_jackknife
from latentia.functional.likelihood.ais import (
    SCHEDULES,
    Path,
    ais,
    linear_temperatures,
    reverse_ais,
    sigmoid_temperatures,
    temperatures,
)
from latentia.functional.likelihood.hmc import adapted_step_sizes, hamiltonian, hamiltonian_move
from latentia.theory.ais_gaussian import GaussianPath

LINE = GaussianPath(
    torch.ones(1, 1).double(), torch.ones(1, 1).double(), 0.1
)  # z ~ N(0, 1), x | z ~ N(z, .01), x = 1


def plane() -> GaussianPath:
    """Return a path of 3 rows of 4 entries with 2 codes."""
    draws = seeded_generator(5)
    weight = torch.randn(4, 2, generator=draws).double()
    return GaussianPath(weight, torch.randn(3, 4, generator=draws).double(), noise=0.5)


def prior(chains: int, problem: GaussianPath, seed: int) -> torch.Tensor:
    shape = (chains, len(problem.deviations), problem.weight.shape[1])
    return torch.randn(shape, generator=seeded_generator(seed), dtype=torch.float64)


def hmc(problem: GaussianPath, betas: torch.Tensor, seed: int = 1):
    """Return moves whose step sizes other chains have found."""
    draws, path = seeded_generator(seed), problem.path()
    sizes = adapted_step_sizes(path, prior(16, problem, seed + 100), betas, leapfrog=5, generator=draws)
    return hamiltonian(path, betas, sizes, leapfrog=5, generator=draws)


# Expected weights in closed form


def test_the_published_gaps_come_out_to_the_digits_given():
    assert LINE.log_evidence().item() == pytest.approx(-1.418963, abs=5e-7)
    expected = {
        10: (-10.0258, -0.0758),
        100: (-2.0275, -1.0325),
        1000: (-1.4700, -1.3705),
        10000: (-1.4240, -1.4140),
    }
    for steps, (forward, reverse) in expected.items():
        betas = linear_temperatures(steps)
        found = LINE.expected_log_weight(betas), LINE.expected_log_weight(betas, reverse=True)
        assert [round(each.item(), 4) for each in found] == [forward, reverse]
        assert (found[1] - found[0]).item() * steps == pytest.approx(99.50005, abs=1e-5)


def test_the_distributions_on_the_way_are_those_of_the_path():
    """Slopes are the Gaussian's, log f_β differs from its log-density by a constant, which at β = 1 is log p(x)."""
    problem, beta = plane(), 0.3
    point, distribution = problem.path().at(prior(50, problem, 0)), problem.distribution(beta)
    difference = point.log_density(beta) - distribution.log_prob(point.z)
    assert torch.allclose(difference, difference[:1].expand_as(difference), atol=1e-10)
    z = point.z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(distribution.log_prob(z).sum(), z)
    assert torch.allclose(point.slope(beta), slope, atol=1e-10)
    evidence = point.log_density(1.0) - problem.distribution(1.0).log_prob(point.z)
    assert torch.allclose(evidence, problem.log_evidence().expand_as(evidence), atol=1e-10)


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_with_exact_moves_mean_log_weights_are_the_expected_ones(schedule):
    """4 standard errors in 3 rows and 2 directions: false alarm 4e-4."""
    problem, betas = plane(), temperatures(schedule, 12)
    move, path = problem.exact_move(betas, seeded_generator(1)), problem.path()
    posterior = problem.distribution(1.0)
    noise = torch.randn((4000, 3, 2), generator=seeded_generator(2), dtype=torch.float64)
    exact = posterior.mean + (posterior.scale_tril @ noise[..., None])[..., 0]
    for found, reverse in (
        (ais(path, prior(4000, problem, 3), betas, move), False),
        (reverse_ais(path, exact, betas, move), True),
    ):
        error = found.log_w.std(0) / math.sqrt(4000)
        expected = problem.expected_log_weight(betas, reverse=reverse)
        assert ((found.log_w.mean(0) - expected).abs() < 4 * error).all()
        assert (expected > problem.log_evidence()).all() == reverse
        assert (found.acceptance == 1).all()


# Weights are unbiased, whatever the moves


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_mean_weights_are_the_evidence_with_hamiltonian_moves_both_ways(schedule):
    """E[w] = p(x) and E[1/w] = 1/p(x); 4 jackknife errors in 3 rows both ways: false alarm 4e-4."""
    problem, betas, chains = plane(), temperatures(schedule, 120), 600
    move, path, exact = hmc(problem, betas), problem.path(), problem.log_evidence()
    forward = ais(path, prior(chains, problem, 3), betas, move)
    with seeded(4):
        start = problem.distribution(1.0).sample((chains,))
    reverse = reverse_ais(path, start, betas, move)
    for log_w, alpha in ((forward.log_w, 0.0), (reverse.log_w, 2.0)):
        bound = renyi_jackknife(log_w, alpha)
        assert ((bound.value - exact).abs() < 4 * bound.stderr).all()
        assert (bound.stderr < 0.1).all()
    assert (forward.log_w.mean(0) < exact).all()
    assert (reverse.log_w.mean(0) > exact).all()


def test_weights_seldom_exceed_the_evidence():
    """P(log w > log p + b) < e⁻ᵇ, as Markov's inequality has it."""
    betas = linear_temperatures(10)
    log_w = ais(LINE.path(), prior(4000, LINE, 0), betas, LINE.exact_move(betas, seeded_generator(1))).log_w
    for b in (0.5, 1.0, 2.0, 3.0):
        assert (log_w > LINE.log_evidence() + b).double().mean() < math.exp(-b)


def test_one_temperature_is_the_naive_estimate_and_its_reverse():
    problem, betas = plane(), linear_temperatures(1)
    z = prior(20, problem, 0)
    stay = hmc(problem, betas)
    assert torch.equal(ais(problem.path(), z, betas, stay).log_w, problem.log_ratio(z))
    assert torch.equal(reverse_ais(problem.path(), z, betas, stay).log_w, problem.log_ratio(z))


def test_a_start_that_is_an_encoder_gives_the_same_evidence():
    """f₀ may be any normalised density: here the posterior itself, from which every weight is p(x)."""
    problem, betas = plane(), linear_temperatures(5)
    q, path = problem.distribution(1.0), problem.path()
    other = Path(q.log_prob, lambda z: path.log_start(z) + path.log_ratio(z) - q.log_prob(z))
    with torch.random.fork_rng():
        z = q.sample((7,))
    sizes = torch.full((4, 3), 0.1).double()
    found = ais(other, z, betas, hamiltonian(other, betas, sizes, leapfrog=3, generator=seeded_generator()))
    assert torch.allclose(found.log_w, problem.log_evidence().expand(7, 3), atol=1e-9)


# Hamiltonian moves


def test_moves_leave_the_distribution_invariant():
    """From exact draws, 4 moves with steps so large that a third is refused; 4.5 errors of 18 numbers: 2e-4."""
    problem, beta, chains = plane(), 0.7, 6000
    distribution, path, draws = problem.distribution(beta), problem.path(), seeded_generator(8)
    with seeded(7):
        point = path.at(distribution.sample((chains,)))
    for _ in range(4):
        step = 1.6 * distribution.covariance_matrix.diagonal(dim1=1, dim2=2).amin(1).sqrt().expand(3)
        point, acceptance = hamiltonian_move(path, point, beta, step, leapfrog=4, generator=draws)
    assert 0.5 < acceptance.mean() < 0.9
    deviations = torch.linalg.solve(distribution.scale_tril, (point.z - distribution.mean)[..., None])[..., 0]
    first = deviations.mean(0) * math.sqrt(chains)
    second = torch.einsum("cbi,cbj->bij", deviations, deviations)
    spread = (second / chains - torch.eye(2)) * math.sqrt(chains / 2)
    assert first.abs().max() < 4.5
    assert spread.abs().max() < 4.5


def test_small_steps_are_always_accepted_and_steps_of_no_end_never():
    problem = plane()
    point = problem.path().at(prior(50, problem, 0))
    for size, expected in ((1e-3, 1.0), (1e3, 0.0)):
        step = torch.full((3,), size).double()
        moved, acceptance = hamiltonian_move(
            problem.path(), point, 1.0, step, leapfrog=5, generator=seeded_generator()
        )
        assert acceptance.mean().item() == pytest.approx(expected, abs=1e-3)
        assert torch.equal(moved.z, point.z) == (expected == 0)
        assert moved.z.isfinite().all()


def test_steps_are_each_rows_own_and_come_to_the_acceptance_aimed_at():
    """Two rows whose posteriors are 1 and 1/50 wide."""
    widths = torch.tensor([1.0, 0.02])
    path = Path(
        lambda z: Normal(0.0, 1.0).log_prob(z).sum(-1),
        lambda z: -0.5 * (z / widths[:, None]).square().sum(-1),
    )
    betas = sigmoid_temperatures(60)
    sizes = adapted_step_sizes(
        path,
        torch.randn(32, 2, 3, generator=seeded_generator()),
        betas,
        leapfrog=5,
        generator=seeded_generator(1),
    )
    assert sizes.shape == (59, 2)
    assert 20 < sizes[-1, 0] / sizes[-1, 1] < 60
    assert sizes[0, 1] > 10 * sizes[-1, 1]
    move = hamiltonian(path, betas, sizes, leapfrog=5, generator=seeded_generator(2))
    found = ais(path, torch.randn(32, 2, 3, generator=seeded_generator(3)), betas, move)
    assert (found.acceptance - 0.8).abs().max() < 0.1


def test_decoder_calls_are_one_and_the_leapfrog_steps_of_each_move():
    problem, calls = plane(), []
    path = Path(problem.path().log_start, lambda z: (calls.append(z.shape), problem.log_ratio(z))[1])
    betas = linear_temperatures(6)
    move = hamiltonian(
        path, betas, torch.full((5, 3), 0.1).double(), leapfrog=4, generator=seeded_generator()
    )
    ais(path, prior(2, problem, 0), betas, move)
    assert len(calls) == 1 + 5 * 4
    calls.clear()
    reverse_ais(path, prior(2, problem, 0), betas, move)
    assert len(calls) == 1 + 5 * 4


def test_a_generator_decides_the_draws_and_the_global_state_stays():
    problem, betas = plane(), linear_temperatures(5)
    before = torch.get_rng_state()
    z = prior(4, problem, 0)
    first, second = (ais(problem.path(), z, betas, hmc(problem, betas)).log_w for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


# Temperatures, and bad input


def test_temperatures_rise_from_0_to_1_and_the_sigmoid_is_dense_at_both_ends():
    for schedule in SCHEDULES.values():
        betas = schedule(40)
        assert (betas[0], betas[-1], len(betas)) == (0, 1, 41)
        assert (betas.diff() > 0).all()
        assert torch.allclose(betas + betas.flip(0), torch.ones(41).double())
    assert sigmoid_temperatures(40).diff()[0] < 0.25 * sigmoid_temperatures(40).diff()[20]


def test_bad_input_is_refused_in_one_line():
    problem = plane()
    with pytest.raises(UnknownNameError, match="did you mean 'linear'"):
        temperatures("lineal", 3)
    with pytest.raises(UsageError, match="at least 1 step"):
        linear_temperatures(0)
    for betas in (torch.tensor([0.0]), torch.tensor([0.0, 0.5]), torch.tensor([0.0, 0.7, 0.5, 1.0])):
        for run in (ais, reverse_ais):
            with pytest.raises(UsageError, match="rise from 0 to 1"):
                run(problem.path(), prior(2, problem, 0), betas, problem.exact_move(betas))
    with pytest.raises(UsageError, match="leapfrog"):
        adapted_step_sizes(problem.path(), prior(2, problem, 0), linear_temperatures(3), leapfrog=0)
