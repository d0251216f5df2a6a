"""Scores are whole: a number with its meaning, or a reason.

Rows C4, D14 and D15 of docs/known-mistakes.md.
"""

from __future__ import annotations

import csv
import io
import json
import math

import pytest
import torch

from latentia.errors import UsageError
from latentia.metrics.score import Score, mean_score, printed, table

VALUES = [-105.23716735839844, -3.2, 1 / 501, 1.2345678912345e-7, -4.4e-12, 0.0, 6.02e23, 1 / 3]


def scores() -> list[Score]:
    counted = [Score(f"m{i}", value, abs(value) / 7, n=i) for i, value in enumerate(VALUES)]
    return [*counted, Score("none", None, kind="none: samples only", reason="it has no density")]


def test_mean_and_standard_error():
    rows = torch.tensor([1.0, 2.0, 6.0])
    score = mean_score("elbo", rows, unit="nats", direction="higher")
    assert (score.value, score.n, score.unit, score.direction) == (3.0, 3, "nats", "higher")
    assert score.stderr == pytest.approx(math.sqrt(7 / 3))  # sd² = (4 + 1 + 9)/2
    assert mean_score("elbo", rows[:1]).stderr is None


def test_mean_of_many_float32_rows_is_summed_in_double():
    rows = torch.full((200_000,), 0.1)
    assert mean_score("elbo", rows).value == float(torch.tensor(0.1))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_is_counted_never_dropped(wrong):  # C4
    score = mean_score("elbo", torch.tensor([1.0, wrong, 2.0, wrong]), unit="nats")
    assert score.value is None
    assert score.stderr is None
    assert score.reason == "2 of 4 rows scored NaN or infinite"
    assert score.n == 4


def test_a_score_is_finite_or_has_a_reason():
    with pytest.raises(UsageError, match="must give a reason"):
        Score("elbo", None)
    with pytest.raises(UsageError, match="got nan"):
        Score("elbo", math.nan)
    assert mean_score("elbo", torch.zeros(0)).reason == "there are no rows"


def test_table_holds_the_numbers_themselves_and_every_metric():  # D14
    frame = table(scores())
    assert frame["value"].tolist()[:-1] == VALUES
    assert frame["metric"].tolist() == [score.metric for score in scores()]
    last = frame.iloc[-1]
    assert math.isnan(last["value"])
    assert last["reason"] == "it has no density"
    assert list(frame.columns[:6]) == ["metric", "value", "stderr", "unit", "kind", "n"]
    assert frame.columns[-1] == "settings"
    assert table([]).empty


def test_table_written_as_csv_reads_back_exactly():  # D15
    lines = csv.DictReader(io.StringIO(table(scores()).to_csv(index=False)))
    assert [float(line["value"]) for line in lines if line["value"]] == VALUES


def test_printed_numbers_parse_back():  # D15: none clipped, whatever size and sign
    assert [float(printed(value)) for value in VALUES] == pytest.approx(VALUES, rel=1e-8, abs=0)


def test_settings_are_written_as_json():
    frame = table([Score("iwae", -1.0, settings={"samples": 100, "seed": 0})])
    assert json.loads(frame["settings"][0]) == {"samples": 100, "seed": 0}
