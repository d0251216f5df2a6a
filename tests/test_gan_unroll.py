"""Unrolled descent.

Row B11 of docs/known-mistakes.md: no gradient through the critic's steps.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.gan.unroll import unrolled


def quadratic(theta: Tensor, target: Tensor) -> Tensor:
    return ((theta - target) ** 2).sum() / 2


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_quadratic_goes_where_the_closed_form_says(steps):
    """θ_k − t = (1 − η)^k (θ₀ − t), so dθ_k/dt = 1 − (1 − η)^k."""
    theta = torch.tensor([2.0, -1.0], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0.5, 3.0], dtype=torch.float64, requires_grad=True)
    later = unrolled(lambda p: quadratic(p["w"], target), {"w": theta}, steps=steps, lr=0.3)["w"]
    left = 0.7**steps
    assert torch.allclose(later, target + left * (theta - target))
    slopes = torch.autograd.grad(later.sum(), (theta, target), allow_unused=True, materialize_grads=True)
    assert torch.allclose(slopes[0], torch.full_like(theta, left))
    assert torch.allclose(slopes[1], torch.full_like(theta, 1 - left))


@pytest.mark.parametrize("steps", [1, 3])
def test_gradients_equal_finite_differences_through_the_steps(steps):
    """In float64, of a loss that is no quadratic and couples two parameters."""
    generator = torch.Generator().manual_seed(0)
    start = {
        "w": torch.randn(3, 2, dtype=torch.float64, generator=generator).requires_grad_(),
        "b": torch.randn(3, dtype=torch.float64, generator=generator).requires_grad_(),
    }
    x = torch.randn(5, 2, dtype=torch.float64, generator=generator, requires_grad=True)

    def later(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        def loss(p):
            return (torch.tanh(x @ p["w"].T + p["b"]).sum(1) - 1).square().mean()

        end = unrolled(loss, {"w": w, "b": b}, steps=steps, lr=0.5)
        return end["w"].sin().sum() + end["b"].square().sum()

    assert torch.autograd.gradcheck(later, (x, start["w"], start["b"]))


def test_what_is_given_stays_as_it_is():
    theta = torch.tensor([1.0], requires_grad=True)
    given = {"w": theta}
    unrolled(lambda p: p["w"].square().sum(), given, steps=3, lr=0.1)
    assert given["w"] is theta
    assert theta.item() == 1
    assert theta.grad is None


@pytest.mark.parametrize(("start", "slope"), [(0.2, 1.0), (0.45, 0.0)])
def test_each_step_ends_within_the_bound(start, slope):
    """A gradient of −1 moves w up by 0.1: to 0.3, or to the bound, where nothing passes any more."""
    theta = torch.tensor(start, requires_grad=True)
    later = unrolled(lambda p: -p["w"], {"w": theta}, steps=1, lr=0.1, bound=0.5)["w"]
    assert later.item() == pytest.approx(min(start + 0.1, 0.5))
    (found,) = torch.autograd.grad(later, theta)
    assert found.item() == slope


@pytest.mark.parametrize(("steps", "lr"), [(-1, 0.1), (1, 0.0), (1, -1.0), (1, math.nan)])
def test_numbers_out_of_range_are_refused(steps, lr):
    with pytest.raises(UsageError, match="steps of at least 0 and a positive lr; got"):
        unrolled(lambda p: p["w"], {"w": torch.zeros((), requires_grad=True)}, steps=steps, lr=lr)
