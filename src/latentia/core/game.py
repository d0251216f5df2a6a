"""One step of a game: its generators are advanced in lock-step, and after each yield the named players move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from latentia.core.objective import Batch, Metrics, Objective, Step, Yield
from latentia.core.player import Player
from latentia.errors import NonFiniteError, UsageError


@dataclass
class Game:
    """One step, played by one generator for each micro-batch, in lock-step between yields.

    Attributes:
        objective: the game.
        batch: the rows of the step.
        accumulate: micro-batches into which they are split.
        players: who moves.
        step: steps done before this one.
        context: in which the objective's code runs, and players do not: entered anew after each yield.
    """

    objective: Objective
    batch: Batch
    accumulate: int
    players: Mapping[str, Player]
    step: int
    context: AbstractContextManager[object]

    def play(self) -> dict[str, float]:
        """Play the step to its end; return what it logged, and the norms of the players' gradients."""
        micro = self.batch.split(self.accumulate)
        games = [self.objective.step(part) for part in micro]
        shares = [len(part) / len(self.batch) for part in micro]
        norms: dict[str, float] = {}
        while True:
            ended: list[Metrics] = []
            named: list[list[str]] = []
            for game, share in zip(games, shares, strict=True):
                with self.context:
                    yielded = _advance(game)
                if isinstance(yielded, _End):
                    ended.append(yielded.metrics)
                else:
                    named.append(self._backward(_losses(yielded.losses), share, game))
            if len(ended) == len(games):
                return _averaged(ended, shares) | norms
            self._agree(ended, named)
            norms |= self._step(named[0], games[-1])

    def _agree(self, ended: list[Metrics], named: list[list[str]]) -> None:
        """Raise `UsageError` unless all micro-batches go on, with the same players."""
        if ended or any(each != named[0] for each in named):
            self._zero_grad()
            what = "numbers of yields" if ended else "players"
            raise UsageError(f"the micro-batches of a step told different {what}")

    def _backward(self, losses: Mapping[str, Tensor], share: float, game: Step) -> list[str]:
        """Take every named player's gradient; a graph that several of them share is kept until the last."""
        for number, (name, loss) in enumerate(losses.items(), start=1):
            if name not in self.players:
                raise UsageError(
                    f"the step named player {name!r}; the players are: {', '.join(self.players)}"
                )
            if loss.numel() != 1:
                shape = tuple(loss.shape)
                raise UsageError(f"the loss of player {name!r} is to be one number; it has shape {shape}")
            if not math.isfinite(value := float(loss.detach())):
                self._stop(f"the loss of player {name!r} is {value}", game)
            self.players[name].backward(loss, share=share, keep_graph=number < len(losses))
        return list(losses)

    def _step(self, named: list[str], game: Step) -> dict[str, float]:
        """Move the named players, after all of their gradients have been found good."""
        try:
            norms = {name: self.players[name].sync_and_clip(self.step, len(self.batch)) for name in named}
        except NonFiniteError as error:
            self._stop(str(error), game)
        for name in named:
            self.players[name].step(self.step)
        return {f"gradient_norm/{name}": norm for name, norm in norms.items() if norm is not None}

    def _stop(self, reason: str, game: Step) -> NoReturn:
        """Raise with the loss terms that the step would have logged."""
        self._zero_grad()
        with self.context:
            terms = _terms(game)
        yielded = ", ".join(f"{key}={_number(value):.6g}" for key, value in terms.items())
        raise NonFiniteError(f"{reason} at step {self.step} ({yielded or 'the step logs no terms'})")

    def _zero_grad(self) -> None:
        for player in self.players.values():
            player.zero_grad()


@dataclass(frozen=True)
class _Yielded:
    losses: Yield


@dataclass(frozen=True)
class _End:
    metrics: Metrics


def _advance(game: Step) -> _Yielded | _End:
    before = _switches()
    try:
        yielded = _Yielded(next(game))
    except StopIteration as end:
        return _End(end.value or {})
    if _switches() != before:
        game.close()
        raise UsageError("the step yielded inside a context manager, such as torch.no_grad(): yield after it")
    return yielded


def _switches() -> tuple[bool, ...]:
    """Return the states that a context manager which a step yielded inside would leave changed."""
    return torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")


def _losses(yielded: object) -> Mapping[str, Tensor]:
    match yielded:
        case (str(name), Tensor() as loss):
            return {name: loss}
        case Mapping():
            return yielded
        case _:
            raise UsageError(
                "a step yields (player, loss), or a mapping from players to losses; "
                f"it yielded {type(yielded).__name__}"
            )


def _terms(game: Step) -> Metrics:
    """Run a step to its end without moving anyone, for what it logs."""
    while True:
        yielded = _advance(game)
        if isinstance(yielded, _End):
            return yielded.metrics


def _averaged(parts: list[Metrics], shares: list[float]) -> dict[str, float]:
    """Return the mean over rows of what the micro-batches logged."""
    return {
        key: sum(_number(part[key]) * share for part, share in zip(parts, shares, strict=True))
        for key in parts[0]
    }


def _number(value: Tensor | float) -> float:
    return float(value.detach() if isinstance(value, Tensor) else value)
