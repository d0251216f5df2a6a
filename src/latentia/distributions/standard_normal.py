"""The standard normal law as a module: the latent prior of most models."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from latentia.distributions.diagonal_gaussian import StandardGaussian
from latentia.errors import UsageError


class StandardNormal(nn.Module):
    """Return N(0, I) in d dimensions when called, on the module's device: a prior without parameters.

    Args:
        dim: d, at least 1.

    Raises:
        UsageError: for a dimension below 1.

    Example:
        >>> StandardNormal(3)().event_shape
        torch.Size([3])
    """

    zero: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim < 1:
            raise UsageError(f"latent_dim must be at least 1; got {dim}")
        self.register_buffer("zero", torch.zeros(dim), persistent=False)

    def forward(self) -> Distribution:
        """Return N(0, I)."""
        return StandardGaussian(self.zero, self.zero)
