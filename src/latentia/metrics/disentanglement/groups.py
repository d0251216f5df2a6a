"""Scores from groups of rows with one factor in common: the metrics of the β-VAE and of the FactorVAE."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from latentia.core.model import Encodes
from latentia.errors import DataError
from latentia.functional.disentanglement import least_varying_latents, majority_factors, pair_differences
from latentia.functional.disentanglement.checks import coded_factors
from latentia.metrics.disentanglement.estimate import Estimate, some_rows, stream
from latentia.metrics.disentanglement.latents_and_factors import LatentsAndFactors, coded, scored
from latentia.metrics.disentanglement.predictors import linear_probe_correct
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.settings import MetricSettings
from latentia.options import Count, NonNegative
from latentia.registry import metrics


@dataclass(frozen=True)
class BetaVAEScoreSettings(MetricSettings):
    """Settings of the β-VAE score.

    Attributes:
        pairs: whose differences are averaged for each point
        train: points to fit to
        test: points to score on
    """

    pairs: Count = 64
    train: Count = 10_000
    test: Count = 5_000


@dataclass(frozen=True)
class FactorVAEScoreSettings(MetricSettings):
    """Settings of the FactorVAE score.

    Attributes:
        group: rows in a group
        points: rows that the variances of the codes are taken from
        train: groups that the classifier is made from
        test: groups to score on
        least_sd: standard deviation below which a code counts as collapsed to the prior
    """

    group: Count = 64
    points: Count = 10_000
    train: Count = 10_000
    test: Count = 5_000
    least_sd: NonNegative = 0.05


@metrics.register("beta-vae-score", needs=Encodes, default=True, factors=2, settings=BetaVAEScoreSettings)
def beta_vae_score_of(evaluation: Evaluation) -> Score:
    """β-VAE score: accuracy of a linear classifier that predicts which factor pairs have in common from their codes."""
    rows, own = _twice_each(coded(evaluation, at_least=2)), evaluation.settings.of(BetaVAEScoreSettings)
    found = beta_vae_score(rows.codes, rows.factors, **asdict(own), seed=evaluation.seed)
    return scored("beta-vae-score", "accuracy", rows, found)


@metrics.register("factor-vae-score", needs=Encodes, default=True, factors=2, settings=FactorVAEScoreSettings)
def factor_vae_score_of(evaluation: Evaluation) -> Score:
    """FactorVAE score: accuracy with which the code that varies least in a group predicts the factor in common."""
    rows, own = _twice_each(coded(evaluation, at_least=2)), evaluation.settings.of(FactorVAEScoreSettings)
    found = factor_vae_score(rows.codes, rows.factors, **asdict(own), seed=evaluation.seed)
    return scored("factor-vae-score", "accuracy", rows, found)


def beta_vae_score(
    codes: Tensor,
    factors: Tensor,
    *,
    pairs: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    seed: int = 0,
) -> Estimate:
    """Return the accuracy of a linear classifier that predicts the factor in common from `pair_differences`.

    Chance is 1/F. Both parts' pairs are drawn from the same rows.

    Args:
        codes: (n, d).
        factors: (n, F) whole numbers from 0.
        pairs: L, averaged for each point.
        train: points to fit to.
        test: points to score on.
        seed: of the draws.

    Raises:
        UsageError: for other shapes, or factors that are not whole numbers.
        DataError: for codes that are not finite, a factor with one value, or a value that only one row has.

    Reference: Higgins et al. (2017), beta-VAE, section 3; with L and the numbers of points of Locatello et al. (2019),
    Challenging Common Assumptions.
    """
    coded_factors(codes, factors)
    generator = stream("beta-vae-score", seed)
    shared = torch.randint(factors.shape[1], (train + test,), generator=generator)
    points = pair_differences(codes, factors, shared, pairs=pairs, generator=generator)
    correct, converged = linear_probe_correct(
        (points[:train], shared[:train]), (points[train:], shared[train:])
    )
    settings = {
        "pairs": pairs,
        "train": train,
        "test": test,
        "classifier": "logistic regression, C=1",
        "converged": converged,
        "seed": seed,
    }
    return _accuracy(correct, settings)


def factor_vae_score(
    codes: Tensor,
    factors: Tensor,
    *,
    group: int = 64,
    points: int = 10_000,
    train: int = 10_000,
    test: int = 5_000,
    least_sd: float = 0.05,
    seed: int = 0,
) -> Estimate:
    """Return the accuracy with which `majority_factors` of `least_varying_latents` predicts the factor in common.

    Chance is 1/F. Codes whose standard deviation over all rows is below ``least_sd`` count as collapsed to the prior,
    and are left out; where all are, the score is 0.

    Args:
        codes: (n, d).
        factors: (n, F) whole numbers from 0.
        group: rows in a group.
        points: rows that the variances of the codes are taken from.
        train: groups that the classifier is made from.
        test: groups to score on.
        least_sd: of codes that count.
        seed: of the draws.

    Raises:
        UsageError: for other shapes, or factors that are not whole numbers.
        DataError: for codes that are not finite, a factor with one value, or a value that only one row has.

    Reference: Kim & Mnih (2018), Disentangling by Factorising, section 4; with the sizes of Locatello et al. (2019),
    Challenging Common Assumptions.
    """
    coded_factors(codes, factors)
    generator = stream("factor-vae-score", seed)
    variances = codes[some_rows(len(codes), points, generator)].var(0)
    active = variances.sqrt() >= least_sd
    shared = torch.randint(factors.shape[1], (train + test,), generator=generator)
    correct = torch.zeros(test)
    if active.any():
        steadiest = least_varying_latents(
            codes, factors, shared, variances.where(active, 0), size=group, generator=generator
        )
        sizes = codes.shape[1], factors.shape[1]
        predicted = majority_factors(steadiest[:train], shared[:train], sizes)[steadiest[train:]]
        correct = predicted == shared[train:]
    settings = {
        "group": group,
        "points": min(points, len(codes)),
        "train": train,
        "test": test,
        "least sd": least_sd,
        "codes left out": int((~active).sum()),
        "seed": seed,
    }
    return _accuracy(correct, settings)


def _accuracy(correct: Tensor, settings: Mapping[str, Any]) -> Estimate:
    accuracy = float(correct.double().mean())
    stderr = math.sqrt(accuracy * (1 - accuracy) / len(correct))
    return Estimate(
        accuracy,
        stderr,
        {**settings, "stderr": "of the test draws, with the classifier and rows as they are"},
    )


def _twice_each(rows: LatentsAndFactors) -> LatentsAndFactors:
    """Return the rows; raise `DataError`, with the value, where a group that has it in common would be one row."""
    for factor, column in zip(rows.known, rows.factors.unbind(1), strict=True):
        single = (column.bincount() == 1).nonzero().flatten().tolist()
        if single:
            raise DataError(
                f"{len(single)} of {len(factor.values)} values of {factor.name} are in one row only, the first "
                f"{factor.values[single[0]]}; groups with one value in common need 2: score on more rows of the set"
            )
    return rows
