"""Likelihoods of counts: integers from 0 without an upper bound."""

import torch
from torch import Tensor
from torch.distributions import Distribution, NegativeBinomial, Poisson, constraints
from torch.distributions.constraints import Constraint

from latentia.distributions.likelihoods.base import Likelihood
from latentia.registry import likelihoods

_LEAST = 1e-6  # smallest mean count, for columns that are always 0
_FAR = 15.0  # the largest |log| of a rate over the mean count: 3 million times it
_DISPERSION = 7.0  # the largest |log r|


class InFloat64(Distribution):
    """A distribution whose log-probabilities are computed in float64 and returned in another type.

    log Γ of a count of 100,000 is about a million, of which float32 holds one decimal.

    Args:
        distribution: with parameters in float64.
        dtype: the type of what is returned.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.nonnegative_integer  # pyright: ignore

    def __init__(self, distribution: Distribution, dtype: torch.dtype) -> None:
        self.distribution, self.dtype = distribution, dtype
        super().__init__(distribution.batch_shape, distribution.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability."""
        return self.distribution.log_prob(value.double()).to(self.dtype)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw from the distribution."""
        return self.distribution.sample(torch.Size(sample_shape)).to(self.dtype)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.distribution.mean.to(self.dtype)


class _Counts(Likelihood):
    """A distribution of counts whose mean is e^h times the mean of the column in the training rows."""

    kinds = ("count",)
    measure = "counting"

    def mean_of(self, h: Tensor) -> Tensor:
        """Return the mean count, in float64."""
        return self.scaling.shift.double().clamp_min(_LEAST) * h.double().clamp(-_FAR, _FAR).exp()


@likelihoods.register("poisson")
class PoissonLikelihood(_Counts):
    """Poisson, for counts: log p(x) = Σ x log λ - λ - log x!, with λ = e^h times the column mean."""

    params_per_entry = 1

    def forward(self, h: Tensor) -> Distribution:
        """Return the Poisson distribution with mean e^h times the column mean."""
        poisson = Poisson(self.mean_of(h.squeeze(1)), validate_args=False)
        return self.independent(InFloat64(poisson, h.dtype))


@likelihoods.register("negative-binomial")
class NegativeBinomialLikelihood(_Counts):
    """Negative binomial, for overdispersed counts: mean μ = e^h₀ times the column mean, variance μ + μ²/r.

    p(x) = Γ(x + r) / (x! Γ(r)) · (r / (r + μ))^r (μ / (r + μ))^x, with r = e^h₁ from e⁻⁷ to e⁷; Poisson for large r
    (Lawless 1987, Negative binomial and mixed Poisson regression, eq. 1, with a = 1/r).
    """

    params_per_entry = 2

    def forward(self, h: Tensor) -> Distribution:
        """Return the negative binomial distribution with mean e^h₀ times the column mean and r = e^h₁."""
        log_r = h[:, 1].double().clamp(-_DISPERSION, _DISPERSION)
        logits = self.mean_of(h[:, 0]).log() - log_r
        counts = NegativeBinomial(log_r.exp(), logits=logits, validate_args=False)
        return self.independent(InFloat64(counts, h.dtype))
