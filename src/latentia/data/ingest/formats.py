"""Readers of the formats that data is published in. None of them unpickles."""

from __future__ import annotations

import math
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latentia.data.ingest.regular import check_regular, open_regular
from latentia.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

_NPY = b"\x93NUMPY"
_MOST_DIMENSIONS = 32
_DAMAGED = (  # what NumPy, zipfile and pyarrow raise for files that are damaged, encrypted or not theirs
    OSError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    SyntaxError,
    RuntimeError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_bytes(path: Path, *, partial: bool = False) -> bytes:
    """Read a file, unzipped if it is gzipped.

    Args:
        path: the file.
        partial: return what there is of a truncated gzip file.

    Raises:
        DataError: for a file that is not there, or whose gzip data is damaged or truncated.
    """
    with open_regular(path) as file:
        raw = file.read()
    if raw[:2] != b"\x1f\x8b":
        return raw
    unzip = zlib.decompressobj(wbits=31)
    try:
        content = unzip.decompress(raw, most_bytes())
    except (zlib.error, MemoryError) as error:
        raise DataError(f"{path} is damaged gzip data ({error}): fetch it again") from error
    if unzip.unconsumed_tail:
        raise DataError(f"{path} does not fit into memory: it unzips to more than {most_bytes()} bytes")
    if not unzip.eof and not partial:
        raise DataError(f"{path} is truncated: its gzip data ends after {len(raw)} bytes; fetch it again")
    return content


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file, plain or gzipped: the format of MNIST.

    Two zero bytes, a type code, the number of dimensions, each as four big-endian bytes, then the values.

    Raises:
        DataError: for another format, and for a file shorter or longer than its header says.
    """
    raw = read_bytes(path, partial=True)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES:
        raise DataError(
            f"{path} is no IDX file: it begins with {raw[:4].hex(' ') or 'nothing'}, not 00 00 and a type"
        )
    dtype, header = np.dtype(_IDX_TYPES[raw[2]]), 4 + 4 * raw[3]
    if len(raw) < header:
        raise DataError(f"{path} is truncated: expected a header of {header} bytes, found {len(raw)}")
    if raw[3] > _MOST_DIMENSIONS:
        raise DataError(f"{path} has {raw[3]} dimensions; arrays have at most {_MOST_DIMENSIONS}")
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4).tolist()
    expected = header + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        what = "truncated" if len(raw) < expected else "too long"
        raise DataError(f"{path} is {what}: its header {shape} makes {expected} bytes, found {len(raw)}")
    values = np.frombuffer(raw, dtype, offset=header).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def read_npy(path: Path) -> np.ndarray:
    """Map a .npy file into memory without reading it; pages that are written to stay in memory.

    Raises:
        DataError: for a file that is truncated, holds Python objects, or is none.
    """
    try:
        with open_regular(path) as file:
            begins = file.read(len(_NPY))
        if begins != _NPY:
            raise DataError(
                f"{path} is no .npy file: it begins with {begins.hex(' ') or 'nothing'}, not {_NPY.hex(' ')}"
            )
        return np.lib.format.open_memmap(path, mode="c")
    except _DAMAGED as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot map {path}: {_one_line(error)}") from error


def read_npz(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Read arrays of a .npz file by name; without names, all that hold no Python objects.

    Raises:
        DataError: for a name that is not there, for an array of Python objects, and for a damaged file.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            there = array_names(archive)
            if missing := [name for name in names if name not in there]:
                raise DataError(f"{path} has no array {missing[0]!r}; there are: {', '.join(there)}")
            wanted = names or [name for name in there if _is_numeric(archive, name)]
            return {name: _member(archive, name, path) for name in wanted}
    except _DAMAGED as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot read {path}: {_one_line(error)}") from error


def array_names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the arrays of a .npz file; other members are no arrays."""
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def most_bytes() -> int:
    """Return how many bytes may be read at once: half of the memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def read_sparse(path: Path) -> np.ndarray:
    """Read a .npz file that ``scipy.sparse.save_npz`` wrote, as a dense array.

    Raises:
        DataError: for a damaged file.
    """
    from scipy.sparse import load_npz

    check_regular(path)
    try:
        return load_npz(path).toarray()
    except _DAMAGED as error:
        raise DataError(f"cannot read {path} as a sparse array: {_one_line(error)}") from error


def read_hdf5(path: Path, name: str) -> np.ndarray:
    """Read one data set of an HDF5 file, such as ``train/data``.

    Raises:
        UsageError: where h5py is not installed.
        DataError: for a name that is not there, and for a damaged file.
    """
    try:
        import h5py
    except ImportError as error:
        raise UsageError(f'h5py reads {path.name}: pip install "latentia[hdf5]"') from error
    try:
        with h5py.File(path, "r") as file:
            found = file.get(name)
            if not isinstance(found, h5py.Dataset):
                raise DataError(f"{path} has no data set {name!r}; at its top are: {', '.join(file)}")
            return np.asarray(found[()])
    except OSError as error:
        raise DataError(f"cannot read {path}: {_one_line(error)}") from error


def read_matlab(path: Path, name: str) -> np.ndarray:
    """Read one variable of a MATLAB file (up to version 7.2).

    Raises:
        DataError: for a variable that is not there, and for a damaged file or one of version 7.3 (HDF5).
    """
    from scipy.io import loadmat, whosmat

    try:
        there = [variable for variable, *_ in whosmat(path)]
        if name not in there:
            raise DataError(f"{path} has no variable {name!r}; there are: {', '.join(there)}")
        return loadmat(path, variable_names=[name])[name]
    except (OSError, ValueError, TypeError, RuntimeError, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot read {path}: {_one_line(error)}") from error


def read_bits(path: Path) -> np.ndarray:
    """Read text of lines of 0 and 1 with single spaces between, plain or gzipped, as (n, D) bytes.

    The text is never split: every line has the same length, so it is an array already.

    Raises:
        DataError: for lines of different length, and for other characters.
    """
    raw = read_bytes(path)
    width = raw.find(b"\n") + 1
    if not width:
        raise DataError(f"{path} holds no line of text")
    raw = raw if raw.endswith(b"\n") else raw + b"\n"
    size = len(raw[:width].split())
    lines, rest = divmod(len(raw), width)
    text = np.frombuffer(raw, np.uint8, count=lines * width).reshape(lines, width)
    digits, rims = text[:, 0 : 2 * size : 2], text[:, 1 : 2 * size - 1 : 2]
    wrong = ((digits != ord("0")) & (digits != ord("1"))).any(1) | (rims != ord(" ")).any(1)
    wrong |= (text[:, 2 * size - 1 :] > ord(" ")).any(1) | (text[:, -1] != ord("\n"))
    if rest or wrong.any():
        line = int(wrong.argmax()) if wrong.any() else lines
        raise DataError(
            f"{path} has something else in line {line + 1} than the {size} zeros and ones of line 1"
        )
    return digits - np.uint8(ord("0"))


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet table.

    Raises:
        UsageError: where pyarrow is not installed.
        DataError: for a damaged file.
    """
    import pandas as pd

    check_regular(path)
    try:
        return pd.read_parquet(path)
    except ImportError as error:
        raise UsageError(
            f'{path.name} is Parquet, which pyarrow reads: pip install "latentia[parquet]"'
        ) from error
    except _DAMAGED as error:
        raise DataError(f"cannot read {path}: {_one_line(error)}") from error


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    size = archive.getinfo(f"{name}.npy").file_size
    if size > most_bytes():
        raise DataError(
            f"the array {name!r} of {path} has {size} bytes, more than half of the memory: save it as a .npy file, "
            "which is read in parts"
        )
    if not _is_numeric(archive, name):
        raise DataError(f"{path} holds Python objects or text in its array {name!r}; save it as numbers")
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _is_numeric(archive: zipfile.ZipFile, name: str) -> bool:
    """Whether an array holds numbers, and not Python objects or text, according to its header."""
    with archive.open(f"{name}.npy") as file:
        first = np.lib.format.read_magic(file) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        return read(file)[2].kind in "biuf"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
