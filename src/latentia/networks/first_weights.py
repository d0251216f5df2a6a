"""First weights other than torch's own."""

from __future__ import annotations

import torch
from torch import nn

_LOOKS = 15  # at a weight, each of which is a power iteration of spectral norm: as many as when it is made


@torch.no_grad()
def normal_weights(module: nn.Module, std: float = 0.02) -> None:
    """Draw the weights of all linear maps and convolutions from N(0, std²), and set their biases to 0.

    Gains and biases of norms stay as they are.

    Reference: Radford, Metz and Chintala (2016), Unsupervised representation learning with deep convolutional
    generative adversarial networks, section 4.

    Example:
        >>> layer = nn.Linear(100, 100)
        >>> normal_weights(layer)
        >>> round(layer.weight.std().item(), 2), layer.bias.abs().max().item()
        (0.02, 0.0)
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            for parameter in layer.parameters():  # with spectral norm, the weights before it
                _ = parameter.normal_(0, std) if parameter.dim() > 1 else parameter.zero_()
            for _ in range(_LOOKS):
                layer.weight  # noqa: B018  # pyright: ignore[reportUnusedExpression]
