"""Pairs of networks by name: one that reads rows, and one that writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """How large networks are: ``hidden`` units a layer and ``layers`` of them (mlp), ``width`` maps (conv)."""

    hidden: int = 400
    layers: int = 1
    width: int = 32

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.layers < 0 or self.width < 1:
            raise UsageError(
                "hidden and width must be at least 1 and layers at least 0; "
                f"got hidden={self.hidden}, layers={self.layers}, width={self.width}"
            )


def _mlp_reader(
    in_shape: Sequence[int], out_features: int, *, context: int, size: Size, norm: str
) -> nn.Module:
    _no_norm(norm)
    return MLP(in_shape, (out_features,), hidden=[size.hidden] * size.layers, context=context)


def _mlp_writer(
    in_features: int, out_shape: Sequence[int], *, context: int, size: Size, norm: str
) -> nn.Module:
    _no_norm(norm)
    return MLP((in_features,), out_shape, hidden=[size.hidden] * size.layers, context=context)


def _conv_reader(
    in_shape: Sequence[int], out_features: int, *, context: int, size: Size, norm: str
) -> nn.Module:
    return ConvEncoder(in_shape, out_features, width=size.width, context=context, norm=norm)


def _conv_writer(
    in_features: int, out_shape: Sequence[int], *, context: int, size: Size, norm: str
) -> nn.Module:
    return ConvDecoder(in_features, out_shape, width=size.width, context=context, norm=norm)


def _no_norm(norm: str) -> None:
    if norm != "none":
        raise UsageError(f"norm={norm!r} is for convolutional networks; mlp has none")


NETWORKS: Mapping[str, tuple[Reader, Writer]] = {
    "mlp": (_mlp_reader, _mlp_writer),
    "conv": (_conv_reader, _conv_writer),
}


def network_pair(name: str, data: DataSpec) -> tuple[Reader, Writer]:
    """Return the makers of a reading and a writing network; ``auto`` is conv for images and mlp for the rest.

    Raises:
        UsageError: for a name that is none.
    """
    return NETWORKS[network_name(name, data)]


def network_name(name: str, data: DataSpec) -> str:
    """Return the name that ``auto`` stands for on this data, and other names as they are."""
    if name == "auto":
        return "conv" if data.is_image and min(data.event_shape[1:]) >= SMALLEST else "mlp"
    if name not in NETWORKS:
        raise UsageError(unknown("network", name, [*NETWORKS, "auto"]))
    return name
