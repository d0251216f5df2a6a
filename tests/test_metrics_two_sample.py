"""Permutation tests: their level, their power, their p-values. Known mistakes D5 and D6."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binom

from latentia.errors import DataError, UnknownNameError, UsageError
from latentia.functional.energy import energy_distance
from latentia.functional.kernels import gaussian_kernel, median_bandwidth, mmd2
from latentia.metrics.two_sample import METHODS, permutation_p_value, two_sample_test


def normal(n: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    return shift + scale * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


def test_statistics_equal_the_written_formulas():
    x, y = normal(20, 0).double(), normal(35, 1, shift=0.5).double()
    h = median_bandwidth(x, y)
    expected = mmd2(x, y, lambda a, b: gaussian_kernel(a, b, h))
    assert two_sample_test(x, y).statistic == pytest.approx(expected.item(), rel=1e-9)
    assert two_sample_test(x, y).settings["bandwidth"] == h
    energy = two_sample_test(x, y, method="energy")
    assert energy.statistic == pytest.approx(energy_distance(x, y).item(), rel=1e-9)


def test_p_value_is_that_of_a_loop_over_the_same_permutations():
    x, y = normal(12, 0).double(), normal(20, 1, shift=0.4).double()
    both, generator = torch.cat([x, y]), torch.Generator().manual_seed(3)
    observed, exceed = energy_distance(x, y), 0
    for _ in range(60):
        order = torch.randperm(32, generator=generator)
        exceed += int(energy_distance(both[order[:12]], both[order[12:]]) >= observed)
    result = two_sample_test(x, y, method="energy", permutations=60, seed=3)
    assert 0 < exceed < 60
    assert result.p_value == (1 + exceed) / 61


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("ties", [False, True], ids=["continuous", "ties"])
def test_level_is_kept_for_unequal_sizes(method, ties):
    rejections = 0
    for seed in range(200):
        x, y = normal(15, seed), normal(30, 10_000 + seed)
        if ties:
            x, y = x.round(), y.round()
        rejections += two_sample_test(x, y, method, permutations=99, seed=seed).reject
    low, high = binom.interval(0.999, 200, 0.05)  # false alarm 1e-3; ties can only lower the rate
    assert (0 if ties else low) <= rejections <= high


@pytest.mark.parametrize("method", sorted(METHODS))
def test_p_values_are_uniform_for_equal_laws(method):
    samples = [(normal(12, seed), normal(25, 10_000 + seed)) for seed in range(200)]
    p = [two_sample_test(x, y, method, permutations=99).p_value for x, y in samples]
    gap = np.abs(np.sort(p) - np.arange(1, 201) / 200).max()
    assert gap < 0.14  # Kolmogorov: 1.95/√200; false alarm 1e-3


@pytest.mark.parametrize("method", sorted(METHODS))
def test_power_grows_with_the_shift_and_with_n(method):
    def power(n: int, shift: float) -> float:
        draws = [
            two_sample_test(normal(n, i), normal(2 * n, 10_000 + i, shift), method, permutations=99, seed=i)
            for i in range(60)
        ]
        return sum(draw.reject for draw in draws) / 60

    assert power(15, 1.2) > 0.9
    assert power(40, 0.5) > power(10, 0.5) + 0.2


def test_equal_means_and_unequal_variances_are_told_apart():
    assert two_sample_test(normal(80, 0), normal(60, 1, scale=2.5)).reject


def test_p_value_is_never_zero():  # D6
    result = two_sample_test(normal(20, 0), normal(20, 1, shift=50.0), permutations=19)
    assert result.p_value == 1 / 20
    assert permutation_p_value(torch.tensor(1.0), torch.zeros(9)) == 0.1


def test_equal_samples_have_p_near_one_and_ties_count_against_rejecting():
    x = normal(30, 0)
    assert two_sample_test(x, x).p_value > 0.9
    rounding = torch.tensor([1.0, 1.0 - 1e-13, 0.0], dtype=torch.float64)
    assert permutation_p_value(torch.tensor(1.0, dtype=torch.float64), rounding) == 3 / 4


def test_result_tells_what_it_is():
    result = two_sample_test(normal(20, 0), normal(30, 1), permutations=50, seed=4, level=0.01)
    assert (result.n, result.m, result.method, result.level) == (20, 30, "mmd", 0.01)
    assert result.settings.keys() == {"kernel", "bandwidth", "permutations", "seed"}
    assert result.decision == "fail to reject"
    assert two_sample_test(normal(20, 0), normal(30, 1, shift=9)).decision == "reject"


def test_images_lists_and_arrays_are_flattened_points():
    x, y = normal(20, 0), normal(30, 1)
    expected = two_sample_test(x, y)
    assert two_sample_test(x.numpy(), y.reshape(30, 1, 2, 1)) == expected
    one = two_sample_test(x[:, 0], y[:, 0].numpy())
    assert one == two_sample_test(x[:, :1], y[:, :1])


def test_seed_decides_and_the_global_state_stays():
    x, y = normal(20, 0), normal(30, 1)
    before = torch.get_rng_state()
    first, again, other = (two_sample_test(x, y, seed=seed).p_value for seed in (0, 0, 1))
    assert first == again != other
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (normal(1, 0), normal(5, 1), "x needs at least 2 points; got 1"),
        (normal(5, 0), torch.full((5, 2), torch.nan), "y holds NaN or infinite values in 5 of its 5"),
        (torch.ones(5, 2), torch.ones(4, 2), "one point only"),
    ],
)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_bad_data_is_refused(x, y, message, method):
    with pytest.raises(DataError, match=message):
        two_sample_test(x, y, method)


def test_bad_arguments_are_refused():
    x, y = normal(5, 0), normal(6, 1)
    with pytest.raises(UsageError, match="same number of dimensions"):
        two_sample_test(x, y[:, :1])
    with pytest.raises(UsageError, match=r"got 0 and 0\.05"):
        two_sample_test(x, y, permutations=0)
    with pytest.raises(UnknownNameError, match="did you mean 'mmd'"):
        two_sample_test(x, y, "mmd2")
