"""Kernel density, 20,000 points and 5,000 rows of 8 entries: Latentia against scikit-learn and a direct sum.

python benchmarks/speed/kernel_density.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from side_by_side import compare
from sklearn.neighbors import KernelDensity as Reference

from latentia.data.spec import DataSpec, Support
from latentia.models.kernel_density import KernelDensity

TRAIN, QUERY, D = 20_000, 5_000, 8
BANDWIDTH = TRAIN ** (-1 / (D + 4))  # Scott's
TOLERANCE = 1e-4  # nats


def draws() -> tuple[np.ndarray, np.ndarray]:
    """Return training rows and rows to score, some of them far out."""
    random = np.random.default_rng(0)
    query = random.normal(size=(QUERY, D))
    query[:50] *= 10
    return random.normal(size=(TRAIN, D)), query


def ours(x: np.ndarray) -> KernelDensity:
    """Return Latentia's model with one bandwidth in all entries."""
    model = KernelDensity(DataSpec((D,), Support("real")))
    model.place(torch.from_numpy(x), torch.full((D,), BANDWIDTH, dtype=torch.float64))
    return model


def direct(x: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return log p by a float64 sum over differences, row after row."""
    constant = 0.5 * D * np.log(2 * np.pi) + D * np.log(BANDWIDTH) + np.log(TRAIN)
    found = []
    for row in query:
        log_k = -0.5 * ((row - x) ** 2).sum(1) / BANDWIDTH**2
        top = log_k.max()
        found.append(top + np.log(np.exp(log_k - top).sum()) - constant)
    return np.array(found)


def scored(score: Callable[[], object]) -> Callable[[], int]:
    """Return a side of the comparison: score all rows, and say how many they are."""

    def run() -> int:
        score()
        return QUERY

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(2)
    x, query = draws()
    model, rows = ours(x), torch.from_numpy(query)
    theirs = Reference(bandwidth=BANDWIDTH).fit(x)
    exact = direct(x, query)
    error = float(np.abs(model.log_prob(rows).numpy() - exact).max())
    print(f"largest difference from the direct sum: {error:.2g} nats ", end="")
    print(f"(scikit-learn: {np.abs(theirs.score_samples(query) - exact).max():.2g})")
    if error > TOLERANCE:
        raise SystemExit(f"off by more than {TOLERANCE} nats")
    sides = {
        "latentia": scored(lambda: model.log_prob(rows)),
        "scikit-learn": scored(lambda: theirs.score_samples(query)),
    }
    goals = {("latentia", "scikit-learn"): 20.0}
    compare("kernel_density", sides, repetitions=args.repetitions, unit="rows/s", goals=goals)


if __name__ == "__main__":
    main()
