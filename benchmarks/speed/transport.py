"""Exact transport against POT and SciPy: between samples, by linear programming, and on a line.

python benchmarks/speed/transport.py [--points 10000000]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import ot
import torch
from scipy.stats import wasserstein_distance
from side_by_side import compare
from torch import Tensor

from latentia.functional.transport import distance_cost, wasserstein, wasserstein_1d, wasserstein_lp


def once(work: Callable[[], object]) -> Callable[[], int]:
    """One item of work a call, so that rates are calls per second."""

    def run() -> int:
        work()
        return 1

    return run


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def between_samples(n: int, dimensions: tuple[int, ...], repetitions: int) -> None:
    """W₁ of equal-size, equal-weight samples: both sides make the cost matrix and solve."""
    weights = np.full(n, 1 / n)
    sides: dict[str, Callable[[], int]] = {}
    for d in dimensions:
        x, y = normal(n, d, seed=0), normal(n, d, seed=1) + 0.5

        def ours(x: Tensor = x, y: Tensor = y) -> float:
            return float(wasserstein(x, y))

        def pot(x: Tensor = x, y: Tensor = y) -> float:
            cost = ot.dist(x.numpy(), y.numpy(), "euclidean")
            return float(ot.emd2(weights, weights, cost, numItermax=10**7))

        assert abs(ours() - pot()) < 1e-7
        sides |= {f"latentia.wasserstein, d = {d}": once(ours), f"ot.emd2, d = {d}": once(pot)}
    goals = {(f"latentia.wasserstein, d = {d}", f"ot.emd2, d = {d}"): 1.4 for d in dimensions}
    compare("transport_samples", sides, repetitions=repetitions, unit="solved/s", goals=goals)


def with_certificate(n: int, repetitions: int) -> None:
    """A linear program between n atoms of unequal mass on either side, the cost matrix given."""
    p, q = normal(n, seed=0).softmax(0), normal(n, seed=1).softmax(0)
    cost = distance_cost(normal(n, 3, seed=2), normal(n, 3, seed=3))
    a, b, C = p.numpy(), q.numpy(), cost.numpy()
    sides = {
        "latentia.wasserstein_lp": once(lambda: wasserstein_lp(p, q, cost)),
        "ot.emd": once(lambda: ot.emd(a, b, C, numItermax=10**7)),
    }
    goals = {("latentia.wasserstein_lp", "ot.emd"): 1 / 3}
    compare("transport_lp", sides, repetitions=repetitions, unit="solved/s", goals=goals)


def on_a_line(n: int, repetitions: int) -> None:
    """W₁ of two samples of numbers, of equal size and of unequal ones."""
    x, y = normal(n, seed=0), normal(n, seed=1) + 0.5
    fewer = y[: n * 3 // 4].clone()
    sides = {
        "latentia.wasserstein_1d": once(lambda: wasserstein_1d(x, y)),
        "scipy": once(lambda: wasserstein_distance(x.numpy(), y.numpy())),
        "latentia.wasserstein_1d, unequal": once(lambda: wasserstein_1d(x, fewer)),
        "scipy, unequal": once(lambda: wasserstein_distance(x.numpy(), fewer.numpy())),
    }
    goals = {
        ("latentia.wasserstein_1d", "scipy"): 1.0,
        ("latentia.wasserstein_1d, unequal", "scipy, unequal"): 1.0,
    }
    compare("transport_1d", sides, repetitions=repetitions, unit="solved/s", goals=goals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10**7, help="numbers in each sample on the line")
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)  # as POT and SciPy have
    between_samples(2000, (2, 3, 16, 64), args.repetitions)
    with_certificate(500, args.repetitions)
    on_a_line(args.points, args.repetitions)


if __name__ == "__main__":
    main()
