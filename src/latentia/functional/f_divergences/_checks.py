"""Masses and their logarithms where they are 0, and checks of the arguments of a divergence."""

import math

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError


def log_mass(mass: Tensor) -> Tensor:
    """Return log m, and −∞ with a gradient of 0 where m = 0."""
    positive = mass > 0
    return torch.where(positive, torch.where(positive, mass, 1.0).log(), -torch.inf)


def times(mass: Tensor, limit: float) -> Tensor:
    """Return mass · limit with 0 · ∞ = 0."""
    return mass * limit if math.isfinite(limit) else torch.where(mass > 0, limit, 0.0).to(mass)


def check_grid(x: Tensor, log_p: Tensor) -> None:
    """Raise `UsageError` unless x is an increasing (n,) grid and log_p has shape (*B, n)."""
    if x.dim() != 1 or len(x) < 2 or log_p.dim() == 0 or log_p.shape[-1] != len(x):
        raise UsageError(
            f"x must have shape (n,), n ≥ 2, and log_p (*B, n); got {tuple(x.shape)} and {tuple(log_p.shape)}"
        )
    if not bool((x.diff() > 0).all()):
        raise UsageError("x must increase from point to point: sort the grid, each point once")


def check_logs(name: str, values: Tensor) -> None:
    """Raise `DataError` unless the values are logarithms of finite masses: finite, or −∞."""
    wrong = int((values.isnan() | (values == torch.inf)).sum())
    if wrong:
        raise DataError(f"{name} must be finite or −∞; got NaN or +∞ in {wrong} of {values.numel()} entries")


def check_masses(name: str, masses: Tensor, tolerance: float) -> None:
    """Raise `DataError` unless every total mass is one, up to the tolerance."""
    for mass in masses.flatten().tolist():
        if not abs(mass - 1) <= tolerance:
            raise DataError(f"{name} must integrate to one on x; got {mass:.6g}: widen or refine the grid")
