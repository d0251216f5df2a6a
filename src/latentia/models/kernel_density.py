"""Kernel density estimates: a kernel at every point."""

import torch
from torch import Tensor

from latentia.core.model import Density, Generative
from latentia.core.objective import Batch
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.errors import DataError, UsageError
from latentia.functional.checks import member
from latentia.functional.kernel.density_kernels import SMOOTHING_KERNELS, log_kernel_sums


class KernelDensity(Generative, Density):
    """p(x) = Σ_i w_i K_H(x − x_i) with K_H(x) = |H|^−½ K(H^−½ x), on rows flattened to D entries.

    Every K has the identity as covariance: gaussian (exp(−½‖u‖²)), epanechnikov (1 − ‖u‖²/(D + 4), where
    that is positive) or laplace (exp(−√(D + 1) ‖u‖)), each divided by its integral. So H is the covariance of the noise
    around each point. Points keep their dtype; sums have the accuracy of float64.

    Args:
        data: what a row is.
        kernel: gaussian, epanechnikov or laplace.

    Attributes:
        points: (n, D) x_i; none before `place`.
        weights: (n,) w_i > 0, which add up to 1.
        bandwidth: (D,) square roots of a diagonal H, or (D, D) its lower Cholesky factor.

    Raises:
        UsageError: for an unknown kernel.

    References:
        Silverman (1986), Density Estimation for Statistics and Data Analysis, eq. 4.1.
    """

    measure = "Lebesgue"
    points: Tensor
    weights: Tensor
    bandwidth: Tensor

    def __init__(self, data: DataSpec, *, kernel: str = "gaussian") -> None:
        super().__init__()
        self.data = data
        self.kernel = member(SMOOTHING_KERNELS, kernel, "kernel")
        self.register_buffer("points", torch.zeros(0, data.size))
        self.register_buffer("weights", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("bandwidth", torch.ones(data.size, dtype=torch.float64))

    def place(self, points: Tensor, bandwidth: Tensor, weights: Tensor | None = None) -> None:
        """Set points, bandwidth and weights.

        Args:
            points: (n, *event) x_i, in the support.
            bandwidth: (D,) square roots of a diagonal H, or (D, D) its lower Cholesky factor.
            weights: (n,) w_i, up to a common factor; None: equal. Points of weight 0 are dropped.

        Raises:
            DataError: for points of another shape or outside the support, and for invalid weights.
            UsageError: for a bandwidth that is not positive, or has another shape.

        Example:
            >>> from latentia.data.spec import Support
            >>> model = KernelDensity(DataSpec((1,), Support("real")))
            >>> model.place(torch.tensor([[-1.0], [1.0]]), torch.tensor([0.5]), torch.tensor([3.0, 1.0]))
            >>> round(model.log_prob(torch.tensor([[-1.0]])).exp().item(), 4)  # 0.75 N(0; 0, 0.25) + 0.25 N(2; 0, 0.25)
            0.5985
        """
        self.data.check(points, name="points")
        weights = normalised(points, weights)
        kept = weights > 0
        self.bandwidth = _checked(bandwidth, self.data.size).to(weights)
        self.points, self.weights = Batch(points.detach()[kept]).floating().x.flatten(1), weights[kept]

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return log Σ_i w_i K_H(x − x_i) of each row: (B,) nats, a density even where rows are integers.

        It is −inf outside the support of all Epanechnikov kernels.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        self.data.check(x)
        sums = log_kernel_sums(
            self._standardised(x.flatten(1)), self.standardised_points(), self.weights, self.kernel
        )
        return sums - self.kernel.log_normaliser(self.data.size) - self.log_volume()

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n rows: a point by its weight, and noise from its kernel, rounded to the support."""
        points, ends = self._points(), self.weights.cumsum(0)
        with using_generator(generator):
            u = torch.rand(n, dtype=torch.float64, device=ends.device)
            noise = self.kernel.draw(n, self.data.size, ends.device)
        chosen = torch.searchsorted(ends, u * ends[-1])  # the first whose end u does not exceed
        full = self.bandwidth.dim() == 2
        flat = points[chosen] + (noise @ self.bandwidth.mT if full else noise * self.bandwidth)
        rows = flat.view(n, *self.data.event_shape).to(torch.get_default_dtype())
        return self.data.support.project(rows)

    def _points(self) -> Tensor:
        if not len(self.points):
            raise UsageError("this kernel density has no points yet: fit it, or set points with place()")
        return self.points

    def standardised_points(self) -> Tensor:
        """Return H^−½ (x_i − x̄) of each point: (n, D), in float64."""
        return self._standardised(self._points())

    def log_volume(self) -> Tensor:
        """Return ½ log |H|."""
        return (self.bandwidth.diagonal() if self.bandwidth.dim() == 2 else self.bandwidth).log().sum()

    def _standardised(self, x: Tensor) -> Tensor:
        """Return H^−½ (x − x̄) of rows (B, D), centred for accuracy."""
        deviations = x.double() - self.weights @ self._points().double()
        if self.bandwidth.dim() == 1:
            return deviations / self.bandwidth
        return torch.linalg.solve_triangular(self.bandwidth, deviations.mT, upper=False).mT


def normalised(points: Tensor, weights: Tensor | None) -> Tensor:
    """Return the points' normalised weights (n,), in float64; equal ones for None.

    Raises:
        DataError: for no points, and for weights that are not one for each, finite, at least 0 and not all 0.
    """
    if not len(points):
        raise DataError("a kernel density needs at least one point; got none")
    if weights is None:
        return torch.full((len(points),), 1 / len(points), dtype=torch.float64, device=points.device)
    weights = weights.to(points.device, torch.float64)
    fit = weights.shape == (len(points),) and bool((weights >= 0).all())
    if not fit or not 0 < float(weights.sum()) < float("inf"):
        raise DataError(
            f"weights must be {len(points)} finite numbers, at least 0 and not all 0; got shape {tuple(weights.shape)}"
        )
    return weights / weights.sum()


def _checked(bandwidth: Tensor, size: int) -> Tensor:
    full = bandwidth.dim() == 2
    scales = bandwidth.diagonal() if full else bandwidth
    if bandwidth.shape not in ((size,), (size, size)) or (full and bool(bandwidth.triu(1).any())):
        raise UsageError(
            f"bandwidth must have shape ({size},), or be a lower triangular ({size}, {size}); "
            f"got shape {tuple(bandwidth.shape)}"
        )
    if not bool((scales > 0).all()) or not bool(bandwidth.isfinite().all()):
        raise UsageError(f"bandwidth must be positive and finite; got a scale of {float(scales.min()):g}")
    return bandwidth.detach().clone()
