"""Kernels and MMD against naive loops.

Rows A16, D7, D8 and D9 of docs/known-mistakes.md; the energy distance likewise.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import combinations

import pytest
import torch
from tests.draws import points
from torch import Tensor

from latentia.errors import DataError, UnknownNameError, UsageError
from latentia.functional.kernel import kernels, mmd
from latentia.functional.kernel.energy import energy_distance, energy_estimate
from latentia.functional.kernel.kernels import (
    KERNELS,
    gaussian_kernel,
    gaussian_mixture_kernel,
    inverse_multiquadric_kernel,
    kernel_of_length,
    laplace_kernel,
    linear_kernel,
    median_bandwidth,
    polynomial_kernel,
)
from latentia.functional.kernel.mmd import mmd2, mmd2_linear_time, mmd2_of_splits, witness


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


def distance(a: Tensor, b: Tensor) -> float:
    return math.dist(a.tolist(), b.tolist())


def inner(a: Tensor, b: Tensor) -> float:
    return sum(s * t for s, t in zip(a.tolist(), b.tolist(), strict=True))


gaussian = partial(gaussian_kernel, bandwidth=1.3)
H = 1.7
NAIVE = {  # each kernel of the table at the length H, written out for two points
    "gaussian": lambda a, b: naive_gaussian(a, b, H),
    "gaussian-mixture": lambda a, b: sum(naive_gaussian(a, b, H * 2.0**k) for k in range(-2, 3)) / 5,
    "laplace": lambda a, b: math.exp(-distance(a, b) / H),
    "inverse-multiquadric": lambda a, b: H**2 / (H**2 + distance(a, b) ** 2),
    "polynomial": lambda a, b: (inner(a, b) / H**2 + 1) ** 3,
    "linear": inner,
    "negative-distance": naive_distance,
}
NAMES = sorted(KERNELS)


@pytest.fixture(params=[None, 7], ids=["one block", "many blocks"])
def block(request, monkeypatch) -> None:
    if request.param:
        monkeypatch.setattr(kernels, "_BLOCK", request.param)


@pytest.mark.parametrize("name", NAMES)
def test_kernel_equals_the_naive_one(name):
    x, y = points(4), points(6, seed=1)
    expected = torch.tensor([[NAIVE[name](a, b) for b in y] for a in x], dtype=torch.float64)
    torch.testing.assert_close(kernel_of_length(name, H)(x, y), expected, rtol=1e-10, atol=1e-10)


def test_the_parameters_of_each_kernel_are_those_of_its_formula():
    x, y = points(1, d=2), points(1, d=2, seed=1)
    r = distance(x[0], y[0])
    mixture = gaussian_mixture_kernel(x, y, (0.5, 3.0)).item()
    assert mixture == pytest.approx((math.exp(-(r**2) / 0.5) + math.exp(-(r**2) / 18)) / 2)
    assert laplace_kernel(x, y, 0.7).item() == pytest.approx(math.exp(-r / 0.7))
    assert inverse_multiquadric_kernel(x, y, 0.7).item() == pytest.approx(0.7 / (0.7 + r**2))
    assert polynomial_kernel(x, y).item() == pytest.approx((inner(x[0], y[0]) / 2 + 1) ** 3)  # s is d
    assert polynomial_kernel(x, y, degree=2, scale=5.0).item() == pytest.approx(
        (inner(x[0], y[0]) / 5 + 1) ** 2
    )


@pytest.mark.parametrize("name", NAMES)
def test_kernel_is_symmetric_positive_and_keeps_the_type(name):
    x = points(12)
    K = kernel_of_length(name, H)(x, x)
    torch.testing.assert_close(K, K.T)
    centred = K - K.mean(0) - K.mean(1, keepdim=True) + K.mean()  # −‖x − y‖ is positive on sums of zero
    assert torch.linalg.eigvalsh(centred).min() > -1e-9
    assert kernel_of_length(name, H)(x.float(), x.float()).dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_kernel_has_the_gradient_of_its_formula(name):
    x, y = points(3).requires_grad_(), points(4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(kernel_of_length(name, H), (x, y))


def test_kernel_far_from_the_origin_keeps_its_digits():
    x, y = points(30).float(), points(30, seed=1).float()
    torch.testing.assert_close(gaussian(x + 1000, y + 1000), gaussian(x, y), rtol=0, atol=1e-3)


def test_kernel_of_distant_points_is_tiny_but_not_denormal():
    k = gaussian(torch.zeros(1, 1), torch.full((1, 1), 1e4))
    assert 0 < k.item() < 1e-30
    assert k.item() > torch.finfo(torch.float32).tiny


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize("name", NAMES)
def test_mmd2_equals_the_double_loop(name, estimator, block):  # A16, D7
    x, y = points(5), points(9, seed=1, shift=0.5)
    expected = naive_mmd2(x, y, NAIVE[name], estimator == "unbiased")
    assert mmd2(x, y, kernel_of_length(name, H), estimator).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_twice_the_kernel_is_twice_the_statistic(name):  # D8: the diagonal is k(x, x), whatever that is
    x, y, kernel = points(5), points(9, seed=1), kernel_of_length(name, H)

    def twice(a: Tensor, b: Tensor) -> Tensor:
        return 2 * kernel(a, b)

    for estimator in ("unbiased", "biased"):
        torch.testing.assert_close(mmd2(x, y, twice, estimator), 2 * mmd2(x, y, kernel, estimator))
    split = torch.tensor([[1.0] * 5 + [0.0] * 9]).T.double()
    once = mmd2_of_splits(torch.cat([x, y]), split, kernel)
    torch.testing.assert_close(mmd2_of_splits(torch.cat([x, y]), split, twice), 2 * once)
    torch.testing.assert_close(once[0], mmd2(x, y, kernel))


@pytest.mark.parametrize("name", NAMES)
def test_unbiased_mmd2_averages_to_zero_for_equal_distributions_and_not_for_others(name):  # A16
    kernel = kernel_of_length(name, H)
    draws = [(points(10, seed=i), points(15, seed=5000 + i)) for i in range(400)]
    values = torch.stack([mmd2(x, y, kernel) for x, y in draws])
    assert abs(values.mean() / (values.std() / 20)) < 4.5  # false alarm 7e-6 for each kernel
    biased = torch.stack([mmd2(x, y, kernel, "biased") for x, y in draws[:20]])
    assert bool((biased > 0).all())
    apart = torch.stack([mmd2(x, y + 1, kernel) for x, y in draws[:20]])
    assert apart.mean() > 10 * values.std() / 20**0.5  # a collapsed or shifted code is seen


def test_linear_mmd2_is_the_squared_distance_of_the_means():
    x, y = points(7), points(9, seed=1, shift=0.5)
    assert mmd2(x, y, linear_kernel, "biased").item() == pytest.approx(
        float((x.mean(0) - y.mean(0)).square().sum())
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [6, 7])
def test_linear_time_mmd2_equals_the_sum_over_pairs(name, n, monkeypatch):
    monkeypatch.setattr(mmd, "_PAIRS", 2)
    x, y, k = points(n), points(n, seed=1, shift=0.5), NAIVE[name]
    terms = torch.tensor(
        [
            k(x[i], x[i + 1]) + k(y[i], y[i + 1]) - k(x[i], y[i + 1]) - k(x[i + 1], y[i])
            for i in range(0, n - 1, 2)
        ]
    )
    estimate = mmd2_linear_time(x, y, kernel_of_length(name, H))
    assert estimate.value.item() == pytest.approx(float(terms.mean()), abs=1e-6)
    assert estimate.stderr.item() == pytest.approx(float(terms.std()) / 3**0.5, abs=1e-6)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_linear_time_mmd2_is_unbiased_and_its_error_is_its_spread(shift):
    draws = [
        mmd2_linear_time(points(60, seed=i), points(60, seed=9000 + i) + shift, gaussian) for i in range(400)
    ]
    values = torch.stack([draw.value for draw in draws])
    reference = mmd2(points(2000), points(2000, seed=1) + shift, gaussian)  # its own error is below 2 %
    assert abs(values.mean() - reference) < 4.5 * values.std() / 20 + 0.02 * reference  # false alarm 7e-6
    claimed = torch.stack([draw.stderr for draw in draws]).mean()
    assert 0.85 < claimed / values.std() < 1.15  # the spread's own error is 3.5 %: false alarm 4e-5


def test_witness_equals_its_means_and_gives_the_biased_mmd2(block):
    at, x, y = points(4, seed=2), points(5), points(9, seed=1, shift=0.5)
    k = NAIVE["laplace"]
    expected = [sum(k(t, a) for a in x) / 5 - sum(k(t, b) for b in y) / 9 for t in at]
    laplace = kernel_of_length("laplace", H)
    assert witness(at, x, y, laplace).tolist() == pytest.approx(expected, abs=1e-12)
    difference = witness(x, x, y, laplace).mean() - witness(y, x, y, laplace).mean()
    torch.testing.assert_close(difference, mmd2(x, y, laplace, "biased"))


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


def test_standard_error_errs_towards_too_large_for_equal_distributions():
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


STATISTICS = {
    "mmd2": lambda x, y: mmd2(x, y, gaussian),
    "energy": energy_distance,
    "energy with error": energy_estimate,
}


@pytest.mark.parametrize("statistic", STATISTICS.values(), ids=list(STATISTICS))
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
    with pytest.raises(DataError, match="y holds NaN"):
        witness(points(3), points(4), points(5) * math.nan, gaussian)
    with pytest.raises(DataError, match="as many x as y; got 4 and 5"):
        mmd2_linear_time(points(4), points(5), gaussian)
    with pytest.raises(DataError, match="x needs at least 4 points; got 3"):
        mmd2_linear_time(points(3), points(3), gaussian)
    with pytest.raises(UnknownNameError, match="unknown kernel 'guassian'; did you mean 'gaussian'"):
        kernel_of_length("guassian", 1.0)


@pytest.mark.parametrize(
    ("message", "call"),
    {
        "length must be positive; got -1": lambda x: kernel_of_length("gaussian", -1.0),
        "bandwidth must be positive; got nan": lambda x: laplace_kernel(x, x, math.nan),
        "bandwidth must be positive; got 0": lambda x: gaussian_mixture_kernel(x, x, (1.0, 0.0)),
        "at least one; got none": lambda x: gaussian_mixture_kernel(x, x, ()),
        "C must be positive; got inf": lambda x: inverse_multiquadric_kernel(x, x, math.inf),
        "scale must be positive": lambda x: polynomial_kernel(x, x, scale=0.0),
        "degree must be at least 1; got 0": lambda x: polynomial_kernel(x, x, degree=0),
    }.items(),
)
def test_bad_parameters_of_kernels_are_refused(message, call):
    with pytest.raises(UsageError, match=message):
        call(points(4))
