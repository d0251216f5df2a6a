"""Scatter plots of rows in the plane and of codes, with frames, classes and density contours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentia.data.spec import DataSpec
from latentia.figures.drawing import INK, MODEL, REAL, Plot, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LogDensity = Callable[[Tensor], Tensor]
_MANY = 500  # points, above which dots are smaller
_FEW_CLASSES = 10
_CELLS = 300  # per side of the grid on which a density is evaluated
_MASSES = (0.5, 0.9)  # of the points, inside the contours
_STRIPE = 4.0  # aspect ratio above which equal units would squeeze the points into a stripe


@dataclass(frozen=True)
class Frame:
    """The part of the plane that a plot shows: (low, high) of both axes, and whether their units are equal."""

    low: tuple[float, float]
    high: tuple[float, float]
    equal: bool = True

    @classmethod
    def around(cls, points: Tensor, margin: float = 0.12, *, equal: bool = True) -> Frame:
        """Return the frame around (n, 2) points: a square, or each axis scaled to its own values."""
        low, high = points.double().amin(0), points.double().amax(0)
        span = (high - low).clamp_min(1e-9)
        half = (span.amax() if equal else span) * (0.5 + margin)
        middle = (low + high) / 2
        (a, b), (c, d) = (middle - half).tolist(), (middle + half).tolist()
        return cls((a, b), (c, d), equal)

    @classmethod
    def fitting(cls, points: Tensor) -> Frame:
        """Return the frame around (n, 2) points, with equal units unless they make the points a thin stripe."""
        span = points.amax(0) - points.amin(0)
        return cls.around(points, equal=bool(span.amax() <= _STRIPE * span.amin()))

    def outside(self, points: Tensor) -> int:
        """Return the number of (n, 2) points outside the frame."""
        low, high = points.new_tensor(self.low), points.new_tensor(self.high)
        return int(((points < low) | (points > high)).any(1).sum())

    def limit(self, axes: Axes) -> None:
        """Show this part of the plane."""
        axes.set_xlim(self.low[0], self.high[0])
        axes.set_ylim(self.low[1], self.high[1])
        if self.equal:
            axes.set_aspect("equal", anchor="N")


def scatter(
    points: Tensor,
    frame: Frame,
    spec: DataSpec,
    colour: str,
    *,
    labels: Tensor | None = None,
    log_density: LogDensity | None = None,
) -> Plot:
    """Return a plot of (n, 2) points, coloured by class if labelled, over contours of a density if given."""

    def draw(axes: Axes) -> None:
        if log_density is not None:
            _contours(axes, log_density, points, frame)
        dots(axes, points, spec, colour=colour, labels=labels)
        x, y = column_names(spec)
        axes.set_xlabel(plain(x))
        axes.set_ylabel(plain(y))
        frame.limit(axes)

    return draw


def displacements(real: Tensor, reconstructed: Tensor, frame: Frame, spec: DataSpec) -> Plot:
    """Return a plot of (n, 2) points, each joined to its reconstruction."""

    def draw(axes: Axes) -> None:
        from matplotlib.collections import LineCollection

        lines: Any = torch.stack([real, reconstructed], dim=1).numpy()
        axes.add_collection(LineCollection(lines, colors=INK, alpha=0.35, linewidths=0.7))
        dots(axes, real, spec, colour=REAL, label="held-out row")
        dots(axes, reconstructed, spec, colour=MODEL, label="reconstruction")
        frame.limit(axes)
        axes.legend(markerscale=2)

    return draw


def codes_plot(codes: Tensor, spec: DataSpec, labels: Tensor | None) -> Plot:
    """Return a plot of (n, d) codes: a histogram for d = 1, a scatter plot for d = 2, of two principal axes above."""

    def draw(axes: Axes) -> None:
        if codes.shape[1] == 1:
            axes.hist(codes[:, 0].numpy(), bins=40, color=MODEL)
            axes.set_xlabel("z0")
            axes.set_ylabel("rows")
            return
        points, names = _plane(codes)
        dots(axes, points, spec, colour=MODEL, labels=labels)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        axes.set_aspect("equal", adjustable="datalim")

    return draw


def dots(
    axes: Axes,
    points: Tensor,
    spec: DataSpec,
    *,
    colour: str,
    labels: Tensor | None = None,
    label: str | None = None,
) -> None:
    """Draw (n, 2) points as small dots, in one colour or by class, with a legend of few classes.

    They are rasterised, since thousands of vector shapes would make a page heavy.
    """
    style: dict[str, Any] = {"s": 5 if len(points) > _MANY else 12, "alpha": 0.65, "linewidths": 0}
    groups = [(points, colour, label)] if labels is None else _by_class(points, spec, labels)
    for group, shade, name in groups:
        axes.scatter(
            group[:, 0].numpy(), group[:, 1].numpy(), color=shade, label=name, rasterized=True, **style
        )
    if labels is not None and len(spec.classes) <= _FEW_CLASSES:
        outside: Any = {"loc": "upper left", "bbox_to_anchor": (1, 1), "borderaxespad": 0}
        axes.legend(markerscale=2, handletextpad=0.1, **outside)


def _by_class(points: Tensor, spec: DataSpec, labels: Tensor) -> Iterator[tuple[Tensor, Any, str]]:
    """Yield the points of each class with its colour and name; many classes take their colours from a scale."""
    import matplotlib as mpl

    few = len(spec.classes) <= _FEW_CLASSES
    palette = mpl.colormaps["tab10" if few else "viridis"]
    for number in labels.unique().tolist():
        shade = palette(number if few else number / (len(spec.classes) - 1))
        yield points[labels == number], shade, plain(spec.classes[number], 12)


def column_names(spec: DataSpec) -> tuple[str, ...]:
    """Return the names of a row's entries."""
    return spec.columns or tuple(f"x{j}" for j in range(spec.size))


def _contours(axes: Axes, log_density: LogDensity, points: Tensor, frame: Frame) -> None:
    """Draw the contours of highest density that hold the given fractions of the points."""
    x = torch.linspace(frame.low[0], frame.high[0], _CELLS)
    y = torch.linspace(frame.low[1], frame.high[1], _CELLS)
    with torch.no_grad():
        at_points = log_density(points).double().cpu()
        on_grid = log_density(torch.cartesian_prod(x, y)).double().cpu().view(_CELLS, _CELLS)
    levels = torch.quantile(at_points, 1 - torch.tensor(_MASSES, dtype=torch.float64)).unique() - 1e-6
    floor = float(levels.min()) - 20  # a density that is 0 somewhere still has contours
    grid: Any = on_grid.clamp_min(floor).mT.numpy()
    axes.contour(
        x.numpy(),
        y.numpy(),
        grid,
        levels=levels.numpy(),
        colors=INK,
        linewidths=0.7,
        alpha=0.6,
        linestyles="solid",
    )


def _plane(codes: Tensor) -> tuple[Tensor, tuple[str, str]]:
    """Return codes in the plane of their two principal axes, and the axes' names; codes of 2 entries are unchanged."""
    if codes.shape[1] == 2:
        return codes, ("z0", "z1")
    centred = codes.double() - codes.double().mean(0)
    _, scales, axes = torch.linalg.svd(centred, full_matrices=False)
    leading = axes[:2]
    strongest = leading.gather(1, leading.abs().argmax(1, keepdim=True))
    fractions = scales.square() / scales.square().sum()
    names = [f"principal axis {k + 1} ({float(fractions[k]):.0%} of variance)" for k in range(2)]
    return centred @ (leading * strongest.sign()).mT, (names[0], names[1])
