"""Memorisation: copies of training rows are detected, independent samples are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import latentia as lt
from latentia.core.model import Generative
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.memorisation import nearness
from latentia.functional.neighbours import nearest
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.scoring import score

SPEC = DataSpec((3,), Support("real"))
SCALES = torch.tensor([1.0, 100.0, 0.01])  # entries of different units


def distribution(n: int, seed: int) -> Tensor:
    return SCALES * torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))


class Honest(Generative):
    """The distribution of the rows."""

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        return SCALES * torch.randn(n, 3, generator=generator)


class Copying(Generative):
    """Training rows, moved by a fraction of their standard deviation."""

    def __init__(self, rows: Tensor, noise: float) -> None:
        super().__init__()
        self.rows, self.noise = rows, noise

    def sample(self, n, context=None, *, generator=None) -> Tensor:
        chosen = torch.randint(len(self.rows), (n,), generator=generator)
        return self.rows[chosen] + self.noise * SCALES * torch.randn(n, 3, generator=generator)


def found(model: Generative, seed: int = 0, n: int = 400) -> dict[str, float]:
    train = Rows(distribution(500, 2 * seed), SPEC)
    evaluation = Evaluation.of(
        model, Rows(distribution(n, 2 * seed + 1), SPEC), seed=seed, train_rows=lambda: train
    )
    return {each.metric.partition("/")[2]: each.value for each in score(evaluation, ["memorisation"])}


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_copies_are_flagged(noise):
    told = found(Copying(distribution(500, 0), noise))
    assert told["fraction-too-near"] > 0.7
    assert told["ratio-of-medians"] <= (0.3 if noise else 0.0)
    assert told["test"] < 1e-50


def test_honest_samples_are_flagged_as_often_as_the_test_says():
    told = [found(Honest(), seed) for seed in range(60)]
    p = np.array([each["test"] for each in told])
    assert stats.kstest(p, "uniform").pvalue > 1e-4  # the false-alarm rate
    shares = np.array([each["fraction-too-near"] for each in told])
    error = math.sqrt(2 * 0.05 * 0.95 / 400 / 60)
    assert abs(shares.mean() - 0.05) < 4.5 * error + 0.05 / 20  # a quantile of 400 rows is off by O(1/400)
    assert abs(np.mean([each["ratio-of-medians"] for each in told]) - 1) < 0.05


def test_the_standard_error_holds_the_quantile_s_too():
    train = Rows(distribution(500, 0), SPEC)
    evaluation = Evaluation(Honest(), Rows(distribution(400, 1), SPEC), train_rows=lambda: train)
    share = score(evaluation, ["memorisation"])[0]
    expected = math.sqrt(share.value * (1 - share.value) / 400 + 0.05 * 0.95 / 400)
    assert share.stderr == pytest.approx(expected)
    assert share.settings["training_rows"] == 500


def test_the_units_of_entries_do_not_matter():
    """One copied entry in huge units would rule an unscaled distance."""
    x = distribution(500, 0)

    class OneEntry(Honest):
        def sample(self, n, context=None, *, generator=None) -> Tensor:
            sample = super().sample(n, generator=generator)
            sample[:, 1] = x[torch.randint(500, (n,), generator=generator), 1]
            return sample

    assert found(OneEntry())["fraction-too-near"] < 0.12


def test_training_rows_that_are_not_known_are_a_reason():
    (result,) = score(Evaluation(Honest(), Rows(distribution(20, 0), SPEC)), ["memorisation"])
    assert result.value is None
    assert "needs the rows that the model was fitted to" in result.reason


# --- through runs -----------------------------------------------------------------------------------------------


def test_a_kernel_density_of_no_width_memorises_and_evaluate_knows(tmp_path):
    x = np.random.default_rng(0).normal(size=(400, 2))
    np.save(tmp_path / "x.npy", x)
    options = {"validation": 0.25, "out": tmp_path / "run", "progress": False}
    narrow = lt.fit("kernel-density", tmp_path / "x.npy", bandwidth="fixed", bandwidth_factor=1e-6, **options)
    told = lt.evaluate(narrow, metrics="memorisation").set_index("metric")["value"]
    assert told["memorisation/fraction-too-near"] == 1.0
    again = lt.evaluate(lt.load(tmp_path / "run"), metrics="memorisation").set_index("metric")["value"]
    assert again.equals(told)  # the folder's run reads the same 300 rows
    (tmp_path / "x.npy").unlink()
    gone = lt.evaluate(lt.load(tmp_path / "run"), distribution(50, 0)[:, :2], metrics="memorisation")
    assert gone["value"].isna().all()
    assert "they cannot be read any more" in gone["reason"][0]


def test_a_named_set_s_training_part_is_read_again(tmp_path):
    lt.fit("gaussian", "ring", out=tmp_path / "run")
    table = lt.evaluate(lt.load(tmp_path / "run"), metrics="memorisation", max_rows=500)
    assert table["value"].notna().all()
    assert '"training_rows": 10000' in table["settings"][0]


# --- the functions ----------------------------------------------------------------------------------------------


def test_nearest_equals_a_loop_in_any_blocks():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 4, generator=generator), torch.randn(70, 4, generator=generator)
    apart = (x[:, None] - y).norm(dim=2).min(1)
    for size in (7, 30, 70):
        distance, number = nearest(x, y.split(size))
        torch.testing.assert_close(distance, apart.values)
        assert torch.equal(number, apart.indices)


def test_a_copy_is_at_distance_zero_exactly():
    y = 1e3 + torch.randn(100, 50, generator=torch.Generator().manual_seed(0))
    assert nearest(y[:60], y.split(64))[0].tolist() == [0.0] * 60


def test_nearness_is_the_test_of_scipy():
    a, b = distribution(50, 0)[:, 0].abs() + 0.1, distribution(70, 1)[:, 0].abs() + 0.1
    told = nearness(a, b, quantile=0.2)
    test = stats.mannwhitneyu(a.numpy(), b.numpy(), alternative="less")
    assert told.p_value == pytest.approx(test.pvalue)
    assert float(told.threshold) == pytest.approx(np.quantile(b.numpy(), 0.2), rel=1e-6)
    assert float(told.fraction_too_near) == pytest.approx(np.mean(a.numpy() < np.quantile(b.numpy(), 0.2)))


def test_bad_distances_are_refused():
    with pytest.raises(DataError, match="of the held-out rows 67% are training rows"):
        nearness(torch.ones(3), torch.tensor([0.0, 0.0, 1.0]))
    with pytest.raises(DataError, match="10% are training rows too, so that no sample can be nearer"):
        nearness(torch.zeros(50), torch.cat([torch.zeros(2), torch.ones(18)]))  # copies, that would score 0 %
    copies = nearness(torch.zeros(50), torch.cat([torch.zeros(2), torch.ones(98)]))
    assert copies.fraction_too_near == 1
    with pytest.raises(DataError, match="got 0 of samples"):
        nearness(torch.ones(0), torch.ones(3))
    with pytest.raises(DataError, match="at least 1 point to search"):
        nearest(torch.ones(3, 2), iter(()))
    with pytest.raises(UsageError, match="same number of dimensions"):
        nearest(torch.ones(3, 2), [torch.ones(3, 1)])
