"""From a recipe's name and options to the recipe itself."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentia.core.model import Density
from latentia.core.player import Optim
from latentia.core.randomness import using_generator
from latentia.core.recipe import Recipe
from latentia.data.encoding.table import TableEncoding, can_encode
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.errors import UnfitError, UsageError
from latentia.models.encoded_table import of_tables
from latentia.networks.conditioning import encoder_of
from latentia.registry import recipes
from latentia.runs.options import NUMBER_ENCODINGS, Training


def build(name: str, spec: DataSpec, options: Mapping[str, Any], training: Training) -> Recipe:
    """Make a registered recipe for data of a spec, its weights drawn from a seed.

    Where its model is not for a table's columns or gaps, it is made for their encoding as real vectors: with normal
    numbers where the model has a density, which then bounds that of the table, and one-hot otherwise.

    Raises:
        UnfitError: for data that the recipe's model is not for, encoded or not.
        UsageError: for an encoding of numbers, where none is needed.
    """
    seed, unfit = training.seed, None
    try:
        plain = _made(name, spec, options, seed)
        if training.number_encoding == NUMBER_ENCODINGS[0]:
            return plain
        _check_encoded(name, spec)
    except UnfitError as error:
        if not can_encode(spec):
            raise
        unfit = error
    try:
        one_hot = _encoded(name, spec, options, seed, TableEncoding("one-hot", seed))
    except UnfitError:
        raise unfit or UnfitError(f"{name} does not take numbers in normal form") from None
    if not isinstance(one_hot.objective.model, Density):
        return one_hot
    return _encoded(name, spec, options, seed, TableEncoding("normal", seed))


def _check_encoded(name: str, spec: DataSpec) -> None:
    """Raise `UsageError` unless rows are real numbers that a recipe could read in another form."""
    if len(spec.event_shape) != 1 or spec.support.kind != "real":
        raise UsageError(
            f"number_encoding is for recipes of real vectors: {name} reads {spec.support} rows as they are: leave it "
            "out",
            options=["number_encoding"],
        )


def _made(name: str, spec: DataSpec, options: Mapping[str, Any], seed: int) -> Recipe:
    with using_generator(torch.Generator().manual_seed(seed)):
        return recipes[name](spec, **options)


def _encoded(
    name: str, spec: DataSpec, options: Mapping[str, Any], seed: int, encoding: TableEncoding
) -> Recipe:
    bound = encoding.on(spec)
    return _transformed(_made(name, bound.spec(spec), options, seed), bound)


def _transformed(recipe: Recipe, encoding: TableEncoding) -> Recipe:
    """Return a recipe, and all that follow it, that reads encoded rows."""
    then = recipe.then
    later = None if then is None else lambda model: _transformed(then(model), encoding)
    return dataclasses.replace(recipe, transform=encoding, then=later)


def model_of_rows(recipe: Recipe) -> nn.Module:
    """Return a recipe's model as one of the data's rows: where they are encoded for it, it is one of the table."""
    model, encoding = recipe.objective.model, recipe.transform
    return of_tables(model, encoding) if isinstance(encoding, TableEncoding) else model


def seen_by(recipe: Recipe, rows: Rows) -> Rows:
    """Return rows as `model_of_rows` takes them: changed by the recipe's transform, unless that only encodes them."""
    transform = recipe.transform
    return rows if transform is None or isinstance(transform, TableEncoding) else rows.transformed(transform)


def seen_spec(recipe: Recipe, spec: DataSpec) -> DataSpec:
    """Return what rows are as `model_of_rows` takes them."""
    transform = recipe.transform
    return spec if transform is None or isinstance(transform, TableEncoding) else transform.spec(spec)


def transformed(recipe: Recipe, spec: DataSpec, x: Tensor) -> Tensor:
    """Return rows (n, *event) as `model_of_rows` takes them, as `seen_by` does."""
    transform = recipe.transform
    if transform is None or isinstance(transform, TableEncoding):
        return x
    return transform.on(spec)(x.cpu(), torch.arange(len(x)), 0)


def with_training(recipe: Recipe, training: Training) -> Recipe:
    """Return a recipe whose optimisers and batch size are as the training asks; its objective is a copy.

    Raises:
        UsageError: for training options that mean nothing without players, and a conditional recipe whose model
            encodes no context.
    """
    if recipe.conditional:
        encoder_of(recipe.objective.model)  # refuses a model without one
    optim = recipe.optim
    players = {"all": optim} if isinstance(optim, Optim) else dict(optim)
    if not recipe.objective.players():
        _refuse_without_players(training)
    asked = {
        name: player if _is_plain(training) else _scheduled(player, training)
        for name, player in players.items()
    }
    return dataclasses.replace(
        recipe,
        objective=copy.deepcopy(recipe.objective),
        optim=asked["all"] if isinstance(optim, Optim) else asked,
        batch_size=recipe.batch_size if training.batch_size is None else training.batch_size,
    )


def _is_plain(training: Training) -> bool:
    """Whether the training leaves the recipe's own schedule and clipping as they are."""
    return training.schedule == "constant" and not training.warmup and training.clip is None


def _scheduled(optim: Optim, training: Training) -> Optim:
    clip = optim.clip if training.clip is None else training.clip
    return dataclasses.replace(optim, schedule=training.schedule, warmup=training.warmup, clip=clip)


def _refuse_without_players(training: Training) -> None:
    plain = Training()
    for name in ("ema", "clip", "schedule", "warmup", "accumulate", "precision", "compile", "batch_size"):
        if getattr(training, name) != getattr(plain, name):
            raise UsageError(f"{name} is for gradients; this recipe moves in closed form and has none")
