"""The Gaussian likelihood whose standard deviation the network writes, entry by entry."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Normal
from torch.nn.functional import softplus

from latentia.distributions.likelihoods.base import Likelihood
from latentia.registry import likelihoods

LOWEST = -6.0  # log of the smallest σ, in units of the scaled data: 0.25 %
_HIGHEST = 7.0


def softly_above(log_sigma: Tensor, lowest: float = LOWEST) -> Tensor:
    """Return a log-deviation held above a floor: lowest + log(1 + e^(log σ - lowest)), elementwise.

    A density can be made as large as one likes where σ may go to 0: at a pixel that is always black, or a column
    whose values repeat. The floor bounds it, and its gradient never vanishes altogether.

    References:
        Rybkin, Daniilidis and Levine (2021), Simple and effective VAE training with calibrated decoders, appendix
        (softclip); Mattei and Frellsen (2018), Leveraging the exact likelihood of deep latent variable models, for
        why the likelihood has no maximum without.
    """
    return lowest + softplus(log_sigma - lowest)


@likelihoods.register("heteroscedastic-gaussian")
class HeteroscedasticGaussian(Likelihood):
    """Gaussian whose σ the network writes for each entry: log p(x) = Σ log N(x; h₀, σ(h₁)²), σ above a floor.

    σ is at least e⁻⁶ in units of the scaled data (each column's standard deviation, or half the range), which bounds
    log p by 5.1 nats per entry in those units. It is 1 there for h₁ = 0, to within 0.3 %.
    """

    params_per_entry = 2
    kinds = ("real", "unit")
    measure = "Lebesgue"

    def forward(self, h: Tensor) -> Distribution:
        """Return the Gaussian law whose mean is h₀ as data and whose log-deviation is h₁, softly above the floor."""
        deviation = softly_above(h[:, 1].clamp_max(_HIGHEST)).exp() * self.scaling.scale
        return self.independent(Normal(self.scaling.inverse(h[:, 0]), deviation, validate_args=False))
