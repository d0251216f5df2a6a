"""EM of a full-covariance mixture, n = 200,000, d = 16, k = 32: Latentia against scikit-learn, per iteration.

python benchmarks/speed/em.py [--rows 200000]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
import torch
from side_by_side import compare
from sklearn.mixture import GaussianMixture as Reference
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.models.mixture import GaussianMixture
from latentia.objectives.em.mixture import MixtureEM

ENTRIES, COMPONENTS = 16, 32


def blobs(n: int) -> np.ndarray:
    """Return float32 rows of 32 overlapping Gaussians with correlated entries."""
    random = np.random.default_rng(0)
    centres = 2 * random.normal(size=(COMPONENTS, ENTRIES))
    mix = np.eye(ENTRIES) + 0.3 * random.normal(size=(ENTRIES, ENTRIES))
    rows = centres[random.integers(COMPONENTS, size=n)] + random.normal(size=(n, ENTRIES)) @ mix
    return rows.astype(np.float32)


def objective() -> MixtureEM:
    model = GaussianMixture(DataSpec((ENTRIES,), Support("real")), components=COMPONENTS)
    return MixtureEM(model, tol=0.0, regularisation=1e-6)


def ours(x: np.ndarray, iterations: int) -> Callable[[], int]:
    """Latentia's objective in Latentia's loop."""
    states = train(objective(), [Batch(torch.from_numpy(x))])
    next(states)  # the start

    def run() -> int:
        return sum(next(states).rows for _ in range(iterations))

    return run


def started(x: np.ndarray, start: GaussianMixture) -> Reference:
    """Return scikit-learn's mixture with the parameters of one of ours."""
    reference = Reference(COMPONENTS, reg_covar=0.0)
    reference.weights_, reference.means_ = (
        start.weights.numpy().astype(x.dtype),
        start.means.numpy().astype(x.dtype),
    )
    reference.covariances_ = start.components.covariances.numpy().astype(x.dtype)
    reference.precisions_cholesky_ = _compute_precision_cholesky(reference.covariances_, "full")
    return reference


def theirs(x: np.ndarray, iterations: int, start: GaussianMixture) -> Callable[[], int]:
    """One E-step and one M-step of scikit-learn's, without what its fit does around them."""
    reference = started(x, start)

    def run() -> int:
        for _ in range(iterations):
            _, log_responsibilities = reference._e_step(x)
            reference._m_step(x, log_responsibilities)
        return iterations * len(x)

    return run


def check_likelihood(x: np.ndarray, iterations: int = 5) -> None:
    """Do the same iterations from the same start on both sides; the log-likelihoods agree to 1e-4 relative."""
    states = train(objective(), [Batch(torch.from_numpy(x))])
    model = next(states).objective.model
    reference = started(x.astype(np.float64), model)
    for _ in range(iterations):
        next(states)
        _, log_responsibilities = reference._e_step(x.astype(np.float64))
        reference._m_step(x.astype(np.float64), log_responsibilities)
    rows = x[:20_000].astype(np.float64)
    found, expected = float(model.log_prob(torch.from_numpy(rows)).mean()), float(reference.score(rows))
    difference = abs(found / expected - 1)
    print(f"log-likelihood {found:.6f} and {expected:.6f}: relative difference {difference:.1e}")
    if difference > 1e-4:
        raise SystemExit("the log-likelihoods differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(2)
    warnings.simplefilter("ignore")
    x = blobs(args.rows)
    check_likelihood(x[:50_000])
    start = next(train(objective(), [Batch(torch.from_numpy(x))])).objective.model
    wide = x.astype(np.float64)
    sides = {
        "latentia, float32 rows": ours(x, 5),
        "latentia, float64 rows": ours(wide, 5),
        "scikit-learn, float64 rows": theirs(wide, 1, start),
        "scikit-learn, float32 rows": theirs(x, 1, start),
    }
    goals = {
        ("latentia, float32 rows", "scikit-learn, float64 rows"): 15.0,
        ("latentia, float64 rows", "scikit-learn, float64 rows"): 15.0,
        ("latentia, float32 rows", "scikit-learn, float32 rows"): 15.0,
    }
    compare("em", sides, repetitions=args.repetitions, unit="rows/s", goals=goals)


if __name__ == "__main__":
    main()
