"""Activations by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn

from latentia.registry import check_name


class Maxout(nn.Module):
    """The largest of several linear maps: h_i = max_j z_ij, with the pieces z_1j … z_nj one after the other.

    Args:
        pieces: linear maps for each unit.

    References:
        Goodfellow et al. (2013), Maxout networks, section 3.

    Example:
        >>> import torch
        >>> Maxout(2)(torch.tensor([[1.0, 2.0, 3.0, 0.0]]))
        tensor([[3., 2.]])
    """

    def __init__(self, pieces: int = 5) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, units) for (B, pieces · units)."""
        return x.unflatten(1, (self.pieces, -1)).amax(1)


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": partial(nn.LeakyReLU, 0.2),  # the slope of DCGAN's critic; torch's own is 0.01
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "gated": nn.GLU,
    "maxout": Maxout,
}
PIECES: Mapping[str, int] = {"gated": 2, "maxout": 5}
"""How many numbers an activation reads for each that it returns; one where not named."""


def activation_named(name: str) -> nn.Module:
    """Return a new activation layer; `UsageError` lists near matches for a name that is none."""
    check_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()
