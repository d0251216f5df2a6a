"""One image file: what it holds, and its pixels."""

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from latentia.data.ingest.regular import kind_of
from latentia.errors import DataError

_GREY = frozenset({"1", "L", "LA", "La"})
_WRONG = (  # what Pillow raises for files that are damaged
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_DEPTH, _COLOUR = 24, 25  # places of a PNG's depth and colour type


class UnreadableImageError(DataError):
    """An image that cannot be read, among others that can."""


@dataclass(frozen=True)
class Look:
    """What an image file holds, as its header says.

    Attributes:
        grey: whether it has no colours.
        pages: how many images of one size it holds.
        said: what is to be said of files like this.
    """

    grey: bool
    pages: int = 1
    said: str = ""


def look_at(path: Path) -> Look:
    """Read an image's header.

    Raises:
        UnreadableImageError: for what is no image, no file, or damaged.
        DataError: for more pixels than a picture has, and for more than 8 bits a pixel without colours.
    """
    return _with_image(path, 0, lambda file: _look(path, file))


def pixels_of(path: Path, page: int, channels: int, size: tuple[int, int] | None) -> tuple[np.ndarray, bool]:
    """Read one image as (C, H, W) bytes, upright, resized with antialiasing.

    Args:
        path: the file.
        page: which of its images.
        channels: 1 or 3.
        size: (height, width), or None for its own.

    Returns:
        the pixels, and whether some were transparent and have been laid over white.
    """
    return _with_image(path, page, lambda file: _bytes(ImageOps.exif_transpose(file), channels, size))


def _with_image(path: Path, page: int, use: Any) -> Any:
    if kind_of(path) != "file":
        raise UnreadableImageError(f"cannot read the image {path}: it is no regular file, or a link to none")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes below what is refused
            with Image.open(path) as file:
                if page:
                    file.seek(page)
                return use(file)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(
            f"the image {path} is too large ({' '.join(str(error).split())}): make it smaller first"
        ) from error
    except MemoryError as error:
        raise DataError(f"the image {path} does not fit into memory") from error
    except _WRONG as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(f"cannot read the image {path} ({what}): repair or remove it") from error


def _look(path: Path, file: Any) -> Look:
    if file.mode[:1] in ("I", "F"):
        raise DataError(
            f"the image {path} has more than 8 bits a pixel ({file.mode}); save it with 8, or give an array"
        )
    said = "have 16 bits a colour, of which the upper 8 are read" if _is_deep_colour(path, file) else ""
    frames = getattr(file, "n_frames", 1)
    if frames > 1 and file.format != "TIFF":
        said = "are animations, of which the first picture is read"
    pages = _pages(file, frames) if file.format == "TIFF" else 1
    if file.format == "TIFF" and frames > 1:
        same = "each of which is a row" if pages > 1 else "of other sizes than the first, which is read"
        said = f"have several pages, {same}"
    return Look(file.mode in _GREY, pages, said)


def _pages(file: Any, frames: int) -> int:
    """Return how many pages there are if they are alike, otherwise 1."""
    first = file.size, file.mode
    for page in range(1, frames):
        file.seek(page)
        if (file.size, file.mode) != first:
            return 1
    return frames


def _is_deep_colour(path: Path, file: Any) -> bool:
    if file.format == "TIFF":
        return file.mode[:3] == "RGB" and max(file.tag_v2.get(258, (8,))) > 8
    if file.format != "PNG":
        return False
    with path.open("rb") as raw:
        head = raw.read(_COLOUR + 1)
    return head[_DEPTH] == 16 and head[_COLOUR] != 0


def _bytes(image: Any, channels: int, size: tuple[int, int] | None) -> tuple[np.ndarray, bool]:
    clear = False
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        clear = image.getextrema()[3][0] < 255
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image) if clear else image
    image = image.convert("L" if channels == 1 else "RGB")
    if size is not None:
        image = image.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), clear
