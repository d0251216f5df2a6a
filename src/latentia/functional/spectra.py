"""Power of images by spatial frequency, and how much of it blurred reconstructions lose."""

import torch
from torch import Tensor

from latentia.errors import UsageError


def high_frequency_power(images: Tensor, cut: float = 0.25) -> Tensor:
    """Return the power of images above a spatial frequency.

    (1/HW)² Σ_{|f| > cut} |F(f)|², F(f) = Σ_x image(x) e^(−2πi f·x), summed over channels, f in cycles per pixel; over
    all f but 0 it is the variance of a channel's pixels (Parseval).

    Args:
        images: (n, C, H, W).
        cut: in cycles per pixel; 0.5 is the Nyquist frequency along an axis.

    Returns:
        (n,), in squared units of the pixels.

    Raises:
        UsageError: for another shape, or a cut outside [0, √½), the range of frequencies of an image.

    Example:
        >>> stripes = torch.tensor([1.0, -1.0]).repeat(1, 1, 4, 2)
        >>> high_frequency_power(stripes), high_frequency_power(torch.ones(1, 1, 4, 4))
        (tensor([1.]), tensor([0.]))
    """
    if images.dim() != 4 or not 0 <= cut < 0.5**0.5:
        raise UsageError(
            f"images must be (n, C, H, W), the cut from 0 to 0.7; got {tuple(images.shape)}, {cut}"
        )
    height, width = images.shape[2:]
    down, across = torch.fft.fftfreq(height), torch.fft.fftfreq(width)
    above = (down[:, None].square() + across.square()).sqrt() > cut
    power = torch.fft.fft2(images).abs().square() / (height * width) ** 2
    return (power * above.to(power)).sum((1, 2, 3))


def lost_power(images: Tensor, reconstructions: Tensor, cut: float = 0.25) -> float:
    """Return the fraction of the power above a spatial frequency that reconstructions lack.

    1 − mean power of reconstructions / mean power of images: 0 for images as sharp as the data, 1 for blurred
    ones, negative where they are noisier than the data.

    Args:
        images: (n, C, H, W).
        reconstructions: (m, C, H, W).
        cut: in cycles per pixel.

    Raises:
        UsageError: for other shapes, or images that have no power above the cut.

    Example:
        >>> stripes = torch.tensor([1.0, -1.0]).repeat(1, 1, 4, 2)
        >>> lost_power(stripes, 0.5 * stripes)
        0.75
    """
    whole = float(high_frequency_power(images, cut).mean())
    if not whole > 0:
        raise UsageError(f"the images have no power above {cut} cycles per pixel: choose a lower cut")
    return 1 - float(high_frequency_power(reconstructions, cut).mean()) / whole
