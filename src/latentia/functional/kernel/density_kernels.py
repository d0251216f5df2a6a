"""Smoothing kernels: densities centred at points, and sums of them over many points.

A kernel depends on ‖u‖ alone, with mean 0 and identity covariance in any number of dimensions, so that a bandwidth
means the same for all of them. To add one, write its three functions and a line in `SMOOTHING_KERNELS`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta, Gamma

from latentia.functional.gaussian.densities import LOG_2PI
from latentia.registry import Registry, density_kernels

_ROWS, _COLUMNS = 128, 1024  # a block of kernels: 1 MB of float64, which stays in a core's cache
_LOG_SMALLEST = -80.0  # exp of less is denormal in float32, up to 100 times slower
_NOWHERE = -1e300  # stands for log 0 while the largest term of a sum is searched for


@dataclass(frozen=True)
class SmoothingKernel:
    """A density of u in ℝᵈ: k(‖u‖) / Z_d.

    Attributes:
        log_profile: (−½‖u‖², d) → log k, with k = 1 at u = 0 and −inf where the density is 0.
        log_normaliser: d → log Z_d = log ∫ k(‖u‖) du.
        radii: (n, d, device) → n draws of ‖u‖ from torch's global generator, (n,).
        product_limit: the largest ‖x‖² + ‖y‖² at which ‖x − y‖² may come from a matrix product, whose rounding is 2e-16
            of it; log k is then off by less than 1e-6 (by 2e-6 √(d + 1) for laplace, and only where x = y).
    """

    log_profile: Callable[[Tensor, int], Tensor]
    log_normaliser: Callable[[int], float]
    radii: Callable[[int, int, torch.device], Tensor]
    product_limit: float = 1e8

    def draw(self, n: int, d: int, device: torch.device) -> Tensor:
        """Return n draws of u from torch's global generator: (n, d), in float64."""
        direction = torch.randn(n, d, dtype=torch.float64, device=device)
        return direction * (self.radii(n, d, device) / direction.norm(dim=1))[:, None]


def _gaussian(s: Tensor, d: int) -> Tensor:  # noqa: ARG001  (the signature of every profile)
    return s


def _epanechnikov(s: Tensor, d: int) -> Tensor:
    """Return log (1 − ‖u‖²/R²) inside the ball of radius R = √(d + 4)."""
    inside = 1 + s * (2 / (d + 4))
    return torch.where(inside > 0, inside.clamp_min(1e-300).log(), -torch.inf)


def _laplace(s: Tensor, d: int) -> Tensor:
    """Return −‖u‖ √(d + 1)."""
    return -(-2 * (d + 1) * s).clamp_min(1e-300).sqrt()


def _log_ball(d: int) -> float:
    """Return the log-volume of the unit ball: π^(d/2) / Γ(d/2 + 1)."""
    return 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1)


def _gamma(n: int, shape: float, device: torch.device) -> Tensor:
    a, one = torch.tensor([shape, 1.0], dtype=torch.float64, device=device)
    return Gamma(a, one).sample((n,))


def _beta(n: int, a: float, b: float, device: torch.device) -> Tensor:
    first, second = torch.tensor([a, b], dtype=torch.float64, device=device)
    return Beta(first, second).sample((n,))


SMOOTHING_KERNELS: Registry[SmoothingKernel] = density_kernels
density_kernels.add(
    {
        # exp(−½‖u‖²), Z = (2π)^(d/2); ½‖u‖² ~ Gamma(d/2)
        "gaussian": SmoothingKernel(
            _gaussian,
            lambda d: 0.5 * d * LOG_2PI,
            lambda n, d, device: (2 * _gamma(n, d / 2, device)).sqrt(),
        ),
        # 1 − ‖u‖²/R² for ‖u‖ < R = √(d + 4), Z = Rᵈ V_d 2/(d + 2), V_d the unit ball's volume; ‖u‖²/R² ~ Beta(d/2, 2)
        "epanechnikov": SmoothingKernel(
            _epanechnikov,
            lambda d: 0.5 * d * math.log(d + 4) + _log_ball(d) + math.log(2 / (d + 2)),
            lambda n, d, device: ((d + 4) * _beta(n, d / 2, 2.0, device)).sqrt(),
        ),
        # exp(−‖u‖/b), b = 1/√(d + 1), Z = bᵈ V_d Γ(d + 1); ‖u‖/b ~ Gamma(d)
        "laplace": SmoothingKernel(
            _laplace,
            lambda d: -0.5 * d * math.log(d + 1) + _log_ball(d) + math.lgamma(d + 1),
            lambda n, d, device: _gamma(n, d, device) / math.sqrt(d + 1),
            product_limit=1e4,
        ),
    }
)


def log_kernel_sums(
    x: Tensor, points: Tensor, weights: Tensor, kernel: SmoothingKernel, *, own: Tensor | None = None
) -> Tensor:
    """Return log Σ_j w_j k(‖x_i − y_j‖) for each row, over all j or all but one.

    Distances come from a float64 matrix product, or from differences where that would lose digits; each sum is
    accumulated relative to its largest term in float32, block by block. The result agrees with a direct float64 sum to
    1e-5, however far x is from the points, and memory does not grow with the number of pairs. It is differentiable in
    x, at the cost of that memory.

    Args:
        x: (B, d) float64 rows in units of the bandwidth; nearer to 0, more distances can come from the product.
        points: (n, d) float64 y, in the same units.
        weights: (n,) w > 0.
        kernel: k.
        own: (B,) index j of the point left out of each row's sum, for leave-one-out sums.

    Returns:
        (B,) float64; −inf where all kernels are 0.

    Example:
        >>> points = torch.tensor([[0.0], [2.0]]).double()
        >>> weights = torch.ones(2).double()
        >>> log_kernel_sums(points[:1], points, weights, SMOOTHING_KERNELS["gaussian"]).exp()  # 1 + exp(-2)
        tensor([1.1353], dtype=torch.float64)
    """
    left, right, log_weights = *_features(x, points), weights.log()
    if torch.is_grad_enabled() and x.requires_grad:
        return (_log_kernels(left, right, kernel, own, 0) + log_weights).logsumexp(1)
    peak, total = torch.full_like(x[:, 0], _NOWHERE), torch.zeros_like(x[:, 0])
    wider = 1 if x.device.type == "cpu" else 16
    for start in range(0, len(points), _COLUMNS * wider):
        columns = slice(start, start + _COLUMNS * wider)
        for first in range(0, len(x), _ROWS * wider):
            rows = slice(first, first + _ROWS * wider)
            skipped = None if own is None else own[rows]
            log_k = _log_kernels(left[rows], right[:, columns], kernel, skipped, start)
            _add(peak[rows], total[rows], log_k.add_(log_weights[columns]))
    return torch.where(peak > _NOWHERE, peak + total.log(), -torch.inf)


def _add(peak: Tensor, total: Tensor, log_terms: Tensor) -> None:
    """Add Σ_j exp(log_terms_ij) to sums (B,) stored as total · exp(peak); the terms are overwritten."""
    higher = torch.maximum(log_terms.amax(1), peak)
    terms = log_terms.sub_(higher[:, None]).float().clamp_(min=_LOG_SMALLEST).exp_()
    total.mul_((peak - higher).exp_()).add_(terms.sum(1))
    peak.copy_(higher)


def _features(x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B, d + 2) and (d + 2, n) whose product is −½‖x_i − y_j‖² = x_i·y_j − ½‖x_i‖² − ½‖y_j‖²."""
    left = torch.cat([x, -0.5 * x.square().sum(1, keepdim=True), torch.ones_like(x[:, :1])], 1)
    right = torch.cat(
        [points, torch.ones_like(points[:, :1]), -0.5 * points.square().sum(1, keepdim=True)], 1
    )
    return left, right.mT.contiguous()


def _log_kernels(
    left: Tensor, right: Tensor, kernel: SmoothingKernel, own: Tensor | None, start: int
) -> Tensor:
    """Return log k of each row and of the points from index ``start`` on, −inf for each row's own: (B, n)."""
    d = len(right) - 2
    log_k = kernel.log_profile(_half_squares(left, right, kernel.product_limit), d)
    if own is not None:
        rows = ((own >= start) & (own < start + log_k.shape[1])).nonzero()[:, 0]
        log_k[rows, own[rows] - start] = -torch.inf
    return log_k


def _half_squares(left: Tensor, right: Tensor, product_limit: float) -> Tensor:
    """Return −½‖x_i − y_j‖² from the features of rows and points: (B, n)."""
    d = len(right) - 2
    largest = -2 * float(left.detach()[:, d].min() + right[d + 1].min())
    if largest <= product_limit:
        return left @ right
    exactly = "donot_use_mm_for_euclid_dist"
    return -0.5 * torch.cdist(left[:, :d], right[:d].mT.contiguous(), compute_mode=exactly).square()
