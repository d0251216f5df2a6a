"""Figures of divergences: over a shift, by their terms, as fits, with conjugates, and as projections.

Each function returns a matplotlib figure; `latentia.figures.drawing.png` and `svg` turn it into a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentia.figures.drawing import INK, MODEL, PALETTE, REAL, single, together
from latentia.functional.checks import same_shape
from latentia.functional.discrete import jensen_shannon, jensen_shannon_terms, kl_categorical
from latentia.functional.f_divergences import FDivergence
from latentia.functional.transport import wasserstein_1d
from latentia.theory.hardy_weinberg import hardy_weinberg, project_on_hardy_weinberg
from latentia.theory.kl_fits import Fit, LogDensity, forward_kl_fit, reverse_kl_fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAINT = 0.25  # opacity of the background
_OUTWARDS = ((-0.04, -0.03), (0.04, -0.03), (0.0, 0.05))  # from the simplex's corners to their names


def moving_apart(log_density: Callable[[Tensor], Tensor], shifts: Tensor, grid: Tensor) -> Figure:
    """Draw KL, Jensen-Shannon and W₁ between a distribution on the line and its shifted copy.

    Where the supports are disjoint, KL is infinite (its curve ends) and the Jensen-Shannon divergence constant, log 2:
    neither depends on the distance between the distributions, while W₁ = |shift|.

    Args:
        log_density: (n,) points → (n,) nats; −∞ outside the support.
        shifts: (k,) of the second distribution.
        grid: (n,) evenly spaced points that cover both distributions; integrals are sums over it.

    Reference: Arjovsky, Chintala & Bottou (2017), Wasserstein GAN, example 1.

    Example:
        >>> normal = torch.distributions.Normal(0.0, 1.0).log_prob
        >>> figure = moving_apart(normal, torch.linspace(0, 4, 9), torch.linspace(-8, 12, 400))
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['KL(p‖q)', 'Jensen-Shannon', 'W₁']
    """
    grid = grid.double()
    p = _masses(log_density, grid)
    shifted = [_masses(log_density, grid - shift) for shift in shifts.double()]
    curves = {
        "KL(p‖q)": [kl_categorical(p, q) for q in shifted],
        "Jensen-Shannon": [jensen_shannon(p, q) for q in shifted],
        "W₁": [wasserstein_1d(grid, grid, weights_x=p, weights_y=q) for q in shifted],
    }

    def draw(axes: Axes) -> None:
        for name, values in curves.items():
            axes.plot(shifts.tolist(), torch.stack(values).tolist(), label=name)
        axes.set(xlabel="shift of q", ylabel="nats; units of x for W₁")
        axes.legend()

    return single(draw)


def coverage_and_quality(x: Tensor, p: Tensor, q: Tensor) -> Figure:
    """Draw the contribution of each point to the two terms of the Jensen-Shannon divergence.

    Coverage KL(p‖m) is large where q misses mass of p, quality KL(q‖m) where q has mass that p lacks; m = (p + q)/2.

    Args:
        x: (n,) positions of the points.
        p: (n,) probabilities of the data.
        q: (n,) probabilities of the model.

    Example:
        >>> x = torch.arange(3.0)
        >>> figure = coverage_and_quality(x, torch.tensor([0.5, 0.5, 0]), torch.tensor([0, 0.5, 0.5]))
        >>> len(figure.axes)
        2
    """
    same_shape(x=x, p=p, q=q)
    terms = jensen_shannon_terms(p, q)

    def probabilities(axes: Axes) -> None:
        for name, masses, colour in (("p, data", p, REAL), ("q, model", q, MODEL)):
            axes.fill_between(x.tolist(), masses.tolist(), color=colour, alpha=_FAINT)
            axes.plot(x.tolist(), masses.tolist(), color=colour, label=name)
        axes.set(xlabel="x", ylabel="probability")
        axes.legend()

    def parts(axes: Axes) -> None:
        for name, value, each, colour in (
            ("coverage KL(p‖m)", terms.coverage, terms.coverage_points, REAL),
            ("quality KL(q‖m)", terms.quality, terms.quality_points, MODEL),
        ):
            axes.plot(x.tolist(), each.tolist(), color=colour, label=f"{name} = {float(value):.3g}")
        axes.set(xlabel="x", ylabel="nats at x")
        axes.legend()

    return together([("Two distributions", probabilities), ("Contribution of each point", parts)])


def forward_and_reverse(log_density: LogDensity, grid: Tensor) -> Figure:
    """Draw a density on the line and the Gaussians closest to it by KL(p ‖ q) and by KL(q ‖ p).

    Args:
        log_density: (n,) points → (n,) nats, up to a constant, differentiable.
        grid: (n,) increasing points that hold nearly all of its mass.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, figure 10.3; here on the line.

    Example:
        >>> def two_modes(x):
        ...     return torch.logaddexp(-((x - 3) ** 2) / 2, -((x + 3) ** 2) / 2)
        >>> figure = forward_and_reverse(two_modes, torch.linspace(-12, 12, 500))
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['target p', 'minimum KL(p ‖ q) = 0.462', 'minimum KL(q ‖ p) = 0.689']
    """
    x, log_p = grid.double(), log_density(grid.double())
    p = (log_p - log_p.max()).exp()
    p = p / torch.trapezoid(p, x)
    fits: list[tuple[str, Fit, str]] = [
        ("KL(p ‖ q)", forward_kl_fit(log_density, grid), REAL),
        ("KL(q ‖ p)", reverse_kl_fit(log_density, grid), MODEL),
    ]

    def draw(axes: Axes) -> None:
        axes.fill_between(x.tolist(), p.tolist(), color=INK, alpha=0.15)
        axes.plot(x.tolist(), p.tolist(), color=INK, label="target p")
        for name, fit, colour in fits:
            label = f"minimum {name} = {fit.divergence:.3g}"
            axes.plot(x.tolist(), fit.density(x).tolist(), color=colour, label=label)
        axes.set(xlabel="x", ylabel="density")
        axes.legend()

    return single(draw)


def conjugate_pair(divergence: FDivergence, at: Sequence[float] = (0.5, 1.0, 2.0)) -> Figure:
    """Draw the generator f of an f-divergence and its conjugate f*, each with tangents.

    The tangent to f at u has slope t = f′(u) and cuts the axis at −f*(t); the tangent to f* at t has slope u.

    Args:
        divergence: a record of `latentia.divergences`.
        at: points u > 0 of the tangents.

    Reference: Nguyen, Wainwright & Jordan (2010), eq. 9; Nowozin, Cseke & Tomioka (2016), f-GAN, section 2.2.

    Example:
        >>> import latentia as lt
        >>> figure = conjugate_pair(lt.divergences["kl"])
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['u = p/q', 't, the critic']
    """
    u = torch.linspace(0.05, 3.0, 200, dtype=torch.float64)
    points = torch.tensor(list(at), dtype=torch.float64)
    slopes = divergence.derivative(points)
    t = torch.linspace(float(divergence.derivative(u[0])), float(divergence.derivative(u[-1])), 200).double()

    def generator(axes: Axes) -> None:
        axes.plot(u.tolist(), divergence.f(u).tolist(), color=INK, label="f(u)")
        _tangents(axes, points, divergence.f(points), slopes)
        axes.set(xlabel="u = p/q", ylabel="f(u)")
        axes.legend()

    def conjugate(axes: Axes) -> None:
        axes.plot(t.tolist(), divergence.conjugate(t).tolist(), color=INK, label="f*(t)")
        _tangents(axes, slopes, divergence.conjugate(slopes), points)
        axes.set(xlabel="t, the critic", ylabel="f*(t)")
        axes.legend()

    return together([("Generator and tangents", generator), ("Conjugate and tangents", conjugate)])


def simplex_projection(p: Tensor) -> Figure:
    """Draw a distribution over three outcomes, the Hardy-Weinberg family, and its maximum-likelihood member.

    Maximum likelihood is the KL projection of the data onto the family; the remaining KL is the misspecification.

    Args:
        p: (3,) probabilities.

    Example:
        >>> figure = simplex_projection(torch.tensor([0.5, 0.2, 0.3]))
        >>> figure.axes[0].get_legend().get_texts()[-1].get_text()
        'closest member, KL = 0.178'
    """
    family = _in_triangle(hardy_weinberg(torch.linspace(0, 1, 200, dtype=torch.float64)))
    projection = project_on_hardy_weinberg(p.double())
    closest, left = projection.point, float(projection.distance)

    def draw(axes: Axes) -> None:
        corners = _in_triangle(torch.eye(3, dtype=torch.float64))
        axes.fill(*corners.T.tolist(), facecolor="none", edgecolor=INK, linewidth=1.0)
        for (a, b), name, (right, up) in zip(corners.tolist(), "123", _OUTWARDS, strict=True):
            axes.text(a + right, b + up, name, ha="center", va="center")
        axes.plot(*family.T.tolist(), color=MODEL, label="family (t², 2t(1 − t), (1 − t)²)")
        axes.plot(*_in_triangle(torch.stack([p.double(), closest])).T.tolist(), color=INK, linestyle=":")
        axes.plot(*_in_triangle(p.double()).tolist(), "o", color=REAL, label="data")
        axes.plot(*_in_triangle(closest).tolist(), "o", color=MODEL, label=f"closest member, KL = {left:.3g}")
        axes.set_aspect("equal")
        axes.axis("off")
        axes.legend(loc="upper left")

    return single(draw, square=True)


def _masses(log_density: Callable[[Tensor], Tensor], grid: Tensor) -> Tensor:
    density = log_density(grid).exp()
    return density / density.sum()


def _tangents(axes: Axes, points: Tensor, heights: Tensor, slopes: Tensor) -> None:
    for number, (a, b, slope) in enumerate(
        zip(points.tolist(), heights.tolist(), slopes.tolist(), strict=True)
    ):
        axes.axline((a, b), slope=slope, color=PALETTE[number % len(PALETTE)], linewidth=0.9)
        axes.plot([a], [b], "o", color=PALETTE[number % len(PALETTE)], markersize=4)


def _in_triangle(p: Tensor) -> Tensor:
    """Return the positions of (*B, 3) probabilities in the plane: corners (0, 0), (1, 0) and (½, √¾)."""
    corners = p.new_tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])
    return p @ corners
