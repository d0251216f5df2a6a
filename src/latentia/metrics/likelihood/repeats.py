"""Columns on which a density means little: those with values that occur again and again."""

from torch import Tensor

from latentia.metrics.evaluation import Evaluation

_SPIKE = 0.1  # of the rows, that have one value
_FEW = 3  # rows: fewer are chance
_DISTINCT = 0.5  # distinct values, of the rows


def repeats(evaluation: Evaluation) -> dict[str, str]:
    """Return which number columns of a table hold repeated values, by name, and in which way.

    A density relative to Lebesgue measure grows without bound as a model narrows on such a value, so that a likelihood
    compares how finely models look at these columns, and little else.
    """
    spec = evaluation.rows.spec
    if not spec.table:
        return {}
    supports = spec.support.columns or (spec.support,) * spec.size
    x = evaluation.heldout.x
    found = {
        name: _said(x[:, j])
        for j, (name, support) in enumerate(zip(spec.columns, supports, strict=True))
        if support.measure == "Lebesgue"
    }
    return {name: said for name, said in found.items() if said}


def _said(x: Tensor) -> str:
    """Return how a column repeats values, or nothing where it hardly does.

    Example:
        >>> import torch
        >>> _said(torch.tensor([0.0] * 9 + [1.5])), _said(torch.arange(8.0))
        ('90 % of the rows have one value', '')
    """
    there = x[~x.isnan()]
    if len(there) < 2:
        return ""
    counts = there.unique(return_counts=True)[1]
    most, distinct = float(counts.max()) / len(there), len(counts)
    if most >= _SPIKE and counts.max() >= _FEW:
        return f"{most:.0%} of the rows have one value".replace("%", " %")
    return f"{distinct} values in {len(there)} rows" if distinct <= _DISTINCT * len(there) else ""


def unbounded(evaluation: Evaluation) -> dict[str, dict[str, str]]:
    """Return what a score's settings say of repeated values, where its measure is not a counting one."""
    found = repeats(evaluation) if evaluation.measure != "counting" else {}
    return {"repeated_values": found} if found else {}
