"""Figures of Gaussian mixtures: ellipses of the components over rows, and EM as the ascent of a bound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentia.data.spec import DataSpec
from latentia.errors import UsageError
from latentia.figures.drawing import INK, MODEL, PALETTE, REAL, Plot, plain, single, together
from latentia.figures.plots import Frame, column_names
from latentia.functional.mixtures.components import Components
from latentia.functional.mixtures.em_bound import Ascent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MASSES = (0.5, 0.9)  # of a component, inside its ellipses
_MANY = 500  # points, above which dots are smaller


def component_ellipses(points: Tensor, components: Components, spec: DataSpec) -> Figure:
    """Draw rows in the plane over the components of a mixture; see `components_plot`.

    Args:
        points: (n, 2) rows.
        components: K of them, in two dimensions.
        spec: what the rows are.

    Example:
        >>> from latentia.data.spec import Support
        >>> one = Components(torch.ones(1), torch.zeros(1, 2), torch.ones(1, 2))
        >>> figure = component_ellipses(torch.eye(2), one, DataSpec((2,), Support("real")))
        >>> len(figure.axes[0].patches)
        2
    """
    return single(components_plot(points, components, spec), square=True)


def components_plot(
    points: Tensor, components: Components, spec: DataSpec, frame: Frame | None = None
) -> Plot:
    """Return a plot of (n, 2) rows, coloured by their responsibilities, over two ellipses per component.

    An ellipse (x − μ)ᵀ Σ⁻¹ (x − μ) = r² has the semi-axes r √λ along the eigenvectors of Σ, λ the eigenvalues; with
    r² = −2 log(1 − m) it holds the mass m of its component, here 50% and 90%. A row's colour is the mean of
    the components' colours, weighted by p(k | x). Components of weight 0 are left out.

    Args:
        points: (n, 2) rows.
        components: K of them, in two dimensions.
        spec: what the rows are.
        frame: the part of the plane to show; default: around the rows.

    Raises:
        UsageError: for components in another number of dimensions.
    """
    if components.means.shape[1] != 2:
        raise UsageError(f"components must have 2 dimensions; got {components.means.shape[1]}")
    used, frame = _used(components), frame or Frame.fitting(points)
    shades = _shades(len(used.weights))
    mixed = used.log_joint(points.to(used.means)).softmax(1).double() @ shades

    def draw(axes: Axes) -> None:
        size = 5 if len(points) > _MANY else 12
        style: dict[str, Any] = {"s": size, "alpha": 0.65, "linewidths": 0, "rasterized": True}
        axes.scatter(*points.T.tolist(), c=mixed.clamp(0, 1).tolist(), **style)
        for k, shade in enumerate(shades.tolist()):
            _ellipses(axes, used.means[k], _matrix(used)[k], shade)
            axes.plot(*used.means[k].tolist(), "+", color=INK, markersize=7)
        x, y = column_names(spec)
        axes.set(xlabel=plain(x), ylabel=plain(y))
        frame.limit(axes)

    return draw


def em_staircase(ascent: Ascent) -> Figure:
    """Draw EM as the ascent of a bound: E-steps raise it to the log-likelihood, M-steps raise both.

    The left plot shows both after each half-step. The right one shows the gain in log-likelihood of each M-step: the
    increase of the bound, plus the gap that opens above it.

    Args:
        ascent: the half-steps, from `latentia.functional.mixtures.em_bound.ascent`.

    Reference: Neal and Hinton (1998); Bishop (2006), Pattern Recognition and Machine Learning, section 9.4.

    Example:
        >>> from latentia.functional.mixtures.em_bound import ascent
        >>> from latentia.functional.mixtures.components import COVARIANCES
        >>> x = torch.tensor([[0.0], [1.0], [4.0], [5.0]])
        >>> start = Components(torch.tensor([0.5, 0.5]), x[1:3], torch.ones(2, 1))
        >>> figure = em_staircase(ascent(x, start, COVARIANCES["diagonal"], steps=2))
        >>> [axes.get_title() for axes in figure.axes]
        ['Bound and log-likelihood', 'Gain of each M-step']
    """
    return together([("Bound and log-likelihood", _stairs(ascent)), ("Gain of each M-step", _gains(ascent))])


def _stairs(ascent: Ascent) -> Plot:
    at = [half / 2 for half in range(len(ascent.bound))]
    bound, likelihood = ascent.bound.tolist(), ascent.log_likelihood.tolist()

    def draw(axes: Axes) -> None:
        axes.fill_between(at, bound, likelihood, color=MODEL, alpha=0.2, label="gap, KL(q ‖ p(k | x))")
        axes.plot(at, likelihood, color=REAL, label="log-likelihood")
        axes.plot(at, bound, color=MODEL, label="bound (ELBO)")
        for first, marker, name in ((1, "^", "after an E-step"), (2, "s", "after an M-step")):
            axes.plot(at[first::2], bound[first::2], marker, color=MODEL, markersize=3.5, label=name)
        axes.set(xlabel="step", ylabel="nats per row")
        axes.locator_params(axis="x", integer=True)
        axes.legend()

    return draw


def _gains(ascent: Ascent) -> Plot:
    steps = list(range(1, len(ascent.bound) // 2 + 1))
    rise = (ascent.bound[2::2] - ascent.bound[1::2]).tolist()

    def draw(axes: Axes) -> None:
        axes.bar(steps, rise, color=MODEL, label="increase of the bound")
        axes.bar(steps, ascent.gap[2::2].tolist(), bottom=rise, color=REAL, label="gap that opens above it")
        axes.set(xlabel="step", ylabel="nats per row")
        axes.locator_params(axis="x", integer=True)
        axes.legend()

    return draw


def _ellipses(axes: Axes, mean: Tensor, covariance: Tensor, shade: list[float]) -> None:
    """Draw the ellipses of one component."""
    from matplotlib.patches import Ellipse

    values, vectors = torch.linalg.eigh(covariance)
    width, height = values.sqrt().tolist()
    angle = math.degrees(math.atan2(float(vectors[1, 0]), float(vectors[0, 0])))
    for mass in _MASSES:
        r = math.sqrt(-2 * math.log(1 - mass))
        centre: Any = mean.tolist()
        ellipse = Ellipse(
            centre, 2 * r * width, 2 * r * height, angle=angle, fill=False, edgecolor=shade, linewidth=1.3
        )
        axes.add_patch(ellipse)


def _used(components: Components) -> Components:
    """Return the components with a weight above 0."""
    held = components.weights > 0
    return Components(
        *(part[held].detach().cpu() for part in (components.weights, components.means, components.factors))
    )


def _matrix(components: Components) -> Tensor:
    """Return Σ_k: (K, D, D)."""
    cov = components.covariances
    return cov if components.matrix else torch.diag_embed(cov)


def _shades(n: int) -> Tensor:
    """Return n RGB colours (n, 3): from the palette, or from a colour scale where they are many."""
    import matplotlib as mpl
    from matplotlib.colors import to_rgb

    if n <= len(PALETTE):
        return torch.tensor([to_rgb(colour) for colour in PALETTE[:n]], dtype=torch.float64)
    scale = mpl.colormaps["viridis"]
    return torch.tensor([scale(k / (n - 1))[:3] for k in range(n)], dtype=torch.float64)
