"""Sliced Wasserstein against sorted loops, SciPy, POT and closed forms.

Rows A17, D11 of docs/known-mistakes.md; errata E15.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from tests.draws import points, seeded_generator
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.kernel import kernels
from latentia.functional.transport import _sorted as rows
from latentia.functional.transport._sorted import row_costs
from latentia.functional.transport.max_sliced import (
    max_sliced_direction,
    max_sliced_wasserstein,
    max_sliced_wasserstein_power,
)
from latentia.functional.transport.one_dimensional import wasserstein_1d, wasserstein_1d_power
from latentia.functional.transport.sliced import (
    random_directions,
    sliced_wasserstein,
    sliced_wasserstein_estimate,
    sliced_wasserstein_power,
)


def weights(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, generator=seeded_generator(seed), dtype=torch.float64)


def recorded(x: Tensor, y: Tensor, p: float, directions: Tensor) -> Tensor:
    """What torch's own sort gives, and records: (1/LN) Σ_l Σ_n |·|^p."""
    gaps = (x @ directions.T).sort(0).values - (y @ directions.T).sort(0).values
    return gaps.abs().pow(p).mean()


@pytest.fixture
def directions() -> Tensor:
    return random_directions(7, 3, seeded_generator(5), dtype=torch.float64)


@pytest.fixture(params=["whole", "in pieces"])
def pieces(request, monkeypatch) -> None:
    """With blocks of two directions, chunks of one row, and threads."""
    if request.param == "in pieces":
        monkeypatch.setattr(kernels, "_BLOCK", 40)
        monkeypatch.setattr(rows, "_CHUNK", 1)
        monkeypatch.setattr(rows, "_ALONE", 0)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_value_is_that_of_a_recorded_sort(p, dtype, directions, pieces):
    x, y = points(20).to(dtype), points(20, seed=1, shift=0.3).to(dtype)
    given = sliced_wasserstein_power(x, y, p, directions=directions)
    expected = recorded(x.double(), y.double(), p, directions)
    assert given.dtype == dtype
    assert given.item() == pytest.approx(expected.item(), rel=1e-12 if dtype == torch.float64 else 1e-5)
    root = sliced_wasserstein(x, y, p, directions=directions)
    assert root.item() == pytest.approx(expected.item() ** (1 / p), rel=1e-5)
    assert sliced_wasserstein(y, x, p, directions=directions).item() == pytest.approx(root.item(), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_gradient_is_that_of_a_recorded_sort(p, dtype, directions, pieces):
    def gradients(cost, *tensors: Tensor) -> list[Tensor]:
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        return list(torch.autograd.grad(5 * cost(*leaves), leaves))

    x, y = points(20), points(20, seed=1, shift=0.3)
    expected = gradients(lambda a, b: recorded(a, b, p, directions), x, y)
    given = gradients(
        lambda a, b: sliced_wasserstein_power(a, b, p, directions=directions), x.to(dtype), y.to(dtype)
    )
    for ours, theirs in zip(given, expected, strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(
            ours.double(), theirs, rtol=0, atol=1e-12 if dtype == torch.float64 else 1e-5
        )


def test_gradient_by_directions_is_that_of_a_recorded_sort(directions, pieces):
    x, y = points(20), points(20, seed=1, shift=0.3)
    ours, theirs = directions.clone().requires_grad_(), directions.clone().requires_grad_()
    sliced_wasserstein_power(x, y, directions=ours).backward()
    recorded(x, y, 2, theirs / theirs.norm(dim=1, keepdim=True)).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_every_row_has_its_own_gradient():
    x, y = points(4, 9).requires_grad_(), points(4, 9, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: row_costs(a, b, 3) * torch.arange(4), (x, y))


def test_only_what_is_asked_for_is_differentiated(directions):
    x, y = points(5).requires_grad_(), points(5, seed=1)
    sliced_wasserstein_power(x, y, directions=directions).backward()
    both = points(5, seed=1).requires_grad_()
    sliced_wasserstein_power(points(5), both, directions=directions).backward()
    assert x.grad is not None
    assert y.grad is None
    assert both.grad is not None
    assert not sliced_wasserstein_power(points(5), y).requires_grad


@pytest.mark.parametrize("p", [1, 2, 3])
def test_gradients_are_finite_differences(p, directions):
    def cost(*tensors: Tensor) -> Tensor:
        x, y, theta = tensors
        return sliced_wasserstein_power(x, y, p, directions=theta)

    inputs = [each.requires_grad_() for each in (points(6), points(6, seed=1), directions[:3].clone())]
    assert torch.autograd.gradcheck(cost, inputs)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_gradients_of_weighted_points_are_finite_differences(p, directions):
    def cost(*tensors: Tensor) -> Tensor:
        x, y, theta, a, b = tensors
        return sliced_wasserstein_power(x, y, p, weights_x=a, weights_y=b, directions=theta)

    tensors = (points(4), points(6, seed=1), directions[:3].clone(), 0.1 + weights(4), 0.1 + weights(6, 1))
    assert torch.autograd.gradcheck(cost, [each.requires_grad_() for each in tensors])


def test_the_gradient_is_once_differentiable(directions):
    x = points(5).requires_grad_()
    power = sliced_wasserstein_power(x, points(5, seed=1), directions=directions)
    (slope,) = torch.autograd.grad(power, x, create_graph=True)
    with pytest.raises(UsageError, match="once differentiable"):
        (slope.square().sum() + x.sum()).backward()  # never a silent 0


def test_power_has_a_finite_gradient_for_equal_sets_and_the_root_has_not():
    x = points(5).requires_grad_()
    sliced_wasserstein_power(x, x.detach(), generator=seeded_generator()).backward()
    assert bool((x.grad == 0).all())
    x.grad = None
    sliced_wasserstein(x, x.detach(), generator=seeded_generator()).backward()
    assert not bool(torch.isfinite(x.grad).all())


@pytest.mark.parametrize("d", [1, 2, 10])
def test_shift_in_d_dimensions_is_its_length_over_root_d(d):  # A17, D11
    x, c = points(30, d), 3 * torch.ones(d, dtype=torch.float64) / d**0.5
    estimate = sliced_wasserstein_estimate(x, x + c, projections=4000, generator=seeded_generator())
    exact = 9 / d  # E (θᵀc)² = ‖c‖²/d
    assert abs(estimate.value_power.item() - exact) <= 4 * estimate.stderr.item() + 1e-9  # false alarm 6e-5
    assert estimate.stderr.item() <= 0.03 * exact
    axes = torch.eye(d, dtype=torch.float64)  # the mean over an orthonormal basis is exact
    assert sliced_wasserstein_power(x, x + c, directions=axes).item() == pytest.approx(exact, rel=1e-12)
    assert sliced_wasserstein(x, x + c, directions=axes).item() == pytest.approx(3 / d**0.5, rel=1e-12)


@pytest.mark.parametrize("p", [1, 3])
def test_shift_has_the_known_moment_of_the_sphere_for_every_power(p):
    x, d = points(20, 5), 5
    c = torch.tensor([0.0, 0.0, 2.0, 0.0, 0.0], dtype=torch.float64)
    moment = math.gamma(d / 2) * math.gamma((p + 1) / 2) / (math.sqrt(math.pi) * math.gamma((d + p) / 2))
    estimate = sliced_wasserstein_estimate(x, x + c, p, projections=4000, generator=seeded_generator())
    error = abs(estimate.value_power.item() - 2**p * moment)
    assert error < 4 * estimate.stderr.item() < 0.2 * 2**p * moment  # false alarm 6e-5


def test_in_one_dimension_it_is_the_exact_distance():
    x, y = points(20, 1), points(31, 1, seed=1, shift=0.4)
    expected = wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert sliced_wasserstein(x, y, p=1, projections=3).item() == pytest.approx(expected, rel=1e-12)
    for p in (1, 2, 3):
        assert sliced_wasserstein(x, y, p, projections=3).item() == pytest.approx(
            wasserstein_1d(x[:, 0], y[:, 0], p).item(), rel=1e-12
        )


def test_two_points_at_distance_three():  # D11: no ½, no square left in
    a, b = torch.tensor([[0.0]]), torch.tensor([[3.0]])
    assert sliced_wasserstein(a, b, generator=seeded_generator()).item() == pytest.approx(3.0)
    assert sliced_wasserstein_power(a, b, generator=seeded_generator()).item() == pytest.approx(9.0)


@pytest.mark.parametrize("with_weights", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("m", [8, 11])
def test_sizes_and_weights_equal_scipy_on_each_direction(with_weights, m, directions, pieces):
    x, y = points(11), points(m, seed=1, shift=0.4)
    a, b = (weights(11), weights(m, seed=1)) if with_weights else (None, None)
    each = [
        wasserstein_distance(
            (x @ line).numpy(),
            (y @ line).numpy(),
            None if a is None else a.numpy(),
            None if b is None else b.numpy(),
        )
        for line in directions
    ]
    given = sliced_wasserstein(x, y, 1, weights_x=a, weights_y=b, directions=directions)
    assert given.item() == pytest.approx(np.mean(each), rel=1e-10)
    cubes = [wasserstein_1d_power(x @ line, y @ line, 3, a, b).item() for line in directions]
    power = sliced_wasserstein_power(x, y, 3, weights_x=a, weights_y=b, directions=directions)
    assert power.item() == pytest.approx(np.mean(cubes), rel=1e-10)


def test_weights_of_one_side_are_copies_of_points(directions):
    x, y = points(3), points(4, seed=1)
    copies = torch.cat([x, x[:1]])
    given = sliced_wasserstein(x, y, weights_x=torch.tensor([2.0, 1.0, 1.0]), directions=directions)
    torch.testing.assert_close(given, sliced_wasserstein(copies, y, directions=directions))


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("m", [12, 17])
def test_equals_pot_for_the_same_directions(p, m, directions):
    ot = pytest.importorskip("ot")
    x, y = points(12), points(m, seed=1, shift=0.3)
    expected = ot.sliced.sliced_wasserstein_distance(
        x.numpy(), y.numpy(), p=p, projections=directions.T.numpy()
    )
    assert sliced_wasserstein(x, y, p, directions=directions).item() == pytest.approx(expected, rel=1e-9)


def test_given_directions_are_divided_by_their_length(directions):
    x, y = points(9), points(9, seed=1)
    torch.testing.assert_close(
        sliced_wasserstein(x, y, directions=7 * directions), sliced_wasserstein(x, y, directions=directions)
    )


def test_directions_are_uniform_on_the_sphere():
    drawn = random_directions(20_000, 4, seeded_generator(), dtype=torch.float64)
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(20_000, dtype=torch.float64))
    assert (
        drawn.mean(0).abs().max() < 4.5 * 0.5 / 20_000**0.5
    )  # each entry has variance 1/4: false alarm 3e-5
    second = drawn.T @ drawn / 20_000
    assert (second - torch.eye(4) / 4).abs().max() < 4.5 * 0.2 / 20_000**0.5  # of a square √(1/32): 5e-5
    fourth = drawn[:, 0].pow(4).mean()  # 3/(d(d + 2)) = 1/8, which vectors on a cube miss
    assert abs(fourth - 1 / 8) < 0.01


def test_same_generator_gives_the_same_value_and_the_global_state_is_left_alone():
    x, y = points(9), points(9, seed=1)
    before = torch.get_rng_state()
    values = [sliced_wasserstein(x, y, generator=seeded_generator(3)).item() for _ in range(2)]
    max_sliced_wasserstein(x, y, generator=seeded_generator(3))
    assert values[0] == values[1] != sliced_wasserstein(x, y, generator=seeded_generator(4)).item()
    assert bool((torch.get_rng_state() == before).all())


def test_points_far_from_the_origin_keep_their_digits(directions):
    far_x, far_y = points(50).float() + 100_000, points(50, seed=1, shift=0.1).float() + 100_000
    near = sliced_wasserstein(
        far_x - 100_000, far_y - 100_000, directions=directions
    )  # a difference without rounding
    assert sliced_wasserstein(far_x, far_y, directions=directions).item() == pytest.approx(
        near.item(), rel=1e-5
    )


def test_ties_and_signed_zeros_are_sorted_with_their_indices():
    values = np.array([[3.0, -0.0, 0.0, -1.0, 3.0, 1e-42, -np.float32(1e-42), 1e38]], dtype=np.float32)
    ordered, order = rows._sorted(values, with_order=True)
    np.testing.assert_array_equal(ordered, np.sort(values, axis=1))
    np.testing.assert_array_equal(np.take_along_axis(values, order, axis=1), ordered)
    assert sorted(order[0]) == list(range(8))


def test_standard_error_is_the_spread_over_draws_of_directions():
    x, y = points(20, 4), points(20, 4, seed=1, shift=1.0)
    draws = [
        sliced_wasserstein_estimate(x, y, projections=30, generator=seeded_generator(i)) for i in range(400)
    ]
    spread = torch.stack([draw.value_power for draw in draws]).std()
    claimed = torch.stack([draw.stderr for draw in draws]).mean()
    assert 0.85 < claimed / spread < 1.15  # the spread's own error is 3.5 %: false alarm 2e-5


def test_max_sliced_of_a_shift_is_its_whole_length():
    x, c = points(30, 10), 3 * torch.ones(10, dtype=torch.float64) / 10**0.5
    for p in (1, 2, 3):
        value = max_sliced_wasserstein(x, x + c, p, generator=seeded_generator())
        assert value.item() == pytest.approx(3.0, rel=1e-6)
    direction = max_sliced_direction(x, x + c, generator=seeded_generator())
    assert abs(float(direction @ c)) == pytest.approx(3.0, rel=1e-6)
    assert float(direction.norm()) == pytest.approx(1.0)


def test_max_sliced_in_the_plane_is_that_of_a_fine_fan():
    x = points(40, 2)
    y = points(25, 2, seed=1) @ torch.tensor([[2.0, 0.7], [0.0, 0.5]], dtype=torch.float64)
    angles = torch.linspace(0, math.pi, 3000, dtype=torch.float64)
    fan = torch.stack([angles.cos(), angles.sin()], 1)
    best = max(sliced_wasserstein_power(x, y, directions=line[None]).item() for line in fan[::20])
    value = max_sliced_wasserstein_power(x, y, generator=seeded_generator()).item()
    assert value >= best * (1 - 1e-4)
    assert (
        value
        <= max(sliced_wasserstein_power(x, y, directions=line[None]).item() for line in fan[1::2]) * 1.001
    )


def test_max_sliced_never_falls_below_its_start_and_grows_with_steps():
    x, y = points(30, 6), points(20, 6, seed=1, shift=0.2)
    start = random_directions(50, 6, seeded_generator(2), dtype=torch.float64)
    best = max(sliced_wasserstein_power(x, y, directions=line[None]).item() for line in start)
    values = [
        max_sliced_wasserstein_power(x, y, steps=steps, generator=seeded_generator(2)).item()
        for steps in (0, 1, 5, 20)
    ]
    assert values[0] == pytest.approx(best, rel=1e-12)
    assert values == sorted(values)
    by_step = [
        max_sliced_wasserstein_power(x, y, 1, steps=steps, generator=seeded_generator(2)).item()
        for steps in range(0, 40, 3)
    ]
    assert by_step == sorted(by_step)
    assert values[-1] > 1.05 * best
    assert max_sliced_wasserstein_power(x, y, generator=seeded_generator(2)).item() == values[-1]


def test_max_sliced_has_the_gradient_of_its_direction():
    x, y = points(6).requires_grad_(), points(7, seed=1)
    a, b = 0.1 + weights(6), 0.1 + weights(7, seed=1)
    how = {"weights_x": a, "weights_y": b}
    value = max_sliced_wasserstein_power(x, y, 2, generator=seeded_generator(), **how)
    direction = max_sliced_direction(x, y, 2, generator=seeded_generator(), **how)
    expected = sliced_wasserstein_power(x, y, 2, directions=direction[None], **how)
    torch.testing.assert_close(torch.autograd.grad(value, x), torch.autograd.grad(expected, x))
    assert float(max_sliced_wasserstein_power(y, y, generator=seeded_generator())) == 0.0


def call(**changes: object) -> Tensor:
    return sliced_wasserstein(**{"x": points(4), "y": points(5, seed=1), **changes})  # type: ignore[arg-type]


BAD = {
    "p must be a finite power of at least 1; got 0.5": {"p": 0.5},
    "p must be .* got nan": {"p": math.nan},
    "projections and d must be at least 1; got 0": {"projections": 0},
    "y holds NaN or infinite values": {"y": points(5) * math.nan},
    "same number of dimensions": {"y": points(5, d=2)},
    "flatten each point": {"x": points(4)[:, None]},
    "x needs at least 1 points; got 0": {"x": points(0)},
    "x and y must hold floating-point numbers; got torch.float64 and torch.int64": {
        "y": torch.ones(5, 3, dtype=torch.int64)
    },
    r"directions must have shape \(L, d\)": {"directions": torch.ones(2, 4)},
    "directions must not hold a vector of length 0": {"directions": torch.zeros(2, 3)},
    "directions holds NaN": {"directions": torch.full((2, 3), math.nan)},
    "weights_x must be one vector": {"weights_x": torch.ones(2, 4)},
    "weights_x must hold one weight for each of 4": {"weights_x": torch.ones(5)},
    "weights_y must be >= 0; got -1": {"weights_y": torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0])},
    "weights_y must not all be 0": {"weights_y": torch.zeros(5)},
}


@pytest.mark.parametrize("message", list(BAD))
def test_bad_input_is_refused_by_name(message):
    with pytest.raises((UsageError, DataError), match=message):
        call(**BAD[message])


def test_other_bad_arguments_are_refused():
    with pytest.raises(UsageError, match="at least 2 directions; got 1"):
        sliced_wasserstein_estimate(points(4), points(4), projections=1)
    with pytest.raises(UsageError, match="steps must be at least 0; got -1"):
        max_sliced_wasserstein(points(4), points(4), steps=-1)
