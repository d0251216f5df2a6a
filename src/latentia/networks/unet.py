"""U-Nets: from images to images of any size from 8×8, with skip connections between equal resolutions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.networks.attention import SelfAttention
from latentia.networks.images import WIDEST, ImageToImage, channels_last, maps, stages
from latentia.networks.layers import ReadsContext, through
from latentia.networks.mlp import dropped
from latentia.networks.norms import IMAGE_NORMS, check_norm, feature_norm, removes_bias
from latentia.networks.resnet import Residual


class UNet(ImageToImage):
    """A U-Net of residual blocks.

    At each resolution the blocks of the descending path give feature maps h; the ascending path reads h together with
    what comes back from the next lower resolution, and hands its own maps up. Resolutions are halved by strided
    convolutions until the shorter side is 4 to 8, and doubled by repeating pixels; odd sizes are rounded up on the way
    down and cut on the way up. A context vector is embedded by two layers and modulates every norm (`FiLM`).

    Args:
        in_shape: (channels, height, width) of the input.
        out_shape: (*parameters, channels, height, width) of the output, of the same height and width.
        width: feature maps at full resolution; each halving doubles them, up to ``widest`` times as many.
        widest: see there.
        blocks: residual blocks at each resolution of each path; None: 1.
        context: entries of the context vector; 0: none. A time or a class enters as its embedding.
        norm: none, batch, instance or group.
        dropout: dropout rate of feature maps in training, within each block.
        attention: largest side of feature maps at which blocks are followed by self-attention; 0: none are.

    Raises:
        UsageError: for shapes that are no images of at least 8×8 or differ in size, and for options out of range.

    References:
        Ronneberger, Fischer and Brox (2015), U-Net: convolutional networks for biomedical image segmentation,
        figure 1. He et al. (2016), Identity mappings in deep residual networks, figure 4e (the blocks). Ho, Jain and
        Abbeel (2020), Denoising diffusion probabilistic models, appendix B (group norm and attention). Perez et al.
        (2018), FiLM, eq. 2, and Dhariwal and Nichol (2021), Diffusion models beat GANs on image synthesis, section 3
        (the context).

    Example:
        >>> import torch
        >>> denoiser = UNet((3, 28, 30), (3, 28, 30), width=8, context=5, attention=8)
        >>> denoiser(torch.zeros(2, 3, 28, 30), torch.zeros(2, 5)).shape
        torch.Size([2, 3, 28, 30])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        *,
        width: int = 32,
        widest: int = WIDEST,
        blocks: int | None = None,
        context: int = 0,
        norm: str = "group",
        dropout: float = 0.0,
        attention: int = 0,
    ) -> None:
        blocks = 1 if blocks is None else blocks
        super().__init__(
            in_shape, out_shape, width=width, context=context, blocks=blocks, attention=attention
        )
        check_norm(norm, IMAGE_NORMS, "a U-Net")
        size = self.out_shape[-2:]
        plan = _Plan(size, width, widest, blocks, norm, dropout, self.embedded, attention)
        outlet = [*plan.norm_of(width), nn.SiLU(), nn.Conv2d(width, self.planes, 3, padding=1)]
        self.body = nn.Sequential(nn.Conv2d(self.channels, width, 3, padding=1), *plan.resolution(0), *outlet)
        channels_last(self)


class Level(ReadsContext):
    """One resolution of a U-Net, with all lower ones inside: h = down(x); y = up([h, inner(h)]).

    Args:
        down: blocks of the descending path.
        inner: layers that halve h, treat it at lower resolutions, and double it; what is too large is cut.
        up: blocks of the ascending path, which read twice the feature maps of h.
    """

    def __init__(
        self, down: Sequence[nn.Module], inner: Sequence[nn.Module], up: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.down = nn.Sequential(*down)
        self.inner = nn.Sequential(*inner)
        self.up = nn.Sequential(*up)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, channels, H, W) for input of that shape."""
        h = through(self.down, x, context)
        lower = through(self.inner, h, context)[:, :, : h.shape[-2], : h.shape[-1]]
        return through(self.up, torch.cat([h, lower], dim=1), context)


@dataclass(frozen=True)
class _Plan:
    """What the resolutions of a U-Net have in common."""

    size: Sequence[int]
    width: int
    widest: int
    blocks: int
    norm: str
    dropout: float
    context: int
    attention: int

    def resolution(self, stage: int) -> list[nn.Module]:
        """Return the layers between descending to a resolution and ascending from it."""
        here, below = maps(self.width, stage, self.widest), maps(self.width, stage + 1, self.widest)
        if stage == stages(*self.size):  # the lowest
            return [*self.treat(stage, here, here), *self.treat(stage, here, here)[:1]]
        halve = nn.Conv2d(here, below, 3, stride=2, padding=1)
        double = [nn.Upsample(scale_factor=2), self.convolution(below, here)]
        inner = [halve, *self.resolution(stage + 1), *double]
        return [Level(self.treat(stage, here, here), inner, self.treat(stage, 2 * here, here))]

    def treat(self, stage: int, inputs: int, outputs: int) -> list[nn.Module]:
        """Return the blocks of one path at one resolution, with attention where feature maps are small."""
        layers: list[nn.Module] = []
        for block in range(self.blocks):
            layers.append(self.block(outputs if block else inputs, outputs))
            if -(-max(self.size) // 2**stage) <= self.attention:
                layers.append(SelfAttention(outputs, norm=self.norm, context=self.context))
        return layers

    def block(self, inputs: int, outputs: int) -> Residual:
        """Return norm, SiLU, 3×3, norm, SiLU, 3×3, added to the input or to a 1×1 convolution of it."""
        branch = [
            *self.norm_of(inputs),
            nn.SiLU(),
            self.convolution(inputs, outputs),
            *self.norm_of(outputs),
            nn.SiLU(),
            *dropped(nn.Dropout2d, self.dropout),
            self.convolution(outputs, outputs),
        ]
        return Residual(branch, [] if inputs == outputs else [self.convolution(inputs, outputs, 1)])

    def convolution(self, inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
        """Return a convolution that keeps the size, without the bias that the last norm takes away."""
        bias = not removes_bias(self.norm)
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def norm_of(self, channels: int) -> list[nn.Module]:
        return feature_norm(self.norm, channels, context=self.context)
