"""Figures of adversarial training: losses, critics and samples in the course of training.

Each function returns a matplotlib figure; `latentia.figures.drawing.png` and `svg` turn it into a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.figures.drawing import INK, MODEL, PALETTE, REAL, Plot, single, together
from latentia.functional.checks import same_shape
from latentia.functional.gan.loss_pairs import LossPair
from latentia.functional.kernel.kernels import gaussian_kernel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TILE = 72  # cells per side of a density's grid
_INCHES = 1.35  # side of a tile


@dataclass(frozen=True)
class Moment:
    """Both players of a game on the line at one time.

    Attributes:
        real: (n,) rows of data.
        fake: (m,) samples.
        scores: (G,) of the critic, over the grid of the figure.
    """

    real: Tensor
    fake: Tensor
    scores: Tensor


def on_the_line(moments: Mapping[str, Moment], grid: Tensor) -> Figure:
    """Draw real rows, samples and the critic's sigmoid, one panel for each moment.

    Args:
        moments: by title; four are laid out as a square.
        grid: (G,) points at which the scores were taken.

    Example:
        >>> grid = torch.linspace(0, 9, 10)
        >>> moment = Moment(torch.tensor([6.0]), torch.tensor([3.0]), grid - 4.5)
        >>> figure = on_the_line({"start": moment, "end": moment}, grid)
        >>> [axes.get_title() for axes in figure.axes]
        ['start', 'end']
    """

    def panel(moment: Moment, named: bool) -> Plot:
        same_shape(grid=grid, scores=moment.scores)

        def draw(axes: Axes) -> None:
            for rows, height, colour, name in (
                (moment.real, 1.0, REAL, "data"),
                (moment.fake, 0.0, MODEL, "samples"),
            ):
                axes.plot(rows.tolist(), [height] * len(rows), "|", color=colour, markersize=14, label=name)
            axes.plot(grid.tolist(), moment.scores.sigmoid().tolist(), color=INK, label="D(x) = σ(score)")
            axes.axhline(0.5, color=INK, linewidth=0.6, linestyle=":")
            axes.set(xlabel="x", ylabel="D(x)", ylim=(-0.15, 1.15))
            if named:
                axes.legend(loc="upper left")

        return draw

    first = next(iter(moments))
    return together([(title, panel(moment, title == first)) for title, moment in moments.items()])


def losses_in_x_and_time(
    losses: LossPair, grid: Tensor, scores: Tensor, history: Mapping[str, Sequence[float]], *, smooth: int = 1
) -> Figure:
    """Draw the losses of a row at x (the critic's as real and as fake, the generator's), and all losses over time.

    Args:
        losses: a pair that is not relativistic.
        grid: (G,) points.
        scores: (G,) of the critic at the grid.
        history: by name, L_D,real, L_D,fake and L_G after each step, for the second panel.
        smooth: steps over which the history is averaged.

    Raises:
        UsageError: for a relativistic pair, whose losses are of pairs of rows.

    Example:
        >>> from latentia.functional import loss_pair
        >>> grid = torch.linspace(0, 9, 10)
        >>> figure = losses_in_x_and_time(loss_pair("minimax"), grid, grid - 4.5, {"L_G": [1.0, 0.5]})
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['L_D,real', 'L_D,fake', 'L_G']
    """
    if losses.relativistic:
        raise UsageError(
            "a relativistic pair's losses are of pairs of rows, not functions of x: give another pair"
        )
    same_shape(grid=grid, scores=scores)
    real, fake = losses.critic(scores, scores)
    generator = losses.generator(scores, scores.new_empty(0))

    def in_x(axes: Axes) -> None:
        for name, values, style in (
            ("L_D,real", real, "-"),
            ("L_D,fake", fake, "-"),
            ("L_G", generator, "--"),
        ):
            axes.plot(grid.tolist(), values.tolist(), style, label=name)
        axes.set(xlabel="x", ylabel="loss of a row at x")
        axes.legend()

    def in_time(axes: Axes) -> None:
        for (name, values), style in zip(history.items(), ("-", "-", "--"), strict=False):
            means = torch.tensor(list(values)).unfold(0, smooth, 1).mean(1)
            axes.plot(range(smooth, smooth + len(means)), means.tolist(), style, label=name, linewidth=1.0)
        axes.set(
            xlabel="step", ylabel="loss of a batch" + (f", mean of {smooth} steps" if smooth > 1 else "")
        )
        axes.legend()

    return together([("In x", in_x), ("Over time", in_time)])


def film_strip(
    frames: Mapping[str, Sequence[Tensor]], titles: Sequence[str], *, span: float, bandwidth: float
) -> Figure:
    """Draw the density of samples in the plane at several times, one row per model.

    Args:
        frames: by model, (n, 2) samples for each title.
        titles: of the columns.
        span: half the width of each frame around the origin.
        bandwidth: of the Gaussian kernel density, in data units.

    Raises:
        UsageError: unless every model has one frame per title.

    Reference: Metz et al. (2017), Unrolled generative adversarial networks, figure 2.

    Example:
        >>> figure = film_strip({"gan": [torch.zeros(5, 2)] * 2}, ["0", "100"], span=1.0, bandwidth=0.1)
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['0', '100']
    """
    if not (frames and titles) or any(len(strip) != len(titles) for strip in frames.values()):
        given = ", ".join(f"{name} {len(strip)}" for name, strip in frames.items()) or "no strip"
        raise UsageError(f"every strip needs a frame for each of {len(titles)} titles; got {given}")
    rows = [torch.cat([_tile(points, span, bandwidth) for points in strip], 1) for strip in frames.values()]
    mosaic: Any = torch.cat(rows).numpy()

    def draw(axes: Axes) -> None:
        axes.imshow(mosaic, cmap="magma", interpolation="bilinear")
        axes.set_yticks([_TILE * (k + 0.5) for k in range(len(frames))], list(frames))
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for edge in range(1, len(titles)):
            axes.axvline(_TILE * edge - 0.5, color="white", linewidth=0.8)
        for edge in range(1, len(frames)):
            axes.axhline(_TILE * edge - 0.5, color="white", linewidth=0.8)

    figure = single(draw)
    figure.axes[0].set_xticks([_TILE * (k + 0.5) for k in range(len(titles))], list(titles))
    figure.set_size_inches(_INCHES * len(titles) + 1.4, _INCHES * len(frames) + 0.3)
    return figure


def vanishing_gradients(norms: Mapping[str, Mapping[int, float]]) -> Figure:
    """Draw the norm of the generator's gradient against the number of critic updates with the generator frozen.

    Args:
        norms: by loss, what `latentia.theory.vanishing_gradients.gradient_by_critic_steps` returns.

    Reference: Arjovsky & Bottou (2017), Towards Principled Methods for Training GANs, figures 2 and 3.

    Example:
        >>> vanishing_gradients({"minimax": {1: 0.1, 10: 0.01}}).axes[0].get_yscale()
        'log'
    """

    def draw(axes: Axes) -> None:
        for name, values in norms.items():
            axes.plot(list(values), list(values.values()), "o-", markersize=3, label=name)
        axes.set(xlabel="critic updates, generator frozen", xscale="log", yscale="log")
        axes.set_ylabel("norm of the generator's gradient")
        axes.legend()

    return single(draw)


def collapse(grid: Tensor, scores: Tensor, samples: Mapping[str, Tensor]) -> Figure:
    """Draw a frozen critic, and samples of a generator that collapses to the critic's maximum.

    Args:
        grid: (G,) points.
        scores: (G,) of the critic.
        samples: by name, (n,) at several times.

    Example:
        >>> grid = torch.linspace(0, 1, 11)
        >>> figure = collapse(grid, -(grid - 0.3).square(), {"before": grid, "after": torch.full((5,), 0.3)})
        >>> figure.axes[0].lines[0].get_label()
        'critic, highest at 0.3'
    """
    same_shape(grid=grid, scores=scores)
    top = float(grid[scores.argmax()])

    def critic(axes: Axes) -> None:
        axes.plot(grid.tolist(), scores.tolist(), color=INK, label=f"critic, highest at {top:.3g}")
        axes.axvline(top, color=INK, linewidth=0.6, linestyle=":")
        axes.set(xlabel="x", ylabel="score")
        axes.legend()

    def generator(axes: Axes) -> None:
        edges = torch.linspace(float(grid[0]), float(grid[-1]), 61).tolist()
        for (name, x), colour in zip(samples.items(), PALETTE, strict=False):
            axes.hist(x.tolist(), bins=edges, color=colour, alpha=0.55, label=name)
        axes.axvline(top, color=INK, linewidth=0.6, linestyle=":")
        axes.set(xlabel="x", ylabel="samples", yscale="log")
        axes.legend()

    return together([("The critic, frozen", critic), ("The generator, training", generator)])


def _tile(points: Tensor, span: float, bandwidth: float) -> Tensor:
    """Return a kernel density of (n, 2) points on a grid whose first row is on top, from 0 to 1."""
    side = torch.linspace(-span, span, _TILE, dtype=points.dtype)
    cells = torch.cartesian_prod(side.flip(0), side).flip(1)
    density = gaussian_kernel(cells, points, bandwidth).mean(1).reshape(_TILE, _TILE)
    return (density / density.max().clamp_min(1e-12)).sqrt()
