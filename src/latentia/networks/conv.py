"""Convolutional networks after DCGAN (Radford, Metz and Chintala 2016), for images of any size from 8.

The layers are theirs; the first weights are torch's own and not N(0, 0.02²).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from latentia.errors import UsageError
from latentia.networks.mlp import activation_named, dropped
from latentia.networks.precision import at_least_float32

SMALLEST = 8
NORMS = ("none", "batch", "spectral")


def stages(height: int, width: int) -> int:
    """Return how often an image is halved: until its shorter side is 4 to 7."""
    return (min(height, width) // 4).bit_length() - 1


def _check(shape: Sequence[int], norm: str) -> None:
    if len(shape) < 3 or min(shape[-2:]) < SMALLEST:
        raise UsageError(
            f"convolutional networks are for images of at least {SMALLEST}×{SMALLEST}; got rows of shape "
            f"{tuple(shape)}: use network='mlp'"
        )
    if norm not in NORMS:
        raise UsageError(f"unknown norm {norm!r}; there are: {', '.join(NORMS)}")


def channels_last(module: nn.Module) -> None:
    """Lay convolution weights out channels last: measured 1.1 to 1.3 times as fast, and more in bf16."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


class ConvEncoder(nn.Module):
    """Halve an image by strided convolutions until it is about 4×4, then map it to one vector.

    Args:
        in_shape: (channels, height, width).
        out_features: entries of the output.
        width: feature maps of the first convolution; each next one has twice as many.
        context: entries of the context vector, which enters as constant planes; 0 without.
        activation: as in `MLP`.
        norm: none, batch or spectral.
        dropout: share of feature maps that are dropped in training.

    Example:
        >>> ConvEncoder((1, 28, 28), 10, width=8)(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        *,
        width: int = 32,
        context: int = 0,
        activation: str = "leaky-relu",
        norm: str = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check(in_shape, norm)
        channels, (height, length) = in_shape[0] + context, in_shape[-2:]
        if norm == "batch" and stages(height, length) == 1:
            raise UsageError(
                f"norm='batch' leaves the first layer alone, and {height}×{length} images have no other: "
                "choose none or spectral"
            )
        layers: list[nn.Module] = []
        for stage in range(stages(height, length)):
            out = width * 2**stage
            layers += _normed(
                nn.Conv2d(channels, out, 4, stride=2, padding=1), norm if stage else _first(norm), out
            )
            layers += [activation_named(activation), *dropped(nn.Dropout2d, dropout)]
            channels, height, length = out, height // 2, length // 2
        self.body = nn.Sequential(*layers)
        head = nn.Linear(channels * height * length, out_features)
        self.head = spectral_norm(head) if norm == "spectral" else head
        channels_last(self)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, out_features) for (B, *in_shape)."""
        if context is not None:
            planes = context[:, :, None, None].expand(-1, -1, *x.shape[-2:])
            x = torch.cat([x, planes], dim=1)
        x = self.body(x.contiguous(memory_format=torch.channels_last))
        return at_least_float32(self.head(x.flatten(1)))


class ConvDecoder(nn.Module):
    """Map a vector to a small image, and double that by transposed convolutions up to the size asked for.

    Sizes that doubling does not reach are cut from the next larger image.

    Args:
        in_features: entries of the input.
        out_shape: (*parameters, channels, height, width).
        width: feature maps before the last convolution; each earlier one has twice as many.
        context: entries of the context vector, which is appended to the input; 0 without.
        activation: as in `MLP`.
        norm: none or batch.
        dropout: share of feature maps that are dropped in training.

    Example:
        >>> ConvDecoder(10, (2, 3, 30, 28), width=8)(torch.zeros(5, 10)).shape
        torch.Size([5, 2, 3, 30, 28])
    """

    def __init__(
        self,
        in_features: int,
        out_shape: Sequence[int],
        *,
        width: int = 32,
        context: int = 0,
        activation: str = "relu",
        norm: str = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check(out_shape, norm)
        if norm == "spectral":
            raise UsageError("the norm of a decoder is none or batch; got 'spectral', which is for critics")
        self.out_shape = tuple(out_shape)
        height, length = out_shape[-2:]
        doublings = stages(height, length)
        # The smallest image that doubles to at least the size asked for.
        self.small = (width * 2 ** (doublings - 1), -(-height // 2**doublings), -(-length // 2**doublings))
        channels, rows, columns = self.small
        self.tail = nn.Linear(in_features + context, channels * rows * columns)
        first: list[nn.Module] = [nn.BatchNorm2d(channels)] if norm == "batch" else []
        layers = [*first, activation_named(activation)]
        for _ in range(doublings - 1):
            up = nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1)
            layers += [*_normed(up, norm, channels // 2), activation_named(activation)]
            layers += dropped(nn.Dropout2d, dropout)
            channels //= 2
        maps = int(torch.Size(out_shape[:-2]).numel())
        layers.append(nn.ConvTranspose2d(channels, maps, 4, stride=2, padding=1))
        self.body = nn.Sequential(*layers)
        channels_last(self)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, *out_shape) for (B, in_features)."""
        if context is not None:
            z = torch.cat([z, context], dim=1)
        small = self.tail(z).view(-1, *self.small).contiguous(memory_format=torch.channels_last)
        height, length = self.out_shape[-2:]
        image = self.body(small)[:, :, :height, :length]
        return at_least_float32(image).reshape(-1, *self.out_shape)


def _first(norm: str) -> str:
    """DCGAN leaves batch norm out of a critic's first layer."""
    return "none" if norm == "batch" else norm


def _normed(layer: nn.Module, norm: str, channels: int) -> list[nn.Module]:
    if norm == "spectral":
        return [spectral_norm(layer)]
    return [layer, nn.BatchNorm2d(channels)] if norm == "batch" else [layer]
