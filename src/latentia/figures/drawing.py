"""Plots on figures, as SVG or PNG, drawn without pyplot's global state, and their colours."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Plot = Callable[["Axes"], None]
"""A function that draws one plot into given axes."""
Titled = list[tuple[str, Plot]]
"""Plots with their titles, which may repeat."""

INK, REAL, MODEL = "#1b2430", "#d9822b", "#3d7fc4"
PALETTE = (MODEL, REAL, "#3fa37c", "#b65fa8", "#c9a227", "#7a8794", "#d1495b", "#4fb3bf")
_WIDTH, _HEIGHT, _SIDE = 3.8, 2.7, 4.6  # inches of one plot, and of a square one
_STYLE: Mapping[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
    "svg.fonttype": "none",  # text stays text, in the page's font and searchable
    "svg.hashsalt": "latentia",  # equal figures are equal bytes
}


def single(plot: Plot, *, square: bool = False) -> Figure:
    """Return a figure of one plot without a title, for a page with its own caption."""
    from matplotlib.figure import Figure

    with _styled():
        figure = Figure(figsize=_size(square))
        _fill(figure.subplots(), plot)
    return figure


def together(plots: Titled, *, square: bool = False) -> Figure:
    """Return a figure of several plots with their titles, at most three in a row; four make a square."""
    from matplotlib.figure import Figure

    columns = 2 if len(plots) == 4 else min(3, len(plots))
    rows = math.ceil(len(plots) / columns)
    with _styled():
        # Axes with equal aspect need the compressed layout, or tick labels are cut off.
        figure = Figure(
            figsize=(_size(square)[0] * columns, _size(square)[1] * rows),
            layout="compressed" if square else "constrained",
        )
        for number, (title, plot) in enumerate(plots, start=1):
            axes = figure.add_subplot(rows, columns, number)
            axes.set_title(plain(title))
            _fill(axes, plot)
    return figure


def svg(figure: Figure) -> str:
    """Return a figure as an SVG element to embed in a page, drawn in the page's text colour."""
    text = _saved(figure, "svg", {"Date": None, "Creator": None, "Format": None, "Type": None}).decode()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)  # repeat every text
    return re.sub(r'<g id="[^"]*"', "<g", text)  # nothing refers to these, and several figures share a page


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file on white paper; equal figures are equal bytes."""
    return _saved(figure, "png", {"Software": None}, facecolor="white")


def plain(text: str, longest: int = 28) -> str:
    """Return a user's text for a plot: truncated, with dollar signs escaped so that they start no formula.

    Example:
        >>> print(plain("cost in $, or $$"))
        cost in \\$, or \\$\\$
    """
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return short.replace("$", r"\$")


def _size(square: bool) -> tuple[float, float]:
    return (_SIDE, _SIDE) if square else (_WIDTH, _HEIGHT)


def _fill(axes: Axes, plot: Plot) -> None:
    """Draw a plot, with few enough ticks that long labels do not overlap."""
    plot(axes)
    if axes.get_xscale() == "linear":
        axes.locator_params(axis="x", nbins=5)


def _saved(figure: Figure, kind: str, metadata: Mapping[str, None], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with _styled():
        figure.savefig(buffer, format=kind, metadata=dict(metadata), **options)
    return buffer.getvalue()


@contextmanager
def _styled() -> Generator[None]:
    """Draw in the report's style, and restore matplotlib's settings."""
    import matplotlib as mpl
    from cycler import cycler

    style: Any = {**_STYLE, "axes.prop_cycle": cycler(color=PALETTE)}
    with mpl.rc_context(style), warnings.catch_warnings():
        # Glyphs that matplotlib's font lacks are drawn by the browser's.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield
