"""A training of many short epochs: what an epoch costs at the end of it, over what it costs at the start.

    python benchmarks/speed/long_run.py [--epochs 20000]

64 rows of 2 entries make one batch, so that an epoch is a step and what an epoch does besides shows: means, the
history, its file, the monitor, the doctor's looks and checkpoints. Goal: 1.2. The first epochs warm up and are left
out; then the medians of the first and of the last tenth are compared.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from side_by_side import machine, write

import latentia as lt

WARM = 200  # epochs
PARTS = 20  # of each tenth; the median of their means is taken


def epoch_times(epochs: int, recipe: str, folder: Path) -> list[float]:
    """Return the processor's seconds of each epoch of a training that writes a run folder."""
    x = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    times = [time.process_time()]
    lt.fit(
        recipe,
        x,
        epochs=epochs,
        batch_size=64,
        validation=0.2,
        out=folder / "run",
        on_epoch=lambda run, row: times.append(time.process_time()),  # noqa: ARG005
    )
    return [after - before for before, after in itertools.pairwise(times)]


def typical(times: list[float]) -> float:
    """Return the median over parts of the mean seconds of an epoch."""
    size = max(1, len(times) // PARTS)
    return statistics.median(
        statistics.fmean(times[start : start + size]) for start in range(0, len(times), size)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=20_000)
    parser.add_argument("--recipe", default="vae")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        times = epoch_times(args.epochs, args.recipe, Path(folder))[WARM:]
        seconds = time.perf_counter() - begun
    tenth = len(times) // 10
    start, end = typical(times[:tenth]), typical(times[-tenth:])
    print(f"an epoch takes {1e6 * start:.0f} us at the start and {1e6 * end:.0f} us at the end")
    print(f"end / start: {end / start:.2f} (goal at most 1.2); {seconds:.1f} s in all")
    facts = {"epochs": args.epochs, "recipe": args.recipe, "start_us": 1e6 * start, "end_us": 1e6 * end}
    result = {"machine": machine(), **facts, "seconds": seconds, "ratio": end / start, "goal": 1.2}
    write("long_run", {"command": f"python long_run.py --epochs {args.epochs}", **result})


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
