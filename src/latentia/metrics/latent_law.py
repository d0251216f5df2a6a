"""What estimates of a likelihood by draws of codes need of a model."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor
from torch.distributions import Distribution


@runtime_checkable
class LatentLaw(Protocol):
    """p(x) = ∫ p(x | z) p(z) dz with both laws at hand, and an encoder; `LatentVariable` is one."""

    def code_law(self) -> Distribution:
        """Return the prior p(z): batch shape (), event shape (d,)."""
        ...

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return q(z | x): batch shape (B,), event shape (d,)."""
        ...

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x | z) for codes (B, d): batch shape (B,)."""
        ...

    def reconstruction(self, z: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log p(x | z) for S codes of each row, (S, B, d): (S, B) nats."""
        ...
