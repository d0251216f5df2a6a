"""Approximate posteriors q(z | x), the distributions that encoders parametrise.

To add one, write one decorated class here. A posterior takes h, (B, P), the encoder's output: P parameters for each
row.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal, kl_divergence, register_kl
from torch.nn.functional import softplus

from latentia.distributions.diagonal_gaussian import DiagonalGaussian, StandardGaussian
from latentia.distributions.flows import Flows, flow_named
from latentia.distributions.planar import PlanarFlow
from latentia.distributions.transformed import Transformed
from latentia.errors import UsageError
from latentia.registry import check_name, posteriors


class Posterior(nn.Module, ABC):
    """A family of distributions q(z | x) of codes.

    Attributes:
        param_dim: P, parameters that the encoder outputs for each row.
    """

    param_dim: int

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Return q(z | x) for (B, P) parameters: batch shape (B,), event shape (d,)."""


def make_posterior(name: str, dim: int, flows: Flows | None = None) -> Posterior:
    """Return the named posterior on codes of d entries.

    Raises:
        UsageError: for an unknown name, or a size below 1.
    """
    check_name("posterior", name, posteriors)
    if dim < 1:
        raise UsageError(f"latent_dim must be at least 1; got {dim}")
    return posteriors[name](dim, flows or Flows())


@posteriors.register("diagonal")
class DiagonalPosterior(Posterior):
    """Gaussian with diagonal covariance, from its mean and log-variance (Kingma and Welling 2014)."""

    def __init__(self, dim: int, flows: Flows) -> None:  # noqa: ARG002  (has none)
        super().__init__()
        self.param_dim = 2 * dim

    def forward(self, h: Tensor) -> Distribution:
        """Return N(h₁, diag exp h₂)."""
        return DiagonalGaussian(*h.chunk(2, dim=-1))


@posteriors.register("full")
class FullPosterior(Posterior):
    """Gaussian with any covariance, from its mean and Cholesky factor: LLᵀ, diagonal softplus(s + log(e − 1))."""

    def __init__(self, dim: int, flows: Flows) -> None:  # noqa: ARG002  (has none)
        super().__init__()
        self.dim = dim
        self.param_dim = dim + dim * (dim + 1) // 2

    def forward(self, h: Tensor) -> Distribution:
        """Return N(h₁, LLᵀ), with L = I at h = 0."""
        d = self.dim
        mean, raw = h[:, :d], h[:, d:]
        rows, columns = torch.tril_indices(d, d, -1, device=h.device)
        L = torch.diag_embed(softplus(raw[:, :d] + _SOFTPLUS_ONE))
        L[:, rows, columns] = raw[:, d:]
        return MultivariateNormal(mean, scale_tril=L, validate_args=False)


_SOFTPLUS_ONE = 0.5413248546129181  # log(e − 1): softplus of it is 1


@register_kl(MultivariateNormal, StandardGaussian)
def _kl_full(q: MultivariateNormal, p: StandardGaussian) -> Tensor:  # noqa: ARG001  # pyright: ignore
    """½ (tr Σ + μᵀμ − d − log det Σ)."""
    L = q.scale_tril
    squares = L.square().sum((-2, -1)) + q.loc.square().sum(-1) - q.loc.shape[-1]
    return 0.5 * squares - L.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class _FlowPosterior(Posterior):
    """z = g(z₀; h) with z₀ from a Gaussian with diagonal covariance, and g a flow that reads d features of the row."""

    layer: str

    def __init__(self, dim: int, flows: Flows) -> None:
        super().__init__()
        self.dim = dim
        self.param_dim = 3 * dim
        self.flow = flow_named(self.layer, dim, flows, features=dim)

    def forward(self, h: Tensor) -> Distribution:
        """Return q(z | x)."""
        mean, log_var, features = h.split(self.dim, dim=-1)
        return Transformed(DiagonalGaussian(mean, log_var), self.flow(features))


@posteriors.register("iaf", sizes=("transforms", "hidden"))
class IAFPosterior(_FlowPosterior):
    """Inverse autoregressive flow: draws in one pass (Kingma et al. 2016)."""

    layer = "iaf"


@posteriors.register("maf", sizes=("transforms", "hidden"))
class MAFPosterior(_FlowPosterior):
    """Masked autoregressive flow: draws in d passes, log q(z) in one (Papamakarios et al. 2017)."""

    layer = "maf"


@posteriors.register("realnvp", sizes=("transforms", "hidden"))
class RealNVPPosterior(_FlowPosterior):
    """Coupling flow: draws and log q(z) in one pass (Dinh et al. 2017)."""

    layer = "realnvp"


@posteriors.register("planar", sizes=("transforms",))
class PlanarPosterior(Posterior):
    """Planar flow, of layers z + u tanh(wᵀz + b) with parameters for each row (Rezende and Mohamed 2015, eq. 10)."""

    def __init__(self, dim: int, flows: Flows) -> None:
        super().__init__()
        self.dim, self.layers = dim, flows.transforms
        self.param_dim = 2 * dim + flows.transforms * (2 * dim + 1)

    def forward(self, h: Tensor) -> Distribution:
        """Return q(z | x)."""
        d = self.dim
        layers = h[:, 2 * d :].unflatten(-1, (self.layers, 2 * d + 1))
        transform = PlanarFlow(layers[..., :d], layers[..., d : 2 * d], layers[..., 2 * d])
        return Transformed(DiagonalGaussian(h[:, :d], h[:, d : 2 * d]), transform)


def sample_and_kl(q: Distribution, p: Distribution, n: int) -> tuple[Tensor, Tensor]:
    """Return n codes of each row, (n, B, d), and KL(q ‖ p), (B,) nats.

    The KL is exact where a closed form is registered; otherwise it is the mean of log q(z) − log p(z) over the draws.
    """
    kl = closed_form_kl(q, p)
    if kl is None:
        z, log_q = sample_with_log_prob(q, n)
        return z, (log_q - p.log_prob(z)).mean(0)
    return q.rsample(torch.Size((n,))), kl


def closed_form_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """Return KL(q ‖ p) of each row, (B,) nats, or None where no closed form is registered."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def sample_with_log_prob(q: Distribution, n: int) -> tuple[Tensor, Tensor]:
    """Return n codes of each row and their log-densities: (n, B, d), and (n, B) nats."""
    if isinstance(q, Transformed):
        return q.rsample_and_log_prob((n,))
    z = q.rsample(torch.Size((n,)))
    return z, q.log_prob(z)
