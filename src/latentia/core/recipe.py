"""A recipe: a named system, ready to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latentia.core.objective import Objective
from latentia.core.player import Optim

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
        transform: what is done to the rows first, such as rounding grey pixels to 0 and 1; the model is a law
            of the transformed rows.
        conditional: whether the model is a law given each row's class.
    """

    objective: Objective
    optim: Optim | Mapping[str, Optim]
    batch_size: int | None = 128
    epochs: int = 20
    transform: Transform | None = None
    conditional: bool = False
