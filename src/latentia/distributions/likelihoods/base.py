"""What a likelihood p(x | z) is, and the common ones.

A likelihood takes h, (B, P, *event), the decoder's output: P parameters for each entry of a row. The likelihood of
tables takes (B, P), the parameters of all columns.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal
from torch.nn.functional import binary_cross_entropy_with_logits

from latentia.data.spec import DataSpec, Kind, Measure
from latentia.distributions.continuous_bernoulli import ContinuousBernoulli
from latentia.distributions.discretised_logistic import DiscretisedLogistic
from latentia.distributions.point_mass import PointMass
from latentia.errors import UsageError
from latentia.networks.scaling import Affine
from latentia.registry import likelihoods


class Likelihood(nn.Module, ABC):
    """A family of conditional distributions p(x | z) of rows.

    Attributes:
        params_per_entry: P, parameters that the decoder outputs for each entry.
        kinds: kinds of support that it has a distribution on.
        options: options of `make_likelihood` that its constructor takes.
        measure: base measure of its densities; None for a loss that is not a normalised likelihood.
    """

    params_per_entry: int
    measure: Measure | None
    kinds: ClassVar[tuple[Kind, ...]]
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, data: DataSpec, scaling: Affine) -> None:
        super().__init__()
        self.event_shape, self.event_dim = data.event_shape, len(data.event_shape)
        self.support = data.support
        self.scaling = scaling

    @property
    def param_shape(self) -> tuple[int, ...]:
        """Shape of the decoder's output for one row."""
        return self.params_per_entry, *self.event_shape

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Return p(x | z) for parameters (B, *param_shape), with batch shape (B,)."""

    def reconstruction(self, h: Tensor, x: Tensor) -> Tensor:
        """Return the reconstruction term that training maximises: log p(x | h) of each row, (B,) nats."""
        return self(h).log_prob(x)

    def independent(self, entries: Distribution) -> Distribution:
        """Return the distribution of rows whose entries are independent."""
        return Independent(entries, self.event_dim, validate_args=False)


def cross_entropy(logits: Tensor, target: Tensor, event_dim: int) -> Tensor:
    """Return -Σ t log σ(h) + (1 - t) log σ(-h) summed over the last dimensions, in nats."""
    logits, target = torch.broadcast_tensors(logits, target)
    loss = binary_cross_entropy_with_logits(logits, target, reduction="none")
    return loss.flatten(-event_dim).sum(-1)


@likelihoods.register("bernoulli")
class BernoulliLikelihood(Likelihood):
    """Bernoulli from logits, for 0 and 1: log p(x) = Σ x log σ(h) + (1 - x) log σ(-h)."""

    params_per_entry = 1
    kinds = ("binary",)
    measure = "counting"

    def forward(self, h: Tensor) -> Distribution:
        """Return the Bernoulli distribution with logits h."""
        return self.independent(Bernoulli(logits=h.squeeze(1), validate_args=False))

    def reconstruction(self, h: Tensor, x: Tensor) -> Tensor:
        """Return log p(x | h), (B,) nats, in fewer passes over the entries than `log_prob`."""
        return -cross_entropy(h.squeeze(1), x, self.event_dim)


@likelihoods.register("continuous-bernoulli")
class ContinuousBernoulliLikelihood(Likelihood):
    """Continuous Bernoulli, for [0, 1]: p(x) = C(λ) λ^x (1 - λ)^(1-x), normalised (Loaiza-Ganem 2019, eq. 3)."""

    params_per_entry = 1
    kinds = ("unit",)
    measure = "Lebesgue"

    def forward(self, h: Tensor) -> Distribution:
        """Return the continuous Bernoulli distribution with logits h."""
        return self.independent(ContinuousBernoulli(h.squeeze(1)))


@likelihoods.register("gaussian")
class GaussianLikelihood(Likelihood):
    """Gaussian with one σ, learned or fixed, for real data or [0, 1]: log p(x) = Σ log N(x; h, σ²).

    σ is in units of the scaled data: the standard deviation of each column of real data, half the range of bounded
    data.
    """

    params_per_entry = 1
    kinds = ("real", "unit")
    measure = "Lebesgue"
    options = ("sigma",)
    log_sigma: Tensor

    def __init__(self, data: DataSpec, scaling: Affine, *, sigma: float | None = None) -> None:
        super().__init__(data, scaling)
        check_sigma(sigma)
        if sigma is None:
            self.log_sigma = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("log_sigma", torch.tensor(sigma).log())

    def forward(self, h: Tensor) -> Distribution:
        """Return the Gaussian whose mean is h, in units of the data."""
        mean = self.scaling.inverse(h.squeeze(1))
        std = (self.log_sigma.exp() * self.scaling.scale).expand_as(mean)
        return self.independent(Normal(mean, std, validate_args=False))


def check_sigma(sigma: float | None) -> None:
    """Raise `UsageError` for a standard deviation that is not positive."""
    if sigma is not None and not sigma > 0:
        raise UsageError(f"sigma must be positive, or None to be learned; got {sigma}")


@likelihoods.register("discretised-logistic")
class DiscretisedLogisticLikelihood(Likelihood):
    """Logistic rounded to 0..K-1, for discrete data: P(k) = F(k + ½) - F(k - ½), tails in the end bins."""

    params_per_entry = 2
    kinds = ("discrete",)
    measure = "counting"

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution with mean h₀, in units of the data, and scale e^(h₁ − 2) ≥ e⁻⁷, of half the range."""
        loc = self.scaling.inverse(h[:, 0])
        scale = (h[:, 1] - 2).clamp(-7, 7).exp() * self.scaling.scale
        return self.independent(DiscretisedLogistic(loc, scale, levels=self.support.levels or 2))


@likelihoods.register("relaxed-bernoulli")
class RelaxedBernoulli(Likelihood):
    """Cross-entropy on grey pixels: a common loss, but not normalised, so that models have no likelihood."""

    params_per_entry = 1
    kinds = ("unit", "discrete", "binary")
    measure = None

    def forward(self, h: Tensor) -> Distribution:
        """Return a point mass at the grey values σ(h)."""
        low, high = self.support.bounds or (0.0, 1.0)
        return PointMass(low + (high - low) * torch.sigmoid(h.squeeze(1)), event_dim=self.event_dim)

    def reconstruction(self, h: Tensor, x: Tensor) -> Tensor:
        """Return minus the cross-entropy of each row's pixels, scaled to [0, 1], with σ(h): (B,)."""
        low, high = self.support.bounds or (0.0, 1.0)
        return -cross_entropy(h.squeeze(1), (x - low) / (high - low), self.event_dim)


DEFAULTS: dict[Kind, str] = {
    "binary": "bernoulli",
    "unit": "continuous-bernoulli",
    "discrete": "discretised-logistic",
    "count": "negative-binomial",
    "categorical": "categorical",
    "real": "gaussian",
    "table": "table",
}


def refuse_unused(given: Collection[str], names: Sequence[str]) -> None:
    """Raise `UsageError` for an option that none of the named likelihoods has."""
    for option in given:
        if not any(option in likelihoods[name].options for name in names):
            owner = next(each for each in likelihoods if option in likelihoods[each].options)
            spelled = {"components": "likelihood_components"}.get(option, option)
            raise UsageError(
                f"{spelled} is an option of likelihood={owner!r}; this likelihood is {' and '.join(map(repr, names))}"
            )
