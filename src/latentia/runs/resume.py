"""Resume: what a training goes on from, and what is left to do of one that had come to its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.core.state import load_module, within
from latentia.errors import RunError
from latentia.runs.files import read_tensors
from latentia.runs.folder import (
    METRICS,
    MODEL,
    Checkpoint,
    RunFolder,
    read_checkpoint,
    read_config,
    read_metrics,
)
from latentia.runs.place import device_named, rank
from latentia.runs.run import Run

_LENGTH = ("epochs", "steps", "patience")  # what may be changed to go on for longer
_FREE = (*_LENGTH, "checkpoint_every", "device")


def last_checkpoint(run: Run) -> Checkpoint | None:
    """Read the checkpoint to go on from, after checking that it is of this very run; None begins anew.

    Raises:
        RunError: for a folder whose recipe, options or data differ from what is asked.
    """
    if run.path is None or not run.path.exists():
        return None
    old, new = read_config(run.path), run.config()
    for part in ("recipe", "options", "training", "data"):
        difference = _difference(part, old[part], new[part], run.recipe)
        if difference:
            raise RunError(f"{run.path} cannot be resumed: {difference}")
    found = read_checkpoint(run.path)
    if found is None and (run.path / MODEL).exists():
        raise RunError(
            f"{run.path} was saved without a checkpoint, so there is nothing to resume: --overwrite begins anew"
        )
    return found


def is_over(run: Run, checkpoint: Checkpoint, path: Path) -> bool:
    """Whether the last training of a recipe had finished at a checkpoint, and no longer one is asked for."""
    before = read_config(path)["training"]
    same = all(before.get(name) == getattr(run.training, name) for name in _LENGTH)
    return bool(checkpoint.facts["finished"]) and same and run.recipe.then is None


def restore(run: Run, checkpoint: Checkpoint, path: Path) -> None:
    """Make a run what it was at the end of its training; write its model unless the folder holds it."""
    objective = run.recipe.objective
    load_module(objective, within("objective", checkpoint.tensors))
    chosen = within("best", checkpoint.tensors) or within("ema.module", checkpoint.tensors)
    if chosen:
        load_module(run.model, chosen)
    objective.to(device_named(run.training.device)).eval()
    run.history = read_metrics(path / METRICS)
    if rank() == 0 and not _holds_model_of(path, checkpoint):
        RunFolder(path, run.config(), objective, overwrite=True, begun=True).close()


def _holds_model_of(path: Path, checkpoint: Checkpoint) -> bool:
    """Whether a folder's model is whole and a checkpoint's; an older one is left where a program was killed."""
    try:
        tensors, _ = read_tensors(path / MODEL)
    except RunError:
        return False
    same_stage = read_config(path)["stage"] == checkpoint.facts["stage"]
    return same_stage and "clock" in tensors and tensors["clock"].equal(checkpoint.tensors["objective.clock"])


def _difference(part: str, old: Any, new: Any, recipe: Recipe) -> str:
    """Return the first option that differs and may not, or nothing."""
    if not isinstance(old, Mapping):
        return "" if old == new else f"its {part} is {old!r}, not {new!r}"
    whose, free = ("its data's", _free_of_data(new)) if part == "data" else ("its", _FREE)
    ending = _ending_schedule(recipe) if part == "training" else ""
    for name in new:
        same = old.get(name) == new[name]
        if not same and name not in free:
            return f"{whose} {name} is {old.get(name)!r}, not {new[name]!r}"
        if not same and ending and name in ("epochs", "steps"):
            return f"its {name} is {old.get(name)!r}, not {new[name]!r}, and its {ending} schedule would be another"
    return ""


def _free_of_data(new: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what may differ: the same rows may be called differently, unless they are a named set."""
    return () if new["named"] else ("name", "path", "labels", "resize")


def _ending_schedule(recipe: Recipe) -> str:
    """Return the schedule of a player that depends on where the training ends, or nothing."""
    optims = [recipe.optim] if isinstance(recipe.optim, Optim) else recipe.optim.values()
    return next((optim.schedule for optim in optims if optim.schedule != "constant"), "")
