"""Kernels and MMD against naive loops. Known mistakes A16, D7, D8 and D9; the energy distance likewise."""

from __future__ import annotations

import math
from functools import partial
from itertools import combinations

import pytest
import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional import kernels
from latentia.functional.energy import energy_distance, energy_estimate
from latentia.functional.kernels import (
    gaussian_kernel,
    median_bandwidth,
    mmd2,
    mmd2_of_splits,
    negative_distance_kernel,
)


def points(n: int, d: int = 3, seed: int = 0, shift: float = 0.0) -> Tensor:
    return shift + torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_gaussian(a: Tensor, b: Tensor, h: float = 1.3) -> float:
    return math.exp(-float(((a - b) ** 2).sum()) / (2 * h * h))


def naive_distance(a: Tensor, b: Tensor) -> float:
    return -math.sqrt(float(((a - b) ** 2).sum()))


def naive_mmd2(x: Tensor, y: Tensor, k, unbiased: bool = True) -> float:
    def within(points: Tensor) -> float:
        n = len(points)
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j or not unbiased]
        return sum(k(points[i], points[j]) for i, j in pairs) / len(pairs)

    between = sum(k(a, b) for a in x for b in y) / (len(x) * len(y))
    return within(x) + within(y) - 2 * between


gaussian = partial(gaussian_kernel, bandwidth=1.3)
KERNELS = [(gaussian, naive_gaussian), (negative_distance_kernel, naive_distance)]


@pytest.fixture(params=[None, 7], ids=["one block", "many blocks"])
def block(request, monkeypatch) -> None:
    if request.param:
        monkeypatch.setattr(kernels, "_BLOCK", request.param)


@pytest.mark.parametrize(("kernel", "naive"), KERNELS, ids=["gaussian", "distance"])
def test_kernel_equals_the_naive_one(kernel, naive):
    x, y = points(4), points(6, seed=1)
    expected = torch.tensor([[naive(a, b) for b in y] for a in x], dtype=torch.float64)
    torch.testing.assert_close(kernel(x, y), expected, rtol=1e-10, atol=1e-10)


def test_kernel_far_from_the_origin_keeps_its_digits():
    x, y = points(30).float(), points(30, seed=1).float()
    torch.testing.assert_close(gaussian(x + 1000, y + 1000), gaussian(x, y), rtol=0, atol=1e-3)


def test_kernel_of_distant_points_is_tiny_but_not_denormal():
    k = gaussian(torch.zeros(1, 1), torch.full((1, 1), 1e4))
    assert 0 < k.item() < 1e-30
    assert k.item() > torch.finfo(torch.float32).tiny


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize(("kernel", "naive"), KERNELS, ids=["gaussian", "distance"])
def test_mmd2_equals_the_double_loop(kernel, naive, estimator, block):  # A16, D7
    x, y = points(5), points(9, seed=1, shift=0.5)
    expected = naive_mmd2(x, y, naive, estimator == "unbiased")
    assert mmd2(x, y, kernel, estimator).item() == pytest.approx(expected, abs=1e-9)


def test_twice_the_kernel_is_twice_the_statistic():  # D8: the diagonal is k(x, x), whatever that is
    x, y = points(5), points(9, seed=1)
    twice = mmd2(x, y, lambda a, b: 2 * gaussian(a, b))
    torch.testing.assert_close(twice, 2 * mmd2(x, y, gaussian))


def test_unbiased_mmd2_averages_to_zero_for_equal_laws():
    values = torch.stack([mmd2(points(10, seed=i), points(15, seed=5000 + i), gaussian) for i in range(400)])
    assert abs(values.mean() / (values.std() / 20)) < 4  # false alarm 6e-5
    biased = mmd2(points(10), points(15, seed=1), gaussian, "biased")
    assert biased > 0


def test_mmd2_has_the_gradient_of_its_formula():
    x, y = points(4).requires_grad_(), points(5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: mmd2(a, b, gaussian), (x, y))


def test_every_split_equals_mmd2_of_its_parts(block):
    both = points(9)
    chosen = [list(pick) for pick in combinations(range(9), 4)][::10]
    splits = torch.zeros(9, len(chosen)).double()
    for column, pick in enumerate(chosen):
        splits[pick, column] = 1.0
    rest = [[i for i in range(9) if i not in pick] for pick in chosen]
    expected = torch.stack([mmd2(both[a], both[b], gaussian) for a, b in zip(chosen, rest, strict=True)])
    torch.testing.assert_close(mmd2_of_splits(both, splits, gaussian), expected, rtol=1e-9, atol=1e-9)


def test_median_bandwidth_is_the_median_distance_between_different_points():
    x, y = (
        torch.tensor([[0.0], [1.0]]),
        torch.tensor([[1.0], [5.0]]),
    )  # distances 1 1 5 0 4 4, of which 0 is left out
    assert median_bandwidth(x, y) == 4.0
    many = points(300)
    assert median_bandwidth(many, many + 1, max_points=200) == pytest.approx(
        median_bandwidth(many, many + 1), rel=0.1
    )


def test_median_heuristic_makes_mmd_scale_free():  # D9
    x, y = points(20), points(25, seed=1, shift=1.0)
    values = [
        mmd2(c * x, c * y, partial(gaussian_kernel, bandwidth=median_bandwidth(c * x, c * y))).item()
        for c in (1.0, 1000.0)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_energy_distance_equals_the_double_loop(block):
    x, y = points(5), points(9, seed=1, shift=0.5)
    assert energy_distance(x, y).item() == pytest.approx(naive_mmd2(x, y, naive_distance), abs=1e-9)


def test_energy_distance_in_float32_has_no_distance_of_a_point_to_itself():
    x, y = points(30, d=500), points(40, d=500, seed=1)  # matrix products leave such distances at about 0.01
    assert energy_distance(x.float(), y.float()).item() == pytest.approx(
        energy_distance(x, y).item(), abs=3e-5
    )


def test_energy_distance_of_a_shifted_normal_is_the_known_one():
    # X ~ N(0,1), Y ~ N(3,1): E|X−X′| = 2/√π and X − Y ~ N(−3, 2), folded normal.
    mean = 2 / math.sqrt(math.pi) * math.exp(-9 / 4) + 3 * math.erf(3 / 2)
    truth = 2 * mean - 4 / math.sqrt(math.pi)
    estimate = energy_estimate(points(3000, d=1), points(2000, d=1, seed=1, shift=3.0))
    assert abs(estimate.value.item() - truth) < 4 * estimate.stderr.item()  # false alarm 6e-5
    assert estimate.stderr.item() < 0.1


@pytest.mark.parametrize(("n", "m", "scale"), [(60, 60, 1.0), (40, 100, 1.0), (60, 60, 4.0)])
def test_standard_error_of_the_energy_distance_is_its_spread(n, m, scale):
    draws = [energy_estimate(points(n, seed=i), 0.7 + scale * points(m, seed=9000 + i)) for i in range(400)]
    spread = torch.stack([draw.value for draw in draws]).std()
    claimed = torch.stack([draw.stderr for draw in draws]).mean()
    assert 0.85 < claimed / spread < 1.15  # the spread's own error is 3.5 %: false alarm 4e-5


def test_standard_error_errs_towards_too_large_for_equal_laws():
    draws = [energy_estimate(points(50, seed=i), points(50, seed=9000 + i)) for i in range(200)]
    spread = torch.stack([draw.value for draw in draws]).std()
    assert torch.stack([draw.stderr for draw in draws]).mean() > spread


def test_energy_distance_has_the_gradient_of_its_formula():
    x, y = points(4).requires_grad_(), points(5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(energy_distance, (x, y))


BAD = {
    "x holds NaN or infinite values in 1": (points(4).index_fill(0, torch.tensor([2]), math.nan), points(5)),
    "y needs at least 2 points; got 1": (points(4), points(1)),
    "same number of dimensions": (points(4), points(5, d=2)),
    "flatten each point": (points(4)[:, None], points(5)),
}


@pytest.mark.parametrize("statistic", [lambda x, y: mmd2(x, y, gaussian), energy_distance, energy_estimate])
@pytest.mark.parametrize("message", list(BAD))
def test_bad_points_are_refused_by_name(statistic, message):
    with pytest.raises(ValueError, match=message):
        statistic(*BAD[message])


def test_other_bad_arguments_are_refused():
    with pytest.raises(UsageError, match="estimator must be"):
        mmd2(points(4), points(5), gaussian, "u")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="bandwidth must be positive; got 0"):
        gaussian_kernel(points(4), points(5), 0.0)
    with pytest.raises(DataError, match="one point only"):
        median_bandwidth(torch.ones(4, 2), torch.ones(3, 2))
