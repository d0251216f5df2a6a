"""Maximum likelihood as a KL projection, in the smallest example: a curve on the simplex of three outcomes.

The curve is the Hardy-Weinberg family: the distribution of 2, 1 or 0 heads in two tosses of one coin.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional.checks import finite, probability_vectors
from latentia.functional.discrete import kl_categorical


def hardy_weinberg(t: Tensor) -> Tensor:
    """Return the point of the Hardy-Weinberg curve with parameter t.

    p_t = (t², 2t(1 − t), (1 − t)²)

    Args:
        t: (*B,) parameters in [0, 1].

    Returns:
        (*B, 3) probabilities.

    Raises:
        UsageError: for integers.
        DataError: for a parameter outside [0, 1].

    Reference: Hardy (1908), Mendelian Proportions in a Mixed Population.

    Example:
        >>> hardy_weinberg(torch.tensor(0.6))
        tensor([0.3600, 0.4800, 0.1600])
    """
    finite(t=t)
    outside = t[(t < 0) | (t > 1)]
    if len(outside):
        raise DataError(f"t must lie in [0, 1]; got {float(outside[0]):.6g}")
    return torch.stack([t.square(), 2 * t * (1 - t), (1 - t).square()], -1)


@dataclass(frozen=True)
class Projection:
    """The member p_t of a family that minimises KL(p ‖ p_t).

    Attributes:
        parameter: (*B,) t, the maximum-likelihood estimate.
        point: (*B, 3) p_t.
        distance: (*B,) KL(p ‖ p_t) in nats, the misspecification: the part of the KL that no parameter removes.
    """

    parameter: Tensor
    point: Tensor
    distance: Tensor


def project_on_hardy_weinberg(p: Tensor) -> Projection:
    """Return the KL projection of a distribution over three outcomes onto the Hardy-Weinberg curve.

    argmin_t KL(p ‖ p_t) = argmax_t Σ_i p_i log p_t,i = p₁ + ½ p₂

    For the frequencies of a sample this is maximum likelihood, and the remaining distance is the gap between the mean
    log-likelihoods under the frequencies themselves and under p_t
    (`latentia.functional.likelihood.model_gap.likelihood_gap`).

    Args:
        p: (*B, 3) probabilities, or frequencies of a sample.

    Raises:
        UsageError: for other than three outcomes.
        DataError: for a vector that does not sum to one, negative mass, or values that are not finite.

    Reference: Csiszár & Shields (2004), Information Theory and Statistics: A Tutorial, for such projections.

    Example:
        >>> projection = project_on_hardy_weinberg(torch.tensor([0.5, 0.2, 0.3]))
        >>> projection.parameter, projection.distance
        (tensor(0.6000), tensor(0.1777))
    """
    probability_vectors(p=p)
    if p.shape[-1] != 3:
        raise UsageError(f"p must have shape (*B, 3), one probability for each outcome; got {tuple(p.shape)}")
    t = (p[..., 0] + 0.5 * p[..., 1]).clamp(max=1)  # above one by rounding only
    point = hardy_weinberg(t)
    return Projection(t, point, kl_categorical(p, point))
