"""Disentanglement, completeness and informativeness of codes, by boosted trees that predict the factors."""

import math
from dataclasses import asdict, dataclass

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
from latentia.metrics.settings import MetricSettings
from latentia.options import Count
from latentia.registry import metrics

_REFIT = "the trees would have to be fitted again"


@dataclass(frozen=True)
class DCI:
    """What boosted trees find in codes.

    Attributes:
        disentanglement: how far each code is important for one factor only.
        completeness: how far each factor is predicted by one code only.
        informativeness: the accuracy of the trees, averaged over factors.
        importance: (d, F) of each code for each factor.
    """

    disentanglement: Estimate
    completeness: Estimate
    informativeness: Estimate
    importance: Tensor


@dataclass(frozen=True)
class DCISettings(MetricSettings):
    """Settings of DCI.

    Attributes:
        train: rows to fit the trees to
        test: other rows to score on
    """

    train: Count = 10_000
    test: Count = 5_000


@metrics.register(
    "dci",
    needs=Encodes,
    factors=2,
    settings=DCISettings,
    no_stderr={"dci-disentanglement": _REFIT, "dci-completeness": _REFIT},
)
def dci_of(evaluation: Evaluation) -> list[Score]:
    """Disentanglement, completeness, informativeness: three scores by boosted trees, which take minutes; at most 1."""
    rows = coded(evaluation, at_least=2)
    own = asdict(evaluation.settings.of(DCISettings))
    found = dci(rows.codes, rows.factors, **own, seed=evaluation.seed)
    return [
        scored("dci-disentanglement", "fraction", rows, found.disentanglement),
        scored("dci-completeness", "fraction", rows, found.completeness),
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
    importance, correct = boosted(
        (codes[fitted], factors[fitted]), (codes[scored_on], factors[scored_on]), seed
    )
    settings = {
        "train": len(fitted),
        "test": len(scored_on),
        "classifier": "gradient boosted trees, 100 of depth 3",
        "seed": seed,
    }
    no_error = settings | {"stderr": f"none: {_REFIT}"}
    accuracy = correct.mean(1)
    return DCI(
        Estimate(float(disentanglement(importance)), None, no_error),
        Estimate(float(completeness(importance)), None, no_error),
        Estimate(
            float(accuracy.mean()),
            float(accuracy.std() / math.sqrt(len(accuracy))) if len(accuracy) > 1 else None,
            settings | {"stderr": "of the test rows, with the trees as they are"},
        ),
        importance,
    )
