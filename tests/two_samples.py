"""Pairs of samples of equal and of different distributions, for tests of two-sample tests."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

FAST = {
    "mmd": {"permutations": 99},
    "energy": {"permutations": 99},
    "sliced-wasserstein": {"permutations": 99, "projections": 5},
    "classifier": {"permutations": 39, "classifier": LinearDiscriminantAnalysis(), "folds": 3},
    "deep-kernel": {"permutations": 39, "steps": 2, "hidden": (8,)},
    "welch-t": {},
    "student-t": {},
    "kolmogorov-smirnov": {},
    "mann-whitney": {},
}
"""Options of every method that make it quick. (1 + permutations) · 0.05 is whole, so levels can be exact."""


def normal(n: int, seed: int, shift: float = 0.0, scale: float = 1.0, d: int = 2) -> torch.Tensor:
    return shift + scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def blobs(per_mode: int, seed: int, *, equal: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return samples of nine Gaussians on a grid; those of y are correlated, each in its own way.

    Reference: Liu et al. (2020), Learning Deep Kernels for Non-Parametric Two-Sample Tests, table 1.
    """
    rng = np.random.default_rng(seed)
    centres = np.array([(i, j) for i in range(3) for j in range(3)], dtype=float)
    off_diagonal = [-0.02 - 0.002 * i for i in range(4)] + [0.0] + [0.02 + 0.002 * i for i in range(4)]
    x, y = (rng.integers(9, size=9 * per_mode) for _ in range(2))
    noise = [
        rng.multivariate_normal([0, 0], [[0.03, 0 if equal else c], [0 if equal else c, 0.03]], size=len(y))
        for c in off_diagonal
    ]
    return (
        centres[x] + 0.03**0.5 * rng.normal(size=(len(x), 2)),
        centres[y] + np.stack(noise)[y, np.arange(len(y))],
    )
