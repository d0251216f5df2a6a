"""Estimates of covariances: shrinkage, floors and factors.

A covariance is a matrix (D, D) or, where it is diagonal, the vector (D,) of its variances.
"""

import torch
from torch import Tensor

from latentia.errors import DataError

_ROUNDING = 1e-12  # a standard deviation below this fraction of the mean is rounding, not spread
_DEPENDENT = (
    1e-12  # an entry with a smaller conditional variance given those before it depends on them linearly
)


def variances_of(cov: Tensor) -> Tensor:
    """Return the variances of a covariance: (D, D) or (D,) → (D,)."""
    return cov.diagonal() if cov.dim() == 2 else cov


def is_constant(variances: Tensor, mean: Tensor) -> Tensor:
    """Return which entries vary only by the rounding of their mean: (D,) bool."""
    return variances <= (_ROUNDING * mean).square()


def typical_variances(variances: Tensor, mean: Tensor) -> Tensor:
    """Return the variances, with those of constant entries replaced: (D,).

    By the mean of all variances, or by 1 where all entries are constant.

    Example:
        >>> typical_variances(torch.tensor([4.0, 0.0]), mean=torch.zeros(2))
        tensor([4., 2.])
    """
    constant = is_constant(variances, mean)
    filler = torch.ones_like(variances) if bool(constant.all()) else variances.mean()
    return torch.where(constant, filler, variances)


def shrunk(cov: Tensor, shrinkage: float) -> Tensor:
    """Return (1 − a) S + a m I with m = tr S / D, which shrinks correlations to 0 and variances to their mean.

    Args:
        cov: (D, D) or (D,) S.
        shrinkage: a in [0, 1].

    Reference: Ledoit & Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, eq. 14.

    Example:
        >>> shrunk(torch.tensor([1.0, 3.0]), 0.5)
        tensor([1.5000, 2.5000])
    """
    target = variances_of(cov).mean().expand(len(cov))
    return (1 - shrinkage) * cov + shrinkage * (target.diag() if cov.dim() == 2 else target)


def oas_shrinkage(cov: Tensor, count: int) -> float:
    """Return the shrinkage intensity that approximates the oracle for Gaussian rows (OAS).

    a = min(1, (tr S² + tr² S) / ((n + 1) (tr S² − tr² S / D)))

    Args:
        cov: (D, D) S, with 1/n.
        count: n rows.

    Reference: Chen, Wiesel, Eldar & Hero (2010), Shrinkage algorithms for MMSE covariance estimation, eq. 23, without
    its terms 2/D, as in scikit-learn.

    Example:
        >>> round(oas_shrinkage(torch.diag(torch.tensor([1.0, 3.0])), 99), 3)
        0.13
    """
    square, trace = float(cov.square().sum()), float(cov.trace())
    spread = (count + 1) * (square - trace**2 / len(cov))
    return 1.0 if spread <= 0 else min(1.0, (square + trace**2) / spread)


def ledoit_wolf_shrinkage(cov: Tensor, count: int, fourth: Tensor) -> float:
    """Return the shrinkage intensity of least expected squared error, for rows of any distribution.

    a = min(b, d)/d with b = (1/n²) Σ_i ‖(x_i − x̄)(x_i − x̄)ᵀ − S‖² = (1/n) (F/n − ‖S‖²), d = ‖S − m I‖²

    Args:
        cov: (D, D) S, with 1/n.
        count: n rows.
        fourth: () F = Σ_i ‖x_i − x̄‖⁴.

    Reference: Ledoit & Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, lemmas
    3.2 to 3.4.

    Example:
        >>> round(ledoit_wolf_shrinkage(torch.diag(torch.tensor([1.0, 3.0])), 10, torch.tensor(300.0)), 3)
        1.0
    """
    square = float(cov.square().sum())
    noise = (float(fourth) / count - square) / count
    distance = square - float(cov.trace()) ** 2 / len(cov)
    return 1.0 if distance <= 0 else min(1.0, max(0.0, noise / distance))


def floored(cov: Tensor, floor: Tensor) -> Tensor:
    """Return the maximum-likelihood covariance under Σ ⪰ diag(r) from the sample covariance S: S where S ⪰ diag(r).

    With R = diag(r) and R^−½ S R^−½ = V diag(λ) Vᵀ, Σ = R^½ V diag(max(λ, 1)) Vᵀ R^½; uncorrelated entries have
    the variances max(S_jj, r_j).

    Args:
        cov: (D, D) or (D,) S.
        floor: (D,) r ≥ 0; all zeros leave S unchanged.

    Reference: the constrained maximum of −log det Σ − tr Σ⁻¹ S, by von Neumann's trace inequality as in Anderson
    (2003), An Introduction to Multivariate Statistical Analysis, lemma 3.2.2.

    Example:
        >>> floored(torch.ones(2, 2), torch.full((2,), 0.5))
        tensor([[1.2500, 0.7500],
                [0.7500, 1.2500]])
    """
    if not bool((floor > 0).all()):
        return cov
    if cov.dim() == 1:
        return torch.maximum(cov, floor)
    root = floor.sqrt()
    values, vectors = torch.linalg.eigh(cov / root / root[:, None])
    if bool(values[0] >= 1):
        return cov
    raised = (vectors * values.clamp_min(1)) @ vectors.mT
    return root[:, None] * raised * root


def factor_of(cov: Tensor, what: str, advice: str) -> Tensor:
    """Return the lower triangular L with L Lᵀ = Σ, or the standard stds: (D, D) or (D,), as Σ is.

    Args:
        cov: (D, D) or (D,) Σ.
        what: name of what has this covariance, for the message.
        advice: what to do where it is singular, for the message.

    Raises:
        DataError: for entries that are constant or linearly dependent on others.
    """
    stds = variances_of(cov).clamp_min(0).sqrt()
    flat = (stds == 0).nonzero()[:, 0].tolist()
    if flat:
        names = ", ".join(map(str, flat[:5])) + (", …" if len(flat) > 5 else "")
        raise DataError(f"{what} has no density: entries {names} (from 0) do not vary; {advice}")
    if cov.dim() == 1:
        return stds
    L, failed = torch.linalg.cholesky_ex(cov / stds / stds[:, None])  # of the correlations
    if bool(failed) or bool((L.diagonal().square() < _DEPENDENT).any()):
        raise DataError(
            f"{what} has no density: its covariance is singular, entries depend linearly; {advice}"
        )
    return stds[:, None] * L
