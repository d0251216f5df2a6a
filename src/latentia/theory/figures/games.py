"""Figures of solved games: trajectories of Dirac-GANs, and the generator's distribution in function space.

Each function returns a matplotlib figure; `latentia.figures.drawing.png` and `svg` turn it into a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentia.figures.drawing import INK, MODEL, REAL, Plot, single, together
from latentia.theory import DiracGan, FunctionSpaceGame, alternating, field, simultaneous

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ARROWS = 13  # per side
_WIDE = (6.4, 2.9)  # inches, with the legend on the right


def trajectories(
    games: Mapping[str, DiracGan], start: Tensor, *, steps: int = 500, lr: float = 0.2, span: float = 2.0
) -> Figure:
    """Draw the trajectories of Dirac-GANs with alternating and simultaneous steps, over the gradient vector field.

    Args:
        games: by the title of their panel.
        start: (2,) θ and ψ.
        steps: of both trajectories.
        lr: of both players.
        span: half the width of the axes around the equilibrium; trajectories are clipped there.

    Reference: Mescheder, Geiger & Nowozin (2018), Which Training Methods for GANs do actually Converge?, figure 2.

    Example:
        >>> from latentia.functional import loss_pair
        >>> figure = trajectories({"W": DiracGan(loss_pair("wasserstein"))}, torch.tensor([1.0, 0.0]), steps=5)
        >>> [line.get_label() for line in figure.axes[0].lines[:2]]
        ['simultaneous', 'alternating']
    """
    first = next(iter(games))
    panels = [(title, _panel(game, start, steps, lr, span, title == first)) for title, game in games.items()]
    return together(panels, square=True)


def distances(games: Mapping[str, DiracGan], start: Tensor, *, steps: int = 500, lr: float = 0.2) -> Figure:
    """Draw the distance to the equilibrium after each alternating step, on a logarithmic scale.

    Args:
        games: by name.
        start: (2,) θ and ψ.
        steps: of each.
        lr: of both players.

    Example:
        >>> from latentia.functional import loss_pair
        >>> figure = distances({"W": DiracGan(loss_pair("wasserstein"))}, torch.tensor([1.0, 0.0]), steps=5)
        >>> figure.axes[0].get_yscale()
        'log'
    """
    paths = {name: alternating(game, start, steps=steps, lr=lr) for name, game in games.items()}

    def draw(axes: Axes) -> None:
        for name, path in paths.items():
            axes.plot(path.norm(dim=1).clamp_min(1e-8).tolist(), label=name)
        axes.set(xlabel="step, alternating", ylabel="distance to the equilibrium", yscale="log")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    figure = single(draw)
    figure.set_size_inches(_WIDE)
    return figure


def function_space(game: FunctionSpaceGame, p: Tensor, at: Sequence[int]) -> Figure:
    """Draw the generator's distribution at some steps of a game in function space, and the Jensen-Shannon divergence.

    Args:
        game: as `play_in_function_space` returns it.
        p: (K,) probabilities of the data.
        at: numbers of steps.

    Example:
        >>> from latentia.functional import loss_pair
        >>> from latentia.theory import play_in_function_space
        >>> p = torch.tensor([0.2, 0.8])
        >>> game = play_in_function_space(loss_pair("minimax"), p, torch.zeros(2), steps=3)
        >>> len(function_space(game, p, at=(0, 3)).axes)
        2
    """

    def distributions(axes: Axes) -> None:
        import matplotlib as mpl

        axes.bar(range(len(p)), p.tolist(), color=REAL, alpha=0.3, label="p, data")
        for number, step in enumerate(at):
            shade = mpl.colormaps["Blues"](0.35 + 0.6 * number / max(1, len(at) - 1))
            axes.step(
                range(len(p)),
                game.distributions[step].tolist(),
                where="mid",
                color=shade,
                label=f"q, step {step}",
            )
        axes.set(xlabel="bin", ylabel="probability")
        axes.legend()

    def divergence(axes: Axes) -> None:
        axes.plot(game.jensen_shannon.tolist(), color=INK)
        axes.set(xlabel="step", ylabel="JSD(p, q), nats", yscale="log")

    return together([("The generator's distribution", distributions), ("Distance from the data", divergence)])


def _panel(game: DiracGan, start: Tensor, steps: int, lr: float, span: float, named: bool) -> Plot:
    """Return a plot of the field and of both trajectories."""
    paths = (
        ("simultaneous", simultaneous(game, start, steps=steps, lr=lr), REAL),
        ("alternating", alternating(game, start, steps=steps, lr=lr), MODEL),
    )

    def draw(axes: Axes) -> None:
        for name, path, colour in paths:
            axes.plot(*path.T.tolist(), color=colour, linewidth=0.8, label=name)
        for _, path, colour in paths:
            axes.plot(*path[-1].tolist(), "o", color=colour, markersize=5)
        axes.plot(*start.tolist(), "o", markerfacecolor="none", color=INK, label="start")
        axes.plot([0], [0], "+", color=INK, markersize=10, label="equilibrium")
        _arrows(axes, game, span)
        axes.set(xlabel="θ, the generator", ylabel="ψ, the critic", xlim=(-span, span), ylim=(-span, span))
        axes.set_aspect("equal")
        if named:
            axes.legend(loc="upper right")

    return draw


def _arrows(axes: Axes, game: DiracGan, span: float) -> None:
    """Draw the direction of the field by arrows of equal length."""
    side = torch.linspace(-span, span, _ARROWS, dtype=torch.float64)
    points = torch.cartesian_prod(side, side)
    v = torch.stack([field(game, point) for point in points])
    v = v / v.norm(dim=1, keepdim=True).clamp_min(1e-12)
    axes.quiver(*points.T.tolist(), *v.T.tolist(), color=INK, alpha=0.25, width=0.004, pivot="mid")
