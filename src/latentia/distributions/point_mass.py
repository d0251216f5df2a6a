"""The point mass at a value."""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint


class PointMass(Distribution):
    """The distribution δ(x − value), which a deterministic encoder or decoder returns.

    It has no density, so it has a mean and samples but no ``log_prob``.

    Args:
        value: (*batch, *event) the value.
        event_dim: the number of trailing dimensions that make up one event.

    Example:
        >>> point = PointMass(torch.zeros(3, 2), event_dim=1)
        >>> point.batch_shape, point.event_shape, point.rsample((5,)).shape
        (torch.Size([3]), torch.Size([2]), torch.Size([5, 3, 2]))
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.real  # pyright: ignore
    has_rsample = True

    def __init__(self, value: Tensor, *, event_dim: int) -> None:
        self.value = value
        split = value.dim() - event_dim
        super().__init__(value.shape[:split], value.shape[split:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The value."""
        return self.value

    @property
    def mode(self) -> Tensor:
        """The value."""
        return self.value

    @property
    def variance(self) -> Tensor:
        """Zero."""
        return torch.zeros_like(self.value)

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Return the value, repeated to (*sample, *batch, *event); gradients pass through."""
        return self.value.expand(torch.Size(sample_shape) + self.value.shape)
