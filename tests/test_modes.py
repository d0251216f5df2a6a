"""Captured modes, high-quality fraction and reverse KL over modes: on true data they reach their ceilings."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

import latentia as lt
from latentia.core.model import Generative
from latentia.data.rows import Modes, Rows
from latentia.data.sets.toy import ring_centres
from latentia.errors import DataError, UsageError
from latentia.functional.modes import (
    count_kl,
    count_kl_bias,
    count_kl_stderr,
    fraction_within,
    nearest_modes,
)
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.scoring import score

CEILING = 1 - math.exp(-4.5)
K = {"ring": 8, "grid": 25}


class Given(Generative):
    """Rows that are given, in their order."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.left = list(x)

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        taken, self.left = self.left[:n], self.left[n:]
        return torch.stack(taken)


def scored(x: Tensor, rows: Rows) -> dict[str, Score]:
    evaluation = Evaluation.of(Given(x), rows, max_rows=len(x))
    return {each.metric.partition("/")[2]: each for each in score(evaluation, ["modes"])}


# --- true data ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", K)
def test_true_data_captures_all_modes_at_the_ceiling_of_quality(name):
    rows = lt.datasets[name](split="test", n=2500)
    found = scored(lt.datasets[name](split="train", n=2500, seed=1).x, rows)
    assert found["captured"].value == K[name]  # 100 draws a mode: none is missed, rate 25 exp(-100)
    error = math.sqrt(CEILING * (1 - CEILING) / 2500)
    assert abs(found["high-quality"].value - CEILING) < 4.5 * error  # false-alarm rate 7e-6
    assert found["high-quality"].settings["of_perfect_samples"] == pytest.approx(CEILING, rel=1e-12)
    assert found["high-quality"].stderr == pytest.approx(error, rel=0.5)
    n = found["reverse-kl"].n
    # 2n KL is χ² of K − 1 degrees of freedom: false-alarm rate 1e-6.
    assert found["reverse-kl"].value < stats.chi2(K[name] - 1).isf(1e-6) / (2 * n)
    assert found["reverse-kl"].settings["of_perfect_samples"] == pytest.approx((K[name] - 1) / (2 * n))


@pytest.mark.parametrize(("name", "expected"), [("ring", 0.0014), ("grid", 0.0048)])
def test_reverse_kl_of_true_counts_is_its_expectation(name, expected):
    assert count_kl_bias(2500, K[name]) == pytest.approx(expected)
    distribution = torch.full((K[name],), 1 / K[name], dtype=torch.float64)
    counts = stats.multinomial(2500, distribution.numpy(), seed=0).rvs(2000)
    values = torch.stack([count_kl(torch.from_numpy(row), distribution) for row in counts])
    error = float(values.std()) / math.sqrt(2000)
    # 4.5 standard errors: false-alarm rate 7e-6; the next order, 1e-3 of the value, is below a tenth of one.
    assert abs(float(values.mean()) - expected) < 4.5 * error
    assert float(values.std()) == pytest.approx(math.sqrt((K[name] - 1) / 2) / 2500, rel=0.15)


# --- planted samples --------------------------------------------------------------------------------------------


def test_a_generator_that_lost_modes_and_quality_is_found_out():
    rows = lt.datasets["ring"](split="test", n=400)
    centres = rows.modes.centres.float()
    x = centres[:2].repeat_interleave(torch.tensor([150, 50]), 0)
    x = torch.cat([x, torch.zeros(200, 2)])  # the ring's middle is near no mode
    found = scored(x, rows)
    assert found["captured"].value == 2
    assert found["high-quality"].value == 0.5
    p = torch.tensor([0.75, 0.25])
    assert found["reverse-kl"].value == pytest.approx(float((p * (8 * p).log()).sum()), rel=1e-6)
    assert (found["captured"].n, found["high-quality"].n, found["reverse-kl"].n) == (400, 400, 200)
    assert [found[name].direction for name in found] == ["higher", "higher", "lower"]


def test_a_mode_is_a_good_sample_within_three_deviations():
    rows = lt.datasets["ring"](split="test", n=4)
    centre, outward = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.01, 0.0]])
    x = torch.cat([centre + r * outward for r in (0.0, 2.99, 3.01, -2.99)])
    assert scored(x, rows)["high-quality"].value == 0.75


def test_options_of_the_set_move_its_modes():
    rows = lt.datasets["ring"](n=100, modes=5, radius=3.0, sd=0.2)
    torch.testing.assert_close(rows.modes.centres, ring_centres(5, 3.0))
    assert (len(rows.modes), rows.modes.sd) == (5, 0.2)
    assert rows.select(torch.arange(4)).modes is rows.modes
    assert lt.datasets["grid"](split="all", n=5).modes is not None


def test_no_good_sample_is_a_reason_and_not_a_number():
    found = scored(torch.zeros(10, 2), lt.datasets["ring"](n=10))
    assert (found["captured"].value, found["high-quality"].value) == (0, 0)
    assert found["reverse-kl"].value is None
    assert "no sample is near a mode" in found["reverse-kl"].reason


def test_rows_without_known_modes_are_a_reason():
    (result,) = score(Evaluation(Given(torch.zeros(10, 2)), lt.datasets["moons"](n=10)), ["modes"])
    assert result.value is None
    assert "modes of the rows are not known" in result.reason


def test_evaluate_takes_the_metric_by_name():
    run = lt.fit(
        "gaussian-mixture", lt.datasets["ring"](n=500), components=8, covariance="spherical", epochs=3
    )
    table = lt.evaluate(run, lt.datasets["ring"](split="test", n=300), metrics="modes")
    assert table["metric"].tolist() == ["modes/captured", "modes/high-quality", "modes/reverse-kl"]
    assert table["value"].notna().all()


def test_modes_are_counted_unasked_where_they_are_known():
    counted = {}
    for data in ("ring", "moons"):
        rows = lt.datasets[data](n=50)
        counted[data] = [
            each.metric for each in score(Evaluation.of(Given(rows.x), rows, mmd_test_permutations=19))
        ]
    assert {"modes/captured", "modes/high-quality", "modes/reverse-kl", "energy-distance"} <= {
        *counted["ring"]
    }
    assert not [name for name in counted["moons"] if "modes" in name]


# --- the functions ----------------------------------------------------------------------------------------------


def test_nearest_modes_equal_a_loop():
    generator = torch.Generator().manual_seed(0)
    x, centres = torch.randn(30, 3, generator=generator), torch.randn(4, 3, generator=generator)
    numbers, distances = nearest_modes(x, centres, 0.5)
    for row, number, distance in zip(x, numbers, distances, strict=True):
        apart = [math.dist(row.tolist(), centre.tolist()) for centre in centres]
        assert apart.index(min(apart)) == number
        assert min(apart) / 0.5 == pytest.approx(float(distance), rel=1e-6)


def test_narrow_modes_far_from_the_origin_keep_their_digits():
    centres = torch.tensor([[12345.678, 9876.54321], [-12345.678, 9876.54321]], dtype=torch.float64)
    distance = nearest_modes((centres + torch.tensor([1e-3, 0.0])), centres, 1e-3)[1]
    torch.testing.assert_close(distance, torch.ones(2).double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_share_within_is_scipy_s(dimensions):
    assert fraction_within(3.0, dimensions) == pytest.approx(stats.chi2(dimensions).cdf(9.0), rel=1e-10)


def test_count_kl_is_scipy_s_entropy_and_infinite_where_the_distribution_has_nothing():
    counts, distribution = torch.tensor([3, 0, 7]), torch.tensor([0.2, 0.5, 0.3])
    assert float(count_kl(counts, distribution)) == pytest.approx(
        stats.entropy([3, 0, 7], distribution.numpy()), rel=1e-6
    )
    assert count_kl(counts, torch.tensor([0.0, 0.5, 0.5])) == torch.inf
    with pytest.raises(DataError, match="counts sum to 0"):
        count_kl(torch.zeros(3), distribution)


def test_the_standard_error_is_that_of_repeated_counts():
    p, distribution = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]], dtype=torch.float64)
    counts = torch.from_numpy(stats.multinomial(400, p.numpy(), seed=1).rvs(3000))
    values = torch.stack([count_kl(row, distribution) for row in counts])
    stderr = torch.stack([count_kl_stderr(row, distribution) for row in counts]).mean()
    assert float(stderr / values.std()) == pytest.approx(
        1.0, abs=0.07
    )  # 5 standard errors of a standard deviation of 3,000 values


def test_bad_modes_are_refused():
    with pytest.raises(UsageError, match="positive sd; got"):
        Modes(torch.zeros(2, 2), 0.0)
    with pytest.raises(UsageError, match="sd must be positive; got -1"):
        nearest_modes(torch.zeros(1, 2), torch.zeros(1, 2), -1.0)
