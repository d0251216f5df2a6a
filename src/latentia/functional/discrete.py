"""Entropy and divergences of probability vectors, in nats.

A vector is the last dimension of a tensor: (*B, K) holds one for each index of *B. Where p is 0, 0 log 0 = 0 in the
value and in the gradient, so neither is ever NaN; where p has mass and q has none, log p/q is infinite, and so is
what is computed from it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.functional.checks import probability_vectors


def entropy(p: Tensor) -> Tensor:
    """Return the entropy of probability vectors.

    H(p) = −Σ_i p_i log p_i, in [0, log K]

    Args:
        p: (*B, K) probabilities.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: without a dimension of probabilities.
        DataError: for a vector that does not sum to one, negative mass, or values that are not finite.

    Reference: Cover & Thomas (2006), Elements of Information Theory, eq. 2.1.

    Example:
        >>> entropy(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
        tensor([0.6931, 0.0000])
    """
    probability_vectors(p=p)
    return _surprise_terms(p, p).sum(-1)


def cross_entropy(p: Tensor, q: Tensor) -> Tensor:
    """Return the cross-entropy of q under p, both probability vectors.

    H(p, q) = −Σ_i p_i log q_i = H(p) + KL(p‖q)

    Args:
        p: (*B, K) probabilities of the data.
        q: (*B, K) probabilities of the model.

    Returns:
        (*B,) nats; inf where p has mass on a point on which q has none.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for a vector that does not sum to one, negative mass, or values that are not finite.

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, section 1.6.1, with eq. 1.113.

    Example:
        >>> cross_entropy(torch.tensor([1.0, 0.0]), torch.tensor([0.25, 0.75]))  # log 4
        tensor(1.3863)
    """
    probability_vectors(p=p, q=q)
    return _surprise_terms(p, q).sum(-1)


def kl_categorical(p: Tensor, q: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of probability vectors.

    KL(p‖q) = Σ_i p_i log p_i/q_i ≥ 0, and 0 only for p = q

    The reverse divergence KL(q‖p) is this function with its arguments swapped.

    Args:
        p: (*B, K) probabilities.
        q: (*B, K) probabilities.

    Returns:
        (*B,) nats; inf where p has mass on a point on which q has none.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for a vector that does not sum to one, negative mass, or values that are not finite.

    Reference: Cover & Thomas (2006), Elements of Information Theory, eq. 2.26.

    Example:
        >>> p, q = torch.tensor([9 / 25, 12 / 25, 4 / 25]), torch.full((3,), 1 / 3)
        >>> kl_categorical(p, q), kl_categorical(q, p)
        (tensor(0.0853), tensor(0.0975))
    """
    probability_vectors(p=p, q=q)
    return _log_ratio_terms(p, q).sum(-1)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of probability vectors.

    JS(p, q) = ½ KL(p‖m) + ½ KL(q‖m) with m = ½ (p + q), in [0, log 2]

    It is symmetric, and finite for vectors without a common point (log 2). It is no metric; its root is.

    Args:
        p: (*B, K) probabilities.
        q: (*B, K) probabilities.

    Returns:
        (*B,) nats.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for a vector that does not sum to one, negative mass, or values that are not finite.

    Reference: Lin (1991), Divergence Measures Based on the Shannon Entropy, eq. 4.1, with weights ½; Endres &
    Schindelin (2003), A New Metric for Probability Distributions, for the root.

    Example:
        >>> jensen_shannon(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))  # log 2
        tensor(0.6931)
    """
    return jensen_shannon_terms(p, q).value


@dataclass(frozen=True)
class JensenShannonTerms:
    """The two halves of a Jensen-Shannon divergence, and what each point contributes to them.

    Attributes:
        coverage: (*B,) KL(p‖m) in nats: large where q misses points of p.
        quality: (*B,) KL(q‖m) in nats: large where q has mass on points that p does not have.
        coverage_points: (*B, K) p_i log p_i/m_i, which sum to the coverage; a term may be negative.
        quality_points: (*B, K) q_i log q_i/m_i, which sum to the quality; a term may be negative.
    """

    coverage: Tensor
    quality: Tensor
    coverage_points: Tensor
    quality_points: Tensor

    @property
    def value(self) -> Tensor:
        """(*B,) the divergence itself, ½ (coverage + quality)."""
        return 0.5 * (self.coverage + self.quality)


def jensen_shannon_terms(p: Tensor, q: Tensor) -> JensenShannonTerms:
    """Return the coverage and quality terms of a Jensen-Shannon divergence, point by point.

    coverage = KL(p‖m), quality = KL(q‖m) with m = ½ (p + q), each in [0, log 2]

    Args:
        p: (*B, K) probabilities of the data.
        q: (*B, K) probabilities of the model.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for a vector that does not sum to one, negative mass, or values that are not finite.

    Reference: Lin (1991), Divergence Measures Based on the Shannon Entropy, section 3 (the K divergence).

    Example:
        >>> terms = jensen_shannon_terms(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
        >>> terms.coverage_points, terms.quality_points  # q misses the second point
        (tensor([-0.2027,  0.3466]), tensor([0.2877, 0.0000]))
    """
    probability_vectors(p=p, q=q)
    m = (0.5 * (p + q)).clamp(min=torch.finfo(p.dtype).tiny)  # half of the smallest float would be 0
    coverage, quality = _log_ratio_terms(p, m), _log_ratio_terms(q, m)
    return JensenShannonTerms(coverage.sum(-1), quality.sum(-1), coverage, quality)


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """Return the total variation distance of probability vectors.

    TV(p, q) = ½ Σ_i |p_i − q_i|, in [0, 1]: the largest difference between the probabilities of an event under p and q

    Args:
        p: (*B, K) probabilities.
        q: (*B, K) probabilities.

    Returns:
        (*B,) a probability.

    Raises:
        UsageError: (a ValueError) unless the shapes are equal.
        DataError: for a vector that does not sum to one, negative mass, or values that are not finite.

    Reference: Levin & Peres (2017), Markov Chains and Mixing Times, proposition 4.2.

    Example:
        >>> total_variation(torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25]))
        tensor(0.2500)
    """
    probability_vectors(p=p, q=q)
    return 0.5 * (p - q).abs().sum(-1)


def _surprise_terms(p: Tensor, q: Tensor) -> Tensor:
    """Return −p_i log q_i, with 0 wherever p_i = 0."""
    # Masked entries are replaced before the logarithm too: a mask after it leaves 0 · ∞ in the gradient.
    massive = p > 0
    return torch.where(massive, -p * torch.where(massive, q, 1.0).log(), 0.0)


def _log_ratio_terms(p: Tensor, q: Tensor) -> Tensor:
    """Return p_i log p_i/q_i, with 0 wherever p_i = 0; a difference of logarithms cannot underflow."""
    massive = p > 0
    log_ratio = torch.where(massive, p, 1.0).log() - torch.where(massive, q, 1.0).log()
    return torch.where(massive, p * log_ratio, 0.0)
