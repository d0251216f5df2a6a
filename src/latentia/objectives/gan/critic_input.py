"""What is done to rows before a critic sees them, real and generated ones alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.gan.augmentation import AUGMENTATIONS, augmented
from latentia.registry import check_name


@dataclass(frozen=True)
class CriticInput:
    """Noise that fades, and random changes of images.

    Attributes:
        noise: standard deviation of the Gaussian noise at step 0, in units of the scaled rows.
        noise_steps: steps after which it has fallen to 0, linearly; 0 keeps it.
        augment: names of `AUGMENTATIONS`, in turn.

    Raises:
        UsageError: for negative numbers, or a name that is none.

    References:
        Sønderby et al. (2017), Amortised MAP inference for image super-resolution, and Arjovsky and Bottou (2017)
        (instance noise); Zhao et al. (2020), Differentiable augmentation.

    Example:
        >>> CriticInput(noise=0.5, noise_steps=100).deviation(torch.tensor(50)).item()
        0.25
    """

    noise: float = 0.0
    noise_steps: int = 0
    augment: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.noise >= 0 or self.noise_steps < 0:
            raise UsageError(
                "instance_noise and instance_noise_steps must be at least 0; "
                f"got {self.noise} and {self.noise_steps}"
            )
        for name in self.augment:
            check_name("augmentation", name, AUGMENTATIONS)

    def deviation(self, step: Tensor) -> Tensor:
        """Return the noise's standard deviation at a step: a number."""
        if not self.noise_steps:
            return self.noise * torch.ones_like(step, dtype=torch.float32)
        return self.noise * (1 - step / self.noise_steps).clamp(min=0)

    def __call__(self, rows: Tensor, step: Tensor) -> Tensor:
        """Return the rows, scaled as networks read them, as a critic sees them at a step: (B, *event)."""
        rows = augmented(rows, self.augment)
        if not self.noise:
            return rows
        # The step stays a tensor, which a compiled loss would otherwise be compiled for anew.
        return rows + self.deviation(step) * torch.randn_like(rows)
