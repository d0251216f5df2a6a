"""Gaussian mixtures whose parameters are learned by gradient."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's habit)

from latentia.core.objective import Blocks
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.functional.mixtures.components import Components
from latentia.models.mixture import MixtureModel
from latentia.models.mixture_entries import entries_of
from latentia.models.mixture_init import frame_of, kmeans_start, random_rows

_INIT_ROWS = 20_000  # rows from which the initial parameters are computed
_LEAST = 1e-3  # of initial standard deviations, in units of the rows': narrower ones have no useful gradient


class TrainableMixture(MixtureModel):
    """A mixture with π = softmax(a), μ_k = c + u m_k and Σ_k = U (L_k L_kᵀ + r I) U, U = diag(u).

    L_k is lower triangular with the diagonal softplus(s_k); it is diag(softplus(s_k)) for diagonal Σ, of one s_k for
    spherical Σ, and the same for all components where they are tied. Centre c and unit u are the rows' means and
    standard deviations (for spherical Σ their root mean square), so that rows in any unit are as easy to fit.

    Args:
        data: what a row is.
        components: K.
        covariance: the family of Σ_k: full, tied, diagonal or spherical.
        regularisation: r, the least variance in any direction, as a fraction of each entry's variance over all rows.

    Raises:
        UsageError: for options out of range.
    """

    centre: Tensor
    unit: Tensor

    def __init__(
        self,
        data: DataSpec,
        *,
        components: int,
        covariance: str = "full",
        regularisation: float = 1e-6,
    ) -> None:
        entries = entries_of(data, gaps=False, whole_numbers=("discrete",))
        super().__init__(data, entries, components=components, covariance=covariance)
        if not 0 <= regularisation < math.inf:
            raise UsageError(f"regularisation must be finite and at least 0; got {regularisation}")
        self.regularisation = regularisation
        K, D = components, data.size
        covariances, free = 1 if covariance == "tied" else K, 1 if covariance == "spherical" else D
        self.register_buffer("centre", torch.zeros(D, dtype=torch.float64))
        self.register_buffer("unit", torch.ones(D, dtype=torch.float64))
        self.logits = nn.Parameter(torch.zeros(K))
        self.location = nn.Parameter(torch.randn(K, D))
        self.raw_scale = nn.Parameter(
            torch.full((covariances, free), _inverse_softplus(torch.ones(())).item())
        )
        if self.covariance.matrix:
            self.lower = nn.Parameter(torch.zeros(covariances, D, D))

    @property
    def components(self) -> Components:
        """The K weights, means and factors of covariances, in float64."""
        means = self.centre + self.unit * self.location.double()
        scale = F.softplus(self.raw_scale.double())
        factors = (
            self._root(scale) if self.covariance.matrix else (scale.square() + self.regularisation).sqrt()
        )
        unit = self.unit[:, None] if self.covariance.matrix else self.unit
        return Components(self.logits.double().softmax(0), means, (unit * factors).expand(*self._shape()))

    def begin(self, rows: Blocks) -> None:
        """Set centre and unit from the rows, and initialise the components with k-means++.

        Raises:
            DataError: for fewer rows than components, and for values that are not finite.
        """
        with torch.no_grad():
            frame = frame_of(rows)
            variances = frame.variances
            if self.family == "spherical":
                variances = variances.mean().expand_as(variances)
            self.centre.copy_(frame.centre)
            self.unit.copy_(variances.sqrt())
            x, K = random_rows(rows, _INIT_ROWS), len(self.logits)
            self._place(kmeans_start(x, K, self.covariance, frame, _LEAST**2 * variances))

    def _place(self, start: Components) -> None:
        """Set the parameters to give these components, up to the regularisation."""
        self.logits.copy_(start.weights.clamp_min(1e-6).log())
        self.location.copy_((start.means - self.centre) / self.unit)
        unit = self.unit[:, None] if self.covariance.matrix else self.unit
        factors = (start.factors / unit)[: len(self.raw_scale)]
        scale = factors
        if self.covariance.matrix:
            self.lower.copy_(factors.tril(-1))
            scale = factors.diagonal(dim1=-2, dim2=-1)
        self.raw_scale.copy_(_inverse_softplus(scale[:, : self.raw_scale.shape[1]]))

    def _root(self, scale: Tensor) -> Tensor:
        L = self.lower.double().tril(-1) + scale.diag_embed()
        if not self.regularisation:
            return L
        return torch.linalg.cholesky(L @ L.mT + self.regularisation * torch.eye(L.shape[1]).to(L))

    def _shape(self) -> tuple[int, ...]:
        K, D = self.location.shape
        return (K, D, D) if self.covariance.matrix else (K, D)


def _inverse_softplus(y: Tensor) -> Tensor:
    """Return s with log(1 + eˢ) = y, for y > 0."""
    return y + torch.log(-torch.expm1(-y))
