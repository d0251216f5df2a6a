"""Grids of images pixel by pixel, and pictures as PNG files."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentia.data.spec import DataSpec
from latentia.errors import DataError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

_GAP, _PAPER = 2, 128  # pixels between images, and their grey
_VISIBLE = 48  # pixels: smaller images are enlarged to at least this size


def image_grid(
    images: Tensor,
    spec: DataSpec,
    columns: int | None = None,
    scale: int | None = None,
    *,
    bounds: tuple[float, float] | None = None,
) -> Image:
    """Lay images out in rows and columns, as one picture in which every pixel is a value of the data.

    byte = round(255 (x - low) / (high - low)), clipped to 0..255, where low and high are the bounds of the
    support, or the range of the images where the support is unbounded.

    Args:
        images: (n, C, H, W) in data space, grey (C = 1) or RGB (C = 3).
        spec: what the images are.
        columns: images per row; default: such that the grid is nearly square.
        scale: factor of enlargement; default: small images are enlarged to a visible size.
        bounds: (low, high) instead of the support's, so that two grids can have the same.

    Raises:
        DataError: for images of another shape than the spec's, neither grey nor RGB, or not finite.
        UsageError: for columns or a scale below 1.

    Example:
        >>> from latentia.data.spec import Support
        >>> spec = DataSpec((1, 2, 2), Support("unit"))
        >>> image_grid(torch.zeros(3, 1, 2, 2), spec, columns=3, scale=1).size
        (10, 2)
    """
    _check(images, spec)
    n, channels = images.shape[:2]
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    scale = math.ceil(_VISIBLE / max(images.shape[2:])) if scale is None else scale
    if columns < 1 or scale < 1:
        raise UsageError(f"columns and scale must be at least 1; got {columns} and {scale}")
    columns = min(columns, n)
    tiles = _bytes(images.cpu(), bounds or spec.support.bounds)
    tiles = tiles.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    height, width = tiles.shape[2] + _GAP, tiles.shape[3] + _GAP
    grid = torch.full((channels, math.ceil(n / columns) * height, columns * width), _PAPER, dtype=torch.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * height, number % columns * width
        grid[:, top : top + tile.shape[1], left : left + tile.shape[2]] = tile
    return _picture(grid[:, :-_GAP, :-_GAP])


def drawable(spec: DataSpec) -> bool:
    """Whether rows are images that can be displayed: grey or RGB."""
    return spec.is_image and spec.event_shape[0] in (1, 3)


def png_of(image: Image) -> bytes:
    """Return a picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(image: Image) -> str:
    """Return a picture as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png_of(image)).decode()}"


def _check(images: Tensor, spec: DataSpec) -> None:
    if not drawable(spec):
        raise DataError(
            f"a grid needs grey or RGB images, (1 or 3, height, width); got rows of shape {spec.event_shape}"
        )
    if tuple(images.shape[1:]) != spec.event_shape or not len(images):
        raise DataError(f"images must have shape (n, *{spec.event_shape}); got {tuple(images.shape)}")
    if not bool(images.isfinite().all()):
        raise DataError("images hold NaN or infinite values, which no pixel can show")


def _bytes(images: Tensor, bounds: tuple[float, float] | None) -> Tensor:
    """Return images as bytes: low becomes 0, high 255."""
    images = images.double()
    low, high = bounds or (images.min().item(), images.max().item())
    span = (high - low) or 1.0  # constant images have no range
    return ((images - low) * (255 / span)).round().clamp(0, 255).to(torch.uint8)


def _picture(pixels: Tensor) -> Image:
    """Return (C, H, W) bytes as a grey or RGB picture."""
    from PIL import Image

    return Image.fromarray(pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy())
