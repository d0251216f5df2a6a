"""Whether samples are closer to the training rows than new rows of the same distribution are."""

from dataclasses import dataclass

from torch import Tensor

from latentia.errors import DataError
from latentia.functional.checks import finite


@dataclass(frozen=True)
class Nearness:
    """Distances to the nearest training row of samples, compared with those of held-out rows.

    Attributes:
        fraction_too_near: fraction of samples nearer than the held-out rows' low quantile; in expectation the
            quantile's level, where samples have the data's distribution.
        threshold: the held-out rows' low quantile.
        ratio_of_medians: median distance of samples over that of held-out rows; 0 for copies, 1 under equality.
        p_value: of the one-sided Mann-Whitney test of equal distributions, against nearer samples.
    """

    fraction_too_near: Tensor
    threshold: Tensor
    ratio_of_medians: Tensor
    p_value: float


def nearness(samples: Tensor, held_out: Tensor, *, quantile: float = 0.05) -> Nearness:
    """Compare samples' and held-out rows' distances to the nearest training row.

    Given the training rows, the distances of samples and of held-out rows are independent, and identically distributed
    if the model's distribution is the data's; the test's level is then exact in the limit of many rows. Nearer samples
    are copies, or come from regions where rows are dense: a model that misses the data's tails is nearer too.

    Args:
        samples: (n,) distances of samples.
        held_out: (m,) distances of held-out rows.
        quantile: level of the held-out distances' quantile below which a sample is too near.

    Returns:
        The comparison; fractions and ratios have no unit.

    Raises:
        DataError: for distances that are not finite, or none, and where a fraction ``quantile`` of the held-out rows,
            or half of them, are training rows.

    Reference: Meehan, Chaudhuri & Dasgupta (2020), A non-parametric test to detect data-copying in generative models,
    section 3.1, of which this is the test over all of the space at once.

    Example:
        >>> import torch
        >>> near = nearness(torch.tensor([0.0, 0.0, 0.0]), torch.tensor([1.0, 2.0, 3.0]))
        >>> near.fraction_too_near, near.ratio_of_medians, round(near.p_value, 3)
        (tensor(1.), tensor(0.), 0.032)
    """
    from scipy import stats

    finite(samples=samples, held_out=held_out)
    if not len(samples) or not len(held_out):
        raise DataError(
            f"distances of both are needed; got {len(samples)} of samples and {len(held_out)} of rows"
        )
    threshold = held_out.quantile(quantile)
    if not threshold > 0 or not held_out.median() > 0:
        raise DataError(
            f"of the held-out rows {(held_out == 0).double().mean():.0%} are training rows too, so that no sample can "
            "be nearer than they are: give rows that the model was not fitted to"
        )
    test = stats.mannwhitneyu(samples.cpu().numpy(), held_out.cpu().numpy(), alternative="less")
    return Nearness(
        fraction_too_near=(samples < threshold).to(held_out.dtype).mean(),
        threshold=threshold,
        ratio_of_medians=samples.median() / held_out.median(),
        p_value=float(test.pvalue),
    )
