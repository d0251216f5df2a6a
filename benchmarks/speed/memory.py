"""Anonymous memory of training on a memory-mapped file, as the file grows from 100 MB to 2 GB.

    python benchmarks/speed/memory.py

Pages of the file itself do not count: the system drops them when it needs the room. Each size is trained in a
process of its own, which reads RssAnon from /proc before and during training and reports the growth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from side_by_side import machine, write

COLUMNS = 784


def anonymous() -> int:
    """Return this process's anonymous resident memory in bytes."""
    line = next(
        each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("RssAnon")
    )
    return int(line.split()[1]) * 1024


def make(path: Path, megabytes: int) -> None:
    """Write a .npy file of bytes 0 and 1, block by block."""
    rows = megabytes * 1_000_000 // COLUMNS
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(rows, COLUMNS))
    rng = np.random.default_rng(0)
    for start in range(0, rows, 50_000):
        block = file[start : start + 50_000]
        block[:] = rng.random(block.shape, dtype=np.float32) < 0.13
    file.flush()


def measure(path: Path, recipe: str, steps: int) -> dict[str, float]:
    """Train on the file; return the largest anonymous memory seen, in MB."""
    import torch

    import latentia as lt
    from latentia.data.batches import Batches
    from latentia.data.read import read_rows

    torch.set_num_threads(2)
    before = anonymous()
    rows = read_rows(path)
    made = lt.recipes[recipe](rows.spec)
    peak = anonymous()
    batches = Batches(rows, made.batch_size)
    for state in lt.train(made.objective, batches, optim=made.optim, steps=steps):
        if state.step % 20 == 0:
            peak = max(peak, anonymous())
    return {"rows": len(rows), "before_mb": before / 1e6, "peak_mb": peak / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--recipe", default="vae")
    parser.add_argument("--steps", type=int, default=2000)
    args = parser.parse_args()
    if args.file is not None:
        print(json.dumps(measure(args.file, args.recipe, args.steps)))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in (100, 2000):
            path = Path(folder) / f"{megabytes}.npy"
            make(path, megabytes)
            command = [
                sys.executable,
                __file__,
                "--file",
                str(path),
                "--recipe",
                args.recipe,
                "--steps",
                str(args.steps),
            ]
            found[f"{megabytes} MB"] = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout
            )
            path.unlink()
            print(f"{megabytes} MB:", found[f"{megabytes} MB"])
    growth = found["2000 MB"]["peak_mb"] - found["100 MB"]["peak_mb"]
    print(f"peak grows by {growth:.1f} MB (goal: less than 300)")
    write("memory", {"machine": machine(), "sizes": found, "growth_mb": growth, "goal_mb": 300})


if __name__ == "__main__":
    main()
