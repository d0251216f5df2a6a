"""What the layers of networks share: context for those that read it, and features before the last layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from latentia.registry import check_name

PLACES = ("concatenation", "batch-norm", "projection")
"""Where a context may enter: the input, the gain and bias of batch norm, or the features before a critic's score."""


class ReadsContext(nn.Module, ABC):
    """A layer that is given the context beside its input."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the layer's output for (B, ...) input and (B, c) context."""


class FeatureNetwork(nn.Module, ABC):
    """A network whose last layer reads features: a vector for each row, which is also a representation."""

    @abstractmethod
    def features(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, F) features of (B, *in_shape) rows, each of its own row alone unless batch norm mixes rows."""


def through(layers: Iterable[nn.Module], x: Tensor, context: Tensor | None = None) -> Tensor:
    """Pass x through layers one after the other; those that read a context are given it."""
    for layer in layers:
        x = layer(x, context) if isinstance(layer, ReadsContext) else layer(x)
    return x


def entries_at(conditioning: str, context: int, places: Sequence[str] = PLACES) -> tuple[int, ...]:
    """Return how many entries of the context enter at each of a network's places: all at one of them, else 0.

    Raises:
        UsageError: for a way of conditioning that the network does not have, with near matches.
    """
    check_name("conditioning", conditioning, places)
    return tuple(context if place == conditioning else 0 for place in places)
