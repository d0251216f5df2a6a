"""Normalisation: batch norm, given a context or not, and spectral norm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import spectral_norm

from latentia.errors import UsageError
from latentia.networks.layers import ReadsContext
from latentia.registry import check_name

NORMS = ("none", "batch", "spectral")


class VectorBatchNorm(nn.BatchNorm1d):
    """Batch norm of (B, D) vectors, which takes its running moments for a batch of one row, for it has no spread."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """Return the normalised vectors."""
        if len(input) > 1:
            return super().forward(input)
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


class ConditionalBatchNorm(ReadsContext):
    """Batch norm whose gain and bias depend on the context.

    y = (γ₀ + Γc) ⊙ (x − μ)/√(σ² + ε) + (β₀ + Bc), with mean μ and variance σ² of each channel over the batch. It
    starts at gain 1 and bias 0 for every context; a class one-hot gives each class a gain and a bias of its own.

    Args:
        channels: of the input.
        context: entries of the context vector.
        planes: whether the input is (B, channels, H, W), and not (B, channels).

    Reference: Dumoulin, Shlens and Kudlur (2017), A learned representation for artistic style, eq. 5 (there of each
    image by itself); Miyato and Koyama (2018), cGANs with projection discriminator, section 4.

    Example:
        >>> ConditionalBatchNorm(3, context=2)(torch.randn(5, 3, 4, 4), torch.eye(2)[[0, 1, 0, 1, 1]]).shape
        torch.Size([5, 3, 4, 4])
    """

    def __init__(self, channels: int, context: int, *, planes: bool = True) -> None:
        super().__init__()
        self.norm = (nn.BatchNorm2d if planes else VectorBatchNorm)(channels, affine=False)
        self.start = nn.Parameter(torch.cat([torch.ones(channels), torch.zeros(channels)]))
        self.slope = nn.Parameter(torch.zeros(2 * channels, context))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the normalised input, of its own shape."""
        if context is None:
            raise UsageError(
                "conditional batch norm needs a context: sample given one, or fit without classes"
            )
        gain, bias = F.linear(context, self.slope, self.start).chunk(2, dim=1)
        shape = (*gain.shape, *[1] * (x.dim() - 2))
        y = self.norm(x)
        return torch.addcmul(bias.view(shape).to(y), gain.view(shape).to(y), y)


def batch_norm(channels: int, *, planes: bool, context: int = 0) -> nn.Module:
    """Return batch norm of planes (B, C, H, W) or vectors (B, C), whose gain and bias depend on a context if any."""
    if context:
        return ConditionalBatchNorm(channels, context, planes=planes)
    return nn.BatchNorm2d(channels) if planes else VectorBatchNorm(channels)


def normed(
    layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, norm: str, *, context: int = 0
) -> list[nn.Module]:
    """Return a layer with batch norm behind it, with spectral norm around its weights, or alone."""
    if norm == "spectral":
        return [spectral_norm(layer)]
    planes = not isinstance(layer, nn.Linear)
    channels = layer.out_channels if planes else layer.out_features
    return [layer, *([batch_norm(channels, planes=planes, context=context)] if norm == "batch" else [])]


def check_norm(norm: str, known: Sequence[str] = NORMS, of: str = "a network") -> None:
    """Raise `UsageError` for a norm that is none, or one that a kind of network does not have."""
    check_name("norm", norm, NORMS)
    if norm not in known:
        raise UsageError(f"the norm of {of} is {' or '.join(known)}; got {norm!r}")


def check_conditions(context: int, norm: str) -> None:
    """Raise `UsageError` for a context that is to enter by batch norm where there is none."""
    if context and norm != "batch":
        raise UsageError(f"conditioning='batch-norm' needs norm='batch'; got norm={norm!r}")
