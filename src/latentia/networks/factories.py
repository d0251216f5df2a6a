"""Factories of networks: the protocols of encoders, decoders and image-to-image networks, and their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import nn

from latentia.errors import UsageError
from latentia.networks.layers import FeatureNetwork

SLOTS = ("encoder", "decoder", "image_to_image")


@dataclass(frozen=True)
class Size:
    """The size of networks.

    Attributes:
        hidden: units of each hidden layer (mlp, gated-mlp, maxout-mlp).
        layers: number of hidden layers (the same); 0 is linear.
        width: feature maps at full resolution (conv, resnet, unet).
        dropout: dropout rate in training: of hidden units (mlp) or feature maps (conv, resnet, unet).
    """

    hidden: int = 400
    layers: int = 1
    width: int = 32
    dropout: float = 0.0

    def with_dropout(self, rate: float) -> Size:
        """Return this size with another dropout rate."""
        return replace(self, dropout=rate)

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.layers < 0 or self.width < 1:
            raise UsageError(
                "hidden and width must be at least 1 and layers at least 0; "
                f"got hidden={self.hidden}, layers={self.layers}, width={self.width}"
            )
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be at least 0 and below 1; got {self.dropout}")


class EncoderFactory(Protocol):
    """Make a network from rows to vectors."""

    def __call__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        *,
        context: int,
        size: Size,
        norm: str,
        conditioning: str = "concatenation",
        minibatch: str = "none",
    ) -> FeatureNetwork:
        """Return a module that maps (B, *in_shape) to (B, out_features).

        Args:
            in_shape: the shape of one row.
            out_features: entries of the output; 1 for a critic.
            context: entries of the context vector; 0: none.
            size: how large the network is.
            norm: none, batch or spectral.
            conditioning: where the context enters: concatenation (to the input) or projection (of a critic's features).
            minibatch: minibatch layer of a critic: none, discrimination or deviation.
        """
        ...


class DecoderFactory(Protocol):
    """Make a network from vectors to rows, or to several parameters for each entry of a row."""

    def __call__(
        self,
        in_features: int,
        out_shape: Sequence[int],
        *,
        context: int,
        size: Size,
        norm: str,
        conditioning: str = "concatenation",
    ) -> nn.Module:
        """Return a module that maps (B, in_features) to (B, *out_shape).

        Args:
            in_features: entries of the input.
            out_shape: the shape of the output.
            context: entries of the context vector; 0: none.
            size: how large the network is.
            norm: none or batch.
            conditioning: where the context enters: concatenation (to the input) or projection, which names the
                conditioning of the critic: the context then enters by gain and bias of batch norm, or by the input of
                a network without batch norm.
        """
        ...


class ImageToImageFactory(Protocol):
    """Make a network from images to images of the same height and width, such as a denoiser or a translator."""

    def __call__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        *,
        context: int,
        size: Size,
        norm: str = ...,
        blocks: int | None = None,
        attention: int = 0,
    ) -> nn.Module:
        """Return a module that maps (B, *in_shape), and a (B, context) vector if there is one, to (B, *out_shape).

        Args:
            in_shape: (channels, height, width) of the input. Images that condition the output are further channels.
            out_shape: (*parameters, channels, height, width) of the output.
            context: entries of the context vector; 0: none. A time or a class enters as its embedding.
            size: how large the network is.
            norm: none, batch, instance or group; each network has a default of its own.
            blocks: residual blocks, at each resolution of a U-Net or at the lowest resolution of a translator;
                None: the network's own default.
            attention: largest side of feature maps that pass through self-attention; 0: none do.

        Raises:
            UsageError: for shapes and options that the network does not have.
        """
        ...


@dataclass(frozen=True)
class Network:
    """The networks of one name: a factory for each slot that they fill, None for the others.

    Attributes:
        encoder: makes networks from rows to vectors; a critic is one of them.
        decoder: makes networks from vectors to rows; a generator is one of them.
        image_to_image: makes networks from images to images.
        sizes: the fields of `Size` that the networks have, besides dropout.

    Example:
        >>> from latentia.networks.registry import NETWORKS
        >>> NETWORKS["conv"].slots, NETWORKS["conv"].sizes
        (('encoder', 'decoder'), ('width',))
    """

    encoder: EncoderFactory | None = None
    decoder: DecoderFactory | None = None
    image_to_image: ImageToImageFactory | None = None
    sizes: tuple[str, ...] = ()

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots that are filled."""
        return tuple(slot for slot in SLOTS if getattr(self, slot) is not None)
