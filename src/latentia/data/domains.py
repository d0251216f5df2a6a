"""Domains: several unpaired sets as one set of rows, whose class names the set that a row comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor

from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.data.support import Support
from latentia.errors import DataError, UsageError

LABEL = "domain"


@dataclass(frozen=True)
class Together:
    """The rows of several sets, one set after the other, as a `Store`; none is copied.

    Attributes:
        parts: the sets.
    """

    parts: tuple[Rows, ...]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:  # noqa: ARG002  (rows are dimension 0)
        """Read the rows with given numbers, each from its set."""
        chosen = torch.empty(len(index), *self.parts[0].spec.event_shape, dtype=self._dtype)
        owners = torch.bucketize(index, self._ends, right=True)
        for number, part in enumerate(self.parts):
            mine = (owners == number).nonzero()[:, 0]
            if len(mine):
                within = index[mine] - (self._ends[number] - len(part))
                chosen[mine] = part.select(within).x.to(self._dtype)
        return chosen

    @cached_property
    def _ends(self) -> Tensor:
        return torch.tensor([len(part) for part in self.parts]).cumsum(0)

    @cached_property
    def _dtype(self) -> torch.dtype:
        first = (part.select(torch.tensor([0])).x.dtype for part in self.parts)
        return reduce(torch.promote_types, first)


def in_domains(parts: Mapping[str, Rows], name: str) -> Rows:
    """Return unpaired sets as one set of rows with a label ``domain``, whose classes are the sets' names.

    What else is known of the rows is left out.

    Args:
        parts: the sets, by name.
        name: what to call the rows in messages.

    Raises:
        UsageError: for fewer than two sets, or a set that has a transform.
        DataError: for rows of different shapes.

    Example:
        >>> real = DataSpec((1,), Support("real"))
        >>> sets = {"low": Rows(torch.zeros(3, 1), real), "high": Rows(torch.ones(2, 1), real)}
        >>> rows = in_domains(sets, "both")
        >>> rows.spec.classes, rows.labels.tolist(), rows.take(torch.tensor([4, 0])).x[:, 0].tolist()
        (('low', 'high'), [0, 0, 0, 1, 1], [1.0, 0.0])
    """
    sets = tuple(parts.values())
    if len(sets) < 2:
        raise UsageError(f"domains are two sets or more, by name; got {', '.join(parts) or 'none'}")
    if any(each.transform is not None for each in sets):
        raise UsageError(f"the sets of {name} have transforms already: start from the plain rows")
    shapes = {key: each.spec.event_shape for key, each in parts.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
        raise DataError(
            f"the domains of {name} have rows of different shapes, {listed}: give them one (resize=)"
        )
    support = reduce(Support.union, (each.spec.support for each in sets))
    spec = DataSpec(sets[0].spec.event_shape, support, columns=sets[0].spec.columns)
    labels = torch.repeat_interleave(torch.tensor([len(each) for each in sets]))
    return Rows(Together(sets), spec, name=name).with_labels(labels, tuple(map(str, parts)), LABEL)
