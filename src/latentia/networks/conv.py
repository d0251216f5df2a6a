"""Convolutional networks after DCGAN (Radford, Metz and Chintala 2016), for images of any size from 8.

The layers are theirs; initial weights are torch's, unless `latentia.networks.layers.normal_init` draws theirs.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from latentia.errors import UsageError
from latentia.networks.heads import head
from latentia.networks.images import (
    WIDEST,
    ImageDecoder,
    channels_last,
    check_image,
    maps,
    stages,
    with_planes,
)
from latentia.networks.layers import (
    PIECES,
    FeatureNetwork,
    activation_named,
    at_least_float32,
    entries_at,
    through,
)
from latentia.networks.mlp import dropped
from latentia.networks.norms import KINDS, check_norm, following, normed

__all__ = ["ConvDecoder", "ConvEncoder", "channels_last", "stages"]


class ConvEncoder(FeatureNetwork):
    """Halve an image by strided convolutions until it is about 4×4, then map it to one vector.

    Args:
        in_shape: (channels, height, width).
        out_features: entries of the output.
        width: feature maps of the first convolution; each next one has twice as many, up to ``widest`` times these.
        widest: see there.
        context: entries of the context vector; 0: none.
        activation: as in `MLP`, without gated and maxout.
        norm: none, batch or spectral.
        dropout: dropout rate of feature maps in training.
        conditioning: where the context enters: concatenation (as constant planes) or projection (of a critic's
            features).
        minibatch: minibatch layer of a critic: none, discrimination or deviation.

    Example:
        >>> import torch
        >>> ConvEncoder((1, 28, 28), 10, width=8)(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        *,
        width: int = 32,
        widest: int = WIDEST,
        context: int = 0,
        activation: str = "leaky-relu",
        norm: str = "none",
        dropout: float = 0.0,
        conditioning: str = "concatenation",
        minibatch: str = "none",
    ) -> None:
        super().__init__()
        check_image(in_shape)
        check_norm(norm)
        at_input, at_head = entries_at(conditioning, context, ("concatenation", "projection"))
        self.concatenates = conditioning == "concatenation"
        channels, (height, length) = in_shape[0] + at_input, in_shape[-2:]
        halvings = stages(height, length)
        if KINDS[norm].after is not None and halvings == 1:
            raise UsageError(
                f"norm={norm!r} excludes the first layer, and {height}×{length} images have no other: "
                "choose none or spectral"
            )
        layers: list[nn.Module] = []
        for stage in range(halvings):
            out = maps(width, stage, widest)
            convolution = nn.Conv2d(channels, out, 4, stride=2, padding=1)
            layers += normed(convolution, norm if stage else _first(norm))
            layers += [_activation(activation), *dropped(nn.Dropout2d, dropout)]
            channels = out
        self.body = nn.Sequential(*layers)
        features = channels * (height // 2**halvings) * (length // 2**halvings)
        self.head = head(features, out_features, norm=norm, minibatch=minibatch, context=at_head)
        channels_last(self)

    def features(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the last feature maps, flattened: (B, F)."""
        return self.body(with_planes(x, context if self.concatenates else None)).flatten(1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, out_features) for (B, *in_shape), in float32 under autocast too."""
        return at_least_float32(through([self.head], self.features(x, context), context))


class ConvDecoder(ImageDecoder):
    """Map a vector to a small image, and double it by transposed convolutions up to the requested size.

    Sizes that doubling does not reach are cropped from the next larger image.

    Args:
        in_features: entries of the input.
        out_shape: (*parameters, channels, height, width).
        width: feature maps before the last convolution; each earlier one has twice as many, up to ``widest`` times
            these.
        widest: see there.
        context: entries of the context vector; 0: none.
        activation: as in `MLP`, without gated and maxout.
        norm: none or batch.
        dropout: dropout rate of feature maps in training.
        conditioning: where the context enters: concatenation (to the input) or batch-norm (its gain and bias).

    Example:
        >>> import torch
        >>> ConvDecoder(10, (2, 3, 30, 28), width=8)(torch.zeros(5, 10)).shape
        torch.Size([5, 2, 3, 30, 28])
    """

    def __init__(
        self,
        in_features: int,
        out_shape: Sequence[int],
        *,
        width: int = 32,
        widest: int = WIDEST,
        context: int = 0,
        activation: str = "relu",
        norm: str = "batch",
        dropout: float = 0.0,
        conditioning: str = "concatenation",
    ) -> None:
        super().__init__(
            in_features,
            out_shape,
            width=width,
            widest=widest,
            context=context,
            norm=norm,
            conditioning=conditioning,
        )
        channels = self.small[0]
        first = following(norm, channels, planes=True, context=self.at_norms)
        layers = [*first, _activation(activation), *dropped(nn.Dropout2d, dropout)]
        for stage in reversed(range(self.doublings - 1)):
            out = maps(width, stage, widest)
            up = nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1)
            layers += [*normed(up, norm, context=self.at_norms), _activation(activation)]
            layers += dropped(nn.Dropout2d, dropout)
            channels = out
        layers.append(nn.ConvTranspose2d(channels, self.planes, 4, stride=2, padding=1))
        self.body = nn.Sequential(*layers)
        channels_last(self)


def _activation(name: str) -> nn.Module:
    """Return an activation that keeps the number of channels."""
    if name in PIECES:
        raise UsageError(f"activation={name!r} is for mlp: convolutional networks have the others")
    return activation_named(name)


def _first(norm: str) -> str:
    """Return the norm of the first layer, which no norm follows, as no batch norm does in DCGAN."""
    return "none" if KINDS[norm].after is not None else norm
