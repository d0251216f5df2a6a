"""The training loop: an iterator over states. It plays any game and knows no family of models."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import NoReturn, Protocol, runtime_checkable

import torch
from torch import Tensor

from latentia.core.objective import Batch, Blocks, Metrics, Objective, Step, Yield
from latentia.core.player import Optim, Player
from latentia.core.randomness import drawing_from
from latentia.core.state import State
from latentia.errors import NonFiniteError, UsageError

PRECISIONS = ("float32", "bf16")


@runtime_checkable
class BatchSource(Protocol):
    """Batches that can begin at any step, so that a training resumes exactly."""

    @property
    def rows(self) -> Blocks:
        """The whole set, for `Objective.begin`."""
        ...

    def at(self, step: int) -> Iterator[Batch]:
        """Iterate without end over the batches from a step on."""
        ...


@dataclass(frozen=True)
class Repeated:
    """A plain iterable of batches, read again and again; it begins anew wherever a training resumes."""

    batches: Iterable[Batch]

    @property
    def rows(self) -> Blocks:
        """The batches themselves, read once."""
        return self

    def __len__(self) -> int:
        return sum(len(batch) for batch in self.batches)

    def blocks(self, size: int) -> Iterator[Batch]:
        """Iterate over the batches in blocks of at most ``size`` rows."""
        for batch in self.batches:
            yield from batch.blocks(size)

    def at(self, step: int) -> Iterator[Batch]:  # noqa: ARG002  (what "inexactly" means)
        """Iterate without end over the batches, from the first."""
        while True:
            empty = True
            for batch in self.batches:
                empty = False
                yield batch.floating()
            if empty:
                raise UsageError(
                    "no batches: the iterable is empty, or was an iterator that can be read only once"
                )


def train(
    objective: Objective,
    batches: BatchSource | Iterable[Batch],
    *,
    optim: Optim | Mapping[str, Optim] | None = None,
    steps: int | None = None,
    accumulate: int = 1,
    precision: str = "float32",
    compile: bool = False,  # noqa: A002  (torch's word)
    seed: int = 0,
    device: str | torch.device = "cpu",
    resume: Mapping[str, Tensor] | None = None,
) -> Iterator[State]:
    """Play an objective's game step by step, and yield the state after each.

    Logging, averaging of weights, checkpoints and early stopping are the body of the caller's ``for``. The
    loop draws from a generator of its own, so that whatever the body draws leaves the training as it is.

    Args:
        objective: the game; moved to ``device``.
        batches: a source with ``at(step)``, or any iterable of batches that can be read again.
        optim: how every player descends, or a mapping from each player's name to how it does.
        steps: when to end; None goes on until the objective is finished or the caller stops.
        accumulate: micro-batches into which each batch is split, to save memory.
        precision: float32 or bf16 (automatic mixed precision; weights stay float32).
        compile: compile the functions that compute the losses.
        seed: of the loop's generator.
        device: where to compute.
        resume: the tensors of an earlier state, to go on from.

    Raises:
        NonFiniteError: for a loss or gradient that is not finite, before any weight moves.
        UsageError: for players that share or leave out parameters, and for options that do not exist.

    Example:
        >>> import torch
        >>> from latentia.core.objective import Batch, Objective
        >>> class Mean(Objective):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.model = torch.nn.Linear(1, 1, bias=False)
        ...
        ...     def players(self):
        ...         return {"model": self.model}
        ...
        ...     def step(self, batch):
        ...         loss = (self.model(batch.x) - 3).square().mean()
        ...         yield "model", loss
        ...         return {"loss": loss.detach()}
        >>> states = train(Mean(), [Batch(torch.ones(4, 1))], optim=Optim("sgd", lr=0.1), steps=50)
        >>> print(round(list(states)[-1].objective.model.weight.item(), 3))
        3.0
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; there are: {', '.join(PRECISIONS)}")
    if accumulate < 1:
        raise UsageError(f"accumulate must be at least 1; got {accumulate}")
    device = torch.device(device)
    source = batches if isinstance(batches, BatchSource) else Repeated(batches)
    objective.to(device)
    generators = {
        kind: torch.Generator(kind).manual_seed(seed) for kind in dict.fromkeys(("cpu", device.type))
    }
    enter = _resumption(objective, generators, device, precision)
    if resume is None:
        with enter():
            objective.begin(source.rows)
    if compile:
        objective.compile_losses()
    state = State(0, 0, {}, objective, _players(objective, optim, steps), generators)
    if accumulate > 1 and not state.players:
        raise UsageError("accumulate averages gradients; this objective has no players, so it has none")
    if resume is not None:
        state.load(resume)
    objective.eval()
    step = int(objective.clock)
    for batch in source.at(step):
        if objective.finished or (steps is not None and step >= steps):
            return
        batch = batch.to(device)
        metrics = _Game(objective, batch, accumulate, state.players, step, enter).play()
        step += 1
        objective.clock += 1
        state = replace(state, step=step, rows=len(batch), metrics=metrics)
        yield state


def _players(
    objective: Objective, optim: Optim | Mapping[str, Optim] | None, steps: int | None
) -> dict[str, Player]:
    """Make the players, after checking that they are disjoint and cover every trainable parameter."""
    modules = objective.players()
    owner: dict[int, str] = {}
    for name, module in modules.items():
        for key, parameter in module.named_parameters():
            if id(parameter) in owner:
                raise UsageError(f"players {owner[id(parameter)]!r} and {name!r} share the parameter {key}")
            owner[id(parameter)] = name
    for key, parameter in objective.named_parameters():
        if parameter.requires_grad and id(parameter) not in owner:
            raise UsageError(f"the parameter {key} requires gradients but belongs to no player")
    return {name: Player(name, module, _optim_of(name, optim), steps) for name, module in modules.items()}


def _optim_of(player: str, optim: Optim | Mapping[str, Optim] | None) -> Optim:
    if isinstance(optim, Optim):
        return optim
    if optim is None or player not in optim:
        raise UsageError(
            f"no optim for player {player!r}: give one Optim for all, or a mapping with its name"
        )
    return optim[player]


Enter = Callable[[], AbstractContextManager[None]]


def _resumption(
    objective: Objective, generators: Mapping[str, torch.Generator], device: torch.device, precision: str
) -> Enter:
    """Return the context in which a step runs between two yields: train mode, own randomness, autocast."""

    @contextmanager
    def enter() -> Generator[None]:
        grad = torch.is_grad_enabled()
        with ExitStack() as stack:
            stack.enter_context(drawing_from(*generators.values()))
            stack.enter_context(
                torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
            )
            objective.train()
            stack.callback(objective.eval)
            yield
        if torch.is_grad_enabled() != grad:
            torch.set_grad_enabled(grad)
            raise UsageError(
                "the step yielded inside a context manager, such as torch.no_grad(): yield after it"
            )

    return enter


@dataclass
class _Game:
    """One step, played by one generator for each micro-batch, in lock-step between yields."""

    objective: Objective
    batch: Batch
    accumulate: int
    players: Mapping[str, Player]
    step: int
    enter: Enter

    def play(self) -> dict[str, float]:
        """Play the step to its end; return what it logged, and the norms of the players' gradients."""
        micro = self.batch.split(self.accumulate)
        games = [self.objective.step(part) for part in micro]
        shares = [len(part) / len(self.batch) for part in micro]
        norms: dict[str, float] = {}
        while True:
            ended: list[Metrics] = []
            named: list[str] = []
            for game, share in zip(games, shares, strict=True):
                with self.enter():
                    told = _advance(game)
                if isinstance(told, _End):
                    ended.append(told.metrics)
                else:
                    named = self._pull(_losses(told.losses), share, game)
            if ended:
                if len(ended) < len(games):
                    raise UsageError("the micro-batches of a step took different numbers of yields")
                return _averaged(ended, shares) | norms
            norms |= self._move(named, games[-1])

    def _pull(self, losses: Mapping[str, Tensor], share: float, game: Step) -> list[str]:
        """Take every named player's gradient; a graph that several of them share is kept until the last."""
        for number, (name, loss) in enumerate(losses.items(), start=1):
            if name not in self.players:
                raise UsageError(
                    f"the step named player {name!r}; the players are: {', '.join(self.players)}"
                )
            if not math.isfinite(value := float(loss.detach())):
                self._stop(f"the loss of player {name!r} is {value}", game)
            self.players[name].pull(loss, share=share, keep_graph=number < len(losses))
        return list(losses)

    def _move(self, named: list[str], game: Step) -> dict[str, float]:
        """Move the named players, after all of their gradients have been found good."""
        try:
            norms = {f"gradient_norm/{name}": self.players[name].ready(len(self.batch)) for name in named}
        except NonFiniteError as error:
            self._stop(str(error), game)
        for name in named:
            self.players[name].move(self.step)
        return norms

    def _stop(self, reason: str, game: Step) -> NoReturn:
        """Raise with the loss terms that the step would have logged; no weight has moved."""
        for player in self.players.values():
            player.drop()
        with self.enter():
            terms = _terms(game)
        told = ", ".join(f"{key}={float(value):.6g}" for key, value in terms.items())
        raise NonFiniteError(
            f"{reason} at step {self.step} ({told or 'the step logs no terms'}); the last good weights are kept: "
            "lower the learning rate, clip the gradient, or look at the rows of this step"
        )


@dataclass(frozen=True)
class _Told:
    losses: Yield


@dataclass(frozen=True)
class _End:
    metrics: Metrics


def _advance(game: Step) -> _Told | _End:
    try:
        return _Told(next(game))
    except StopIteration as end:
        return _End(end.value or {})


def _losses(told: Yield) -> Mapping[str, Tensor]:
    return {told[0]: told[1]} if isinstance(told, tuple) else told


def _terms(game: Step) -> Metrics:
    """Run a step to its end without moving anyone, for what it logs."""
    while True:
        told = _advance(game)
        if isinstance(told, _End):
            return told.metrics


def _averaged(parts: list[Metrics], shares: list[float]) -> dict[str, float]:
    """Return the mean over rows of what the micro-batches logged."""
    return {
        key: sum(float(part[key]) * share for part, share in zip(parts, shares, strict=True))
        for key in parts[0]
    }
