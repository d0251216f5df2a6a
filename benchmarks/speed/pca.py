"""PCA of 60,000 rows of 784 entries to 50 components: Latentia against scikit-learn's solvers.

python benchmarks/speed/pca.py [--full]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from side_by_side import compare
from sklearn.decomposition import PCA
from torch import Tensor

import latentia as lt
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support

N, D, K = 60_000, 784, 50


def grey_levels() -> Tensor:
    """Return rows with a spectrum that falls as that of images, as bytes."""
    random = np.random.default_rng(0)
    directions = np.linalg.qr(random.normal(size=(D, D)))[0] * (1 + np.arange(D)) ** -0.7
    x = random.normal(size=(N, D)).astype(np.float32) @ directions.T.astype(np.float32)
    return torch.from_numpy(np.clip(128 + 60 * x / x.std(), 0, 255).astype(np.uint8))


def ours(x: Tensor) -> Callable[[], int]:
    """Latentia's recipe in Latentia's loop."""
    rows = Rows(x, DataSpec((D,), Support("discrete", 256)))

    def run() -> int:
        recipe = lt.recipes["pca"](rows.spec, latent_dim=K)
        (*_,) = lt.train(recipe.objective, Batches(rows, None), optim=recipe.optim)
        return N

    return run


def theirs(x: np.ndarray, solver: str) -> Callable[[], int]:
    """One of scikit-learn's solvers; on float32 rows, since it would turn bytes into float64."""

    def run() -> int:
        PCA(K, svd_solver=solver, random_state=0).fit(x)
        return N

    return run


def check(x: Tensor) -> None:
    """Print how far our explained variances are from scikit-learn's in float64."""
    recipe = lt.recipes["pca"](DataSpec((D,), Support("discrete", 256)), latent_dim=K)
    (*_,) = lt.train(recipe.objective, [lt.Batch(x)])
    exact = PCA(K, svd_solver="covariance_eigh").fit(x.double().numpy()).explained_variance_
    found = recipe.objective.model.explained_variance.numpy()
    print(f"explained variances: largest relative difference {np.abs(found / exact - 1).max():.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="add scikit-learn's full solver, many times slower"
    )
    parser.add_argument("--repetitions", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(2)
    x = grey_levels()
    check(x)
    floats = x.float()
    sides = {
        "latentia, from bytes": ours(x),
        "latentia, from float32": ours(floats),
        "scikit-learn, covariance_eigh": theirs(floats.numpy(), "covariance_eigh"),
        "scikit-learn, randomized": theirs(floats.numpy(), "randomized"),
    }
    if args.full:
        sides["scikit-learn, full"] = theirs(floats.numpy(), "full")
    peers = [label for label in sides if label.startswith("scikit-learn")]
    goals = {(side, peer): 1.0 for side in sides if side not in peers for peer in peers}
    compare("pca", sides, repetitions=args.repetitions, unit="rows/s", goals=goals)


if __name__ == "__main__":
    main()
