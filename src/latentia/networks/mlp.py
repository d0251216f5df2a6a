"""Fully connected networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from latentia.errors import UsageError
from latentia.networks.precision import at_least_float32
from latentia.registry import unknown

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "gated": nn.GLU,
}


class MLP(nn.Module):
    """A fully connected network from arrays of one shape to arrays of another, given a context or none.

    Args:
        in_shape: the shape of one input.
        out_shape: the shape of one output.
        hidden: widths of the hidden layers; none makes the network linear.
        context: entries of the context vector that is appended to the input; 0 without.
        activation: relu, leaky-relu, tanh, silu, elu, softplus, or gated: units a ⊙ σ(b) from two linear maps a, b of
            the layer's input (Dauphin et al. 2017, Language modeling with gated convolutional networks).
        dropout: share of hidden units that are dropped in training.

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
    ) -> None:
        super().__init__()
        self.out_shape = tuple(out_shape)
        sizes = (math.prod(in_shape) + context, *hidden, math.prod(out_shape))
        activation_named(activation)  # refuses what is none, without hidden layers too
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes[:-1]):
            wider = 2 * outputs if activation == "gated" else outputs
            layers += [
                nn.Linear(inputs, wider),
                activation_named(activation),
                *dropped(nn.Dropout, dropout),
            ]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, *out_shape) for (B, *in_shape), in float32 under autocast too."""
        x = x.flatten(1)
        if context is not None:
            x = torch.cat([x, context], dim=1)
        return at_least_float32(self.layers(x)).view(-1, *self.out_shape)


def dropped(layer: Callable[[float], nn.Module], share: float) -> list[nn.Module]:
    """Return a dropout layer, or none where nothing is dropped."""
    return [layer(share)] if share else []


def activation_named(name: str) -> nn.Module:
    """Return a new activation layer; `UsageError` lists near matches for a name that is none."""
    if name not in ACTIVATIONS:
        raise UsageError(unknown("activation", name, ACTIVATIONS))
    return ACTIVATIONS[name]()
