"""The call of two-sample tests, and the tests by permutation.

Rows D5 to D9 of docs/known-mistakes.md.
"""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import wasserstein_distance
from tests.two_samples import FAST, normal

from latentia.errors import DataError, DataWarning, UnknownNameError, UsageError
from latentia.functional.kernel.energy import energy_distance
from latentia.functional.kernel.kernels import gaussian_kernel, median_bandwidth
from latentia.functional.kernel.mmd import mmd2
from latentia.metrics.two_sample import (
    METHODS,
    permutation_p_value,
    permutation_threshold,
    two_sample_test,
)
from latentia.metrics.two_sample.frames import points_of_frames
from latentia.metrics.two_sample.permutation import random_splits
from latentia.metrics.two_sample.sliced import wasserstein_of_splits

BY_FEATURE = {"welch-t", "student-t", "kolmogorov-smirnov", "mann-whitney"}


def test_statistics_equal_the_written_formulas():  # D7
    x, y = normal(20, 0).double(), normal(35, 1, shift=0.5).double()
    h = median_bandwidth(x, y)
    expected = mmd2(x, y, lambda a, b: gaussian_kernel(a, b, h))
    assert two_sample_test(x, y).statistic == pytest.approx(expected.item(), rel=1e-9)
    assert two_sample_test(x, y).settings["bandwidth"] == h
    energy = two_sample_test(x, y, method="energy")
    assert energy.statistic == pytest.approx(energy_distance(x, y).item(), rel=1e-9)
    linear = two_sample_test(x, y, kernel=lambda a, b: a @ b.T)
    means = (x.mean(0) - y.mean(0)).square().sum() - x.var(0).sum() / 20 - y.var(0).sum() / 35
    assert linear.statistic == pytest.approx(means.item(), rel=1e-9)


def test_twice_the_kernel_is_twice_the_statistic_and_the_same_p_value():  # D8
    x, y = normal(20, 0), normal(25, 1, shift=0.4)
    once = two_sample_test(x, y, bandwidth=1.0)
    twice = two_sample_test(x, y, kernel=lambda a, b: 2 * gaussian_kernel(a, b, 1.0))
    assert twice.statistic == pytest.approx(2 * once.statistic, rel=1e-12)
    assert (twice.p_value, twice.effect_size) == pytest.approx((once.p_value, once.effect_size), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_the_scale_of_the_data_does_not_matter(method):  # D9
    x, y = normal(20, 0), normal(35, 1, shift=0.5)
    one, other = (two_sample_test(c * x, c * y, method, **FAST[method]) for c in (1.0, 1024.0))
    assert (one.p_value, one.effect_size) == pytest.approx((other.p_value, other.effect_size), rel=1e-6)


def test_p_value_and_threshold_are_those_of_a_loop_over_the_same_permutations():
    x, y = normal(12, 0).double(), normal(20, 1, shift=0.4).double()
    both, generator = torch.cat([x, y]), torch.Generator().manual_seed(3)
    orders = [torch.randperm(32, generator=generator) for _ in range(60)]
    null = torch.stack([energy_distance(both[order[:12]], both[order[12:]]) for order in orders])
    exceed = int((null >= energy_distance(x, y)).sum())
    result = two_sample_test(x, y, method="energy", permutations=60, seed=3, level=0.1)
    assert 0 < exceed < 60
    assert result.p_value == (1 + exceed) / 61
    assert result.threshold == pytest.approx(float(null.topk(6)[0][5]), rel=1e-9)


@pytest.mark.parametrize("level", [0.05, 0.1, 0.29, 0.01])
@pytest.mark.parametrize("permutations", [19, 60, 99])
def test_a_statistic_exceeds_the_threshold_just_where_p_is_at_most_the_level(level, permutations):
    null = torch.arange(permutations, dtype=torch.float64)
    threshold = permutation_threshold(null, level)
    for observed in torch.arange(-0.5, permutations, 0.5, dtype=torch.float64):
        assert (permutation_p_value(observed, null) <= level) == (float(observed) > threshold)


def test_wasserstein_distances_of_splits_are_those_of_scipy():
    values = torch.cat([normal(30, 0), normal(30, 1).round()]).double()
    splits = random_splits(25, 35, 40, torch.Generator().manual_seed(0))
    found = wasserstein_of_splits(values, splits)
    for line in range(2):
        for number in range(41):
            ours = splits[:, number].bool()
            expected = wasserstein_distance(values[ours, line], values[~ours, line])
            assert found[line, number] == pytest.approx(expected, rel=1e-12)


def test_sliced_wasserstein_of_a_shift_is_the_closed_form():
    x = normal(400, 0, d=3).double()
    result = two_sample_test(x, x + torch.tensor([3.0, 0.0, 0.0]), "sliced-wasserstein", 19, projections=2000)
    # E |θ·c| = ‖c‖/2 for θ uniform on the sphere in three dimensions; its standard deviation 3/√12 over √2000
    # directions
    assert result.statistic == pytest.approx(1.5, abs=4 * 3 / np.sqrt(12 * 2000))  # false alarm 1e-4
    assert result.features[0].name == "0"
    assert result.features[0].statistic == pytest.approx(3.0, rel=1e-12)
    assert result.features[1].statistic == pytest.approx(0.0, abs=1e-12)


def test_the_inhomogeneity_is_one_for_point_masses_and_0_for_equal_distributions():
    apart = two_sample_test(torch.zeros(5, 1), torch.ones(6, 1), "energy", permutations=19)
    assert apart.effect_size == pytest.approx(1.0, rel=1e-12)
    equal = two_sample_test(normal(400, 0), normal(400, 1), permutations=19)
    assert abs(equal.effect_size) < 0.01
    again = two_sample_test(normal(100, 0), normal(100, 1, 1.0)).effect_size
    assert two_sample_test(normal(900, 2), normal(900, 3, 1.0)).effect_size == pytest.approx(again, abs=0.06)


def test_points_are_the_extremes_of_the_witness_function():
    x, y = normal(15, 0).double(), normal(10, 1, shift=0.5).double()
    kernel = partial(gaussian_kernel, bandwidth=1.0)
    values = {}
    for sample, own, other, sign in (("x", x, y, 1), ("y", y, x, -1)):
        for row in range(len(own)):
            rest = torch.cat([own[:row], own[row + 1 :]])
            z = own[row : row + 1]
            values[sample, row] = sign * float(kernel(z, rest).mean() - kernel(z, other).mean())
    expected = sorted(values, key=lambda key: -abs(values[key]))[:10]
    points = two_sample_test(x, y, bandwidth=1.0).points
    assert [(point.sample, point.row) for point in points] == expected
    assert [point.value for point in points] == pytest.approx([values[key] for key in expected], rel=1e-9)


@pytest.mark.parametrize("method", ["mmd", "energy", "sliced-wasserstein", "kolmogorov-smirnov"])
def test_equal_means_and_unequal_variances_are_distinguished_but_not_by_t(method):
    x, y = normal(150, 0), normal(150, 1, scale=2.0)
    x, y = x - x.mean(0), y - y.mean(0)
    assert two_sample_test(x, y, method).reject
    for t in ("welch-t", "student-t"):
        assert two_sample_test(x, y, t).p_value > 0.99


@pytest.mark.parametrize("method", sorted(METHODS.keys() - BY_FEATURE))
def test_p_value_is_never_zero(method):  # D6
    options = FAST[method] | {"permutations": 19}
    result = two_sample_test(normal(40, 0), normal(40, 1, shift=50.0), method, **options)
    assert result.p_value == 1 / 20
    assert permutation_p_value(torch.tensor(1.0), torch.zeros(9)) == 0.1


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"classifier", "deep-kernel"}))
def test_equal_samples_have_p_near_one(method):
    x = normal(30, 0)
    assert two_sample_test(x, x, method).p_value > 0.9


def test_ties_count_against_rejecting():
    rounding = torch.tensor([1.0, 1.0 - 1e-13, 0.0], dtype=torch.float64)
    assert permutation_p_value(torch.tensor(1.0, dtype=torch.float64), rounding) == 3 / 4


@pytest.mark.parametrize("method", METHODS)
def test_result_tells_what_it_is(method):
    x, y = normal(20, 0), normal(30, 1, shift=9.0)
    result = two_sample_test(x, y, method, level=0.06, **FAST[method])
    assert (result.n, result.m, result.method, result.level) == (20, 30, method, 0.06)
    assert result.decision == "reject"
    assert result.p_value <= 0.06
    assert abs(result.statistic) > result.threshold
    assert result.effect
    assert result.features or result.points
    assert bool(result.points) == bool(result.points_show)
    assert {point.sample for point in result.points} <= {"x", "y"}
    assert (result.degrees_of_freedom is None) == (method not in {"welch-t", "student-t"})
    told = json.loads(json.dumps(result.to_json()))
    assert (told["decision"], told["statistic"]) == ("reject", result.statistic)
    equal = two_sample_test(x, normal(30, 2), method, level=0.001, **FAST[method])
    assert equal.decision == "fail to reject"
    assert abs(equal.statistic) <= equal.threshold


def test_too_few_permutations_can_never_reject():
    result = two_sample_test(normal(20, 0), normal(20, 1, shift=9.0), permutations=9)
    assert (result.p_value, result.threshold, result.reject) == (0.1, float("inf"), False)


def test_images_lists_and_arrays_are_flattened_points():
    x, y = normal(20, 0), normal(30, 1)
    expected = two_sample_test(x, y)
    assert two_sample_test(x.numpy(), y.reshape(30, 1, 2, 1)) == expected
    assert two_sample_test(x.tolist(), y) == expected
    one = two_sample_test(x[:, 0], y[:, 0].numpy())
    assert one == two_sample_test(x[:, :1], y[:, :1])
    images = [normal(8, seed, d=8).reshape(8, 2, 2, 2) for seed in (0, 1)]
    assert {each.name for each in two_sample_test(*images, "welch-t").features} == {
        f"{i},{j},{k}" for i in (0, 1) for j in (0, 1) for k in (0, 1)
    }


def test_an_extractor_makes_what_is_tested():
    x, y = normal(20, 0), normal(30, 1, shift=0.5)
    layer = torch.nn.Linear(2, 3)
    found = two_sample_test(x, y, extractor=layer)
    assert found == two_sample_test(layer(x).detach(), layer(y).detach())
    with pytest.raises(UsageError, match="one row for each of the 20 points of x; got \\(3,\\)"):
        two_sample_test(x, y, extractor=lambda z: z[:3].sum(1))


def test_columns_of_frames_are_matched_by_name():
    x, y = normal(20, 0), normal(30, 1) + torch.tensor([0.0, 2.0])
    a, b = (pd.DataFrame(each.numpy(), columns=["mass", "age"]) for each in (x, y))
    result = two_sample_test(a, b[["age", "mass"]], "welch-t")
    assert [each.name for each in result.features] == ["age", "mass"]
    assert result.statistic == pytest.approx(two_sample_test(x, y, "welch-t").statistic, rel=1e-6)
    with pytest.raises(UsageError, match="only one of them has sex"):
        two_sample_test(a, b.assign(sex=1), "welch-t")
    with pytest.raises(DataError, match="x has columns that are not numbers: sex; give both samples"):
        two_sample_test(a.assign(sex="f"), torch.zeros(3, 3), "welch-t")


def mixed(n: int, seed: int, *, rare: float = 0.2, gaps: float = 0.3) -> pd.DataFrame:
    """Return a frame with numbers of different units, words and gaps."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": rng.normal(40, 10, n), "income": rng.normal(0, 1e5, n)})
    frame["town"] = rng.choice(["Ulm", "Bonn", "Trier"], n, p=[rare, 0.5, 0.5 - rare])
    frame.loc[rng.random(n) < gaps, "age"] = np.nan
    return frame.assign(id=np.arange(n))


@pytest.mark.filterwarnings("ignore:ids and free text")
def test_frames_of_words_gaps_and_units_are_compared():
    """A category, a gap and a deviation are all seen beside a column a hundred thousand times as wide."""
    x = mixed(300, 0)
    for y in (
        mixed(300, 1, rare=0.45),
        mixed(300, 1, gaps=0.6),
        mixed(300, 1).assign(age=lambda f: f["age"] + 8),
    ):
        assert two_sample_test(x, y, "energy", 99).reject
        assert not two_sample_test(x, y, "energy", 99, distances="raw").reject
    assert not two_sample_test(x, mixed(300, 2), "energy", 99).reject
    names = {each.name for each in two_sample_test(x, y, "kolmogorov-smirnov").features}
    assert names == {"age", "age missing", "income", "town = Bonn", "town = Trier", "town = Ulm"}


def test_ids_are_not_compared_and_it_is_said():
    x, y = mixed(100, 0), mixed(100, 1).assign(id=np.arange(1000, 1100))
    with pytest.warns(DataWarning, match="ids and free text are not compared: id"):
        assert not two_sample_test(x, y, "mmd", 99).reject


@pytest.mark.parametrize("distances", ["standardised", "ranks", "raw"])
def test_points_of_frames_are_those_of_a_loop(distances):
    """Distances between rows, cell by cell: a deviation, 1 for another word, 1 for a gap beside the mean."""
    x, y = (mixed(20, seed)[["age", "town"]] for seed in (0, 1))
    both = pd.concat([x, y], ignore_index=True)
    ages = both["age"].rank() if distances == "ranks" else both["age"]
    unit = 1.0 if distances == "raw" else ages.std(ddof=0)
    filled = ages.fillna(ages.mean()) / unit
    a, b, _ = points_of_frames(x, y, distances)
    found = torch.cdist(torch.cat([a, b]), torch.cat([a, b]), compute_mode="donot_use_mm_for_euclid_dist")
    for i in range(40):
        for j in range(40):
            squares = (filled[i] - filled[j]) ** 2 + (both["town"][i] != both["town"][j])
            squares += both["age"].isna()[i] != both["age"].isna()[j]
            assert found[i, j] == pytest.approx(np.sqrt(squares), abs=1e-12)


def test_distances_are_named_and_are_for_frames():
    frame = mixed(20, 0)[["age", "town"]]
    assert two_sample_test(frame, frame, distances="ranks").settings["distances"] == "ranks"
    with pytest.raises(UsageError, match="distances='ranks' is for two DataFrames"):
        two_sample_test(normal(5, 0), normal(5, 1), distances="ranks")
    with pytest.raises(UsageError, match="rank"):
        two_sample_test(frame, frame, distances="rank")


@pytest.mark.parametrize("method", sorted(METHODS.keys() - BY_FEATURE))
def test_seed_decides_and_the_global_state_stays(method):
    x, y = normal(40, 0), normal(60, 1)
    before, arrays = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    options = FAST[method] | {"permutations": 499}
    first, again, other = (two_sample_test(x, y, method, seed=seed, **options).p_value for seed in (0, 0, 1))
    assert first == again != other
    assert torch.equal(before, torch.get_rng_state())
    assert (arrays == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (normal(1, 0), normal(5, 1), "x needs at least 2 points; got 1"),
        (normal(5, 0), normal(0, 1), "y needs at least 2 points; got 0"),
        (normal(5, 0), torch.full((5, 2), torch.nan), "y holds NaN or infinite values in 5 of its 5"),
        (torch.ones(5, 2), torch.ones(4, 2), "one point only"),
        (torch.ones(5, 2, dtype=torch.complex64), torch.ones(4, 2), "x holds complex numbers"),
        (np.array([["a"], ["b"]]), torch.ones(4, 1), "x holds text"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_bad_data_is_refused(x, y, message, method):  # D5
    with pytest.raises(DataError, match=message):
        two_sample_test(x, y, method)


def test_a_kernel_that_tells_nothing_apart_is_refused():
    with pytest.raises(DataError, match="takes all points of x and y for one"):
        two_sample_test(normal(5, 0), normal(6, 1), kernel=lambda a, b: torch.ones(len(a), len(b)))


def test_bad_arguments_are_refused():
    x, y = normal(5, 0), normal(6, 1)
    with pytest.raises(UsageError, match="same number of dimensions"):
        two_sample_test(x, y[:, :1])
    with pytest.raises(UsageError, match=r"got 0 and 0\.05"):
        two_sample_test(x, y, permutations=0)
    with pytest.raises(UsageError, match=r"got 500 and 1\.0"):
        two_sample_test(x, y, level=1.0)
    with pytest.raises(UnknownNameError, match="did you mean 'mmd'"):
        two_sample_test(x, y, "mmd2")
    with pytest.raises(UnknownNameError, match="unknown correction 'bonferroni'"):
        two_sample_test(x, y, "welch-t", correction="bonferroni")
    with pytest.raises(
        UsageError, match="unknown option of method 'mmd' 'bandwith'; did you mean 'bandwidth'"
    ):
        two_sample_test(x, y, bandwith=1.0)
    with pytest.raises(UsageError, match="projections must be at least 1; got 0"):
        two_sample_test(x, y, "sliced-wasserstein", projections=0)
