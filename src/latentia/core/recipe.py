"""A recipe: a named system, ready to train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from latentia.core.objective import Objective
from latentia.core.player import Optim
from latentia.core.randomness import using_generator
from latentia.errors import UsageError

if TYPE_CHECKING:
    from latentia.data.rows import Transform


@dataclass(frozen=True)
class Recipe:
    """An objective (which holds its model) and the defaults it trains well with.

    Attributes:
        objective: how the model learns.
        optim: how each player descends; empty where there are no players.
        batch_size: rows in a step; None plays every step on the whole set.
        epochs: passes over the rows, unless the user says otherwise.
        transform: what is done to the rows first, such as rounding grey pixels to 0 and 1; the model is of the
            transformed rows.
        conditional: whether the model is of p(x | c), given what is known of each row.
        balanced: whether batches hold each class equally often, as models of several domains need.
        then: what is trained afterwards, made from the trained model: a density fitted on codes, say. It reads
            the same rows, through its own transform; its model is the run's.
    """

    objective: Objective
    optim: Optim | Mapping[str, Optim]
    batch_size: int | None = 128
    epochs: int = 20
    transform: Transform | None = None
    conditional: bool = False
    balanced: bool = False
    then: Callable[[nn.Module], Recipe] | None = None

    def after(self, stages: int, seed: int) -> Recipe:
        """Return the recipe of a later stage, as it is before its training; the seed is of its new weights.

        Raises:
            UsageError: where there are fewer stages.
        """
        recipe = self
        for _ in range(stages):
            if recipe.then is None:
                raise UsageError(f"this recipe has no stage {stages}")
            with using_generator(torch.Generator().manual_seed(seed)):
                recipe = recipe.then(recipe.objective.model)
        return recipe
