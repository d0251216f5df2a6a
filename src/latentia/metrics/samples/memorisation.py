"""Whether a model's samples are copies of the rows that it was fitted to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from latentia.core.model import Generative
from latentia.functional.memorisation import nearness
from latentia.functional.neighbours import nearest
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.networks.scaling import Scaling
from latentia.registry import metrics

_QUANTILE = 0.05  # of the held-out rows' distances
_AT_ONCE = 4096  # training rows


@metrics.register("memorisation", needs=Generative)
def memorisation(evaluation: Evaluation) -> list[Score]:
    """Samples nearer to a training row than 95 % of held-out rows are: their share, the ratio of medians, a p-value.

    Distances are Euclidean between rows as networks read them: real entries over their standard deviation in the
    training rows. Samples of the rows' own law have a share of 5 % in the mean and a ratio of 1; copies have 100 % and
    0. The p-value is of a Mann-Whitney test of equal laws of distances, against nearer samples.

    Reference: Meehan, Chaudhuri & Dasgupta (2020), A non-parametric test to detect data-copying in generative models.
    """
    scaling = Scaling(evaluation.rows.spec)
    scaling.fit(evaluation.training)
    samples, rows = (
        nearest(scaling(x).flatten(1), _training(evaluation, scaling))[0]
        for x in (evaluation.samples, evaluation.heldout.x)
    )
    found = nearness(samples, rows, quantile=_QUANTILE)
    share, n, m = float(found.fraction_too_near), len(samples), len(rows)
    settings: dict[str, Any] = {
        "samples": n,
        "training_rows": len(evaluation.training),
        "quantile": _QUANTILE,
        "seed": evaluation.seed,
        "conditional": evaluation.conditional,
    }
    facts: dict[str, Any] = {"n": m, "settings": settings}
    # The quantile is an estimate too: at equal laws its error is that of a share among the m rows.
    stderr = math.sqrt(share * (1 - share) / n + _QUANTILE * (1 - _QUANTILE) / m)
    return [
        Score(
            "memorisation/share-too-near",
            share,
            stderr,
            unit="share",
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


def _training(evaluation: Evaluation, scaling: Scaling) -> Iterator[Tensor]:
    return (scaling(block.x).flatten(1) for block in evaluation.training.blocks(_AT_ONCE))
