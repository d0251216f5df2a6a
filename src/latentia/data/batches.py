"""Batches of rows in an order that is a function of (seed, epoch), and streams that have no order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import torch
from torch import Tensor

from latentia.core.objective import Batch, Blocks
from latentia.core.randomness import using_generator
from latentia.data.ingest.arrays import as_events, as_tensor
from latentia.data.ingest.torch_dataset import split_item
from latentia.data.randomness import mix, permutation
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.errors import DataError, UsageError

_BEGUN = 1_000  # batches of a stream of unknown length that a training's beginning reads
_EPOCH = 100  # batches that are called an epoch where a pass's length is unknown


def order(n: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch reads n rows: (n,), a function of (seed, epoch) alone.

    Example:
        >>> bool((order(5, seed=0, epoch=1).sort().values == torch.arange(5)).all())
        True
    """
    return permutation(n, seed, epoch)


@dataclass(frozen=True)
class Batches:
    """Endless batches of rows that can begin at any step, so that resume and processes agree exactly.

    Args:
        rows: where the rows come from.
        batch_size: rows in a batch, over all processes; the last of an epoch may be smaller. None makes each
            batch the whole set.
        seed: of the order.
        rank: this process's number; it takes rows rank, rank + world, ... of each batch.
        world: the number of processes.

    Raises:
        UsageError: if a batch would be larger than the data, or leave a process without a row.

    Example:
        >>> from latentia.data.spec import Support
        >>> rows = Rows(torch.zeros(10, 2), DataSpec((2,), Support("real")))
        >>> batches = Batches(rows, 4).at(1)
        >>> [len(next(batches)) for _ in range(4)]
        [4, 2, 4, 4]
    """

    rows: Rows
    batch_size: int | None
    seed: int = 0
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        n, size = len(self.rows), self._size
        if size < 1:
            raise UsageError(f"batch size {size} given; it is 1 or more")
        if size > n:
            raise UsageError(f"batch size {size} is larger than the data, {n} rows of {self.rows.name}")
        smallest = n % size or size
        if smallest < self.world:
            raise UsageError(
                f"batches of {size} end {n} rows with a batch of {smallest}, fewer than the {self.world} "
                "processes that share it; choose another batch size"
            )

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in an epoch, the last and smaller one included."""
        return -(-len(self.rows) // self._size)

    def at(self, step: int) -> Iterator[Batch]:
        """Iterate without end over the batches from a step on; the same as that many steps after step 0."""
        return self._wholes(step) if self.batch_size is None else self._parts(step)

    @property
    def _size(self) -> int:
        return len(self.rows) if self.batch_size is None else self.batch_size

    def _parts(self, step: int) -> Iterator[Batch]:
        epoch, skipped = divmod(step, self.steps_per_epoch)
        for epoch in count(epoch):  # noqa: B020  (from this epoch on)
            parts = order(len(self.rows), self.seed, epoch).split(self._size)
            for part in parts[skipped:]:
                yield self.rows.take(part[self.rank :: self.world], epoch)
            skipped = 0

    def _wholes(self, step: int) -> Iterator[Batch]:
        rows = self.rows
        if self.world > 1:
            rows = rows.select(torch.arange(self.rank, len(rows), self.world))
        whole = rows.whole(step)
        for epoch in count(step):
            if rows.transform is not None and epoch > step:  # it may depend on the epoch
                whole = rows.whole(epoch)
            yield whole


@dataclass(frozen=True)
class Stream:
    """Batches from a ``DataLoader`` or any iterable that can be read again: no order of their own, no exact resume.

    What the loader draws from torch's global generator (its shuffling, the seeds of its workers, augmentations) is a
    function of the seed and the pass, and leaves that generator as it was.

    Args:
        loader: gives (B, ...) rows, pairs (rows, class numbers) or `Batch` objects.
        spec: what the rows are; each batch is checked against it.
        name: what to call the data in messages.
        seed: of the loader's draws.

    Raises:
        DataError: (while reading) for a batch that is not what the spec says.

    Example:
        >>> from latentia.data.spec import Support
        >>> stream = Stream([torch.zeros(3, 2), torch.ones(2, 2)], DataSpec((2,), Support("binary")))
        >>> [len(batch) for batch in stream]
        [3, 2]
    """

    loader: Iterable[Any]
    spec: DataSpec
    name: str = "data"
    seed: int = 0

    def __iter__(self) -> Iterator[Batch]:
        return self._read(self.seed)

    def at(self, step: int) -> Iterator[Batch]:
        """Iterate without end over passes that begin anew at this step; a resume sees other draws, not the same."""
        for number in count():
            read = False
            for batch in self._read(self.seed, step, number):
                read = True
                yield batch
            if not read:
                raise DataError(f"{self.name} is empty: its loader gives no batch")

    @property
    def rows(self) -> Blocks:
        """What a training's beginning reads: a pass, or the first 1,000 batches where its length is unknown."""
        return _Beginning(self, None if self._known_length() else _BEGUN)

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in a pass; 100 where it is unknown."""
        return self._known_length() or _EPOCH

    def _known_length(self) -> int | None:
        try:
            return len(self.loader)  # pyright: ignore[reportArgumentType]
        except TypeError:  # a DataLoader has a length, but not where its data set has none
            return None

    def _read(self, *keys: int) -> Iterator[Batch]:
        """Read one pass, whose draws are a function of the keys."""
        for number, item in enumerate(loaded(self.loader, mix(*keys))):
            batch = self._batch(item)
            self.spec.check(batch.x, name=f"batch {number} of {self.name}")
            yield batch

    def _batch(self, item: Any) -> Batch:
        if isinstance(item, Batch):
            return item.floating()
        x, labels = split_item(item)
        x = as_events(as_tensor(x, self.name), self.name).to(torch.get_default_dtype())
        return Batch(x, attributes=self._attributes(labels))

    def _attributes(self, labels: Any) -> dict[str, Tensor]:
        if labels is None or self.spec.label is None:
            return {}
        numbers = as_tensor(labels, "labels").long()
        if int(numbers.min()) < 0 or int(numbers.max()) >= len(self.spec.classes):
            raise DataError(
                f"{self.name} has class number {int(numbers.max())}, but {len(self.spec.classes)} classes"
            )
        return {self.spec.label.name: numbers}


@dataclass(frozen=True)
class _Beginning:
    """The first batches of a stream, or all of a pass, as a set of rows."""

    stream: Stream
    batches: int | None

    def __len__(self) -> int:
        return sum(len(batch) for batch in islice(self.stream, self.batches))

    def blocks(self, size: int) -> Iterator[Batch]:
        """Iterate over blocks of at most ``size`` rows."""
        for batch in islice(self.stream, self.batches):
            yield from batch.blocks(size)


def loaded(loader: Iterable[Any], seed: int) -> Iterator[Any]:
    """Read a loader while torch's global generator is one of this seed, and not in between."""
    generator = torch.Generator().manual_seed(seed)
    with using_generator(generator):
        items = iter(loader)
    while True:
        with using_generator(generator):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item
