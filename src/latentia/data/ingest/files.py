"""Files and folders of any format that is known, by their endings."""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentia.data.ingest import formats
from latentia.data.ingest.csv import read_csv
from latentia.data.ingest.layout import TextOptions
from latentia.data.ingest.parts import array_parts, folder_parts
from latentia.data.ingest.raw import Raw
from latentia.data.ingest.regular import check_regular, kind_of
from latentia.errors import DataError, UnknownNameError, UsageError
from latentia.registry import datasets, unknown

if TYPE_CHECKING:
    import pandas as pd

ACCEPTED = (
    "the name of a data set, an array, a tensor, a DataFrame, a Dataset, a DataLoader, a .npy, .npz, .csv, "
    ".parquet or IDX file, a folder of images, or a dict of several of these by name"
)
_TEXT = (".csv", ".tsv", ".txt", ".tab", ".data", ".dat", ".test")
_ROW_NAMES = ("x", "X", "imgs", "images", "data", "arr_0")
_LABEL_NAMES = ("y", "Y", "labels", "label", "targets", "target", "arr_1")


@dataclass(frozen=True)
class FileOptions:
    """How a file or a folder is to be read, where that is not for the reader to find out.

    Attributes:
        text: of a table of text.
        resize: (height, width), or one number for both, of a folder's images.
        channels: 1 or 3, of a folder's images.
        part: train, validation, test or all, of a file or folder that has parts.
    """

    text: TextOptions = field(default_factory=TextOptions)
    resize: int | tuple[int, int] | None = None
    channels: int | None = None
    part: str | None = None

    def check(self, data: Any, title: str) -> None:
        """Raise `UsageError` where there is an option for other data than this."""
        if (self.resize or self.channels) is not None and not is_folder(data):
            raise UsageError(
                "resize= and channels= are for folders of images; change an array before it is given"
            )
        if self.text != TextOptions() and not is_text(data):
            raise UsageError(
                f"header=, index= and separator= are for tables of text, such as CSV; {title} is none",
                options=("header", "index", "separator"),
            )


def read_file(path: Path, options: FileOptions) -> pd.DataFrame | Raw:
    """Read a file or a folder as it is, without looking at its values.

    Args:
        path: what to read.
        options: how.

    Raises:
        UnknownNameError: where nothing is at the path.
        DataError: for what cannot be read.
    """
    if kind_of(path) is None:
        raise UnknownNameError(_absent(path))
    if path.is_dir():
        return _folder(path, options)
    check_regular(path)
    match ending(path):
        case ".npy":
            return Raw(formats.read_npy(path))
        case ".npz":
            return _archive(path, options.part)
        case each if each in _TEXT:
            return _table(path, options.text)
        case ".parquet":
            return formats.read_parquet(path)
        case ".amat":
            return Raw(formats.read_bits(path))
        case ".idx" | ".gz" | "ubyte":
            return Raw(formats.read_idx(path))
        case other:
            raise DataError(f"cannot read {path}: unknown ending {other!r}; data is {ACCEPTED}")


def _table(path: Path, options: TextOptions) -> pd.DataFrame:
    table = read_csv(path, options)
    if table.shape[0] == 0:
        raise DataError(f"{path} is empty: as a table it has no rows; data is {ACCEPTED}")
    return whole_beside_gaps(table)


def whole_beside_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns of whole numbers are of whole numbers also where some are missing.

    Example:
        >>> import pandas as pd
        >>> whole_beside_gaps(pd.DataFrame({"a": [1.0, None], "b": [1.5, None]})).dtypes.astype(str).tolist()
        ['Int64', 'float64']
    """
    floats = [name for name, dtype in enumerate(table.dtypes) if dtype == "float64"]
    for place in floats:
        column = table.iloc[:, place].to_numpy()
        gaps = np.isnan(column)
        there = column[~gaps]
        if gaps.any() and len(there) and (there == np.round(there)).all() and np.abs(there).max() < 2**53:
            table.isetitem(place, table.iloc[:, place].astype("Int64"))
    return table


def is_table(data: Any) -> bool:
    """Whether data is the path of a table."""
    return is_text(data) or (_is_path(data) and ending(Path(data)) == ".parquet")


def is_text(data: Any) -> bool:
    """Whether data is the path of a table of text."""
    return _is_path(data) and ending(Path(data)) in _TEXT


def is_folder(data: Any) -> bool:
    """Whether data is a path at which there is no file."""
    return _is_path(data) and kind_of(Path(data)) != "file"


def _is_path(data: Any) -> bool:
    return isinstance(data, str | Path) and str(data) not in datasets


def ending(path: Path) -> str:
    """Return the ending that says what a file holds; one that says that it is gzipped only if there is no other.

    Example:
        >>> [ending(Path(name)) for name in ("a.csv", "a.b.CSV.gz", "a.gz", "train-images-idx3-ubyte.gz")]
        ['.csv', '.csv', '.gz', '.gz']
    """
    if path.name.endswith("ubyte"):
        return "ubyte"
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    zipped = suffixes[-1:] == [".gz"] and suffixes[0] in (*_TEXT, ".amat", ".idx")
    return suffixes[0] if zipped else path.suffix.lower()


def _absent(path: Path) -> str:
    """Return the line that says that nothing is at a path, or that no data set has this name."""
    if path.suffix or len(path.parts) > 1 or str(path) in datasets:
        near = difflib.get_close_matches(path.stem, datasets, n=1, cutoff=0.8)
        hint = f"; did you mean the data set {near[0]!r}?" if near else ", and no data set has this name"
        return f"there is no file or folder {path}{hint}"
    return f"{unknown('data set', str(path), datasets)}; and no file has this path"


def _folder(path: Path, options: FileOptions) -> Raw:
    from latentia.data.ingest.image_folder import read_images

    folders = folder_parts(path) if options.part else {}
    wanted = folders.values() if options.part == "all" else [folders.get(options.part or "", path)]
    return _joined([Raw(*read_images(each, options.resize, options.channels)) for each in wanted], path)


def _archive(path: Path, part: str | None) -> Raw:
    if part is not None:
        return _archived_parts(path, part)
    arrays = formats.read_npz(path)
    if {"data", "shape"} < arrays.keys() and {"indices", "row", "offsets"} & arrays.keys():
        return Raw(formats.read_sparse(path))
    rows = next((key for key in _ROW_NAMES if key in arrays), None)
    if rows is None and len(arrays) == 1:
        rows = next(iter(arrays))
    if rows is None:
        raise DataError(
            f"{path} holds {', '.join(arrays) or 'no numbers'}; name its array of rows x, its labels y"
        )
    return Raw(arrays[rows], next((arrays[key] for key in _LABEL_NAMES if key in arrays), None))


def _archived_parts(path: Path, part: str) -> Raw:
    """Read a part of a .npz file, or all of them, one after the other."""
    with zipfile.ZipFile(path) as archive:
        parts = array_parts(formats.array_names(archive))
    wanted = parts.values() if part == "all" else [parts[part]]
    raws = list[Raw]()
    for rows, labels in wanted:
        arrays = formats.read_npz(path, *filter(None, (rows, labels)))
        raws.append(Raw(arrays[rows], arrays.get(labels or "")))
    return _joined(raws, path)


def _joined(parts: Sequence[Raw], path: Path) -> Raw:
    """Return the rows of parts as those of one set.

    Raises:
        DataError: for rows of different shapes, and for labels of some parts only.
    """
    if len(parts) == 1:
        return parts[0]
    arrays = [np.asarray(part.values) for part in parts]
    labelled = {part.labels is not None for part in parts}
    if len({array.shape[1:] for array in arrays}) > 1 or len(labelled) > 1:
        raise DataError(f"the parts of {path} have rows of different shapes, or labels in some only")
    labels = np.concatenate([np.asarray(part.labels) for part in parts]) if labelled == {True} else None
    return Raw(np.concatenate(arrays), labels)
