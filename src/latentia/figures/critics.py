"""Figures of critics of rows in the plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.figures.drawing import INK, Plot, together
from latentia.figures.plots import Frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELLS, _LINES = 120, 16


def critic_surfaces(scores: Mapping[str, Callable[[Tensor], Tensor]], rows: Tensor) -> Figure:
    """Draw the contours of critics' scores over the plane, with rows of data.

    Contours are evenly spaced between a critic's lowest and highest score in the frame: dense lines mean a steep
    critic.

    Args:
        scores: by title, (n, 2) points → (n,) scores.
        rows: (n, 2), at most a few hundred.

    Raises:
        UsageError: for rows that are not in the plane.

    Reference: Gulrajani et al. (2017), Improved training of Wasserstein GANs, figure 2.

    Example:
        >>> figure = critic_surfaces({"a plane": lambda x: x.sum(1)}, torch.randn(20, 2))
        >>> [axes.get_title() for axes in figure.axes]
        ['a plane']
    """
    if rows.dim() != 2 or rows.shape[1] != 2:
        raise UsageError(f"critic surfaces are drawn over the plane, (n, 2); got {tuple(rows.shape)}")
    frame = Frame.around(rows, margin=0.3)
    return together([(title, _surface(score, rows, frame)) for title, score in scores.items()], square=True)


def _surface(score: Callable[[Tensor], Tensor], rows: Tensor, frame: Frame) -> Plot:
    x, y = (torch.linspace(*ends, _CELLS) for ends in zip(frame.low, frame.high, strict=True))
    with torch.no_grad():
        values = score(torch.cartesian_prod(x, y)).unflatten(0, (_CELLS, _CELLS))

    def draw(axes: Axes) -> None:
        axes.contour(
            x.tolist(), y.tolist(), values.mT.tolist(), levels=_LINES, cmap="viridis", linewidths=0.9
        )
        axes.scatter(*rows.T.tolist(), s=5, color=INK, linewidths=0, rasterized=True)
        axes.grid(visible=False)
        frame.limit(axes)

    return draw
