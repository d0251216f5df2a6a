"""A small classifier whose last hidden layer is a representation of rows."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

_SMALLEST = 4  # shorter side below which an image is not halved


class Classifier(nn.Module):
    """Class logits from rows: convolutions that halve an image to about 4×4, or two layers of 256 units.

    Each convolution is 3×3 with batch norm; feature maps double from the width to at most four times that.

    Args:
        in_shape: the shape of a row.
        classes: number of classes.
        width: feature maps of the first convolution.

    Example:
        >>> import torch
        >>> classifier = Classifier((1, 28, 28), 10)
        >>> classifier(torch.zeros(5, 1, 28, 28)).shape, classifier.features(torch.zeros(5, 1, 28, 28)).shape
        (torch.Size([5, 10]), torch.Size([5, 576]))
    """

    def __init__(self, in_shape: Sequence[int], classes: int, *, width: int = 16) -> None:
        super().__init__()
        image = len(in_shape) == 3 and min(in_shape[1:]) >= _SMALLEST
        layers, size = _convolutions(in_shape, width) if image else _hidden(math.prod(in_shape))
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(size, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, classes) logits for (B, *in_shape)."""
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer reads of each row: (B, F)."""
        return self.body(x)


def _convolutions(in_shape: Sequence[int], width: int) -> tuple[list[nn.Module], int]:
    channels, height, length = in_shape
    layers: list[nn.Module] = []
    maps = width
    while min(height, length) > _SMALLEST:
        layers += [*_convolution(channels, maps), nn.MaxPool2d(2)]
        channels, height, length, maps = maps, height // 2, length // 2, min(2 * maps, 4 * width)
    layers += [*_convolution(channels, maps), nn.Flatten()]
    return layers, maps * height * length


def _convolution(channels: int, maps: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, maps, 3, padding=1, bias=False), nn.BatchNorm2d(maps), nn.ReLU()]


def _hidden(size: int, units: int = 256) -> tuple[list[nn.Module], int]:
    return [nn.Flatten(), nn.Linear(size, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()], units
