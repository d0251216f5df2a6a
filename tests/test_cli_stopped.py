"""Runs that were stopped by kill -9, Ctrl-C and other signals, and the command line's --resume to equal bytes."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from latentia.cli import main

OPTIONS = {
    "vae": "--hidden 16 --latent-dim 2 --steps 400 --ema 0.99 --schedule cosine --patience 100",
    "gan": "--hidden 16 --latent-dim 2 --steps 400 --ema 0.99 --warmup 20",
    "gaussian-mixture": "--components 30 --tol 0 --epochs 200",
}


def stop_after_two_checkpoints(words: list[str], out: Path, how: signal.Signals) -> tuple[int, str]:
    """Fit in a process of its own, and send it a signal in the middle; return its exit code and its errors."""
    process = subprocess.Popen([sys.executable, "-m", "latentia", *words], stderr=subprocess.PIPE, text=True)
    while len([*out.glob("checkpoint/*.safetensors")]) < 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    assert not (out / "model.safetensors").exists()
    process.send_signal(how)
    err = process.communicate(timeout=60)[1]
    return process.returncode, err


def history(run: Path) -> list[dict[str, str]]:
    return [*csv.DictReader((run / "metrics.csv").read_text().splitlines())]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "how"),
    [
        *((recipe, signal.SIGKILL) for recipe in OPTIONS),
        ("vae", signal.SIGINT),
        ("vae", signal.SIGTERM),
        ("gan", signal.SIGHUP),
    ],
)
def test_a_stopped_run_resumes_to_equal_bytes(
    recipe: str, how: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", np.random.default_rng(0).normal(size=(4000, 2)))
    words = ["fit", recipe, "--data", "rows.npy", "--validation", "0.02", *OPTIONS[recipe].split()]
    words += ["--checkpoint-every", "7"]
    assert main([*words, "--out", "whole"]) == 0
    code, err = stop_after_two_checkpoints([*words, "--out", "stopped"], Path("stopped"), how)
    assert "Traceback" not in err
    if how != signal.SIGKILL:
        assert code == 128 + how
        by = "" if how == signal.SIGINT else f" by {how.name}"
        told = f"latentia: interrupted{by}; stopped is saved: the same command with --resume goes on"
        assert err.splitlines()[-1] == told
        assert main(["sample", "stopped"]) == 0
    else:
        assert code == -signal.SIGKILL
        assert not Path("stopped/model.safetensors").exists()
    assert main([*words, "--out", "stopped", "--resume"]) == 0
    for name in ("model.safetensors", "scores.json", "samples.png"):
        assert Path("stopped", name).read_bytes() == Path("whole", name).read_bytes(), name
    assert history(Path("stopped")) == history(Path("whole"))
