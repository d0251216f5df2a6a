"""Rows from whatever the user has: a name, an array, a table, a data set, a file or a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from latentia.checks import keyword_options
from latentia.core.objective import Batch
from latentia.data.domains import in_domains
from latentia.data.ingest.files import ACCEPTED, FileOptions, is_folder, is_table, is_text, read_file
from latentia.data.ingest.layout import TextOptions
from latentia.data.ingest.parts import chosen_part, parts_of
from latentia.data.ingest.raw import Raw
from latentia.data.ingest.tables import TableReading, declared_columns, read_table
from latentia.data.ingest.torch_dataset import read_items
from latentia.data.ingest.unusual import frame_of_records, is_sparse, is_structured
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.data.splits import seeded_part
from latentia.data.streams import Stream, stream_of
from latentia.errors import UsageError
from latentia.registry import datasets


def read_rows(
    data: Any,
    *,
    support: Support | str | None = None,
    labels: Any = None,
    context: str | Sequence[str] = (),
    columns: Mapping[str, str] | Iterable[str] = (),
    like: DataSpec | None = None,
    split: str | None = None,
    seed: int = 0,
    copies: str = "auto",
    resize: int | tuple[int, int] | None = None,
    channels: int | None = None,
    header: str = "auto",
    index: str = "auto",
    separator: str | None = None,
    name: str | None = None,
    **options: Any,
) -> Rows | Stream:
    """Read data of any origin as rows, checked: finite, of one shape, inside their support.

    Args:
        data: a registered name, NumPy array, tensor, pandas DataFrame, torch ``Dataset`` (read through once)
            or ``DataLoader`` (a `Stream`), a path to .npy (mapped: it may be larger than memory), .npz, .csv,
            .parquet or IDX, or to a folder of images whose subfolders, if any, are classes. Arrays are (n, D)
            tables or (n, H, W), (n, H, W, C), (n, C, H, W) images. A dict of unpaired sets by name is one set of
            rows whose label is called ``domain``.
        support: what values may be, such as "unit" or "discrete(256)"; None infers it conservatively.
        labels: (n,) class numbers or names; or the name of a table's column that holds them; or, for a
            ``DataLoader``, the names of the classes whose numbers it gives.
        context: the name of a table's column, or several, that are no part of the rows, but what a conditional model
            is given: numbers as they are, all else as categories.
        columns: the kinds of a table's columns by name, where they are not to be inferred, as in
            ``{"year": "categorical", "note": "drop"}``; `column_kinds` lists them.
        like: the spec of rows that a table's are to be like: its columns are found by name, and its categories
            numbered as there.
        split: train, validation, test or all. A named set without an official split, and own data, are split
            by seed into 80, 10 and 10 %. None: the training part of a named set, all of own data. A folder of images
            with subfolders train and test, and a .npz file with x_train and x_test, have these parts.
        seed: of the split, and of toy sets.
        copies: what a split by seed does with copies of rows: keep, group in one part, drop, or auto, which groups
            those that chance does not explain. Official splits stay as they are.
        resize: (height, width), or one number for both, for folders of images.
        channels: 1 or 3, for folders of images.
        header: whether the first line of a table of text, such as CSV, holds the columns' names: auto, yes or no.
        index: whether its first column holds row names or row numbers, which are left out: auto, yes or no.
        separator: what stands between its fields: a character, ``tab`` or ``space``; None to find it.
        name: what to call the data in messages and reports.
        options: of a named set.

    Raises:
        DataError: for data that cannot be read, or that breaks what was declared about it.
        UsageError: for arguments that do not fit the data.
        UnknownNameError: for a name that is neither a data set nor a file.

    Example:
        >>> rows = read_rows(np.eye(4), labels=["a", "a", "b", "b"])
        >>> len(rows), rows.spec.event_shape, str(rows.spec.support), rows.spec.classes
        (4, (4,), 'real', ('a', 'b'))
    """
    if isinstance(data, Mapping):
        if labels is not None or context:
            raise UsageError(
                "a dict of sets has its names as labels, and no context: leave labels= and context= out"
            )
        files = {
            "resize": resize,
            "channels": channels,
            "header": header,
            "index": index,
            "separator": separator,
        }
        reading = {"support": support, "split": split, "seed": seed, "copies": copies}
        return _domains(data, name or " and ".join(map(str, data)), files, **reading, **options)
    declared = Support.parse(support) if isinstance(support, str) else support
    files = FileOptions(TextOptions(header, index, separator), resize, channels)
    files.check(data, _title(data))
    context, kinds = (context,) if isinstance(context, str) else tuple(context), declared_columns(columns)
    if (context or kinds) and not (is_frame(data) or is_table(data)):
        said = f"context={list(context)}" if context else f"columns={kinds}"
        raise UsageError(
            f"{said} names columns, but {_title(data)} is no DataFrame and no CSV or parquet file"
        )
    if isinstance(data, str) and data in datasets:
        options |= _treating(data, copies)
        return _named(data, declared, labels, split or "train", seed, name, options)
    if options:
        raise UsageError(
            f"{', '.join(options)} given, but {_title(data)} is not a named data set with options"
        )
    if _is_loader(data):
        if split is not None:
            raise UsageError("a loader has no split; split its data set, or give an array")
        return stream_of(data, declared, labels, name or "data")
    like = like if like is not None and len(like.event_shape) == 1 else None
    reading = TableReading(declared, labels, context, kinds, like)
    part = chosen_part(parts_of(data), split, _title(data))
    rows = _own(data, reading, replace(files, part=part), name or _title(data))
    return rows if split is None or part is not None else seeded_part(rows, split, seed, copies)


def _domains(data: Mapping[str, Any], name: str, files: Mapping[str, Any], **reading: Any) -> Rows:
    """Read each of several sets, and join them; what is said of files is for those of its kind among them."""
    parts: dict[str, Rows] = {}
    first: DataSpec | None = None
    for key, each in data.items():
        fit = ("resize", "channels") * is_folder(each) + ("header", "index", "separator") * is_text(each)
        rows = read_rows(each, **reading, **{option: files[option] for option in fit}, like=first)
        if isinstance(rows, Stream):
            raise UsageError(
                f"the domain {key!r} is a loader, whose rows have no numbers: give an array or a Dataset"
            )
        parts[key] = rows
        first = first or (rows.spec if rows.spec.table and rows.spec.support.columns else None)
    return in_domains(parts, name)


def _treating(name: str, copies: str) -> dict[str, str]:
    """Return the option of a named set that says what a split does with copies; those with official parts have none.

    Raises:
        UsageError: where it would change a split that is official, or of images or draws.
    """
    if "copies" in keyword_options(datasets[name]):
        return {"copies": copies}
    if copies in ("group", "drop"):
        raise UsageError(
            f"copies={copies!r} is for tables without parts of their own; those of {name} stay as they are",
            options=["copies"],
        )
    return {}


def _named(
    data: str,
    support: Support | None,
    labels: Any,
    split: str,
    seed: int,
    name: str | None,
    options: dict[str, Any],
) -> Rows:
    if labels is not None:
        raise UsageError(f"{data} has labels of its own, or none; labels= is for own data")
    rows: Rows = datasets[data](split=split, seed=seed, **options)
    return _declared(rows, support, name or rows.name)


def _declared(rows: Rows, support: Support | None, name: str) -> Rows:
    """Return rows under another name and, where one is declared, another support, which is checked."""
    if support is None or support == rows.spec.support:
        return replace(rows, name=name)
    support.check_blocks((batch.x for batch in rows.blocks(4096)), name=name)
    return replace(rows, name=name, spec=replace(rows.spec, support=support))


def _own(
    data: Any,
    reading: TableReading,
    options: FileOptions,
    name: str,
) -> Rows:
    support, labels = reading.support, reading.labels
    match data:
        case Rows():
            return _declared(data, support, name)
        case Dataset() if labels is not None:
            raise UsageError("labels= given, but a Dataset gives its labels itself, in items (x, y)")
        case TensorDataset():
            return Raw(data.tensors[0], *data.tensors[1:2], support=support).rows(name)
        case Dataset():
            return read_items(data, support, name)
        case str() | Path():
            return _file(Path(data), reading, options, name)
        case _ if is_frame(data):
            return read_table(data if hasattr(data, "columns") else data.to_frame(), name, reading)
        case _ if is_structured(data):
            return read_table(frame_of_records(data, name), name, reading)
        case _ if isinstance(data, np.ndarray | Tensor | list) or is_sparse(data):
            return Raw(data, _given(labels, name), support).rows(name)
        case _:
            raise UsageError(f"cannot read {type(data).__name__} as data; data is {ACCEPTED}")


def _file(
    path: Path,
    reading: TableReading,
    options: FileOptions,
    name: str,
) -> Rows:
    content = read_file(path, options)
    if isinstance(content, Raw) and is_structured(content.values):
        content = frame_of_records(content.values, name)
    if not isinstance(content, Raw):
        return read_table(content, name, reading)
    labels = _given(reading.labels, name, content.labels)
    return replace(content, labels=labels, support=reading.support).rows(name)


def _given(labels: Any, name: str, own: Any = None) -> Any:
    """Return the labels that were given, or the source's own."""
    if isinstance(labels, str):
        raise UsageError(
            f"labels={labels!r} names a column, but {name} is no table; give the labels themselves"
        )
    return own if labels is None else labels


def _is_loader(data: Any) -> bool:
    if isinstance(data, IterableDataset) or (isinstance(data, list) and data and isinstance(data[0], Batch)):
        return True
    known = isinstance(data, Rows | Dataset | np.ndarray | Tensor | str | Path | list | tuple | dict)
    if known or is_frame(data) or is_sparse(data) or not isinstance(data, Iterable):
        return False
    if isinstance(data, Iterator):
        raise UsageError(
            f"{type(data).__name__} can be read only once; give a list, an array or a DataLoader"
        )
    return True


def is_frame(data: Any) -> bool:
    """Whether data is a frame or a series of pandas, which is not imported for that."""
    pandas = sys.modules.get("pandas")  # a frame exists only where pandas has been imported
    return pandas is not None and isinstance(data, pandas.DataFrame | pandas.Series)


def _title(data: Any) -> str:
    if isinstance(data, Rows):
        return data.name
    return Path(data).name if isinstance(data, str | Path) else "data"
