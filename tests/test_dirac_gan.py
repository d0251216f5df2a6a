"""The Dirac-GAN against theory that does not use its code."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.linalg import expm
from torch import Tensor

import latentia as lt
from latentia.errors import UsageError
from latentia.functional import LOSS_PAIRS, dragan, gradient_penalty, interpolate, loss_pair, r1, r2
from latentia.theory import (
    DiracGan,
    alternating,
    eigenvalues,
    field,
    flow,
    jacobian,
    player_losses,
    simultaneous,
)

H, STEPS = 0.2, 500
START = torch.tensor(
    [1.0, -1.0], dtype=torch.float64
)  # the paper's (1, 1): its critic is high on generated rows
DIVERGENCES = [name if not callable(lt.divergences[name]) else f"{name}(0.3)" for name in lt.divergences]
POINTS = [(0.7, -0.4), (-1.3, 0.2), (0.0, 0.9)]


def point(theta: float, psi: float) -> Tensor:
    return torch.tensor([theta, psi], dtype=torch.float64)


def with_r1(gamma: float):
    return lambda critic, real, fake: gamma * r1(critic, real)


def with_r2(gamma: float):
    return lambda critic, real, fake: gamma * r2(critic, fake)


def with_gradient_penalty(weight: float, center: float = 1.0):
    return lambda critic, real, fake: weight * gradient_penalty(critic, interpolate(real, fake), center)


def damped(gamma: float, slope: float = 0.5) -> list[complex]:
    """Return −γ/2 ± √(γ²/4 − f′²)."""
    root = complex(gamma**2 / 4 - slope**2) ** 0.5
    return [-gamma / 2 - root, -gamma / 2 + root]


def close(found: Tensor, expected: list[complex], tolerance: float = 1e-6) -> bool:
    """Say whether eigenvalues are those expected, in any order."""
    one, other = expected
    pairs = ([one, other], [other, one])
    return any(bool((found - torch.tensor(pair)).abs().max() < tolerance) for pair in pairs)


# --- eigenvalues --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("game", "expected"),
    [
        (DiracGan(loss_pair("minimax")), [-0.5j, 0.5j]),
        (DiracGan(loss_pair("non-saturating")), [-0.5j, 0.5j]),
        (DiracGan(loss_pair("wasserstein")), [-1j, 1j]),
        (DiracGan(loss_pair("minimax"), with_r1(0.3)), damped(0.3)),
        (DiracGan(loss_pair("minimax"), with_r2(0.3)), damped(0.3)),
        (DiracGan(loss_pair("minimax"), with_r1(2.0)), damped(2.0)),  # over-damped: real
        (DiracGan(loss_pair("non-saturating"), with_r1(0.3)), damped(0.3)),
        (DiracGan(loss_pair("wasserstein"), with_r1(0.3)), damped(0.3, 1.0)),
        (DiracGan(loss_pair("minimax"), consensus=1.0), [-0.25 - 0.5j, -0.25 + 0.5j]),
        (DiracGan(loss_pair("minimax"), noise=0.7), damped(0.49 / 2)),  # −γ/2 = f″s² = −s²/4
        (DiracGan(loss_pair("minimax"), noise=2.5), damped(6.25 / 2)),
    ],
)
def test_eigenvalues_are_those_of_the_table(game, expected):
    assert close(eigenvalues(game), expected)


def test_at_the_critical_weight_both_eigenvalues_are_one():
    """By the paper: γ = 2 |f′(0)|; a double root is found to the root of the rounding error only."""
    assert close(eigenvalues(DiracGan(loss_pair("minimax"), with_r1(1.0))), [-0.5, -0.5], 1e-6)


@pytest.mark.parametrize("name", [*LOSS_PAIRS, *DIVERGENCES])
def test_no_loss_converges_by_itself_and_every_loss_does_with_r1(name):
    """λ = ±i √(−g′ c′), slopes by finite differences of the losses at the even score; then with the penalty."""
    losses = loss_pair(name)
    even, h = torch.tensor([losses.even or 0.0], dtype=torch.float64), 1e-5

    def slope(loss):
        return float((loss(even + h) - loss(even - h)) / (2 * h))

    generator = slope(lambda fake: losses.generator(fake, even))
    critic = slope(lambda fake: sum(losses.critic(even, fake)))
    assert generator < 0 < critic
    f = math.sqrt(-generator * critic)
    assert close(eigenvalues(DiracGan(losses)), [-1j * f, 1j * f])
    assert close(eigenvalues(DiracGan(losses, with_r1(0.3))), damped(0.3, f))
    both = DiracGan(losses, lambda critic, real, fake: 0.1 * (r1(critic, real) + r2(critic, fake)))
    assert close(eigenvalues(both), damped(0.2, f))


@pytest.mark.parametrize("name", ["minimax", "non-saturating", "least-squares"])
def test_noise_damps_as_the_curvature_of_the_critic_s_loss(name):
    losses, s = loss_pair(name), 0.8
    curvature = {"least-squares": 2.0}.get(name, 0.5)  # c″ of both losses together
    assert close(eigenvalues(DiracGan(losses, noise=s)), damped(s**2 * curvature))


def test_a_field_that_jumps_has_no_eigenvalues():
    """WGAN-GP's penalty has a kink where the critic is flat."""
    with pytest.raises(UsageError, match=r"the field jumps at \[0.0, 0.0\]"):
        eigenvalues(DiracGan(loss_pair("wasserstein"), with_gradient_penalty(0.35)))
    with pytest.raises(UsageError, match=r"no Jacobian at .* the penalty is not smooth there"):
        eigenvalues(
            DiracGan(loss_pair("wasserstein"), with_gradient_penalty(0.35, center=0.0))
        )  # a root of a square
    with pytest.raises(UsageError, match=r"no equilibrium: the field has norm 1\.41"):
        eigenvalues(DiracGan(loss_pair("wasserstein")), point(1.0, 1.0))


@pytest.mark.parametrize("at", POINTS)
@pytest.mark.parametrize(
    "game",
    [
        DiracGan(loss_pair("non-saturating"), with_r1(0.3)),
        DiracGan(loss_pair("minimax"), consensus=0.7),
        DiracGan(loss_pair("least-squares"), with_gradient_penalty(0.4), noise=0.5),
    ],
    ids=["r1", "consensus", "noise"],
)
def test_the_jacobian_equals_finite_differences(game, at):
    h, x = 1e-5, point(*at)
    columns = [(field(game, x + h * e) - field(game, x - h * e)) / (2 * h) for e in torch.eye(2).double()]
    assert torch.allclose(jacobian(game, x), torch.stack(columns, 1), atol=1e-8)


# --- losses and field ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("theta", "psi"), POINTS)
def test_the_field_is_the_paper_s(theta, psi):
    """v = (−ψ′ f′(θψ′), θ f′(θψ′) − γ ψ′) for the paper's critic ψ′ = −ψ, f′(t) = σ(−t)."""
    f = 1 / (1 + math.exp(-theta * psi))
    game = DiracGan(loss_pair("minimax"), with_r1(0.3))
    assert field(game, point(theta, psi)).tolist() == pytest.approx([psi * f, -theta * f - 0.3 * psi])


def test_instance_noise_is_an_expectation():
    """Quadrature against a million draws; false-alarm rate below 1e-6 for each of two losses (5 standard errors)."""
    game, at, n = DiracGan(loss_pair("non-saturating"), noise=0.8), point(0.7, -0.9), 1_000_000
    noise = 0.8 * torch.randn(2, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = at[1] * (noise + torch.tensor([[0.0], [0.7]]))
    real, fake = game.losses.critic(*scores)
    drawn = (game.losses.generator(scores[1], scores[0]), real + fake)
    for exact, sample in zip(player_losses(game, at), drawn, strict=True):
        assert abs(exact - sample.mean()) < 5 * sample.std() / math.sqrt(n)


def test_consensus_draws_both_players_down_the_norm_of_the_field():
    plain, x = DiracGan(loss_pair("minimax")), point(0.7, -0.4)
    v = field(plain, x)
    expected = v - 0.6 * jacobian(plain, x).T @ v
    assert torch.allclose(field(DiracGan(loss_pair("minimax"), consensus=0.6), x), expected)


def test_a_penalty_is_the_critic_s_alone():
    plain, penalised = (DiracGan(loss_pair("minimax"), p) for p in (None, with_gradient_penalty(3.0)))
    x = point(0.7, -0.4)
    assert player_losses(plain, x)[0] == player_losses(penalised, x)[0]
    added = player_losses(penalised, x)[1] - player_losses(plain, x)[1]
    assert float(added) == pytest.approx(3 * (1 - 0.4) ** 2)


def test_penalties_around_rows_see_the_slope_too():
    game = DiracGan(loss_pair("wasserstein"), lambda critic, real, fake: dragan(critic, real, 0.1))
    assert float(player_losses(game, point(0.0, 3.0))[1]) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": -1.0}, "at least 0; got -1.0 and 0.0"),
        ({"consensus": math.nan}, "at least 0"),
        ({"clip": 0.0}, "clip must be positive, or left out; got 0.0"),
        (
            {"losses": loss_pair("relativistic-paired"), "noise": 0.1},
            "a relativistic pair has losses of pairs",
        ),
    ],
)
def test_games_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        DiracGan(**{"losses": loss_pair("minimax")} | options)


# --- dynamics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("game", "together", "in_turn"),
    [
        (DiracGan(loss_pair("minimax")), 3.097, 1.421),
        (DiracGan(loss_pair("non-saturating")), 0.6402, 0.2839),
        (DiracGan(loss_pair("wasserstein")), 2.564e4, 1.398),
        (DiracGan(loss_pair("wasserstein"), clip=1.0), 1.002, 1.024),
        (DiracGan(loss_pair("wasserstein"), with_gradient_penalty(0.35)), 1.802, 1.221),
        (DiracGan(loss_pair("minimax"), with_r1(0.3)), 2.643e-6, 2.301e-7),
        (DiracGan(loss_pair("minimax"), with_r2(0.3)), 2.643e-6, 2.301e-7),
        (DiracGan(loss_pair("minimax"), with_r1(1.0)), 9.53e-22, 7.48e-17),
        (DiracGan(loss_pair("non-saturating"), with_r1(0.3)), 2.212e-6, 1.499e-7),
        (DiracGan(loss_pair("minimax"), consensus=1.0), 2.579e-10, 1.724e-11),
    ],
    ids=["gan", "ns", "wgan", "clip", "gp", "r1", "r2", "r1-critical", "ns-r1", "consensus"],
)
def test_the_ends_are_those_published(game, together, in_turn):
    """The published figures, to the digits printed.

    Consensus: by the exact gradient of ½‖v‖² (see benchmarks/reproduce/dirac_gan.py).
    """
    ends = [play(game, START, steps=STEPS, lr=H)[-1].norm().item() for play in (simultaneous, alternating)]
    assert ends == pytest.approx([together, in_turn], rel=1e-3)


def test_steps_in_turn_turn_for_ever_and_steps_at_once_lead_away():
    """Without a penalty a round in turn has determinant 1; a step at once multiplies the norm by √(1 + h²)."""
    game, start = DiracGan(loss_pair("wasserstein")), point(1.0, 0.0)
    together = simultaneous(game, start, steps=100, lr=0.1)
    assert torch.allclose(together.norm(dim=1), (1 + 0.01) ** (torch.arange(101) / 2).double())
    generator, critic = torch.tensor([[1, 0.1], [0, 1]]), torch.tensor([[1, 0], [-0.05, 1]])
    round_of_three = (critic @ critic @ generator).double()
    in_turn = alternating(game, start, steps=100, lr=0.1, critic_steps=2, critic_lr=0.05)
    assert torch.allclose(in_turn[-1], torch.linalg.matrix_power(round_of_three, 100) @ start, atol=1e-5)


def test_the_flow_of_a_linear_field_is_the_exponential_of_its_matrix():
    game, times = DiracGan(loss_pair("wasserstein"), with_r1(0.3)), torch.linspace(0, 20, 5).double()
    matrix = jacobian(game, point(0.0, 0.0))
    expected = torch.stack([torch.as_tensor(expm(float(t) * matrix.numpy())) @ START for t in times])
    assert torch.allclose(flow(game, START, times), expected, atol=1e-7)


def test_the_flow_of_a_zero_sum_game_keeps_its_distance():
    """d(θ² + ψ²)/dt = 0, for the losses are opposite functions of θψ; not so for −log D."""
    times = torch.linspace(0, 30, 4).double()
    kept = flow(DiracGan(loss_pair("minimax")), START, times).norm(dim=1)
    assert torch.allclose(kept, START.norm().expand(4), atol=1e-6)
    assert flow(DiracGan(loss_pair("non-saturating")), START, times)[-1].norm() < 0.9


def test_a_clipped_critic_stays_in_its_bounds_and_reaches_nothing():
    game = DiracGan(loss_pair("wasserstein"), clip=0.5)
    for play in (simultaneous, alternating):
        path = play(game, point(1.0, 0.3), steps=300, lr=0.1)
        assert path[1:, 1].abs().max() == 0.5
        assert path[-100:].norm(dim=1).min() > 0.3
    along = flow(game, point(1.0, 0.3), torch.linspace(0, 20, 60))
    assert along[:, 1].abs().max() == pytest.approx(0.5, abs=1e-3)
    assert along[-20:].norm(dim=1).min() > 0.3


@pytest.mark.parametrize("play", [simultaneous, alternating])
@pytest.mark.parametrize(("steps", "lr"), [(0, 0.1), (3, 0.0), (3, math.nan)])
def test_steps_and_learning_rate_must_be_positive(play, steps, lr):
    with pytest.raises(UsageError, match="steps must be at least 1 and lr above 0"):
        play(DiracGan(loss_pair("minimax")), START, steps=steps, lr=lr)
