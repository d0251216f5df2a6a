"""Scores of a fit on the rows that it was fitted to: likelihood less the price of parameters."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from latentia.core.model import Density
from latentia.functional.information_criteria import aic, bic
from latentia.metrics.score import Score
from latentia.metrics.subject import Subject, capable
from latentia.registry import metrics


@runtime_checkable
class CountsParameters(Protocol):
    """A model that knows how many free parameters its fit chooses."""

    @property
    def free_parameters(self) -> int:
        """The number of free parameters."""
        ...


@metrics.register("bic", needs=(Density, CountsParameters), likelihood=True)
def bic_score(subject: Subject) -> Score:
    """Bayesian information criterion p log n − 2 Σ log p(x), in nats, of the rows that the model was fitted to."""
    n, parameters = len(subject.rows), capable(subject.model, CountsParameters).free_parameters
    return _score("bic", bic(float(subject.log_prob.sum()), parameters, n), subject, parameters)


@metrics.register("aic", needs=(Density, CountsParameters), likelihood=True)
def aic_score(subject: Subject) -> Score:
    """Akaike's information criterion 2 p − 2 Σ log p(x), in nats, of the rows that the model was fitted to."""
    parameters = capable(subject.model, CountsParameters).free_parameters
    return _score("aic", aic(float(subject.log_prob.sum()), parameters), subject, parameters)


def _score(metric: str, value: float, subject: Subject, parameters: int) -> Score:
    return Score(
        metric,
        value,
        unit="nats",
        kind="of the rows given",
        measure=subject.measure,
        n=len(subject.rows),
        settings={"parameters": parameters},
        direction="lower",
    )
