"""Which classes samples belong to by a classifier: how many, and how evenly."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentia.core.model import Generative
from latentia.data.rows import Rows
from latentia.errors import UsageError
from latentia.functional.modes import count_kl
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.samples.modes import reverse_kl
from latentia.metrics.samples.sample_classifier import SampleClassifier, accuracy, sample_classifier
from latentia.metrics.score import Score
from latentia.metrics.settings import MetricSettings
from latentia.options import Count
from latentia.registry import metrics


@dataclass(frozen=True)
class ClassesSettings(MetricSettings):
    """Settings of the count of classes.

    Attributes:
        steps: of the classifier's training
    """

    steps: Count = 1000


@metrics.register(
    "classes",
    needs=Generative,
    labels=True,
    training=True,
    settings=ClassesSettings,
    no_stderr={"classes/captured": "a count of classes that one sample decides"},
)
def classes(evaluation: Evaluation) -> list[Score]:
    """Classes captured, and KL of the samples' classes from the data's, as a classifier predicts them.

    The classifier is trained on the training rows; its accuracy on held-out rows is in the settings, and so is the
    score of as many held-out rows (all, where they are fewer), which bounds what a model can reach. One sample
    captures a class.

    Reference: Metz et al. (2017), Unrolled generative adversarial networks, section 3.3.1 (for stacked digits).
    """
    rows, training = evaluation.rows, evaluation.training
    if not isinstance(rows, Rows) or not isinstance(training, Rows) or rows.labels is None:
        return [
            Score("classes", None, kind="none: not defined", n=len(rows), reason="the rows have no classes")
        ]
    if rows.spec.classes != training.spec.classes:
        raise UsageError(
            f"the held-out rows' classes are not those of the training rows: "
            f"{', '.join(rows.spec.classes[:3])}, … and {', '.join(training.spec.classes[:3])}, …"
        )
    classifier = sample_classifier(training, evaluation.settings.of(ClassesSettings).steps)
    some = rows.select(_chosen(len(rows), len(evaluation.samples), evaluation))
    reference = _class_distribution(training)
    counts, of_rows = (_counts(x, classifier, len(reference)) for x in (evaluation.samples, some.x))
    settings: dict[str, Any] = {
        **classifier.settings,
        "accuracy": accuracy(classifier, some),
        "classes": len(reference),
        "samples": len(evaluation.samples),
        "captured_by_held_out_rows": int((of_rows > 0).sum()),
        "kl_of_held_out_rows": float(count_kl(of_rows, reference)),
    }
    captured = float((counts > 0).sum())
    facts: dict[str, Any] = {"n": len(evaluation.samples), "settings": settings}
    return [
        Score("classes/captured", captured, unit="classes", kind="estimate", direction="higher", **facts),
        reverse_kl("classes/kl", counts, reference, settings),
    ]


def _class_distribution(training: Rows) -> Tensor:
    """Return the fractions of the classes in the training rows, half a row added to each so that none is 0: (C,)."""
    labels = training.labels if training.labels is not None else torch.empty(0, dtype=torch.int64)
    counts = torch.bincount(labels, minlength=len(training.spec.classes)).double() + 0.5
    return counts / counts.sum()


def _counts(x: Tensor, classifier: SampleClassifier, classes: int) -> Tensor:
    return torch.bincount(classifier.predict(x.float()), minlength=classes)


def _chosen(n: int, most: int, evaluation: Evaluation) -> Tensor:
    """Return the numbers of as many rows as there are samples."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(evaluation.seed))[:most]
