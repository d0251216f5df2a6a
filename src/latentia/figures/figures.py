"""Figures: grids of images pixel by pixel, and plots as SVG or PNG, drawn without pyplot's global state."""

from __future__ import annotations

import base64
import io
import math
import re
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentia.data.spec import DataSpec
from latentia.errors import DataError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

Plot = Callable[["Axes"], None]
"""A function that draws one plot into given axes."""
Titled = list[tuple[str, Plot]]
"""Plots with their titles, which may repeat."""

INK, REAL, MODEL = "#1b2430", "#d9822b", "#3d7fc4"
PALETTE = (MODEL, REAL, "#3fa37c", "#b65fa8", "#c9a227", "#7a8794", "#d1495b", "#4fb3bf")
_GAP, _PAPER = 2, 128  # pixels between images, and their grey
_VISIBLE = 48  # pixels: smaller images are enlarged to at least this size
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


def image_grid(
    images: Tensor,
    spec: DataSpec,
    columns: int | None = None,
    scale: int | None = None,
    *,
    bounds: tuple[float, float] | None = None,
) -> Image:
    """Lay images out in rows and columns, as one picture in which every pixel is a value of the data.

    byte = round(255 (x - low) / (high - low)), clipped to 0..255, where low and high are the bounds of the
    support, or the range of the images where the support is unbounded.

    Args:
        images: (n, C, H, W) in data space, grey (C = 1) or RGB (C = 3).
        spec: what the images are.
        columns: images per row; default: such that the grid is nearly square.
        scale: factor of enlargement; default: small images are enlarged to a visible size.
        bounds: (low, high) instead of the support's, so that two grids can have the same.

    Raises:
        DataError: for images of another shape than the spec's, neither grey nor RGB, or not finite.
        UsageError: for columns or a scale below 1.

    Example:
        >>> from latentia.data.spec import Support
        >>> spec = DataSpec((1, 2, 2), Support("unit"))
        >>> image_grid(torch.zeros(3, 1, 2, 2), spec, columns=3, scale=1).size
        (10, 2)
    """
    _check(images, spec)
    n, channels = images.shape[:2]
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    scale = math.ceil(_VISIBLE / max(images.shape[2:])) if scale is None else scale
    if columns < 1 or scale < 1:
        raise UsageError(f"columns and scale must be at least 1; got {columns} and {scale}")
    columns = min(columns, n)
    tiles = _bytes(images.cpu(), bounds or spec.support.bounds)
    tiles = tiles.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    height, width = tiles.shape[2] + _GAP, tiles.shape[3] + _GAP
    grid = torch.full((channels, math.ceil(n / columns) * height, columns * width), _PAPER, dtype=torch.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * height, number % columns * width
        grid[:, top : top + tile.shape[1], left : left + tile.shape[2]] = tile
    return _picture(grid[:, :-_GAP, :-_GAP])


def drawable(spec: DataSpec) -> bool:
    """Whether rows are images that can be displayed: grey or RGB."""
    return spec.is_image and spec.event_shape[0] in (1, 3)


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


def png_of(image: Image) -> bytes:
    """Return a picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(image: Image) -> str:
    """Return a picture as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png_of(image)).decode()}"


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


def _check(images: Tensor, spec: DataSpec) -> None:
    if not drawable(spec):
        raise DataError(
            f"a grid needs grey or RGB images, (1 or 3, height, width); got rows of shape {spec.event_shape}"
        )
    if tuple(images.shape[1:]) != spec.event_shape or not len(images):
        raise DataError(f"images must have shape (n, *{spec.event_shape}); got {tuple(images.shape)}")
    if not bool(images.isfinite().all()):
        raise DataError("images hold NaN or infinite values, which no pixel can show")


def _bytes(images: Tensor, bounds: tuple[float, float] | None) -> Tensor:
    """Return images as bytes: low becomes 0, high 255."""
    images = images.double()
    low, high = bounds or (images.min().item(), images.max().item())
    span = (high - low) or 1.0  # constant images have no range
    return ((images - low) * (255 / span)).round().clamp(0, 255).to(torch.uint8)


def _picture(pixels: Tensor) -> Image:
    """Return (C, H, W) bytes as a grey or RGB picture."""
    from PIL import Image

    return Image.fromarray(pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy())
