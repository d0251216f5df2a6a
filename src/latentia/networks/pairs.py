"""Pairs of networks by name: one that reads rows, and one that writes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from torch import nn

from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.networks.conv import SMALLEST, ConvDecoder, ConvEncoder
from latentia.networks.mlp import MLP
from latentia.registry import unknown


class Reader(Protocol):
    """Make a network from rows to vectors."""

    def __call__(
        self, in_shape: Sequence[int], out_features: int, *, context: int, size: Size, norm: str
    ) -> nn.Module:
        """Return a module that maps (B, *in_shape) to (B, out_features)."""
        ...


class Writer(Protocol):
    """Make a network from vectors to rows, or to several numbers for each entry of a row."""

    def __call__(
        self, in_features: int, out_shape: Sequence[int], *, context: int, size: Size, norm: str
    ) -> nn.Module:
        """Return a module that maps (B, in_features) to (B, *out_shape)."""
        ...


@dataclass(frozen=True)
class Size:
    """How large networks are.

    Attributes:
        hidden: units of each hidden layer (mlp).
        layers: number of hidden layers (mlp); 0 is linear.
        width: feature maps at the widest image (conv).
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

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.layers < 0 or self.width < 1:
            raise UsageError(
                "hidden and width must be at least 1 and layers at least 0; "
                f"got hidden={self.hidden}, layers={self.layers}, width={self.width}"
            )
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout must be a share from 0 to below 1; got {self.dropout}")


def _mlp_reader(
    in_shape: Sequence[int], out_features: int, *, context: int, size: Size, norm: str, activation: str
) -> nn.Module:
    return _mlp(in_shape, (out_features,), context, size, norm, activation)


def _mlp_writer(
    in_features: int, out_shape: Sequence[int], *, context: int, size: Size, norm: str, activation: str
) -> nn.Module:
    return _mlp((in_features,), out_shape, context, size, norm, activation)


def _mlp(
    in_shape: Sequence[int], out_shape: Sequence[int], context: int, size: Size, norm: str, activation: str
) -> nn.Module:
    if norm != "none":
        raise UsageError(f"norm={norm!r} is for convolutional networks; mlp has none")
    return MLP(
        in_shape,
        out_shape,
        hidden=[size.hidden] * size.layers,
        context=context,
        activation=activation,
        dropout=size.dropout,
    )


def _conv_reader(
    in_shape: Sequence[int], out_features: int, *, context: int, size: Size, norm: str
) -> nn.Module:
    return ConvEncoder(
        in_shape, out_features, width=size.width, context=context, norm=norm, dropout=size.dropout
    )


def _conv_writer(
    in_features: int, out_shape: Sequence[int], *, context: int, size: Size, norm: str
) -> nn.Module:
    return ConvDecoder(
        in_features, out_shape, width=size.width, context=context, norm=norm, dropout=size.dropout
    )


_SIZES: Mapping[str, tuple[str, ...]] = {
    "mlp": ("hidden", "layers"),
    "gated-mlp": ("hidden", "layers"),
    "conv": ("width",),
}
NETWORKS: Mapping[str, tuple[Reader, Writer]] = {
    "mlp": (partial(_mlp_reader, activation="relu"), partial(_mlp_writer, activation="relu")),
    "gated-mlp": (partial(_mlp_reader, activation="gated"), partial(_mlp_writer, activation="gated")),
    "conv": (_conv_reader, _conv_writer),
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
