"""What a metric is given: a model, the held-out rows, and how to score one on the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, Protocol, TypeVar
from zlib import crc32

import torch
from torch import Tensor, nn

from latentia.core.model import Bounded, Density, Encodes, Generative
from latentia.core.objective import Batch, Blocks, context_of
from latentia.data.rows import Modes, Rows
from latentia.data.spec import DataSpec, Measure
from latentia.errors import DataError, UsageError
from latentia.metrics.settings import EvaluationSettings

C = TypeVar("C")
T = TypeVar("T")


class HeldOut(Blocks, Protocol):
    """Rows that know what they are; `data.rows.Rows` is one."""

    @property
    def spec(self) -> DataSpec:
        """What the rows are."""
        ...


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model to score on held-out rows, and what decides the scores.

    What several metrics need (each row's score, the samples) is a property, computed when first read.

    Attributes:
        model: the model; it is put into eval mode while it is scored, and back.
        rows: the held-out rows.
        settings: what else decides the scores.
        conditional: whether the model takes the rows' context; samples are then drawn given the contexts of
            the held-out rows they are compared with.
        train_rows: reads the rows that the model was fitted to, for metrics that compare with them.

    Raises:
        DataError: without rows.
    """

    model: nn.Module
    rows: HeldOut
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)
    conditional: bool = False
    train_rows: Callable[[], HeldOut] | None = None
    _shared: dict[Any, Any] = field(default_factory=dict[Any, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise DataError("there are no held-out rows to score the model on")

    @classmethod
    def of(
        cls,
        model: nn.Module,
        rows: HeldOut,
        *,
        conditional: bool = False,
        train_rows: Callable[[], HeldOut] | None = None,
        **settings: Any,
    ) -> Evaluation:
        """Return an evaluation with settings by their names, such as ``max_rows=500, ais_chains=4``.

        Raises:
            DataError: without rows.
            UsageError: for a setting that does not exist, or a value that is not allowed.
        """
        return cls(model, rows, EvaluationSettings.named(**settings), conditional, train_rows)

    @property
    def seed(self) -> int:
        """Of every draw."""
        return self.settings.seed

    @property
    def batch_size(self) -> int:
        """Rows that the model reads at once."""
        return self.settings.batch_size

    @property
    def modes(self) -> Modes | None:
        """The modes of the rows, where they are known."""
        return self.rows.modes if isinstance(self.rows, Rows) else None

    @property
    def measure(self) -> Measure:
        """What the model's densities refer to."""
        return measure_of(self.model, self.rows.spec)

    @cached_property
    def log_prob(self) -> Tensor:
        """log p of every row, exactly: (n,) nats. The model must be `Density`."""
        model = capable(self.model, Density)
        return self.per_row(lambda batch, _: model.log_prob(batch.x, batch.context)) + self.log_det

    @cached_property
    def log_det(self) -> Tensor:
        """What turns a log-density of rows as the model reads them into one of the data: (n,) float64 nats."""
        return torch.cat([self.rows.spec.log_det(batch.x) for batch in self.rows.blocks(self.batch_size)])

    @cached_property
    def codes(self) -> Tensor:
        """The mean code of every row: (n, d) float64 on the CPU. The model must be `Encodes`."""
        model, device = capable(self.model, Encodes), _device(self.model)
        with scoring(self.model):
            means = [model.encode(batch.x, batch.context).mean for batch in self._batches(device)]
        return torch.cat([mean.flatten(1).double().cpu() for mean in means])

    @cached_property
    def heldout(self) -> Batch:
        """At most ``max_rows`` of the rows, chosen at random, since a set may be sorted by class."""
        return self.chosen(self.settings.max_rows)

    @cached_property
    def samples(self) -> Tensor:
        """As many samples as ``heldout`` has rows: (n, *event). The model must be `Generative`."""
        model, device = capable(self.model, Generative), _device(self.model)
        generator = self._generator("samples", device)
        with scoring(model):
            parts = [
                model.sample(len(batch), self._context(batch.to(device)), generator=generator).cpu()
                for batch in self.heldout.blocks(self.batch_size)
            ]
        return torch.cat(parts)

    @cached_property
    def training(self) -> HeldOut:
        """The rows that the model was fitted to, read when they are first needed.

        Raises:
            UsageError: where they are not known.
        """
        if self.train_rows is None:
            raise UsageError(
                "this metric needs the rows that the model was fitted to: lt.evaluate finds those of a run, and "
                "Evaluation takes train_rows="
            )
        return self.train_rows()

    def chosen(self, most: int) -> Batch:
        """Return at most so many of the rows, chosen at random, in their order; on the CPU."""
        chosen = torch.randperm(len(self.rows), generator=self._generator("rows"))[:most]
        kept = torch.zeros(len(self.rows), dtype=torch.bool)
        kept[chosen] = True
        blocks = zip(self.rows.blocks(self.batch_size), kept.split(self.batch_size), strict=True)
        return Batch.joined([block.rows(keep) for block, keep in blocks])

    def blocks(self, batch: Batch, size: int) -> Iterator[Batch]:
        """Yield a batch in blocks on the model's device, with context only if the model takes one."""
        for block in batch.blocks(size):
            there = block.to(_device(self.model))
            yield Batch(there.x, self._context(there))

    def bound(self, samples: int) -> Tensor:
        """Return the importance-weighted bound of every row, computed once for each number of samples: (n,) nats.

        Args:
            samples: K; 1 is the evidence lower bound, one draw for each row.

        Raises:
            UsageError: for a model that is not `Bounded`.
        """
        model, key = capable(self.model, Bounded), ("bound", samples)
        if key not in self._shared:
            self._shared[key] = (
                self.per_row(
                    lambda batch, generator: model.log_prob_bound(
                        batch.x, batch.context, samples=samples, generator=generator
                    )
                )
                + self.log_det
            )
        return self._shared[key]

    def shared(self, compute: Callable[[Evaluation], T]) -> T:
        """Return what a function makes of this evaluation, computed once for all metrics that need it."""
        if compute not in self._shared:
            self._shared[compute] = compute(self)
        return self._shared[compute]

    def generator(self, purpose: str) -> torch.Generator:
        """Return a generator on the model's device, its stream decided by the seed and the purpose."""
        return self._generator(purpose, _device(self.model))

    def per_row(self, measure: Callable[[Batch, torch.Generator], Tensor]) -> Tensor:
        """Return one number for every held-out row, without gradient and in eval mode.

        Args:
            measure: (batch on the model's device, generator) → (B,). A batch has context only if the model
                takes one.

        Returns:
            (n,) float64 on the CPU.

        Raises:
            UsageError: where the measure returns another shape than (B,).
        """
        device = _device(self.model)
        generator = self._generator("scores", device)
        with scoring(self.model):
            parts = [
                _one_each(measure(batch, generator), batch).double().cpu() for batch in self._batches(device)
            ]
        return torch.cat(parts)

    def _batches(self, device: torch.device) -> Iterator[Batch]:
        for block in self.rows.blocks(self.batch_size):
            batch = block.to(device)
            yield Batch(batch.x, self._context(batch))

    def _context(self, batch: Batch) -> Tensor | None:
        return context_of(self.model, batch) if self.conditional else None

    def _generator(self, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
        # A stream of its own: the bare seed may have made the held-out rows, and samples drawn from the same
        # stream would be their twins.
        return torch.Generator(device).manual_seed(crc32(f"{purpose} {self.seed}".encode()))


@contextmanager
def scoring(model: nn.Module) -> Generator[None, None, None]:
    """Hold a model in eval mode and without gradient; put each part's own mode back afterwards."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in training:
            part.training = True


def measure_of(model: nn.Module, spec: DataSpec) -> Measure:
    """Return what a model's densities refer to: what it says itself, or else its data's measure.

    A Gaussian fitted to whole numbers has a density relative to Lebesgue measure all the same.
    """
    return getattr(model, "measure", None) or spec.support.measure


def capable(model: nn.Module, capability: type[C]) -> C:
    """Return the model, known to have a capability; raise `UsageError` where it lacks it."""
    if not isinstance(model, capability):
        raise UsageError(f"{type(model).__name__} is not {capability.__name__}")
    return model


def _one_each(values: Tensor, batch: Batch) -> Tensor:
    if values.shape != (len(batch),):
        raise UsageError(f"a score must be one number per row, ({len(batch)},); got {tuple(values.shape)}")
    return values


def _device(model: nn.Module) -> torch.device:
    tensors = chain(model.parameters(), model.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))
