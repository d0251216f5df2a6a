"""Files and folders that come in parts: ``train/…`` and ``test/…``, or ``x_train`` and ``x_test``."""

import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from latentia.data.ingest import formats
from latentia.errors import DataWarning, UsageError
from latentia.registry import datasets, unknown

_WORDS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_PARTS = {word: part for part, words in _WORDS.items() for word in words}
_ROWS = r"x|imgs|images|data|features"
_LABELS = r"y|labels?|targets?"
_PART = "|".join(_PARTS)


def parts_of(data: Any) -> tuple[str, ...]:
    """Return the parts that a folder of images or a .npz file has; none for anything else.

    Raises:
        DataError: for a folder that may not be entered.
    """
    if not isinstance(data, str | Path) or str(data) in datasets:
        return ()
    path = Path(data)
    try:
        if path.is_dir():
            return tuple(folder_parts(path))
        if path.suffix.lower() != ".npz" or not path.is_file():
            return ()
        with zipfile.ZipFile(path) as archive:
            return tuple(array_parts(formats.array_names(archive)))
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):  # who reads it says what is wrong
        return ()


def folder_parts(folder: Path) -> Mapping[str, Path]:
    """Return the folders of the parts: all subfolders with images, where they are called train, test, ..."""
    from latentia.data.ingest.image_folder import ENDINGS, holds_images, is_run

    visible = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    inside = sorted(entry for entry in visible if entry.is_dir())
    if not any(_PARTS.get(entry.name.lower()) == "train" for entry in inside):
        return {}
    filled = [entry for entry in inside if not is_run(entry) and holds_images(entry)]
    loose = any(entry.suffix.lower() in ENDINGS for entry in visible if entry not in inside)
    parts = {_PARTS.get(entry.name.lower(), ""): entry for entry in filled}
    return {} if loose or "" in parts or len(parts) != len(filled) or len(parts) < 2 else _ordered(parts)


def array_parts(names: Iterable[str]) -> Mapping[str, tuple[str, str | None]]:
    """Return the names of the rows and of the labels of each part of a .npz file.

    Example:
        >>> array_parts(["x_train", "y_train", "x_test", "more"])
        {'train': ('x_train', 'y_train'), 'test': ('x_test', None)}
    """
    found = {kind: dict[str, str]() for kind in (_ROWS, _LABELS)}
    for name in names:
        for kind, parts in found.items():
            match = re.fullmatch(rf"(?i)(?:{kind})_({_PART})|({_PART})_(?:{kind})", name)
            if match:
                parts.setdefault(_PARTS[(match[1] or match[2]).lower()], name)
    rows, labels = found.values()
    parts = {part: (name, labels.get(part)) for part, name in rows.items()}
    return _ordered(parts) if "train" in parts else {}


def chosen_part(parts: tuple[str, ...], split: str | None, name: str) -> str | None:
    """Return the part to read, with a note where none was given; None where there are none.

    Raises:
        UsageError: for a part that is not there.
    """
    if not parts:
        return None
    if split is None:
        others = " or ".join(f"split={part!r}" for part in (*parts[1:], "all"))
        note = f"{name} has the parts {', '.join(parts)}, of which train is read: {others} reads another"
        warnings.warn(note, DataWarning, stacklevel=3)
        return "train"
    if split not in (*parts, "all"):
        raise UsageError(f"{name}: {unknown('part', split, (*parts, 'all'))}", options=("split",))
    return split


def _ordered(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {part: parts[part] for part in ("train", "validation", "test") if part in parts}
