"""Figures of latent codes: a grid of quantiles, prior and aggregated posterior, posteriors of rows, the decoded grid.

Each function returns a matplotlib figure, which `latentia.figures.drawing.png` and `svg` turn into a file.
`codes_on_quantiles` gives the codes of a grid of images, for `latentia.figures.images.image_grid`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from latentia.core.randomness import using_generator
from latentia.distributions.diagonal_gaussian import DiagonalGaussian
from latentia.errors import UsageError
from latentia.figures.drawing import INK, MODEL, PALETTE, REAL, Titled, single, together
from latentia.figures.plots import Frame, LogDensity
from latentia.functional.transport import wasserstein_1d

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELLS = 120  # per side of the grid on which a density of codes is evaluated
_MASSES = (0.9, 0.5, 0.1)  # of a distribution, inside its contours
_DRAWS, _SEED = 5000, 0  # of a distribution, for a frame, quantiles or a histogram
_ENTRIES = 6  # of codes, drawn as histograms at most
_LINES, _ON_A_LINE = 17, 200  # of the decoded grid in each direction, and points on each


def codes_on_quantiles(prior: Distribution, side: int = 15) -> Tensor:
    """Return codes in the plane on a grid of the prior's quantiles, evenly spaced in probability.

    z_j = F_j⁻¹((k − ½)/side), k = 1 … side, F_j the distribution function of entry j: exact for a Gaussian, otherwise
    empirical.

    Args:
        prior: event shape (2,).
        side: codes per side.

    Returns:
        (side², 2), row by row from the top: z0 increases to the right, z1 upwards.

    Raises:
        UsageError: for codes of other than two entries, or fewer than 2 per side.

    Reference: Kingma and Welling (2014), Auto-encoding variational Bayes, figure 4.

    Example:
        >>> codes_on_quantiles(DiagonalGaussian(torch.zeros(2), torch.zeros(2)), 2)[:2]
        tensor([[-0.6745,  0.6745],
                [ 0.6745,  0.6745]])
    """
    _in_the_plane(prior)
    if side < 2:
        raise UsageError(f"side must be at least 2; got {side}")
    levels = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    if isinstance(prior, DiagonalGaussian):
        mean, sd = prior.mean.double().cpu(), prior.variance.double().cpu().sqrt()
        values = mean[:, None] + sd[:, None] * torch.special.ndtri(levels)
    else:
        values = torch.quantile(_draws(prior).double(), levels, dim=0).mT
    return torch.cartesian_prod(values[1].flip(0), values[0]).flip(1).float()


def prior_and_aggregate(prior: Distribution, aggregate: Distribution) -> Figure:
    """Draw the prior and the aggregated posterior, whose mismatch shows as holes and as codes off the prior.

    Args:
        prior: p(z), event shape (d,).
        aggregate: q(z) = (1/n) Σ_i q(z | x_i), of `aggregated_posterior`.

    Raises:
        UsageError: for distributions of different event shapes.

    Reference: Hoffman and Johnson (2016), ELBO surgery.

    Example:
        >>> prior = DiagonalGaussian(torch.zeros(2), torch.zeros(2))
        >>> figure = prior_and_aggregate(prior, DiagonalGaussian(torch.ones(2), torch.zeros(2)))
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['prior p(z)', 'aggregated posterior q(z)']
    """
    plots = prior_and_aggregate_plots(prior, aggregate)
    if len(plots) == 1:
        return single(plots[0][1], square=prior.event_shape == (2,))
    return together(plots)


def prior_and_aggregate_plots(prior: Distribution, aggregate: Distribution) -> Titled:
    """Return the plots of `prior_and_aggregate`: contours in the plane, otherwise histograms of the entries
    that differ most.

    Contours hold 10%, 50% and 90% of a distribution. The difference of entries is W₁ of their draws.
    """
    if prior.event_shape != aggregate.event_shape:
        shapes = f"{tuple(prior.event_shape)} and {tuple(aggregate.event_shape)}"
        raise UsageError(f"prior and aggregated posterior must have equal event shapes; got {shapes}")
    p, q = _draws(prior), _draws(aggregate)
    if prior.event_shape == (2,):
        frame = Frame.around(_common(torch.cat([p, q])), margin=0.1)
        return [("", _two_contours(_elsewhere(prior), _elsewhere(aggregate), frame))]
    apart = torch.stack([wasserstein_1d(a, b) for a, b in zip(p.mT, q.mT, strict=True)])
    most = apart.argsort(descending=True, stable=True)[:_ENTRIES].sort().values.tolist()
    return [(f"z{entry}", _two_histograms(p[:, entry], q[:, entry])) for entry in most]


def posterior_shapes(log_densities: Mapping[str, LogDensity], codes: Tensor) -> Figure:
    """Draw posteriors of a few rows, one panel per family: contours that hold 10%, 50% and 90% of each.

    Args:
        log_densities: by the family's name, (S, 1, 2) codes → (S, B) log q(z_s | x_i), up to a constant of the row: a
            posterior's `log_prob`, or log p(x | z) + log p(z) for the exact posterior.
        codes: (n, 2) draws of all families, which determine the frame.

    Raises:
        UsageError: for codes that are not in the plane, or no families.

    Example:
        >>> q = DiagonalGaussian(torch.randn(3, 2), torch.zeros(3, 2))
        >>> figure = posterior_shapes({"diagonal": q.log_prob}, q.sample((50,)).flatten(0, 1))
        >>> [axes.get_title() for axes in figure.axes]
        ['diagonal']
    """
    if not log_densities or codes.dim() != 2 or codes.shape[1] != 2:
        raise UsageError(
            f"posterior shapes need codes (n, 2) and at least one family; got codes {tuple(codes.shape)}"
        )
    frame = Frame.around(codes, margin=0.15)

    def panel(log_density: LogDensity) -> Callable[[Axes], None]:
        def draw(axes: Axes) -> None:
            x, y, log_q = _on_grid(lambda z: log_density(z[:, None]), frame)
            for row, each in enumerate(log_q.unbind(-1)):
                _mass_lines(axes, x, y, each, PALETTE[row % len(PALETTE)])
            axes.set(xlabel="z0", ylabel="z1")
            frame.limit(axes)

        return draw

    return together([(name, panel(each)) for name, each in log_densities.items()], square=True)


def fold(decode: Callable[[Tensor], Tensor], rows: Tensor, span: float = 2.5) -> Figure:
    """Draw a grid of codes, and its image under the decoder's mean among rows in the plane.

    Args:
        decode: (n, 2) codes → (n, 2) means of p(x | z), as `Run.decode`.
        rows: (m, 2), in the background.
        span: the grid covers [−span, span]²; 2.5 holds 97.5% of N(0, I).

    Raises:
        UsageError: for rows that are not in the plane.

    Example:
        >>> figure = fold(lambda z: z.square(), torch.rand(9, 2))
        >>> [axes.get_title() for axes in figure.axes]
        ['Codes', 'Decoded: means of p(x | z)']
    """
    if rows.dim() != 2 or rows.shape[1] != 2:
        raise UsageError(
            f"the decoded grid is drawn among rows in the plane, (n, 2); got {tuple(rows.shape)}"
        )
    lines = _grid_lines(span)
    folded = decode(lines.flatten(0, 2)).detach().cpu().reshape(lines.shape)

    def codes(axes: Axes) -> None:
        _draw_lines(axes, lines)
        axes.set(xlabel="z0", ylabel="z1", aspect="equal")

    def means(axes: Axes) -> None:
        axes.scatter(*rows.cpu().T.tolist(), s=4, color=INK, alpha=0.25, linewidths=0, rasterized=True)
        _draw_lines(axes, folded)
        axes.set(xlabel="x0", ylabel="x1", aspect="equal")

    return together([("Codes", codes), ("Decoded: means of p(x | z)", means)], square=True)


def _in_the_plane(distribution: Distribution) -> None:
    if distribution.event_shape != (2,):
        raise UsageError(
            f"a grid of quantiles is drawn for codes of 2 entries; got event shape {tuple(distribution.event_shape)}"
        )


def _draws(distribution: Distribution) -> Tensor:
    """Return draws of a distribution with a fixed seed, without changing the global random state."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    generators = [torch.Generator(device).manual_seed(_SEED) for device in devices]
    with torch.no_grad(), using_generator(*generators):
        return distribution.sample(torch.Size((_DRAWS,))).cpu()


def _common(points: Tensor) -> Tensor:
    """Return (n, 2) points with the outliers of each axis clipped."""
    return points.clamp(points.quantile(0.005, dim=0), points.quantile(0.995, dim=0))


def _elsewhere(distribution: Distribution) -> LogDensity:
    """Return a distribution's log-density as a function of codes on any device."""
    device = distribution.sample().device if torch.cuda.is_available() else "cpu"
    return lambda z: distribution.log_prob(z.to(device))


def _two_contours(prior: LogDensity, aggregate: LogDensity, frame: Frame) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for log_density, colour, name in (
            (prior, REAL, "prior p(z)"),
            (aggregate, MODEL, "aggregated posterior q(z)"),
        ):
            _mass_lines(axes, *_on_grid(log_density, frame), colour)
            axes.plot([], [], color=colour, label=name)
        axes.set(xlabel="z0", ylabel="z1")
        frame.limit(axes)
        axes.legend(loc="upper right")

    return draw


def _two_histograms(prior: Tensor, aggregate: Tensor) -> Callable[[Axes], None]:
    low, high = torch.cat([prior, aggregate]).aminmax()
    edges = torch.linspace(float(low), float(high), 41, dtype=torch.float64)

    def draw(axes: Axes) -> None:
        for draws, colour, name in ((prior, REAL, "p(z)"), (aggregate, MODEL, "q(z)")):
            heights = torch.histogram(draws.double().cpu(), edges, density=True).hist
            # One outline is drawn several times as fast as 40 bars.
            axes.stairs(heights.tolist(), edges.tolist(), fill=True, color=colour, alpha=0.5, label=name)
        axes.set(ylabel="density of draws")
        axes.legend()

    return draw


def _on_grid(log_density: LogDensity, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
    """Return the frame's grid and the log-density on it, in float64: (cells,), (cells,), (cells, cells, …)."""
    x = torch.linspace(frame.low[0], frame.high[0], _CELLS)
    y = torch.linspace(frame.low[1], frame.high[1], _CELLS)
    with torch.no_grad():
        values = torch.cat([log_density(part) for part in torch.cartesian_prod(x, y).split(2048)])
    return x, y, values.double().cpu().unflatten(0, (_CELLS, _CELLS))


def mass_levels(log_density: Tensor) -> Tensor:
    """Return the log-densities of the contours that hold 90%, 50% and 10% of the mass on a grid, ascending.

    Args:
        log_density: of the cells, any shape, up to a constant.
    """
    falling = log_density.flatten().sort(descending=True).values
    enclosed = falling.softmax(0).cumsum(0)
    return torch.stack([falling[torch.searchsorted(enclosed, mass)] for mass in _MASSES])


def _mass_lines(axes: Axes, x: Tensor, y: Tensor, log_density: Tensor, colour: str) -> None:
    levels = mass_levels(log_density).unique()
    grid: Any = log_density.clamp_min(float(levels.min()) - 20).mT.tolist()  # 0 somewhere still has contours
    widths = [0.7, 1.1, 1.5][-len(levels) :]
    axes.contour(
        x.tolist(),
        y.tolist(),
        grid,
        levels=levels.tolist(),
        colors=colour,
        linewidths=widths,
        linestyles="solid",
    )


def _grid_lines(span: float) -> Tensor:
    """Return the lines of constant z0, then those of constant z1: (2, lines, points, 2)."""
    at = torch.linspace(-span, span, _LINES)[:, None].expand(_LINES, _ON_A_LINE)
    along = torch.linspace(-span, span, _ON_A_LINE).expand(_LINES, _ON_A_LINE)
    return torch.stack([torch.stack([at, along], 2), torch.stack([along, at], 2)])


def _draw_lines(axes: Axes, lines: Tensor) -> None:
    """Draw lines of constant z0 in one colour scale, and of constant z1 in another."""
    import matplotlib as mpl

    for family, scale in zip(lines, ("cool", "autumn"), strict=True):
        for number, line in enumerate(family):
            colour = mpl.colormaps[scale](number / (_LINES - 1))
            axes.plot(*line.T.tolist(), color=colour, linewidth=0.8)
