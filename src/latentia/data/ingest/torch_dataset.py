"""Rows that a map-style torch ``Dataset`` holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from latentia.data.ingest.arrays import as_events, as_tensor, check_size, number_labels
from latentia.data.ingest.raw import inspect
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError

_ROWS = 256  # fetched at once while the set is read through


@dataclass(frozen=True)
class Items:
    """A map-style ``Dataset`` as a `Store`: items, x or (x, y), are fetched when they are read.

    Attributes:
        dataset: gives items; x is an array, a tensor, an image or a number.
        name: what to call the data in messages.
    """

    dataset: Dataset[Any]
    name: str = "data"

    def __len__(self) -> int:
        return len(self.dataset)  # pyright: ignore[reportArgumentType]  (a map-style data set has a length)

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:  # noqa: ARG002  (rows are dimension 0)
        """Fetch the rows with given numbers."""
        return self.fetch(index.tolist())[0]

    def fetch(self, numbers: Sequence[int]) -> tuple[Tensor, list[Any]]:
        """Fetch (B, *event) rows and their labels, None where there are none."""
        pairs = [split_item(self.dataset[number]) for number in numbers]
        parts = [as_tensor(x, f"an item of {self.name}") for x, _ in pairs]
        for number, part in zip(numbers, parts, strict=True):
            if part.shape != parts[0].shape:
                raise DataError(
                    f"items of different shapes in {self.name}: item {numbers[0]} is {tuple(parts[0].shape)}, "
                    f"item {number} is {tuple(part.shape)}; give them one shape"
                )
        return as_events(torch.stack(parts), self.name), [y for _, y in pairs]


def read_items(dataset: Dataset[Any], support: Support | None, name: str) -> Rows:
    """Read a data set through, once, for its labels and its support; its rows are fetched when needed.

    Raises:
        DataError: for a set that is empty, of one item, of items of different shapes, not finite, or outside
            its support.
    """
    items, labels, shapes = Items(dataset, name), list[Any](), set[tuple[int, ...]]()
    check_size((len(items), 1), name)

    def read() -> Iterator[Tensor]:
        for start in range(0, len(items), _ROWS):
            x, y = items.fetch(range(start, min(start + _ROWS, len(items))))
            labels.extend(y)
            shapes.add(tuple(x.shape[1:]))
            yield x

    support = inspect(read(), support, name)
    if len(shapes) > 1:
        raise DataError(f"items of different shapes in {name}: {' and '.join(map(str, sorted(shapes)))}")
    rows = Rows(items, DataSpec(shapes.pop(), support), name=name)
    return rows if labels[0] is None else rows.with_labels(*number_labels(_scalars(labels, name)))


def split_item(item: Any) -> tuple[Any, Any]:
    """Split what a data set or a loader gives into rows and labels; labels are None where there are none."""
    if isinstance(item, tuple | list):
        return item[0], (item[1] if len(item) > 1 else None)
    return item, None


def _scalars(labels: list[Any], name: str) -> np.ndarray:
    """Return labels, given as numbers, texts, or arrays and tensors of one entry, as an array."""
    arrays = [np.asarray(label).reshape(-1) for label in labels]
    if any(len(array) != 1 for array in arrays):
        raise DataError(f"labels of {name} are not one class number or name for each item")
    return np.concatenate(arrays)
