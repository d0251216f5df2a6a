"""The body of the loop: what is called after an epoch, what a monitor may cost, and a history that is appended to."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch

import latentia as lt
from latentia.core.logged import Logged
from latentia.errors import RunError, UsageError
from latentia.runs import history as history_module
from latentia.runs.history import HistoryFile, read_rows, table_of
from latentia.runs.loop import Averages, Loop
from latentia.runs.monitor import Monitor

X = torch.randn(96, 2, generator=torch.Generator().manual_seed(0))
SMALL = {"hidden": 4, "latent_dim": 2, "batch_size": 32, "progress": False}


def vae(**options) -> lt.Run:
    return lt.fit("vae", X, **{**SMALL, "epochs": 4, **options})


# --- on_epoch ---------------------------------------------------------------------------------------------------


def test_on_epoch_sees_each_row_of_the_history_and_the_run():
    seen = []

    def look(run, row):
        assert run.sample(3, seed=0).shape == (3, 2)
        assert not run.model.training
        seen.append(row)

    run = vae(on_epoch=look, validation=0.2)
    assert [row["epoch"] for row in seen] == [1, 2, 3, 4]
    pd.testing.assert_frame_equal(pd.DataFrame(seen), run.history)


def test_looking_at_it_does_not_change_the_training():
    plain, watched = vae(), vae(on_epoch=lambda run, row: torch.randn(9) is None)
    for a, b in zip(plain.model.parameters(), watched.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_true_stops_the_training_as_its_end(tmp_path):
    out = tmp_path / "run"
    run = vae(epochs=50, on_epoch=lambda run, row: row["epoch"] == 3, out=out)
    assert run.history["epoch"].tolist() == [1, 2, 3]
    assert not run.interrupted
    assert "interrupted" not in lt.doctor(run)["finding"].tolist()
    three = vae(epochs=3)
    for a, b in zip(run.model.parameters(), three.model.parameters(), strict=True):
        assert torch.equal(a, b)
    again = vae(epochs=50, out=out, resume=True)
    assert again.history["epoch"].tolist() == [1, 2, 3]  # it was over: nothing is left to resume
    assert "interrupted" not in lt.doctor(lt.load(out))["finding"].tolist()


@pytest.mark.parametrize("decision", ["stop", 0.5, 2])
def test_anything_but_a_decision_is_refused(decision):
    with pytest.raises(UsageError, match="on_epoch must return True to stop the training, or False or None"):
        vae(on_epoch=lambda run, row: decision)


# --- monitors ---------------------------------------------------------------------------------------------------


def test_no_monitor_is_computed_where_none_is_wanted(monkeypatch):
    monkeypatch.setattr(Monitor, "watch", lambda *_: pytest.fail("a monitor was computed"))
    run = vae(monitor="none", validation=0.2)
    assert not [name for name in run.history if name.startswith("validation_")]
    for patience in ({"patience": 2}, {"stop_on": "none"}):
        with pytest.raises(UsageError, match=r"monitor='none' leaves it out|stop_on"):
            vae(monitor="none", validation=0.2, **patience)


@pytest.fixture
def clock(monkeypatch):
    """Time in the loop and its meter: a step takes 1 s, a value of the monitor as long as it says."""
    now = [0.0]
    for module in ("latentia.runs.loop.time", "latentia.runs.costs.time"):
        monkeypatch.setattr(f"{module}.monotonic", lambda: now[0])
    plain = Averages.add
    monkeypatch.setattr(Averages, "add", lambda *given: (plain(*given), now.__setitem__(0, now[0] + 1.0))[0])
    return now


def watched_epochs(clock, monkeypatch, capsys, seconds: float, **options) -> tuple[list[int], str]:
    def watch(self, model, objective):
        clock[0] += seconds
        return 1.0

    monkeypatch.setattr(Monitor, "watch", watch)
    options = {"epochs": 120, "batch_size": 80, "validation": 16 / 96, "progress": True, **options}
    run = vae(**options)
    column = run.history[next(name for name in run.history if name.startswith("validation_"))]
    return run.history["epoch"][column.notna()].tolist(), capsys.readouterr().err


@pytest.mark.parametrize("seconds", [0.01, 0.2, 3.0])
def test_a_monitor_skips_epochs_to_stay_under_five_percent_and_says_so_once(
    seconds, clock, monkeypatch, capsys
):
    """An epoch is one step of one second here; the first second is free, and the last epoch is watched."""
    watched, said = watched_epochs(clock, monkeypatch, capsys, seconds)
    assert {1, 120} <= set(watched)
    assert (len(watched) - 2) * seconds <= max(1.0, 0.05 * 120)
    assert said.count("skips epochs to stay under 5 % of the training's time") == int(seconds > 0.05)
    if seconds < 0.05:
        assert len(watched) == 120
    else:
        assert len(watched) * seconds >= 0.8 * 0.05 * 120  # and no more are skipped than need be


def test_patience_skips_no_epoch(clock, monkeypatch, capsys):
    """When a training stops is not a matter of the machine's speed."""
    watched, said = watched_epochs(clock, monkeypatch, capsys, 3.0, patience=200, epochs=30)
    assert watched == list(range(1, 31))
    assert "skips epochs" not in said


# --- means ------------------------------------------------------------------------------------------------------


def test_means_of_what_is_read_together_are_those_of_what_is_read_step_by_step():
    together, apart = Averages(), {"loss": [], "norm": []}
    generator = torch.Generator().manual_seed(0)
    for step in range(50):
        rows, loss = 1 + step % 7, torch.randn((), generator=generator)
        logged = {"loss": loss, **({"norm": 2 * loss} if step % 10 == 0 else {})}
        together.add(Logged(logged), rows)
        for name, value in logged.items():
            apart[name].append((float(value), rows))
    means = together.close()
    for name, parts in apart.items():
        assert means[name] == sum(value * rows for value, rows in parts) / sum(rows for _, rows in parts)
    assert together.close() == {}


# --- metrics.csv ------------------------------------------------------------------------------------------------

ROWS = [
    {"epoch": 1, "step": 4, "loss": 0.1, "norm": 1e-300},
    {"epoch": 2, "step": 8, "loss": math.pi},
    {"epoch": 3, "step": 12, "loss": math.inf, "norm": 2.0},
    {"epoch": 4, "step": 16, "loss": math.nan, "validation_elbo": -1 / 3},
    {"epoch": 5, "step": 20, "loss": 5.0},
]


def recorded(tmp_path, rows=ROWS) -> pd.DataFrame:
    file = HistoryFile()
    for number in range(1, len(rows) + 1):
        file.record(rows[:number], tmp_path)
    return table_of(read_rows(tmp_path / "metrics.csv"))


def test_a_history_that_is_written_line_by_line_comes_back_exactly(tmp_path):
    found = recorded(tmp_path)
    pd.testing.assert_frame_equal(found, pd.DataFrame(ROWS))
    assert found["epoch"].dtype == np.int64
    HistoryFile().record(ROWS, tmp_path / "..")
    whole = (tmp_path / ".." / "metrics.csv").read_bytes()
    assert whole == (tmp_path / "metrics.csv").read_bytes()
    assert whole.decode() == pd.DataFrame(ROWS).to_csv(index=False)


def test_a_line_is_appended_and_the_file_is_rewritten_only_for_a_new_column(tmp_path, monkeypatch):
    written = []
    plain = history_module.write_rows
    monkeypatch.setattr(
        history_module, "write_rows", lambda rows, *more: (written.append(len(rows)), plain(rows, *more))
    )
    recorded(tmp_path)
    assert written == [1, 4]


def test_a_torn_last_line_is_left_out(tmp_path):
    """Wherever a kill cuts the file off, the whole lines before are read."""
    recorded(tmp_path)
    file = tmp_path / "metrics.csv"
    content = file.read_bytes()
    for end in range(len(content) + 1):
        file.write_bytes(content[:end])
        found = table_of(read_rows(file))
        whole = max(0, content[:end].count(b"\n") - 1)
        assert found["epoch"].tolist() == [row["epoch"] for row in ROWS[:whole]]
    file.write_bytes(content.replace(b"3,12,inf,2.0,", b"3,12,inf"))
    with pytest.raises(RunError, match=r"metrics.csv is no readable table \(a row is cut off\)"):
        table_of(read_rows(file))


def test_a_training_that_was_killed_while_it_wrote_a_line_resumes_exactly(tmp_path, monkeypatch):
    whole = vae(epochs=6, out=tmp_path / "whole", checkpoint_every=1)
    killed = tmp_path / "killed"
    with monkeypatch.context() as patched:
        patched.setattr(Loop, "finish", lambda *_, **__: None)  # as kill -9: nothing more is written
        with pytest.raises(Killed):
            vae(epochs=6, out=killed, checkpoint_every=5, on_epoch=die_in_the_fourth)
    with (killed / "metrics.csv").open("ab") as file:
        file.write(b"5,15,-3.1")
    again = vae(epochs=6, out=killed, checkpoint_every=5, resume=True)
    assert (killed / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)


class Killed(BaseException):
    """What nobody catches."""


def die_in_the_fourth(run, row):
    if row["epoch"] == 4:
        raise Killed


def test_no_epoch_of_a_training_reads_or_writes_its_whole_history(tmp_path):
    """What an epoch writes is one line, however many came before."""
    file, rows = HistoryFile(), [{"epoch": n, "step": n, "loss": 1.0 / n} for n in range(1, 2001)]
    sizes = []
    for number in range(1, len(rows) + 1):
        file.record(Short(rows[:number], number), tmp_path)
        sizes.append((tmp_path / "metrics.csv").stat().st_size)
    steps = [b - a for a, b in itertools.pairwise(sizes)]
    assert max(steps) < 50
    assert len(table_of(read_rows(tmp_path / "metrics.csv"))) == 2000


class Short(list):
    """A history that refuses to be read as a whole once it is long."""

    def __init__(self, rows, number):
        super().__init__(rows)
        self.number = number

    def __iter__(self):
        assert self.number < 2, "the whole history was read"
        return super().__iter__()
