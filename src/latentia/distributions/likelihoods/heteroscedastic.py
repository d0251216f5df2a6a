"""The Gaussian likelihood with a standard deviation for each entry, given by the decoder."""

from torch import Tensor
from torch.distributions import Distribution, Normal
from torch.nn.functional import softplus

from latentia.distributions.likelihoods.base import Likelihood
from latentia.registry import likelihoods

LOWEST = -6.0  # log of the smallest σ, in units of the scaled data: 0.25 %
_HIGHEST = 7.0


def soft_floor(log_sigma: Tensor, lowest: float = LOWEST) -> Tensor:
    """Return log σ with a soft floor: lowest + log(1 + e^(log σ - lowest)), elementwise.

    Without a floor the density is unbounded as σ → 0 at a pixel that is always black, or in a column whose values
    repeat. The soft floor bounds it, and its gradient is positive everywhere.

    References:
        Rybkin, Daniilidis and Levine (2021), Simple and effective VAE training with calibrated decoders, appendix
        (softclip). Mattei and Frellsen (2018), Leveraging the exact likelihood of deep latent variable models
        (the unbounded likelihood).
    """
    return lowest + softplus(log_sigma - lowest)


@likelihoods.register("heteroscedastic-gaussian")
class HeteroscedasticGaussian(Likelihood):
    """Gaussian whose decoder outputs σ for each entry: log p(x) = Σ log N(x; h₀, σ(h₁)²), σ above a floor.

    σ is at least e⁻⁶ in units of the scaled data (each column's standard deviation, or half the range), which bounds
    log p by 5.1 nats per entry in those units. It is 1 there for h₁ = 0, to within 0.3 %.
    """

    params_per_entry = 2
    kinds = ("real", "unit")
    measure = "Lebesgue"

    def forward(self, h: Tensor) -> Distribution:
        """Return the Gaussian with mean h₀, in units of the data, and log σ = h₁ with the soft floor."""
        std = soft_floor(h[:, 1].clamp_max(_HIGHEST)).exp() * self.scaling.scale
        return self.independent(Normal(self.scaling.inverse(h[:, 0]), std, validate_args=False))
