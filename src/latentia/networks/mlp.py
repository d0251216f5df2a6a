"""Fully connected networks."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from latentia.errors import UsageError
from latentia.networks.heads import head
from latentia.networks.layers import (
    ACTIVATIONS,
    PIECES,
    FeatureNetwork,
    activation_named,
    at_least_float32,
    entries_at,
    through,
)
from latentia.networks.norms import KINDS, check_conditions, check_norm, normed, removes_bias

__all__ = ["ACTIVATIONS", "MLP", "activation_named", "dropped"]


class MLP(FeatureNetwork):
    """A fully connected network from arrays of one shape to arrays of another, with a context or without one.

    Args:
        in_shape: the shape of one input.
        out_shape: the shape of one output.
        hidden: widths of the hidden layers; with none the network is linear.
        context: entries of the context vector; 0: none.
        activation: relu, leaky-relu (of slope 0.2), tanh, silu, elu, softplus, gated: units a ⊙ σ(b) from two linear
            maps a, b of the layer's input (Dauphin et al. 2017, Language modeling with gated convolutional networks),
            or maxout: the largest of five.
        dropout: dropout rate of hidden units in training.
        norm: none, batch (of hidden layers, before the activation) or spectral (of every layer).
        conditioning: where the context enters: concatenation (to the input), batch-norm (its gain and bias) or
            projection (of a critic's features).
        minibatch: minibatch layer of a critic: none, discrimination or deviation.

    Example:
        >>> MLP((1, 8, 8), (10,), hidden=(32,))(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        *,
        hidden: Sequence[int] = (),
        context: int = 0,
        activation: str = "relu",
        dropout: float = 0.0,
        norm: str = "none",
        conditioning: str = "concatenation",
        minibatch: str = "none",
    ) -> None:
        super().__init__()
        check_norm(norm)
        if KINDS[norm].after is not None and not hidden:
            raise UsageError(
                f"norm={norm!r} needs hidden layers, and this mlp has none: choose none or spectral"
            )
        if dropout and not hidden:
            raise UsageError(
                f"dropout={dropout} needs hidden layers, and this mlp has none: set dropout to 0"
            )
        activation_named(activation)  # checks the name, also for an mlp without hidden layers
        self.out_shape = tuple(out_shape)
        at_input, at_norms, at_head = entries_at(conditioning, context)
        check_conditions(at_norms, norm)
        self.concatenates = conditioning == "concatenation"
        sizes = (math.prod(in_shape) + at_input, *hidden)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            # Batch norm subtracts any bias, and has one of its own.
            linear = nn.Linear(inputs, PIECES.get(activation, 1) * outputs, bias=not removes_bias(norm))
            layers += normed(linear, norm, context=at_norms)
            layers += [activation_named(activation), *dropped(nn.Dropout, dropout)]
        last = head(sizes[-1], math.prod(out_shape), norm=norm, minibatch=minibatch, context=at_head)
        self.layers = nn.Sequential(*layers, last)

    def features(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the last hidden units, (B, F), or the input itself for a linear network."""
        x = x.flatten(1)
        if context is not None and self.concatenates:
            x = torch.cat([x, context], dim=1)
        return through([*self.layers][:-1], x, context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, *out_shape) for (B, *in_shape), in float32 under autocast too."""
        y = through([self.layers[-1]], self.features(x, context), context)
        return at_least_float32(y).view(-1, *self.out_shape)


def dropped(layer: Callable[[float], nn.Module], rate: float) -> list[nn.Module]:
    """Return a dropout layer of a rate, or none for a rate of 0."""
    return [layer(rate)] if rate else []
