"""Stacked bars of the terms of the KL, and of the gaps between the ELBO and the likelihood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from latentia.errors import UsageError
from latentia.figures.drawing import INK, PALETTE, Plot, Titled, together
from latentia.metrics.score import Score
from latentia.report.elements import Section, exhibits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BY_ENTRY = {
    "surgery/mutual-information": "mutual information",
    "surgery/total-correlation": "total correlation",
    "surgery/dimension-wise-kl": "dimension-wise KL",
}
_WHOLE = {"surgery/mutual-information": "mutual information", "surgery/marginal-kl": "KL(q(z) ‖ p(z))"}
_INFERENCE = {"gaps/approximation": "approximation gap", "gaps/amortisation": "amortisation gap"}
_MODEL = {"gaps/model": "model gap"} | _INFERENCE


@dataclass(frozen=True)
class Segment:
    """A segment of a bar: label, length in nats, and standard error if known."""

    label: str
    value: float
    stderr: float | None


def gap_bars(scores: Iterable[Score]) -> Figure:
    """Draw the terms of the KL, and the gaps between the ELBO and the likelihood, as stacked bars.

    KL = I + TC + Σ_j KL_j, or I + KL(q(z) ‖ p(z)), and log p_data − ELBO = model gap + approximation gap +
    amortisation gap, without the first where p_data is unknown.

    Args:
        scores: of the metrics surgery and gaps, or one of them.

    Raises:
        UsageError: without such scores.

    Reference: Hoffman and Johnson (2016), ELBO surgery; Cremer, Li and Duvenaud (2018), Inference suboptimality.

    Example:
        >>> terms = {"mutual-information": 2.0, "marginal-kl": 1.0}
        >>> figure = gap_bars([Score(f"surgery/{name}", value) for name, value in terms.items()])
        >>> [float(bar.get_width()) for bar in figure.axes[0].patches]
        [2.0, 1.0]
    """
    drawn = gap_plots(scores)
    if not drawn:
        raise UsageError('the bars need scores of metrics=["surgery", "gaps"]; got none of them')
    return together(drawn)


def gap_plots(scores: Iterable[Score]) -> Titled:
    """Return the plots of `gap_bars` that the scores allow, with their titles."""
    known = {score.metric: score for score in scores if score.value is not None}
    kl, gaps = _segments(known, _BY_ENTRY, _WHOLE), _segments(known, _MODEL, _INFERENCE)
    above = "log p_data" if "gaps/model" in known else "log p(x)"
    plots = [("Terms of the KL", kl), (f"From the ELBO to {above}", gaps)]
    return [(title, _stacked(segments)) for title, segments in plots if segments]


def gap_sections(scores: Iterable[Score]) -> list[Section]:
    """Return the section of a report with these bars, or none without such scores."""
    drawn = gap_plots(scores)
    lead = "The terms of the KL, and the gaps between the bound and the likelihood, in nats per row."
    return [Section("Decomposition of the bound", lead, exhibits(drawn))] if drawn else []


def _segments(known: Mapping[str, Score], *choices: Mapping[str, str]) -> list[Segment]:
    """Return the segments of the first choice with all scores known, or none."""
    for labels in choices:
        if all(name in known for name in labels):
            return [
                Segment(label, float(known[name].value or 0), known[name].stderr)
                for name, label in labels.items()
            ]
    return []


def _stacked(segments: Sequence[Segment]) -> Plot:
    """Return a plot of segments stacked from 0, with their standard errors and their sum."""
    ends = list(accumulate((each.value for each in segments), initial=0.0))

    def draw(axes: Axes) -> None:
        for number, (each, (start, end), colour) in enumerate(
            zip(segments, pairwise(ends), PALETTE, strict=False)
        ):
            # A negative segment is narrower, and drawn over what it subtracts from.
            height, layer = (0.5, 2) if each.value >= 0 else (0.2, 2.5)
            name = f"{each.label}: {_with_stderr(each.value, each.stderr)}"
            axes.barh(0, each.value, left=start, height=height, zorder=layer, color=colour, label=name)
            if each.stderr is not None:
                level = 0.1 * (number % 2) - 0.05  # error bars of neighbours do not overlap
                axes.errorbar(end, level, xerr=each.stderr, color=INK, capsize=2, linewidth=1, zorder=3)
        axes.axvline(ends[-1], color=INK, linestyle=":", label=f"sum: {ends[-1]:.3g}")
        axes.set(xlabel="nats per row", yticks=[], ylim=(-0.4, 1.3))
        axes.legend(loc="upper left")

    return draw


def _with_stderr(value: float, stderr: float | None) -> str:
    return f"{value:.3g}" + ("" if stderr is None else f" ± {stderr:.2g}")
