"""Mixtures of discretised logistics at each entry."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from latentia.data.spec import DataSpec
from latentia.distributions.discretised_logistic import DiscretisedLogistic
from latentia.distributions.likelihoods.base import Likelihood
from latentia.errors import UsageError
from latentia.networks.scaling import Affine
from latentia.registry import likelihoods


@likelihoods.register("discretised-logistic-mixture")
class DiscretisedLogisticMixture(Likelihood):
    """Mixture of K rounded logistics at each entry: P(k) = Σ_m π_m [F_m(k + ½) - F_m(k - ½)], tails in the end bins.

    Unlike one logistic it may have several modes, such as black and white (Salimans et al. 2017, eq. 1-2; here entries
    are independent given z, colours included).
    """

    kinds = ("discrete",)
    measure = "counting"
    options = ("components",)
    offsets: Tensor

    def __init__(self, data: DataSpec, scaling: Affine, *, components: int = 5) -> None:
        super().__init__(data, scaling)
        if components < 1:
            raise UsageError(f"likelihood_components must be at least 1; got {components}")
        self.components, self.params_per_entry = components, 3 * components
        # Spread over the range: equal components would have equal gradients.
        places = (2 * torch.arange(components) + 1 - components) / components
        self.register_buffer("offsets", places, persistent=False)

    def forward(self, h: Tensor) -> Distribution:
        """Return the mixture with K logits, K means and K log-scales, in this order along h's second dimension."""
        logits, loc, log_scale = h.movedim(1, -1).chunk(3, dim=-1)
        loc = self.scaling.shift + self.scaling.scale * (loc + self.offsets)
        scale = (log_scale - 2).clamp(-7, 7).exp() * self.scaling.scale
        parts = DiscretisedLogistic(loc, scale, levels=self.support.levels or 2)
        weights = Categorical(logits=logits, validate_args=False)
        return self.independent(MixtureSameFamily(weights, parts, validate_args=False))
