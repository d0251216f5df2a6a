"""What is done to rows before a critic sees them, real and generated ones alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.gan.augmentation import AUGMENTATIONS, augmented
from latentia.registry import check_name

InputTransform: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""((B, *event) scaled rows, steps done so far) → (B, *event); gradients pass."""


@dataclass(frozen=True)
class CriticInput:
    """Transforms that are applied in turn to all that critics see.

    Attributes:
        transforms: such as `Augment` and `InstanceNoise`; a module among them is saved with the objective.

    Example:
        >>> halved = CriticInput([lambda rows, step: rows / 2, lambda rows, step: rows + step])
        >>> halved(torch.tensor([[4.0]]), torch.tensor(10))
        tensor([[12.]])
    """

    transforms: Sequence[InputTransform] = ()

    def __call__(self, rows: Tensor, step: Tensor) -> Tensor:
        """Return the rows, scaled as networks read them, as a critic sees them at a step: (B, *event)."""
        for transform in self.transforms:
            rows = transform(rows, step)
        return rows


@dataclass(frozen=True)
class Augment:
    """Random changes of images.

    Attributes:
        names: of `AUGMENTATIONS`, in turn.

    Raises:
        UsageError: for a name that is none.

    Reference: Zhao et al. (2020), Differentiable augmentation for data-efficient GAN training.
    """

    names: Sequence[str]

    def __post_init__(self) -> None:
        for name in self.names:
            check_name("augmentation", name, AUGMENTATIONS)

    def __call__(self, rows: Tensor, step: Tensor) -> Tensor:  # noqa: ARG002  (the transforms' common shape)
        """Return the images, each changed at random: (B, channels, height, width)."""
        return augmented(rows, self.names)


@dataclass(frozen=True)
class InstanceNoise:
    """Gaussian noise that fades.

    Attributes:
        noise: its standard deviation at step 0, in units of the scaled rows.
        noise_steps: steps after which it has fallen to 0, linearly; 0 keeps it.

    Raises:
        UsageError: for negative numbers.

    References:
        Sønderby et al. (2017), Amortised MAP inference for image super-resolution, and Arjovsky and Bottou (2017),
        Towards principled methods for training generative adversarial networks.

    Example:
        >>> InstanceNoise(0.5, noise_steps=100).deviation(torch.tensor(50)).item()
        0.25
    """

    noise: float
    noise_steps: int = 0

    def __post_init__(self) -> None:
        if not self.noise >= 0 or self.noise_steps < 0:
            raise UsageError(
                "instance_noise and instance_noise_steps must be at least 0; "
                f"got {self.noise} and {self.noise_steps}"
            )

    def deviation(self, step: Tensor) -> Tensor:
        """Return the noise's standard deviation at a step: a number."""
        if not self.noise_steps:
            return self.noise * torch.ones_like(step, dtype=torch.float32)
        return self.noise * (1 - step / self.noise_steps).clamp(min=0)

    def __call__(self, rows: Tensor, step: Tensor) -> Tensor:
        """Return the rows with noise: (B, *event)."""
        # The step stays a tensor, which a compiled loss would otherwise be compiled for anew.
        return rows + self.deviation(step) * torch.randn_like(rows)
