"""Base classes of decoders and image-to-image networks for images, and the numbers of halvings and feature maps."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentia.errors import UsageError
from latentia.networks.layers import at_least_float32, entries_at, through
from latentia.networks.norms import DECODER_NORMS, check_conditions, check_norm

SMALLEST = 8
WIDEST = 8  # feature maps at most, relative to full resolution: 512 for a width of 64, as is common


def stages(height: int, width: int) -> int:
    """Return the number of halvings until the shorter side of an image is 4 to 7."""
    return (min(height, width) // 4).bit_length() - 1


def maps(width: int, stage: int, widest: int = WIDEST) -> int:
    """Return the number of feature maps after ``stage`` halvings: doubled by each, up to ``widest`` times the first."""
    return width * min(2**stage, widest)


def check_image(shape: Sequence[int]) -> None:
    """Raise `UsageError` for rows that are not images of at least 8×8."""
    if len(shape) < 3 or min(shape[-2:]) < SMALLEST:
        raise UsageError(
            f"convolutional networks are for images of at least {SMALLEST}×{SMALLEST}; got rows of shape "
            f"{tuple(shape)}: use network='mlp', or a recipe of those that lt.recipes_for(data), or "
            "latentia recipes --for DATA, lists"
        )


def channels_last(module: nn.Module) -> None:
    """Store convolution weights in channels-last order, which is 1.1 to 1.3 times as fast, and more in bf16."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def with_planes(x: Tensor, context: Tensor | None) -> Tensor:
    """Return images with a constant channel for each entry of their context, in channels-last order."""
    if context is not None:
        planes = context[:, :, None, None].expand(-1, -1, *x.shape[-2:])
        x = torch.cat([x, planes], dim=1)
    return x.contiguous(memory_format=torch.channels_last)


class ImageDecoder(nn.Module):
    """Map a vector to a small image, which the body doubles to the requested size or just beyond, and crop the result.

    A sub-class makes the body: from ``self.small`` to images of (maps, height, width).

    Args:
        in_features: entries of the input.
        out_shape: (*parameters, channels, height, width).
        width: feature maps at full resolution.
        widest: feature maps at most, relative to this.
        context: entries of the context vector; 0: none.
        norm: none or batch.
        conditioning: where the context enters: concatenation (to the input), or batch-norm (its gain and bias).
    """

    body: nn.Sequential

    def __init__(
        self,
        in_features: int,
        out_shape: Sequence[int],
        *,
        width: int,
        widest: int,
        context: int,
        norm: str,
        conditioning: str,
    ) -> None:
        super().__init__()
        check_image(out_shape)
        check_norm(norm, DECODER_NORMS, "a decoder")
        self.out_shape = tuple(out_shape)
        at_input, self.at_norms = entries_at(conditioning, context, ("concatenation", "batch-norm"))
        check_conditions(self.at_norms, norm)
        self.concatenates = conditioning == "concatenation"
        height, length = out_shape[-2:]
        self.doublings = stages(height, length)
        # The smallest image that doubles to at least the requested size.
        rows, columns = -(-height // 2**self.doublings), -(-length // 2**self.doublings)
        self.small = (maps(width, self.doublings - 1, widest), rows, columns)
        self.tail = nn.Linear(in_features + at_input, math.prod(self.small))

    @property
    def planes(self) -> int:
        """Channels of the body's output: all parameters of all channels."""
        return math.prod(self.out_shape[:-2])

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, *out_shape) for (B, in_features), in float32 under autocast too."""
        if context is not None and self.concatenates:
            z = torch.cat([z, context], dim=1)
        small = self.tail(z).view(-1, *self.small).contiguous(memory_format=torch.channels_last)
        height, length = self.out_shape[-2:]
        image = through(self.body, small, context)[:, :, :height, :length]
        return at_least_float32(image).reshape(-1, *self.out_shape)


class ImageToImage(nn.Module):
    """Map images to images of the same height and width, given a context vector or none.

    The context c is embedded, e = SiLU(W₂ SiLU(W₁ c + b₁) + b₂), and the layers of the body read e. A sub-class makes
    the body: from images of ``channels`` feature maps to images of ``planes``, cut to the size of the input.

    Args:
        in_shape: (channels, height, width) of the input.
        out_shape: (*parameters, channels, height, width) of the output, of the same height and width.
        width: feature maps at full resolution; the embedding has four times as many entries.
        context: entries of the context vector; 0: none.
        blocks: residual blocks, at least 1.
        attention: largest side of feature maps with self-attention, at least 0.
    """

    body: nn.Sequential

    def __init__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        *,
        width: int,
        context: int,
        blocks: int,
        attention: int,
    ) -> None:
        super().__init__()
        check_image(in_shape)
        check_image(out_shape)
        if tuple(in_shape[-2:]) != tuple(out_shape[-2:]):
            raise UsageError(
                "an image-to-image network keeps height and width; "
                f"got {tuple(in_shape)} to {tuple(out_shape)}: resize the images first"
            )
        if min(width, blocks) < 1 or min(context, attention) < 0:
            raise UsageError(
                "width and blocks must be at least 1, context and attention at least 0; "
                f"got width={width}, blocks={blocks}, context={context}, attention={attention}"
            )
        self.out_shape = tuple(out_shape)
        self.channels, self.planes = math.prod(in_shape[:-2]), math.prod(out_shape[:-2])
        self.embedded = 4 * width if context else 0
        self.embedding = _embedding(context, self.embedded) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, *out_shape) for (B, *in_shape) and (B, context), in float32 under autocast too.

        Raises:
            UsageError: for a context that is missing, or given to a network without one.
        """
        height, length = self.out_shape[-2:]
        images = x.flatten(1, -3).contiguous(memory_format=torch.channels_last)
        y = through(self.body, images, self._embedded(context))[:, :, :height, :length]
        return at_least_float32(y).reshape(-1, *self.out_shape)

    def _embedded(self, context: Tensor | None) -> Tensor | None:
        if (context is None) != (self.embedding is None):
            got, expected = ("none", "a") if context is None else (f"shape {tuple(context.shape)}", "no")
            raise UsageError(f"this {type(self).__name__} reads {expected} context vector; got {got}")
        return None if self.embedding is None else self.embedding(context)


def _embedding(context: int, entries: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(context, entries), nn.SiLU(), nn.Linear(entries, entries), nn.SiLU())
