"""Rotations of loadings: W and WR, with R orthogonal, are the same Gaussian model, since WR(WR)ᵀ = WWᵀ."""

import math
from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

from latentia.registry import Registry, check_name, rotations

_SWEEPS = 100  # of varimax over all pairs of columns; it converges in a few


def canonical(loadings: Tensor, noise: Tensor) -> Tensor:
    """Return the rotation of W in which the latent variables are independent given a row.

    W ← WV with Ψ^(−½) W = U S Vᵀ, so that WᵀΨ⁻¹W = S² is diagonal and falling. Where Ψ = σ²I the columns are
    orthogonal, and are the principal axes. The largest entry of each column is positive.

    Args:
        loadings: (D, k) W.
        noise: (D,) or (), the diagonal of Ψ.

    Reference: Lawley and Maxwell (1962), Factor analysis as a statistical method, section 2.

    Example:
        >>> canonical(torch.tensor([[1.0, 1.0], [-1.0, 1.0]]), torch.tensor(1.0)).square().sum(0).round()
        tensor([2., 2.])
    """
    weighted = loadings / noise.expand(len(loadings)).sqrt()[:, None]
    V = torch.linalg.svd(weighted, full_matrices=False).Vh.mT
    return positive(loadings @ V)


def varimax(loadings: Tensor, *, tol: float = 1e-8) -> Tensor:
    """Return the rotation WR whose squared loadings vary most within each column.

    max over R of Σ_j [(1/D) Σ_i (WR)_ij⁴ − ((1/D) Σ_i (WR)_ij²)²], without Kaiser's scaling of rows. Each pair of
    columns in turn is rotated by its best angle, until none changes by more than ``tol``. No rotation lowers the
    sum; it may end in a local maximum. Columns are in order of falling Σ_i (WR)_ij², with a positive largest entry.

    Args:
        loadings: (D, k) W.
        tol: largest remaining angle, in radians.

    Reference: Kaiser (1958), The varimax criterion for analytic rotation in factor analysis, section 4.

    Example:
        >>> turned = torch.tensor([[1.0, 1.0], [2.0, -2.0]]) / 2**0.5  # two factors, one for each entry
        >>> varimax(turned).abs().round()
        tensor([[0., 1.],
                [2., 0.]])
    """
    columns = list(loadings.unbind(1))
    for _ in range(_SWEEPS):
        largest = 0.0
        for a, b in combinations(range(len(columns)), 2):
            angle = _best_angle(columns[a], columns[b])
            cos, sin = math.cos(angle), math.sin(angle)
            x, y = columns[a], columns[b]
            columns[a], columns[b] = cos * x + sin * y, cos * y - sin * x
            largest = max(largest, abs(angle))
        if largest <= tol:
            break
    rotated = torch.stack(columns, 1)
    return positive(rotated[:, rotated.square().sum(0).argsort(descending=True)])


def _best_angle(x: Tensor, y: Tensor) -> float:
    """Return φ in (−π/4, π/4] for which x cos φ + y sin φ, y cos φ − x sin φ have the largest criterion.

    With u = x² − y² and v = 2xy, tan 4φ = 2 (Σuv − ΣuΣv/D) / (Σ(u² − v²) − ((Σu)² − (Σv)²)/D).
    """
    u, v = x.square() - y.square(), 2 * x * y
    U, V, D = u.sum(), v.sum(), len(x)
    rise = float(2 * (u @ v - U * V / D))
    run = float(u @ u - v @ v - (U.square() - V.square()) / D)
    size = float(u @ u + v @ v)
    if math.hypot(rise, run) <= 8 * torch.finfo(x.dtype).eps * size:  # all angles are equally good
        return 0.0
    return math.atan2(rise, run) / 4


def _varimax(loadings: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG001  (the signature of every rotation)
    return varimax(loadings)


ROTATIONS: Registry[Callable[[Tensor, Tensor], Tensor]] = rotations
rotations.add({"none": canonical, "varimax": _varimax})
"""From loadings (D, k) and noise variances to loadings."""


def rotation_named(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a member of `ROTATIONS`; an unknown name raises `UsageError` with near matches."""
    check_name("rotation", name, ROTATIONS)
    return ROTATIONS[name]


def positive(loadings: Tensor) -> Tensor:
    """Return columns with signs flipped so that the entry of largest magnitude is positive."""
    largest = loadings.gather(0, loadings.abs().argmax(0, keepdim=True))
    return torch.where(largest < 0, -loadings, loadings)
