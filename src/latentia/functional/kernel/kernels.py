"""Kernels between points.

A kernel is any function of points (n, d) and (m, d) that returns the matrix (n, m) of k(x_i, y_j). To add one, write
the function and a line in `KERNELS`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import member, point_sets
from latentia.registry import Registry, kernels

Kernel = Callable[[Tensor, Tensor], Tensor]

_BLOCK = 2**22  # entries of a kernel matrix held at once: 32 MB in float64
_LOG_SMALLEST = -80.0  # exp of less is denormal in float32, up to 100 times slower


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Iterate over slices of n rows such that a block of ``width`` columns has a bounded size."""
    size = max(1, _BLOCK // max(1, width))
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return ‖x_i − y_j‖² for every pair, from one matrix product: (n, d), (m, d) → (n, m).

    Example:
        >>> squared_distances(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]]))
        tensor([[9.],
                [4.]])
    """
    center = y.detach().mean(0)  # distances are invariant to a shift; near zero the products cancel less
    x, y = x - center, y - center
    products = torch.addmm(y.square().sum(1), x, y.T, alpha=-2)
    return (products + x.square().sum(1, keepdim=True)).clamp(min=0)


def gaussian_kernel(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """Return the Gaussian kernel k(x, y) = exp(−‖x − y‖² / 2h²).

    Args:
        x: (n, d) points.
        y: (m, d) points.
        bandwidth: h, in the units of the points.

    Returns:
        (n, m) in (0, 1]; values below e^−80 are returned as e^−80.

    Raises:
        UsageError: unless h > 0.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, section 8.

    Example:
        >>> gaussian_kernel(torch.zeros(1, 1), torch.tensor([[0.0], [2.0]]), bandwidth=2.0)
        tensor([[1.0000, 0.6065]])
    """
    _positive(bandwidth=bandwidth)
    return _exp(squared_distances(x, y) * (-0.5 / bandwidth**2))


def gaussian_mixture_kernel(x: Tensor, y: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """Return the mean of Gaussian kernels of several bandwidths: k(x, y) = (1/B) Σ_b exp(−‖x − y‖² / 2h_b²).

    Args:
        x: (n, d) points.
        y: (m, d) points.
        bandwidths: h_1, …, h_B, in the units of the points.

    Returns:
        (n, m) in (0, 1].

    Raises:
        UsageError: for no bandwidth, or one that is not positive.

    Reference: Li, Swersky & Zemel (2015), Generative Moment Matching Networks, section 4.3, where it is the sum over b.

    Example:
        >>> gaussian_mixture_kernel(torch.zeros(1, 1), torch.tensor([[2.0]]), (2.0, 2.0))
        tensor([[0.6065]])
    """
    if not len(bandwidths):
        raise UsageError("bandwidths must hold at least one; got none")
    for bandwidth in bandwidths:
        _positive(bandwidth=bandwidth)
    squares = squared_distances(x, y)
    total = _exp(squares * (-0.5 / bandwidths[0] ** 2))
    for bandwidth in bandwidths[1:]:
        total = total + _exp(squares * (-0.5 / bandwidth**2))
    return total / len(bandwidths)


def laplace_kernel(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """Return the Laplace kernel k(x, y) = exp(−‖x − y‖ / h), with the Euclidean norm.

    It is invariant to rotations of the points, and h is in the same units as that of the Gaussian kernel. With the
    sum of absolute differences in place of the norm, as in scikit-learn's `laplacian_kernel`, it is another kernel.

    Args:
        x: (n, d) points.
        y: (m, d) points.
        bandwidth: h, in the units of the points.

    Returns:
        (n, m) in (0, 1]; values below e^−80 are returned as e^−80.

    Raises:
        UsageError: unless h > 0.

    Reference: Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, eq. 4.18 (exponential).

    Example:
        >>> laplace_kernel(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), bandwidth=5.0)
        tensor([[0.3679]])
    """
    _positive(bandwidth=bandwidth)
    return _exp(negative_distance_kernel(x, y) / bandwidth)


def inverse_multiquadric_kernel(x: Tensor, y: Tensor, C: float) -> Tensor:
    """Return the inverse multiquadric kernel k(x, y) = C / (C + ‖x − y‖²), whose tails are heavy.

    Args:
        x: (n, d) points.
        y: (m, d) points.
        C: in squared units of the points; 2dσ², the mean ‖x − y‖² of two points from N(0, σ²I), is usual.

    Returns:
        (n, m) in (0, 1].

    Raises:
        UsageError: unless C > 0.

    Reference: Tolstikhin et al. (2018), Wasserstein Auto-Encoders, section 4.

    Example:
        >>> inverse_multiquadric_kernel(torch.zeros(1, 1), torch.tensor([[0.0], [2.0]]), C=4.0)
        tensor([[1.0000, 0.5000]])
    """
    _positive(C=C)
    return C / (C + squared_distances(x, y))


def linear_kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return k(x, y) = xᵀy, with which MMD² is the squared distance of the means: (n, d), (m, d) → (n, m).

    Example:
        >>> linear_kernel(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([[11.]])
    """
    return x @ y.T


def polynomial_kernel(x: Tensor, y: Tensor, degree: int = 3, scale: float | None = None) -> Tensor:
    """Return the polynomial kernel k(x, y) = (xᵀy / s + 1)^degree; its MMD compares moments up to the degree.

    Args:
        x: (n, d) points.
        y: (m, d) points.
        degree: at least 1.
        scale: s, in squared units of the points; default: the number of dimensions d.

    Returns:
        (n, m).

    Raises:
        UsageError: for a degree below 1, or unless s > 0.

    Reference: Bińkowski et al. (2018), Demystifying MMD GANs, section 4 (degree 3, s = d: the kernel of KID).

    Example:
        >>> polynomial_kernel(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))  # (4/2 + 1)³
        tensor([[27.]])
    """
    scale = float(x.shape[1]) if scale is None else scale
    _positive(scale=scale)
    if degree < 1:
        raise UsageError(f"degree must be at least 1; got {degree}")
    return (x @ y.T / scale + 1).pow(degree)


def negative_distance_kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return k(x, y) = −‖x − y‖, with which MMD² is the energy distance: (n, d), (m, d) → (n, m).

    Reference: Sejdinovic et al. (2013), Equivalence of distance-based and RKHS-based statistics, theorem 22.

    Example:
        >>> negative_distance_kernel(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
        tensor([[-5.]])
    """
    center = y.detach().mean(0)
    return -torch.cdist(x - center, y - center)


def median_bandwidth(x: Tensor, y: Tensor, *, max_points: int = 2000, seed: int = 0) -> float:
    """Return the median distance between distinct points of the pooled samples.

    Args:
        x: (n, d) points.
        y: (m, d) points.
        max_points: with more points, the median is taken over a random subset of this size.
        seed: of the subset.

    Raises:
        DataError: where all points are equal, or one is not finite.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, section 8 (the median heuristic).

    Example:
        >>> median_bandwidth(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]]))
        2.0
    """
    point_sets(x=x, y=y)
    points = torch.cat([x, y]).detach()
    if len(points) > max_points:
        chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:max_points]
        points = points[chosen.to(points.device)]
    distances = torch.nn.functional.pdist(points)
    distances = distances[distances > 0]
    if not len(distances):
        raise DataError(
            "x and y hold one point only, repeated: the median distance is 0; give distinct points"
        )
    return float(distances.median())


def _positive(**given: float) -> None:
    for name, value in given.items():
        if not 0 < value < float("inf"):
            raise UsageError(f"{name} must be positive; got {value}")


def _exp(log_k: Tensor) -> Tensor:
    return log_k.clamp(min=_LOG_SMALLEST).exp()


_OCTAVES = (0.25, 0.5, 1.0, 2.0, 4.0)

KERNELS: Registry[Callable[[float], Kernel]] = kernels
kernels.add(
    {
        "gaussian": lambda h: partial(gaussian_kernel, bandwidth=h),
        "gaussian-mixture": lambda h: partial(gaussian_mixture_kernel, bandwidths=[h * c for c in _OCTAVES]),
        "laplace": lambda h: partial(laplace_kernel, bandwidth=h),
        "inverse-multiquadric": lambda h: partial(inverse_multiquadric_kernel, C=h**2),
        "polynomial": lambda h: partial(polynomial_kernel, scale=h**2),
        "linear": lambda _: linear_kernel,
        "negative-distance": lambda _: negative_distance_kernel,
    }
)
"""Kernels by name, as functions of a length h in the units of the points; the last two ignore it."""


def kernel_of_length(name: str, length: float) -> Kernel:
    """Return a kernel of `KERNELS` by name, with a length in the units of the points.

    Args:
        name: such as "inverse-multiquadric".
        length: h, as `median_bandwidth` gives it; N(0, σ²I) in d dimensions has about h = σ√(2d).

    Raises:
        UnknownNameError: for an unknown name, with near matches.
        UsageError: unless h > 0.

    Example:
        >>> kernel_of_length("laplace", 5.0)(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
        tensor([[0.3679]])
    """
    _positive(length=length)
    return member(KERNELS, name, "kernel")(length)
