"""One step of a game: its generators are advanced in lock-step, and after each yield the named players move."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.core.finiteness import Watch
from latentia.core.logged import Logged, mean_of
from latentia.core.objective import Batch, Metrics, Objective, Step, Yield
from latentia.core.player import Player
from latentia.errors import UsageError

NO_CONTEXT: AbstractContextManager[object] = nullcontext()


@dataclass(frozen=True)
class Game:
    """A game of a training: one generator for each micro-batch plays a step, in lock-step between yields.

    Attributes:
        objective: the game.
        players: who moves.
        watch: what checks losses and gradients, and masks the moves after a bad one.
        accumulate: micro-batches into which a step's rows are split.
        context: in which the objective's code runs, and players do not: entered anew after each yield.
    """

    objective: Objective
    players: Mapping[str, Player]
    watch: Watch
    accumulate: int = 1
    context: AbstractContextManager[object] = NO_CONTEXT

    def play(self, batch: Batch, step: int) -> Logged:
        """Play a step to its end; return what it logged, and the norms of the players' gradients.

        Args:
            batch: the rows of the step.
            step: steps done before this one.
        """
        rows = len(batch)
        micro = [batch] if self.accumulate == 1 else batch.split(self.accumulate)
        games = [self.objective.step(part) for part in micro]
        fractions = [len(part) / rows for part in micro]
        norms: dict[str, Tensor] = {}
        while True:
            ended: list[Metrics] = []
            named: list[list[str]] = []
            for game, fraction in zip(games, fractions, strict=True):
                yielded, end = self._advance(game)
                if end is not None:
                    ended.append({**end, **norms} if norms else end)
                else:
                    named.append(self._backward(_losses(yielded), fraction, step))
            if len(ended) == len(games):
                return mean_of(ended, fractions)
            self._agree(ended, named)
            self._step(named[0], rows, step, norms)

    def _advance(self, game: Step) -> _Advanced:
        if self.context is NO_CONTEXT:
            return _advance(game)
        with self.context:
            return _advance(game)

    def _agree(self, ended: list[Metrics], named: list[list[str]]) -> None:
        """Raise `UsageError` unless all micro-batches go on, with the same players."""
        if ended or (len(named) > 1 and any(each != named[0] for each in named)):
            for player in self.players.values():
                player.zero_grad()
            what = "numbers of yields" if ended else "players"
            raise UsageError(f"the micro-batches of a step yielded different {what}")

    def _backward(self, losses: Mapping[str, Tensor], fraction: float, step: int) -> list[str]:
        """Take every named player's gradient; a graph that several of them share is kept until the last."""
        for number, (name, loss) in enumerate(losses.items(), start=1):
            if name not in self.players:
                raise UsageError(
                    f"the step named player {name!r}; the players are: {', '.join(self.players)}"
                )
            if loss.numel() != 1:
                shape = tuple(loss.shape)
                raise UsageError(f"the loss of player {name!r} is to be one number; it has shape {shape}")
            self.watch.look(step, f"the loss of player {name!r} is", loss)
            self.players[name].backward(loss, fraction=fraction, keep_graph=number < len(losses))
        return list(losses)

    def _step(self, named: list[str], rows: int, step: int, norms: dict[str, Tensor]) -> None:
        """Move the named players, after all of their gradients were looked at; note the norms that were taken."""
        for name in named:
            norm = self.players[name].sync_and_clip(step, rows, self.watch.poison)
            if norm is not None:
                self.watch.look(step, f"the gradient of player {name!r} has norm", norm)
                norms[f"gradient_norm/{name}"] = norm
        for name in named:
            self.players[name].step(step, self.watch.bad)


_Advanced = tuple[Yield | None, Metrics | None]  # what was yielded, or what a step that has ended logs


def _advance(game: Step) -> _Advanced:
    before = _switches()
    try:
        yielded = next(game)
    except StopIteration as end:
        return None, end.value or {}
    if _switches() != before:
        game.close()
        raise UsageError("the step yielded inside a context manager, such as torch.no_grad(): yield after it")
    return yielded, None


def _switches() -> tuple[bool, ...]:
    """Return the states that a context manager which a step yielded inside would leave changed."""
    return torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")


def _losses(yielded: object) -> Mapping[str, Tensor]:
    if isinstance(yielded, tuple) and len(yielded) == 2:
        name, loss = yielded
        if isinstance(name, str) and isinstance(loss, Tensor):
            return {name: loss}
    if isinstance(yielded, Mapping):
        return yielded
    raise UsageError(
        "a step yields (player, loss), or a mapping from players to losses; "
        f"it yielded {type(yielded).__name__}"
    )
