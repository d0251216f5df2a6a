"""Mutual information of single codes and single factors, its gap (MIG) and modularity."""

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.checks import point_sets
from latentia.functional.disentanglement.checks import integers_from_zero, matrix
from latentia.functional.disentanglement.gaps import top_two_gaps


def histogram_bins(codes: Tensor, bins: int = 20) -> Tensor:
    """Return the index of the bin that each code falls in.

    ⌊B (z − min z) / (max z − min z)⌋, the largest value in bin B − 1: bins of equal width, for each entry separately.
    A constant code is in bin 0.

    Args:
        codes: (n, d).
        bins: B.

    Returns:
        (n, d) int64.

    Raises:
        UsageError: for another shape, or fewer than 2 bins.
        DataError: for a code that is not finite.

    Example:
        >>> histogram_bins(torch.tensor([[0.0, 7.0], [0.4, 7.0], [1.0, 7.0]]), bins=2).tolist()
        [[0, 0], [0, 0], [1, 0]]
    """
    point_sets(codes=codes)
    if bins < 2:
        raise UsageError(f"bins must be at least 2; got {bins}")
    low, high = codes.aminmax(dim=0)
    width = torch.where(high > low, high - low, 1.0)
    return ((codes - low) / width * bins).long().clamp(max=bins - 1)


def mutual_information(codes: Tensor, factors: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mutual information of each code and each factor, in the given rows.

    I(z_i; v_j) = Σ_{z,v} p(z, v) log p(z, v) / (p(z) p(v)) = H(z_i) + H(v_j) − H(z_i, v_j), p the fractions of rows

    For independent variables with A and B values it is about (A − 1)(B − 1)/2n in the mean (Miller, 1955).

    Args:
        codes: (n, d) integers from 0, as `histogram_bins` returns.
        factors: (n, F) integers from 0.
        weights: (n,) of the rows, which sum to 1; differentiable in them. Default: 1/n each.

    Returns:
        (d, F) nats, float64.

    Raises:
        UsageError: for other shapes, or entries that are not integers.
        DataError: for negative entries.

    Reference: Cover & Thomas (2006), Elements of Information Theory, eqs. 2.28 and 2.45.

    Example:
        >>> mutual_information(torch.tensor([[0, 1], [1, 1]]), torch.tensor([[0], [1]])).exp()
        tensor([[2.],
                [1.]], dtype=torch.float64)
    """
    integers_from_zero(codes=codes, factors=factors)
    if len(codes) != len(factors):
        raise UsageError(f"codes and factors must be of the same rows; got {len(codes)} and {len(factors)}")
    values = int(factors.max()) + 1
    joint = [entropies(code[:, None] * values + factors, weights) for code in codes.unbind(1)]
    own = entropies(codes, weights)[:, None] + entropies(factors, weights)
    return (own - torch.stack(joint)).clamp(min=0)


def entropies(numbers: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the entropy of each column, H = −Σ_v p(v) log p(v) with p the fractions of rows, or their weights.

    Args:
        numbers: (n, k) integers from 0.
        weights: (n,) of the rows, which sum to 1; differentiable in them. Default: 1/n each.

    Returns:
        (k,) nats, float64.
    """
    (n, k), values = numbers.shape, int(numbers.max()) + 1
    columns = values * torch.arange(k, device=numbers.device)
    cells = (numbers + columns).flatten()
    if weights is None:
        p = cells.bincount(minlength=values * k).double() / n
    else:
        p = weights.new_zeros(values * k).index_add(0, cells, weights.repeat_interleave(k))
    return torch.special.entr(p).view(k, values).sum(1)


def mutual_information_gaps(codes: Tensor, factors: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return each factor's mutual information gap; MIG is their mean.

    MIG_j = (I(z_i*; v_j) − max_{i ≠ i*} I(z_i; v_j)) / H(v_j),  i* = argmax_i I(z_i; v_j)

    in [0, 1]: 1 where one code determines the factor and the others are independent of it; 0 for a factor with one
    value, whose entropy is 0. A code of B bins carries at most log B nats, so that a factor of K > B equally frequent
    values has at most log B / log K.

    Args:
        codes: (n, d) integers from 0, as `histogram_bins` returns.
        factors: (n, F) integers from 0.
        weights: (n,) of the rows, which sum to 1; differentiable in them. Default: 1/n each.

    Returns:
        (F,) float64.

    Raises:
        UsageError: for other shapes, or entries that are not integers.
        DataError: for negative entries.

    Reference: Chen et al. (2018), Isolating Sources of Disentanglement in VAEs, eq. 6.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(4))
        >>> mutual_information_gaps(factors, factors).tolist()
        [1.0, 1.0]
    """
    gaps = top_two_gaps(mutual_information(codes, factors, weights))
    H = entropies(factors, weights)
    return gaps / H.where(H > 0, 1)


def modularities(information: Tensor) -> Tensor:
    """Return each code's modularity: the degree to which it is informative about one factor only.

    1 − Σ_{j ≠ j*} I_ij² / (I_ij*² (F − 1)),  j* = argmax_j I_ij

    in [0, 1]; 0 for an uninformative code. The score is the mean over codes.

    Args:
        information: (d, F) I_ij, the mutual information of code i and factor j.

    Returns:
        (d,).

    Raises:
        UsageError: for fewer than two factors.
        DataError: for entries that are negative or not finite.

    Reference: Ridgeway & Mozer (2018), Learning Deep Disentangled Embeddings With the F-Statistic Loss, section 3.

    Example:
        >>> modularities(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])).tolist()
        [1.0, 1.0, 0.0]
    """
    matrix((1, 2), information=information)
    squared = information.square()
    most = squared.amax(1)
    others = (squared.sum(1) - most) / (most.where(most > 0, 1) * (squared.shape[1] - 1))
    return (1 - others).where(most > 0, 0)
