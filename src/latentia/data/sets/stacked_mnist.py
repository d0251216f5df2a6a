"""Digits stacked as the channels of an image: a thousand modes, and each image shows its own."""

import zlib
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from latentia.data.randomness import mix
from latentia.data.rows import Rows
from latentia.data.splits import check_split, joined
from latentia.errors import UsageError
from latentia.registry import datasets

CHANNELS = 3
_SIZES = {"train": 128_000, "validation": 10_000, "test": 26_000}


@dataclass(frozen=True, eq=False)
class Stacked:
    """Images made of others when they are read: row i has ``images[picks[i, j]]`` as its channel j.

    Attributes:
        images: (m, height, width) images of one channel.
        picks: (n, channels) int64 numbers of images.
    """

    images: Tensor
    picks: Tensor

    def __len__(self) -> int:
        return len(self.picks)

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Return rows by number: (B, channels, height, width)."""
        if dim != 0:
            raise UsageError(f"rows are chosen along dimension 0; got {dim}")
        return self.images[self.picks.index_select(0, index)]


@datasets.register("stacked-mnist")
def stacked_mnist(split: str = "train", seed: int = 0, *, n: int | None = None) -> Rows:
    """Three digits of MNIST as the channels of an image of 28x28, 1,000 classes: 128,000 training images.

    A class is the number that the digits write, 000 to 999. Each part stacks digits of the same part of mnist, drawn
    with replacement. Metz and others (2017), "Unrolled generative adversarial networks", section 3.3.1.

    Args:
        split: train, validation, test (128,000, 10,000 and 26,000 images) or all.
        seed: of the draws, and of mnist's split.
        n: images in each part instead.
    """
    return _stacked("stacked-mnist", "mnist", split, seed, n)


@datasets.register("stacked-digits")
def stacked_digits(split: str = "train", seed: int = 0, *, n: int | None = None) -> Rows:
    """Three of scikit-learn's digits as the channels of an image of 8x8, 1,000 classes: 128,000 training images.

    A class is the number that the digits write, 000 to 999. Each part stacks digits of the same part of digits, drawn
    with replacement: stacked-mnist in small.

    Args:
        split: train, validation, test (128,000, 10,000 and 26,000 images) or all.
        seed: of the draws, and of the digits' split.
        n: images in each part instead.
    """
    return _stacked("stacked-digits", "digits", split, seed, n)


def number_of(digits: Tensor, base: int = 10) -> Tensor:
    """Return the numbers written by digits, the first one first: (n, k) → (n,).

    Example:
        >>> number_of(torch.tensor([[4, 0, 7]]))
        tensor([407])
    """
    places = base ** torch.arange(digits.shape[1] - 1, -1, -1, device=digits.device)
    return (digits * places).sum(1)


def digits_of(numbers: Tensor, k: int, base: int = 10) -> Tensor:
    """Return the k digits of numbers, the inverse of `number_of`: (n,) → (n, k).

    Example:
        >>> digits_of(torch.tensor([407]), 3)
        tensor([[4, 0, 7]])
    """
    places = base ** torch.arange(k - 1, -1, -1, device=numbers.device)
    return numbers[:, None] // places % base


def _stacked(name: str, of: str, split: str, seed: int, n: int | None) -> Rows:
    check_split(split)
    if n is not None and n < 2:
        raise UsageError(f"n={n} given; a set has at least two images")
    if split != "all":
        rows: Rows = datasets[of](split=split, seed=seed)
        return _rows(name, rows, _picks(name, split, seed, n or _SIZES[split], len(rows)))
    parts: list[Rows] = [datasets[of](split=part, seed=seed) for part in _SIZES]
    starts = accumulate((len(part) for part in parts[:-1]), initial=0)
    picks = [
        start + _picks(name, part, seed, n or size, len(rows))
        for start, rows, (part, size) in zip(starts, parts, _SIZES.items(), strict=True)
    ]
    return _rows(name, joined(parts), torch.cat(picks))


def _picks(name: str, part: str, seed: int, n: int, images: int) -> Tensor:
    """Return which images rows are made of, a function of (name, part, seed): (n, 3)."""
    generator = torch.Generator().manual_seed(mix(seed, zlib.crc32(f"{name} {part}".encode())))
    return torch.randint(images, (n, CHANNELS), generator=generator)


def _rows(name: str, rows: Rows, picks: Tensor) -> Rows:
    classes = tuple(f"{number:0{CHANNELS}}" for number in range(10**CHANNELS))
    spec = replace(rows.spec.with_classes(classes), event_shape=(CHANNELS, *rows.spec.event_shape[1:]))
    stacked = Rows(Stacked(rows.x[:, 0], picks), spec, name=name)
    return stacked if rows.labels is None else stacked.with_labels(number_of(rows.labels[picks]))
