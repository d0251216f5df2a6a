"""Rows of data: in memory, in a mapped file or in a torch ``Dataset``, read by index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Protocol, overload

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from latentia.core.objective import Batch
from latentia.data.factors import Factor, codes
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
        labels: (n,) int64 class numbers, or None.
        name: what to call the data in messages and reports.
        log_density: the true log-density of (B, *event) rows in nats, where it is known in closed form.
        modes: the modes of the rows' law, where they are known.
        transform: what is done to rows when they are read.
        numbers: (n,) int64, which rows of the store these are, in order; None for all of them.
        factor_values: (n, F) int64, for each of the spec's factors the number of the row's value, or None.
        condition_values: (n, C) float64, for each of the spec's conditions the same, or the value that was measured.

    Example:
        >>> from latentia.data.spec import Support
        >>> spec = DataSpec((2,), Support("discrete", 12))
        >>> rows = Rows(torch.arange(12, dtype=torch.uint8).reshape(6, 2), spec)
        >>> rows.select(torch.tensor([4, 1])).take(torch.tensor([1])).x
        tensor([[2., 3.]])
    """

    store: Store
    spec: DataSpec
    labels: Tensor | None = None
    name: str = "data"
    log_density: Callable[[Tensor], Tensor] | None = None
    transform: Transform | None = None
    numbers: Tensor | None = None
    factor_values: Tensor | None = None
    condition_values: Tensor | None = None
    modes: Modes | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != len(self):
            raise DataError(f"{self.name} has {len(self)} rows but {len(self.labels)} labels")
        if self.factor_values is not None:
            self._check_factors("factor", self.spec.factors, self.factor_values)
        if self.condition_values is not None:
            self._check_factors("condition", self.spec.conditions, self.condition_values)

    def __len__(self) -> int:
        return len(self.store if self.numbers is None else self.numbers)

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

    def take(self, index: Tensor, epoch: int = 0) -> Batch:
        """Return the rows at positions ``index`` (B,), transformed, as floating-point numbers."""
        numbers = index if self.numbers is None else self.numbers.index_select(0, index)
        x = self.store.index_select(0, numbers).to(torch.get_default_dtype())
        if self.transform is not None:
            x = self.transform(x, numbers, epoch)
        return Batch(x, context=self._context(index), index=numbers)

    def blocks(self, size: int, epoch: int = 0) -> Iterator[Batch]:
        """Iterate over blocks of at most ``size`` rows, transformed, as floating-point numbers."""
        for start in range(0, len(self), size):
            yield self.take(torch.arange(start, min(start + size, len(self))), epoch)

    def whole(self, epoch: int = 0) -> Batch:
        """Return all rows in one batch, which is read by ``batch.blocks(n)``.

        Without a transform the rows stay as they are stored; a mapped file, all of it, is not copied.
        """
        if self.transform is not None:
            return self.take(torch.arange(len(self)), epoch)
        return Batch(self.x, context=self._context(), index=self._numbers())

    def select(self, index: Tensor) -> Rows:
        """Return the rows at positions ``index`` (m,), in that order, without copying them."""
        return replace(
            self,
            labels=_chosen(self.labels, index),
            numbers=self._numbers().index_select(0, index),
            factor_values=_chosen(self.factor_values, index),
            condition_values=_chosen(self.condition_values, index),
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
            fractions: the share of each part; they add up to at most 1, and what is left over is left out.
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
        return replace(self, transform=bound, spec=bound.spec(self.spec), log_density=None, modes=None)

    def with_factors(self, factors: Sequence[Factor], values: Tensor) -> Rows:
        """Return the same rows with what is known of how they came about.

        Args:
            factors: F factors.
            values: (n, F) the number of each row's value, for each factor.

        Raises:
            DataError: for numbers of another shape, or that no value has.
        """
        return replace(self, spec=replace(self.spec, factors=tuple(factors)), factor_values=values.long())

    def with_conditions(self, conditions: Sequence[Factor], values: Tensor) -> Rows:
        """Return the same rows with what a conditional model is given beside their class.

        Args:
            conditions: C of them.
            values: (n, C) the number of each row's value, or the value itself of what is measured.

        Raises:
            DataError: for values of another shape, numbers that no value has, or a value that is not finite.
        """
        spec = replace(self.spec, conditions=tuple(conditions))
        return replace(self, spec=spec, condition_values=values.double())

    def _numbers(self) -> Tensor:
        return torch.arange(len(self.store)) if self.numbers is None else self.numbers

    def _context(self, index: Tensor | None = None) -> Tensor | None:
        """Return what rows (all without an index) may be given: the codes of class and conditions, or of factors."""
        known = self._known()
        if not known or not self.spec.context:
            return None
        chosen = [each if index is None else each.index_select(0, index) for each in known]
        return codes(self.spec.context, torch.cat(chosen, dim=1))

    def _known(self) -> list[Tensor]:
        """Return the numbers of the context's values, in parts (n, ·); none where one of the parts is not known."""
        if not self.spec.classes and not self.spec.conditions:
            return [] if self.factor_values is None else [self.factor_values]
        classes = None if self.labels is None else self.labels[:, None]
        asked = (self.spec.classes, classes), (self.spec.conditions, self.condition_values)
        parts = [values for has, values in asked if has]
        return [] if any(part is None for part in parts) else [part for part in parts if part is not None]

    def _check_factors(self, what: str, factors: Sequence[Factor], values: Tensor) -> None:
        if tuple(values.shape) != (len(self), len(factors)):
            raise DataError(
                f"{what} values of {self.name} have shape {tuple(values.shape)}; "
                f"{len(self)} rows and {len(factors)} {what}s need {(len(self), len(factors))}"
            )
        if not values.isfinite().all():
            raise DataError(f"{what} values of {self.name} hold NaN or infinity")
        for factor, column in zip(factors, values.T, strict=True):
            if factor.kind == "measured":
                continue
            low, high = int(column.min()), int(column.max())
            if low < 0 or high >= len(factor.values):
                raise DataError(
                    f"{self.name} has value number {low if low < 0 else high} of {factor.name}, "
                    f"which has {len(factor.values)} values"
                )

    def _parts(self, fractions: Sequence[float], seed: int) -> Iterator[Rows]:
        if min(fractions, default=0) <= 0 or sum(fractions) > 1 + 1e-9:
            raise UsageError(f"split fractions are positive and add up to at most 1; got {list(fractions)}")
        ends = [round(len(self) * total) for total in accumulate(fractions, initial=0.0)]
        if any(start == end for start, end in pairwise(ends)):
            raise DataError(f"{self.name} has {len(self)} rows, too few to split by {list(fractions)}")
        shuffled = permutation(len(self), seed)
        # Within a part the order is the original one: a mapped file is then read forwards.
        return (self.select(shuffled[start:end].sort().values) for start, end in pairwise(ends))


def _chosen(values: Tensor | None, index: Tensor) -> Tensor | None:
    return None if values is None else values.index_select(0, index)


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
