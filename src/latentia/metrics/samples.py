"""Scores of samples against held-out rows, for every model that can be sampled."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from latentia.core.model import Generative
from latentia.functional.energy import energy_estimate
from latentia.metrics.coordinates import coordinates
from latentia.metrics.score import Score
from latentia.metrics.subject import Subject
from latentia.metrics.two_sample import two_sample_test
from latentia.registry import metrics


@metrics.register("energy-distance", needs=Generative, default=True)
def energy_distance(subject: Subject) -> Score:
    """Energy distance between samples and held-out rows, unbiased, in data units; two categories are 1 apart."""
    samples, rows = _points(subject)
    estimate = energy_estimate(samples.double(), rows.double())
    return Score(
        "energy-distance",
        float(estimate.value),
        float(estimate.stderr),
        unit="data units",
        kind="estimate",
        n=len(rows),
        settings=_compared(subject),
        direction="lower",
    )


@metrics.register("mmd-test", needs=Generative, default=True)
def mmd_test(subject: Subject) -> Score:
    """p-value of a permutation MMD test between samples and held-out rows (MMD² is in the settings)."""
    samples, rows = _points(subject)
    result = two_sample_test(
        samples, rows, method="mmd", permutations=subject.permutations, seed=subject.seed
    )
    p = result.p_value
    return Score(
        "mmd-test",
        p,
        math.sqrt(p * (1 - p) / (1 + subject.permutations)),  # of the permutations drawn, not of the rows
        unit="p-value",
        kind="test",
        n=result.m,
        settings={
            **_compared(subject),
            **result.settings,
            "statistic": result.statistic,
            "level": result.level,
            "decision": result.decision,
        },
    )


def _points(subject: Subject) -> tuple[Tensor, Tensor]:
    """Return samples and held-out rows as points."""
    support = subject.rows.spec.support
    return coordinates(subject.samples, support), coordinates(subject.heldout.x, support)


def _compared(subject: Subject) -> dict[str, Any]:
    return {"samples": len(subject.samples), "seed": subject.seed, "conditional": subject.conditional}
