"""Scores of samples against held-out rows, for every model that can be sampled."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from latentia.core.model import Generative
from latentia.functional.kernel.energy import energy_estimate
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.features import coordinates
from latentia.metrics.score import Score
from latentia.metrics.settings import MetricSettings
from latentia.metrics.two_sample import two_sample_test
from latentia.options import Count
from latentia.registry import metrics


@dataclass(frozen=True)
class MMDTestSettings(MetricSettings):
    """Settings of the MMD test.

    Attributes:
        permutations: of samples and rows, which the p-value is counted over
    """

    permutations: Count = 500


@metrics.register("energy-distance", needs=Generative, default=True)
def energy_distance(evaluation: Evaluation) -> Score:
    """Energy distance between samples and held-out rows, unbiased, in data units; two categories are 1 apart."""
    samples, rows = _points(evaluation)
    estimate = energy_estimate(samples.double(), rows.double())
    return Score(
        "energy-distance",
        float(estimate.value),
        float(estimate.stderr),
        unit="data units",
        kind="estimate",
        n=len(rows),
        settings=_compared(evaluation),
        direction="lower",
    )


@metrics.register("mmd-test", needs=Generative, default=True, settings=MMDTestSettings)
def mmd_test(evaluation: Evaluation) -> Score:
    """p-value of a permutation MMD test between samples and held-out rows (MMD² is in the settings)."""
    samples, rows = _points(evaluation)
    permutations = evaluation.settings.of(MMDTestSettings).permutations
    result = two_sample_test(samples, rows, method="mmd", permutations=permutations, seed=evaluation.seed)
    p = result.p_value
    return Score(
        "mmd-test",
        p,
        math.sqrt(p * (1 - p) / (1 + permutations)),  # of the permutations drawn, not of the rows
        unit="p-value",
        kind="test",
        n=result.m,
        settings={
            **_compared(evaluation),
            **result.settings,
            "statistic": result.statistic,
            "level": result.level,
            "decision": result.decision,
        },
    )


def _points(evaluation: Evaluation) -> tuple[Tensor, Tensor]:
    """Return samples and held-out rows as points."""
    support = evaluation.rows.spec.support
    return coordinates(evaluation.samples, support), coordinates(evaluation.heldout.x, support)


def _compared(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "samples": len(evaluation.samples),
        "seed": evaluation.seed,
        "conditional": evaluation.conditional,
    }
