"""Learning curves: plots of the logged quantities, grouped by kind, with their units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from latentia.figures.drawing import Plot, Titled, plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_HELD_OUT = "validation_"
_NATS = "nats per row"


@dataclass(frozen=True)
class _Family:
    """Logged quantities in one plot: those whose name matches the pattern."""

    pattern: str
    title: str
    unit: str
    wide: bool = False  # whether its values may span orders of magnitude

    def has(self, name: str) -> bool:
        """Whether a quantity is of the family, on training rows or on held-out ones."""
        return re.fullmatch(self.pattern, _stem(name)) is not None


_FAMILIES = (
    _Family(r"log[_-]likelihood", "Log-likelihood", _NATS),
    _Family(r"elbo", "Evidence lower bound", _NATS),
    _Family(r"reconstruction", "Reconstruction term, E log p(x|z)", _NATS),
    _Family(r"kl", "KL term, KL(q(z|x) ‖ p(z))", _NATS),
    _Family(r"\w*loss\w*", "Losses", "loss, mean over rows"),
    _Family(r"\w*accuracy\w*", "Accuracy of the critic", "fraction classified correctly"),
    _Family(r"twice_jsd_bound", "2 JSD, variational bound", "nats"),
    _Family(r"critic_saturated", "Saturation of the critic", "fraction of scores"),
    _Family(r"sample_diversity", "Diversity of samples", "mean distance, relative to data"),
    _Family(r"range_\w+", "Range of the data", "fraction"),
    _Family(r"gradient_norm/.*", "Gradient norms, before clipping", "norm", wide=True),
)
_WEIGHTS = ("beta",)  # of terms in a loss: plotted only if they change
_MAGNITUDES = 30  # ratio of largest to smallest, above which an axis is logarithmic
_AXES = ("epoch", "step")


def curves(history: pd.DataFrame | Mapping[str, np.ndarray]) -> Titled:
    """Return plots of all logged quantities over the epochs, by title; one plot for each kind.

    A single epoch is a dot; epochs in which a quantity was not logged are skipped.

    Args:
        history: one row per epoch, with "epoch" and one column per quantity; or an array for each of them.

    Example:
        >>> import pandas as pd
        >>> history = pd.DataFrame({"epoch": [1], "elbo": [-3.0], "validation_elbo": [-4.0], "x": [1.0]})
        >>> [title for title, _ in curves(history)]
        ['Evidence lower bound', 'x']
    """
    logged = {str(name): np.asarray(history[name], dtype=float) for name in history}
    names = [name for name in logged if name not in _AXES and _worth_drawing(name, logged[name])]
    members = {family: [name for name in names if family.has(name)] for family in _FAMILIES}
    known = {name for each in members.values() for name in each}
    for stem in dict.fromkeys(_stem(name) for name in names if name not in known):
        alone = _Family(re.escape(stem), stem.replace("_", " "), unit="")
        members[alone] = [name for name in names if alone.has(name)]
    return [(family.title, _plot(logged, each, family)) for family, each in members.items() if each]


def _worth_drawing(name: str, numbers: np.ndarray) -> bool:
    known = numbers[~np.isnan(numbers)]
    return len(known) > 0 and not (name in _WEIGHTS and known.min() == known.max())


def _stem(name: str) -> str:
    return name.removeprefix(_HELD_OUT)


def _plot(logged: Mapping[str, np.ndarray], members: Sequence[str], family: _Family) -> Plot:
    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        for name in members:
            dashed = "--" if name.startswith(_HELD_OUT) else "-"
            known = ~np.isnan(logged[name])
            marker = "o" if known.sum() < 3 else ""
            label = plain(_label(name, members))
            axes.plot(logged["epoch"][known], logged[name][known], dashed, marker=marker, label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel(family.unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if family.wide and _spans_magnitudes(np.concatenate([logged[name] for name in members])):
            axes.set_yscale("log")
        if len(members) > 1 or members[0].startswith(_HELD_OUT):
            axes.legend()

    return draw


def _spans_magnitudes(numbers: np.ndarray) -> bool:
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    return low > 0 and high / low > _MAGNITUDES


def _label(name: str, members: Sequence[str]) -> str:
    """Return the label of a quantity in its plot: the part of the data, the player, or its name."""
    if len({_stem(each).replace("-", "_") for each in members}) == 1:
        return "held out" if name.startswith(_HELD_OUT) else "training"
    return name.rpartition("/")[2].replace("_", " ")
