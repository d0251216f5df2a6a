"""One player alone: the others of a game stand still, and what is played with is a copy."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from latentia.core.objective import Batch, Objective
from latentia.core.player import Optim, Player
from latentia.core.randomness import using_generator
from latentia.core.train import BatchSource, Repeated
from latentia.errors import UsageError


def best_response(
    objective: Objective,
    player: str,
    batches: BatchSource | Iterable[Batch],
    *,
    optim: Optim,
    steps: int,
    seed: int = 0,
) -> Iterator[Objective]:
    """Let one player of a copy move while the others stand still, and yield the copy after each step.

    The objective itself stays bit for bit as it is. The game's clock stands still too, so that what depends on it
    (noise that decays, say) is as it is now.

    Args:
        objective: the game, as far as it has been played.
        player: who moves.
        batches: as `latentia.train` takes them, from the first.
        optim: how the player descends; its memory is empty at first.
        steps: of the game, at least 1; in each the player moves as often as the game lets it.
        seed: of the copy's own randomness.

    Raises:
        UsageError: for a player that the game has not, or no step.

    Example:
        >>> import latentia as lt
        >>> rows = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        >>> game = lt.recipes["gan"](lt.DataSpec((2,), lt.Support("real")), hidden=8).objective
        >>> *_, last = best_response(game, "critic", [lt.Batch(rows)], optim=Optim(), steps=3)
        >>> [torch.equal(*pair) for pair in zip(game.model.parameters(), last.model.parameters())][0]
        True
    """
    if player not in objective.players():
        raise UsageError(
            f"the game has no player {player!r}; its players are: {', '.join(objective.players())}"
        )
    if steps < 1:
        raise UsageError(f"playing needs at least 1 step; got {steps}")
    twin = copy.deepcopy(objective).train()
    mover = Player(player, twin.players()[player], optim, steps)
    source = batches if isinstance(batches, BatchSource) else Repeated(batches)
    generator = torch.Generator().manual_seed(seed)
    for step, batch in enumerate(islice(source.at(0), steps)):
        for loss in player_losses(twin, player, batch, generator):
            mover.descend(loss, step)
        yield twin


def player_losses(
    objective: Objective, player: str, batch: Batch, generator: torch.Generator
) -> Iterator[Tensor]:
    """Play a step in which nobody moves, and yield each loss that it tells one player: () with its graph.

    Args:
        objective: the game.
        player: whose losses.
        batch: rows of the step.
        generator: what the step draws from.
    """
    game = objective.step(batch)
    while True:
        with using_generator(generator):
            losses = next(game, None)
        if losses is None:
            return
        losses = dict([losses]) if isinstance(losses, tuple) else losses
        if player in losses:
            yield losses[player]
