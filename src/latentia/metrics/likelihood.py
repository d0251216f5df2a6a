"""Scores from densities and their bounds, always at β = 1, for the data as the user gave it."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from latentia.core.model import Bounded, Density
from latentia.metrics.score import Score, mean_score
from latentia.metrics.subject import Subject
from latentia.registry import metrics


@metrics.register("log-likelihood", needs=Density, default=True, likelihood=True)
def log_likelihood(subject: Subject) -> Score:
    """Mean exact log p(x) of held-out rows, in nats."""
    return _nats("log-likelihood", subject.log_prob, subject, kind="exact")


@metrics.register("elbo", needs=Bounded, default=True, likelihood=True)
def elbo(subject: Subject) -> Score:
    """Mean evidence lower bound of log p(x) of held-out rows, in nats."""
    return _nats("elbo", subject.elbo, subject, kind="lower bound (ELBO)", settings=_drawn(subject, 1))


@metrics.register("iwae", needs=Bounded, default=True, likelihood=True)
def iwae(subject: Subject) -> Score:
    """Mean importance-weighted lower bound of log p(x) of held-out rows, in nats."""
    K = subject.iwae_samples
    return _nats(
        "iwae", subject.iwae, subject, kind=f"lower bound (IWAE, K={K})", settings=_drawn(subject, K)
    )


@metrics.register("bits-per-dim", needs=Density | Bounded, default=True, likelihood=True, counting=True)
def bits_per_dim(subject: Subject) -> Score:
    """Mean −log₂ p(x) / D of held-out rows of D entries, exact or from the importance-weighted bound.

    Only for a counting measure: a density relative to Lebesgue measure depends on the data's unit.
    """
    exact, K = isinstance(subject.model, Density), subject.iwae_samples
    nats = subject.log_prob if exact else subject.iwae
    return mean_score(
        "bits-per-dim",
        -nats / (subject.rows.spec.size * math.log(2)),
        unit="bits/dim",
        kind="exact" if exact else f"upper bound (IWAE, K={K})",  # the negative of a lower bound
        measure=subject.measure,
        settings={} if exact else _drawn(subject, K),
        direction="lower",
    )


def _nats(metric: str, rows: Tensor, subject: Subject, **facts: Any) -> Score:
    return mean_score(metric, rows, unit="nats", measure=subject.measure, direction="higher", **facts)


def _drawn(subject: Subject, samples: int) -> dict[str, Any]:
    return {"samples": samples, "seed": subject.seed}
