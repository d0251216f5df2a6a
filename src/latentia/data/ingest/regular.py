"""Regular files, opened: what is none, such as a pipe that nobody writes to, would be waited for without end."""

import errno
import stat
from pathlib import Path
from typing import BinaryIO

from latentia.errors import DataError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading bytes.

    Raises:
        DataError: for a pipe, a device, a socket or a folder, and for what cannot be opened.
    """
    check_regular(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def check_regular(path: Path) -> None:
    """Raise `DataError` for what is no regular file, or cannot be looked at, without opening it."""
    kind = kind_of(path)
    if kind is None:
        raise DataError(f"cannot read {path}: there is no such file")
    if kind != "file":
        raise DataError(f"{path} is {kind}, not a file: copy its content into a file, and give that")


def kind_of(path: Path) -> str | None:
    """Return what is at a path: file, a folder, a pipe, a device, a socket; None where nothing is.

    Raises:
        DataError: for a name that is too long, a circle of links, and a folder that may not be entered.

    Example:
        >>> kind_of(Path("."))
        'a folder'
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {_short(path)}: {_reason(error)}") from error
    return "file" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "something else")


def _reason(error: OSError | ValueError) -> str:
    match error:
        case OSError(errno=errno.ELOOP):
            return "its links lead back to themselves"
        case OSError(errno=errno.ENAMETOOLONG):
            return "its name is longer than a file system allows"
        case OSError():
            return str(error.strerror)
        case _:
            return str(error)


def _short(path: Path) -> str:
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= 100 else f"{text[:60]}…{text[-30:]}"
