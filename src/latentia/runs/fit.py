"""Fit: one call from a recipe's name and data to a run."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from latentia.core.objective import Batch
from latentia.core.recipe import Recipe
from latentia.core.state import State
from latentia.core.train import BatchSource, train
from latentia.data.ingest.tables import declared_columns
from latentia.data.rows import Rows
from latentia.data.streams import Stream
from latentia.errors import NonFiniteError, UsageError
from latentia.registry import recipes
from latentia.runs.build import build, with_training
from latentia.runs.costs import Meter, read_costs
from latentia.runs.data import description
from latentia.runs.diagnostics.finding import Facts, TrainingLog, columns_of
from latentia.runs.distributed import device_named, rank, world
from latentia.runs.doctor import noticing, training_facts, why_not_finite
from latentia.runs.entries import METRICS, refuse_existing, refuse_rivals
from latentia.runs.folder import Checkpoint, RunFolder
from latentia.runs.history import Row, read_rows
from latentia.runs.loop import Loop
from latentia.runs.monitor import make_monitor
from latentia.runs.options import Training, split_options
from latentia.runs.parts import read_parts, rules_of, tell_parts
from latentia.runs.progress import print_finding, print_note, progress_bar
from latentia.runs.renamed import current_options
from latentia.runs.resume import as_begun, check_length, check_names, is_over, last_checkpoint, restore
from latentia.runs.run import Run
from latentia.runs.stages import asked_of, enter_stage, plan

OnEpoch = Callable[[Run, Row], object]
"""What ``fit`` calls after each epoch, with the run and the epoch's row of the history; True stops the training."""


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
    context: str | Sequence[str] = (),
    columns: Mapping[str, str] | Sequence[str] = (),
    resize: int | tuple[int, int] | None = None,
    header: str = "auto",
    index: str = "auto",
    separator: str | None = None,
    on_start: Callable[[Run], object] | None = None,
    on_epoch: OnEpoch | None = None,
    **options: Any,
) -> Run:
    """Fit a recipe to data and return the run.

    With ``out``, the run is written as it goes: config.json, metrics.csv, checkpoints, and at the end the model.
    ``lt.evaluate`` then adds scores.json, and ``lt.write_report`` samples.png and report.html.

    Args:
        recipe: a name of ``lt.recipes``, or a `Recipe` of your own.
        data: a name of ``lt.datasets``; an array (n, ...), a tensor, a DataFrame, a ``Dataset`` or ``DataLoader``;
            or the path of a .npy, .npz, .csv or .parquet file or of a folder of images. A dict of several of these is
            one set of rows whose class is the ``domain``: ``{"horse": a, "zebra": b}``.
        out: the run folder to write; without one the run stays in memory.
        overwrite: replace a run folder that is there already, once the new run has something to keep; one that
            holds anything else, and the working directory, is refused.
        resume: go on from the last checkpoint in ``out``, exactly; a finished run is returned as it is. ``epochs``,
            ``steps`` and ``patience`` are those that it was begun with where they are not given.
        progress: show a progress bar, and print what seems to go wrong, as ``doctor`` reports it.
        support: the values an entry may take, as ``"unit"`` or ``"discrete(256)"``; inferred by default.
        labels: class numbers of the rows, or the name of a table's column with them.
        context: names of a table's columns that a conditional model is conditioned on besides the class; they leave
            the rows.
        columns: the kinds of a table's columns where they are not to be inferred, by name, as in
            ``{"year": "categorical", "when": "datetime:%d/%m/%Y", "note": "drop"}``; ``lt.describe`` shows them.
        resize: (height, width) of the images of a folder.
        header: whether the first line of a table of text, such as CSV, holds the columns' names: auto, yes or no.
        index: whether its first column holds row names or row numbers, which are left out: auto, yes or no.
        separator: what stands between its fields: a character, ``tab`` or ``space``; None to find it.
        on_start: is called with the run before its first step, once its data is read and its model is made.
        on_epoch: is called after each epoch with the run and the epoch's row of the history (epoch, step, the means
            of what was logged, the monitor's value). True stops the training there: what is written and returned is
            that of a training which ended; a density of codes that the recipe fits afterwards still follows. False or
            None goes on, and anything else is an error. The run's model is the one in training, in eval mode: sample
            from it, and leave it as it is. Its history is filled at the end.
        options: options of the recipe (``latent_dim=8``) and of the training (``epochs=20``, see `Training`).

    Raises:
        UsageError: for a name, an option or a combination that does not exist; nothing is written then.
        DataError: for data that cannot be read or breaks its support.
        RunError: for a folder that exists, holds what no run writes, or cannot be written.
        NonFiniteError: for a loss that is not finite; the last good weights are in the error's ``run``, and in the
            folder; the message says what went before.

    Example:
        >>> import numpy as np
        >>> run = fit("gaussian-mixture", np.random.default_rng(0).normal(size=(100, 2)), components=1)
        >>> run.sample(5, seed=0).shape
        torch.Size([5, 2])
    """
    if on_epoch is not None and not callable(on_epoch):
        raise UsageError(f"on_epoch must be a function of the run and a row of its history; got {on_epoch!r}")
    path = _place(out, overwrite=overwrite, resume=resume)
    recipe = recipes.name_of(recipe) if isinstance(recipe, str) else recipe
    options = current_options(recipe if isinstance(recipe, str) else None, options)
    if resume and path is not None:  # first: its config.json says which parts are to be imported
        options = as_begun(options, path)
    kinds = declared_columns(columns)
    reading = {"support": support, "labels": labels, "context": context, "columns": kinds, "resize": resize}
    reading |= {"header": header, "index": index, "separator": separator}
    reading |= rules_of(path if resume else None)
    run, rows = _prepared(recipe, data, path, reading, options)
    if progress:
        tell_parts(rows, run.held_out, run.training, options.get("validation"))
    checkpoint = last_checkpoint(run) if resume else None
    if checkpoint is not None and path is not None and _is_done(run, rows, checkpoint, path):
        return run
    if path is not None and resume and checkpoint is None:
        refuse_existing(path, overwrite=True)  # there is nothing to go on from: it begins anew
    if on_start is not None:
        on_start(run)
    called = None if on_epoch is None else partial(on_epoch, run)
    _train(run, rows, checkpoint, overwrite=overwrite or resume, progress=progress, on_epoch=called)
    while run.recipe.then is not None and not run.interrupted:
        enter_stage(run, run.stage + 1)
        _train(run, rows, None, overwrite=True, progress=progress, on_epoch=called)
    return run


def _place(out: str | Path | None, *, overwrite: bool, resume: bool) -> Path | None:
    """Return the run folder to write, after checking that it may be."""
    path = None if out is None else Path(out)
    if resume and path is None:
        raise UsageError("resume needs out=, the run folder to go on with")
    if path is not None and not resume:
        refuse_existing(path, overwrite=overwrite)
        if rank() == 0:  # the others do not write
            refuse_rivals(path)
    return path


def _prepared(
    recipe: str | Recipe, data: Any, path: Path | None, reading: dict[str, Any], options: dict[str, Any]
) -> tuple[Run, Rows | Stream]:
    """Return a run before its first step, and the rows to train on."""
    name = recipe if isinstance(recipe, str) else None
    training, recipe_options = split_options(None if name is None else recipes[name], options)
    rows, held_out, validation = read_parts(data, training, **reading)
    training = replace(training, validation=validation)
    made = build(recipe, rows.spec, recipe_options, training) if isinstance(recipe, str) else recipe
    run = Run(
        name=name,
        options=recipe_options,
        training=training,
        data=description(data, rows, training, reading),
        recipe=with_training(made, training),
        epochs=[],
        path=path,
        held_out=held_out,
        train_rows=rows if isinstance(rows, Rows) else None,
    )
    return run, rows


def _is_done(run: Run, rows: Rows | Stream, checkpoint: Checkpoint, path: Path) -> bool:
    """Put a run into a checkpoint's stage; where no step is left, restore it too, and say so.

    Raises:
        RunError: where more steps are done than are requested.
    """
    enter_stage(run, checkpoint.facts["stage"])
    _, steps_per_epoch, steps = plan(run, rows)
    if is_over(run, checkpoint, path, steps):
        restore(run, checkpoint, path)
        return True
    check_names(run, checkpoint, path)
    check_length(run, checkpoint, steps, steps_per_epoch)
    return False


def _train(
    run: Run,
    rows: Rows | Stream,
    checkpoint: Checkpoint | None,
    *,
    overwrite: bool,
    progress: bool,
    on_epoch: Callable[[Row], object] | None,
) -> None:
    """Train a run to its end, or on to it from a checkpoint; its folder is made at the first thing written."""
    recipe, asked = run.recipe, asked_of(run)
    source, steps_per_epoch, steps = plan(run, rows)
    recipe.objective.to(device_named(asked.device))
    facts = training_facts(recipe.objective, asked, run.spec, -(-steps // steps_per_epoch))
    reporting = progress and run.stage == 0 and rank() == 0
    loop = Loop(
        model=recipe.objective.model,
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        monitor=make_monitor(recipe, run.held_out, asked) if run.stage == 0 else None,
        ema=asked.ema,
        checkpoint_every=asked.checkpoint_every,
        folder=_folder(run, overwrite=overwrite, begun=checkpoint is not None or run.stage > 0),
        meter=_meter(run, asked),
        notice=noticing(facts, print_finding) if reporting else None,
        on_epoch=on_epoch,
        say=print_note if reporting else None,
        stage=run.stage,
    )
    _go_on(loop, run, rows, checkpoint)
    _run(loop, run, _states(run, source, steps, checkpoint), facts, progress=progress)


def _go_on(loop: Loop, run: Run, rows: Rows | Stream, checkpoint: Checkpoint | None) -> None:
    """Put a loop where a checkpoint was made, or after the run's earlier stages."""
    if checkpoint is not None:
        if isinstance(rows, Stream):
            warnings.warn("a DataLoader has no place to go on from: its batches begin anew", stacklevel=4)
        path = run.path or Path()
        loop.resume(checkpoint, read_rows(path / METRICS), read_costs(path))
    elif run.stage:
        loop.follow(run.epochs)


def _run(loop: Loop, run: Run, states: Iterator[State], facts: Facts, *, progress: bool) -> None:
    """Run a loop to its end; what was trained is written whatever ends it.

    Raises:
        NonFiniteError: with the run, and what went before.
    """
    title = f"{run.name or 'recipe'} on {run.data['name']}" + (
        f", stage {run.stage + 1}" if run.stage else ""
    )
    stopped = ""
    try:
        with progress_bar(title, loop.steps, loop.steps_per_epoch, show=progress) as show:
            loop.run(states, show)
    except NonFiniteError as error:
        stopped = f"{error}; {why_not_finite(TrainingLog(columns_of(loop.history), facts))}"
        error.args, error.run = (stopped,), run
        raise
    finally:
        loop.finish(run, stopped=stopped)


def _states(
    run: Run, source: BatchSource | Iterable[Batch], steps: int, checkpoint: Checkpoint | None
) -> Iterator[State]:
    """Return the training with its options; each process has noise of its own where gradients are shared."""
    recipe, asked = run.recipe, asked_of(run)
    return train(
        recipe.objective,
        source,
        optim=recipe.optim,
        steps=steps,
        accumulate=asked.accumulate,
        precision=asked.precision,
        compile=asked.compile,
        seed=asked.seed + (rank() if recipe.objective.players() else 0),
        device=asked.device,
        resume=None if checkpoint is None else checkpoint.tensors,
    )


def _meter(run: Run, asked: Training) -> Meter:
    """Return what measures a stage of a run; the costs of earlier stages are the run's."""
    objective = run.recipe.objective
    processes = world() if objective.players() else 1
    return Meter(
        objective, objective.model, counting=not asked.compile, processes=processes, before=run.costs
    )


def _folder(run: Run, *, overwrite: bool, begun: bool) -> RunFolder | None:
    """Return the folder to write, where there is one and this is the process that does."""
    if run.path is None or rank() != 0:
        return None
    return RunFolder(run.path, run.config(), run.recipe.objective, overwrite=overwrite, begun=begun)
