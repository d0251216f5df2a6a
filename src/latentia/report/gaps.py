"""Figures of what a bound is made of, and of what lies between it and the data's own likelihood: bars that add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from latentia.errors import UsageError
from latentia.figures.figures import INK, PALETTE, Plot, Titled, together
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
    """A piece of a bar: its label, its length in nats and the standard error of that, where it is known."""

    label: str
    value: float
    stderr: float | None


def gap_bars(scores: Iterable[Score]) -> Figure:
    """Draw what the KL term is made of, and what lies between the ELBO and the likelihood, as bars that add up.

    KL = I + TC + Σ_j KL_j, or I + KL(q(z) ‖ p(z)), and log p_data − ELBO = model gap + approximation gap +
    amortisation gap, the first left out where p_data is not known.

    Args:
        scores: of the metrics surgery and gaps, or of one of them.

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
        raise UsageError('the bars are of the scores of metrics=["surgery", "gaps"]; got none of them')
    return together(drawn)


def gap_plots(scores: Iterable[Score]) -> Titled:
    """Return the plots of `gap_bars` with their titles: as many as there are scores for."""
    known = {score.metric: score for score in scores if score.value is not None}
    kl, gaps = _segments(known, _BY_ENTRY, _WHOLE), _segments(known, _MODEL, _INFERENCE)
    above = "log p_data" if "gaps/model" in known else "log p(x)"
    plots = [("What the KL is made of", kl), (f"From the ELBO to {above}", gaps)]
    return [(title, _stacked(segments)) for title, segments in plots if segments]


def gap_sections(scores: Iterable[Score]) -> list[Section]:
    """Return the section of a report that shows these bars, or none where there are no such scores."""
    drawn = gap_plots(scores)
    lead = "What the KL term holds, and what lies between the bound and the likelihood, in nats a row."
    return [Section("The bound, taken apart", lead, exhibits(drawn))] if drawn else []


def _segments(known: Mapping[str, Score], *choices: Mapping[str, str]) -> list[Segment]:
    """Return the segments of the first choice of which all scores are known; none where there is no such choice."""
    for labels in choices:
        if all(name in known for name in labels):
            return [
                Segment(label, float(known[name].value or 0), known[name].stderr)
                for name, label in labels.items()
            ]
    return []


def _stacked(segments: Sequence[Segment]) -> Plot:
    """Return a plot of segments one after the other from 0, with their standard errors, and of their sum."""
    ends = list(accumulate((each.value for each in segments), initial=0.0))

    def draw(axes: Axes) -> None:
        for number, (each, (start, end), colour) in enumerate(
            zip(segments, pairwise(ends), PALETTE, strict=False)
        ):
            axes.barh(
                0,
                each.value,
                left=start,
                height=0.5 if each.value >= 0 else 0.2,  # a step back is seen on top of what it takes off
                zorder=2 if each.value >= 0 else 2.5,
                color=colour,
                label=f"{each.label}: {_told(each.value, each.stderr)}",
            )
            if each.stderr is not None:
                level = 0.1 * (number % 2) - 0.05  # neighbours' errors do not lie on each other
                axes.errorbar(end, level, xerr=each.stderr, color=INK, capsize=2, linewidth=1)
        axes.axvline(ends[-1], color=INK, linestyle=":", label=f"sum: {ends[-1]:.3g}")
        axes.set(xlabel="nats a row", yticks=[], ylim=(-0.4, 1.3))
        axes.legend(loc="upper left")

    return draw


def _told(value: float, stderr: float | None) -> str:
    return f"{value:.3g}" + ("" if stderr is None else f" ± {stderr:.2g}")
