"""Gaussians rounded to a grid: the probability of each cell instead of a density."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

_NARROW, _FLAT = 1e-2, 0.3  # w and w|z| below which a series loses fewer digits than a difference


class GaussianCells(Distribution):
    """A Gaussian rounded to the nearest point of a grid: P(x) = Φ((x + s/2 − μ)/σ) − Φ((x − s/2 − μ)/σ).

    Args:
        loc: (*batch) μ.
        scale: (*batch) σ.
        step: s, the distance between points of the grid.
        start: one point of the grid; the step and it broadcast with μ.

    Example:
        >>> cells = GaussianCells(torch.tensor(0.3), torch.tensor(0.8), torch.tensor(0.5), torch.tensor(0.0))
        >>> print(round(cells.log_prob(torch.arange(-20, 21) / 2).exp().sum().item(), 6))
        1.0
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.real  # pyright: ignore

    def __init__(self, loc: Tensor, scale: Tensor, step: Tensor, start: Tensor) -> None:
        self.loc, self.scale, self.step, self.start = loc, scale, step, start
        super().__init__(loc.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of the cells whose centres are the values, elementwise, in nats."""
        return log_gaussian_mass((value - self.loc) / self.scale, self.step / self.scale)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw points of the grid."""
        shape = torch.Size(sample_shape) + self.loc.shape
        x = self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.start + self.step * ((x - self.start) / self.step).round()

    @property
    def mean(self) -> Tensor:
        """The Gaussian's mean, from which that of the rounded variable differs by less than half a step."""
        return self.loc.clone()


def log_gaussian_mass(z: Tensor, width: Tensor) -> Tensor:
    """Return log(Φ(z + w/2) − Φ(z − w/2)), elementwise, without loss of digits in either tail or for small w.

    For z ≤ 0, by symmetry, it is log Φ(a) + log(1 − e^(log Φ(b) − log Φ(a))) with a = z + w/2 and b = z − w/2; for
    w < 0.01 and w|z| < 0.3 the series log w φ(z) + w² H₂/24 + w⁴ (H₄/1920 − H₂²/1152) with Hermite polynomials of z.

    Example:
        >>> found = log_gaussian_mass(torch.tensor([0.0, 30.0]), torch.tensor([2.0, 1.0]))
        >>> [round(value, 4) for value in found.tolist()]
        [-0.3817, -439.4294]
    """
    z, width = torch.broadcast_tensors(z, width)
    square = z.square()
    narrow = (width < _NARROW) & (width * z.abs() < _FLAT)
    small = torch.where(narrow, width, _NARROW)
    second, fourth = square - 1, square.square() - 6 * square + 3
    bend = small.square() * second / 24 + small**4 * (fourth / 1920 - second.square() / 1152)
    series = small.log() - square / 2 - math.log(2 * math.pi) / 2 + bend
    wide, centre = torch.where(narrow, 1.0, width), -z.abs()
    upper, lower = torch.special.log_ndtr(centre + wide / 2), torch.special.log_ndtr(centre - wide / 2)
    return torch.where(narrow, series, upper + torch.log(-torch.expm1(lower - upper)))
