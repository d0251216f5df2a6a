"""Scores of samples against held-out rows, for every model that can be sampled."""

import math
from dataclasses import dataclass

from latentia.core.model import Generative
from latentia.functional.kernel.energy import energy_estimate
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.samples.compared import compared
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


@metrics.register("energy-distance", needs=Generative, default=True, gaps=True)
def energy_distance(evaluation: Evaluation) -> Score:
    """Energy distance between samples and held-out rows, unbiased; two categories are 1 apart.

    The columns of tables are divided by their standard deviation in the training rows (``distances="raw"``: they are
    not), other rows are taken as they are.
    """
    points = compared(evaluation)
    estimate = energy_estimate(points.samples.double(), points.rows.double())
    return Score(
        "energy-distance",
        float(estimate.value),
        float(estimate.stderr),
        unit=points.unit,
        kind="estimate",
        n=len(points.rows),
        settings=points.settings,
        direction="lower",
    )


@metrics.register("mmd-test", needs=Generative, default=True, gaps=True, settings=MMDTestSettings)
def mmd_test(evaluation: Evaluation) -> Score:
    """p-value of a permutation MMD test between samples and held-out rows (MMD² is in the settings).

    Rows are points as for the energy distance.
    """
    points = compared(evaluation)
    permutations = evaluation.settings.of(MMDTestSettings).permutations
    result = two_sample_test(
        points.samples, points.rows, method="mmd", permutations=permutations, seed=evaluation.seed
    )
    p = result.p_value
    return Score(
        "mmd-test",
        p,
        math.sqrt(p * (1 - p) / (1 + permutations)),  # of the permutations drawn, not of the rows
        unit="p-value",
        kind="test",
        n=result.m,
        settings={
            **points.settings,
            **result.settings,
            "statistic": result.statistic,
            "level": result.level,
            "decision": result.decision,
        },
    )
