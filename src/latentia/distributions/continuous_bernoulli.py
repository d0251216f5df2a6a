"""The continuous Bernoulli distribution on [0, 1], exact for every logit."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import softplus


class ContinuousBernoulli(Distribution):
    """The distribution on [0, 1] with density proportional to λ^x (1 - λ)^(1-x), where λ = σ(h).

    log p(x) = h x - log(1 + e^h) + log C(h), with C(h) = h / tanh(h / 2) and C(0) = 2.

    Torch's own class clamps λ to within 1e-7 of 0 and 1, so that for |h| > 16, as saturated pixels have, its density
    does not integrate to 1.

    Args:
        logits: (*batch) h.

    References:
        Loaiza-Ganem and Cunningham (2019), The continuous Bernoulli, equations 3, 4 and 8.

    Example:
        >>> pixels = ContinuousBernoulli(torch.tensor([0.0, 40.0]))
        >>> pixels.log_prob(torch.ones(2)).exp()
        tensor([ 1., 40.])
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.unit_interval  # pyright: ignore

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p(x), elementwise, in nats."""
        return self.logits * value - softplus(self.logits) + log_normaliser(self.logits)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw values by inverting the distribution function."""
        shape = torch.Size(sample_shape) + self.logits.shape
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        slope = self.logits.abs().clamp_min(1e-6)
        distance = -torch.log1p(uniform * torch.expm1(-slope)) / slope  # to the likelier end
        return torch.where(self.logits > 0, 1 - distance, distance).clamp(0, 1)

    @property
    def mean(self) -> Tensor:
        """The mean, exactly: 1 / (1 - e^(-h)) - 1 / h."""
        h = self.logits
        small = h.abs() < 0.5  # where that difference loses digits
        slope = torch.where(small, torch.ones_like(h), h.abs())
        upper = -1 / torch.expm1(-slope) - 1 / slope
        near = torch.where(small, h, torch.zeros_like(h))  # a branch that is not taken must not overflow
        series = 0.5 + near / 12 - near**3 / 720 + near**5 / 30240
        return torch.where(small, series, torch.where(h > 0, upper, 1 - upper))


def log_normaliser(h: Tensor) -> Tensor:
    """Return log C(h) = log(h / tanh(h / 2)), elementwise."""
    small = h.abs() < 0.05
    slope = torch.where(small, torch.ones_like(h), h.abs())
    near = torch.where(small, h, torch.zeros_like(h))
    series = math.log(2) + near**2 / 12 - 7 * near**4 / 1440
    return torch.where(small, series, slope.log() - torch.tanh(slope / 2).log())
