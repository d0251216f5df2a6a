"""Normalisation: batch, instance, group and spectral norm, and gains and biases that depend on a context."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import spectral_norm

from latentia.errors import UsageError
from latentia.networks.layers import ReadsContext
from latentia.options import Having
from latentia.registry import Registry, check_name, norms


@dataclass(frozen=True)
class Norm:
    """A normalisation: of what a layer gives, by a layer that follows it, or of the layer's own weights.

    Attributes:
        after: (channels, planes, affine) → the layer that follows, which normalises planes (B, channels, H, W), or
            vectors (B, channels), with a gain and a bias of each channel where it is affine; None: none follows.
        wraps: layer → the layer with normalised weights; None leaves it.
        centred: whether it subtracts each channel's mean, and with it the bias of the layer before.
        bounded: whether it bounds a layer's slope.
        encoder: whether encoders and critics have it.
        decoder: whether decoders have it.
        image_to_image: whether image-to-image networks have it.
    """

    after: Callable[[int, bool, bool], nn.Module] | None = None
    wraps: Callable[[nn.Module], nn.Module] | None = None
    centred: bool = False
    bounded: bool = False
    encoder: bool = False
    decoder: bool = False
    image_to_image: bool = False

    @property
    def slots(self) -> tuple[str, ...]:
        """The kinds of networks that have it."""
        return tuple(kind for kind in ("encoder", "decoder", "image_to_image") if getattr(self, kind))


def _batch(channels: int, planes: bool, affine: bool) -> nn.Module:
    return (nn.BatchNorm2d if planes else VectorBatchNorm)(channels, affine=affine)


def _instance(channels: int, planes: bool, affine: bool) -> nn.Module:  # noqa: ARG001  (image networks have planes)
    return nn.InstanceNorm2d(channels, affine=affine)


def _group(channels: int, planes: bool, affine: bool) -> nn.Module:  # noqa: ARG001
    groups = math.gcd(channels, min(32, max(1, channels // 4)))
    return nn.GroupNorm(groups, channels, affine=affine)


norms.add(
    {
        "none": Norm(encoder=True, decoder=True, image_to_image=True),
        "batch": Norm(_batch, centred=True, encoder=True, decoder=True, image_to_image=True),
        "spectral": Norm(wraps=spectral_norm, bounded=True, encoder=True),
        "instance": Norm(_instance, centred=True, image_to_image=True),
        "group": Norm(_group, image_to_image=True),
    }
)
KINDS: Registry[Norm] = norms
NORMS = Having(norms, "encoder")
"""Normalisations of encoders and critics."""
DECODER_NORMS = Having(norms, "decoder")
"""Normalisations of decoders and generators."""
IMAGE_NORMS = Having(norms, "image_to_image")
"""Normalisations of image-to-image networks."""


class VectorBatchNorm(nn.BatchNorm1d):
    """Batch norm of (B, D) vectors, which normalises a batch of one row, whose variance is 0, by running moments."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """Return the normalised vectors."""
        if len(input) > 1:
            return super().forward(input)
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


class FiLM(ReadsContext):
    """Normalisation whose gain and bias of each channel are affine in the context: feature-wise linear modulation.

    y = (γ₀ + Γc) ⊙ norm(x) + (β₀ + Bc), from γ₀ = 1 and β₀ = 0

    Args:
        norm: the normalisation, without gain and bias of its own; `nn.Identity` for none.
        channels: of the input.
        context: entries of the context vector c.
        std: standard deviation of the initial Γ and B; with 0 the output does not depend on the context at first.

    Raises:
        UsageError: (when called) for a missing context.

    References:
        Perez et al. (2018), FiLM: visual reasoning with a general conditioning layer, eq. 2.

    Example:
        >>> FiLM(nn.GroupNorm(1, 3, affine=False), 3, context=2)(torch.randn(5, 3, 4, 4), torch.randn(5, 2)).shape
        torch.Size([5, 3, 4, 4])
    """

    def __init__(self, norm: nn.Module, channels: int, context: int, *, std: float = 0.0) -> None:
        super().__init__()
        self.norm = norm
        self.start = nn.Parameter(torch.cat([torch.ones(channels), torch.zeros(channels)]))
        slope = std * torch.randn(2 * channels, context) if std else torch.zeros(2 * channels, context)
        self.slope = nn.Parameter(slope)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the modulated input, of its own shape."""
        if context is None:
            raise UsageError(
                "a conditional norm needs a context; got none: sample with a given class, or fit without classes"
            )
        gain, bias = F.linear(context, self.slope, self.start).chunk(2, dim=1)
        shape = (*gain.shape, *[1] * (x.dim() - 2))
        y = self.norm(x)
        return torch.addcmul(bias.view(shape).to(y), gain.view(shape).to(y), y)


class ConditionalBatchNorm(FiLM):
    """Batch norm whose gain and bias depend on the context.

    y = (γ₀ + Γc) ⊙ (x − μ)/√(σ² + ε) + (β₀ + Bc), with mean μ and variance σ² of each channel over the batch. The
    initial gain is 1 and the initial bias 0 for every context; a class one-hot gives each class a gain and a bias of
    its own.

    Args:
        channels: of the input.
        context: entries of the context vector.
        planes: whether the input is (B, channels, H, W), and not (B, channels).

    References:
        Dumoulin, Shlens and Kudlur (2017), A learned representation for artistic style, eq. 5 (with the moments of
        each image). Miyato and Koyama (2018), cGANs with projection discriminator, section 4.

    Example:
        >>> ConditionalBatchNorm(3, context=2)(torch.randn(5, 3, 4, 4), torch.eye(2)[[0, 1, 0, 1, 1]]).shape
        torch.Size([5, 3, 4, 4])
    """

    def __init__(self, channels: int, context: int, *, planes: bool = True) -> None:
        super().__init__(_batch(channels, planes, False), channels, context)


def batch_norm(channels: int, *, planes: bool, context: int = 0) -> nn.Module:
    """Return batch norm of planes (B, C, H, W) or vectors (B, C), whose gain and bias depend on a context if any."""
    if context:
        return ConditionalBatchNorm(channels, context, planes=planes)
    return _batch(channels, planes, True)


def following(norm: str, channels: int, *, planes: bool, context: int = 0) -> list[nn.Module]:
    """Return the layer that a norm puts after another one, whose gain and bias depend on a context if any."""
    after = KINDS[norm].after
    if after is None:
        return []
    if after is _batch:
        return [batch_norm(channels, planes=planes, context=context)]
    return [
        FiLM(after(channels, planes, False), channels, context) if context else after(channels, planes, True)
    ]


def normed(
    layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, norm: str, *, context: int = 0
) -> list[nn.Module]:
    """Return a layer, followed by a norm such as batch, or with its weights normalised, or unchanged."""
    planes = not isinstance(layer, nn.Linear)
    channels = layer.out_channels if planes else layer.out_features
    return [wrapped(layer, norm), *following(norm, channels, planes=planes, context=context)]


def wrapped(layer: nn.Module, norm: str) -> nn.Module:
    """Return a layer with the norm of its weights, if it is one."""
    wraps = KINDS[norm].wraps
    return layer if wraps is None else wraps(layer)


def feature_norm(norm: str, channels: int, *, context: int = 0) -> list[nn.Module]:
    """Return the normalisation of (B, channels, H, W) feature maps, modulated by a context if there is one.

    Args:
        norm: none, batch, instance (each map of each image), group (groups of at least 4 maps of each image, at most
            32 groups) or another of `latentia.registry.norms`.
        channels: feature maps.
        context: entries of the context vector, which gives gains and biases; 0: they are parameters.

    Returns:
        one layer; no layer for none without a context.

    References:
        Ulyanov, Vedaldi and Lempitsky (2017), Improved texture networks, eq. 5 (instance). Wu and He (2018), Group
        normalization, section 3. Huang and Belongie (2017), Arbitrary style transfer in real-time with adaptive
        instance normalization (instance with a context).
    """
    after = KINDS[norm].after
    layer = nn.Identity() if after is None else after(channels, True, not context)
    if context:
        return [FiLM(layer, channels, context, std=context**-0.5)]
    return [] if after is None else [layer]


def removes_bias(norm: str) -> bool:
    """Return whether a norm subtracts each map's mean, and with it the bias of the layer before it."""
    return KINDS[norm].centred


def check_norm(norm: str, known: Collection[str] = NORMS, of: str = "this network") -> None:
    """Raise `UsageError` for an unknown norm, or one that a kind of network does not have."""
    check_name("norm", norm, KINDS)
    if norm not in known:
        names = sorted(known, key=lambda each: (each != "none", each))
        raise UsageError(f"the norm of {of} is {' or '.join(names)}; got {norm!r}")


def check_conditions(context: int, norm: str) -> None:
    """Raise `UsageError` for a context that is to enter by batch norm in a network that has none."""
    if context and norm != "batch":
        raise UsageError(f"conditioning='batch-norm' needs norm='batch'; got norm={norm!r}")
