"""The stages of a run: the recipe of each, and the batches that it is trained on."""

from collections.abc import Iterable
from dataclasses import replace

from latentia.core.objective import Batch
from latentia.core.recipe import Recipe
from latentia.core.train import BatchSource
from latentia.data.batches import Batches
from latentia.data.resident import resident
from latentia.data.rows import Rows
from latentia.data.streams import Stream
from latentia.errors import UsageError
from latentia.runs.distributed import device_named, rank, world
from latentia.runs.options import Training
from latentia.runs.run import Run


def enter_stage(run: Run, stage: int) -> None:
    """Give a run the recipe of a later stage, which its model's present weights are carried into."""
    run.recipe, run.stage = run.recipe.after(stage - run.stage, run.training.seed), stage


def asked_of(run: Run) -> Training:
    """Return the training that a run's stage is to have: the options are meant for the first stage."""
    asked = run.training
    if run.stage == 0:
        return asked
    return Training(seed=asked.seed, device=asked.device, checkpoint_every=asked.checkpoint_every)


def plan(run: Run, rows: Rows | Stream) -> tuple[BatchSource | Iterable[Batch], int, int]:
    """Return the batches of a run's stage, how many steps make an epoch, and how many it is to have."""
    asked = asked_of(run)
    source, steps_per_epoch = _source(rows, run.recipe, asked)
    return source, steps_per_epoch, asked.steps or (asked.epochs or run.recipe.epochs) * steps_per_epoch


def _source(
    rows: Rows | Stream, recipe: Recipe, asked: Training
) -> tuple[BatchSource | Iterable[Batch], int]:
    """Return the batches to train on, and how many steps make an epoch."""
    if isinstance(rows, Stream):
        if asked.batch_size is not None or recipe.batch_size is None:
            raise UsageError(
                "a DataLoader makes its own batches: batch_size, and recipes that read all rows at once, need rows"
            )
        if recipe.balanced:
            raise UsageError(
                "this recipe balances its batches by class, and a DataLoader makes its own: give rows"
            )
        if recipe.transform is not None:
            raise UsageError(
                "this recipe changes rows by their numbers, which a DataLoader's have not: give a Dataset or an array"
            )
        return replace(rows, seed=asked.seed), rows.steps_per_epoch
    if recipe.transform is not None:
        rows = rows.transformed(recipe.transform)
    rows = resident(rows, device_named(asked.device))
    size = recipe.batch_size
    if size is not None and asked.batch_size is None:
        size = min(size, len(rows))
    # Without players no gradient is shared: every process then does the whole work, and all agree.
    ours, all_of_us = (rank(), world()) if recipe.objective.players() else (0, 1)
    batches = Batches(rows, size, asked.seed, ours, all_of_us, balanced=recipe.balanced)
    return batches, batches.steps_per_epoch
