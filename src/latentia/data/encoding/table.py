"""Rows of a table as real vectors: numbers as they are, categories and gaps encoded."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor

from latentia.data.encoding.parts import Interval, Number, OneHot, Part, Quantile, Sticks, WithGaps
from latentia.data.margins import Margin
from latentia.data.randomness import uniforms
from latentia.data.spec import DataSpec
from latentia.data.support import Support

STYLES = ("one-hot", "normal")


@dataclass(frozen=True)
class TableEncoding:
    """Encode rows of a table as real vectors, so that a model of real vectors is one of tables too.

    ``one-hot``: a category is K numbers, of which one is 1; a model's samples are turned back by drawing in proportion
    to them. ``normal``: categories, ranks and gaps are standard normal numbers from intervals whose probabilities are
    their rates in the data, drawn anew each epoch; since the interval gives the value back, a density p of the vectors
    bounds that of the table: log p(x) ≥ E_q log p(y)/q(y | x). A column with gaps has a number more, which says
    whether the value is missing; what stands for it is drawn. Numbers are as they are, or standard normal where the
    table's margins know their quantiles.

    Args:
        style: one of the two.
        seed: of the draws, with a row's number and the epoch.
        table: what the rows are; ``on`` binds it.

    Example:
        >>> spec = DataSpec((2,), Support.parse("table(real or missing, categorical(3))"))
        >>> encoding = TableEncoding("one-hot").on(spec)
        >>> y = encoding(torch.tensor([[0.5, 2.0], [float("nan"), 0.0]]), torch.arange(2), 0)
        >>> y[:, [0, 2, 3, 4]].tolist()
        [[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]]
        >>> encoding.inverse(y).tolist()
        [[0.5, 2.0], [nan, 0.0]]
    """

    style: str
    seed: int = 0
    table: DataSpec | None = field(default=None, repr=False)

    @property
    def fixed(self) -> bool:
        """Whether every epoch is the same: nothing is drawn."""
        return self.style == "one-hot" and not self.spec_of_table.support.missing

    def on(self, spec: DataSpec) -> "TableEncoding":
        """Return the same encoding of tables of this spec."""
        return replace(self, table=spec)

    def spec(self, spec: DataSpec) -> DataSpec:
        """Return what the vectors are: real entries, of which some are numbers of one category."""
        parts = list(_parts(spec, self.style))
        width = sum(part.width for part in parts)
        return DataSpec((width,), Support("real"), attributes=spec.attributes, blocks=_blocks(parts))

    def __call__(self, x: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Return (B, D') vectors for (B, D) rows with numbers (B,)."""
        width = self.spec(self.spec_of_table).size
        u = uniforms(index, width, self.seed, epoch) + 2**-25  # the middle of the grid's cells: never 0 or 1
        return self.encoded(x, u.to(x.device))

    def encoded(self, x: Tensor, u: Tensor) -> Tensor:
        """Return vectors (B, D') for rows (B, D), what is drawn chosen by uniform numbers (B, D')."""
        y = [part.forward(x[:, j], u[:, where]) for j, (part, where) in enumerate(self._places())]
        return torch.cat(y, dim=1).to(x.dtype)

    def likeliest(self, x: Tensor) -> Tensor:
        """Return vectors for rows, with the medians of what is drawn."""
        return self.encoded(x, torch.full((len(x), self.spec(self.spec_of_table).size), 0.5, device=x.device))

    def drawn(self, x: Tensor) -> Tensor:
        """Return vectors for rows, what is drawn chosen by torch's global randomness."""
        return self.encoded(x, torch.rand(len(x), self.spec(self.spec_of_table).size, device=x.device))

    def inverse(self, y: Tensor, u: Tensor | None = None) -> Tensor:
        """Return rows (B, D) for vectors (B, D'): drawn by uniform numbers (B, D), or the likeliest."""
        columns = [
            part.inverse(y[:, where], None if u is None else u[:, j])
            for j, (part, where) in enumerate(self._places())
        ]
        return torch.stack(columns, dim=1)

    def log_noise(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y | x) of what was drawn for rows (B, D): (B,) nats, float64."""
        parts = [part.log_noise(x[:, j], y[:, where]) for j, (part, where) in enumerate(self._places())]
        return torch.stack([each.double() for each in parts]).sum(0)

    @property
    def spec_of_table(self) -> DataSpec:
        """What the rows are that it is bound to."""
        assert self.table is not None, "an encoding is of a table: on(spec)"
        return self.table

    def _places(self) -> list[tuple[Part, slice]]:
        """Return each column's part, and which entries of a vector are its."""
        parts = list(_parts(self.spec_of_table, self.style))
        ends = [0]
        for part in parts:
            ends.append(ends[-1] + part.width)
        return [(part, slice(*place)) for part, place in zip(parts, pairwise(ends), strict=True)]


def can_encode(spec: DataSpec) -> bool:
    """Whether rows are those of a table: columns of a frame, or entries of several kinds or with gaps."""
    support = spec.support
    return len(spec.event_shape) == 1 and bool(spec.table or support.columns or support.missing)


def _parts(spec: DataSpec, style: str) -> list[Part]:
    supports = spec.support.columns or (spec.support,) * spec.size
    margins = spec.margins or tuple(map(_unknown, supports))
    return [_part(support, margin, style) for support, margin in zip(supports, margins, strict=True)]


def _part(support: Support, margin: Margin, style: str) -> Part:
    value = _value(replace(support, missing=False), margin, style)
    if not support.missing:
        return value
    gap = OneHot(2) if style == "one-hot" else Interval((1 - margin.gaps, margin.gaps))
    mean, sd = (0.0, 1.0) if isinstance(value, Quantile) else (margin.mean, margin.sd)
    return WithGaps(gap, value, mean, sd, margin.rates)


def _value(support: Support, margin: Margin, style: str) -> Part:
    rates = margin.rates
    if support.levels is None and support.kind != "binary":
        return Quantile(margin.quantiles) if len(set(margin.quantiles)) > 1 else Number()
    if style == "one-hot":
        return OneHot(support.levels or 2, ordered=support.kind == "discrete")
    return Sticks(rates) if support.kind == "categorical" and len(rates) > 2 else Interval(rates)


def _unknown(support: Support) -> Margin:
    """Return a margin of which nothing is known: all values are equally frequent."""
    levels = 2 if support.kind == "binary" else support.levels or 0
    return Margin(gaps=0.5, rates=(1 / levels,) * levels if levels else ())


def _blocks(parts: list[Part]) -> tuple[tuple[int, int], ...]:
    """Return (first, length) of the entries that are numbers of one category, or say whether a value is missing."""
    blocks, start = list[tuple[int, int]](), 0
    for part in parts:
        value, begin = (part.value, start + 1) if isinstance(part, WithGaps) else (part, start)
        if isinstance(part, WithGaps) and isinstance(part.gap, OneHot):
            blocks.append((start, 1))
        if isinstance(value, OneHot) and not (value.ordered and value.levels > 2):
            blocks.append((begin, value.width))
        start += part.width
    return tuple(blocks)
