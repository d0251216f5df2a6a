"""Scores of a fit on the rows that it was fitted to: likelihood less the price of parameters."""

from typing import Protocol, runtime_checkable

from latentia.core.model import Density
from latentia.functional.likelihood.information_criteria import aic, bic
from latentia.metrics.evaluation import Evaluation, capable
from latentia.metrics.score import Score
from latentia.registry import metrics

_NO_STDERR = "a criterion of the rows that were fitted to, which are no draw of held-out rows"


@runtime_checkable
class CountsParameters(Protocol):
    """A model that knows how many free parameters its fit chooses."""

    @property
    def free_parameters(self) -> int:
        """The number of free parameters."""
        ...


@metrics.register("bic", needs=(Density, CountsParameters), likelihood=True, no_stderr={"bic": _NO_STDERR})
def bic_score(evaluation: Evaluation) -> Score:
    """Bayesian information criterion p log n − 2 Σ log p(x), in nats, of the rows that the model was fitted to."""
    n, parameters = len(evaluation.rows), capable(evaluation.model, CountsParameters).free_parameters
    return _score("bic", bic(float(evaluation.log_prob.sum()), parameters, n), evaluation, parameters)


@metrics.register("aic", needs=(Density, CountsParameters), likelihood=True, no_stderr={"aic": _NO_STDERR})
def aic_score(evaluation: Evaluation) -> Score:
    """Akaike's information criterion 2 p − 2 Σ log p(x), in nats, of the rows that the model was fitted to."""
    parameters = capable(evaluation.model, CountsParameters).free_parameters
    return _score("aic", aic(float(evaluation.log_prob.sum()), parameters), evaluation, parameters)


def _score(metric: str, value: float, evaluation: Evaluation, parameters: int) -> Score:
    return Score(
        metric,
        value,
        unit="nats",
        kind="of the rows given",
        measure=evaluation.measure,
        n=len(evaluation.rows),
        settings={"parameters": parameters},
        direction="lower",
    )
