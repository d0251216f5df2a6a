"""Folders of images as one array."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from latentia.errors import DataError, UsageError

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
_GREY = frozenset({"1", "L", "LA"})


def read_images(
    folder: Path, resize: int | tuple[int, int] | None = None, channels: int | None = None
) -> tuple[np.ndarray, list[str] | None]:
    """Read a folder of images, in the order of their paths; subfolders of the folder are classes.

    Args:
        folder: holds image files, or one subfolder of image files for each class.
        resize: (height, width), or one number for both; None where all images have one size.
        channels: 1 (grey) or 3 (red, green, blue); None is grey if every image is.

    Returns:
        (n, C, H, W) bytes, and each image's subfolder, or None where there are no subfolders.

    Raises:
        DataError: for a folder without images, a file that cannot be read, and images of different sizes.
    """
    if channels not in (None, 1, 3):
        raise UsageError(f"channels is 1 (grey) or 3 (colours); got {channels}")
    paths = sorted(path for path in folder.rglob("*") if _is_image(path, folder))
    if not paths:
        raise DataError(f"{folder} holds no images ({', '.join(sorted(ENDINGS))})")
    mode = _common_mode(paths) if channels is None else ("L" if channels == 1 else "RGB")
    size = (resize, resize) if isinstance(resize, int) else resize
    return _stack(paths, mode, size), _classes(paths, folder)


def _stack(paths: list[Path], mode: str, size: tuple[int, int] | None) -> np.ndarray:
    first = _pixels(paths[0], mode, size)
    images = np.empty((len(paths), *first.shape), np.uint8)
    for number, path in enumerate(paths):
        pixels = _pixels(path, mode, size)
        if pixels.shape != first.shape:
            raise DataError(
                f"images of different sizes: {paths[0]} is {_size(first)}, {path} is {_size(pixels)}; "
                "give one size with resize="
            )
        images[number] = pixels
    return images


def _pixels(path: Path, mode: str, size: tuple[int, int] | None) -> np.ndarray:
    """Read one image as (C, H, W) bytes, upright, resized with antialiasing."""
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert(mode)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise DataError(f"cannot read the image {path} ({error}): repair or remove it") from error
    if size is not None:
        image = image.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _common_mode(paths: list[Path]) -> str:
    """Return L if every image is grey, otherwise RGB; only headers are read."""
    return "L" if all(_mode(path) in _GREY for path in paths) else "RGB"


def _mode(path: Path) -> str:
    try:
        with Image.open(path) as file:
            mode = file.mode
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise DataError(f"cannot read the image {path} ({error}): repair or remove it") from error
    if mode[:1] in ("I", "F"):
        raise DataError(
            f"the image {path} has more than 8 bits a pixel ({mode}); save it with 8, or give an array"
        )
    return mode


def _classes(paths: list[Path], folder: Path) -> list[str] | None:
    parts = [path.relative_to(folder).parts for path in paths]
    inside = [len(part) > 1 for part in parts]
    if not any(inside):
        return None
    if not all(inside):
        loose = paths[inside.index(False)]
        raise DataError(
            f"{folder} holds both class subfolders and loose images, such as {loose}; use one kind"
        )
    return [part[0] for part in parts]


def _is_image(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in ENDINGS and not hidden


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[2]}"
