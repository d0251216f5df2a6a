"""The body of the training loop: what is logged, averaged, compared, stopped and kept on disk."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from latentia.core.finiteness import READ_EVERY
from latentia.core.logged import Logged, read_all
from latentia.core.state import State, load_module, prefixed, within
from latentia.errors import UsageError
from latentia.interrupts import interruptible
from latentia.runs.costs import Costs, Meter
from latentia.runs.distributed import agreed, rank
from latentia.runs.folder import Checkpoint, RunFolder
from latentia.runs.history import Row
from latentia.runs.monitor import Monitor, load_best
from latentia.runs.run import Run

_FIRST_CHECKPOINT = 3.0  # seconds after the training's start, unless checkpoint_every is given
_BETWEEN_CHECKPOINTS = 30.0  # seconds from then on


@dataclass
class Averages:
    """Means over an epoch, each step weighted by its rows; what only some steps log is averaged over those.

    Attributes:
        rows: of the steps that logged a name.
        sums: of their numbers, each times its rows.
        waiting: steps whose numbers are still on the device, with their rows; they are transferred together.
    """

    rows: dict[str, int] = field(default_factory=dict[str, int])
    sums: dict[str, float] = field(default_factory=dict[str, float])
    waiting: list[tuple[Logged, int]] = field(default_factory=list[tuple[Logged, int]])

    def add(self, logged: Logged, rows: int) -> None:
        """Add a step, without waiting for the device but every so many steps."""
        self.waiting.append((logged, rows))
        if len(self.waiting) == READ_EVERY:
            self.read()

    def read(self) -> None:
        """Add up what waits."""
        numbers = read_all([logged for logged, _ in self.waiting])
        for metrics, (_, rows) in zip(numbers, self.waiting, strict=True):
            for name, value in metrics.items():
                self.rows[name] = self.rows.get(name, 0) + rows
                self.sums[name] = self.sums.get(name, 0.0) + value * rows
        self.waiting = []

    def close(self) -> dict[str, float]:
        """Return the means and begin anew."""
        self.read()
        means = {name: total / self.rows[name] for name, total in self.sums.items()}
        self.rows, self.sums = {}, {}
        return means


@dataclass
class Loop:
    """The body of a training loop, for one run.

    Attributes:
        model: what is trained.
        steps_per_epoch: steps after which the means are written down.
        steps: when the training ends.
        monitor: what is watched, or None.
        ema: the decay of the averaged weights, or None.
        checkpoint_every: steps between checkpoints, or None for one at once and then every half minute.
        folder: what is written as the training goes, or None for a run in memory.
        meter: measures what the training costs.
        notice: what is done with the history after each epoch, or None.
        on_epoch: is called with each epoch's row of the history; True stops the training. None calls nothing.
        say: prints a line about the training, or None.
        stage: which of the recipe's trainings this is, from 0.
        history: a row of means for each epoch so far, those of earlier stages included.
    """

    model: nn.Module
    steps_per_epoch: int
    steps: int
    monitor: Monitor | None
    ema: float | None
    checkpoint_every: int | None
    folder: RunFolder | None
    meter: Meter
    notice: Callable[[Sequence[Row]], None] | None = None
    on_epoch: Callable[[Row], object] | None = None
    say: Callable[[str], None] | None = None
    stage: int = 0
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    averages: Averages = field(default_factory=Averages)
    averaged: AveragedModel | None = None
    saved_at: float = field(default_factory=lambda: time.monotonic())
    save_after: float = _FIRST_CHECKPOINT
    interrupted: bool = False
    before: tuple[int, int] = (0, 0)  # epochs and steps of earlier stages

    def __post_init__(self) -> None:
        if self.ema is not None:
            self.averaged = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(self.ema))

    @property
    def scored(self) -> nn.Module:
        """The model that samples and scores: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged.module

    def run(self, states: Iterable[State], show: Callable[[State], None]) -> State | None:
        """Go through the states until the training ends, patience does, or a signal asks to stop."""
        state: State | None = None
        with interruptible() as request:
            for state in self.meter.metered(states):
                stopping = self._after(state) or self._over(state)
                self.interrupted = request.is_set() and not stopping
                show(state)
                if self._checkpoint_due(state) or stopping or self.interrupted:
                    self._checkpoint(state, finished=stopping)
                if stopping or self.interrupted:
                    state.check()
                    break
        return state

    def finish(self, run: Run, *, stopped: str = "") -> None:
        """Put the weights into the model that it is to be used with: the best, or the averaged, or the last.

        The run gets its history, and its folder, if the training came as far as to have one, the model.

        Args:
            run: what is trained.
            stopped: why it could not go on, where a loss was not finite. The last good weights are back then; an
                average may hold others.
        """
        if self.monitor is not None and self.monitor.weights:
            load_best(run.recipe.objective, self.monitor.weights)
        elif self.averaged is not None and not stopped:
            load_module(self.model, self.averaged.module.state_dict())
        run.recipe.objective.eval()
        run.epochs = self.history
        run.interrupted, run.costs = self.interrupted, self.meter.costs()
        if self.folder is not None and self.folder.open:
            self.folder.close(stopped, run.costs)

    def follow(self, history: Sequence[Row]) -> None:
        """Go on from the history of earlier stages."""
        self.history = [dict(row) for row in history]
        if self.history:
            self.before = self.history[-1]["epoch"], self.history[-1]["step"]

    def resume(self, checkpoint: Checkpoint, history: Sequence[Row], costs: Costs | None) -> None:
        """Go on from a checkpoint: history, averages, patience and averaged weights."""
        facts = checkpoint.facts
        self.before = tuple(facts["before"])
        self.meter.before = None if costs is None else costs.until(facts["step"])
        self.history = [dict(row) for row in history if row["step"] <= facts["step"]]
        self.averages = Averages(dict(facts["rows"]), dict(facts["sums"]))
        if self.averaged is not None:
            load_module(self.averaged, within("ema", checkpoint.tensors))
        if self.monitor is not None:
            self.monitor.best, self.monitor.waited = facts["best"], facts["waited"]
            self.monitor.weights = within("best", checkpoint.tensors)

    def _after(self, state: State) -> bool:
        """Write a step down; return whether the training stops here before its steps are done."""
        self.averages.add(state.logged, state.rows)
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        if state.step % self.steps_per_epoch and not self._over(state):
            return False
        state.check()
        epochs, steps = self.before
        epoch = epochs + math.ceil(state.step / self.steps_per_epoch)
        means = {"epoch": epoch, "step": steps + state.step, **self.averages.close()}
        means |= self._watched(state)
        self.history.append(means)
        if self.folder is not None:
            self.folder.record(self.history)
        if self.notice is not None:
            self.notice(self.history)
        stop = self.monitor is not None and self.monitor.out_of_patience
        return self._asked_to_stop(means) or stop

    def _watched(self, state: State) -> dict[str, float]:
        """Return the monitor's value after an epoch, by its column; nothing where there is none or it is skipped.

        What stops a training does not depend on how fast the machine is, so that patience skips no epoch.
        """
        monitor = self.monitor
        if monitor is None:
            return {}
        if monitor.patience is None and not self._over(state) and not agreed(self._affordable(monitor)):
            return {}
        begun = time.monotonic()
        watch = partial(monitor.watch, self.scored, state.objective)
        value = self.meter.evaluate(watch)
        monitor.seconds = time.monotonic() - begun
        return {f"validation_{monitor.name}": value}

    def _affordable(self, monitor: Monitor) -> bool:
        """Whether the monitor's time stays within its fraction of the training's; the first skip says so."""
        evaluated = self.meter.evaluated
        trained = time.monotonic() - self.meter.started - evaluated
        affordable = monitor.is_affordable(evaluated, trained)
        if not affordable and self.say is not None:
            self.say(monitor.skipping())
            self.say = None
        return affordable

    def _asked_to_stop(self, row: Row) -> bool:
        """Call ``on_epoch``, in the first of several processes; return what it decides.

        Raises:
            UsageError: for anything but True, False and None.
        """
        if self.on_epoch is None:
            return False
        decision = self.on_epoch(dict(row)) if rank() == 0 else None
        if decision not in (None, True, False):
            raise UsageError(
                f"on_epoch must return True to stop the training, or False or None to go on; got {decision!r}"
            )
        return agreed(bool(decision))

    def _over(self, state: State) -> bool:
        return state.step >= self.steps or state.objective.finished

    def _checkpoint_due(self, state: State) -> bool:
        if self.checkpoint_every is not None:
            return state.step % self.checkpoint_every == 0
        return time.monotonic() - self.saved_at > self.save_after

    def _checkpoint(self, state: State, *, finished: bool) -> None:
        if self.folder is None:
            return
        tensors = state.tensors()
        self.averages.read()
        facts: dict[str, Any] = {"step": self.before[1] + state.step, "before": self.before}
        facts |= {"stage": self.stage, "finished": finished}
        facts |= {"rows": self.averages.rows, "sums": self.averages.sums}
        if self.averaged is not None:
            tensors |= prefixed("ema", self.averaged.state_dict())
        if self.monitor is not None:
            tensors |= prefixed("best", self.monitor.weights)
            facts |= {"best": self.monitor.best, "waited": self.monitor.waited}
        self.folder.keep(Checkpoint(tensors, facts), self.meter.costs())
        self.saved_at, self.save_after = time.monotonic(), _BETWEEN_CHECKPOINTS
