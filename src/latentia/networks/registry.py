"""Pairs of networks by name: one that reads rows, and one that writes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from torch import nn

from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.networks.conv import ConvDecoder, ConvEncoder
from latentia.networks.images import SMALLEST
from latentia.networks.layers import FeatureNetwork
from latentia.networks.mlp import MLP
from latentia.networks.norms import check_norm
from latentia.networks.resnet import ResNetDecoder, ResNetEncoder
from latentia.registry import check_name, unknown

CONDITIONINGS = ("concatenation", "projection")


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
            out_features: entries of the output; 1 of a critic.
            context: entries of the context vector; 0 without.
            size: how large the network is.
            norm: none, batch or spectral.
            conditioning: where the context enters: concatenation (to the input) or projection (of a critic's features).
            minibatch: what a critic is shown of the other rows: none, discrimination or deviation.
        """
        ...


class DecoderFactory(Protocol):
    """Make a network from vectors to rows, or to several numbers for each entry of a row."""

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
            context: entries of the context vector; 0 without.
            size: how large the network is.
            norm: none or batch.
            conditioning: where the context enters: concatenation (to the input) or, beside a critic that projects it,
                projection: the gain and bias of batch norm, and the input where there is none.
        """
        ...


@dataclass(frozen=True)
class Size:
    """How large networks are.

    Attributes:
        hidden: units of each hidden layer (mlp, gated-mlp, maxout-mlp).
        layers: number of hidden layers (the same); 0 is linear.
        width: feature maps at the widest image (conv, resnet).
        dropout: share of hidden units (mlp) or feature maps (conv) that are dropped in training.
    """

    hidden: int = 400
    layers: int = 1
    width: int = 32
    dropout: float = 0.0

    def of(self, network: str, recipe: Callable[..., object]) -> Size:
        """Return this size, if it differs from a recipe's defaults only in what the network has.

        Raises:
            UsageError: for a size that was asked for and that the network does not have.
        """
        for name, default in _defaults(recipe).items():
            if name not in _SIZES[network] and getattr(self, name) != default:
                has = " and ".join(_SIZES[network])
                raise UsageError(f"{name} is no size of network={network!r}, which has {has}")
        return self

    def with_dropout(self, share: float) -> Size:
        """Return this size with another share of units that are dropped."""
        return replace(self, dropout=share)

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.layers < 0 or self.width < 1:
            raise UsageError(
                "hidden and width must be at least 1 and layers at least 0; "
                f"got hidden={self.hidden}, layers={self.layers}, width={self.width}"
            )
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be a share from 0 to below 1; got {self.dropout}")


def _mlp_reader(
    in_shape: Sequence[int],
    out_features: int,
    *,
    context: int,
    size: Size,
    norm: str,
    conditioning: str = "concatenation",
    minibatch: str = "none",
    activation: str,
) -> FeatureNetwork:
    return MLP(
        in_shape,
        (out_features,),
        hidden=[size.hidden] * size.layers,
        context=context,
        activation=activation,
        dropout=size.dropout,
        norm=norm,
        conditioning=_known(conditioning),
        minibatch=minibatch,
    )


def _mlp_writer(
    in_features: int,
    out_shape: Sequence[int],
    *,
    context: int,
    size: Size,
    norm: str,
    conditioning: str = "concatenation",
    activation: str,
) -> nn.Module:
    check_norm(norm, ("none", "batch"), "a decoder")
    return MLP(
        (in_features,),
        out_shape,
        hidden=[size.hidden] * size.layers,
        context=context,
        activation=activation,
        dropout=size.dropout,
        norm=norm,
        conditioning=_written(conditioning, norm),
    )


def _image_reader(
    in_shape: Sequence[int],
    out_features: int,
    *,
    context: int,
    size: Size,
    norm: str,
    conditioning: str = "concatenation",
    minibatch: str = "none",
    encoder: type[ConvEncoder | ResNetEncoder],
) -> FeatureNetwork:
    return encoder(
        in_shape,
        out_features,
        width=size.width,
        context=context,
        norm=norm,
        dropout=size.dropout,
        conditioning=_known(conditioning),
        minibatch=minibatch,
    )


def _image_writer(
    in_features: int,
    out_shape: Sequence[int],
    *,
    context: int,
    size: Size,
    norm: str,
    conditioning: str = "concatenation",
    decoder: type[ConvDecoder | ResNetDecoder],
) -> nn.Module:
    return decoder(
        in_features,
        out_shape,
        width=size.width,
        context=context,
        norm=norm,
        dropout=size.dropout,
        conditioning=_written(conditioning, norm),
    )


def _known(conditioning: str) -> str:
    check_name("conditioning", conditioning, CONDITIONINGS)
    return conditioning


def _written(conditioning: str, norm: str) -> str:
    """Return where the context enters a writer: beside a critic that projects it, its batch norm if it has one."""
    return "batch-norm" if _known(conditioning) == "projection" and norm == "batch" else "concatenation"


def _mlps(activation: str) -> tuple[EncoderFactory, DecoderFactory]:
    return partial(_mlp_reader, activation=activation), partial(_mlp_writer, activation=activation)


_SIZES: Mapping[str, tuple[str, ...]] = {
    "mlp": ("hidden", "layers"),
    "gated-mlp": ("hidden", "layers"),
    "maxout-mlp": ("hidden", "layers"),
    "conv": ("width",),
    "resnet": ("width",),
}
NETWORKS: Mapping[str, tuple[EncoderFactory, DecoderFactory]] = {
    "mlp": _mlps("relu"),
    "gated-mlp": _mlps("gated"),
    "maxout-mlp": _mlps("maxout"),
    "conv": (partial(_image_reader, encoder=ConvEncoder), partial(_image_writer, decoder=ConvDecoder)),
    "resnet": (partial(_image_reader, encoder=ResNetEncoder), partial(_image_writer, decoder=ResNetDecoder)),
}


def _defaults(recipe: Callable[..., object]) -> dict[str, int]:
    parameters = inspect.signature(recipe).parameters
    return {name: parameters[name].default for name in ("hidden", "layers", "width")}


def network_name(name: str, data: DataSpec) -> str:
    """Return the name that ``auto`` stands for on this data, and other names as they are."""
    if name == "auto":
        return "conv" if data.is_image and min(data.event_shape[1:]) >= SMALLEST else "mlp"
    if name not in NETWORKS:
        raise UsageError(unknown("network", name, [*NETWORKS, "auto"]))
    return name
