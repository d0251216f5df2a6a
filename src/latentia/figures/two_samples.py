"""Figures that compare two samples: transport plans, one-dimensional distributions, witness functions.

Each function returns a matplotlib figure; `latentia.figures.drawing.png` and `svg` turn it into a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.figures.drawing import INK, MODEL, REAL, Plot, single, together
from latentia.functional.checks import point_sets
from latentia.functional.kernel.kernels import Kernel
from latentia.functional.kernel.mmd import witness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELLS = 120  # per side of the grid on which a witness function in the plane is evaluated
_ARROW = 4.0  # points, the width of an arrow that carries the largest mass
_CARRIED = 1e-3  # fraction of the largest mass, below which no arrow is drawn


def transport_plan(plan: Tensor, x: Tensor, y: Tensor) -> Figure:
    """Draw a transport plan: a heat map with its marginals, and arrows from sources to destinations.

    Args:
        plan: (n, m) masses that move from x_i to y_j.
        x: (n,) or (n, 2) points.
        y: (m,) or (m, 2) points.

    Raises:
        UsageError: for shapes that do not fit.

    Example:
        >>> figure = transport_plan(torch.eye(3) / 3, torch.arange(3.0), torch.arange(3.0) + 2)
        >>> len(figure.axes)
        2
    """
    if plan.shape != (len(x), len(y)) or x.shape[1:] != y.shape[1:] or x.shape[1:] not in ((), (2,)):
        shapes = f"plan {tuple(plan.shape)}, x {tuple(x.shape)}, y {tuple(y.shape)}"
        raise UsageError(
            f"a plan must be (n, m), between n and m points on the line or in the plane; got {shapes}"
        )

    def heat(axes: Axes) -> None:
        axes.imshow(plan.tolist(), cmap="Blues", aspect="auto", interpolation="nearest")
        axes.grid(visible=False)
        axes.set(xlabel="j, to", ylabel="i, from")
        axes.locator_params(integer=True)
        above, beside = axes.inset_axes((0, 1.02, 1, 0.18)), axes.inset_axes((1.02, 0, 0.18, 1))
        above.set_title("Plan and its marginals")
        above.bar(range(len(y)), plan.sum(0).tolist(), width=1.0, color=MODEL)
        beside.barh(range(len(x)), plan.sum(1).tolist(), height=1.0, color=REAL)
        above.set_xlim(axes.get_xlim())
        beside.set_ylim(axes.get_ylim())
        for margin in (above, beside):
            margin.axis("off")

    arrows = _arrows_on_lines if x.dim() == 1 else _arrows_in_the_plane
    return together([("", heat), ("Transported mass", arrows(plan, x, y))], square=True)


def four_panels(x: Tensor, y: Tensor, names: tuple[str, str] = ("x", "y")) -> Figure:
    """Draw two samples on the line: densities, distribution functions, quantiles, and points.

    Args:
        x: (n,) points.
        y: (m,) points.
        names: of the two.

    Example:
        >>> figure = four_panels(torch.arange(9.0), torch.arange(5.0))
        >>> [axes.get_title() for axes in figure.axes]
        ['Density (histogram)', 'Distribution function', 'Quantiles', 'Samples']
    """
    point_sets(x=x[:, None], y=y[:, None])
    sides = [(names[0], x.double().sort().values, REAL), (names[1], y.double().sort().values, MODEL)]
    edges = torch.histogram(torch.cat([x, y]).double().cpu(), bins=_bins(min(len(x), len(y)))).bin_edges

    def density(axes: Axes) -> None:
        for name, points, colour in sides:
            axes.hist(points.tolist(), bins=edges.tolist(), density=True, color=colour, alpha=0.5, label=name)
        axes.set(xlabel="x", ylabel="density")
        axes.legend()

    def distribution(axes: Axes) -> None:
        for _, points, colour in sides:
            axes.ecdf(points.tolist(), color=colour)
        axes.set(xlabel="x", ylabel="fraction of points ≤ x")

    def quantiles(axes: Axes) -> None:
        for _, points, colour in sides:
            levels = torch.arange(len(points) + 1, dtype=torch.float64) / len(points)
            axes.stairs(points.tolist(), levels.tolist(), baseline=None, color=colour)
        axes.set(xlabel="level", ylabel="quantile")

    def samples(axes: Axes) -> None:
        for height, (_, points, colour) in enumerate(sides):
            axes.plot(points.tolist(), [height] * len(points), "|", color=colour, markersize=14, alpha=0.5)
        axes.set(xlabel="x", yticks=[0, 1], yticklabels=names, ylim=(-0.6, 1.6))

    titles = ("Density (histogram)", "Distribution function", "Quantiles", "Samples")
    return together(list(zip(titles, (density, distribution, quantiles, samples), strict=True)))


def witness_function(x: Tensor, y: Tensor, kernel: Kernel) -> Figure:
    """Draw E k(X, ·) − E k(Y, ·): positive where x has more mass, negative where y has more.

    Args:
        x: (n, 1) or (n, 2) points.
        y: (m, 1) or (m, 2) points.
        kernel: (n, d), (m, d) → (n, m).

    Raises:
        UsageError: for points neither on the line nor in the plane.

    Reference: Gretton et al. (2012), A Kernel Two-Sample Test, section 2.3.

    Example:
        >>> from functools import partial
        >>> from latentia.functional.kernel.kernels import gaussian_kernel
        >>> figure = witness_function(torch.zeros(2, 1), torch.ones(2, 1), partial(gaussian_kernel, bandwidth=1.0))
        >>> len(figure.axes[0].lines)
        3
    """
    point_sets(x=x, y=y)
    if x.shape[1] not in (1, 2):
        raise UsageError(f"a witness function can be drawn in 1 or 2 dimensions; got {x.shape[1]}")
    return single(
        (_witness_on_a_line if x.shape[1] == 1 else _witness_in_the_plane)(x, y, kernel),
        square=x.shape[1] == 2,
    )


def _bins(n: int) -> int:
    return max(5, min(50, round(2 * n ** (1 / 3))))  # Rice's rule


def _carried(plan: Tensor) -> list[tuple[int, int, float]]:
    """Return (i, j, width) of the arrows with enough mass to draw."""
    relative = plan / plan.max()
    return [(i, j, _ARROW * float(relative[i, j])) for i, j in (relative > _CARRIED).nonzero().tolist()]


def _arrows_on_lines(plan: Tensor, x: Tensor, y: Tensor) -> Plot:
    """Draw x on an upper line and y on a lower one."""
    return _arrows_in_the_plane(
        plan,
        torch.stack([x, torch.ones_like(x)], 1),
        torch.stack([y, torch.zeros_like(y)], 1),
        ticks=(["y", "x"], [0, 1]),
    )


def _arrows_in_the_plane(
    plan: Tensor, x: Tensor, y: Tensor, *, ticks: tuple[list[str], list[int]] | None = None
) -> Plot:
    def draw(axes: Axes) -> None:
        for i, j, width in _carried(plan):
            style = {"arrowstyle": "->", "color": INK, "alpha": 0.5, "linewidth": 0.3 + width / 2}
            (a, b), (c, d) = x[i].tolist(), y[j].tolist()
            axes.annotate("", xy=(c, d), xytext=(a, b), arrowprops=style)
        for points, masses, colour, name in ((x, plan.sum(1), REAL, "from"), (y, plan.sum(0), MODEL, "to")):
            sizes = (60 * masses / masses.max()).tolist()
            axes.scatter(*points.T.tolist(), s=sizes, color=colour, label=name, zorder=3)
        if ticks is not None:
            axes.set_yticks(ticks[1], ticks[0])
            axes.set_ylim(-0.2, 1.2)
        axes.legend()

    return draw


def _witness_on_a_line(x: Tensor, y: Tensor, kernel: Kernel) -> Plot:
    low, high = torch.cat([x, y]).aminmax()
    margin = 0.3 * (high - low)
    grid = torch.linspace(float(low - margin), float(high + margin), 400, dtype=x.dtype)[:, None]
    values = witness(grid, x, y, kernel)

    def draw(axes: Axes) -> None:
        axes.plot(grid[:, 0].tolist(), values.tolist(), color=INK)
        low, height = float(values.min()), float(values.max() - values.min())
        for row, (points, colour, name) in enumerate(((x, REAL, "x"), (y, MODEL, "y")), start=1):
            feet = [low - 0.09 * row * height] * len(points)
            axes.plot(points[:, 0].tolist(), feet, "|", color=colour, label=name)
        axes.set(xlabel="point", ylabel="witness")
        axes.legend()

    return draw


def _witness_in_the_plane(x: Tensor, y: Tensor, kernel: Kernel) -> Plot:
    points = torch.cat([x, y])
    low, high = points.amin(0), points.amax(0)
    margin = 0.15 * (high - low)
    a, b = (
        torch.linspace(float(lo), float(hi), _CELLS, dtype=x.dtype)
        for lo, hi in zip(low - margin, high + margin, strict=True)
    )
    values = witness(torch.cartesian_prod(a, b), x, y, kernel).reshape(_CELLS, _CELLS).T

    def draw(axes: Axes) -> None:
        largest = float(values.abs().max())
        axes.contourf(
            a.tolist(), b.tolist(), values.tolist(), levels=20, cmap="RdBu_r", vmin=-largest, vmax=largest
        )
        for sample, colour, name in ((x, REAL, "x"), (y, MODEL, "y")):
            axes.plot(*sample.T.tolist(), ".", color=colour, markersize=3, label=name)
        axes.set_aspect("equal")
        axes.legend()

    return draw
