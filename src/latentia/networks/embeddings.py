"""Embeddings of numbers, such as a time or a noise level, as the context vectors of networks."""

import math

import torch
from torch import Tensor

from latentia.errors import UsageError


def sinusoidal_embedding(t: Tensor, entries: int, *, longest: float = 10_000.0) -> Tensor:
    """Return sines and cosines of numbers at frequencies in geometric progression.

    e_i(t) = sin(ω_i t), e_{i + E/2}(t) = cos(ω_i t), with ω_i = longest^(−2i/E) for i = 0 … E/2 − 1

    Args:
        t: (B,) numbers. The shortest wave has length 2π, so times in [0, 1] are to be multiplied by about 1,000.
        entries: E, even.
        longest: 1/2π of the length that no wave reaches.

    Returns:
        (B, E), in the floating-point type of t, and in float32 for integers.

    Raises:
        UsageError: for a number of entries that is odd or below 2.

    Reference: Vaswani et al. (2017), Attention is all you need, section 3.5 (there sines and cosines alternate).

    Example:
        >>> sinusoidal_embedding(torch.tensor([0.0, 1.0]), 4)[:, :2].round(decimals=4)
        tensor([[0.0000, 0.0000],
                [0.8415, 0.0100]])
    """
    if entries < 2 or entries % 2:
        raise UsageError(f"a sinusoidal embedding has an even number of entries from 2; got {entries}")
    t = t if t.is_floating_point() else t.float()
    exponents = torch.arange(entries // 2, dtype=t.dtype, device=t.device) * (-2 / entries)
    angles = t[:, None] * torch.exp(exponents * math.log(longest))
    return torch.cat([angles.sin(), angles.cos()], dim=1)
