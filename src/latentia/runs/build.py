"""From a recipe's name and options to the recipe itself."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from latentia.core.player import Optim
from latentia.core.randomness import using_generator
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.networks.conditioning import encoder_of
from latentia.registry import recipes
from latentia.runs.options import Training


def build(name: str, spec: DataSpec, options: Mapping[str, Any], seed: int) -> Recipe:
    """Make a registered recipe for data of a spec, its weights drawn from a seed."""
    with using_generator(torch.Generator().manual_seed(seed)):
        return recipes[name](spec, **options)


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
