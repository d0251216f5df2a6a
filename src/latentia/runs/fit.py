"""Fit: one call from a recipe's name and data to a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from latentia.core.objective import Batch
from latentia.core.recipe import Recipe
from latentia.core.train import BatchSource, train
from latentia.data.batches import Batches, Stream
from latentia.data.read import read_rows
from latentia.data.rows import Rows
from latentia.errors import NonFiniteError, RunError, UsageError
from latentia.registry import datasets, recipes
from latentia.runs import folder
from latentia.runs.build import build, with_training
from latentia.runs.loop import Loop
from latentia.runs.monitor import make_monitor
from latentia.runs.options import Training, split_options
from latentia.runs.progress import progress_bar
from latentia.runs.run import Run


def fit(
    recipe: str | Recipe,
    data: Any,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = True,
    support: str | None = None,
    labels: Any = None,
    resize: int | tuple[int, int] | None = None,
    **options: Any,
) -> Run:
    """Fit a recipe to data and return the run.

    Args:
        recipe: a name of ``lt.recipes``, or a `Recipe` of your own.
        data: a name of ``lt.datasets``; an array (n, ...), a tensor, a DataFrame, a ``Dataset`` or ``DataLoader``;
            or the path of a .npy, .npz, .csv or .parquet file or of a folder of images.
        out: the run folder to write; without one the run stays in memory.
        overwrite: replace a run folder that is there already.
        resume: go on from the last checkpoint in ``out``, exactly; a finished run is returned as it is.
        progress: show a progress bar.
        support: the values an entry may take, as ``"unit"`` or ``"discrete(256)"``; inferred without.
        labels: class numbers of the rows, or the name of a table's column with them.
        resize: (height, width) of the images of a folder.
        options: options of the recipe (``latent_dim=8``) and of the training (``epochs=20``, see `Training`).

    Raises:
        UsageError: for a name, an option or a combination that does not exist; nothing is written then.
        DataError: for data that cannot be read or breaks its support.
        RunError: for a folder that exists, or cannot be written.
        NonFiniteError: for a loss that is not finite; the last good weights are in the error's ``run``, and in the
            folder.

    Example:
        >>> import numpy as np
        >>> run = fit("gaussian-mixture", np.random.default_rng(0).normal(size=(100, 2)), components=1)
        >>> run.sample(5, seed=0).shape
        torch.Size([5, 2])
    """
    path = None if out is None else Path(out)
    if resume and path is None:
        raise UsageError("resume needs out=, the run folder to go on with")
    if path is not None and not resume:
        folder.refuse_existing(path, overwrite=overwrite)
    maker = recipes[recipe] if isinstance(recipe, str) else None
    training, recipe_options = split_options(maker, options)
    rows, held_out = _rows(data, training, support=support, labels=labels, resize=resize)
    made = build(recipe, rows.spec, recipe_options, training.seed) if isinstance(recipe, str) else recipe
    made = with_training(made, training)
    run = Run(
        name=recipe if isinstance(recipe, str) else None,
        options=recipe_options,
        training=training,
        data=_description(data, rows, training),
        recipe=made,
        history=pd.DataFrame(),
        path=path,
        held_out=held_out,
    )
    checkpoint = _checkpoint(run) if resume else None
    if checkpoint is not None and path is not None and _nothing_left(checkpoint, run, path):
        return folder.load(path, recipe=None if run.name else made, device=training.device)
    _train(run, rows, checkpoint, overwrite=overwrite or resume, progress=progress)
    return run


def _rows(data: Any, training: Training, **reading: Any) -> tuple[Rows | Stream, Rows | None]:
    """Return the rows to train on and those held out: a named set's parts, or a share that is asked for."""
    seed = training.split_seed
    if isinstance(data, str) and data in datasets:
        if training.validation is not None:
            raise UsageError(f"validation is for data without a validation part; {data!r} has one")
        parts = [read_rows(data, split=part, seed=seed, **reading) for part in ("train", "validation")]
        return parts[0], parts[1] if isinstance(parts[1], Rows) else None
    rows = read_rows(data, **reading)
    if training.validation is None:
        return rows, None
    if isinstance(rows, Stream):
        raise UsageError("validation needs rows that can be chosen by number; a DataLoader's cannot")
    return rows.split((1 - training.validation, training.validation), seed=seed)  # pyright: ignore


def _description(data: Any, rows: Rows | Stream, training: Training) -> dict[str, Any]:
    """Return what config.json says of the data."""
    named = isinstance(data, str) and data in datasets
    return {
        "name": str(data) if isinstance(data, str | Path) else rows.name,
        "named": named,
        "n": len(rows) if isinstance(rows, Rows) else None,
        "split_seed": training.split_seed,
        "spec": rows.spec.to_json(),
    }


def _checkpoint(run: Run) -> folder.Checkpoint | None:
    """Read the checkpoint to go on from, after checking that it is of this very run; None begins anew.

    Raises:
        RunError: for a folder whose recipe, options or data differ from what is asked.
    """
    if run.path is None or not run.path.exists():
        return None
    old, new = folder.read_config(run.path), folder.config_of(run)
    for part in ("recipe", "options", "training", "data"):
        difference = _difference(part, old[part], new[part])
        if difference:
            raise RunError(f"{run.path} cannot be resumed: {difference}")
    found = folder.read_checkpoint(run.path)
    if found is None and (run.path / folder.MODEL).exists():
        raise RunError(
            f"{run.path} was saved without a checkpoint, so there is nothing to resume: --overwrite begins anew"
        )
    return found


def _difference(part: str, old: Any, new: Any) -> str:
    """Return the first option that differs, or nothing: how long to train may be changed."""
    if not isinstance(old, Mapping):
        return "" if old == new else f"its {part} is {old!r}, not {new!r}"
    free = ["epochs", "steps", "checkpoint_every", "device", "patience"] if part == "training" else []
    if part == "data" and not new["named"]:
        free.append("name")  # the same file may be called differently
    for name in new:
        if name not in free and old.get(name) != new[name]:
            return f"its {name} is {old.get(name)!r}, not {new[name]!r}"
    return ""


def _nothing_left(checkpoint: folder.Checkpoint, run: Run, path: Path) -> bool:
    """Whether the training had finished, and no longer one is asked for."""
    before = folder.read_config(path)["training"]
    same = all(before[name] == getattr(run.training, name) for name in ("epochs", "steps", "patience"))
    return bool(checkpoint.facts["finished"]) and same and (path / folder.MODEL).exists()


def _train(
    run: Run,
    rows: Rows | Stream,
    checkpoint: folder.Checkpoint | None,
    *,
    overwrite: bool,
    progress: bool,
) -> None:
    """Train a run to its end, or on to it from a checkpoint; its folder is made at the first thing written."""
    recipe, asked = run.recipe, run.training
    source, steps_per_epoch = _source(rows, recipe, asked)
    steps = asked.steps or (asked.epochs or recipe.epochs) * steps_per_epoch
    recipe.objective.to(_device(asked.device))
    writes = run.path is not None and _rank() == 0
    loop = Loop(
        model=run.model,
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        monitor=make_monitor(recipe, run.held_out, asked),
        ema=asked.ema,
        checkpoint_every=asked.checkpoint_every,
        folder=folder.RunFolder(run, overwrite=overwrite, begun=checkpoint is not None) if writes else None,
    )
    if checkpoint is not None:
        if isinstance(rows, Stream):
            warnings.warn("a DataLoader has no place to go on from: its batches begin anew", stacklevel=3)
        loop.resume(checkpoint, folder.read_metrics(run.path / folder.METRICS if run.path else Path()))
    states = train(
        recipe.objective,
        source,
        optim=recipe.optim,
        steps=steps,
        accumulate=asked.accumulate,
        precision=asked.precision,
        compile=asked.compile,
        seed=asked.seed + (_rank() if recipe.objective.players() else 0),
        device=asked.device,
        resume=None if checkpoint is None else checkpoint.tensors,
    )
    title = f"{run.name or 'recipe'} on {run.data['name']}"
    try:
        with progress_bar(title, steps, steps_per_epoch, show=progress) as show:
            loop.run(states, show)
    except NonFiniteError as error:
        error.run = run
        raise
    finally:
        loop.finish(run)


def _source(
    rows: Rows | Stream, recipe: Recipe, asked: Training
) -> tuple[BatchSource | Iterable[Batch], int]:
    """Return the batches to train on, and how many steps make an epoch."""
    if isinstance(rows, Stream):
        if asked.batch_size is not None or recipe.batch_size is None:
            raise UsageError(
                "a DataLoader makes its own batches: batch_size, and recipes that read all rows at once, need rows"
            )
        if recipe.transform is not None:
            raise UsageError(
                "binarise needs rows that have numbers; a DataLoader's have none: binarise them yourself"
            )
        return replace(rows, seed=asked.seed), rows.steps_per_epoch
    if recipe.transform is not None:
        rows = rows.transformed(recipe.transform)
    size = recipe.batch_size
    if size is not None and asked.batch_size is None:
        size = min(size, len(rows))
    # Without players no gradient is shared: every process then does the whole work, and all agree.
    rank, world = (_rank(), _world()) if recipe.objective.players() else (0, 1)
    batches = Batches(rows, size, seed=asked.seed, rank=rank, world=world)
    return batches, batches.steps_per_epoch


def _device(name: str) -> torch.device:
    """Return a device that is there; `UsageError` names what is."""
    try:
        torch.zeros((), device=name)
    except (RuntimeError, AssertionError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise UsageError(f"there is no device {name!r} here; there are: {', '.join(there)}") from error
    return torch.device(name)


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _rank() -> int:
    return torch.distributed.get_rank() if _distributed() else 0


def _world() -> int:
    return torch.distributed.get_world_size() if _distributed() else 1
