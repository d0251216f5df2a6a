"""Folders of images as one array."""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from latentia.data.ingest.picture_file import Look, UnreadableImageError, look_at, pixels_of
from latentia.errors import DataError, DataWarning, UsageError

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
_UNREADABLE = 0.01  # the fraction of files that are left out with a note


def read_images(
    folder: Path, resize: int | tuple[int, int] | None = None, channels: int | None = None
) -> tuple[np.ndarray, list[str] | None]:
    """Read a folder of images, in the order of their paths; subfolders of the folder are classes.

    Links to folders are followed, once; run folders are left out. Each page of a TIFF is an image. Transparent pixels
    are laid over white. One file in a hundred may be unreadable; a `DataWarning` says so in each case.

    Args:
        folder: holds image files, or one subfolder of image files for each class.
        resize: (height, width), or one number for both; None where all images have one size.
        channels: 1 (grey) or 3 (red, green, blue); None is grey if every image is.

    Returns:
        (n, C, H, W) bytes, and each image's subfolder, or None where there are no subfolders.

    Raises:
        DataError: for a folder without images, files that cannot be read, and images of different sizes.
    """
    if channels not in (None, 1, 3):
        raise UsageError(f"channels is 1 (grey) or 3 (colours); got {channels}")
    paths = sorted(image_paths(folder))
    if not paths:
        raise DataError(f"{folder} holds no images ({', '.join(sorted(ENDINGS))})")
    looks, bad = _looks(paths)
    pages = [(path, page) for path, look in looks.items() for page in range(look.pages)]
    channels = channels or (1 if all(look.grey for look in looks.values()) else 3)
    size = (resize, resize) if isinstance(resize, int) else resize
    images, read, clear = _stack(pages, channels, size, bad)
    _refuse_many(bad, len(paths))
    _say(folder, looks, bad, clear)
    return images, _classes(read, folder)


def image_paths(folder: Path, above: Sequence[str] = ()) -> Iterator[Path]:
    """Yield the images in a folder and its subfolders; hidden entries and run folders are left out.

    Raises:
        DataError: for a folder that may not be entered.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error
    chain = (*above, os.path.realpath(folder))
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if path.is_dir():
            if os.path.realpath(path) not in chain and not is_run(path):
                yield from image_paths(path, chain)
        elif path.suffix.lower() in ENDINGS:
            yield path


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's, whose images are samples."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and {"recipe", "training", "format"} <= config.keys()


def _looks(paths: Sequence[Path]) -> tuple[dict[Path, Look], list[DataError]]:
    """Read all headers; return them, and the errors of those that cannot be read."""
    looks, bad = dict[Path, Look](), list[DataError]()
    for path in paths:
        try:
            looks[path] = look_at(path)
        except UnreadableImageError as error:
            bad.append(error)
            _refuse_many(bad, len(paths))
    return looks, bad


def _refuse_many(bad: Sequence[DataError], n: int) -> None:
    """Raise the first error where there are more than one in a hundred."""
    if len(bad) > _UNREADABLE * n:
        raise DataError(str(bad[0]))


def _stack(
    pages: Sequence[tuple[Path, int]],
    channels: int,
    size: tuple[int, int] | None,
    bad: list[DataError],
) -> tuple[np.ndarray, list[Path], int]:
    """Read all images that can be read, and note the errors of others; count those with transparent pixels."""
    images, read, clear = np.empty(0), list[Path](), 0
    for path, page in pages:
        try:
            pixels, transparent = pixels_of(path, page, channels, size)
        except UnreadableImageError as error:
            bad.append(error)
            continue
        if not read:
            images = _room(len(pages), pixels)
        if pixels.shape != images.shape[1:]:
            raise DataError(
                f"images of different sizes: {read[0]} is {_size(images[0])}, {path} is {_size(pixels)}; "
                "give one size with resize="
            )
        images[len(read)] = pixels
        read.append(path)
        clear += transparent
    return images[: len(read)], read, clear


def _room(n: int, pixels: np.ndarray) -> np.ndarray:
    try:
        return np.empty((n, *pixels.shape), pixels.dtype)
    except MemoryError as error:
        raise DataError(
            f"{n} images of {_size(pixels)} do not fit into memory: give them a smaller size with resize="
        ) from error


def _say(folder: Path, looks: dict[Path, Look], bad: Sequence[DataError], clear: int) -> None:
    """Warn of what is not read quite as it stands."""
    notes = [f"{often} of {len(looks)} images {said}" for said, often in Counter(
        look.said for look in looks.values() if look.said
    ).items()]  # fmt: skip
    if clear:
        notes.append(f"{clear} images have transparent pixels, which are laid over white")
    if bad:
        notes.append(f"{len(bad)} of {len(looks) + len(bad)} files left out: {bad[0]}")
    runs = [entry.name for entry in folder.iterdir() if entry.is_dir() and is_run(entry)]
    if runs:
        notes.append(f"the run folder {runs[0]!r} inside is left out")
    for note in notes:
        warnings.warn(f"{folder.name}: {note}", DataWarning, stacklevel=3)


def _classes(paths: Sequence[Path], folder: Path) -> list[str] | None:
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


def holds_images(folder: Path) -> bool:
    """Whether there is an image somewhere in a folder."""
    return any(islice(image_paths(folder), 1))


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[2]}"
