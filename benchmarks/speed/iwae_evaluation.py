"""IWAE-5000 of 10,000 MNIST images under a 784-300-300-40 model: seconds, and the largest memory.

    LATENTIA_DATA=... python benchmarks/speed/iwae_evaluation.py [--rows 10000] [--samples 5000] [--threads 2]

Goal: the whole test part in under 300 s on two cores, with less than 2 GB. The model's weights are random, which cost
what fitted ones do, and rows are binarised by one draw each. Without the data, rows are random bits.
The bound is `latentia.metrics`' own, the one that evaluate computes. Fewer rows are timed as a fraction, and reported
as such.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch
from side_by_side import machine, write

import latentia as lt
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.errors import LatentiaError
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.scoring import score

ROWS, SAMPLES = 10_000, 5000
GOAL_SECONDS, GOAL_MB = 300.0, 2000.0
BITS = DataSpec((1, 28, 28), Support("binary"))


def binary_rows(n: int) -> tuple[Rows, str]:
    """Return n rows of 784 bits, and what they are."""
    generator = torch.Generator().manual_seed(0)
    try:
        x = lt.datasets["mnist"](split="test").x[:n].float() / 255
        name = "MNIST's test part, one Bernoulli draw a pixel"
    except (LatentiaError, OSError):
        x, name = torch.full((n, 1, 28, 28), 0.15), "random bits: MNIST was not there"
    return Rows(torch.bernoulli(x, generator=generator).to(torch.uint8), BITS), name


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows, name = binary_rows(args.rows)
    torch.manual_seed(0)
    model = lt.recipes["vae"](BITS, latent_dim=40, network="mlp", hidden=300, layers=2).objective.model.eval()
    score(Evaluation.of(model, rows.select(torch.arange(2)), iwae_samples=500), ["iwae"])  # warm up
    start, cpu = time.perf_counter(), time.process_time()
    (found,) = score(Evaluation.of(model, rows, iwae_samples=args.samples), ["iwae"])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    codes = len(rows) * args.samples
    whole = seconds * ROWS * SAMPLES / codes
    complete = (len(rows), args.samples) == (ROWS, SAMPLES)
    result = {
        "command": f"python benchmarks/speed/iwae_evaluation.py --rows {args.rows} --samples {args.samples}"
        f" --threads {args.threads}",
        "machine": machine(),
        "data": name,
        "rows": len(rows),
        "samples": args.samples,
        "complete": complete,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "codes_per_second": round(codes / seconds),
        "seconds_of_the_whole": round(whole, 1),
        "peak_mb": round(megabytes),
        "goal": {"seconds": GOAL_SECONDS, "mb": GOAL_MB},
        "bound": found.value,
    }
    print(result)
    if complete:
        write("iwae_evaluation", result)


if __name__ == "__main__":
    main()
