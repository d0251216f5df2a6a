"""Memory of one million rows of four columns that a VAE draws: as a frame, and written as CSV, Parquet and NPY.

    python benchmarks/speed/written_rows.py

Each is made in a process of its own, after 100 rows have been drawn; reported is how far the resident memory grows at
its peak, less the result where there is one. The goal is at most 200 MB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from side_by_side import machine, write

ROWS = 1_000_000
FORMS = ("frame", "tensor", "csv", "parquet", "npy")


def status(name: str) -> float:
    """Return a line of this process's status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(each for each in lines if each.startswith(name)).split()[1]) / 1000


def growth(make: Callable[[], Any]) -> tuple[Any, float]:
    """Return what is made and how far the resident memory grows on the way, in MB."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    return make(), status("VmHWM") - before


def measure(form: str, folder: Path) -> dict[str, float]:
    """Fit, draw a few rows, then all in a form; return seconds and MB."""
    import torch

    import latentia as lt
    from latentia.runs.written import write_arrays, write_tables

    torch.set_num_threads(2)
    x = np.random.default_rng(0).normal(size=(500, 4))
    run = lt.fit("vae", pd.DataFrame(x, columns=list("abcd")), latent_dim=2, epochs=1, progress=False)
    write_tables(run.samples(100, seed=0), folder / "few.csv")
    write_tables(run.samples(100, seed=0), folder / "few.parquet")
    ways: dict[str, Callable[[], Any]] = {
        "frame": lambda: run.sample(ROWS, seed=0),
        "tensor": lambda: run.tensors.sample(ROWS, seed=0),
        "csv": lambda: write_tables(run.samples(ROWS, seed=0), folder / "all.csv"),
        "parquet": lambda: write_tables(run.samples(ROWS, seed=0), folder / "all.parquet"),
        "npy": lambda: write_arrays(run.tensors.samples(ROWS, seed=0), ROWS, folder / "all.npy"),
    }
    begun = time.perf_counter()
    made, peak = growth(ways[form])
    seconds = time.perf_counter() - begun
    size = 0.0
    if made is not None:
        size = (made.memory_usage().sum() if form == "frame" else made.numel() * made.element_size()) / 1e6
    return {"seconds": round(seconds, 1), "result_mb": size, "beyond_mb": round(peak - size, 1)}


def main() -> None:
    """Print and record what each form takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", help=argparse.SUPPRESS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.form:
            print(json.dumps(measure(args.form, Path(folder))))
            return
    found = {}
    for form in FORMS:
        command = [sys.executable, __file__, "--form", form]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[form] = json.loads(done.stdout.splitlines()[-1])
        print(form, found[form])
    write("written_rows", {"machine": machine(), "rows": ROWS, "columns": 4, "forms": found, "goal_mb": 200})


if __name__ == "__main__":
    main()
