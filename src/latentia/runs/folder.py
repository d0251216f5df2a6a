"""The run folder: config.json, model.safetensors, checkpoint/, metrics.csv, scores.json. No pickle anywhere."""

import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from latentia.core.objective import Objective
from latentia.errors import RunError
from latentia.registry import recipes
from latentia.runs.costs import Costs, write_costs
from latentia.runs.entries import (
    CHECKPOINTS,
    CONFIG,
    JUDGED,
    MODEL,
    STOPPED,
    checkpoint_files,
    left_behind,
    refuse_existing,
    refuse_rivals,
    sibling,
    waiting,
)
from latentia.runs.files import read_json, read_metadata, read_tensors, write_json, write_tensors
from latentia.runs.history import HistoryFile, Row
from latentia.runs.outside import refuse_missing_parts
from latentia.runs.renamed import completed_options, current_options
from latentia.version import __version__

FORMAT = 1  # of config.json; raised when an older program could no longer read it
_PARTS = {
    "options": dict,
    "training": dict,
    "data": dict,
    "versions": dict,
    "recipe": str | None,
    "stage": int,
}
_OF_DATA = {"name", "named", "n", "split_seed", "spec"}


@dataclass(frozen=True)
class Checkpoint:
    """What a training goes on from.

    Attributes:
        tensors: the training's state, averaged and best weights included.
        facts: step, over all stages; stage, and whether it is finished; the running averages and the early
            stopping, as JSON values.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def read_config(path: Path) -> dict[str, Any]:
    """Read a run folder's config.json, with options under the names of today.

    Raises:
        RunError: if the folder or the file is missing, damaged or from a newer version, or names parts from outside the
            package that are not imported.
    """
    if not path.is_dir():
        raise RunError(f"there is no run folder at {path}")
    if not any((path / name).exists() for name in (CONFIG, MODEL, CHECKPOINTS)):
        raise RunError(f"{path} is no run folder: it holds no {CONFIG}")
    config = read_json(path / CONFIG)
    if not isinstance(config.get("format"), int) or config["format"] > FORMAT:
        versions = config.get("versions")
        written = versions.get("latentia") if isinstance(versions, dict) else None
        raise RunError(
            f"{path / CONFIG} has format {config.get('format')}, written by latentia "
            f"{written or 'an unknown version'}; this is latentia {__version__}, which reads formats up to "
            f"{FORMAT}: install a newer one"
        )
    _check_parts(config, path / CONFIG)
    refuse_missing_parts(path, config)
    for part in ("options", "training"):
        config[part] = current_options(config["recipe"], config[part], stacklevel=4)
    if config["recipe"] in recipes and isinstance(config["data"]["spec"], dict):
        support = str(config["data"]["spec"].get("support", ""))
        config["options"] = completed_options(config["recipe"], config["options"], support)
    return config


def _check_parts(config: Mapping[str, Any], file: Path) -> None:
    missing = _PARTS.keys() - config.keys()
    if missing:
        raise RunError(f"{file} lacks {', '.join(sorted(missing))}; it is damaged")
    for name, kind in _PARTS.items():
        if not isinstance(config[name], kind):
            raise RunError(f"{file} holds {type(config[name]).__name__} as its {name}; it is damaged")
    missing = _OF_DATA - config["data"].keys()
    if missing:
        raise RunError(f"{file} does not say its data's {', '.join(sorted(missing))}; it is damaged")


def new_folder(place: Path, *, overwrite: bool) -> Path:
    """Make an empty folder next to the place that it is to take.

    Raises:
        RunError: if something is at the place that may not be replaced, another program is making one for it too, or
            the folder cannot be made.
    """
    refuse_existing(place, overwrite=overwrite)
    refuse_rivals(place)
    new = waiting(place)
    try:
        for left in left_behind(place):
            shutil.rmtree(left, ignore_errors=True)
        new.mkdir(parents=True)
    except OSError as error:
        raise RunError(f"cannot make the run folder {place}: {error.strerror or error}") from error
    return new


def take_place(new: Path, place: Path) -> None:
    """Move a folder to its place; the older one there is deleted last."""
    old = sibling(place, "old")
    try:
        try:
            if place.exists():  # else the older one may be what an earlier program left there
                shutil.rmtree(old, ignore_errors=True)
                place.rename(old)
            new.rename(place)
        except BaseException:  # Ctrl-C among them
            if old.exists() and not place.exists():
                old.rename(place)
            raise
    except OSError as error:
        raise RunError(f"cannot make the run folder {place}: {error.strerror or error}") from error
    shutil.rmtree(old, ignore_errors=True)


def write_model(objective: Objective, path: Path) -> None:
    """Write model.safetensors: the objective's state, critics included. What was said of another model goes."""
    for name in JUDGED:
        (path / name).unlink(missing_ok=True)
    write_tensors(path / MODEL, objective.state_dict())


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, and then drop all but the last two."""
    folder = path / CHECKPOINTS
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make {folder}: {error.strerror or error}") from error
    write_tensors(
        folder / f"{checkpoint.facts['step']:010d}.safetensors", checkpoint.tensors, checkpoint.facts
    )
    for old in checkpoint_files(path)[:-2]:
        old.unlink()


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read the last checkpoint, or the one before it if the last is damaged; None if there is none."""
    damaged: RunError | None = None
    for file in reversed(checkpoint_files(path)):
        try:
            return Checkpoint(*read_tensors(file))
        except RunError as error:
            damaged = damaged or error
    if damaged is not None:
        raise damaged
    return None


def is_finished(path: Path) -> bool | None:
    """Whether a folder's last checkpoint is of a training that had come to its end; None where there is none."""
    files = checkpoint_files(path)
    return bool(read_metadata(files[-1]).get("finished")) if files else None


def read_stopped(path: Path) -> str:
    """Read why a training could not go on; an empty line of one that could."""
    return str(read_json(path / STOPPED).get("reason", "")) if (path / STOPPED).exists() else ""


class RunFolder:
    """The folder that a training writes as it goes.

    A new one is filled next to its place, and takes it with the first checkpoint or the model: until then, and
    whatever fails, an older run at that place is as it was.

    Args:
        path: its place.
        config: what config.json is to hold.
        objective: what is trained.
        overwrite: whether a run folder at that place is to be replaced.
        begun: whether the folder there is of this run already, which goes on.
    """

    def __init__(
        self, path: Path, config: Mapping[str, Any], objective: Objective, *, overwrite: bool, begun: bool
    ) -> None:
        self.place = path.resolve()
        self.config = config
        self.objective = objective
        self.overwrite = overwrite
        self.begun = begun
        self.before = _written(self.place)
        self.history = HistoryFile()
        self.path: Path | None = None  # where it is now; None before anything is written

    @property
    def open(self) -> bool:
        """Whether anything has been written."""
        return self.path is not None

    def record(self, history: Sequence[Row]) -> None:
        """Bring metrics.csv up to a history that has grown."""
        with self._writing() as path:
            self.history.record(history, path)

    def keep(self, checkpoint: Checkpoint, costs: Costs) -> None:
        """Write a checkpoint, after what the training cost: times stand apart, so that equal runs are equal bytes."""
        with self._writing() as path:
            write_costs(costs, path)
            write_checkpoint(checkpoint, path)
            self._settle(path)

    def close(self, stopped: str = "", costs: Costs | None = None) -> None:
        """Write the model, what it cost and, where the training could not go on, why."""
        with self._writing() as path:
            write_model(self.objective, path)
            if costs is not None:
                write_costs(costs, path)
            if stopped:
                write_json(path / STOPPED, {"reason": stopped})
            self._settle(path)

    @contextmanager
    def _writing(self) -> Generator[Path]:
        """Give the folder to write into; if that fails, one that has not taken its place yet is removed."""
        try:
            if self.path is None:
                self.path = self.place if self.begun else new_folder(self.place, overwrite=self.overwrite)
                if self.config["stage"]:  # the model there is an earlier stage's
                    (self.path / MODEL).unlink(missing_ok=True)
                write_json(self.path / CONFIG, self.config)
            yield self.path
        except BaseException:
            if self.path not in (None, self.place):
                shutil.rmtree(self.path, ignore_errors=True)
                self.path = None
            raise

    def _settle(self, path: Path) -> None:
        if path != self.place:
            refuse_existing(self.place, overwrite=self.overwrite)  # again: what may have come since
            if _written(self.place) != self.before:
                raise RunError(
                    f"another program has written a run to {self.place} meanwhile: choose another folder"
                )
            take_place(path, self.place)
            self.path = self.place


def _written(place: Path) -> int | None:
    """Return when a run folder's config.json was written, in nanoseconds; None where there is none."""
    file = place / CONFIG
    return file.stat().st_mtime_ns if file.is_file() else None
