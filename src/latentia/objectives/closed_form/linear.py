"""Linear latent models in closed form: from the directions of largest variance."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentia.core.closed_form import ClosedForm
from latentia.core.objective import Blocks, Metrics
from latentia.data.moments import (
    DENSE,
    Covariance,
    dense_covariance,
    streamed_covariance,
)
from latentia.errors import DataError, UsageError
from latentia.functional.gaussian.densities import LOG_2PI
from latentia.functional.rotations import positive
from latentia.models.linear import PCA, LinearGaussian
from latentia.registry import check_name

SOLVERS = ("auto", "covariance", "randomized")
_QUICK = 256  # entries from which float32 products are worth it
_QUICK_RANGE = 1e-4  # of the largest variance: below, float32 products are too rough
_OVERSAMPLING = 10  # directions beyond the requested ones
_PASSES = 8  # over the rows, by which random directions turn to those of largest variance


@dataclass(frozen=True)
class Principal:
    """The directions of largest variance.

    Attributes:
        rows: n.
        mean: (D,) x̄.
        directions: (D, k) orthonormal; the largest entry of each is positive.
        variances: (k,) along them, with 1/n, falling.
        total: () Σ of all entries' variances.
    """

    rows: int
    mean: Tensor
    directions: Tensor
    variances: Tensor
    total: Tensor

    @property
    def rounding(self) -> Tensor:
        """The variance that rows without any along a direction may seem to have."""
        relative = len(self.mean) * torch.finfo(torch.float64).eps * self.variances[0]
        return relative.maximum((1e-12 * self.mean).square().sum())


def principal(rows: Blocks, entries: int, k: int, solver: str = "auto", *, quick: bool = False) -> Principal:
    """Return the k directions of largest variance of rows with so many entries.

    Args:
        rows: the rows, read in blocks.
        entries: D.
        k: number of directions, at most D.
        solver: covariance (exact: the eigenvectors of the D × D covariance), randomized (subspace iteration on
            random directions, which forms no D × D matrix), or auto (covariance up to 2,000 entries).
        quick: take the covariance's products in float32 where the requested variances are large enough.

    Raises:
        UsageError: for another solver.
        DataError: for fewer than k + 1 rows, or values that are not finite.

    References:
        Halko, Martinsson and Tropp (2011), Finding structure with randomness, algorithm 4.4.
    """
    check_name("solver", solver, SOLVERS)
    enough_rows(len(rows), k)
    if solver == "randomized" or (solver == "auto" and entries > DENSE):
        return _randomised(streamed_covariance(rows), k)
    return _exact(rows, entries, k, quick=quick and entries >= _QUICK)


def enough_rows(n: int, k: int) -> None:
    """Raise `DataError` unless n rows can have k directions: that takes k + 1."""
    if n <= k:
        raise DataError(f"{k} latent dimensions need at least {k + 1} rows; got {n}: ask for at most {n - 1}")


def _exact(rows: Blocks, entries: int, k: int, *, quick: bool) -> Principal:
    covariance = dense_covariance(rows, entries, quick=quick)
    values, vectors = np.linalg.eigh(covariance.matrix.cpu().numpy())  # faster than torch's on a CPU
    if quick and not values[-k] > _QUICK_RANGE * values[-1]:
        return _exact(rows, entries, k, quick=False)
    to = covariance.mean
    return _principal(covariance, torch.from_numpy(values).to(to), torch.from_numpy(vectors).to(to), k)


def _randomised(covariance: Covariance, k: int) -> Principal:
    D = len(covariance.mean)
    size = min(k + _OVERSAMPLING, D, covariance.rows)
    basis = torch.randn(D, size, dtype=torch.float64, device=covariance.mean.device)
    for _ in range(_PASSES):
        basis = covariance.times(torch.linalg.qr(basis).Q)
    basis = torch.linalg.qr(basis).Q
    values, vectors = torch.linalg.eigh(basis.mT @ covariance.times(basis))
    return _principal(covariance, values, basis @ vectors, k)


def _principal(covariance: Covariance, values: Tensor, vectors: Tensor, k: int) -> Principal:
    """Choose the last k of eigenvalues, which rise, and their vectors."""
    variances = values[-k:].flip(0).clamp_min(0)  # rounding may take zero below
    directions = positive(vectors[:, -k:].flip(1))
    return Principal(covariance.rows, covariance.mean, directions, variances, covariance.variances.sum())


class ClosedFormPCA(ClosedForm):
    """min over W of Σ_i ‖x_i − x̄ − WWᵀ(x_i − x̄)‖²: the d directions of largest variance.

    Args:
        model: the codec.
        solver: covariance, randomized or auto, see `principal`.

    Raises:
        UsageError: for another solver.
        DataError: (in a step) where the rows span fewer than d dimensions.
    """

    model: PCA

    def __init__(self, model: PCA, *, solver: str = "auto") -> None:
        super().__init__()
        check_name("solver", solver, SOLVERS)
        self.model = model
        self.solver = solver

    def solve(self, rows: Blocks) -> Metrics:
        """Set the components; log the fraction of the variance that they explain."""
        model = self.model
        D, d = model.components.shape
        found = principal(rows, D, d, self.solver, quick=True)
        _refuse_low_rank(found)
        unbiased = found.rows / (found.rows - 1)
        model.mean.copy_(found.mean)
        model.components.copy_(found.directions)
        model.explained_variance.copy_(found.variances * unbiased)
        model.total_variance.copy_(found.total * unbiased)
        return {"explained_variance_ratio": model.explained_variance_ratio.sum()}


def _refuse_low_rank(found: Principal) -> None:
    rank = int((found.variances > found.rounding).sum())
    _refuse_equal_rows(found)
    if rank < len(found.variances):
        raise DataError(
            f"the rows span {rank} dimensions about their mean, fewer than latent_dim={len(found.variances)}: "
            f"ask for at most {rank}"
        )


def _refuse_equal_rows(found: Principal) -> None:
    if not found.variances[0] > found.rounding:
        raise DataError(f"all {found.rows} rows are the same: there is no variance to model")


class ClosedFormPPCA(ClosedForm):
    """The maximum-likelihood z ~ N(0, I), x | z ~ N(Wz + μ, σ²I), from the eigenvalues λ of the covariance (1/n).

    μ = x̄, σ² = (1/(D − k)) Σ_(j>k) λ_j, W = U_k (Λ_k − σ²I)^½: the noise is the mean of the discarded eigenvalues.

    Rows that span only k dimensions leave no noise, and a likelihood without a maximum. σ² is therefore at least
    ``regularisation`` times the entries' mean variance; the rest is the maximum under this constraint.

    Args:
        model: the model, with isotropic noise.
        regularisation: the least σ², as a fraction of the entries' mean variance.

    Raises:
        UsageError: for another model, or an option that means nothing.

    References:
        Tipping and Bishop (1999), Probabilistic principal component analysis, equations 7 and 8.
    """

    model: LinearGaussian

    def __init__(self, model: LinearGaussian, *, regularisation: float = 1e-6) -> None:
        super().__init__()
        if model.log_noise.dim():
            raise UsageError("only isotropic noise has a closed form; this model's is diagonal: use FactorEM")
        self.model = model.requires_grad_(False)
        self.regularisation = checked_fraction(regularisation)

    def solve(self, rows: Blocks) -> Metrics:
        """Set the parameters; log the mean log-likelihood of the rows, in nats."""
        D, k = self.model.weight.shape
        found = principal(rows, D, k)
        _refuse_equal_rows(found)
        left = (found.total - found.variances.sum()) / (D - k)
        noise = left.clamp_min(self.regularisation * found.total / D)
        loadings = found.directions * (found.variances - noise).clamp_min(0).sqrt()
        self.model.assign(found.mean, loadings, noise)
        kept = found.variances.maximum(noise)
        log_det = kept.log().sum() + (D - k) * noise.log()
        squares = (found.variances / kept).sum() + (D - k) * left / noise
        return {"log_likelihood": -0.5 * (D * LOG_2PI + log_det + squares)}


def checked_fraction(regularisation: float) -> float:
    """Return a fraction of a variance; `UsageError` unless it is between 0 and 1, for a noise of 0 has no density."""
    if not 0 < regularisation < 1:
        raise UsageError(f"regularisation must be above 0 and below 1; got {regularisation}")
    return regularisation
