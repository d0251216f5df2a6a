"""Plots of tables column by column: samples over the real rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from latentia.data.spec import DataSpec, Support
from latentia.figures.drawing import INK, MODEL, REAL, Plot, Titled, plain
from latentia.figures.plots import column_names, dots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_COLUMNS = 9  # that are drawn
_MOST_PAIRS, _MOST_LINES = 3, 8
_BARS = 30  # levels, up to which an integer column has a bar for each


def histograms(samples: Tensor, real: Tensor | None, spec: DataSpec) -> Titled:
    """Return a histogram of each column of (n, D) samples and (m, D) real rows, at most `MOST_COLUMNS`.

    Bins cover the real rows, or the samples if there are none; heights are fractions of all rows, so that values
    outside are not shown, nor moved into the outermost bins.
    """
    columns = zip(column_names(spec), _column_supports(spec), strict=True)
    return [
        (name, _histogram(samples[:, j], None if real is None else real[:, j], support))
        for j, (name, support) in list(enumerate(columns))[:MOST_COLUMNS]
    ]


def pairs(samples: Tensor, real: Tensor, spec: DataSpec) -> Titled:
    """Return scatter plots of the pairs of columns most correlated in the real rows, with as many samples as rows."""
    names, samples = column_names(spec), samples[: len(real)]
    return [
        (f"{names[i]}, {names[j]}", _pair(samples[:, [i, j]], real[:, [i, j]], spec, (names[i], names[j])))
        for i, j in _most_correlated(real)
    ]


def agreements(real: Tensor, reconstructed: Tensor, spec: DataSpec) -> Titled:
    """Return for each column a plot of reconstructed against real values, with the line of equality."""
    names = column_names(spec)[:MOST_COLUMNS]
    return [
        (name, _agreement(torch.stack([real[:, j], reconstructed[:, j]], dim=1), spec))
        for j, name in enumerate(names)
    ]


def responses(rows: Tensor, values: Tensor, scale: Tensor, spec: DataSpec) -> Plot:
    """Return a plot of the change of columns with one entry of the code.

    Args:
        rows: (steps, D) decoded rows.
        values: (steps,) of the entry, in standard centred from its mean.
        scale: (D,) unit of each column, as its standard deviation.
        spec: what the rows are.
    """
    moved = (rows - rows[len(rows) // 2]) / scale
    strongest = moved.abs().amax(0).argsort(descending=True)[:_MOST_LINES].sort().values.tolist()

    def draw(axes: Axes) -> None:
        for j in strongest:
            axes.plot(values.numpy(), moved[:, j].numpy(), label=plain(column_names(spec)[j], 18))
        axes.set_xlabel("the entry, standard centred")
        axes.set_ylabel("change, standard centred")
        axes.legend(ncols=2, fontsize=7)

    return draw


def _column_supports(spec: DataSpec) -> tuple[Support, ...]:
    return spec.support.columns or (spec.support,) * spec.size


def _histogram(samples: Tensor, real: Tensor | None, support: Support) -> Plot:
    edges: Any = _edges(samples if real is None else real, support)

    def draw(axes: Axes) -> None:
        if real is not None:
            axes.hist(
                real.numpy(), edges, weights=_fractions(real), color=REAL, alpha=0.55, label="held-out rows"
            )
        outline: Any = {"histtype": "step", "color": MODEL, "linewidth": 1.6}
        axes.hist(samples.numpy(), edges, weights=_fractions(samples), label="samples", **outline)
        axes.set_ylabel("fraction of rows")
        axes.legend()

    return draw


def _edges(column: Tensor, support: Support) -> np.ndarray:
    """Return the edges of a column's bins: one bin per level of an integer column with few levels."""
    low, high = float(column.min()), float(column.max())
    first, last = support.bounds or (low, high)
    if support.measure == "counting" and last - first < _BARS:
        return np.arange(first, last + 2) - 0.5
    margin = 0.05 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, 41)


def _fractions(column: Tensor) -> np.ndarray:
    return np.full(len(column), 1 / len(column))


def _pair(samples: Tensor, real: Tensor, spec: DataSpec, names: tuple[str, str]) -> Plot:
    def draw(axes: Axes) -> None:
        dots(axes, real, spec, colour=REAL, label="held-out rows")
        dots(axes, samples, spec, colour=MODEL, label="samples")
        axes.set_xlabel(plain(names[0]))
        axes.set_ylabel(plain(names[1]))
        axes.legend(markerscale=2)

    return draw


def _most_correlated(rows: Tensor) -> Sequence[tuple[int, int]]:
    """Return the pairs of columns of greatest absolute correlation, which is 0 for constant columns."""
    centred = (rows - rows.mean(0)).double()
    scale = centred.square().sum(0).sqrt()
    correlation = (centred.mT @ centred / torch.outer(scale, scale)).nan_to_num(0.0).abs()
    every = list(combinations(range(min(rows.shape[1], MOST_COLUMNS)), 2))
    return sorted(every, key=lambda pair: -float(correlation[pair]))[:_MOST_PAIRS]


def _agreement(values: Tensor, spec: DataSpec) -> Plot:
    """Return a plot of (n, 2) real and reconstructed values."""

    def draw(axes: Axes) -> None:
        middle = float(values[:, 0].mean())
        axes.axline((middle, middle), slope=1, color=INK, linewidth=0.7, alpha=0.6)
        dots(axes, values, spec, colour=MODEL)
        axes.set_xlabel("held-out row")
        axes.set_ylabel("reconstruction")

    return draw
