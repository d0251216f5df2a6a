"""How well a model predicts the classes of rows."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from latentia.data.rows import Rows
from latentia.metrics.evaluation import Evaluation, capable
from latentia.metrics.score import Score, mean_score
from latentia.registry import metrics


@runtime_checkable
class Classifies(Protocol):
    """A model that predicts the class of a row."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names."""
        ...

    def class_log_probs(self, x: Tensor) -> Tensor:
        """Return log q(y | x), (B, C) nats."""
        ...


@metrics.register("classification-accuracy", needs=Classifies, default=True, labels=True)
def classification_accuracy(evaluation: Evaluation) -> Score:
    """Fraction of held-out rows whose likeliest class is their own, by name; rows without a class are left out."""
    metric, rows = "classification-accuracy", evaluation.rows
    if not isinstance(rows, Rows) or rows.labels is None or not rows.spec.classes:
        return Score(metric, None, kind="none: not defined", n=len(rows), reason="the rows have no classes")
    model = capable(evaluation.model, Classifies)
    numbers = {name: number for number, name in enumerate(model.classes)}
    own = torch.tensor([numbers.get(name, -1) for name in rows.spec.classes])[rows.labels]
    predicted = evaluation.per_row(lambda batch, _: model.class_log_probs(batch.x).argmax(1))
    correct = (predicted == own)[own >= 0]
    left_out = {"without a class": int((own < 0).sum())} if (own < 0).any() else {}
    return mean_score(
        metric, correct.double(), unit="fraction", kind="estimate", settings=left_out, direction="higher"
    )
