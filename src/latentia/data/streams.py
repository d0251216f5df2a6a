"""Streams: batches that a ``DataLoader`` makes, which have no order of their own."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, default_collate

from latentia.core.objective import Batch, Blocks
from latentia.core.randomness import using_generator
from latentia.data.attributes import Attribute
from latentia.data.ingest.arrays import as_events, as_tensor, check_size
from latentia.data.ingest.raw import inspect
from latentia.data.ingest.torch_dataset import split_item
from latentia.data.randomness import mix
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, DataWarning

_BEGUN = 1_000  # batches of a stream of unknown length that a training's beginning reads
_PICTURE = 8  # rows and columns of numbers, from which they may be a picture
_EPOCH = 100  # batches that are called an epoch where a pass's length is unknown


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
            batch = item.floating()
        else:
            x, labels = split_item(item)
            x = as_events(as_tensor(x, self.name), self.name).to(torch.get_default_dtype())
            batch = Batch(x, attributes=self._attributes(labels))
        label = self.spec.label
        if label is not None and label.name in batch.attributes:
            self._check(batch.attributes[label.name], len(label.values))
        return batch

    def _attributes(self, labels: Any) -> dict[str, Tensor]:
        if labels is None or self.spec.label is None:
            return {}
        return {self.spec.label.name: as_tensor(labels, "labels").long()}

    def _check(self, numbers: Tensor, classes: int) -> None:
        low, high = int(numbers.min()), int(numbers.max())
        if low < 0 or high >= classes:
            raise DataError(f"{self.name} has class number {low if low < 0 else high}, but {classes} classes")


@dataclass(frozen=True)
class Batched:
    """Batches of what gives single rows: an ``IterableDataset``, or a ``DataLoader`` whose ``batch_size`` is None.

    Args:
        items: gives single rows, or pairs (row, class number).
        name: what to call the data in messages.
        size: the number of rows in a batch; the last may be smaller.

    Raises:
        DataError: (while reading) for rows of different shapes.

    Example:
        >>> [len(batch) for batch in Batched([torch.zeros(2)] * 5, size=2)]
        [2, 2, 1]
    """

    items: Iterable[Any]
    name: str = "data"
    size: int = 128

    def __iter__(self) -> Iterator[Any]:
        items = iter(self.items)
        while batch := list(islice(items, self.size)):
            try:
                yield default_collate(batch)
            except (RuntimeError, TypeError, ValueError) as error:
                reason = str(error).partition("\n")[0]
                raise DataError(f"rows of {self.name} do not make a batch: {reason}") from error

    def __len__(self) -> int:
        return -(-len(self.items) // self.size)  # pyright: ignore[reportArgumentType]


def _unbatched(loader: Iterable[Any]) -> bool:
    """Whether a loader gives what its data set gives, which may be single rows."""
    if isinstance(loader, DataLoader):
        return loader.batch_size is None and loader.batch_sampler is None
    return isinstance(loader, IterableDataset)


def _is_single(item: Any) -> bool:
    """Whether an item is a row and not a batch of rows.

    A label for itself, a number, a vector and an image of 1 or 3 channels are single; (B, D) is a batch.
    """
    if isinstance(item, Batch):
        return False
    x, label = split_item(item)
    if label is not None:
        return np.ndim(label) == 0
    shape = np.shape(x)
    return len(shape) < 2 or (len(shape) == 3 and shape[0] in (1, 3))


def _say_batch(item: Any, name: str) -> None:
    """Warn of what may be a picture without channels as well as the batch of rows that it is taken for."""
    x, label = split_item(item)
    if label is None and np.ndim(x) == 2 and min(np.shape(x)) >= _PICTURE:
        rows, size = np.shape(x)
        note = (
            f"{name} gives items of shape ({rows}, {size}), which are taken as batches of {rows} rows of {size} "
            f"numbers: give single pictures as (1, {rows}, {size})"
        )
        warnings.warn(note, DataWarning, stacklevel=3)


def stream_of(
    loader: Iterable[Any], support: Support | None, labels: Sequence[Any] | None, name: str
) -> Stream:
    """Describe a loader's batches by the first of them; each later one is checked.

    Args:
        loader: gives (B, ...) rows, pairs (rows, class numbers) or `Batch` objects.
        support: the values that an entry may take; None infers it from the first batch.
        labels: the names of the classes whose numbers it gives. Those of a `Batch` are its one attribute of whole
            numbers, or the one called ``class``.
        name: what to call the data in messages.

    Raises:
        DataError: for a loader that gives no batch, or rows that cannot be read.
    """
    first = next(loaded(loader, seed=0), None)
    if first is None:
        raise DataError(f"{name} is empty: its loader gives no batch")
    if _unbatched(loader) and _is_single(first):
        return stream_of(Batched(loader, name), support, labels, name)
    if _unbatched(loader) and not isinstance(first, Batch):
        _say_batch(first, name)
    known = first.attributes if isinstance(first, Batch) else {}
    x = first.x if isinstance(first, Batch) else as_events(as_tensor(split_item(first)[0], name), name)
    check_size((2, *x.shape[1:]), name)
    attributes = tuple(_described(known, labels))
    return Stream(
        loader, DataSpec(tuple(x.shape[1:]), inspect([x], support, name), attributes=attributes), name
    )


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


def _described(known: Mapping[str, Tensor], labels: Sequence[Any] | None) -> Iterator[Attribute]:
    """Describe what a loader's first batch says of its rows: floating-point numbers are real, bytes are texts."""
    real = [key for key, values in known.items() if values.dim() == 1 and values.is_floating_point()]
    texts = [key for key, values in known.items() if values.dim() == 2 and values.dtype == torch.uint8]
    if labels is not None:
        numbers = [key for key in known if key not in real and key not in texts]
        yield Attribute(numbers[0] if len(numbers) == 1 else "class", tuple(map(str, labels)), role="label")
    for key in real:
        yield Attribute(key, (float(known[key].min()), float(known[key].max())), "real")
    for key in texts:
        yield Attribute(key, kind="text")
