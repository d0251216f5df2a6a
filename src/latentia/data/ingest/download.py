"""Published files in a cache folder: used if there, downloaded if not, never used unverified."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pooch

from latentia.errors import DataError


@dataclass(frozen=True)
class PublishedFile:
    """A file that somebody publishes.

    Attributes:
        path: its place in the cache folder, as mnist/train-images-idx3-ubyte.gz.
        address: where it is published.
        checksums: of the bytes that are known to be it, as "sha256:…"; none for a live export.
        direct: whether the address answers with the file itself.
    """

    path: str
    address: str
    checksums: tuple[str, ...] = ()
    direct: bool = True


def side_by_side(
    folder: str, address: str, checksums: Mapping[str, str], *, direct: bool = True
) -> dict[str, PublishedFile]:
    """Return the files that one address publishes side by side, by name; they share a folder of the cache.

    Example:
        >>> side_by_side("set", "https://a.test/", {"x.csv": "sha256:00"})["x.csv"].address
        'https://a.test/x.csv'
    """
    return {
        name: PublishedFile(f"{folder}/{name}", address + name, (checksum,), direct)
        for name, checksum in checksums.items()
    }


def cache_folder() -> Path:
    """Return the folder of downloaded files: ``LATENTIA_DATA``, or the user's cache folder."""
    return Path(os.environ.get("LATENTIA_DATA") or pooch.os_cache("latentia")).expanduser()


def fetch(*choices: PublishedFile) -> Path:
    """Return the first of interchangeable files that is in the cache, verified; else download one.

    Raises:
        DataError: if a file is not what was published, or is absent and cannot be downloaded; the line says
            which file to put where.
    """
    for file in choices:
        path = cache_folder() / file.path
        if path.exists():
            _verify(path, file)
            return path
    return _download(next((file for file in choices if file.direct), choices[0]))


def _download(file: PublishedFile) -> Path:
    path = cache_folder() / file.path
    if not file.direct:
        raise DataError(_absent(path, file, "it has no address that a program can download from"))
    try:
        pooch.retrieve(file.address, next(iter(file.checksums), None), fname=path.name, path=path.parent)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(_absent(path, file, f"downloading it failed ({reason[:120]})")) from error
    _verify(path, file)
    return path


def _verify(path: Path, file: PublishedFile) -> None:
    state = path.stat()
    wrong = _mismatch(path, state.st_size, state.st_mtime_ns, file.checksums)
    if wrong:
        raise DataError(
            f"{path} is not the published file: its checksum is {wrong}, expected {' or '.join(file.checksums)}; "
            f"remove it, or put there what {file.address} gives"
        )


@lru_cache(maxsize=256)  # a file is hashed once in a process, unless it changes
def _mismatch(path: Path, size: int, changed: int, checksums: tuple[str, ...]) -> str | None:  # noqa: ARG001
    """Return a file's checksum if it is none of those expected."""
    kinds = {checksum.partition(":")[0] for checksum in checksums}
    found = {f"{kind}:{pooch.file_hash(str(path), alg=kind)}" for kind in kinds}
    return None if not found or found & set(checksums) else " or ".join(found)


def _absent(path: Path, file: PublishedFile, reason: str) -> str:
    return (
        f"{file.path} is not there, and {reason}: put {file.address} at {path}, "
        f"or let LATENTIA_DATA name a folder that holds {file.path}"
    )
