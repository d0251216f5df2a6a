"""Samples and held-out rows as points, for metrics that compare them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentia.metrics.evaluation import Evaluation
from latentia.metrics.features import coordinates
from latentia.metrics.points import Points, is_table

STANDARDISED, DATA = "standardised columns", "data units"


@dataclass(frozen=True, eq=False)
class Compared:
    """Samples and held-out rows as points between which distances mean something.

    Attributes:
        samples: (n, D') points.
        rows: (n, D') points.
        unit: of distances between them.
        settings: what decided the points, for the score.
    """

    samples: Tensor
    rows: Tensor
    unit: str
    settings: Mapping[str, Any]


def compared(evaluation: Evaluation) -> Compared:
    """Return samples and held-out rows as points: those of tables with standardised columns, others as they are."""
    samples, rows, spec = evaluation.samples, evaluation.heldout.x, evaluation.rows.spec
    about: dict[str, Any] = {
        "samples": len(samples),
        "seed": evaluation.seed,
        "conditional": evaluation.conditional,
    }
    if not is_table(spec):
        samples, rows = (coordinates(spec.natural(x), spec.support) for x in (samples, rows))
        return Compared(samples, rows, DATA, about)
    points = table_points(evaluation, torch.cat([samples, rows]))
    about["distances"] = evaluation.settings.distances
    return Compared(
        points(read(evaluation, samples), "samples"),
        points(read(evaluation, rows)),
        unit_of(evaluation),
        about,
    )


def table_points(evaluation: Evaluation, rows: Tensor) -> Points:
    """Return what makes points of a table's rows, by the setting ``distances``.

    Args:
        evaluation: whose rows are a table's.
        rows: whose moments are taken where those of the training rows are not known.
    """
    make = Points.raw if evaluation.settings.distances == "raw" else Points.standardised
    return make(evaluation.rows.spec, read(evaluation, rows))


def read(evaluation: Evaluation, x: Tensor) -> Tensor:
    """Return rows in the table's numbers where distances are raw, otherwise as models read them."""
    return evaluation.rows.spec.natural(x) if evaluation.settings.distances == "raw" else x


def unit_of(evaluation: Evaluation) -> str:
    """Return the unit of distances between rows."""
    standardised = is_table(evaluation.rows.spec) and evaluation.settings.distances == "standardised"
    return STANDARDISED if standardised else DATA
