"""Conjugates, hulls and convexity checks against closed forms, SciPy and brute force. Erratum E27."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special
from tests.draws import line
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.fenchel import (
    biconjugate_on_grid,
    check_convex,
    check_lower_semicontinuous,
    conjugate_by_bisection,
    conjugate_on_grid,
    convex_hull,
    log_wright_omega,
)

# --- conjugates on a grid ---------------------------------------------------------------------------------------


def test_conjugate_of_a_power_is_the_dual_power():
    """|u|³/3 and |t|^(3/2)/(3/2)."""
    u, t = line(-4, 4, 8001), line(-9, 9, 50)
    expected = t.abs().pow(1.5) / 1.5
    torch.testing.assert_close(conjugate_on_grid(u, u.abs().pow(3) / 3, t), expected, rtol=0, atol=1e-5)


def test_conjugate_on_a_grid_is_the_naive_maximum_in_any_blocks(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    u, values, t = torch.randn(3, 40, generator=generator, dtype=torch.float64)
    expected = [max(a * s - b for a, b in zip(u.tolist(), values.tolist(), strict=True)) for s in t.tolist()]
    torch.testing.assert_close(conjugate_on_grid(u, values, t), t.new_tensor(expected))
    monkeypatch.setattr("latentia.functional.kernel.kernels._BLOCK", 90)
    torch.testing.assert_close(conjugate_on_grid(u, values, t), t.new_tensor(expected))


def test_conjugate_on_a_grid_has_the_maximiser_as_slope():
    u, t = line(-4, 4, 801), torch.tensor([-1.0, 0.5], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(conjugate_on_grid(u, u.square() / 2, t).sum(), t)
    torch.testing.assert_close(slope, t.detach())


def test_infinite_values_are_outside_the_domain():
    """The indicator of [−1, 1] has conjugate |t|."""
    u, t = line(-3, 3, 7), line(-2, 2, 5)
    outside = torch.where(u.abs() <= 1, 0.0, torch.inf).double()
    torch.testing.assert_close(conjugate_on_grid(u, outside, t), t.abs())
    assert convex_hull(u, outside).tolist() == outside.tolist()


# --- the closed convex hull -------------------------------------------------------------------------------------


def brute_force_hull(u: Tensor, values: Tensor) -> list[float]:
    """Return the lowest chord over each point, of all pairs of points around it."""
    lowest = []
    for i in range(len(u)):
        chords = [values[i]]
        for a in range(i):
            for b in range(i + 1, len(u)):
                w = (u[i] - u[a]) / (u[b] - u[a])
                chords.append((1 - w) * values[a] + w * values[b])
        lowest.append(float(min(chords)))
    return lowest


def test_hull_equals_brute_force():
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(25, generator=generator, dtype=torch.float64).sort().values
    values = torch.randn(25, generator=generator, dtype=torch.float64)
    hull = convex_hull(u, values)
    torch.testing.assert_close(hull, u.new_tensor(brute_force_hull(u, values)))
    assert (hull <= values + 1e-15).all()
    assert convex_hull(u.float(), values.float()).dtype == torch.float32


@pytest.mark.parametrize(
    "f",
    [
        lambda u: (u.square() - 1).square(),
        torch.sin,
        lambda u: (u.abs() - 1).abs(),
        lambda u: (u > 0.3).double(),
    ],
    ids=["two wells", "sine", "W", "jump"],
)
def test_biconjugate_of_a_function_that_is_not_convex_is_its_closed_convex_hull(f):
    u = line(-2, 2, 201)
    values, t = f(u), line(-30, 30, 60_001)
    hull = convex_hull(u, values)
    assert (values - hull).max() > 0.1  # not convex, so f** is not f
    biconjugate = biconjugate_on_grid(u, values, t)
    torch.testing.assert_close(biconjugate, hull, rtol=0, atol=2e-3)
    assert (biconjugate <= hull + 1e-12).all()


def test_biconjugate_of_a_convex_function_is_itself():
    u = line(-2, 2, 201)
    torch.testing.assert_close(biconjugate_on_grid(u, u.exp(), line(-1, 8, 9001)), u.exp(), rtol=0, atol=2e-5)
    torch.testing.assert_close(convex_hull(u, u.exp()), u.exp())


# --- convexity and lower semicontinuity -------------------------------------------------------------------------


def test_a_function_that_is_not_convex_is_refused_with_three_points():
    with pytest.raises(DataError, match=r"f\(0\) = 1 is above the chord from f\(-1\) = 0 to f\(1\) = 0"):
        check_convex(lambda u: (u.square() - 1).square(), line(-2, 2, 5))
    check_convex(lambda u: u.abs(), line(-2, 2, 401))
    check_convex(lambda u: -u.log(), line(-20, 20, 2001).exp())
    check_convex(lambda u: torch.where(u > 0, -u.log(), torch.inf), line(-2, 2, 401))


def test_a_slight_dent_is_found():
    with pytest.raises(DataError, match="is not convex"):
        check_convex(lambda u: u.square() - 3e-3 * torch.exp(-(((u - 1.5) * 50) ** 2)), line(0, 3, 301))


@pytest.mark.parametrize("at_zero", [0.0, -1.0])
def test_lower_semicontinuity_is_the_value_below_its_limits(at_zero):
    """E27: −1 for u < 0 and u² for u ≥ 0 fails at 0, because f(0) = 0 > −1; with f(0) = −1 it holds."""
    u = line(-2, 2, 5)

    def f(u: Tensor) -> Tensor:
        return torch.where(u < 0, -1.0, torch.where(u == 0, at_zero, u.square()))

    if at_zero == 0.0:
        with pytest.raises(
            DataError, match=r"not lower semicontinuous: f\(0\) = 0, but f\(-1e-300\) = -1 next to"
        ):
            check_lower_semicontinuous(f, u)
    else:
        check_lower_semicontinuous(f, u)
    check_lower_semicontinuous(lambda u: u.square().clamp(min=0.5), u)  # merely continuous


def test_a_jump_to_a_lower_value_on_the_right_is_found_too():
    with pytest.raises(DataError, match=r"f\(1\) = 2, but f\(1\) = 0 next to"):
        check_lower_semicontinuous(lambda u: torch.where(u <= 1, 2.0, 0.0).double(), line(-2, 2, 5))
    check_lower_semicontinuous(lambda u: torch.where(u > 0, -u.log(), torch.inf), line(0, 2, 5))
    with pytest.raises(DataError, match=r"f\(0\) = inf, but f\(1e-300\) = 0 next to"):
        check_lower_semicontinuous(lambda u: torch.where(u > 0, 0.0 * u, torch.inf), line(0, 2, 5))


# --- conjugates by bisection ------------------------------------------------------------------------------------


def test_bisection_finds_conjugates_of_smooth_and_kinked_functions():
    t = line(-4, 4, 33)
    kl = conjugate_by_bisection(lambda u: u * u.log(), lambda r: 1 + r, t)
    torch.testing.assert_close(kl, (t - 1).exp(), rtol=1e-12, atol=1e-14)
    kinked = conjugate_by_bisection(lambda u: (u - 1).abs(), lambda r: torch.sign(r), t)
    torch.testing.assert_close(kinked, torch.where(t <= 1, t.clamp(min=-1), torch.inf).where(t != 1, kinked))
    assert conjugate_by_bisection(lambda u: u * u.log(), lambda r: 1 + r, t.float()).dtype == torch.float32


def test_bisection_has_u_as_its_slope():
    t = line(-3, 3, 7).requires_grad_()
    (slope,) = torch.autograd.grad(conjugate_by_bisection(lambda u: u * u.log(), lambda r: 1 + r, t).sum(), t)
    torch.testing.assert_close(slope, (t.detach() - 1).exp())


# --- Lambert's W ------------------------------------------------------------------------------------------------


def test_log_wright_omega_equals_scipy():
    x = np.concatenate([np.linspace(-50, 50, 401), [-690.0, 1e3, 1e8, 1e300]])
    y = log_wright_omega(torch.from_numpy(x))
    np.testing.assert_allclose(y.exp().numpy(), special.wrightomega(x), rtol=1e-12)
    small = x[np.abs(x) < 50]
    np.testing.assert_allclose(
        log_wright_omega(torch.from_numpy(small)).exp(), special.lambertw(np.exp(small)).real
    )


def test_log_wright_omega_solves_its_equation_and_is_differentiable():
    x = torch.cat([line(-30, 30, 121), torch.tensor([-600.0, 700.0]).double()]).requires_grad_()
    y = log_wright_omega(x)
    torch.testing.assert_close(y + y.exp(), x, rtol=1e-13, atol=1e-13)
    few = line(-5, 20, 11).requires_grad_()
    assert torch.autograd.gradcheck(log_wright_omega, few)
    assert torch.autograd.gradgradcheck(log_wright_omega, few)
    single = torch.tensor([-80.0, 0.5, 1e30])
    assert log_wright_omega(single).dtype == torch.float32
    torch.testing.assert_close(log_wright_omega(single), log_wright_omega(single.double()).float())


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("u", "values", "error", "message"),
    [
        (torch.zeros(0), torch.zeros(0), UsageError, "u must have shape"),
        (torch.zeros(2, 2), torch.zeros(2, 2), UsageError, "u must have shape"),
        (torch.arange(3.0), torch.zeros(2), UsageError, "values must have the shape of u"),
        (torch.tensor([0.0, math.nan]), torch.zeros(2), DataError, "u must be finite"),
        (torch.arange(2.0), torch.tensor([0.0, math.nan]), DataError, "values must be finite"),
        (torch.arange(2.0), torch.full((2,), math.inf), DataError, "values must be finite somewhere"),
        (torch.tensor([0.0, 2.0, 1.0]), torch.zeros(3), UsageError, "u must increase; got 2 before 1"),
    ],
)
def test_samples_that_are_none_are_refused(u, values, error, message):
    with pytest.raises(error, match=message):
        convex_hull(u, values)
    if "increase" not in message:
        with pytest.raises(error, match=message):
            conjugate_on_grid(u, values, torch.zeros(1))
