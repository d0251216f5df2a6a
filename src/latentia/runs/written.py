"""Rows that are written in blocks, so that any number needs little memory: tables, arrays, folders of pictures."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from torch import Tensor

from latentia.errors import RunError, UsageError
from latentia.runs.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from latentia.data.spec import DataSpec

TABLES = (".csv", ".parquet")
"""The endings of files that hold tables."""


def write_tables(blocks: Iterable[pd.DataFrame], path: Path) -> None:
    """Write frames, which have the same columns, as one .csv or .parquet file, whole or not at all.

    Raises:
        RunError: for a file that cannot be written.
        UsageError: for another ending.
    """
    if path.suffix not in TABLES:
        raise UsageError(f"{path} must end in .csv or .parquet: this is a table")
    write = _csv if path.suffix == ".csv" else _parquet
    blocks = _begun(blocks)
    write_atomically(path, lambda file: write(blocks, file))


def write_arrays(blocks: Iterable[Tensor], n: int, path: Path) -> None:
    """Write n rows as one .npy file, whole or not at all.

    Raises:
        RunError: for a file that cannot be written.
    """
    blocks = _begun(blocks)
    write_atomically(path, lambda file: _npy((block.cpu().numpy() for block in blocks), n, file))


def write_pictures(blocks: Iterable[Tensor], n: int, spec: DataSpec, folder: Path) -> None:
    """Write n images as a new folder of single PNG files, whole or not at all.

    Raises:
        RunError: for a folder that is there and not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists already: choose another folder")
    blocks, images = _begun(blocks), itertools.count()
    _in_new_folder(folder, lambda place: _pngs(blocks, images, len(str(n - 1)), spec, place))


def _begun(blocks: Iterable[Any]) -> Iterator[Any]:
    """Return the same blocks with the first of them made, so that a refusal comes before any file is opened."""
    following = iter(blocks)
    return itertools.chain([next(following)], following)


def _csv(blocks: Iterator[pd.DataFrame], file: BinaryIO) -> None:
    for number, frame in enumerate(blocks):
        file.write(frame.to_csv(index=False, header=not number, lineterminator="\n").encode())


def _parquet(blocks: Iterator[pd.DataFrame], file: BinaryIO) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UsageError("Parquet files need pyarrow: install it, or write a .csv file") from None
    first = next(blocks)
    schema = _schema(pa.Table.from_pandas(first, preserve_index=False).schema)
    with parquet.ParquetWriter(file, schema) as writer:
        for frame in itertools.chain([first], blocks):
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))


def _schema(found: Any) -> Any:
    """Return Arrow's types of columns, text for those that are all gaps in the first block."""
    import pyarrow as pa

    for place, field in enumerate(found):
        if pa.types.is_null(field.type):
            found = found.set(place, field.with_type(pa.string()))
    return found


def _npy(blocks: Iterator[np.ndarray], n: int, file: BinaryIO) -> None:
    first = next(blocks)
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": (n, *first.shape[1:]),
    }
    np.lib.format.write_array_header_1_0(file, header)
    for block in itertools.chain([first], blocks):
        file.write(np.ascontiguousarray(block).tobytes())


def _pngs(blocks: Iterator[Tensor], numbers: Iterator[int], width: int, spec: DataSpec, folder: Path) -> None:
    from latentia.figures.images import image_grid, png_of

    for image in itertools.chain.from_iterable(blocks):
        content = png_of(image_grid(image[None].cpu(), spec, 1, 1))
        (folder / f"{next(numbers):0{width}d}.png").write_bytes(content)


def _in_new_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder next to its place and move it there when it is whole."""
    try:
        place = Path(tempfile.mkdtemp(dir=folder.absolute().parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        fill(place)
        place.chmod(0o755)
        place.replace(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
