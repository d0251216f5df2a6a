"""Objectives: how a model learns, as a game of named players."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from operator import itemgetter
from types import MethodType
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from latentia.core.model import Conditional

Metrics = Mapping[str, "Tensor | float"]
Yield = tuple[str, Tensor] | Mapping[str, Tensor]
Step = Generator[Yield, None, Metrics]
"""One step of a game: yield (player, loss to descend), or several players at once; return what to log."""


@dataclass(frozen=True)
class Batch:
    """Rows of data.

    Attributes:
        x: (B, *event), the rows; floating-point, except where a batch is a whole set as it is stored.
        context: (B, *context) what a conditional model reads in addition to the rows, encoded; None where the model
            encodes the attributes itself (see `Objective.context_of`).
        index: (B,) the rows' numbers in their set; None for streams.
        attributes: what is known of the rows, by name: (B, ...) values such as the numbers of their classes.
    """

    x: Tensor
    context: Tensor | None = None
    index: Tensor | None = None
    attributes: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def __len__(self) -> int:
        return self.x.shape[0]  # len of a tensor takes ten times as long

    def blocks(self, size: int) -> Iterator[Batch]:
        """Iterate over consecutive blocks of at most ``size`` rows, as floating-point numbers."""
        for start in range(0, len(self), size):
            yield self.rows(slice(start, start + size))

    def rows(self, which: slice | Tensor) -> Batch:
        """Return the rows that a slice, a mask or an index selects, as floating-point numbers."""
        return self._each(lambda part: part[which]).floating()

    def split(self, parts: int) -> list[Batch]:
        """Return at most ``parts`` batches of nearly equal size that together are this one."""
        parts = min(parts, len(self))
        if parts == 1:
            return [self]
        ends = accumulate((len(piece) for piece in self.x.tensor_split(parts)), initial=0)
        return [self._each(itemgetter(slice(start, end))) for start, end in pairwise(ends)]

    def floating(self) -> Batch:
        """Return the same rows with ``x`` as floating-point numbers: integers become the default dtype."""
        return self if self.x.is_floating_point() else replace(self, x=self.x.to(torch.get_default_dtype()))

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Return the rows of batches of one kind, one after the other."""

        def cat(parts: list[Tensor | None]) -> Tensor | None:
            known = [part for part in parts if part is not None]
            return torch.cat(known) if known else None

        return cls(
            torch.cat([batch.x for batch in batches]),
            cat([batch.context for batch in batches]),
            cat([batch.index for batch in batches]),
            {name: torch.cat([each.attributes[name] for each in batches]) for name in batches[0].attributes},
        )

    def to(self, device: torch.device | str) -> Batch:
        """Return the same rows on a device."""
        return self._each(lambda part: part.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with all its parts changed in the same way."""
        return Batch(
            change(self.x),
            None if self.context is None else change(self.context),
            None if self.index is None else change(self.index),
            {name: change(values) for name, values in self.attributes.items()},
        )


class Blocks(Protocol):
    """A set of rows that can be read in blocks: a `Batch`, or rows that live in a file."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def blocks(self, size: int) -> Iterator[Batch]:
        """Iterate over consecutive blocks of at most ``size`` rows."""
        ...


def context_of(model: nn.Module, batch: Batch) -> Tensor | None:
    """Return the context of a batch's rows as a model reads it, (B, c); None for an unconditional model.

    A `Conditional` model encodes the rows' attributes; for others it is the batch's own context.
    """
    return model.context_encoder(batch) if isinstance(model, Conditional) else batch.context


class Objective(nn.Module, ABC):
    """How a model learns: a game whose named players descend losses.

    Attributes:
        model: what is learned, and what is sampled, scored and saved afterwards.
        clock: steps done so far, a buffer that the training loop keeps; `steps_done` is the same as a number.
        finished: True ends the training: a closed form is done, EM has reached its tolerance.
        loss_functions: names of the methods that compute losses, which ``compile=True`` compiles.
    """

    model: nn.Module
    clock: Tensor
    finished: bool = False
    loss_functions: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("clock", torch.zeros((), dtype=torch.int64))
        self._clock_read: list[Any] = [self.clock, self.clock._version, 0]

    @property
    def steps_done(self) -> int:
        """Steps done so far, for schedules in the loss: the clock, whose device is read only after it was set anew."""
        clock = self.clock
        known, version, number = self._clock_read
        if known is not clock or version != clock._version:
            number = int(clock)
            self._clock_read[:] = clock, clock._version, number
        return number

    def tick(self) -> None:
        """Count a step that is done, without waiting for the device."""
        done, clock = self.steps_done + 1, self.clock
        clock.add_(1)
        self._clock_read[:] = clock, clock._version, done

    @abstractmethod
    def players(self) -> Mapping[str, nn.Module]:
        """Return the modules that move, by name: none (EM), one (likelihood) or many (adversarial)."""

    def begin(self, rows: Blocks) -> None:
        """Prepare before step 0, once: a k-means++ start, moments for scaling, pseudo-inputs from data."""

    @abstractmethod
    def step(self, batch: Batch) -> Step:
        """Play one step: a generator that yields (player, loss) and returns what to log.

        After each ``yield`` the named player has moved. Each yield has a graph of its own, and a step
        never yields inside a context manager.
        """

    def context_of(self, batch: Batch) -> Tensor | None:
        """Return what the model is given of a batch's rows, encoded: (B, c); None for an unconditional model."""
        return context_of(self.model, batch)

    def compile_losses(self) -> bool:
        """Compile the functions that compute the losses; return False where there are none."""
        for name in self.loss_functions:
            # Bound anew, so that a deep copy's functions are those of the copy.
            setattr(self, name, MethodType(_compiled(getattr(type(self), name)), self))
        return bool(self.loss_functions)


def _compiled(function: Callable[..., object]) -> Callable[..., object]:
    """Compile a method that computes a loss for the first batch size it meets; others stay eager.

    A graph costs many seconds to compile, and the last batch of an epoch would ask for a second one.
    """
    fast = torch.compile(function, dynamic=False)
    sizes: list[int] = []

    def call(self: Objective, x: Tensor, *arguments: object) -> object:
        if not sizes:
            sizes.append(len(x))
        return (fast if len(x) == sizes[0] else function)(self, x, *arguments)

    return call
