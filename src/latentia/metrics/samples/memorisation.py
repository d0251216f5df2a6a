"""Whether a model's samples are copies of the rows that it was fitted to."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from latentia.core.model import Generative
from latentia.functional.memorisation import nearness
from latentia.functional.neighbours import nearest
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.points import is_table
from latentia.metrics.samples.compared import read, table_points
from latentia.metrics.score import Score
from latentia.metrics.settings import MetricSettings
from latentia.networks.scaling import Scaling
from latentia.options import Between
from latentia.registry import metrics

_AT_ONCE = 4096  # training rows


@dataclass(frozen=True)
class MemorisationSettings(MetricSettings):
    """Settings of the count of copies.

    Attributes:
        quantile: of the held-out rows' distances to their nearest training rows; samples below it are too near
    """

    quantile: Annotated[float, Between(0, 1, "()")] = 0.05


@metrics.register(
    "memorisation",
    needs=Generative,
    gaps=True,
    training=True,
    settings=MemorisationSettings,
    no_stderr={
        "memorisation/ratio-of-medians": "not known",
        "memorisation/test": "the p-value of a test that draws nothing",
    },
)
def memorisation(evaluation: Evaluation) -> list[Score]:
    """Samples nearer to a training row than 95 % of held-out rows: their fraction, the ratio of medians, a p-value.

    Distances are Euclidean between rows as networks read them: real entries over their standard deviation in the
    training rows. In tables any two categories are 1 apart, and ``distances="raw"`` leaves numbers as they are.

    Samples of the rows' own distribution have a fraction of 5 % on average and a ratio of 1; copies have
    100 % and 0. The p-value is of a Mann-Whitney test of equal distributions of distances, against nearer samples.

    Reference: Meehan, Chaudhuri & Dasgupta (2020), A non-parametric test to detect data-copying in generative models.
    """
    quantile, as_points = evaluation.settings.of(MemorisationSettings).quantile, _points(evaluation)
    samples, rows = (
        nearest(as_points(x), _training(evaluation, as_points))[0]
        for x in (evaluation.samples, evaluation.heldout.x)
    )
    found = nearness(samples, rows, quantile=quantile)
    fraction, n, m = float(found.fraction_too_near), len(samples), len(rows)
    settings: dict[str, Any] = {
        "samples": n,
        "training_rows": len(evaluation.training),
        "quantile": quantile,
        "seed": evaluation.seed,
        "conditional": evaluation.conditional,
        **({"distances": evaluation.settings.distances} if is_table(evaluation.rows.spec) else {}),
    }
    facts: dict[str, Any] = {"n": m, "settings": settings}
    # The quantile is an estimate too: at equal distributions its error is that of a fraction of the m rows.
    stderr = math.sqrt(fraction * (1 - fraction) / n + quantile * (1 - quantile) / m)
    return [
        Score(
            "memorisation/fraction-too-near",
            fraction,
            stderr,
            unit="fraction",
            kind="estimate",
            direction="lower",
            **facts,
        ),
        Score(
            "memorisation/ratio-of-medians",
            float(found.ratio_of_medians),
            unit="ratio",
            kind="estimate",
            **facts,
        ),
        Score("memorisation/test", found.p_value, unit="p-value", kind="test", **facts),
    ]


def _points(evaluation: Evaluation) -> Callable[[Tensor], Tensor]:
    """Return what makes points of rows."""
    if is_table(evaluation.rows.spec):
        points = table_points(
            evaluation, torch.cat([block.x for block in evaluation.training.blocks(_AT_ONCE)])
        )
        return lambda x: points(read(evaluation, x))
    scaling = Scaling(evaluation.rows.spec)
    scaling.fit(evaluation.training)
    return lambda x: scaling(x).flatten(1)


def _training(evaluation: Evaluation, as_points: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    return (as_points(block.x) for block in evaluation.training.blocks(_AT_ONCE))
