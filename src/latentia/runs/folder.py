"""The run folder: config.json, model.safetensors, checkpoint/, metrics.csv, scores.json. No pickle anywhere."""

from __future__ import annotations

import csv
import dataclasses
import platform
import shutil
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from latentia import __version__
from latentia.core.recipe import Recipe
from latentia.core.state import load_module
from latentia.data.spec import DataSpec
from latentia.errors import LatentiaError, RunError
from latentia.runs.build import build
from latentia.runs.files import read_json, read_tensors, write_atomically, write_json, write_tensors
from latentia.runs.options import TRAINING, Training
from latentia.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1  # of config.json; raised when an older program could no longer read it
CONFIG, MODEL, METRICS, CHECKPOINTS = "config.json", "model.safetensors", "metrics.csv", "checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """What a training goes on from.

    Attributes:
        tensors: the training's state, averaged and best weights included.
        facts: step, whether it is finished, the running averages and the early stopping, as JSON values.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def config_of(run: Run) -> dict[str, Any]:
    """Return what config.json holds: all that is needed to build the run's model again."""
    import numpy
    import torch

    return {
        "format": FORMAT,
        "recipe": run.name,
        "options": dict(run.options),
        "training": dataclasses.asdict(run.training),
        "data": dict(run.data),
        "versions": {
            "latentia": __version__,
            "torch": str(torch.__version__),
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
    }


def read_config(path: Path) -> dict[str, Any]:
    """Read a run folder's config.json.

    Raises:
        RunError: if the folder or the file is missing, damaged or from a newer version.
    """
    if not path.is_dir():
        raise RunError(f"there is no run folder at {path}")
    config = read_json(path / CONFIG)
    if not isinstance(config.get("format"), int) or config["format"] > FORMAT:
        written = config.get("versions", {}).get("latentia", "an unknown version")
        raise RunError(
            f"{path / CONFIG} has format {config.get('format')}, written by latentia {written}; this is latentia "
            f"{__version__}, which reads formats up to {FORMAT}: install a newer one"
        )
    missing = {"recipe", "options", "training", "data"} - config.keys()
    if missing:
        raise RunError(f"{path / CONFIG} lacks {', '.join(sorted(missing))}; it is damaged")
    return config


def load(path: str | Path, *, recipe: Recipe | None = None, device: str = "cpu") -> Run:
    """Load a run from its folder alone.

    Args:
        path: the folder.
        recipe: the recipe, for a run of the user's own `Recipe`, whose modules a folder cannot hold.
        device: where to put the model.

    Raises:
        RunError: for a folder with a file that is missing, damaged, from a newer version or of another model.

    Example:
        >>> load("runs/nowhere")
        Traceback (most recent call last):
        latentia.errors.RunError: there is no run folder at runs/nowhere
    """
    path = Path(path)
    config = read_config(path)
    training = Training(**{k: v for k, v in config["training"].items() if k in TRAINING})
    recipe = (
        _rebuilt(config, path) if recipe is None else replace(recipe, objective=deepcopy(recipe.objective))
    )
    if not (path / MODEL).exists() and (path / CHECKPOINTS).is_dir():
        raise RunError(f"{path} holds an unfinished training: continue it with resume (--resume)")
    tensors, _ = read_tensors(path / MODEL)
    try:
        load_module(recipe.objective, tensors)
    except RunError as error:
        raise RunError(f"{path / MODEL}: {error}") from None
    recipe.objective.to(device).eval()
    history = read_metrics(path / METRICS)
    return Run(config["recipe"], config["options"], training, config["data"], recipe, history, path)


def _rebuilt(config: Mapping[str, Any], path: Path) -> Recipe:
    if config["recipe"] is None:
        raise RunError(f"{path} was made with a Recipe object: pass it again, as lt.load(path, recipe=...)")
    spec = DataSpec.from_json(config["data"]["spec"])
    try:
        return build(config["recipe"], spec, config["options"], config["training"].get("seed", 0))
    except (LatentiaError, TypeError) as error:
        raise RunError(
            f"{path / CONFIG} does not describe a model that this version can build: {error}"
        ) from error


def save(run: Run, path: Path, *, overwrite: bool) -> None:
    """Write a run's folder, without checkpoints; the run then belongs to the folder."""
    prepare(path, overwrite=overwrite)
    write_config(run, path)
    write_model(run, path)
    write_metrics(run.history, path)
    run.path = path


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise `RunError` if something is at the path that may not be replaced."""
    if not path.exists():
        return
    if not overwrite:
        raise RunError(
            f"{path} exists already: choose another folder, --resume it, or replace it with --overwrite"
        )
    if not (path / CONFIG).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} is not a run folder, so --overwrite leaves it alone: choose another folder")


def prepare(path: Path, *, overwrite: bool) -> None:
    """Make an empty run folder, in the place of an older one if that is asked."""
    refuse_existing(path, overwrite=overwrite)
    try:
        if path.exists():
            shutil.rmtree(path)
        path.mkdir(parents=True)
    except OSError as error:
        raise RunError(f"cannot make the run folder {path}: {error.strerror or error}") from error


def write_config(run: Run, path: Path) -> None:
    """Write config.json."""
    write_json(path / CONFIG, config_of(run))


def write_model(run: Run, path: Path) -> None:
    """Write model.safetensors: the objective's state, critics included."""
    write_tensors(path / MODEL, run.recipe.objective.state_dict())


def write_metrics(history: pd.DataFrame, path: Path) -> None:
    """Write metrics.csv, from which the numbers come back exactly."""
    text = history.to_csv(index=False)
    write_atomically(path / METRICS, lambda file: file.write(text.encode()))


def read_metrics(path: Path) -> pd.DataFrame:
    """Read metrics.csv; a folder without one has no history."""
    import pandas as pd

    if not path.exists():
        return pd.DataFrame({"epoch": [], "step": []})
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{name: _number(text) for name, text in row.items()} for row in csv.DictReader(file)]
        return pd.DataFrame(rows)
    except (ValueError, TypeError, OSError) as error:
        raise RunError(f"{path} is no readable table ({error}); it is damaged or cut off") from error


def _number(text: str | None) -> float:
    """Return the number that a cell holds: whole ones as int, others exactly, none as NaN."""
    if text is None:
        raise ValueError("a row is cut off")
    return int(text) if text.isdigit() else float(text or "nan")


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, and then drop all but the last two."""
    folder = path / CHECKPOINTS
    folder.mkdir(exist_ok=True)
    write_tensors(
        folder / f"{checkpoint.facts['step']:010d}.safetensors", checkpoint.tensors, checkpoint.facts
    )
    for old in sorted(folder.glob("*.safetensors"))[:-2]:
        old.unlink()


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Read the last checkpoint, or the one before it if the last is damaged; None if there is none."""
    damaged: RunError | None = None
    for file in sorted((path / CHECKPOINTS).glob("*.safetensors"), reverse=True):
        try:
            return Checkpoint(*read_tensors(file))
        except RunError as error:
            damaged = damaged or error
    if damaged is not None:
        raise damaged
    return None


class RunFolder:
    """The folder that a training writes as it goes; it is made at the first thing written.

    Args:
        run: the run; its path is the folder.
        overwrite: whether a run folder at that place is to be replaced.
        begun: whether the folder is of this run already, which goes on.
    """

    def __init__(self, run: Run, *, overwrite: bool, begun: bool) -> None:
        self.run = run
        self.path = run.path or Path()
        self.overwrite = overwrite
        self.begun = begun
        self.open = False

    def record(self, history: pd.DataFrame) -> None:
        """Write metrics.csv."""
        self._open()
        write_metrics(history, self.path)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint."""
        self._open()
        write_checkpoint(checkpoint, self.path)

    def close(self) -> None:
        """Write the model, if the training came as far as to have a folder."""
        if self.open:
            write_model(self.run, self.path)

    def _open(self) -> None:
        if self.open:
            return
        if not self.begun:
            prepare(self.path, overwrite=self.overwrite)
        write_config(self.run, self.path)
        self.open = True
