"""How well codes tell the classes of rows: by the nearest training row, and by a linear map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentia.core.model import Encodes
from latentia.data.rows import Rows
from latentia.errors import UsageError
from latentia.functional.neighbours import nearest
from latentia.metrics.disentanglement.predictors import told_linearly
from latentia.metrics.score import Score, mean_score
from latentia.metrics.subject import Subject, capable, scoring
from latentia.registry import metrics

_PROBED = 10_000  # training rows of the linear map


@metrics.register("nearest-neighbour-accuracy", needs=Encodes)
def nearest_neighbour_accuracy(subject: Subject) -> Score:
    """Share of held-out rows whose class is that of the training row with the nearest code (1-NN)."""
    train, test = _labels(subject, "training"), _labels(subject, "held-out")
    z = subject.shared(training_codes)
    number = nearest(subject.codes, z.split(4096))[1]
    right = train[number] == test
    return _accuracy(
        "nearest-neighbour-accuracy", right, {"training_rows": len(train), "entries": z.shape[1]}
    )


@metrics.register("linear-probe-accuracy", needs=Encodes)
def linear_probe_accuracy(subject: Subject) -> Score:
    """Share of held-out rows whose class logistic regression tells from the code, fitted to training rows' codes.

    Codes are standardised by their moments in the training rows, of which it is fitted to 10,000 at most.
    """
    train, test = _labels(subject, "training"), _labels(subject, "held-out")
    z = subject.shared(training_codes)
    shift, scale = z.mean(0), z.std(0)
    scale = scale.where(scale > 0, scale.new_ones(()))
    chosen = torch.randperm(len(z), generator=torch.Generator().manual_seed(subject.seed))[:_PROBED]
    fitted_to = (z[chosen] - shift) / scale, train[chosen]
    right, converged = told_linearly(fitted_to, ((subject.codes - shift) / scale, test))
    settings = {
        "training_rows": len(chosen),
        "entries": z.shape[1],
        "seed": subject.seed,
        "converged": converged,
    }
    return _accuracy("linear-probe-accuracy", right, settings)


def training_codes(subject: Subject) -> Tensor:
    """Return the mean code of every training row: (n, d) float64 on the CPU."""
    model = capable(subject.model, Encodes)
    with scoring(subject.model):
        blocks = (subject.blocks(block, subject.batch_size) for block in subject.training.blocks(4096))
        means = [model.encode(batch.x, batch.context).mean for block in blocks for batch in block]
    return torch.cat([mean.flatten(1).double().cpu() for mean in means])


def _labels(subject: Subject, which: str) -> Tensor:
    """Return the class numbers of the training or the held-out rows, in the numbers of the held-out rows' classes."""
    rows = subject.training if which == "training" else subject.rows
    if not isinstance(rows, Rows) or rows.labels is None:
        raise UsageError(f"the {which} rows have no classes")
    if rows.spec.classes != subject.rows.spec.classes:
        raise UsageError("the training rows' classes are not those of the held-out rows")
    return rows.labels


def _accuracy(metric: str, right: Tensor, settings: dict[str, Any]) -> Score:
    return mean_score(
        metric, right.double(), unit="share", kind="estimate", settings=settings, direction="higher"
    )
