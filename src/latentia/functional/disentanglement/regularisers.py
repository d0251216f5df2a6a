"""Regularisers that disentangling objectives add to the negative ELBO, as functions of the codes of a batch.

The aggregated posterior is q(z) = (1/N) Σ_n q(z | x_n) over all N rows; a batch of B holds B of its terms.
"""

import math

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.checks import same_shape
from latentia.functional.gaussian.densities import LOG_2PI


def code_covariance(mean: Tensor, within: Tensor | None = None) -> Tensor:
    """Return the covariance of mean codes, or of codes where their covariances given the row are passed too.

    (1/B) Σ_i (μ_i − μ̄)(μ_i − μ̄)ᵀ, and, by the law of total covariance, + (1/B) Σ_i Σ_i for q(z) = (1/B) Σ_i q(z |
    x_i)

    Args:
        mean: (B, d) μ_i.
        within: (B, d, d) Σ_i, or (B, d) variances where they are diagonal.

    Returns:
        (d, d).

    Raises:
        UsageError: for shapes that do not fit.

    Reference: Kumar, Sattigeri & Balakrishnan (2018), Variational Inference of Disentangled Latent Concepts, eq. 5.

    Example:
        >>> code_covariance(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), within=torch.ones(2, 2))
        tensor([[2., 0.],
                [0., 1.]])
    """
    centred = mean - mean.mean(0)
    between = (centred[:, :, None] * centred[:, None, :]).mean(0)
    if within is None:
        return between
    if within.shape not in (mean.shape, (*mean.shape, mean.shape[-1])):
        shapes = f"mean {tuple(mean.shape)} and within {tuple(within.shape)}"
        raise UsageError(f"mean must be (B, d), and within (B, d) or (B, d, d); got {shapes}")
    return between + (within.mean(0).diag() if within.shape == mean.shape else within.mean(0))


def covariance_penalty(covariance: Tensor, off_diagonal: float, diagonal: float) -> Tensor:
    """Return the weighted squared distance of a covariance from the identity.

    λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)²; of mean codes it is DIP-VAE-I's penalty, of codes DIP-VAE-II's

    Args:
        covariance: (d, d) C, as `code_covariance` returns it.
        off_diagonal: λ_od.
        diagonal: λ_d.

    Returns:
        ().

    Reference: Kumar, Sattigeri & Balakrishnan (2018), eqs. 6 and 7.

    Example:
        >>> covariance_penalty(torch.tensor([[3.0, 1.0], [1.0, 1.0]]), off_diagonal=10.0, diagonal=1.0)
        tensor(24.)
    """
    variances = covariance.diagonal()
    between = covariance.square().sum() - variances.square().sum()
    return off_diagonal * between + diagonal * (variances - 1).square().sum()


def entrywise_log_prob(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Return log q(z_ik | x_j) of each entry of each code under every row's Gaussian.

    Args:
        z: (B, d) codes z_i.
        mean: (B', d) μ_j.
        log_var: (B', d) log σ_j².

    Returns:
        (B, B', d) nats.

    Example:
        >>> entrywise_log_prob(torch.zeros(2, 1), torch.zeros(3, 1), torch.zeros(3, 1))[1, 2]
        tensor([-0.9189])
    """
    same_shape(mean=mean, log_var=log_var)
    squares = (z[:, None] - mean).square() * torch.exp(-log_var)
    return -0.5 * (LOG_2PI + log_var + squares)


def stratified_log_weights(batch: int, rows: int) -> Tensor:
    """Return the log-weights with which a batch's posteriors estimate q(z) without bias.

    q(z_i) ≈ Σ_j w_ij q(z_i | x_j), with w_ii = 1/N, and w_ij = (N − 1)/(N (B − 1)) for the other rows

    A code's own row is always in its batch, and is one of N; the other B − 1 represent the remaining N − 1. Chen et al.
    weight one of the others differently, by its position in the batch; these weights are the mean over all orders of
    the batch: the same expectation with less variance. They sum to 1; in a batch of all rows they are 1/N: q(z) itself.

    Args:
        batch: B.
        rows: N.

    Returns:
        (B, B), float64.

    Raises:
        UsageError: unless 1 ≤ B ≤ N.

    Reference: Chen et al. (2018), Isolating Sources of Disentanglement in VAEs, appendix C.2 (minibatch stratified
    sampling), whose code puts 1/N next to the diagonal.

    Example:
        >>> stratified_log_weights(batch=3, rows=5).exp()
        tensor([[0.2000, 0.4000, 0.4000],
                [0.4000, 0.2000, 0.4000],
                [0.4000, 0.4000, 0.2000]], dtype=torch.float64)
    """
    _check_sizes(batch, rows)
    others = math.log((rows - 1) / (rows * (batch - 1))) if batch > 1 else 0.0
    weights = torch.full((batch, batch), others, dtype=torch.float64)
    return weights.fill_diagonal_(-math.log(rows))


def weighted_log_weights(batch: int, rows: int) -> Tensor:
    """Return the log-weights of Chen et al.'s simpler estimate of q(z), which is biased.

    q(z_i) ≈ Σ_j q(z_i | x_j)/(N B)

    The weights sum to 1/N. So log q(z) is underestimated, by between log B, where no two posteriors overlap, and log N,
    where all do; and the total correlation of d entries, log q(z) minus d such terms, is overestimated by about d − 1
    times that. A constant leaves gradients unchanged, but the value is no estimate of the total correlation.

    Args:
        batch: B.
        rows: N.

    Returns:
        (B, B), float64.

    Raises:
        UsageError: unless 1 ≤ B ≤ N.

    Reference: Chen et al. (2018), eq. S6 of appendix C.1 (minibatch weighted sampling).

    Example:
        >>> weighted_log_weights(batch=2, rows=5).exp()
        tensor([[0.1000, 0.1000],
                [0.1000, 0.1000]], dtype=torch.float64)
    """
    _check_sizes(batch, rows)
    return torch.full((batch, batch), -math.log(rows * batch), dtype=torch.float64)


def aggregated_log_prob(log_q: Tensor, log_weights: Tensor) -> Tensor:
    """Return log q(z_i) = log Σ_j w_ij q(z_i | x_j).

    Args:
        log_q: (B, B', *d) log q(z_i | x_j), of codes, or of each entry.
        log_weights: (B, B') log w_ij.

    Returns:
        (B, *d) nats.

    Raises:
        UsageError: (a ValueError) unless the first two dimensions are equal.

    Example:
        >>> log_q = torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]])
        >>> aggregated_log_prob(log_q, stratified_log_weights(2, rows=2)).exp()
        tensor([0.5000, 0.5000])
    """
    same_shape(log_q=log_q.flatten(2).select(2, 0) if log_q.dim() > 2 else log_q, log_weights=log_weights)
    extra = (1,) * (log_q.dim() - 2)
    return (log_q + log_weights.to(log_q).view(*log_weights.shape, *extra)).logsumexp(1)


def total_correlation(log_q: Tensor, log_weights: Tensor) -> Tensor:
    """Return log q(z_i) − Σ_k log q(z_ik), whose mean over codes from q is the total correlation KL(q(z) ‖ Π_k q(z_k)).

    Args:
        log_q: (B, B', d) log q(z_ik | x_j), as `entrywise_log_prob` returns it.
        log_weights: (B, B') log w_ij, as `stratified_log_weights` returns it.

    Returns:
        (B,) nats.

    Reference: Chen et al. (2018), eq. 2.

    Example:
        >>> z = torch.tensor([[-9.0, -9.0], [9.0, 9.0]])  # two entries that determine each other: log 2
        >>> total_correlation(entrywise_log_prob(z, z, torch.zeros(2, 2)), stratified_log_weights(2, rows=2))
        tensor([0.6931, 0.6931])
    """
    joint = aggregated_log_prob(log_q.sum(2), log_weights)
    return joint - aggregated_log_prob(log_q, log_weights).sum(1)


def permute_codes(z: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Return codes with each entry permuted among the rows independently: approximate draws from Π_k q(z_k).

    Args:
        z: (B, d).
        generator: where randomness comes from; torch's global state without one.

    Returns:
        (B, d); each column holds the same values as before.

    Reference: Kim & Mnih (2018), Disentangling by Factorising, algorithm 1.

    Example:
        >>> z = torch.tensor([[0, 10], [1, 11], [2, 12]])
        >>> permute_codes(z, generator=torch.Generator().manual_seed(0)).sort(0).values.equal(z)
        True
    """
    keys = torch.rand(z.shape, generator=generator, device=z.device)
    return z.gather(0, keys.argsort(0))


def _check_sizes(batch: int, rows: int) -> None:
    if not 1 <= batch <= rows:
        raise UsageError(f"a batch must hold at least 1 and at most all of the rows; got {batch} of {rows}")
