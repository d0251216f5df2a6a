"""Resume: what a training goes on from, and what is left to do of one that had come to its end."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.core.state import load_module, within
from latentia.errors import RunError
from latentia.runs.costs import read_costs
from latentia.runs.distributed import device_named, rank
from latentia.runs.entries import METRICS, MODEL
from latentia.runs.files import read_tensors
from latentia.runs.folder import Checkpoint, RunFolder, read_checkpoint, read_config
from latentia.runs.history import read_rows
from latentia.runs.monitor import load_best
from latentia.runs.options import Training
from latentia.runs.renamed import fits, fitting
from latentia.runs.run import Run

_UNTIL = ("epochs", "steps")  # of which one is given
_LENGTH = (*_UNTIL, "patience")  # what may be changed to go on for longer
_FREE = (*_LENGTH, "checkpoint_every", "device")


def as_begun(options: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return options with the length of the training that a folder was begun with, as far as none is given.

    Args:
        options: of the recipe and the training, as they are given to ``fit``.
        path: the run folder; where there is none yet, the options stay as they are.
    """
    if not path.exists():
        return dict(options)
    begun = read_config(path)["training"]
    given = any(options.get(name) is not None for name in _UNTIL)
    missing = [name for name in _LENGTH if options.get(name) is None and not (given and name in _UNTIL)]
    return {**options, **{name: begun[name] for name in missing if begun.get(name) is not None}}


def last_checkpoint(run: Run) -> Checkpoint | None:
    """Read the checkpoint to go on from, after checking that it is of this very run; None begins anew.

    Raises:
        RunError: for a folder whose recipe, options or data differ from those given.
    """
    if run.path is None or not run.path.exists():
        return None
    old, new = read_config(run.path), run.config()
    old = {**old, "training": {**asdict(Training()), **old["training"]}}  # options newer than the folder
    for part in ("recipe", "options", "training", "data"):
        difference = _difference(part, old[part], new[part], run.recipe)
        if difference:
            raise RunError(f"{run.path} cannot be resumed: {difference}")
    found = read_checkpoint(run.path)
    if found is None and (run.path / MODEL).exists():
        raise RunError(
            f"{run.path} was saved without a checkpoint, so there is nothing to resume: overwrite=True begins anew"
        )
    if found is not None and found.facts["stage"]:
        _refuse_other_length(run, old["training"])
    return found


def is_over(run: Run, checkpoint: Checkpoint, path: Path, steps: int) -> bool:
    """Whether the last training of a recipe had come to its end at a checkpoint, and no longer one is requested.

    Args:
        run: in the checkpoint's stage.
        checkpoint: what would be gone on from.
        path: the run's folder.
        steps: that the stage's training is to have.
    """
    before = read_config(path)["training"]
    same = all(before.get(name) == getattr(run.training, name) for name in _LENGTH)
    finished = checkpoint.facts["finished"] and same
    return run.recipe.then is None and (finished or _done(checkpoint) == steps)


def check_length(run: Run, checkpoint: Checkpoint, steps: int, steps_per_epoch: int) -> None:
    """Raise `RunError` where a training had gone further at a checkpoint than it is to go."""
    done = _done(checkpoint)
    if done <= steps:
        return
    reason = f"steps={steps} is requested, but {done}"
    if run.training.steps is None:
        reason = f"epochs={steps // steps_per_epoch} is requested, but {done / steps_per_epoch:.4g}"
    raise RunError(
        f"{run.path} cannot be resumed: {reason} are done; request more, or begin anew with overwrite=True"
    )


def check_names(run: Run, checkpoint: Checkpoint, path: Path) -> None:
    """Raise `RunError` where a checkpoint's tensors have other names than those of this version.

    Only finished models are carried over to new names: an optimiser's state is of the modules as they were.
    """
    if not fits(run.recipe.objective, within("objective", checkpoint.tensors)):
        raise RunError(
            f"{path} cannot be resumed: its checkpoint was written by latentia "
            f"{read_config(path)['versions'].get('latentia')}, whose weights have other names: "
            "resume it with that version, or begin anew with overwrite=True"
        )


def restore(run: Run, checkpoint: Checkpoint, path: Path) -> None:
    """Make a run what it was at the end of its training; write its model unless the folder holds it."""
    objective = run.recipe.objective
    if fits(objective, within("objective", checkpoint.tensors)):
        _load_weights(run, checkpoint)
    else:  # of an earlier version, and finished: its model is carried over to the names of today
        stored, _ = read_tensors(path / MODEL)
        load_module(objective, fitting(objective, stored, read_config(path)["format"]))
    objective.to(device_named(run.training.device)).eval()
    run.epochs, run.costs = read_rows(path / METRICS), read_costs(path)
    if rank() == 0 and not _holds_model_of(path, checkpoint):
        RunFolder(path, run.config(), objective, overwrite=True, begun=True).close()


def _load_weights(run: Run, checkpoint: Checkpoint) -> None:
    """Load a checkpoint's weights: the best ones, or the averages, where it has them."""
    objective = run.recipe.objective
    load_module(objective, within("objective", checkpoint.tensors))
    best, averaged = within("best", checkpoint.tensors), within("ema.module", checkpoint.tensors)
    if best:
        load_best(objective, best)
    elif averaged:
        load_module(run.recipe.objective.model, averaged)


def _done(checkpoint: Checkpoint) -> int:
    """Return the steps of the checkpoint's own stage that are done."""
    return checkpoint.facts["step"] - checkpoint.facts["before"][1]


def _refuse_other_length(run: Run, begun: Mapping[str, Any]) -> None:
    """Raise `RunError` for another length of the first training, which is over in later stages."""
    for name in _LENGTH:
        asked = getattr(run.training, name)
        if begun.get(name) != asked:
            raise RunError(
                f"{run.path} cannot be resumed: its first training is over, "
                f"so its {name} stays {begun.get(name)}; got {asked}"
            )


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
    free = _free_of_data(new) if part == "data" else _FREE
    ending = _ending_schedule(recipe) if part == "training" else ""
    for name in new:
        same = old.get(name) == new[name]
        if not same and name not in free:
            return (
                f"its data's {name} is {old.get(name)!r}, not {new[name]!r}"
                if part == "data"
                else (_begun_with(name, old.get(name), new[name]))
            )
        if not same and ending and name in _UNTIL:
            return (
                f"{_begun_with(name, old.get(name), new[name])}, and its {ending} schedule would be another"
            )
    return ""


def _begun_with(name: str, old: Any, new: Any) -> str:
    """Say of an option what it was and what it is, as options are spelled in Python."""
    if new is None:
        return f"it was begun with {name}={old!r}: give it again"
    before = f"without a value of {name}" if old is None else f"with {name}={old!r}"
    return f"it was begun {before}, not with {name}={new!r}"


def _free_of_data(new: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what may differ: the same rows may be called differently, unless they are a named set."""
    return () if new["named"] else ("name", "path", "labels", "resize", "text")


def _ending_schedule(recipe: Recipe) -> str:
    """Return the schedule of a player that depends on where the training ends, or nothing."""
    optims = [recipe.optim] if isinstance(recipe.optim, Optim) else recipe.optim.values()
    return next((optim.schedule for optim in optims if optim.schedule != "constant"), "")
