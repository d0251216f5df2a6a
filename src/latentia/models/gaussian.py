"""Gaussians: exact densities and samples, with parameters in closed form or learned by gradient."""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's habit)

from latentia.core.model import Density, Generative
from latentia.core.objective import Blocks
from latentia.core.randomness import using_generator
from latentia.data.moments import Moments, moments_of
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.functional.gaussian.covariances import factor_of, floored, typical_variances, variances_of
from latentia.functional.gaussian.densities import LOG_2PI
from latentia.models.gaussian_gaps import FillsGaussian
from latentia.registry import Registry, check_name, gaussian_covariances


@dataclass(frozen=True)
class Family:
    """A family of covariances of one Gaussian.

    Attributes:
        matrix: whether Σ is a (D, D) matrix; otherwise it is a vector of (D,) variances.
        pool: (D, D) or (D,) → the family's Σ nearest to a covariance of the rows, the most likely one.
        parameters: D → the number of free parameters of Σ.
        scales: D → the number of free numbers on the diagonal of its factor, D or 1, where it is learned.
    """

    matrix: bool
    pool: Callable[[Tensor], Tensor]
    parameters: Callable[[int], int]
    scales: Callable[[int], int] = lambda D: D


def _free(cov: Tensor) -> Tensor:
    return cov


COVARIANCES: Registry[Family] = gaussian_covariances
gaussian_covariances.add(
    {
        "full": Family(True, _free, lambda D: D * (D + 1) // 2),
        "diagonal": Family(False, _free, lambda D: D),
        "spherical": Family(False, lambda cov: cov.mean().expand_as(cov), lambda _: 1, lambda _: 1),
    }
)
_ADVICE = "give a variance_floor or (in closed form) shrinkage above 0, or drop these entries"


class GaussianModel(Generative, Density, FillsGaussian):
    """log p(x) = log N(x; μ, Σ), in float64, on rows flattened to D entries.

    Args:
        data: what a row is.
        covariance: the family of Σ: full, diagonal, spherical (σ² I) or another that is registered.

    Raises:
        UsageError: for an unknown family.
    """

    measure = "Lebesgue"

    def __init__(self, data: DataSpec, *, covariance: str = "full") -> None:
        super().__init__()
        check_name("covariance", covariance, COVARIANCES)
        self.data = data
        self.family = covariance
        self.matrix = COVARIANCES[covariance].matrix

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """(D,) μ."""

    @property
    @abstractmethod
    def factor(self) -> Tensor:
        """(D, D) lower Cholesky factor of Σ; for families of variances the (D,) standard deviations."""

    @property
    def covariance(self) -> Tensor:
        """(D, D) Σ."""
        factor = self.factor
        return factor @ factor.mT if self.matrix else factor.square().diag()

    @property
    def free_parameters(self) -> int:
        """Number of free parameters: D of the mean, and those of the covariance."""
        return self.data.size + COVARIANCES[self.family].parameters(self.data.size)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return log N(x; μ, Σ) of each row: (B,) nats, a density even where rows are integers.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        self.data.check(x)
        factor = self.factor
        deviations = x.flatten(1).to(factor.dtype) - self.mean
        if self.matrix:
            whitened = torch.linalg.solve_triangular(factor, deviations.mT, upper=False).mT
            scales = factor.diagonal()
        else:
            whitened, scales = deviations / factor, factor
        return -0.5 * (whitened.square().sum(1) + self.data.size * LOG_2PI) - scales.log().sum()

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n rows, rounded to the support."""
        factor = self.factor
        with using_generator(generator):
            noise = torch.randn(n, self.data.size, dtype=factor.dtype, device=factor.device)
        flat = self.mean + (noise @ factor.mT if self.matrix else noise * factor)
        rows = flat.view(n, *self.data.event_shape).to(torch.get_default_dtype())
        return self.data.support.project(rows)


class Gaussian(GaussianModel):
    """A Gaussian whose parameters are set in closed form; before that it is N(0, I).

    Args:
        data: what a row is.
        covariance: the family of Σ: full, diagonal or spherical.
    """

    location: Tensor
    scale: Tensor

    def __init__(self, data: DataSpec, *, covariance: str = "full") -> None:
        super().__init__(data, covariance=covariance)
        unit = torch.ones(data.size, dtype=torch.float64)
        self.register_buffer("location", torch.zeros_like(unit))
        self.register_buffer("scale", unit.diag() if self.matrix else unit)

    @property
    def mean(self) -> Tensor:
        """(D,) μ."""
        return self.location

    @property
    def factor(self) -> Tensor:
        """(D, D) lower Cholesky factor of Σ, or (D,) standard deviations."""
        return self.scale

    @torch.no_grad()
    def place(self, mean: Tensor, factor: Tensor) -> None:
        """Set μ (D,) and the factor of Σ, (D, D) or (D,) as the family has it."""
        self.location.copy_(mean)
        self.scale.copy_(factor)


class TrainableGaussian(GaussianModel):
    """A Gaussian whose parameters are learned by gradient: μ = c + u m and Σ = U (L Lᵀ + r I) U, U = diag(u).

    L is lower triangular with the diagonal softplus(s); it is diag(softplus(s)) for diagonal Σ, and of one s for
    spherical Σ. Centre c and unit u are the rows' means and standard deviations, so that rows in any unit are as easy
    to fit; m and s start at random.

    Args:
        data: what a row is.
        covariance: the family of Σ: full, diagonal or spherical.
        variance_floor: r, the least variance in any direction, as a fraction of each entry's variance.

    Raises:
        UsageError: for a floor that is negative or not finite.
    """

    centre: Tensor
    unit: Tensor

    def __init__(self, data: DataSpec, *, covariance: str = "full", variance_floor: float = 1e-6) -> None:
        super().__init__(data, covariance=covariance)
        self.variance_floor = checked_floor(variance_floor)
        D, free = data.size, COVARIANCES[covariance].scales(data.size)
        self.register_buffer("centre", torch.zeros(D, dtype=torch.float64))
        self.register_buffer("unit", torch.ones(D, dtype=torch.float64))
        self.location = nn.Parameter(torch.randn(D, dtype=torch.float64))
        # Wide: a narrow Gaussian has steep gradients, which Adam's moving averages take long to forget.
        self.raw_scale = nn.Parameter(1 + 0.5 * torch.randn(free, dtype=torch.float64))
        if self.matrix:
            self.lower = nn.Parameter(torch.zeros(D, D, dtype=torch.float64))

    @property
    def mean(self) -> Tensor:
        """(D,) μ."""
        return self.centre + self.unit * self.location

    @property
    def factor(self) -> Tensor:
        """(D, D) lower Cholesky factor of Σ, or (D,) standard deviations."""
        scale, r, pool = F.softplus(self.raw_scale), self.variance_floor, COVARIANCES[self.family].pool
        if not self.matrix:
            variances = scale.square() + r  # of one scale it is the family's already
            return self.unit * (variances if len(variances) == 1 else pool(variances)).sqrt()
        L = self.lower.tril(-1) + scale.diag()
        if not r and pool is _free:
            return self.unit[:, None] * L
        return self.unit[:, None] * torch.linalg.cholesky(pool(L @ L.mT + r * torch.eye(len(L)).to(L)))

    @torch.no_grad()
    def begin(self, rows: Blocks) -> None:
        """Set centre and unit to the rows' means and standard deviations.

        Raises:
            DataError: for rows whose likelihood has no maximum.
        """
        moments = moments_of(rows, matrix=self.matrix)
        estimate(moments, self.family, variance_floor=self.variance_floor)
        self.centre.copy_(moments.mean)
        self.unit.copy_(_typical(moments, self.family).sqrt())


def estimate(
    moments: Moments, family: str, *, variance_floor: float = 0.0, shrunk: Tensor | None = None
) -> Tensor:
    """Return the factor of a family's most likely Σ ⪰ diag(r), r_j = variance_floor · v_j: (D, D) or (D,).

    v_j is an entry's variance; a constant entry counts with the mean of all, and with 1 where all are constant.

    Args:
        moments: of the rows.
        family: full, diagonal or spherical.
        variance_floor: the least variance in any direction, as a fraction of each entry's.
        shrunk: a covariance to use in place of that of the rows.

    Raises:
        DataError: where the likelihood has no maximum: entries that are constant, or depend linearly on others.
    """
    cov = moments.covariance if shrunk is None else shrunk
    n, D = int(moments.total), len(moments.mean)
    cov = floored(COVARIANCES[family].pool(cov), variance_floor * _typical(moments, family))
    return factor_of(cov, f"a {family} Gaussian of {D} entries, from {n} rows,", _ADVICE)


def _typical(moments: Moments, family: str) -> Tensor:
    """Return each entry's variance, (D,), as the family pools them: for a spherical one the mean of all."""
    typical = typical_variances(variances_of(moments.covariance), moments.mean)
    kind = COVARIANCES[family]
    return variances_of(kind.pool(typical.diag() if kind.matrix else typical))


def checked_floor(variance_floor: float) -> float:
    """Return a floor of variances; `UsageError` unless it is finite and at least 0."""
    if not 0 <= variance_floor < math.inf:
        raise UsageError(f"variance_floor must be finite and at least 0; got {variance_floor}")
    return variance_floor
