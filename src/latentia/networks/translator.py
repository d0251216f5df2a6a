"""Residual translators: from images to images, most of whose layers work at a quarter of the resolution."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import nn

from latentia.networks.attention import SelfAttention
from latentia.networks.images import ImageToImage, channels_last, maps, stages
from latentia.networks.mlp import dropped
from latentia.networks.norms import IMAGE_NORMS, check_norm, feature_norm, removes_bias
from latentia.networks.resnet import Residual

_HALVINGS = 2
_LARGE = 256  # side of images that have 9 blocks in Zhu et al.; smaller ones have 6


class ResidualTranslator(ImageToImage):
    """Halve an image twice, pass it through residual blocks, and double it twice.

    7×7 convolution, two strided 3×3 convolutions, residual blocks of two 3×3 convolutions, two doublings by repeated
    pixels and a 3×3 convolution, 7×7 convolution; norm and ReLU behind all but the last. Images below 16 are halved
    once. Odd sizes are rounded up on the way down and cut in the end. The output is unbounded: where data is bounded,
    scaling and support are applied behind the network. A context vector is embedded by two layers and modulates every
    norm (`FiLM`), which with instance norm is adaptive instance normalisation.

    Args:
        in_shape: (channels, height, width) of the input.
        out_shape: (*parameters, channels, height, width) of the output, of the same height and width.
        width: feature maps at full resolution; each halving doubles them.
        blocks: residual blocks; None: 6 for images below 256×256, 9 from there on.
        context: entries of the context vector; 0: none. A domain enters as its one-hot vector or embedding.
        norm: none, batch, instance or group.
        dropout: dropout rate of feature maps in training, within each block.
        attention: largest side of feature maps at which blocks are followed by self-attention; 0: none are.

    Raises:
        UsageError: for shapes that are no images of at least 8×8 or differ in size, and for options out of range.

    References:
        Johnson, Alahi and Fei-Fei (2016), Perceptual losses for real-time style transfer and super-resolution,
        supplementary table 1. Zhu et al. (2017), Unpaired image-to-image translation using cycle-consistent
        adversarial networks, appendix 7.2. He et al. (2016), Deep residual learning for image recognition. Odena,
        Dumoulin and Olah (2016), Deconvolution and checkerboard artifacts (doubling). Perez et al. (2018), FiLM.

    Example:
        >>> import torch
        >>> translator = ResidualTranslator((3, 33, 30), (1, 33, 30), width=8, blocks=2)
        >>> translator(torch.zeros(2, 3, 33, 30)).shape
        torch.Size([2, 1, 33, 30])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        *,
        width: int = 32,
        blocks: int | None = None,
        context: int = 0,
        norm: str = "instance",
        dropout: float = 0.0,
        attention: int = 0,
    ) -> None:
        if blocks is None:
            blocks = 9 if min(out_shape[-2:], default=0) >= _LARGE else 6
        super().__init__(
            in_shape, out_shape, width=width, context=context, blocks=blocks, attention=attention
        )
        check_norm(norm, IMAGE_NORMS, "a residual translator")
        self.norm = norm
        size = self.out_shape[-2:]
        halvings = min(_HALVINGS, stages(*size))
        widths = [maps(width, stage) for stage in range(halvings + 1)]
        attends = -(-max(size) // 2**halvings) <= attention
        self.body = nn.Sequential(
            *self._behind(_reflected(self.channels, width, 7, norm), width),
            *self._down(widths),
            *self._residual(widths[-1], blocks, dropout, attends=attends),
            *self._up(widths[::-1]),
            _reflected(width, self.planes, 7),
        )
        channels_last(self)

    def _down(self, widths: Sequence[int]) -> Iterator[nn.Module]:
        for inputs, outputs in pairwise(widths):
            yield from self._behind(_plain(inputs, outputs, self.norm, stride=2), outputs)

    def _residual(self, channels: int, blocks: int, dropout: float, *, attends: bool) -> Iterator[nn.Module]:
        for _ in range(blocks):
            first = self._behind(_reflected(channels, channels, 3, self.norm), channels)
            *last, _ = self._behind(_reflected(channels, channels, 3, self.norm), channels)  # no ReLU
            yield Residual([*first, *dropped(nn.Dropout2d, dropout), *last], [])
            if attends:
                yield SelfAttention(channels, norm=self.norm, context=self.embedded)

    def _up(self, widths: Sequence[int]) -> Iterator[nn.Module]:
        for inputs, outputs in pairwise(widths):
            yield nn.Upsample(scale_factor=2)
            yield from self._behind(_plain(inputs, outputs, self.norm), outputs)

    def _behind(self, convolution: nn.Module, channels: int) -> list[nn.Module]:
        """Return a convolution, norm and ReLU."""
        return [convolution, *feature_norm(self.norm, channels, context=self.embedded), nn.ReLU()]


def _plain(inputs: int, outputs: int, norm: str, stride: int = 1) -> nn.Conv2d:
    """Return a 3×3 convolution, with zeros around the image."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=not removes_bias(norm))


def _reflected(inputs: int, outputs: int, kernel: int, norm: str = "none") -> nn.Conv2d:
    """Return a convolution that keeps the size, with the image reflected at its edges."""
    return nn.Conv2d(
        inputs,
        outputs,
        kernel,
        padding=kernel // 2,
        padding_mode="reflect",
        bias=not removes_bias(norm),
    )
