"""Anonymous memory of EM: against scikit-learn's on an array, and on a memory-mapped file larger than the goal.

    python benchmarks/speed/em_memory.py [--rows 10000000]

Each case is a process of its own, which reads RssAnon from /proc a hundred times a second and reports the most it saw
above what it was before the fit. Pages of the mapped file do not count: the system drops them when it needs the room.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from memory import anonymous
from side_by_side import machine, write

GOAL_MB = 1500


def peak_of(work: Callable[[], object]) -> dict[str, float]:
    """Return the anonymous memory before some work, the most during it, both in MB, and the seconds it took."""
    before, seen, over = anonymous(), [anonymous()], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            seen.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return {
        "before_mb": before / 1e6,
        "peak_mb": max(seen) / 1e6,
        "seconds": time.perf_counter() - start,
    }


def array(side: str, n: int) -> dict[str, float]:
    """Fit two iterations and the start before them to an array of 16 entries with 32 full components."""
    import torch
    from em import COMPONENTS, Reference, blobs, objective

    from latentia.core.objective import Batch
    from latentia.core.train import train

    torch.set_num_threads(2)
    warnings.simplefilter("ignore")
    x = blobs(n)
    if side == "latentia":
        return peak_of(lambda: list(train(objective(), [Batch(torch.from_numpy(x))], steps=2)))
    return peak_of(lambda: Reference(COMPONENTS, max_iter=2, random_state=0).fit(x))


def stream(path: Path, minibatch: int | None) -> dict[str, float]:
    """Fit two passes to a mapped file, through ``lt.fit``."""
    import torch

    import latentia as lt

    torch.set_num_threads(2)
    options = {"components": 8, "minibatch": minibatch, "epochs": 2 if minibatch is None else 1}
    return peak_of(lambda: lt.fit("gaussian-mixture", path, progress=False, **options))


def make(path: Path, rows: int) -> None:
    """Write a .npy file of float32 rows with 8 entries, block by block."""
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, 8))
    random = np.random.default_rng(0)
    centres = 3 * random.normal(size=(8, 8)).astype(np.float32)
    for start in range(0, rows, 100_000):
        block = file[start : start + 100_000]
        block[:] = centres[random.integers(8, size=len(block))]
        block += random.normal(size=block.shape).astype(np.float32)
    file.flush()


def in_process(*arguments: str) -> dict[str, float]:
    """Measure one case in a process of its own."""
    command = [sys.executable, __file__, "--case", *arguments]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(*arguments, {key: round(value, 1) for key, value in found.items()})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the file")
    parser.add_argument("--array-rows", type=int, default=200_000)
    args = parser.parse_args()
    if args.case is not None:
        kind, *rest = args.case
        found = (
            array(rest[0], int(rest[1])) if kind == "array" else stream(Path(rest[0]), json.loads(rest[1]))
        )
        print(json.dumps(found))
        return
    sides = {side: in_process("array", side, str(args.array_rows)) for side in ("latentia", "scikit-learn")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        make(path, args.rows)
        streams = {
            "whole set": in_process("stream", str(path), "null"),
            "minibatch": in_process("stream", str(path), "10000"),
        }
    growth = {side: found["peak_mb"] - found["before_mb"] for side, found in sides.items()}
    print(f"200,000 × 16, 32 components: {growth} MB above the rows")
    print(
        f"{args.rows:,} × 8 from a file: {streams['whole set']['peak_mb']:.0f} MB (goal: less than {GOAL_MB})"
    )
    write(
        "em_memory",
        {"machine": machine(), "array": sides, "rows": args.rows, "stream": streams, "goal_mb": GOAL_MB},
    )


if __name__ == "__main__":
    main()
