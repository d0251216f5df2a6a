"""From raw values to rows: one place that infers and checks support, and numbers labels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import Tensor

from latentia.data.ingest.arrays import as_events, as_tensor, check_size, number_labels
from latentia.data.ingest.units import in_own_units
from latentia.data.ingest.unusual import without_mask
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support, infer_support

_ENTRIES = 1 << 22  # of a block that is inspected at once


@dataclass(frozen=True)
class Raw:
    """What a source gave, before it is checked.

    Attributes:
        values: an array or tensor of rows in any layout.
        labels: (n,) class numbers or names, or None.
        support: what was declared, or what the column types imply; None to infer it.
        classes: the names of the classes where ``labels`` are their numbers; otherwise they are found.
        columns: a table's column names.
        categories: the names of each column's categories.
    """

    values: Any
    labels: Any = None
    support: Support | None = None
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    categories: tuple[tuple[str, ...], ...] = ()

    def rows(self, name: str) -> Rows:
        """Infer or check the support, number the labels, and return the rows.

        Raises:
            DataError: for data that is empty, a single row, not finite, or outside its support.
        """
        values, support = without_mask(self.values, self.support, name)
        x = as_events(as_tensor(values, name), name)
        check_size(tuple(x.shape), name)
        support = inspect(x.split(max(1, _ENTRIES // x[0].numel())), support, name)
        labels, classes = self._labels(name)
        shape = tuple(x.shape[1:])
        spec = DataSpec(shape, support, columns=self.columns, categories=self.categories)
        rows = in_own_units(Rows(x, spec, name=name))
        return rows if labels is None else rows.with_labels(labels, classes)

    def _labels(self, name: str) -> tuple[Tensor | None, tuple[str, ...]]:
        if self.labels is None:
            return None, ()
        if self.classes:
            return as_tensor(self.labels, "labels").flatten().long(), self.classes
        return number_labels(self.labels, f"the label of {name}")


def inspect(blocks: Iterable[Tensor], support: Support | None, name: str) -> Support:
    """Read rows once: check a declared support, or infer one; either way refuse NaN and infinity."""
    seen: set[Support] = set()

    def noting() -> Iterator[Tensor]:
        for block in blocks:
            if support is None:
                seen.add(infer_support(block))
            yield block

    (support or Support("real")).check_blocks(noting(), name=name)
    return support or reduce(Support.union, seen)
