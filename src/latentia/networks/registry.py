"""Networks by name: encoders, decoders and image-to-image networks; `networks.add` takes one's own."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from torch import nn

from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.networks.conv import ConvDecoder, ConvEncoder
from latentia.networks.factories import DecoderFactory, EncoderFactory, ImageToImageFactory, Network, Size
from latentia.networks.images import SMALLEST
from latentia.networks.layers import FeatureNetwork
from latentia.networks.mlp import MLP
from latentia.networks.norms import DECODER_NORMS, check_norm
from latentia.networks.resnet import ResNetDecoder, ResNetEncoder
from latentia.networks.translator import ResidualTranslator
from latentia.networks.unet import UNet
from latentia.registry import Registry, check_name, networks, unknown

__all__ = [
    "CONDITIONINGS",
    "NETWORKS",
    "DecoderFactory",
    "EncoderFactory",
    "ImageToImageFactory",
    "Network",
    "Size",
    "decoder_factory",
    "encoder_factory",
    "image_to_image_factory",
    "network_name",
    "networks_with",
    "size_of",
]

F = TypeVar("F")
CONDITIONINGS = ("concatenation", "projection")


def _mlp_encoder(
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


def _mlp_decoder(
    in_features: int,
    out_shape: Sequence[int],
    *,
    context: int,
    size: Size,
    norm: str,
    conditioning: str = "concatenation",
    activation: str,
) -> nn.Module:
    check_norm(norm, DECODER_NORMS, "a decoder")
    return MLP(
        (in_features,),
        out_shape,
        hidden=[size.hidden] * size.layers,
        context=context,
        activation=activation,
        dropout=size.dropout,
        norm=norm,
        conditioning=_decoder_conditioning(conditioning, norm),
    )


def _image_encoder(
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


def _image_decoder(
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
        conditioning=_decoder_conditioning(conditioning, norm),
    )


def _mlp_image_to_image(
    in_shape: Sequence[int],
    out_shape: Sequence[int],
    *,
    context: int,
    size: Size,
    norm: str = "none",
    blocks: int | None = None,
    attention: int = 0,
    activation: str,
) -> nn.Module:
    check_norm(norm, DECODER_NORMS, "a fully connected image-to-image network")
    if blocks is not None or attention:
        raise UsageError(
            f"an mlp has no residual blocks and no attention; got blocks={blocks} and attention={attention}"
        )
    return MLP(
        in_shape,
        out_shape,
        hidden=[size.hidden] * size.layers,
        context=context,
        activation=activation,
        dropout=size.dropout,
        norm=norm,
    )


def _image_to_image(
    in_shape: Sequence[int],
    out_shape: Sequence[int],
    *,
    context: int,
    size: Size,
    norm: str,
    blocks: int | None = None,
    attention: int = 0,
    network: type[UNet | ResidualTranslator],
) -> nn.Module:
    return network(
        in_shape,
        out_shape,
        width=size.width,
        context=context,
        norm=norm,
        dropout=size.dropout,
        blocks=blocks,
        attention=attention,
    )


def _known(conditioning: str) -> str:
    check_name("conditioning", conditioning, CONDITIONINGS)
    return conditioning


def _decoder_conditioning(conditioning: str, norm: str) -> str:
    """Return where the context enters a decoder: with a projection critic, by its batch norm if it has one."""
    return "batch-norm" if _known(conditioning) == "projection" and norm == "batch" else "concatenation"


NETWORKS: Registry[Network] = networks
networks.add(
    {
        "mlp": Network(
            encoder=partial(_mlp_encoder, activation="relu"),
            decoder=partial(_mlp_decoder, activation="relu"),
            image_to_image=partial(_mlp_image_to_image, activation="relu"),
            sizes=("hidden", "layers"),
        ),
        "gated-mlp": Network(
            encoder=partial(_mlp_encoder, activation="gated"),
            decoder=partial(_mlp_decoder, activation="gated"),
            image_to_image=partial(_mlp_image_to_image, activation="gated"),
            sizes=("hidden", "layers"),
        ),
        "maxout-mlp": Network(
            encoder=partial(_mlp_encoder, activation="maxout"),
            decoder=partial(_mlp_decoder, activation="maxout"),
            image_to_image=partial(_mlp_image_to_image, activation="maxout"),
            sizes=("hidden", "layers"),
        ),
        "conv": Network(
            encoder=partial(_image_encoder, encoder=ConvEncoder),
            decoder=partial(_image_decoder, decoder=ConvDecoder),
            sizes=("width",),
        ),
        "resnet": Network(
            encoder=partial(_image_encoder, encoder=ResNetEncoder),
            decoder=partial(_image_decoder, decoder=ResNetDecoder),
            image_to_image=partial(_image_to_image, network=ResidualTranslator, norm="instance"),
            sizes=("width",),
        ),
        "unet": Network(
            image_to_image=partial(_image_to_image, network=UNet, norm="group"),
            sizes=("width",),
        ),
    }
)


def networks_with(*slots: str) -> list[str]:
    """Return the names of the networks that fill all of these slots.

    Example:
        >>> networks_with("encoder", "decoder")
        ['conv', 'gated-mlp', 'maxout-mlp', 'mlp', 'resnet']
    """
    return [name for name, network in NETWORKS.items() if {*slots} <= {*network.slots}]


def encoder_factory(name: str) -> EncoderFactory:
    """Return what makes the encoders and critics of a name."""
    return _filled(name, "encoder", NETWORKS[name].encoder)


def decoder_factory(name: str) -> DecoderFactory:
    """Return what makes the decoders and generators of a name."""
    return _filled(name, "decoder", NETWORKS[name].decoder)


def image_to_image_factory(name: str) -> ImageToImageFactory:
    """Return what makes the image-to-image networks of a name."""
    return _filled(name, "image_to_image", NETWORKS[name].image_to_image)


def network_name(
    name: str, data: DataSpec, slots: Sequence[str] = ("encoder", "decoder"), *, smallest: int = SMALLEST
) -> str:
    """Return the name that ``auto`` stands for with this data, and other names as they are.

    Args:
        name: of a network, or auto.
        data: what a row is.
        slots: that the network has to fill.
        smallest: shorter side of images from which auto is conv.

    Raises:
        UsageError: for an unknown name, with near matches, and for a network that does not fill the slots.
    """
    if name == "auto":
        return "conv" if data.is_image and min(data.event_shape[1:]) >= smallest else "mlp"
    name = NETWORKS.name_of(name)
    if name not in NETWORKS:
        raise UsageError(unknown("network", name, [*networks_with(*slots), "auto"]))
    for slot in slots:
        _filled(name, slot, getattr(NETWORKS[name], slot))
    return name


def size_of(network: str, size: Size, recipe: Callable[..., object]) -> Size:
    """Return a size that differs from a recipe's defaults only in fields that the network has.

    Raises:
        UsageError: for a size that the network does not have and that differs from the default.
    """
    has = NETWORKS[network].sizes
    for name, default in _defaults(recipe).items():
        if name not in has and getattr(size, name) != default:
            raise UsageError(f"{name} is no size of network={network!r}, which has {' and '.join(has)}")
    return size


def _filled(name: str, slot: str, factory: F | None) -> F:
    if factory is None:
        raise UsageError(
            f"network={name!r} has no {slot}; those that have one: {', '.join(networks_with(slot))}"
        )
    return factory


def _defaults(recipe: Callable[..., object]) -> dict[str, int]:
    parameters = inspect.signature(recipe).parameters
    return {name: parameters[name].default for name in ("hidden", "layers", "width")}
