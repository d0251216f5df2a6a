"""Gaussians fitted to a density on the line by the forward and by the reverse KL divergence.

With a unimodal family and a bimodal target the two directions disagree: forward KL is mass-covering and spans both
modes, reverse KL is mode-seeking and fits one.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.gaussian.densities import LOG_2PI

LogDensity = Callable[[Tensor], Tensor]
_NODES = 64  # of the Gauss-Hermite quadrature
_STARTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # levels of p's quantiles, where descents begin


@dataclass(frozen=True)
class Fit:
    """A Gaussian, and its divergence from the target.

    Attributes:
        mean: μ.
        standard_deviation: σ.
        divergence: the minimum of the divergence that was minimised, in nats.
    """

    mean: float
    standard_deviation: float
    divergence: float

    def density(self, x: Tensor) -> Tensor:
        """Return N(x; μ, σ²) of (n,) points."""
        return _log_normal(x, self.mean, self.standard_deviation).exp()


def forward_kl_fit(log_density: LogDensity, grid: Tensor) -> Fit:
    """Return the Gaussian q that minimises KL(p ‖ q) for a density p: the one with p's mean and variance.

    argmin_q ∫ p log p/q = N(E_p x, Var_p x): q must have mass wherever p has, so it covers all modes.

    Args:
        log_density: (n,) points → (n,) nats, up to a constant; −∞ where p is 0.
        grid: (n,) increasing points that hold nearly all of p's mass; integrals are taken by the trapezoidal rule over
            it.

    Raises:
        UsageError: for a grid that does not increase.
        DataError: for a density that is 0 or not finite on the grid.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, sections 10.1.2 and 10.7, eq. 10.187.

    Example:
        >>> def two_modes(x):  # N(x; ±3, 1)
        ...     return torch.logaddexp(-((x - 3) ** 2) / 2, -((x + 3) ** 2) / 2)
        >>> fit = forward_kl_fit(two_modes, torch.linspace(-12, 12, 2001))
        >>> print(f"{abs(fit.mean):.2f} {fit.standard_deviation**2:.2f} {fit.divergence:.2f}")
        0.00 10.00 0.46
    """
    grid, log_p = _normalised(log_density, grid)
    p = log_p.exp()
    mean = torch.trapezoid(p * grid, grid)
    sd = torch.trapezoid(p * (grid - mean).square(), grid).sqrt()
    log_q = _log_normal(grid, float(mean), float(sd))
    terms = torch.where(p > 0, p * (log_p - log_q), 0.0)
    return Fit(float(mean), float(sd), float(torch.trapezoid(terms, grid)))


def reverse_kl_fit(log_density: LogDensity, grid: Tensor) -> Fit:
    """Return the Gaussian q that minimises KL(q ‖ p) for a density p: the best of several descents.

    argmin_q −½ log(2πe σ²) − E_q log p(x), x = μ + σε: q is penalised where p is small, so it fits one mode. E_q is
    taken by Gauss-Hermite quadrature, the minimum by L-BFGS from quantiles of p. Of equal minima the first is kept.

    Args:
        log_density: (n,) points → (n,) nats, up to a constant, differentiable; above −∞ on the whole line.
        grid: (n,) increasing points that hold nearly all of p's mass, for its constant and the starts.

    Raises:
        UsageError: for a grid that does not increase.
        DataError: for a density that is 0 or not finite on the grid, or 0 where q reaches.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, section 10.1.2 and figure 10.3.

    Example:
        >>> def two_modes(x):  # N(x; ±3, 1)
        ...     return torch.logaddexp(-((x - 3) ** 2) / 2, -((x + 3) ** 2) / 2)
        >>> fit = reverse_kl_fit(two_modes, torch.linspace(-12, 12, 2001))
        >>> print(f"{abs(fit.mean):.2f} {fit.standard_deviation:.2f} {fit.divergence:.2f}")  # misses a half: log 2
        2.98 1.02 0.69
    """
    grid, log_p = _normalised(log_density, grid)
    constant = float(log_p.max() - log_density(grid).max())
    fits = [_descended(log_density, constant, *start) for start in _starts(grid, log_p)]
    return min(fits, key=lambda fit: round(fit.divergence, 6))


def _normalised(log_density: LogDensity, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Return the grid in float64, and log p on it with its constant."""
    grid = grid.double()
    if grid.dim() != 1 or not bool((grid.diff() > 0).all()) or len(grid) < 2:
        raise UsageError(f"the grid must be increasing points (n,), n at least 2; got {tuple(grid.shape)}")
    log_p = log_density(grid)
    if bool(log_p.isnan().any()) or not math.isfinite(top := float(log_p.max())):
        raise DataError("the density must be finite on the grid, and above 0 somewhere; give another grid")
    mass = torch.trapezoid((log_p - top).exp(), grid)
    return grid, log_p - top - mass.log()


def _starts(grid: Tensor, log_p: Tensor) -> Iterator[tuple[float, float]]:
    """Yield means at quantiles of p, with a standard deviation that is small against p's."""
    cdf = torch.cumulative_trapezoid(log_p.exp(), grid)
    low, high = (float(grid[1:][torch.searchsorted(cdf, level)]) for level in (0.1, 0.9))
    for level in _STARTS:
        yield float(grid[1:][torch.searchsorted(cdf, level)]), (high - low) / 8


def _descended(log_density: LogDensity, constant: float, mean: float, sd: float) -> Fit:
    """Return where a descent from one Gaussian ends."""
    import numpy as np
    from scipy.optimize import minimize

    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(_NODES))
    weights = weights / weights.sum()

    def divergence(theta: Tensor) -> Tensor:
        """Return KL(N(μ, σ²) ‖ p) of θ = (μ, log σ)."""
        log_p = log_density(theta[0] + theta[1].exp() * nodes) + constant
        return -0.5 * (1 + LOG_2PI) - theta[1] - weights @ log_p

    def with_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.tensor(values, dtype=torch.float64, requires_grad=True)
        value = divergence(theta)
        (gradient,) = torch.autograd.grad(value, theta)
        return value.item(), gradient.numpy()

    found = minimize(with_gradient, [mean, math.log(sd)], jac=True, method="L-BFGS-B", tol=1e-12)
    if not math.isfinite(found.fun):
        raise DataError("the density is 0 where a Gaussian reaches, so that KL(q ‖ p) is infinite")
    return Fit(float(found.x[0]), math.exp(found.x[1]), float(found.fun))


def _log_normal(x: Tensor, mean: float, sd: float) -> Tensor:
    return -0.5 * (((x - mean) / sd).square() + LOG_2PI) - math.log(sd)
