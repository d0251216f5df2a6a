"""Batches of rows in an order that is a function of (seed, epoch)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import torch
from torch import Tensor

from latentia.core.objective import Batch
from latentia.data.randomness import permutation
from latentia.data.rows import Rows
from latentia.errors import UsageError


def order(n: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch reads n rows: (n,), a function of (seed, epoch) alone.

    Example:
        >>> bool((order(5, seed=0, epoch=1).sort().values == torch.arange(5)).all())
        True
    """
    return permutation(n, seed, epoch)


def balanced_order(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """Return an order in which the K classes take turns, K times the largest class long, a function of (seed, epoch).

    So any B consecutive rows hold each class equally often, within one row. An epoch reads the rows of the largest
    class once, and those of a smaller one again and again, each time in a new order.

    Args:
        labels: (n,) class numbers; K of them occur.
        seed: of the order.
        epoch: its number.

    Example:
        >>> order = balanced_order(torch.tensor([0, 0, 0, 1]), seed=0, epoch=0)
        >>> order[::2].sort().values.tolist(), order[1::2].tolist()
        ([0, 1, 2], [3, 3, 3])
    """
    classes = [(labels == number).nonzero()[:, 0] for number in labels.unique()]
    most = max(map(len, classes))

    def turns(which: int, rows: Tensor) -> Tensor:
        rounds = range(-(-most // len(rows)))
        return torch.cat([rows[permutation(len(rows), seed, epoch, which, each)] for each in rounds])[:most]

    return torch.stack([turns(which, rows) for which, rows in enumerate(classes)], dim=1).flatten()


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
        balanced: hold each class equally often in every batch, as `balanced_order` has it.

    Raises:
        UsageError: if a batch would be larger than the data, or leave a process without a row; for balanced batches of
            rows without classes, or of the whole set.

    Example:
        >>> from latentia.data.spec import DataSpec, Support
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
    balanced: bool = False

    def __post_init__(self) -> None:
        if self.balanced and (self.rows.labels is None or self.batch_size is None):
            lacking = "classes: give labels=" if self.rows.labels is None else "a batch size"
            raise UsageError(f"balanced batches of {self.rows.name} need {lacking}")
        n, size = self._epoch_size, self._size
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
        return -(-self._epoch_size // self._size)

    def at(self, step: int) -> Iterator[Batch]:
        """Iterate without end over the batches from a step on; the same as that many steps after step 0."""
        return self._wholes(step) if self.batch_size is None else self._parts(step)

    @property
    def _size(self) -> int:
        return len(self.rows) if self.batch_size is None else self.batch_size

    def _parts(self, step: int) -> Iterator[Batch]:
        epoch, skipped = divmod(step, self.steps_per_epoch)
        for epoch in count(epoch):  # noqa: B020  (from this epoch on)
            parts = self._order(epoch).to(self.rows.device).split(self._size)  # one copy for the whole epoch
            for part in parts[skipped:]:
                yield self.rows.take(self._own(part), epoch)
            skipped = 0

    def _order(self, epoch: int) -> Tensor:
        labels = self.rows.labels if self.balanced else None
        if labels is not None:
            return balanced_order(labels.cpu(), self.seed, epoch)
        return order(len(self.rows), self.seed, epoch)

    def _own(self, part: Tensor) -> Tensor:
        """Return this process's rows of a batch; consecutive ones where the classes of the batch take turns."""
        return part.tensor_split(self.world)[self.rank] if self.balanced else part[self.rank :: self.world]

    @cached_property
    def _epoch_size(self) -> int:
        """The number of rows that an epoch reads."""
        labels = self.rows.labels if self.balanced else None
        if labels is None:
            return len(self.rows)
        counts = labels.unique(return_counts=True)[1]
        return len(counts) * int(counts.max())

    def _wholes(self, step: int) -> Iterator[Batch]:
        rows = self.rows
        if self.world > 1:
            rows = rows.select(torch.arange(self.rank, len(rows), self.world, device=rows.device))
        whole = rows.whole(step)
        for epoch in count(step):
            if rows.transform is not None and epoch > step:  # it may depend on the epoch
                whole = rows.whole(epoch)
            yield whole
