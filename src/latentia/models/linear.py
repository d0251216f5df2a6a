"""Linear latent models: principal components, and the Gaussian z → Wz + μ + noise (PPCA, factor analysis)."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from latentia.core.model import Decodes, Density, Encodes, Generative
from latentia.core.objective import Blocks
from latentia.core.randomness import using_generator
from latentia.data.moments import mean_and_variance
from latentia.data.spec import DataSpec
from latentia.distributions.point_mass import PointMass
from latentia.errors import DataError, UsageError
from latentia.functional.gaussian.densities import LOG_2PI
from latentia.models.gaussian_gaps import FillsGaussian
from latentia.models.latent_density import Codec
from latentia.registry import check_name

NOISES = ("isotropic", "diagonal")


class PCA(Codec):
    """z = Wᵀ(x − x̄), x̂ = x̄ + Wz, where W's columns are the d orthogonal directions of largest variance, in float64.

    With ``whiten``, z is in units of its standard deviations: z = Λ^(−½) Wᵀ(x − x̄) and x̂ = x̄ + W Λ^½ z.

    Args:
        data: what a row is, flattened to D entries.
        latent_dim: d, at most D.
        whiten: whether codes have unit variance.

    Attributes:
        mean: (D,) x̄.
        components: (D, d) W, orthonormal columns; the largest entry of each is positive.
        explained_variance: (d,) λ, the codes' variances over the training rows, with 1/(n − 1).
        total_variance: () the sum of all entries' variances.

    References:
        Pearson (1901), On lines and planes of closest fit; Bishop (2006), section 12.1.
    """

    mean: Tensor
    components: Tensor
    explained_variance: Tensor
    total_variance: Tensor

    def __init__(self, data: DataSpec, *, latent_dim: int, whiten: bool = False) -> None:
        super().__init__()
        if not 1 <= latent_dim <= data.size:
            raise UsageError(
                f"latent_dim must be from 1 to {data.size}, the entries of a row, for pca; got {latent_dim}"
            )
        self.data = data
        self.whiten = whiten
        D, d = data.size, latent_dim
        self.register_buffer("mean", torch.zeros(D, dtype=torch.float64))
        self.register_buffer("components", torch.eye(D, d, dtype=torch.float64))
        self.register_buffer("explained_variance", torch.ones(d, dtype=torch.float64))
        self.register_buffer("total_variance", torch.tensor(float(D), dtype=torch.float64))

    @property
    def explained_variance_ratio(self) -> Tensor:
        """Fraction of the total variance that each component explains: (d,)."""
        return self.explained_variance / self.total_variance

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:  # noqa: ARG002
        """Return the code of each row, as a point mass: batch shape (B,), event shape (d,)."""
        z = (x.flatten(1).double() - self.mean) @ self.components
        return PointMass((z / self._scale).to(torch.get_default_dtype()), event_dim=1)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:  # noqa: ARG002
        """Return the reconstruction from each code (B, d), as a point mass: batch shape (B,)."""
        flat = torch.addmm(self.mean, z.double() * self._scale, self.components.mT)
        rows = flat.view(len(z), *self.data.event_shape).to(torch.get_default_dtype())
        return PointMass(rows, event_dim=len(self.data.event_shape))

    @property
    def _scale(self) -> Tensor:
        return self.explained_variance.sqrt() if self.whiten else torch.ones_like(self.explained_variance)


class LinearGaussian(Generative, Density, Encodes, Decodes, FillsGaussian):
    """z ~ N(0, I_k), x | z ~ N(Wz + μ, Ψ), so that x ~ N(μ, WWᵀ + Ψ), in float64.

    With Ψ = σ²I it is probabilistic PCA, with Ψ diagonal factor analysis. W is identified up to a rotation of z:
    `latentia.functional.rotations` has the usual choices.

    Parameters refer to standardised rows: x = shift + unit · (weight z + offset + noise). `begin` sets shift and unit
    from the rows, so that learning by gradient does not depend on the data's units.

    Args:
        data: what a row is, flattened to D entries.
        latent_dim: k, less than D.
        noise: isotropic (Ψ = σ²I) or diagonal.

    Raises:
        UsageError: for options out of range.

    References:
        Tipping and Bishop (1999), Probabilistic principal component analysis; Bartholomew, Knott and Moustaki (2011),
        Latent variable models and factor analysis, chapter 3.
    """

    measure = "Lebesgue"
    shift: Tensor
    unit: Tensor

    def __init__(self, data: DataSpec, *, latent_dim: int, noise: str = "isotropic") -> None:
        super().__init__()
        check_name("noise", noise, NOISES)
        if not 1 <= latent_dim < data.size:
            raise UsageError(
                f"latent_dim must be at least 1 and less than {data.size}, the entries of a row, so that "
                f"noise remains; got {latent_dim}"
            )
        self.data = data
        D, k = data.size, latent_dim
        log_noise = torch.zeros((D,) if noise == "diagonal" else (), dtype=torch.float64)
        self.weight = nn.Parameter(torch.randn(D, k, dtype=torch.float64) / k**0.5)
        self.offset = nn.Parameter(torch.zeros(D, dtype=torch.float64))
        self.log_noise = nn.Parameter(log_noise)
        self.register_buffer("shift", torch.zeros(D, dtype=torch.float64))
        self.register_buffer("unit", torch.ones_like(log_noise))

    @property
    def mean(self) -> Tensor:
        """μ, (D,)."""
        return self.shift + self.unit * self.offset

    @property
    def loadings(self) -> Tensor:
        """W, (D, k)."""
        return self.unit[..., None] * self.weight

    @property
    def noise(self) -> Tensor:
        """The diagonal of Ψ: () if isotropic, (D,) if diagonal."""
        return self.unit.square() * self.log_noise.exp()

    @property
    def factor(self) -> Tensor:
        """(D, D) lower Cholesky factor of WWᵀ + Ψ."""
        return torch.linalg.cholesky(self.loadings @ self.loadings.mT + self._entry_noise.diag())

    @torch.no_grad()
    def assign(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> None:
        """Set μ (D,), W (D, k) and the diagonal of Ψ, of the shape of ``noise``."""
        self.shift.copy_(mean)
        self.unit.fill_(1)
        self.offset.zero_()
        self.weight.copy_(loadings)
        self.log_noise.copy_(noise.log())

    @torch.no_grad()
    def begin(self, rows: Blocks) -> None:
        """Set shift and unit to the rows' means and standard deviations: one for all entries, or one for each."""
        mean, variance = spread(rows, each=self.unit.dim() > 0)
        self.shift.copy_(mean)
        self.unit.copy_(variance.sqrt())

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return log N(x; μ, WWᵀ + Ψ) of each row: (B,) nats, a density even where rows are integers.

        With A = Ψ^(−½) W, u = Ψ^(−½)(x − μ) and M = I + AᵀA, the matrix lemmas give
        log det(WWᵀ + Ψ) = log det Ψ + log det M and
        (x − μ)ᵀ(WWᵀ + Ψ)⁻¹(x − μ) = ‖u − Am‖² + ‖m‖², m = M⁻¹Aᵀu,
        in O(Dk) a row, without a D × D matrix and without cancellation.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        self.data.check(x)
        u, A, L = self._whitened(x)
        m = torch.cholesky_solve((u @ A).mT, L).mT
        squares = (u - m @ A.mT).square().sum(1) + m.square().sum(1)
        log_det = self._entry_noise.log().sum() + 2 * L.diagonal().log().sum()
        return -0.5 * (self.data.size * LOG_2PI + log_det + squares)

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:  # noqa: ARG002
        """Return the posterior N(M⁻¹WᵀΨ⁻¹(x − μ), M⁻¹), M = I + WᵀΨ⁻¹W: batch shape (B,), event shape (k,)."""
        u, A, L = self._whitened(x)
        means = torch.cholesky_solve((u @ A).mT, L).mT
        scale = torch.linalg.cholesky(torch.cholesky_inverse(L))
        dtype = torch.get_default_dtype()
        return MultivariateNormal(means.to(dtype), scale_tril=scale.to(dtype), validate_args=False)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:  # noqa: ARG002
        """Return N(Wz + μ, Ψ) for codes (B, k): batch shape (B,)."""
        event, dtype = self.data.event_shape, torch.get_default_dtype()
        means = torch.addmm(self.mean, z.double(), self.loadings.mT).view(len(z), *event).to(dtype)
        stds = self._entry_noise.sqrt().view(event).to(dtype)
        return Independent(Normal(means, stds.expand_as(means), validate_args=False), len(event))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n rows: z from N(0, I), then x from N(Wz + μ, Ψ), rounded to the support."""
        like = self.weight
        with using_generator(generator):
            z = torch.randn(n, like.shape[1], dtype=like.dtype, device=like.device)
            noise = torch.randn(n, like.shape[0], dtype=like.dtype, device=like.device)
        flat = torch.addmm(self.mean, z, self.loadings.mT) + self._entry_noise.sqrt() * noise
        rows = flat.view(n, *self.data.event_shape).to(torch.get_default_dtype())
        return self.data.support.project(rows)

    @property
    def _entry_noise(self) -> Tensor:
        return self.noise.expand(self.data.size)

    def _whitened(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return u = Ψ^(−½)(x − μ), (B, D), A = Ψ^(−½)W, (D, k), and L, (k, k), with LLᵀ = I + AᵀA."""
        stds = self._entry_noise.sqrt()
        u = (x.flatten(1).double() - self.mean) / stds
        A = self.loadings / stds[:, None]
        identity = torch.eye(A.shape[1], dtype=A.dtype, device=A.device)
        return u, A, torch.linalg.cholesky(identity + A.mT @ A)


def spread(rows: Blocks, *, each: bool) -> tuple[Tensor, Tensor]:
    """Return the mean of each entry, (D,), and typical variances of the rows.

    These are the variances of the entries (with 1/n), (D,), with the mean of all for a constant entry; or only this
    mean, ().

    Raises:
        DataError: for values that are not finite, or rows that are all the same.
    """
    mean, variance = (moment.flatten() for moment in mean_and_variance(rows))
    if not bool(variance.isfinite().all()):
        raise DataError("the rows hold NaN or infinity: remove or fill these rows")
    constant = variance <= (1e-12 * mean).square()  # zero up to the rounding of the mean
    if bool(constant.all()):
        raise DataError(f"all {len(rows)} rows are the same: there is no variance to model")
    typical = variance.mean()
    return mean, torch.where(constant, typical, variance) if each else typical
