"""Penalties and constraints on critics.

Rows B1, B2 and B3 of docs/known-mistakes.md.
"""

from __future__ import annotations

import pytest
import torch
from tests.draws import normal, seeded_generator
from torch import Tensor, nn
from torch.nn.utils import parametrize

from latentia.errors import UsageError
from latentia.functional.gan.penalties import (
    consistency,
    dragan,
    gradient_norms,
    gradient_penalty,
    interpolate,
    perturb,
    r1,
    r2,
)
from latentia.functional.gan.weight_constraints import (
    clip_weights_,
    spectral_norm_estimate,
    spectral_normalise_,
)

EVENTS = [(5,), (3, 4, 4)]


def linear(event: tuple[int, ...], slope: float = 1.0):
    """Return f(x) = w·x with ‖w‖ = slope."""
    w = normal(*event, seed=7)
    w = slope * w / w.norm()
    return lambda x: (x * w).flatten(1).sum(1)


def quadratic(event: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return A (symmetric) and b of f(x) = ½xᵀAx + bᵀx, whose gradient is Ax + b."""
    d = torch.Size(event).numel()
    A = normal(d, d, seed=3)
    return A + A.T, normal(d, seed=4)


def of_quadratic(A: Tensor, b: Tensor):
    return lambda x: ((x.flatten(1) @ A) * x.flatten(1)).sum(1) / 2 + x.flatten(1) @ b


def network(width: int = 6) -> nn.Sequential:
    """Return a smooth critic of (B, 3) rows, in float64, with weights from a fixed seed."""
    net = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1), nn.Flatten(0)).double()
    for i, parameter in enumerate(net.parameters()):
        parameter.data = normal(*parameter.shape, seed=20 + i)
    return net


PENALTIES = {
    "two-sided": lambda critic, x: gradient_penalty(critic, x),
    "one-sided": lambda critic, x: gradient_penalty(critic, x, 0.4, one_sided=True),
    "centre 0": lambda critic, x: gradient_penalty(critic, x, 0.0),
    "r1": r1,
    "r2": r2,
    "dragan": lambda critic, x: dragan(critic, x, 0.5, generator=seeded_generator()),
    "consistency": lambda critic, x: consistency(critic, x, 1.1 * x + 0.3),
}


@pytest.fixture(params=PENALTIES)
def penalty(request):
    return PENALTIES[request.param]


# --- slopes of a closed form ------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS, ids=["2-D", "4-D"])
@pytest.mark.parametrize("batch", [1, 4, 64])
def test_the_penalty_of_a_critic_of_slope_one_is_zero(event, batch):  # B1, B2
    critic = linear(event)
    points = interpolate(normal(batch, *event), normal(batch, *event, seed=1), seeded_generator())
    zero = torch.zeros(batch, dtype=torch.float64)
    for one_sided in (False, True):
        value = gradient_penalty(critic, points, one_sided=one_sided)
        torch.testing.assert_close(value, zero, atol=1e-28, rtol=0)
    torch.testing.assert_close(
        dragan(critic, points, 0.1, generator=seeded_generator()), zero, atol=1e-28, rtol=0
    )


@pytest.mark.parametrize(("slope", "two_sided", "one_sided"), [(3.0, 4.0, 4.0), (0.5, 0.25, 0.0)])
def test_the_two_sides_and_the_centre(slope, two_sided, one_sided):
    critic, x = linear((5,), slope), normal(2, 5)
    assert gradient_penalty(critic, x).tolist() == pytest.approx([two_sided] * 2)
    assert gradient_penalty(critic, x, one_sided=True).tolist() == pytest.approx([one_sided] * 2)
    assert gradient_penalty(critic, x, center=slope).tolist() == pytest.approx([0, 0], abs=1e-25)
    assert gradient_penalty(critic, x, center=0.0).tolist() == pytest.approx([slope**2] * 2)
    assert r1(critic, x).tolist() == pytest.approx([slope**2 / 2] * 2)
    assert r2(critic, x).tolist() == pytest.approx([slope**2 / 2] * 2)


@pytest.mark.parametrize("event", EVENTS, ids=["2-D", "4-D"])
def test_a_quadratic_critic_has_the_slope_of_its_closed_form(event):
    A, b = quadratic(event)
    x = normal(6, *event)
    norms = (x.flatten(1) @ A + b).norm(dim=1)
    torch.testing.assert_close(gradient_norms(of_quadratic(A, b), x), norms)
    torch.testing.assert_close(gradient_penalty(of_quadratic(A, b), x, 2.0), (norms - 2) ** 2)
    torch.testing.assert_close(r1(of_quadratic(A, b), x), norms**2 / 2)


def test_r1s_gradient_in_the_parameters_is_that_of_the_closed_form():
    A, b = quadratic((5,))
    A.requires_grad_()
    x = normal(6, 5)
    r1(of_quadratic(A, b), x).sum().backward()
    slopes = (x @ A + b).detach()  # through xᵀAx the slope of both halves of A adds up
    torch.testing.assert_close(A.grad, (slopes.T @ x + x.T @ slopes) / 2)


@pytest.mark.parametrize("make", [interpolate, lambda real, fake, g: perturb(real, 0.5, g)])
def test_penalties_on_drawn_points_equal_a_loop_over_rows(make):
    critic, points = network(), make(normal(7, 3), normal(7, 3, seed=1), seeded_generator())
    expected = []
    for row in points:
        row = row.clone().requires_grad_()
        (slope,) = torch.autograd.grad(critic(row[None]).squeeze(), row)
        expected.append((slope.square().sum().sqrt() - 1) ** 2)
    torch.testing.assert_close(gradient_penalty(critic, points), torch.stack(expected))


def test_dragan_is_the_penalty_around_real_rows():
    critic, real = network(), normal(7, 3)
    noise = torch.randn(7, 3, generator=seeded_generator(5), dtype=torch.float64)
    expected = gradient_penalty(critic, real + 0.3 * noise, 2.0)
    torch.testing.assert_close(dragan(critic, real, 0.3, 2.0, seeded_generator(5)), expected)


def test_consistency_is_the_squared_difference_of_scores():
    critic, x = network(), normal(7, 3)
    expected = torch.stack([(critic(a[None]) - critic(-a[None])).square().squeeze() for a in x])
    torch.testing.assert_close(consistency(critic, x, -x), expected)
    assert not consistency(critic, x, x).any()


# --- what every penalty keeps -----------------------------------------------------------------------------------


def test_no_penalty_is_negative_and_each_row_has_its_own(penalty):  # B1, B3: the sign; no norm over the batch
    critic, x = network(), normal(8, 3)
    value = penalty(critic, x)
    assert value.shape == (8,)
    assert (value >= 0).all()
    assert (value > 0).any()
    if penalty is not PENALTIES["dragan"]:  # which draws other noise for fewer rows
        torch.testing.assert_close(penalty(critic, x[:1]), value[:1])


def test_the_gradient_in_the_critics_parameters_equals_finite_differences(penalty):
    critic, x = network(), normal(4, 3)
    parameters = list(critic.parameters())
    gradients = torch.autograd.grad(penalty(critic, x).mean(), parameters, allow_unused=True)
    step = 1e-5
    for parameter, gradient in zip(parameters, gradients, strict=True):
        flat = parameter.data.view(-1)
        numeric = torch.zeros_like(flat)
        for i in range(len(flat)):
            for sign in (1, -1):
                flat[i] += sign * step
                numeric[i] += sign * penalty(critic, x).mean().item() / (2 * step)
                flat[i] -= sign * step
        exact = torch.zeros_like(flat) if gradient is None else gradient.flatten()
        torch.testing.assert_close(exact, numeric, atol=1e-7, rtol=1e-5)


def test_first_and_second_derivatives_in_the_points(penalty):
    critic = network(2)
    x = normal(2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: penalty(critic, x), (x,))
    assert torch.autograd.gradgradcheck(lambda x: penalty(critic, x), (x,))


def test_nothing_is_left_on_the_points_or_the_parameters(penalty):
    critic, x = network(), normal(4, 3)
    penalty(critic, x)
    assert not x.requires_grad
    assert x.grad is None
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_values_without_recorded_gradients_are_the_same(penalty):
    critic, x = network(), normal(4, 3)
    with torch.no_grad():
        value = penalty(critic, x)
    assert not value.requires_grad
    torch.testing.assert_close(value, penalty(critic, x).detach(), atol=0, rtol=0)


def test_float32_stays_float32(penalty):
    critic, x = network(), normal(4, 3)
    exact = penalty(critic, x)
    value = penalty(lambda x: critic.float()(x), x.float())
    assert value.dtype == torch.float32
    if penalty is not PENALTIES["dragan"]:  # its noise is another one in float32
        torch.testing.assert_close(value.double(), exact, atol=1e-4, rtol=1e-4)


def test_a_context_goes_in_by_a_closure():
    scores = lambda x, context: (x * context).sum(1)  # noqa: E731
    context = normal(4, 3)
    value = gradient_norms(lambda x: scores(x, context), normal(4, 3, seed=1))
    torch.testing.assert_close(value, context.norm(dim=1))


def test_where_the_slope_vanishes_the_gradient_is_no_nan():
    flat = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0))
    flat[0].bias.data.fill_(-100.0)  # every unit is off
    gradient_penalty(flat, torch.zeros(2, 3)).mean().backward()
    given = [parameter.grad for parameter in flat.parameters() if parameter.grad is not None]
    assert given
    assert all(gradient.isfinite().all() for gradient in given)


@pytest.mark.parametrize("penalty_of", [lambda f, x: gradient_penalty(f, x, 0.0), lambda f, x: 2 * r1(f, x)])
def test_it_lowers_the_critics_slope_when_it_is_descended(penalty_of):  # B3: it reaches the critic, with a +
    critic, x = network(), normal(32, 3)
    before = gradient_norms(critic, x).mean()
    optimiser = torch.optim.SGD(critic.parameters(), lr=1e-3)
    penalty_of(critic, x).mean().backward()
    optimiser.step()
    assert gradient_norms(critic, x).mean() < before


# --- points -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS, ids=["2-D", "4-D"])
def test_interpolates_take_one_epsilon_for_each_row(event):  # B1
    real, fake = normal(40, *event), normal(40, *event, seed=1)
    x = interpolate(real, fake, seeded_generator())
    epsilon = ((x - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(epsilon, epsilon[:, :1].expand_as(epsilon))
    assert len(epsilon[:, 0].unique()) == 40
    assert (epsilon > 0).all()
    assert (epsilon < 1).all()
    torch.testing.assert_close(interpolate(real, fake, seeded_generator()), x, atol=0, rtol=0)
    expected = torch.rand(40, generator=seeded_generator(), dtype=torch.float64)
    torch.testing.assert_close(epsilon[:, 0], expected)  # ε belongs to the real row


def test_perturbed_rows_have_the_variance_asked_for():
    noise = (perturb(torch.full((20_000, 2), 7.0).double(), 0.3, seeded_generator()) - 7) / 0.3
    # n = 40,000 normal values: mean and variance within 5 standard errors, false alarms 1e-6
    assert abs(noise.mean().item()) < 5 / 200
    assert abs(noise.var().item() - 1) < 5 * (2 / 40_000) ** 0.5


def test_points_leave_torchs_own_generator_alone():
    state = torch.get_rng_state()
    interpolate(normal(3, 2), normal(3, 2), seeded_generator())
    perturb(normal(3, 2), 0.1, seeded_generator())
    spectral_norm_estimate(normal(3, 2), generator=seeded_generator())
    assert torch.equal(torch.get_rng_state(), state)


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("critic", "message"),
    [
        (lambda x: x, r"one score for each row, \(4,\); got \(4, 3\)"),
        (lambda x: x.sum(1, keepdim=True), r"got \(4, 1\): squeeze the rest"),
        (lambda x: x.sum(), r"got \(\)"),
        (lambda x: torch.zeros(4), "do not depend on the points"),
        (lambda x: x.detach().sum(1), "do not depend on the points"),
        (lambda x: torch.zeros(4, requires_grad=True) * 2, "do not depend on the points"),
    ],
)
def test_a_critic_that_gives_no_score_of_a_row_is_an_error(critic, message):
    for penalty in (gradient_norms, gradient_penalty, r1, r2):
        with pytest.raises(UsageError, match=message):
            penalty(critic, torch.ones(4, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interpolate(torch.ones(3, 2), torch.ones(1, 2)), r"real \(3, 2\), fake \(1, 2\)"),
        (lambda: interpolate(torch.ones(3).long(), torch.ones(3).long()), "floating-point .* torch.int64"),
        (lambda: perturb(torch.ones(3, 2), 0.0), "scale must be positive; got 0.0"),
        (lambda: perturb(torch.ones(3, 2), float("nan")), "scale must be positive; got nan"),
        (lambda: gradient_penalty(torch.sum, torch.ones(3, 2), -1.0), "center must be at least 0"),
        (lambda: gradient_norms(lambda x: x.sum(1), torch.ones(0, 2)), r"at least one; got \(0, 2\)"),
        (lambda: gradient_norms(lambda x: x.sum(1), torch.ones(2, 2).int()), "floating-point"),
        (lambda: consistency(lambda x: x.sum(1), torch.ones(3, 2), torch.ones(1, 2)), "shapes must be equal"),
        (lambda: consistency(lambda x: x, torch.ones(3, 2), torch.ones(3, 2)), "one score for each row"),
        (lambda: spectral_norm_estimate(torch.ones(3)), r"shape \(out, in, ...\) .* got \(3,\)"),
        (lambda: spectral_norm_estimate(torch.ones(3, 3), 0), "iterations >= 1; got .* 0"),
        (lambda: spectral_normalise_(nn.ReLU()), "no linear or convolutional layer"),
        (lambda: clip_weights_(nn.Linear(2, 2), 0.0), "bound > 0 and parameters; got 0.0 and 2"),
        (lambda: clip_weights_(nn.ReLU(), 1.0), "got 1.0 and 0"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(UsageError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


# --- constraints ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 3, 2, 2)])
def test_power_iteration_finds_the_largest_singular_value_and_its_slope(shape):
    W = normal(*shape).requires_grad_()
    exact = torch.linalg.matrix_norm(W.flatten(1), 2)
    estimate = spectral_norm_estimate(W, 300, seeded_generator())
    torch.testing.assert_close(estimate, exact)
    slopes = [torch.autograd.grad(value, W)[0] for value in (estimate, exact)]
    torch.testing.assert_close(*slopes, atol=1e-6, rtol=1e-6)
    few = [spectral_norm_estimate(W.detach(), n, seeded_generator()).item() for n in range(1, 6)]
    assert few == sorted(few)  # from below, each iteration nearer
    assert few[-1] <= exact.item()


def test_the_error_of_power_iteration_falls_as_stated():
    W = torch.diag(torch.tensor([1.0, 0.9], dtype=torch.float64))
    errors = [1 - spectral_norm_estimate(W, n, seeded_generator()).item() for n in (20, 21)]
    assert errors[1] / errors[0] == pytest.approx(0.9**4, rel=0.01)


def test_spectral_norm_of_a_zero_weight_is_zero():
    assert spectral_norm_estimate(torch.zeros(3, 2)).item() == 0


def test_spectral_normalisation_gives_every_weight_norm_one():
    critic = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2), nn.Flatten(), nn.Linear(27, 1)
    )
    x = torch.randn(5, 2, 4, 4, generator=seeded_generator())
    spectral_normalise_(critic, iterations=100)
    critic(x)
    for i, out in ((0, 0), (2, 1), (4, 0)):  # a transposed convolution has its outputs second
        matrix = critic[i].weight.transpose(0, out).flatten(1)
        assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1, abs=1e-4)
    assert not parametrize.is_parametrized(critic[1])
    with pytest.raises(UsageError, match="parametrised already"):
        spectral_normalise_(critic)


def test_a_spectrally_normalised_network_is_lipschitz():
    critic = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    for i, parameter in enumerate(critic.parameters()):
        parameter.data = 3 * normal(*parameter.shape, seed=i).float()
    x = torch.randn(200, 4, generator=seeded_generator())
    assert gradient_norms(critic, x).max() > 2
    spectral_normalise_(critic, iterations=50)
    assert gradient_norms(critic, x).max() <= 1 + 1e-4


def test_clipping_moves_weights_into_the_box_and_no_others():
    layer = nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[0.5, -0.5], [0.05, -0.05]])
    layer.bias.data = torch.tensor([9.0, 0.0])
    clip_weights_(layer, 0.1)
    assert torch.equal(layer.weight.data, torch.tensor([[0.1, -0.1], [0.05, -0.05]]))
    assert torch.equal(layer.bias.data, torch.tensor([0.1, 0.0]))
    assert layer.weight.requires_grad
    assert layer.weight.is_leaf
