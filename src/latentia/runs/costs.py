"""What a training costs: wall time, steps, parameters, and floating-point operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from torch.nn import Module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from latentia.errors import RunError
from latentia.runs.entries import COSTS
from latentia.runs.files import read_json, write_json

T = TypeVar("T")


@dataclass(frozen=True)
class Costs:
    """What a training took, over all its stages and all the times it was resumed.

    Attributes:
        seconds: wall time of the training, its evaluations not included.
        evaluation_seconds: wall time of the monitor.
        steps: training steps.
        flops: floating-point operations of all steps, forward and backward, as those of the first step times the
            steps; matrix products, convolutions and attention count, elementwise operations do not. None where they
            were not counted: where the losses were compiled.
        parameters: weights that the objective learns, critics included; 0 for a fit in closed form.
        model_parameters: those of the model alone.

    Example:
        >>> one = Costs(seconds=2.0, evaluation_seconds=0.5, steps=100, flops=10**9, parameters=70, model_parameters=50)
        >>> one.after(one).seconds, one.after(one).steps, one.after(one).parameters
        (4.0, 200, 70)
        >>> print(one)
        2.0 s of training and 0.5 s of evaluation, 100 steps, 70 parameters (50 of the model), 1 GFLOP
    """

    seconds: float
    evaluation_seconds: float
    steps: int
    flops: int | None
    parameters: int
    model_parameters: int

    def after(self, before: Costs | None) -> Costs:
        """Return these costs and those of what was trained before; the parameters are those of now."""
        if before is None:
            return self
        known = self.flops is not None and before.flops is not None
        return replace(
            self,
            seconds=before.seconds + self.seconds,
            evaluation_seconds=before.evaluation_seconds + self.evaluation_seconds,
            steps=before.steps + self.steps,
            flops=(self.flops or 0) + (before.flops or 0) if known else None,
        )

    def until(self, steps: int) -> Costs:
        """Return what a training cost up to a step that a checkpoint holds, if it went further before it was killed."""
        flops = None if self.flops is None else self.flops * steps // max(1, self.steps)
        return replace(self, steps=steps, flops=flops)

    def __str__(self) -> str:
        evaluation = f" and {self.evaluation_seconds:.1f} s of evaluation" if self.evaluation_seconds else ""
        of_model = (
            f" ({self.model_parameters:,} of the model)" if self.model_parameters < self.parameters else ""
        )
        parts = [
            f"{self.seconds:.1f} s of training{evaluation}",
            f"{self.steps:,} step{'s' * (self.steps != 1)}",
        ]
        parts += [f"{self.parameters:,} parameters{of_model}"] if self.parameters else []
        return ", ".join([*parts, *([] if self.flops is None else [_with_prefix(self.flops)])])


@dataclass
class Meter:
    """Measure a training as it goes.

    Attributes:
        objective: what is trained.
        model: its model.
        counting: whether the floating-point operations of the first step are counted.
        processes: among which each step is split.
        before: what was spent on earlier stages, and on this one before it was resumed.
        steps: done since then.
    """

    objective: Module
    model: Module
    counting: bool = True
    processes: int = 1
    before: Costs | None = None
    steps: int = 0
    flops_of_step: int | None = None
    evaluated: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def metered(self, states: Iterable[T]) -> Iterator[T]:
        """Yield a training's states; the clock starts here, and the first step's operations are counted."""
        iterator, self.started = iter(states), time.monotonic()
        counter = FlopCounter()
        with counter if self.counting else nullcontext():
            first = list(islice(iterator, 1))
        self.flops_of_step = counter.total * self.processes if self.counting else None
        for state in chain(first, iterator):
            self.steps += 1
            yield state

    def evaluate(self, score: Callable[[], T]) -> T:
        """Return what an evaluation returns; its time is counted apart."""
        begun = time.monotonic()
        try:
            return score()
        finally:
            self.evaluated += time.monotonic() - begun

    def costs(self) -> Costs:
        """Return what was spent so far."""
        whole = time.monotonic() - self.started
        own = Costs(
            seconds=whole - self.evaluated,
            evaluation_seconds=self.evaluated,
            steps=self.steps,
            flops=None if self.flops_of_step is None else self.flops_of_step * self.steps,
            parameters=parameters_of(self.objective),
            model_parameters=parameters_of(self.model),
        )
        return own.after(self.before)


class FlopCounter(TorchDispatchMode):
    """Count the floating-point operations of what is computed within it; the results stay the same.

    The counts of each operator are PyTorch's own. Its `FlopCounterMode` also counts each module's, with hooks that
    refuse to differentiate twice, as gradient penalties do, and it imports torch._dynamo, which takes a second.

    Example:
        >>> import torch
        >>> with FlopCounter() as counter:
        ...     _ = torch.ones(2, 3) @ torch.ones(3, 5)
        >>> counter.total
        60
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # nothing is compiled here, and looking imports the compiler
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and add its count."""
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.total += int(count(*args, **(kwargs or {}), out_val=out))
        return out


def parameters_of(module: Module) -> int:
    """Return how many weights a module learns by gradients."""
    return sum(parameter.numel() for parameter in module.parameters())


def write_costs(costs: Costs, path: Path) -> None:
    """Write costs.json."""
    write_json(path / COSTS, asdict(costs))


def read_costs(path: Path) -> Costs | None:
    """Read costs.json; None for a folder without one, as earlier versions wrote it.

    Raises:
        RunError: for a file that is damaged, or from a newer version.
    """
    if not (path / COSTS).exists():
        return None
    try:
        return Costs(**read_json(path / COSTS))
    except TypeError as error:
        raise RunError(
            f"{path / COSTS} holds no costs that this version knows ({error}); remove it"
        ) from error


def _with_prefix(flops: int) -> str:
    """Return a number of operations with three significant digits.

    Example:
        >>> _with_prefix(1_234_000), _with_prefix(12), _with_prefix(999_950_000_000)
        ('1.23 MFLOP', '12 FLOP', '1 TFLOP')
    """
    number, prefixes = float(f"{flops:.3g}"), iter(("", "k", "M", "G", "T", "P", "E", "Z"))
    prefix = next(prefixes)
    while number >= 1000:
        number, prefix = number / 1000, next(prefixes)
    return f"{number:.3g} {prefix}FLOP"
