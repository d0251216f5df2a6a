"""Rows of data: in memory, in a mapped file or in a torch ``Dataset``, read by index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, Protocol, overload

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from latentia.core.objective import Batch
from latentia.data.attributes import Attribute, Role
from latentia.data.randomness import permutation
from latentia.data.spec import DataSpec
from latentia.errors import DataError, UsageError


class Store(Sized, Protocol):
    """Where rows are kept. A tensor is one, also one that wraps a memory-mapped file."""

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Return the rows (``dim`` 0) with given numbers, as they are stored."""
        ...


class Transform(Protocol):
    """A change of rows that is a pure function of a row, its number and the epoch."""

    @property
    def fixed(self) -> bool:
        """Whether every epoch is the same."""
        ...

    def on(self, spec: DataSpec) -> Transform:
        """Return the same transform for data of this spec; `UsageError` where it has no meaning there."""
        ...

    def spec(self, spec: DataSpec) -> DataSpec:
        """Return what rows of this spec become."""
        ...

    def __call__(self, x: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Transform (B, *event) floating-point rows with numbers (B,)."""
        ...


@dataclass(frozen=True)
class Rows:
    """Rows of data with what they are, read by index, so that any order and any resume is exact.

    Attributes:
        store: the (n, *event) tensor of any dtype, possibly backed by a mapped file, or another `Store`.
        spec: what the rows are, after the transform.
        attributes: by name, the values of the spec's attributes: (n,) int64, the numbers of listed values; (n,)
            float64, real ones; or (n, L) uint8, texts. Some may be unknown.
        name: what to call the data in messages and reports.
        log_density: the true log-density of (B, *event) rows in nats, where it is known in closed form.
        modes: the modes of the rows' distribution, where they are known.
        stored: what the rows are before the transform, where there is one.
        transform: what is done to rows when they are read.
        numbers: (n,) int64, which rows of the store these are, in order; None for all of them.

    Raises:
        DataError: for values of another length, numbers out of range, or values that are not finite.

    Example:
        >>> from latentia.data.spec import Support
        >>> spec = DataSpec((2,), Support("discrete", 12))
        >>> rows = Rows(torch.arange(12, dtype=torch.uint8).reshape(6, 2), spec)
        >>> rows.select(torch.tensor([4, 1])).take(torch.tensor([1])).x
        tensor([[2., 3.]])
    """

    store: Store
    spec: DataSpec
    attributes: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    name: str = "data"
    log_density: Callable[[Tensor], Tensor] | None = None
    transform: Transform | None = None
    numbers: Tensor | None = None
    modes: Modes | None = None
    stored: DataSpec | None = None

    def __post_init__(self) -> None:
        for attribute in self.spec.attributes:
            if attribute.name in self.attributes:
                attribute.check(self.attributes[attribute.name], len(self), self.name)

    def __len__(self) -> int:
        return len(self.store if self.numbers is None else self.numbers)

    @property
    def device(self) -> torch.device:
        """Where the rows are kept."""
        return self.store.device if isinstance(self.store, Tensor) else torch.device("cpu")

    @property
    def x(self) -> Tensor:
        """The (n, *event) rows as they are stored, untransformed; a copy unless they are a whole tensor."""
        if self.numbers is None and isinstance(self.store, Tensor):
            return self.store
        return self.store.index_select(0, self._numbers())

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.generic]:
        """Return the (n, *event) rows as they are stored, untransformed, for ``np.asarray(rows)``.

        Raises:
            ValueError: with ``copy=False``, where the rows are a selection or a `Store` that is no tensor.
        """
        if copy is False and not (self.numbers is None and isinstance(self.store, Tensor)):
            raise ValueError(f"{self.name} is not one array in memory; leave out copy=False")
        return np.array(self.x.numpy(), dtype=dtype, copy=copy)

    @property
    def labels(self) -> Tensor | None:
        """The rows' class numbers, (n,) int64; None where they are not known."""
        return None if self.spec.label is None else self.attributes.get(self.spec.label.name)

    @property
    def factor_values(self) -> Tensor | None:
        """The numbers of the factors' values, (n, F) int64; None without factors, or where one is not known."""
        known = [self.attributes.get(each.name) for each in self.spec.factors]
        columns = [values for values in known if values is not None]
        return torch.stack(columns, dim=1) if columns and len(columns) == len(known) else None

    def take(self, index: Tensor, epoch: int = 0) -> Batch:
        """Return the rows at positions ``index`` (B,), transformed, as floating-point numbers."""
        numbers = index if self.numbers is None else self.numbers.index_select(0, index)
        spec = (
            self.spec if self.stored is None else self.stored
        )  # a transform changes rows as models read them
        x = spec.coded(self.store.index_select(0, numbers))
        if self.transform is not None:
            x = self.transform(x, numbers, epoch)
        known = {name: values.index_select(0, index) for name, values in self._known.items()}
        return Batch(x, index=numbers, attributes=known)

    def blocks(self, size: int, epoch: int = 0) -> Iterator[Batch]:
        """Iterate over blocks of at most ``size`` rows, transformed, as floating-point numbers."""
        for start in range(0, len(self), size):
            yield self.take(torch.arange(start, min(start + size, len(self)), device=self.device), epoch)

    def whole(self, epoch: int = 0) -> Batch:
        """Return all rows in one batch, which is read by ``batch.blocks(n)``.

        Without a transform or offsets the rows stay as they are stored; a mapped file, all of it, is not copied.
        """
        if self.transform is not None or self.spec.is_shifted:
            return self.take(torch.arange(len(self), device=self.device), epoch)
        return Batch(self.x, index=self._numbers(), attributes=self._known)

    def select(self, index: Tensor) -> Rows:
        """Return the rows at positions ``index`` (m,), in that order, without copying them."""
        return replace(
            self,
            numbers=self._numbers().index_select(0, index),
            attributes={name: values.index_select(0, index) for name, values in self.attributes.items()},
        )

    @overload
    def split(self, fractions: Mapping[str, float], seed: int = 0) -> dict[str, Rows]: ...
    @overload
    def split(self, fractions: Sequence[float], seed: int = 0) -> tuple[Rows, ...]: ...
    def split(
        self, fractions: Mapping[str, float] | Sequence[float], seed: int = 0
    ) -> dict[str, Rows] | tuple[Rows, ...]:
        """Split into disjoint random parts, a function of the seed: by name, or in the order given.

        Args:
            fractions: of the rows, for each part; they add up to at most 1, and the rest is left out.
            seed: chooses which rows go where.

        Raises:
            UsageError: if the fractions are not positive or add up to more than 1.
            DataError: if a part would be empty.

        Example:
            >>> from latentia.data.spec import Support
            >>> rows = Rows(torch.zeros(10, 2), DataSpec((2,), Support("real")))
            >>> [len(part) for part in rows.split((0.8, 0.2), seed=1)]
            [8, 2]
        """
        if isinstance(fractions, Mapping):
            parts = self._parts(list(fractions.values()), seed)
            return dict(zip(fractions, parts, strict=True))
        return tuple(self._parts(fractions, seed))

    def transformed(self, transform: Transform) -> Rows:
        """Return the same rows with a transform that is applied when they are read."""
        if self.transform is not None:
            raise UsageError(
                f"{self.name} has a transform already, {self.transform}; start from the plain rows"
            )
        bound = transform.on(self.spec)
        spec = bound.spec(self.spec)
        return replace(self, transform=bound, stored=self.spec, spec=spec, log_density=None, modes=None)

    def with_attributes(self, attributes: Sequence[Attribute], values: Mapping[str, Any]) -> Rows:
        """Return the same rows with further attributes.

        Args:
            attributes: of any kinds and roles; those of names that there are already take their places.
            values: by name, for each of the n rows: numbers of listed values, real numbers, or texts.

        Raises:
            DataError: for values of another shape, numbers out of range, or values that are not finite.
            UsageError: for a second label.

        Example:
            >>> from latentia.data.spec import Support
            >>> rows = Rows(torch.zeros(2, 3), DataSpec((3,), Support("real")))
            >>> caption = Attribute("caption", kind="text")
            >>> rows.with_attributes([caption], {"caption": ["a", "b"]}).take(torch.tensor([1])).attributes
            {'caption': tensor([[98]], dtype=torch.uint8)}
        """
        names = {each.name for each in attributes}
        kept = [each for each in self.spec.attributes if each.name not in names]
        new = {each.name: each.stored(values[each.name]) for each in attributes}
        spec = replace(self.spec, attributes=(*kept, *attributes))
        return replace(self, spec=spec, attributes={**self.attributes, **new})

    def with_labels(self, labels: Tensor, classes: Sequence[str] = (), name: str = "class") -> Rows:
        """Return the same rows with class numbers (n,) of the spec's classes, or of those that are given.

        Raises:
            DataError: for another count of labels, or numbers out of range.
            UsageError: without classes.
        """
        label = Attribute(name, tuple(classes)) if classes else self.spec.label
        if label is None:
            raise UsageError(f"labels need classes=, their names; {self.name} has none")
        spec = self.spec.with_role("label", [label])
        return replace(self, spec=spec, attributes={**self.attributes, label.name: labels.long()})

    def with_factors(self, factors: Sequence[Attribute], values: Tensor) -> Rows:
        """Return the same rows with factors: the causes of how they look.

        Args:
            factors: F attributes.
            values: (n, F) the number of each row's value, for each factor.

        Raises:
            DataError: for numbers of another shape, or out of range.
        """
        return self._with_role("factor", factors, values)

    def with_conditions(self, conditions: Sequence[Attribute], values: Tensor) -> Rows:
        """Return the same rows with what a conditional model is given in addition to their class.

        Args:
            conditions: C attributes.
            values: (n, C) the number of each row's value, or the value itself of a real one.

        Raises:
            DataError: for values of another shape, numbers out of range, or a value that is not finite.
        """
        return self._with_role("condition", conditions, values)

    def _with_role(self, role: Role, attributes: Sequence[Attribute], values: Tensor) -> Rows:
        """Return the rows with these attributes of a role, in the place of those that they have."""
        if tuple(values.shape) != (len(self), len(attributes)):
            raise DataError(
                f"{role} values of {self.name} have shape {tuple(values.shape)}; {len(self)} rows and "
                f"{len(attributes)} {role}s need {(len(self), len(attributes))}"
            )
        columns = zip(attributes, values.unbind(1), strict=True)
        new = {each.name: each.stored(column) for each, column in columns}
        spec = self.spec.with_role(role, attributes)
        return replace(self, spec=spec, attributes={**self.attributes, **new})

    @property
    def _known(self) -> dict[str, Tensor]:
        """The values of the spec's attributes, as far as they are known."""
        names = (each.name for each in self.spec.attributes)
        return {name: self.attributes[name] for name in names if name in self.attributes}

    def _numbers(self) -> Tensor:
        return torch.arange(len(self.store), device=self.device) if self.numbers is None else self.numbers

    def _parts(self, fractions: Sequence[float], seed: int) -> Iterator[Rows]:
        if min(fractions, default=0) <= 0 or sum(fractions) > 1 + 1e-9:
            raise UsageError(f"split fractions are positive and add up to at most 1; got {list(fractions)}")
        ends = [round(len(self) * total) for total in accumulate(fractions, initial=0.0)]
        if any(start == end for start, end in pairwise(ends)):
            raise DataError(f"{self.name} has {len(self)} rows, too few to split by {list(fractions)}")
        shuffled = permutation(len(self), seed)
        # Within a part the order is the original one: a mapped file is then read forwards.
        return (self.select(shuffled[start:end].sort().values) for start, end in pairwise(ends))


@dataclass(frozen=True, eq=False)
class Modes:
    """K equally likely Gaussians N(μ_k, sd² I).

    Attributes:
        centres: (K, D) μ, in the rows' unit.
        sd: of each.

    Raises:
        UsageError: for centres of another shape, or an sd that is not positive.
    """

    centres: Tensor
    sd: float

    def __post_init__(self) -> None:
        if self.centres.dim() != 2 or not self.sd > 0:
            raise UsageError(
                f"modes need centres (K, D) and a positive sd; got {tuple(self.centres.shape)} and {self.sd}"
            )

    def __len__(self) -> int:
        return len(self.centres)
