"""Best responses: one player of a copied game is trained while the others are frozen."""

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
    """Train one player of a copy against the others, frozen, and yield the copy after each step.

    The objective itself is unchanged, bit for bit. The game's clock is frozen too, so that whatever depends on it
    (decaying noise, for example) keeps its current value.

    Args:
        objective: the game in its current state.
        player: the player to train.
        batches: as for `latentia.train`, from the first.
        optim: the player's optimiser, with a fresh state.
        steps: of the game, at least 1; each has as many updates of the player as the game's own steps.
        seed: of the copy's random generator.

    Raises:
        UsageError: for a player that the game does not have, or fewer than 1 step.

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
        raise UsageError(f"steps must be at least 1; got {steps}")
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
    """Play a step without updates, and yield each loss of one player: () with its graph.

    Args:
        objective: the game.
        player: the player whose losses are yielded.
        batch: rows of the step.
        generator: source of the step's randomness.
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
