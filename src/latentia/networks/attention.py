"""Self-attention between the pixels of feature maps."""

import math

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from latentia.networks.layers import ReadsContext, through
from latentia.networks.norms import feature_norm, removes_bias


class SelfAttention(ReadsContext):
    """Add to each pixel a weighted mean over all pixels: y = x + W softmax(QKᵀ/√d) V.

    The queries Q, keys K and values V are linear maps of the normalised pixels, split into heads of d entries; a head
    has about 64 entries. Time and memory grow with the square of the number of pixels.

    Args:
        channels: feature maps of input and output.
        norm: none, batch, instance or group.
        context: entries of the context vector, which enters by the norm; 0: none.

    References:
        Vaswani et al. (2017), Attention is all you need, eq. 1. Ho, Jain and Abbeel (2020), Denoising diffusion
        probabilistic models, appendix B (between the blocks of a U-Net).

    Example:
        >>> import torch
        >>> SelfAttention(8)(torch.zeros(5, 8, 4, 6)).shape
        torch.Size([5, 8, 4, 6])
    """

    def __init__(self, channels: int, *, norm: str = "group", context: int = 0) -> None:
        super().__init__()
        self.heads = math.gcd(channels, max(1, channels // 64))
        self.norm = nn.Sequential(*feature_norm(norm, channels, context=context))
        self.project = nn.Conv2d(channels, 3 * channels, 1, bias=False)  # softmax ignores a bias of the keys
        self.out = nn.Conv2d(channels, channels, 1, bias=not removes_bias(norm))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, channels, H, W) for input of that shape."""
        projected = self.project(through(self.norm, x, context)).flatten(2)  # (B, 3·channels, pixels)
        queries, keys, values = projected.unflatten(1, (3, self.heads, -1)).transpose(-1, -2).unbind(1)
        mixed = F.scaled_dot_product_attention(queries, keys, values)  # (B, heads, pixels, d)
        return x + self.out(mixed.transpose(-1, -2).reshape(x.shape))
