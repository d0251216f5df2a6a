"""The training loop: an iterator over states. It plays any game and knows no family of models."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from latentia.core.finiteness import Watch
from latentia.core.game import NO_CONTEXT, Game
from latentia.core.logged import Logged
from latentia.core.objective import Batch, Blocks, Objective
from latentia.core.player import Optim, Player
from latentia.core.randomness import Swap, using_generator
from latentia.core.state import State
from latentia.errors import UsageError

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

    Nothing waits for the device between two steps: what a step logged is read from it when ``state.metrics`` is, and
    whether all losses were finite when that is, every twentieth step, and at the end. From the first loss or gradient
    that is not finite on nobody moves.

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
        NonFiniteError: for a loss or gradient that was not finite, when that is read; the last weights known to be
            good are back.
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
    _check(precision, accumulate)
    device = torch.device(device)
    source = batches if isinstance(batches, BatchSource) else Repeated(batches)
    device = objective.to(device).clock.device  # "cuda" is a certain one now
    generators = {
        each.type: torch.Generator(each).manual_seed(seed) for each in (torch.device("cpu"), device)
    }
    if resume is None:
        _begin(objective, source, generators)
    if compile and not objective.compile_losses():
        raise UsageError(f"compile: {type(objective).__name__} names no loss_functions to compile")
    players = _players(objective, optim, steps)
    if accumulate > 1 and not players:
        raise UsageError("accumulate averages gradients; this objective has no players, so it has none")
    watch = Watch(objective)
    if resume is not None:
        State(0, 0, Logged({}), objective, players, generators, watch).load(resume)
    objective.eval()
    mode, step = _mode_switch(objective), objective.steps_done
    autocast = torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else NO_CONTEXT
    swap = Swap(*generators.values())
    game = Game(objective, players, watch, accumulate, autocast)
    for batch in source.at(step):
        if objective.finished or (steps is not None and step >= steps):
            return
        watch.read_again()
        mode(True)
        try:
            with swap:
                logged = _play(game, _on(batch, device), step, last=step + 1 == steps)
        finally:
            mode(False)
        step += 1
        objective.tick()
        yield State(step, batch.x.shape[0], logged, objective, players, generators, watch)


def _check(precision: str, accumulate: int) -> None:
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; there are: {', '.join(PRECISIONS)}")
    if accumulate < 1:
        raise UsageError(f"accumulate must be at least 1; got {accumulate}")


def _begin(objective: Objective, source: BatchSource, generators: Mapping[str, torch.Generator]) -> None:
    """Start the objective's clock, and let it prepare from the rows with the training's own randomness."""
    objective.clock.zero_()
    with using_generator(*generators.values()):
        objective.begin(source.rows)


def _on(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device; one that is there already is not made anew."""
    return batch if batch.x.device == device else batch.to(device)


def _play(game: Game, batch: Batch, step: int, *, last: bool) -> Logged:
    """Play a step; an error that comes from a loss which was not finite before is that loss's.

    Without players nothing is masked or put back, and what a step logs may be buffers: they are read at once.
    """
    watch = game.watch
    if not game.players:
        logged = game.play(batch, step)
        logged.read()
        return logged
    watch.good.before(step)
    try:
        logged = game.play(batch, step)
    except Exception:
        watch.read()
        raise
    watch.ended(step, logged)
    if last or game.objective.finished:
        watch.last()
    return logged


def _mode_switch(objective: Objective) -> Callable[[bool], object]:
    """Return ``objective.train``, or what does the same at once where no module has a ``train`` of its own.

    ``nn.Module.train`` checks each attribute it sets, which costs as much as a small layer, twice a step.
    """
    modules = list(objective.modules())
    if any(type(module).train is not nn.Module.train for module in modules):
        return objective.train

    def switch(training: bool) -> None:
        for module in modules:
            module.__dict__["training"] = training

    return switch


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
