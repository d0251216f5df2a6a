"""MMD with 500 permutations, n = m = 5,000, d = 64: Latentia against loops over permutations.

    python benchmarks/speed/mmd.py [--memory]

Rates are permutations a second. Latentia makes the kernel matrix too; the loops are given it, and are timed on a
few permutations: their time is proportional to how many there are. With --memory the largest resident memory of a
process that does n = m = 20,000 is measured as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from side_by_side import compare, machine, write
from torch import Tensor

from latentia.functional.kernel.kernels import gaussian_kernel, median_bandwidth
from latentia.functional.kernel.mmd import mmd2_of_splits

PERMUTATIONS, DIMENSIONS = 500, 64
GOAL_MB = 1000


def problem(n: int) -> tuple[Tensor, Tensor, Callable[[Tensor, Tensor], Tensor]]:
    """Return the points (2n, d), the given split and 500 random ones (2n, 501), and the kernel."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2 * n, DIMENSIONS, generator=generator, dtype=torch.float64)
    points[:n] += 0.004  # near enough that some permuted statistics are larger
    splits = torch.zeros(2 * n, 1 + PERMUTATIONS, dtype=torch.float64)
    splits[:n, 0] = 1
    for column in range(1, 1 + PERMUTATIONS):
        splits[torch.randperm(2 * n, generator=generator)[:n], column] = 1
    return points, splits, partial(gaussian_kernel, bandwidth=median_bandwidth(points[:n], points[n:]))


def by_indexing(K: Tensor, splits: Tensor) -> Tensor:
    """Take each permutation's blocks out of the kernel matrix, and average them."""
    values: list[Tensor] = []
    for split in splits.T:
        a, b = split.nonzero()[:, 0], (split == 0).nonzero()[:, 0]
        n, m = len(a), len(b)
        within_x, within_y = K[a[:, None], a], K[b[:, None], b]
        x = (within_x.sum() - within_x.diagonal().sum()) / (n * (n - 1))
        y = (within_y.sum() - within_y.diagonal().sum()) / (m * (m - 1))
        values.append(x + y - 2 * K[a[:, None], b].mean())
    return torch.stack(values)


def by_products(K: Tensor, splits: Tensor) -> Tensor:
    """Write each statistic as a quadratic form, one matrix-vector product a permutation."""
    diagonal, degrees = K.diagonal(), K.sum(1)
    values: list[Tensor] = []
    for u in splits.T:
        n, m = u.sum(), len(u) - u.sum()
        xx, x_all = u @ (K @ u), u @ degrees
        xy, yy = x_all - xx, degrees.sum() - 2 * x_all + xx
        x, y = (xx - u @ diagonal) / (n * (n - 1)), (yy - (1 - u) @ diagonal) / (m * (m - 1))
        values.append(x + y - 2 * xy / (n * m))
    return torch.stack(values)


def p_value(statistics: Tensor) -> float:
    return (1 + int((statistics[1:] >= statistics[0]).sum())) / len(statistics)


def most_resident() -> float:
    """Return the largest resident memory of this process so far in MB; getrusage would count its parent's."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


def largest_memory(n: int) -> dict[str, float]:
    """Do the test's statistics in this process; return its largest resident memory."""
    torch.set_num_threads(2)
    before = most_resident()
    points, splits, kernel = problem(n)
    start = time.perf_counter()
    statistics = mmd2_of_splits(points, splits, kernel)
    return {
        "n": n,
        "p_value": p_value(statistics),
        "seconds": time.perf_counter() - start,
        "imported_mb": before,
        "peak_mb": most_resident(),
        "goal_mb": GOAL_MB,
    }


def same_p_value(n: int) -> dict[str, float]:
    """Return the p-values of all permutations by Latentia and by both loops, which must be equal."""
    points, splits, kernel = problem(n)
    K = kernel(points, points)
    ways = {
        "latentia": mmd2_of_splits(points, splits, kernel),
        "indexing": by_indexing(K, splits),
        "products": by_products(K, splits),
    }
    return {way: p_value(statistics) for way, statistics in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", action="store_true", help="measure memory at n = m = 20,000 as well")
    parser.add_argument("--in-this-process", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=5000, help="points in each sample")
    parser.add_argument("--loop", type=int, default=2, help="permutations that the loops are timed on")
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    if args.in_this_process:
        print(json.dumps(largest_memory(args.in_this_process)))
        return
    torch.set_num_threads(2)
    print("p-values of 500 permutations at n = m = 500:", same_p_value(500))
    points, splits, kernel = problem(args.size)
    K, few = kernel(points, points), splits[:, : args.loop]
    ours = mmd2_of_splits(points, splits, kernel)
    ways = f"{p_value(ours)}, by products {p_value(by_products(K, splits))}"
    difference = float((ours[: args.loop] - by_indexing(K, few)).abs().max())
    print(f"p-value at n = m = {args.size:,}: {ways}; difference from indexing at most {difference:.1e}")
    print(f"the loops' rates are those of {args.loop} permutations")

    def rate(work: Callable[[], Tensor]) -> Callable[[], int]:
        return lambda: len(work())

    compare(
        "mmd",
        {
            "latentia": rate(lambda: mmd2_of_splits(points, splits, kernel)),
            "loop, indexing": rate(lambda: by_indexing(K, few)),
            "loop, products": rate(lambda: by_products(K, few)),
        },
        repetitions=args.repetitions,
        unit="permutations/s",
        goals={("latentia", "loop, indexing"): 100},
    )
    if args.memory:
        command = [sys.executable, __file__, "--in-this-process", "20000"]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(
            f"n = m = 20,000: {found['peak_mb']:,.0f} MB at most (goal {GOAL_MB}), {found['seconds']:.1f} s"
        )
        write("mmd_memory", {"machine": machine(), **found})


if __name__ == "__main__":
    main()
