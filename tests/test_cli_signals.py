"""SIGTERM and SIGHUP on the command line: they save what Ctrl-C saves, and leave other processes' handlers alone."""

from __future__ import annotations

import errno
import io
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.running import contents, vae, watching

import latentia as lt
from latentia.cli import main
from latentia.cli.commands import GROUPS, verbs
from latentia.errors import RunError
from latentia.runs.diagnostics.finding import Finding
from latentia.runs.folder import read_checkpoint
from latentia.runs.progress import print_finding, progress_bar

LATENTIA = (sys.executable, "-m", "latentia")
FIT = ("fit", "vae", "--data", "rows.npy", "--hidden", "4", "--latent-dim", "1", "--batch-size", "20")
ENDLESS = (*FIT, "--checkpoint-every", "1", "--steps", "1000000000", "--out", "run")
ROWS = np.random.default_rng(0).normal(size=(60, 3))
WAIT = 120  # seconds, on a machine with much else to do
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", ROWS)


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that do not outlive the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(words: tuple[str, ...], **options) -> subprocess.Popen[str]:
        options = {"stderr": subprocess.PIPE, "text": True} | options
        processes.append(subprocess.Popen(words, **options))
        return processes[-1]

    yield start
    for each in processes:
        each.kill()
        each.wait()
        if each.stderr:
            each.stderr.close()


def steps() -> list[int]:
    return sorted(int(each.stem) for each in Path("run").glob("checkpoint/[0-9]*.safetensors"))


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + WAIT
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)


def saved_whole() -> bool:
    """Whether the run's model is that of its last checkpoint."""
    checkpoint, clock = read_checkpoint(Path("run")), lt.load("run").recipe.objective.clock
    return checkpoint is not None and checkpoint.tensors["objective.clock"].equal(clock) and int(clock) > 0


@BOTH
def test_a_signal_ends_the_step_and_saves(number, started):
    process = started((*LATENTIA, *ENDLESS))
    wait_for(steps, process)
    process.send_signal(number)
    err = process.communicate(timeout=WAIT)[1]
    assert process.returncode == {"SIGTERM": 143, "SIGHUP": 129}[number.name]
    told = f"latentia: interrupted by {number.name}; run is saved: the same command with --resume goes on"
    assert err.splitlines()[-1] == told
    assert "Traceback" not in err
    assert saved_whole()


def test_what_is_ignored_at_the_start_stays_ignored_and_the_rest_is_not(started):
    """As under nohup, and in the background of a script, where Ctrl-C is meant for others."""
    process = started(("sh", "-c", 'trap "" HUP INT; exec "$@"', "sh", *LATENTIA, *ENDLESS))
    wait_for(steps, process)
    for number in (signal.SIGHUP, signal.SIGINT):
        process.send_signal(number)
    now = steps()[-1]
    wait_for(lambda: steps()[-1] > now + 5, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT)
    assert process.returncode == 143
    assert saved_whole()


IN_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_terminal_that_is_closed_loses_nothing(started):
    """Nobody can be shown a bar or a line any more; the exit code is the signal's."""
    ours, theirs = pty.openpty()
    process = started(
        (sys.executable, "-c", IN_A_TERMINAL, *LATENTIA, *ENDLESS), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    wait_for(lambda: os.read(ours, 1000) and steps(), process)
    os.close(ours)
    assert process.wait(WAIT) == 129
    assert saved_whole()


SLOW = """
import time
from pathlib import Path
from latentia.registry import datasets

@datasets.register("slow")
def slow(split="train", seed=0):
    "Rows that take minutes."
    Path("reading").touch()
    time.sleep(300)
"""


@BOTH
def test_a_signal_while_data_is_read_ends_in_one_line(number, started):
    Path("slow.py").write_text(SLOW)
    process = started((*LATENTIA, "--import", "slow.py", "fit", "vae", "--data", "slow"))
    wait_for(Path("reading").exists, process)
    process.send_signal(number)
    err = process.communicate(timeout=WAIT)[1]
    assert process.returncode == 128 + number
    assert err == f"latentia: interrupted by {number.name}\n"
    assert not Path("runs").exists()


WITHIN_AN_EXTENSION = """
import ctypes, sys
from latentia.cli import main
from latentia.cli.commands import verbs

def verb():
    run = ctypes.pythonapi.PyRun_String
    run.argtypes, run.restype = [ctypes.c_char_p, ctypes.c_int, *[ctypes.py_object] * 2], ctypes.py_object
    run(b"import signal; signal.raise_signal(signal.SIGTERM)", 257, {}, {})

verbs._members["recipes"], verbs._facts["recipes"] = verb, {}
sys.exit(main(["recipes"]))
"""


def test_a_signal_while_an_extension_runs_code_has_the_same_exit_code(started):
    """As torch does while it is imported."""
    Path("within.py").write_text(WITHIN_AN_EXTENSION)
    process = started((sys.executable, "-m", "within"))  # as a module, which latentia is too
    assert process.communicate(timeout=WAIT)[1] == "latentia: interrupted by SIGTERM\n"
    assert process.returncode == 143


# --- in this process ----------------------------------------------------------------------------------------------


def sending(number: int) -> Callable[..., None]:
    return lambda *_, **__: signal.raise_signal(number)


SHORT = (*FIT, "--epochs", "2", "--validation", "0.2", "--out", "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what a run that nobody stops consists of."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path_factory.mktemp("whole"))
        np.save("rows.npy", ROWS)
        assert main(SHORT) == 0
        return {name: Path("run", name).read_bytes() for name in ("model.safetensors", "samples.png")}


@pytest.mark.parametrize(
    "where",
    [
        "latentia.runs.fit.read_parts",
        "latentia.runs.fit.Loop.finish",
        "latentia.runs.evaluate.scores",
        "latentia.report.page.write_report",
    ],
)
def test_a_signal_outside_of_the_loop_leaves_what_is_whole(where, whole, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(where, sending(signal.SIGTERM))
        assert main(SHORT) == 143
    assert capsys.readouterr().err.splitlines()[-1] == "latentia: interrupted by SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert main([*SHORT, "--resume"]) == 0
    assert {name: Path("run", name).read_bytes() for name in whole} == whole
    assert not [*Path("run").rglob(".*"), *Path().glob(".*")]


def test_a_signal_in_the_middle_of_a_file_leaves_the_one_before(monkeypatch, capsys):
    assert main(SHORT) == 0
    before = contents(Path("run"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", sending(signal.SIGTERM))
        assert main(["sample", "run"]) == 143
        assert main(["report", "run"]) == 143
    assert contents(Path("run")) == before
    assert capsys.readouterr().err.splitlines()[-1] == "latentia: interrupted by SIGTERM"


def test_with_overwrite_the_line_says_what_to_type(monkeypatch, capsys):
    with watching(monkeypatch, sending(signal.SIGTERM)):
        assert main([*SHORT, "--overwrite"]) == 143
    told = "run is saved: the same command with --resume in the place of --overwrite goes on"
    assert capsys.readouterr().err == f"latentia: interrupted by SIGTERM; {told}\n"


@BOTH
@pytest.mark.parametrize(("seconds", "waits"), [(0.1, True), (2.0, False)])
def test_a_second_signal_does_not_wait_but_an_echo_is_none(seconds, waits, number, monkeypatch, capsys):
    """A closing terminal sends SIGHUP three times in a moment; who sends one after a while means it."""
    now = [100.0]
    monkeypatch.setattr("latentia.interrupts.time.monotonic", lambda: now[0])

    def twice(state):
        signal.raise_signal(number)
        now[0] += seconds
        signal.raise_signal(number)

    with watching(monkeypatch, twice):
        assert main(SHORT) == 128 + number
    assert ("run is saved" in capsys.readouterr().err) == waits
    assert Path("run").exists() == waits


def test_ctrl_c_after_a_signal_does_not_wait(monkeypatch, capsys):
    def both(state):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    with watching(monkeypatch, both):
        assert main(SHORT) == 130
    assert capsys.readouterr().err == "latentia: interrupted\n"


def test_a_fit_in_somebodys_process_leaves_their_handlers(out, monkeypatch):
    came = []
    names = (signal.SIGTERM, signal.SIGHUP)
    with watching(monkeypatch, lambda _: came.append([signal.getsignal(each) for each in names])):
        vae(epochs=1, out=out)
    assert came == [[signal.SIG_DFL] * 2] * 3
    theirs = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with watching(monkeypatch, sending(signal.SIGTERM)):
            assert main([*SHORT, "--overwrite"]) == 0
    finally:
        signal.signal(signal.SIGTERM, theirs)
    assert came[3:] == [signal.SIGTERM] * 6


def test_a_system_without_sighup(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP")
    with watching(monkeypatch, sending(signal.SIGTERM)):
        assert main(SHORT) == 143


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ImportError("cannot import"), 143, "latentia: interrupted by SIGTERM\n"),
        (RunError("the disk is full"), 1, "latentia: error: the disk is full\n"),
    ],
)
def test_an_error_that_a_signal_is_turned_into_is_the_signal(error, code, told, monkeypatch, capsys):
    def verb() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise error from None

    monkeypatch.setitem(verbs._members, "recipes", verb)
    monkeypatch.setitem(verbs._facts, "recipes", {"group": GROUPS[0]})
    assert main(["recipes"]) == code
    assert capsys.readouterr().err == told


class Terminal(io.StringIO):
    """One that can be closed."""

    gone = False

    def write(self, text: str) -> int:
        if self.gone:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


def test_a_training_goes_on_where_its_terminal_is_gone(monkeypatch):
    """The signal may have been ignored, or was meant for the shell alone."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("vae on rows", 2, 1, show=True) as show:
        terminal.gone = True
        print_finding(Finding("slow", "warning", "evidence", "advice"))
    assert callable(show)
