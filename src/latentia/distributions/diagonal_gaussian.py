"""The Gaussian with diagonal covariance, parametrised by mean and log-variance, as by encoders."""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.distributions.constraints import Constraint

from latentia.functional.gaussian.densities import (
    kl_diagonal_gaussian,
    kl_standard_gaussian,
    log_prob_diagonal_gaussian,
)


class DiagonalGaussian(Distribution):
    """N(mean, diag exp(log_var)) on vectors.

    Equal to ``Independent(Normal(mean, std), 1)``, with the equations of `latentia.functional.gaussian.densities`; it
    takes fewer operations where a network outputs the log-variance.

    Args:
        mean: (*batch, d).
        log_var: (*batch, d) logarithms of the variances.

    Example:
        >>> codes = DiagonalGaussian(torch.zeros(3, 2), torch.zeros(3, 2))
        >>> codes.batch_shape, codes.rsample((5,)).shape
        (torch.Size([3]), torch.Size([5, 3, 2]))
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.real_vector  # pyright: ignore
    has_rsample = True

    def __init__(self, mean: Tensor, log_var: Tensor) -> None:
        self.location = mean
        self.log_var = log_var
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.location

    @property
    def variance(self) -> Tensor:
        """The variances."""
        return self.log_var.exp()

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw mean + exp(log_var / 2) · ε with ε from N(0, I): (*sample, *batch, d), differentiable."""
        shape = (*sample_shape, *self.location.shape)
        noise = torch.randn(shape, dtype=self.location.dtype, device=self.location.device)
        return torch.addcmul(self.location, noise, (0.5 * self.log_var).exp())

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density: (*sample, *batch) nats."""
        # torch.broadcast_shapes imports sympy, which takes longer than most evaluations.
        return log_prob_diagonal_gaussian(*torch.broadcast_tensors(value, self.location, self.log_var))


class StandardGaussian(DiagonalGaussian):
    """N(0, I), as a type of its own: KL divergences to it have a shorter formula, and its draws are the noise."""

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draw from N(0, I): (*sample, *batch, d)."""
        shape = (*sample_shape, *self.location.shape)
        return torch.randn(shape, dtype=self.location.dtype, device=self.location.device)


@register_kl(DiagonalGaussian, DiagonalGaussian)
def _kl(q: DiagonalGaussian, p: DiagonalGaussian) -> Tensor:  # pyright: ignore[reportUnusedFunction]
    parts = torch.broadcast_tensors(q.location, q.log_var, p.location, p.log_var)
    return kl_diagonal_gaussian(*parts)


@register_kl(DiagonalGaussian, StandardGaussian)
def _kl_standard(q: DiagonalGaussian, p: StandardGaussian) -> Tensor:  # noqa: ARG001  # pyright: ignore
    return kl_standard_gaussian(q.location, q.log_var)
