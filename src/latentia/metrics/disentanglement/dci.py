"""Disentanglement, completeness and informativeness of codes from which boosted trees tell the factors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from latentia.core.model import Encodes
from latentia.errors import UsageError
from latentia.functional.disentanglement import completeness, disentanglement
from latentia.functional.disentanglement.checks import coded_factors
from latentia.metrics.disentanglement.estimate import Estimate, stream, two_parts
from latentia.metrics.disentanglement.latents_and_factors import coded, scored
from latentia.metrics.disentanglement.predictors import boosted
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.registry import metrics


@dataclass(frozen=True)
class DCI:
    """What boosted trees say of codes.

    Attributes:
        disentanglement: how far each code is important for one factor only.
        completeness: how far each factor is told by one code only.
        informativeness: the accuracy of the trees, averaged over factors.
        importance: (d, F) of each code for each factor.
    """

    disentanglement: Estimate
    completeness: Estimate
    informativeness: Estimate
    importance: Tensor


@metrics.register("dci", needs=Encodes, factors=2)
def dci_of(evaluation: Evaluation) -> list[Score]:
    """Disentanglement, completeness, informativeness: three scores by boosted trees, which take minutes; at most 1."""
    rows = coded(evaluation, at_least=2)
    found = dci(rows.codes, rows.factors, seed=evaluation.seed)
    return [
        scored("dci-disentanglement", "share", rows, found.disentanglement),
        scored("dci-completeness", "share", rows, found.completeness),
        scored("dci-informativeness", "accuracy", rows, found.informativeness),
    ]


def dci(codes: Tensor, factors: Tensor, *, train: int = 10_000, test: int = 5_000, seed: int = 0) -> DCI:
    """Return disentanglement, completeness and informativeness.

    One classifier of boosted trees for each factor: `disentanglement` and `completeness` of the importances of the
    codes for it, and its accuracy on other rows.

    Args:
        codes: (n, d), d of at least 2.
        factors: (n, F) whole numbers from 0, F of at least 2.
        train: rows to fit to.
        test: other rows to score on; of fewer rows than both together, both in proportion.
        seed: of the rows and of the trees.

    Raises:
        UsageError: for other shapes, one code or one factor only, or factors that are not whole numbers.
        DataError: for codes that are not finite, or a factor with one value.

    Reference: Eastwood & Williams (2018), A Framework for the Quantitative Evaluation of Disentangled
    Representations, section 2; with boosted trees as in Locatello et al. (2019), Challenging Common Assumptions.
    """
    coded_factors(codes, factors)
    if min(codes.shape[1], factors.shape[1]) < 2:
        raise UsageError(
            f"DCI needs at least 2 codes and 2 factors; got {codes.shape[1]} and {factors.shape[1]}"
        )
    fitted, scored_on = two_parts(len(codes), train, test, stream("dci", seed))
    importance, told = boosted((codes[fitted], factors[fitted]), (codes[scored_on], factors[scored_on]), seed)
    settings = {
        "train": len(fitted),
        "test": len(scored_on),
        "classifier": "gradient boosted trees, 100 of depth 3",
        "seed": seed,
    }
    no_error = settings | {"stderr": "none: the trees would have to be fitted again"}
    right = told.mean(1)
    return DCI(
        Estimate(float(disentanglement(importance)), None, no_error),
        Estimate(float(completeness(importance)), None, no_error),
        Estimate(
            float(right.mean()),
            float(right.std() / math.sqrt(len(right))) if len(right) > 1 else None,
            settings | {"stderr": "of the test rows, with the trees as they are"},
        ),
        importance,
    )
