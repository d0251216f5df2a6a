"""Scores from the mutual information of codes and factors: MIG and modularity."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from torch import Tensor

from latentia.core.model import Encodes
from latentia.functional.disentanglement import (
    histogram_bins,
    modularities,
    mutual_information,
    mutual_information_gaps,
)
from latentia.functional.disentanglement.checks import coded_factors
from latentia.metrics.disentanglement.estimate import (
    Estimate,
    infinitesimal_jackknife,
    some_rows,
    stream,
)
from latentia.metrics.disentanglement.latents_and_factors import coded, scored
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.settings import MetricSettings
from latentia.options import Count
from latentia.registry import metrics


@dataclass(frozen=True)
class MIGSettings(MetricSettings):
    """Settings of the mutual information gap.

    Attributes:
        points: rows to read, at most
        bins: of equal width, for each code
    """

    points: Count = 10_000
    bins: Count = 20


@dataclass(frozen=True)
class ModularitySettings(MetricSettings):
    """Settings of modularity.

    Attributes:
        points: rows to read, at most
        bins: of equal width, for each code
    """

    points: Count = 10_000
    bins: Count = 20


@metrics.register("mig", needs=Encodes, default=True, factors=1, settings=MIGSettings)
def mig_of(evaluation: Evaluation) -> Score:
    """Mutual information gap: how far a single code informs of each factor; higher is better, at most 1."""
    rows, own = coded(evaluation), asdict(evaluation.settings.of(MIGSettings))
    found = mig(rows.codes, rows.factors, **own, seed=evaluation.seed)
    return scored("mig", "fraction of entropy", rows, found)


@metrics.register("modularity", needs=Encodes, default=True, factors=2, settings=ModularitySettings)
def modularity_of(evaluation: Evaluation) -> Score:
    """Modularity: how far each code informs of one factor only; higher is better, at most 1."""
    rows, own = coded(evaluation, at_least=2), asdict(evaluation.settings.of(ModularitySettings))
    found = modularity(rows.codes, rows.factors, **own, seed=evaluation.seed)
    return scored("modularity", "fraction", rows, found)


def mig(codes: Tensor, factors: Tensor, *, points: int = 10_000, bins: int = 20, seed: int = 0) -> Estimate:
    """Return the mutual information gap, the mean of `mutual_information_gaps` over factors.

    Args:
        codes: (n, d).
        factors: (n, F) whole numbers from 0.
        points: rows to read, drawn without replacement, where there are more.
        bins: of equal width, for each code.
        seed: of the rows.

    Raises:
        UsageError: for other shapes, or factors that are not whole numbers.
        DataError: for codes that are not finite, or a factor with one value.

    Reference: Chen et al. (2018), Isolating Sources of Disentanglement in VAEs, eq. 6; with histograms of mean codes
    as in Locatello et al. (2019), Challenging Common Assumptions, appendix.

    Example:
        >>> import torch
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(4))
        >>> round(mig(factors.double(), factors).value, 6)
        1.0
    """
    return _of_bins(
        lambda z, v, w: mutual_information_gaps(z, v, w).mean(), codes, factors, points, bins, seed
    )


def modularity(
    codes: Tensor, factors: Tensor, *, points: int = 10_000, bins: int = 20, seed: int = 0
) -> Estimate:
    """Return the modularity, the mean of `modularities` over codes.

    Args:
        codes: (n, d).
        factors: (n, F) whole numbers from 0, F of at least 2.
        points: rows to read, drawn without replacement, where there are more.
        bins: of equal width, for each code.
        seed: of the rows.

    Raises:
        UsageError: for other shapes, fewer than two factors, or factors that are not whole numbers.
        DataError: for codes that are not finite, or a factor with one value.

    Reference: Ridgeway & Mozer (2018), Learning Deep Disentangled Embeddings With the F-Statistic Loss, section 3.
    """
    return _of_bins(
        lambda z, v, w: modularities(mutual_information(z, v, w)).mean(), codes, factors, points, bins, seed
    )


def _of_bins(
    statistic: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    codes: Tensor,
    factors: Tensor,
    points: int,
    bins: int,
    seed: int,
) -> Estimate:
    """Return a statistic of binned codes, factors and weights of rows; its standard error keeps the bins' edges.

    A bootstrap would be wrong here: rows that it repeats raise the mutual information of unrelated codes and factors
    once more, by (A − 1)(B − 1)/2n, and of modularity it gave up to twice the standard deviation.
    """
    coded_factors(codes, factors)
    rows = some_rows(len(codes), points, stream("information", seed))
    numbers, values = histogram_bins(codes[rows], bins), factors[rows]
    stderr = infinitesimal_jackknife(lambda weights: statistic(numbers, values, weights), len(rows))
    settings = {
        "points": len(rows),
        "bins": bins,
        "seed": seed,
        "stderr": "infinitesimal jackknife over rows",
    }
    return Estimate(float(statistic(numbers, values, None)), stderr, settings)
