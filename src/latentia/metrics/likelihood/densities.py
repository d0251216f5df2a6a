"""Scores from densities and their bounds, always at β = 1, for the data as the user gave it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from latentia.core.model import Bounded, Density
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.likelihood.repeats import unbounded
from latentia.metrics.score import Score, mean_score
from latentia.metrics.settings import MetricSettings
from latentia.options import Count
from latentia.registry import metrics


@dataclass(frozen=True)
class IWAESettings(MetricSettings):
    """Settings of the importance-weighted bound.

    Attributes:
        samples: K, draws of the code for each row
    """

    samples: Count = 100


@metrics.register("log-likelihood", needs=Density, default=True, likelihood=True)
def log_likelihood(evaluation: Evaluation) -> Score:
    """Mean exact log p(x) of held-out rows, in nats."""
    return _nats("log-likelihood", evaluation.log_prob, evaluation, kind="exact")


@metrics.register("elbo", needs=Bounded, default=True, likelihood=True)
def elbo(evaluation: Evaluation) -> Score:
    """Mean evidence lower bound of log p(x) of held-out rows, in nats."""
    return _nats(
        "elbo", evaluation.bound(1), evaluation, kind="lower bound (ELBO)", settings=_drawn(evaluation, 1)
    )


@metrics.register("iwae", needs=Bounded, default=True, likelihood=True, settings=IWAESettings)
def iwae(evaluation: Evaluation) -> Score:
    """Mean importance-weighted lower bound of log p(x) of held-out rows, in nats."""
    K = evaluation.settings.of(IWAESettings).samples
    return _nats(
        "iwae",
        evaluation.bound(K),
        evaluation,
        kind=f"lower bound (IWAE, K={K})",
        settings=_drawn(evaluation, K),
    )


@metrics.register(
    "bits-per-dim",
    needs=Density | Bounded,
    default=True,
    likelihood=True,
    counting=True,
    reads=("iwae",),
)
def bits_per_dim(evaluation: Evaluation) -> Score:
    """Mean −log₂ p(x) / D of held-out rows of D entries, exact or from the importance-weighted bound.

    Only for a counting measure: a density relative to Lebesgue measure depends on the data's unit.
    """
    exact, K = isinstance(evaluation.model, Density), evaluation.settings.of(IWAESettings).samples
    nats = evaluation.log_prob if exact else evaluation.bound(K)
    return mean_score(
        "bits-per-dim",
        -nats / (evaluation.rows.spec.size * math.log(2)),
        unit="bits/dim",
        kind="exact" if exact else f"upper bound (IWAE, K={K})",  # the negative of a lower bound
        measure=evaluation.measure,
        settings={} if exact else _drawn(evaluation, K),
        direction="lower",
    )


def _nats(
    metric: str, rows: Tensor, evaluation: Evaluation, settings: Mapping[str, Any] | None = None, **facts: Any
) -> Score:
    said = {**(settings or {}), **unbounded(evaluation)}
    return mean_score(
        metric, rows, unit="nats", measure=evaluation.measure, direction="higher", settings=said, **facts
    )


def _drawn(evaluation: Evaluation, samples: int) -> dict[str, Any]:
    return {"samples": samples, "seed": evaluation.seed}
