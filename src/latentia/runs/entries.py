"""The entries of a run folder, and what may be replaced by a new run: a folder that holds them and nothing else."""

import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from latentia.errors import RunError

CONFIG, MODEL, METRICS, CHECKPOINTS = "config.json", "model.safetensors", "metrics.csv", "checkpoint"
SCORES, SAMPLES, REPORT = "scores.json", "samples.png", "report.html"
COSTS = "costs.json"  # of the training: time, steps, parameters, operations
STOPPED = "stopped.json"  # of a training that could not go on: why
JUDGED = (SCORES, SAMPLES, REPORT, STOPPED)
"""What is said of a model; a new model makes it untrue."""
SHOWN = ("sample", "encode", "reconstruct", "interpolate", "traverse", "translate", "score", "impute")
"""The verbs whose picture, table or array goes into the run's folder unless another file is named."""

_FILES = {
    CONFIG,
    MODEL,
    METRICS,
    COSTS,
    *JUDGED,
    *(f"{verb}.{end}" for verb in SHOWN for end in ("png", "npy", "csv")),
}
_CLUTTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # of programs that show folders
_CHECKPOINT = re.compile(r"\d{10,}\.safetensors")
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}")  # of a write that was killed, as `write_atomically` names it
_WAITING = re.compile(r"(?:(.+)-(\d+)\.)?new")  # of a machine's process; of none as earlier versions wrote it
_NAMED = 3  # foreign entries that a message names


def checkpoint_files(path: Path) -> list[Path]:
    """Return a run folder's checkpoints, the oldest first; other files next to them are not."""
    return sorted(each for each in (path / CHECKPOINTS).glob("*") if _CHECKPOINT.fullmatch(each.name))


def sibling(place: Path, ending: str) -> Path:
    """Return where a folder waits that is to take a place, or that leaves it ("old")."""
    place = place.resolve()  # also of "."
    return place.with_name(f".{place.name}.{ending}")


def waiting(place: Path) -> Path:
    """Return where this process fills the folder that is to take a place."""
    return sibling(place, f"{_machine()}-{os.getpid()}.new")


def left_behind(place: Path) -> list[Path]:
    """Return the folders that were to take a place, of programs of this machine that are no longer there."""
    return [path for path, process in _all_waiting(place) if not _is_running(process)]


def refuse_rivals(place: Path) -> None:
    """Raise `RunError` where another program of this machine is about to write a run to a place."""
    for path, process in _all_waiting(place):
        if _is_running(process):
            raise RunError(
                f"another program, process {process}, is writing a run to {place} (in {path.name}, next to it): "
                "choose another folder"
            )


def _all_waiting(place: Path) -> list[tuple[Path, int]]:
    """Return the folders of this machine that are to take a place, with the process that fills each, or 0."""
    place = place.resolve()
    readable = place.parent.is_dir() and os.access(place.parent, os.R_OK)
    start, found = f".{place.name}.", list[tuple[Path, int]]()
    for path in place.parent.iterdir() if readable else ():
        match = _WAITING.fullmatch(path.name.removeprefix(start)) if path.name.startswith(start) else None
        if match and match[1] in (None, _machine()):
            found.append((path, int(match[2] or 0)))
    return sorted(found)


def _machine() -> str:
    return re.sub(r"\W", "-", platform.node()) or "localhost"


def _is_running(process: int) -> bool:
    """Whether another process is there; on Windows asking would interrupt it, so that it counts as being there."""
    if process in (0, os.getpid()):
        return False
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise `RunError` if something is at the path that may not be replaced.

    With ``overwrite`` a run folder may: one with a config.json of ours, and without any entry that no run writes. So
    may an empty folder. The working directory, the home directory and their parents may not, whatever they hold.
    """
    try:
        place = path.resolve()
        there = os.path.lexists(place)
        reason, names = _why_not(place)
    except (OSError, RuntimeError) as error:
        raise RunError(f"cannot look at {path}: {error}; choose another folder") from error
    if there and not overwrite:
        otherwise = "" if reason else ", go on with resume=True, or replace it with overwrite=True"
        raise RunError(f"{path} exists already: choose another folder{otherwise}")
    if reason:
        within = f", with {_listed(names)} in it" if names else ""
        raise RunError(f"{path} {reason}, so overwrite=True leaves it alone{within}: choose another folder")
    _refuse_siblings(place, there=there or overwrite)


def _refuse_siblings(place: Path, *, there: bool) -> None:
    """Raise `RunError` where the folders next to a place that come and go with a run are not ours to delete."""
    old = sibling(place, "old")
    for path in (*left_behind(place), old):
        foreign = [path.name] if path.is_symlink() or path.is_file() else foreign_entries(path)
        if foreign:
            raise RunError(
                f"{path} is in the way, with {_listed(foreign)} in it: move it, or choose another folder"
            )
    if old.exists() and not there:
        raise RunError(
            f"{old} is the run that was at {place} when a program was killed: move it back, or delete it"
        )


def foreign_entries(path: Path) -> list[str]:
    """Return the names of a folder's entries that no run writes, links among them, in order; none of no folder."""
    return sorted(_foreign(path)) if path.is_dir() else []


def _foreign(path: Path) -> Iterator[str]:
    for entry in os.scandir(path):
        if entry.name == CHECKPOINTS and entry.is_dir(follow_symlinks=False):
            yield from (f"{CHECKPOINTS}/{name}" for name in _foreign_checkpoints(path / CHECKPOINTS))
        elif not (entry.is_file(follow_symlinks=False) and _final(entry.name) in _FILES | _CLUTTER):
            yield entry.name


def _foreign_checkpoints(path: Path) -> Iterator[str]:
    for entry in os.scandir(path):
        ours = _CHECKPOINT.fullmatch(_final(entry.name)) or entry.name in _CLUTTER
        if not (ours and entry.is_file(follow_symlinks=False)):
            yield entry.name


def _final(name: str) -> str:
    """Return the name that a temporary file was to get, or a name as it is."""
    temporary = _TEMPORARY.fullmatch(name)
    return temporary[1] if temporary else name


def _why_not(place: Path) -> tuple[str, list[str]]:
    """Return why what is at a place may not be replaced, and because of which entries; nothing where it may."""
    if not os.path.lexists(place):
        return "", []
    if not place.is_dir():
        return "is not a run folder", []
    if kept := _kept(place):
        return kept, []
    foreign = foreign_entries(place)
    if _is_config(place / CONFIG):
        return "holds what no run writes" if foreign else "", foreign
    names = foreign or sorted(each.name for each in place.iterdir())
    return "is not a run folder" if names else "", names


def _kept(place: Path) -> str:
    """Return which place this is, of those that are never replaced; nothing of others."""
    home = os.path.expanduser("~")  # noqa: PTH111 (pathlib's raises where there is none)
    for name, each in (("working", Path.cwd()), ("home", Path(home).absolute())):
        if each.exists() and any(
            place.samefile(parent) for parent in (each.resolve(), *each.resolve().parents)
        ):
            return f"is the {name} directory or a parent of it"
    return "is where a file system is mounted" if os.path.ismount(place) else ""


def _is_config(file: Path) -> bool:
    """Whether a file is a run's config.json, of whatever version of Latentia."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(config, dict) or not isinstance(config.get("format"), int) or "recipe" not in config:
        return False
    versions = config.get("versions")
    return isinstance(versions, dict) and "latentia" in versions


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
