"""Mixtures of Gaussians with diagonal covariances: learned priors, and aggregated posteriors."""

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from latentia.functional.gaussian.densities import LOG_2PI


class DiagonalMixture(Distribution):
    """p(z) = Σ_k π_k N(z; μ_k, diag σ_k²).

    Squared distances to all K components are computed by matrix products, so that no array of B × K × d is made.

    Args:
        log_weights: (K,) log π up to a constant; they are normalised.
        mean: (K, d) μ.
        log_var: (K, d) log σ².

    Example:
        >>> mixture = DiagonalMixture(torch.zeros(3), torch.zeros(3, 2), torch.zeros(3, 2))
        >>> round(mixture.log_prob(torch.zeros(5, 2))[0].item(), 4)
        -1.8379
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.real_vector  # pyright: ignore
    has_rsample = False

    def __init__(self, log_weights: Tensor, mean: Tensor, log_var: Tensor) -> None:
        self.log_weights = log_weights.log_softmax(0)
        self.locations = mean
        self.log_var = log_var
        super().__init__(Size(), mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean: (d,)."""
        return self.log_weights.exp() @ self.locations

    @property
    def variance(self) -> Tensor:
        """The variances of the entries: (d,)."""
        second = self.log_var.exp() + (self.locations - self.mean).square()
        return self.log_weights.exp() @ second

    def sample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw a component, then from it: (*sample, d)."""
        shape = Size(sample_shape)
        with torch.no_grad():
            chosen = torch.multinomial(self.log_weights.exp(), shape.numel(), replacement=True)
            mean, std = self.locations[chosen], (0.5 * self.log_var[chosen]).exp()
            return torch.addcmul(mean, std, torch.randn_like(mean)).view(*shape, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p(z) of (*sample, d) codes: (*sample,) nats."""
        return (self.log_joint(value)).logsumexp(-1)

    def log_joint(self, value: Tensor) -> Tensor:
        """Return log π_k + log N(z; μ_k, diag σ_k²) of (*sample, d) codes: (*sample, K) nats."""
        centre = self.locations.mean(0).detach()  # centring avoids cancellation
        z, mean, precision = value - centre, self.locations - centre, (-self.log_var).exp()
        scaled = mean * precision
        own = self.log_weights - 0.5 * ((mean * scaled + self.log_var).sum(1) + mean.shape[1] * LOG_2PI)
        return own + z @ scaled.mT - 0.5 * z.square() @ precision.mT
