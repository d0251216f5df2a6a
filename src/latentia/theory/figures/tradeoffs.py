"""Figures of trade-offs: rate and distortion over β, scores over β, and codes over factors.

Each function returns a matplotlib figure; `latentia.figures.drawing.png` and `svg` turn it into a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.figures.drawing import INK, MODEL, REAL, Plot, Titled, plain, single, together

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TradeOff:
    """Rate and distortion of a model fitted with a β, on held-out rows.

    Attributes:
        beta: weight of the KL.
        rate: mean KL(q(z | x) ‖ p(z)), nats per row.
        distortion: mean −E_q log p(x | z), nats per row; −ELBO = rate + distortion.
        lost: fraction of the data's high-frequency power that reconstructions lack (`lost_power`); None if not images.
    """

    beta: float
    rate: float
    distortion: float
    lost: float | None = None


def rate_distortion(points: Sequence[TradeOff]) -> Figure:
    """Draw distortion against rate, one point per β, and the fraction of fine detail that reconstructions lose.

    Lines of slope −1 join points of equal ELBO; the one drawn is the best point's.

    Args:
        points: at least 2, in any order.

    Raises:
        UsageError: for fewer points, or lost power that is known of only some.

    Reference: Alemi et al. (2018), Fixing a broken ELBO, figure 1.

    Example:
        >>> figure = rate_distortion([TradeOff(1.0, 20.0, 70.0, 0.4), TradeOff(4.0, 8.0, 95.0, 0.7)])
        >>> len(figure.axes)
        2
    """
    known = [point for point in points if point.lost is not None]
    if len(points) < 2 or len(known) not in (0, len(points)):
        raise UsageError(
            "a curve needs at least 2 points, and the lost power of all of them or of none; got "
            f"{len(points)} points, {len(known)} with lost power"
        )
    rising = sorted(points, key=lambda point: point.beta)

    def curve(axes: Axes) -> None:
        rates = [point.rate for point in rising]
        axes.plot(rates, [point.distortion for point in rising], "o-", color=MODEL, markersize=4)
        for point in rising:
            place = (point.rate, point.distortion)
            axes.annotate(f" β = {point.beta:g}", place, (3, 3), textcoords="offset points")
        best = min(point.rate + point.distortion for point in rising)
        ends = [min(rates), max(rates)]
        axes.plot(ends, [best - rate for rate in ends], ":", color=INK, label=f"ELBO = {-best:.4g}")
        axes.set(xlabel="rate, KL in nats", ylabel="distortion, −E log p(x | z)")
        axes.margins(0.18)
        axes.legend()

    def lost(axes: Axes) -> None:
        axes.plot([p.beta for p in rising], [100 * (p.lost or 0) for p in rising], "o-", color=REAL)
        axes.set(ylabel="fine detail lost, %", ylim=(0, 100))
        _by_beta(axes, [p.beta for p in rising])

    plots: Titled = [("Rate and distortion", curve)]
    return together([*plots, ("Power at high frequencies", lost)] if known else plots)


def score_against_beta(
    betas: Sequence[float], scores: Mapping[str, tuple[Sequence[float], Sequence[float] | None]]
) -> Figure:
    """Draw scores of models against their β, with standard errors where they are known.

    Args:
        betas: (n,), above 0.
        scores: by name, n values and n standard errors, or None.

    Raises:
        UsageError: unless every score has one value per β.

    Example:
        >>> figure = score_against_beta([1, 4], {"mig": ([0.1, 0.3], [0.02, 0.02]), "modularity": ([0.7, 0.8], None)})
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['mig', 'modularity']
    """
    for name, (values, errors) in scores.items():
        if len(values) != len(betas) or (errors is not None and len(errors) != len(betas)):
            raise UsageError(
                f"each score needs one value for each of {len(betas)} β; got {len(values)} of {name}"
            )

    def draw(axes: Axes) -> None:
        for name, (values, errors) in scores.items():
            axes.errorbar(betas, values, yerr=errors, marker="o", markersize=4, capsize=2, label=plain(name))
        axes.set(ylabel="score")
        _by_beta(axes, betas)
        axes.legend()

    return single(draw)


def response_maps(
    codes: Tensor, factors: Tensor, names: tuple[str, str] = ("factor 0", "factor 1")
) -> Figure:
    """Draw each entry of the code over two factors: its mean at each pair of values, in standard deviations.

    An entry that depends on one factor shows stripes; one that depends on neither shows noise, fainter with more rows.

    Args:
        codes: (n, d), d at most 9.
        factors: (n, 2) indices of the values, from 0, as `Rows.factors` has.
        names: of the two.

    Raises:
        UsageError: for shapes that do not fit.

    Reference: Higgins et al. (2017), β-VAE, figure 7, over positions.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(4))
        >>> figure = response_maps(factors.float(), factors)
        >>> [axes.get_title() for axes in figure.axes]
        ['z0', 'z1']
    """
    if codes.shape[1] > 9:
        raise UsageError(f"at most 9 entries can be drawn; got {codes.shape[1]}: choose some")
    maps = responses_over(codes, factors)
    overall = (codes.double().mean(0), codes.double().std(0, correction=0).clamp_min(1e-12))

    def panel(entry: int) -> tuple[str, Plot]:
        scaled = (maps[entry] - overall[0][entry]) / overall[1][entry]

        def draw(axes: Axes) -> None:
            axes.imshow(scaled.mT.tolist(), cmap="RdBu_r", vmin=-2, vmax=2, origin="lower", aspect="auto")
            axes.grid(visible=False)
            axes.locator_params(integer=True)
            axes.set(xlabel=plain(names[0]), ylabel=plain(names[1]))

        return f"z{entry}", draw

    return together([panel(entry) for entry in range(codes.shape[1])])


def responses_over(codes: Tensor, factors: Tensor) -> Tensor:
    """Return the mean code at each pair of values of two factors: (d, A, B), NaN for a pair without rows.

    Args:
        codes: (n, d).
        factors: (n, 2) indices of the values, from 0; A and B are the largest of each, plus 1.

    Raises:
        UsageError: for shapes that do not fit.

    Example:
        >>> responses_over(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([[0, 0], [0, 0], [1, 1]]))[0]
        tensor([[2., nan],
                [nan, 5.]], dtype=torch.float64)
    """
    if codes.dim() != 2 or factors.shape != (len(codes), 2) or not len(codes):
        raise UsageError(
            f"codes must be (n, d) and factors (n, 2); got {tuple(codes.shape)} and {tuple(factors.shape)}"
        )
    sizes = [int(size) for size in factors.amax(0) + 1]
    cell = (factors[:, 0] * sizes[1] + factors[:, 1]).long()
    sums = torch.zeros(sizes[0] * sizes[1], codes.shape[1], dtype=torch.float64).index_add_(
        0, cell, codes.double()
    )
    return (sums / cell.bincount(minlength=len(sums))[:, None]).mT.unflatten(1, sizes)


def _by_beta(axes: Axes, betas: Sequence[float]) -> None:
    """Give an axis of β a tick at each value, on a logarithmic scale."""
    axes.set(xlabel="β", xscale="log")
    axes.set_xticks(list(betas), [f"{beta:g}" for beta in betas])
    axes.minorticks_off()
