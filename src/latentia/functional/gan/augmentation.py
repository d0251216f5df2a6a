"""Differentiable augmentation: random changes of images that a critic sees, through which gradients pass.

Applied to real and generated rows alike, and in the generator's loss too; otherwise the changes leak into what is
generated. To add one, write a function (images, generator) → images and add it to `AUGMENTATIONS`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.registry import Registry, augmentations, check_name

_SHIFTED, _CUT = 1 / 8, 1 / 2  # fractions of the height and the width


def colour(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return images of another brightness, saturation (of several channels) and contrast, drawn for each.

    brightness: + U(−½, ½); saturation: times U(0, 2) about the mean over channels; contrast: times U(½, 3/2) about the
    image's mean.

    Args:
        images: (B, channels, height, width), scaled to [-1, 1] where they are bounded.
        generator: draws, on the images' device; torch's own where None.

    Reference: Zhao et al. (2020), Differentiable augmentation for data-efficient GAN training, section 3.
    """
    brightness, saturation, contrast = torch.rand(
        3, len(images), 1, 1, 1, generator=generator, device=images.device
    ).to(images)
    images = images + (brightness - 0.5)
    if images.shape[1] > 1:
        grey = images.mean(1, keepdim=True)
        images = torch.lerp(grey, images, 2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, contrast + 0.5)


def shift(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return images moved by up to an eighth of their height and width, drawn for each; 0 comes in at the border.

    Args:
        images: (B, channels, height, width).
        generator: draws, on the images' device; torch's own where None.

    Reference: as `colour`.
    """
    rows, columns = (_offsets(images, size, generator) for size in images.shape[-2:])
    down = _shifted_index(rows, images.shape[-2])
    along = _shifted_index(columns, images.shape[-1])
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    moved = padded.movedim(1, -1)[batch, down[:, :, None], along[:, None, :]]
    return moved.movedim(-1, 1)


def cutout(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return images in which a square of half the height and width is 0, its centre drawn for each.

    Args:
        images: (B, channels, height, width).
        generator: draws, on the images' device; torch's own where None.

    Reference: as `colour`.
    """
    inside = [_inside(images, size, generator) for size in images.shape[-2:]]
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return images.masked_fill(hole[:, None], 0.0)


Augmentation = Callable[[Tensor, torch.Generator | None], Tensor]
AUGMENTATIONS: Registry[Augmentation] = augmentations
augmentations.add({"colour": colour, "shift": shift, "cutout": cutout})


def augmented(images: Tensor, names: Sequence[str], generator: torch.Generator | None = None) -> Tensor:
    """Return images after the named changes, in turn.

    Args:
        images: (B, channels, height, width).
        names: of `AUGMENTATIONS`.
        generator: draws, on the images' device; torch's own where None.

    Raises:
        UsageError: for rows that are no images, or a name that is none.

    Example:
        >>> augmented(torch.ones(2, 1, 8, 8), ["shift", "cutout"], torch.Generator().manual_seed(0)).shape
        torch.Size([2, 1, 8, 8])
    """
    if names and images.dim() != 4:
        raise UsageError(
            f"augmentation is for images (channels, height, width); got {tuple(images.shape[1:])}"
        )
    for name in names:
        check_name("augmentation", name, AUGMENTATIONS)
        images = AUGMENTATIONS[name](images, generator)
    return images


def _offsets(images: Tensor, size: int, generator: torch.Generator | None) -> Tensor:
    """Return a whole number from -most to most for each image: (B,)."""
    most = int(size * _SHIFTED + 0.5)
    return torch.randint(-most, most + 1, (len(images),), generator=generator, device=images.device)


def _shifted_index(offsets: Tensor, size: int) -> Tensor:
    """Return where each row of a moved image comes from in one that is padded by 1: (B, size)."""
    return (torch.arange(size, device=offsets.device) + offsets[:, None] + 1).clamp(0, size + 1)


def _inside(images: Tensor, size: int, generator: torch.Generator | None) -> Tensor:
    """Return which rows a square covers whose centre may be anywhere: (B, size)."""
    half = int(size * _CUT + 0.5) / 2
    centre = torch.rand(len(images), 1, generator=generator, device=images.device) * size
    return (torch.arange(size, device=images.device) + 0.5 - centre).abs() <= half
