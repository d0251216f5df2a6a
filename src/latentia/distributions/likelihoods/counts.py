"""Laws of counts: integers from 0 on, without an upper end."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, NegativeBinomial, Poisson, constraints
from torch.distributions.constraints import Constraint

from latentia.distributions.likelihoods.base import Likelihood
from latentia.registry import likelihoods

_LEAST = 1e-6  # of a mean count, of columns that are always 0
_FAR = 15.0  # the largest |log| of a rate over the mean count: 3 million times it
_DISPERSION = 7.0  # the largest |log r|


class InFloat64(Distribution):
    """A law whose densities are computed in float64 and returned as another type.

    log Γ of a count of 100,000 is about a million, of which float32 holds one decimal.

    Args:
        law: with parameters in float64.
        dtype: of what is returned.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.nonnegative_integer  # pyright: ignore

    def __init__(self, law: Distribution, dtype: torch.dtype) -> None:
        self.law, self.dtype = law, dtype
        super().__init__(law.batch_shape, law.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the law's log-density."""
        return self.law.log_prob(value.double()).to(self.dtype)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw from the law."""
        return self.law.sample(torch.Size(sample_shape)).to(self.dtype)

    @property
    def mean(self) -> Tensor:
        """The law's mean."""
        return self.law.mean.to(self.dtype)


class _Counts(Likelihood):
    """A law of counts whose mean is e^h times the rows' own."""

    kinds = ("count",)
    measure = "counting"

    def mean_of(self, h: Tensor) -> Tensor:
        """Return the mean count, in float64."""
        return self.scaling.shift.double().clamp_min(_LEAST) * h.double().clamp(-_FAR, _FAR).exp()


@likelihoods.register("poisson")
class PoissonLikelihood(_Counts):
    """Poisson, for counts: log p(x) = Σ x log λ - λ - log x!, with λ = e^h times the column's mean."""

    params_per_entry = 1

    def forward(self, h: Tensor) -> Distribution:
        """Return the Poisson law with mean e^h times the rows' own."""
        law = Poisson(self.mean_of(h.squeeze(1)), validate_args=False)
        return self.independent(InFloat64(law, h.dtype))


@likelihoods.register("negative-binomial")
class NegativeBinomialLikelihood(_Counts):
    """Negative binomial, for counts that vary more than Poisson's: mean μ = e^h₀ times the column's, variance μ + μ²/r.

    p(x) = Γ(x + r) / (x! Γ(r)) · (r / (r + μ))^r (μ / (r + μ))^x, with r = e^h₁ from e⁻⁷ to e⁷; Poisson for large r
    (Lawless 1987, Negative binomial and mixed Poisson regression, eq. 1, with a = 1/r).
    """

    params_per_entry = 2

    def forward(self, h: Tensor) -> Distribution:
        """Return the negative binomial law with mean e^h₀ times the rows' own and r = e^h₁."""
        log_r = h[:, 1].double().clamp(-_DISPERSION, _DISPERSION)
        logits = self.mean_of(h[:, 0]).log() - log_r
        law = NegativeBinomial(log_r.exp(), logits=logits, validate_args=False)
        return self.independent(InFloat64(law, h.dtype))
