"""Scores of how well single codes predict single factors: SAP, by classification and by regression."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from latentia.core.model import Encodes
from latentia.errors import DataError
from latentia.functional.disentanglement import squared_correlations, top_two_gaps
from latentia.functional.disentanglement.checks import coded_factors
from latentia.metrics.disentanglement.estimate import (
    BOOTSTRAP,
    Estimate,
    bootstrapped,
    some_rows,
    stream,
    two_parts,
)
from latentia.metrics.disentanglement.latents_and_factors import LatentsAndFactors, coded, scored
from latentia.metrics.disentanglement.predictors import single_latent_correct
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.settings import MetricSettings
from latentia.options import Count
from latentia.registry import metrics

_C = 0.01


@dataclass(frozen=True)
class SAPSettings(MetricSettings):
    """Settings of SAP.

    Attributes:
        train: rows to fit the classifiers to
        test: other rows to score on
    """

    train: Count = 10_000
    test: Count = 5_000


@dataclass(frozen=True)
class SAPRegressionSettings(MetricSettings):
    """Settings of SAP by regression.

    Attributes:
        points: rows to read, at most
    """

    points: Count = 10_000


@metrics.register("sap", needs=Encodes, factors=1, settings=SAPSettings)
def sap_of(evaluation: Evaluation) -> Score:
    """SAP: how much better a linear classifier predicts a factor from its best code than from the next; at most 1."""
    rows, own = coded(evaluation), asdict(evaluation.settings.of(SAPSettings))
    return scored("sap", "accuracy", rows, sap(rows.codes, rows.factors, **own, seed=evaluation.seed))


@metrics.register("sap-regression", needs=Encodes, factors=1, settings=SAPRegressionSettings)
def sap_regression_of(evaluation: Evaluation) -> Score:
    """SAP of factors that are numbers: how much larger R² is with the best code than with the next; at most 1."""
    rows = coded(evaluation).chosen(lambda factor: factor.kind == "ordinal")
    if not rows.known:
        raise DataError("none of the factors that vary is a number: compute sap, which takes categories")
    own = asdict(evaluation.settings.of(SAPRegressionSettings))
    found = sap_regression(rows.codes, _values(rows), **own, seed=evaluation.seed)
    return scored("sap-regression", "R²", rows, found)


def sap(codes: Tensor, factors: Tensor, *, train: int = 10_000, test: int = 5_000, seed: int = 0) -> Estimate:
    """Return the separated attribute predictability, the mean over factors of `top_two_gaps` of accuracies.

    s_ij is the accuracy with which a linear support vector machine predicts factor j from code i alone. On a line it
    separates the ends of a range and little between: of a perfect code of ten equally frequent values, two or three.

    Args:
        codes: (n, d).
        factors: (n, F) whole numbers from 0.
        train: rows to fit to.
        test: other rows to score on; of fewer rows than both together, both in proportion.
        seed: of the rows and of the bootstrap.

    Raises:
        UsageError: for other shapes, or factors that are not whole numbers.
        DataError: for codes that are not finite, or a factor with one value.

    Reference: Kumar, Sattigeri & Balakrishnan (2018), Variational Inference of Disentangled Latent Concepts,
    section 3; protocol of Locatello et al. (2019), Challenging Common Assumptions.
    """
    coded_factors(codes, factors)
    generator = stream("sap", seed)
    fitted, scored_on = two_parts(len(codes), train, test, generator)
    parts = [(codes[rows], factors[rows]) for rows in (fitted, scored_on)]
    correct = single_latent_correct(parts[0], parts[1], C=_C)
    stderr = bootstrapped(
        lambda sample: top_two_gaps(correct[sample].mean(0)).mean(), len(correct), generator
    )
    settings = {
        "train": len(fitted),
        "test": len(scored_on),
        "classifier": f"linear SVM, C={_C:g}, balanced",
        "seed": seed,
        "stderr": f"{BOOTSTRAP}, of the test part with the classifiers as they are",
    }
    return Estimate(float(top_two_gaps(correct.mean(0)).mean()), stderr, settings)


def sap_regression(codes: Tensor, values: Tensor, *, points: int = 10_000, seed: int = 0) -> Estimate:
    """Return the separated attribute predictability of numbers, the mean over factors of `top_two_gaps` of R².

    Args:
        codes: (n, d).
        values: (n, F) numbers.
        points: rows to read, drawn without replacement, where there are more.
        seed: of the rows and of the bootstrap.

    Raises:
        UsageError: for other shapes.
        DataError: for values that are not finite, or a factor with one value.

    Reference: Kumar, Sattigeri & Balakrishnan (2018), section 3.

    Example:
        >>> values = torch.cartesian_prod(torch.arange(3.0), torch.arange(4.0))
        >>> round(sap_regression(values, values).value, 6)
        1.0
    """
    generator = stream("sap-regression", seed)
    rows = some_rows(len(codes), points, generator)
    z, v = codes[rows], values[rows]

    def gap(sample: Tensor) -> Tensor:
        return top_two_gaps(squared_correlations(z[sample], v[sample])).mean()

    value = float(gap(torch.arange(len(rows))))
    settings = {"points": len(rows), "seed": seed, "stderr": BOOTSTRAP}
    return Estimate(value, bootstrapped(gap, len(rows), generator), settings)


def _values(rows: LatentsAndFactors) -> Tensor:
    """Return the factors' values, (n, F) float64."""
    columns = zip(rows.known, rows.factors.unbind(1), strict=True)
    return torch.stack(
        [torch.tensor(factor.values, dtype=torch.float64)[numbers] for factor, numbers in columns], 1
    )
