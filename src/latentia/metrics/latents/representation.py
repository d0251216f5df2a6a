"""How well codes tell the classes of rows: by the nearest training row, and by a linear map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentia.core.model import Encodes
from latentia.data.rows import Rows
from latentia.errors import UsageError
from latentia.functional.neighbours import nearest
from latentia.metrics.disentanglement.predictors import linear_probe_correct
from latentia.metrics.evaluation import Evaluation, capable, scoring
from latentia.metrics.score import Score, mean_score
from latentia.registry import metrics

_PROBED = 10_000  # training rows of the linear map


@metrics.register("nearest-neighbour-accuracy", needs=Encodes)
def nearest_neighbour_accuracy(evaluation: Evaluation) -> Score:
    """Share of held-out rows whose class is that of the training row with the nearest code (1-NN)."""
    train, test = _labels(evaluation, "training"), _labels(evaluation, "held-out")
    z = evaluation.shared(training_codes)
    number = nearest(evaluation.codes, z.split(4096))[1]
    right = train[number] == test
    return _accuracy(
        "nearest-neighbour-accuracy", right, {"training_rows": len(train), "entries": z.shape[1]}
    )


@metrics.register("linear-probe-accuracy", needs=Encodes)
def linear_probe_accuracy(evaluation: Evaluation) -> Score:
    """Share of held-out rows whose class logistic regression tells from the code, fitted to training rows' codes.

    Codes are standardised by their moments in the training rows, of which it is fitted to 10,000 at most.
    """
    train, test = _labels(evaluation, "training"), _labels(evaluation, "held-out")
    z = evaluation.shared(training_codes)
    shift, scale = z.mean(0), z.std(0)
    scale = scale.where(scale > 0, scale.new_ones(()))
    chosen = torch.randperm(len(z), generator=torch.Generator().manual_seed(evaluation.seed))[:_PROBED]
    fitted_to = (z[chosen] - shift) / scale, train[chosen]
    right, converged = linear_probe_correct(fitted_to, ((evaluation.codes - shift) / scale, test))
    settings = {
        "training_rows": len(chosen),
        "entries": z.shape[1],
        "seed": evaluation.seed,
        "converged": converged,
    }
    return _accuracy("linear-probe-accuracy", right, settings)


def training_codes(evaluation: Evaluation) -> Tensor:
    """Return the mean code of every training row: (n, d) float64 on the CPU."""
    model = capable(evaluation.model, Encodes)
    with scoring(evaluation.model):
        blocks = (
            evaluation.blocks(block, evaluation.batch_size) for block in evaluation.training.blocks(4096)
        )
        means = [model.encode(batch.x, batch.context).mean for block in blocks for batch in block]
    return torch.cat([mean.flatten(1).double().cpu() for mean in means])


def _labels(evaluation: Evaluation, which: str) -> Tensor:
    """Return the class numbers of the training or the held-out rows, in the numbers of the held-out rows' classes."""
    rows = evaluation.training if which == "training" else evaluation.rows
    if not isinstance(rows, Rows) or rows.labels is None:
        raise UsageError(f"the {which} rows have no classes")
    if rows.spec.classes != evaluation.rows.spec.classes:
        raise UsageError("the training rows' classes are not those of the held-out rows")
    return rows.labels


def _accuracy(metric: str, right: Tensor, settings: dict[str, Any]) -> Score:
    return mean_score(
        metric, right.double(), unit="share", kind="estimate", settings=settings, direction="higher"
    )
