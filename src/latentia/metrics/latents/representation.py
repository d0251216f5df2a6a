"""How well codes predict the classes of rows: by the nearest training row, and by a linear map."""

from dataclasses import dataclass
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
from latentia.metrics.settings import MetricSettings
from latentia.options import Count
from latentia.registry import metrics


@dataclass(frozen=True)
class LinearProbeSettings(MetricSettings):
    """Settings of the linear probe.

    Attributes:
        rows: training rows that it is fitted to, at most
    """

    rows: Count = 10_000


@metrics.register("nearest-neighbour-accuracy", needs=Encodes, labels=True, training=True)
def nearest_neighbour_accuracy(evaluation: Evaluation) -> Score:
    """Fraction of held-out rows whose class is that of the training row with the nearest code (1-NN)."""
    train, test = _labels(evaluation, "training"), _labels(evaluation, "held-out")
    z = evaluation.shared(training_codes)
    number = nearest(evaluation.codes, z.split(4096))[1]
    correct = train[number] == test
    return _accuracy(
        "nearest-neighbour-accuracy", correct, {"training_rows": len(train), "entries": z.shape[1]}
    )


@metrics.register(
    "linear-probe-accuracy", needs=Encodes, labels=True, training=True, settings=LinearProbeSettings
)
def linear_probe_accuracy(evaluation: Evaluation) -> Score:
    """Fraction of held-out rows that logistic regression, fitted to training rows' codes, classifies correctly.

    Codes are standardised by their moments in the training rows, of which it is fitted to 10,000 by default.
    """
    train, test = _labels(evaluation, "training"), _labels(evaluation, "held-out")
    z = evaluation.shared(training_codes)
    shift, scale = z.mean(0), z.std(0)
    scale = scale.where(scale > 0, scale.new_ones(()))
    generator = torch.Generator().manual_seed(evaluation.seed)
    chosen = torch.randperm(len(z), generator=generator)[: evaluation.settings.of(LinearProbeSettings).rows]
    fitted_to = (z[chosen] - shift) / scale, train[chosen]
    correct, converged = linear_probe_correct(fitted_to, ((evaluation.codes - shift) / scale, test))
    settings = {
        "training_rows": len(chosen),
        "entries": z.shape[1],
        "seed": evaluation.seed,
        "converged": converged,
    }
    return _accuracy("linear-probe-accuracy", correct, settings)


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


def _accuracy(metric: str, correct: Tensor, settings: dict[str, Any]) -> Score:
    return mean_score(
        metric, correct.double(), unit="fraction", kind="estimate", settings=settings, direction="higher"
    )
