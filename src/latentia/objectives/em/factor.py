"""Expectation-maximisation for linear Gaussian models: factor analysis and probabilistic PCA."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.data.moments import Covariance, covariance_of
from latentia.errors import UsageError
from latentia.functional.gaussian.densities import LOG_2PI
from latentia.functional.rotations import rotation_named
from latentia.models.linear import LinearGaussian, spread
from latentia.objectives.closed_form.linear import checked_fraction, enough_rows


class FactorEM(Objective):
    """Fit z ~ N(0, I), x | z ~ N(Wz + μ, Ψ) by expectation-maximisation on the rows' covariance S.

    E-step: β = M⁻¹WᵀΨ⁻¹, M = I + WᵀΨ⁻¹W; E zzᵀ = M⁻¹ + βSβᵀ.
    M-step: W' = Sβᵀ(E zzᵀ)⁻¹, Ψ = diag(S − W'βS), or the mean of this diagonal for isotropic noise; μ = x̄.

    Then W = W'L with LLᵀ = E zzᵀ, which is the M-step of a model that has the covariance of z as a further parameter
    (PX-EM) and converges in far fewer steps, and a rotation, which does not change p(x). Rows are read once, since S is
    a sufficient statistic; beyond 2,000 entries S is not formed, and each step reads the rows.

    Noise variances are at least ``regularisation`` times the entry's variance (for isotropic noise the mean of all),
    since the likelihood may have no maximum above 0 (Heywood cases). A constant entry has the mean variance.
    No step lowers the likelihood: the floor is a constraint, and is not added to the variances. The fit
    has converged when a step raises the mean log-likelihood by less than ``tol``.

    Args:
        model: the model.
        tol: smallest gain of a step, in nats per row.
        rotation: none (latent variables independent given a row, strongest first) or varimax.
        regularisation: the least noise variances, as a fraction of the entries' variances.

    Raises:
        UsageError: for options out of range.

    References:
        Rubin and Thayer (1982), EM algorithms for ML factor analysis; Tipping and Bishop (1999), appendix B; Liu,
        Rubin and Wu (1998), Parameter expansion to accelerate EM: the PX-EM algorithm, section 3.2.
    """

    model: LinearGaussian
    floor: Tensor
    last: Tensor
    converged: Tensor

    def __init__(
        self,
        model: LinearGaussian,
        *,
        tol: float = 1e-6,
        rotation: str = "none",
        regularisation: float = 1e-6,
    ) -> None:
        super().__init__()
        if not 0 <= tol < math.inf:
            raise UsageError(f"tol must be finite and at least 0; got {tol}")
        self.model = model.requires_grad_(False)
        self.tol = tol
        self.rotate = rotation_named(rotation)
        self.regularisation = checked_fraction(regularisation)
        self.covariance = _LastCovariance()
        self.register_buffer("floor", torch.zeros_like(model.log_noise))
        self.register_buffer("last", torch.tensor(-torch.inf, dtype=torch.float64))
        self.register_buffer("converged", torch.tensor(False))

    @property
    def finished(self) -> bool:  # pyright: ignore
        """Whether the last step gained less than ``tol``."""
        return bool(self.converged)

    def players(self) -> Mapping[str, nn.Module]:
        """Return none: every step is in closed form."""
        return {}

    @torch.no_grad()
    def begin(self, rows: Blocks) -> None:
        """Initialise with random loadings, and noise with half of the variance."""
        model = self.model
        D, k = model.weight.shape
        enough_rows(len(rows), k)
        mean, variance = spread(rows, each=self.floor.dim() > 0)
        self.last.fill_(-torch.inf)
        self.converged.fill_(False)
        self.floor.copy_(self.regularisation * variance)
        directions = torch.randn(D, k, dtype=torch.float64, device=mean.device)
        model.assign(mean, (variance / (2 * k)).sqrt()[..., None] * directions, variance / 2)

    @torch.no_grad()
    def step(self, batch: Batch) -> Step:
        """Do one E-step and one M-step; log the mean log-likelihood before them, and its gain over the last step's.

        The first step has no gain. Training that ends after all epochs with a gain above ``tol`` has not converged.
        """
        yield from ()
        value = self._update(self.covariance.of(batch, self.model.data.size))
        gain = value - self.last
        self.converged.fill_(bool(gain < self.tol))
        self.last.copy_(value)
        return {"log_likelihood": value, "gain": gain} if gain.isfinite() else {"log_likelihood": value}

    def _update(self, S: Covariance) -> Tensor:
        """Update the parameters; return the mean log-likelihood before, in nats per row."""
        W, noise = self.model.loadings, self.model.noise
        psi = noise.expand(len(W))
        weighted = W / psi[:, None]  # Ψ⁻¹W
        k = W.shape[1]
        identity = torch.eye(k, dtype=W.dtype, device=W.device)
        L = torch.linalg.cholesky(identity + W.mT @ weighted)
        beta = torch.cholesky_solve(weighted.mT, L)  # (k, D)
        S_beta = S.times(beta.mT.contiguous())  # Sβᵀ, (D, k)
        second = torch.cholesky_inverse(L) + beta @ S_beta  # E zzᵀ
        factor = torch.linalg.cholesky(second)
        new = torch.cholesky_solve(S_beta.mT, factor).mT
        left = S.variances - (new * S_beta).sum(1)  # the diagonal of S − W'βS
        variances = (left if noise.dim() else left.mean()).maximum(self.floor)
        self.model.assign(S.mean, self.rotate(new @ factor, variances), variances)
        log_det = psi.log().sum() + 2 * L.diagonal().log().sum()
        squares = (S.variances / psi).sum() - (weighted * S_beta).sum()
        return -0.5 * (len(W) * LOG_2PI + log_det + squares)


class _LastCovariance:
    """A cache for the covariance of the last rows, since every step has the same rows."""

    def __init__(self) -> None:
        self.x: Tensor | None = None
        self.last: Covariance | None = None

    def of(self, batch: Batch, entries: int) -> Covariance:
        """Return the covariance of a batch."""
        if self.last is None or batch.x is not self.x:
            self.x, self.last = batch.x, covariance_of(batch, entries)
        return self.last
