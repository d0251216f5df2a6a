"""Residual networks after SN-GAN (Miyato et al. 2018) and WGAN-GP (Gulrajani et al. 2017), for images from 8×8."""

from collections.abc import Sequence

from torch import Tensor, nn

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
from latentia.networks.layers import FeatureNetwork, ReadsContext, at_least_float32, entries_at, through
from latentia.networks.mlp import dropped
from latentia.networks.norms import KINDS, NORMS, check_norm, following, normed


class Residual(ReadsContext):
    """A residual block: the sum of a branch and a shortcut.

    Args:
        branch: layers, which may read the context.
        shortcut: layers; with none it is the identity.
    """

    def __init__(self, branch: Sequence[nn.Module], shortcut: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return branch(x) + shortcut(x)."""
        return through(self.branch, x, context) + self.shortcut(x)


def up_block(inputs: int, outputs: int, *, norm: str, dropout: float = 0.0, context: int = 0) -> Residual:
    """Return a block that doubles an image.

    Branch: norm, ReLU, doubling, 3×3, norm, ReLU, 3×3. Shortcut: 1×1, doubling.
    """
    branch = [
        *_norms(inputs, norm, context),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(inputs, outputs, 3, padding=1),
        *_norms(outputs, norm, context),
        nn.ReLU(),
        *dropped(nn.Dropout2d, dropout),
        nn.Conv2d(outputs, outputs, 3, padding=1),
    ]
    # 1×1 before doubling is equal to 1×1 after it, at a quarter of the cost.
    return Residual(branch, [nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2)])


def down_block(
    inputs: int, outputs: int, *, norm: str, dropout: float = 0.0, first: bool = False, halve: bool = True
) -> Residual:
    """Return a block that halves an image, or keeps its size.

    Branch: ReLU, 3×3, ReLU, 3×3, mean of 2×2. Shortcut: mean of 2×2, 1×1.

    Args:
        inputs: feature maps of its input.
        outputs: feature maps of its output.
        norm: none or spectral.
        dropout: dropout rate of feature maps in training.
        first: whether its input is the image itself, which has no ReLU before it.
        halve: whether the output has half the height and width.
    """
    hidden = outputs if first else inputs
    pool = [nn.AvgPool2d(2)] if halve else []
    branch = [
        *([] if first else [nn.ReLU()]),
        *normed(nn.Conv2d(inputs, hidden, 3, padding=1), norm),
        nn.ReLU(),
        *dropped(nn.Dropout2d, dropout),
        *normed(nn.Conv2d(hidden, outputs, 3, padding=1), norm),
        *pool,
    ]
    # The mean before 1×1 is equal to the mean after it, at a quarter of the cost.
    match = normed(nn.Conv2d(inputs, outputs, 1), norm) if halve or inputs != outputs else []
    return Residual(branch, [*pool, *match])


class ResNetEncoder(FeatureNetwork):
    """Halve an image by residual blocks until it is about 4×4, sum each feature map, and map the sums to one vector.

    Args:
        in_shape: (channels, height, width).
        out_features: entries of the output.
        width: feature maps of the first block; each next one has twice as many, up to ``widest`` times these.
        widest: see there.
        context: entries of the context vector; 0: none.
        norm: none or spectral.
        dropout: dropout rate of feature maps in training, within each block.
        conditioning: where the context enters: concatenation (as constant planes) or projection (of a critic's
            features).
        minibatch: minibatch layer of a critic: none, discrimination or deviation.

    References:
        Miyato et al. (2018), Spectral normalization for generative adversarial networks, tables 4 to 6.

    Example:
        >>> import torch
        >>> ResNetEncoder((3, 32, 32), 1, width=8, norm="spectral")(torch.zeros(5, 3, 32, 32)).shape
        torch.Size([5, 1])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        *,
        width: int = 32,
        widest: int = WIDEST,
        context: int = 0,
        norm: str = "none",
        dropout: float = 0.0,
        conditioning: str = "concatenation",
        minibatch: str = "none",
    ) -> None:
        super().__init__()
        check_image(in_shape)
        check_norm(norm, [name for name in NORMS if KINDS[name].after is None], "a ResNet encoder")
        at_input, at_head = entries_at(conditioning, context, ("concatenation", "projection"))
        self.concatenates = conditioning == "concatenation"
        channels = in_shape[0] + at_input
        blocks: list[nn.Module] = []
        for stage in range(stages(*in_shape[-2:])):
            out = maps(width, stage, widest)
            blocks.append(down_block(channels, out, norm=norm, dropout=dropout, first=not stage))
            channels = out
        blocks.append(down_block(channels, channels, norm=norm, dropout=dropout, halve=False))
        self.body = nn.Sequential(*blocks, nn.ReLU())
        self.head = head(channels, out_features, norm=norm, minibatch=minibatch, context=at_head)
        channels_last(self)

    def features(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the sum of each of the last feature maps: (B, F)."""
        h = self.body(with_planes(x, context if self.concatenates else None))
        return at_least_float32(h).sum((2, 3))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, out_features) for (B, *in_shape), in float32 under autocast too."""
        return at_least_float32(through([self.head], self.features(x, context), context))


class ResNetDecoder(ImageDecoder):
    """Map a vector to a small image, and double it by residual blocks up to the requested size.

    Sizes that doubling does not reach are cropped from the next larger image.

    Args:
        in_features: entries of the input.
        out_shape: (*parameters, channels, height, width).
        width: feature maps of the last block; each earlier one has twice as many, up to ``widest`` times these.
        widest: see there.
        context: entries of the context vector; 0: none.
        norm: none or batch.
        dropout: dropout rate of feature maps in training, within each block.
        conditioning: where the context enters: concatenation (to the input) or batch-norm (its gain and bias).

    References:
        Miyato et al. (2018), Spectral normalization for generative adversarial networks, tables 4 to 6.

    Example:
        >>> import torch
        >>> ResNetDecoder(10, (3, 30, 28), width=8)(torch.zeros(5, 10)).shape
        torch.Size([5, 3, 30, 28])
    """

    def __init__(
        self,
        in_features: int,
        out_shape: Sequence[int],
        *,
        width: int = 32,
        widest: int = WIDEST,
        context: int = 0,
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
        blocks: list[nn.Module] = []
        for stage in reversed(range(self.doublings)):
            out = maps(width, stage, widest)
            blocks.append(up_block(channels, out, norm=norm, dropout=dropout, context=self.at_norms))
            channels = out
        last = [
            *_norms(channels, norm, self.at_norms),
            nn.ReLU(),
            nn.Conv2d(channels, self.planes, 3, padding=1),
        ]
        self.body = nn.Sequential(*blocks, *last)
        channels_last(self)


def _norms(channels: int, norm: str, context: int) -> list[nn.Module]:
    return following(norm, channels, planes=True, context=context)
