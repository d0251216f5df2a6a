"""Groups of rows that share the value of a factor, and which codes vary least within them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from latentia.errors import DataError
from latentia.functional.disentanglement.checks import coded_factors

_AT_ONCE = 1 << 22  # codes gathered at once: 32 MB


def rows_sharing_factor(column: Tensor, rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw for each given row a row with the same value of a factor, uniformly, the row itself included.

    Args:
        column: (n,) integers from 0, the factor's value in each row.
        rows: (*B,) indices of rows.
        generator: where randomness comes from; torch's global state without one.

    Returns:
        (*B,) indices of rows.

    Example:
        >>> column = torch.tensor([2, 0, 2, 1])
        >>> bool((column[rows_sharing_factor(column, torch.tensor([0, 0, 1, 3]))] == torch.tensor([2, 2, 0, 1])).all())
        True
    """
    order, counts = column.argsort(stable=True), column.bincount()
    starts, values = counts.cumsum(0) - counts, column[rows]
    places = torch.rand(rows.shape, generator=generator, dtype=torch.float64) * counts[values]
    return order[starts[values] + places.long()]


def pair_differences(
    codes: Tensor,
    factors: Tensor,
    shared: Tensor,
    *,
    pairs: int = 64,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the mean absolute difference of codes over pairs of rows that share a factor's value.

    (1/L) Σ_l |z_l − z′_l|, with v_j(z_l) = v_j(z′_l) in every pair, and the other factors drawn independently

    Args:
        codes: (n, d).
        factors: (n, F) integers from 0.
        shared: (m,) j, the factor whose value the pairs of each point have in common.
        pairs: L.
        generator: where randomness comes from; torch's global state without one.

    Returns:
        (m, d).

    Raises:
        UsageError: for other shapes, or factors that are not integers.
        DataError: for codes that are not finite, or a value that only one row has.

    Reference: Higgins et al. (2017), beta-VAE, section 3, steps 2 and 3.
    """
    _groups_exist(codes, factors)
    differences = codes.new_empty(len(shared), codes.shape[1])
    for j, points in _of_one_factor(shared, pairs * codes.shape[1]):
        first = torch.randint(len(codes), (len(points), pairs), generator=generator)
        second = rows_sharing_factor(factors[:, j], first, generator)
        differences[points] = (codes[first] - codes[second]).abs().mean(1)
    return differences


def least_varying_latents(
    codes: Tensor,
    factors: Tensor,
    shared: Tensor,
    variances: Tensor,
    *,
    size: int = 64,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return which code varies least, relative to all rows, in a group of rows that share a factor's value.

    argmin_i Var_group(z_i) / Var(z_i), over the codes whose variance is not 0

    Args:
        codes: (n, d).
        factors: (n, F) integers from 0.
        shared: (m,) j, the factor whose value each group has in common: that of a row drawn at random.
        variances: (d,) over all rows; codes with 0 are left out.
        size: rows in a group, drawn with replacement.
        generator: where randomness comes from; torch's global state without one.

    Returns:
        (m,) indices of codes.

    Raises:
        UsageError: for other shapes, or factors that are not integers.
        DataError: for codes that are not finite, or a value that only one row has.

    Reference: Kim & Mnih (2018), Disentangling by Factorising, section 4.
    """
    _groups_exist(codes, factors)
    least = torch.empty_like(shared)
    for j, points in _of_one_factor(shared, size * codes.shape[1]):
        first = torch.randint(len(codes), (len(points), 1), generator=generator)
        group = rows_sharing_factor(factors[:, j], first.expand(-1, size), generator)
        relative = (codes[group].var(1) / variances).where(variances > 0, torch.inf)
        least[points] = relative.argmin(1)
    return least


def majority_factors(codes: Tensor, shared: Tensor, sizes: tuple[int, int]) -> Tensor:
    """Return for each code the factor that was fixed most often when this code varied least.

    Args:
        codes: (m,) indices of the codes that varied least.
        shared: (m,) indices of the factors that were fixed.
        sizes: d and F.

    Returns:
        (d,) indices of factors; 0 for a code that never varied least.

    Reference: Kim & Mnih (2018), section 4, the majority-vote classifier.

    Example:
        >>> majority_factors(torch.tensor([1, 1, 1, 0]), torch.tensor([2, 2, 0, 1]), (2, 3)).tolist()
        [1, 2]
    """
    d, F = sizes
    return (codes * F + shared).bincount(minlength=d * F).view(d, F).argmax(1)


def _groups_exist(codes: Tensor, factors: Tensor) -> None:
    coded_factors(codes, factors)
    for j, column in enumerate(factors.unbind(1)):
        alone = (column.bincount() == 1).nonzero().flatten().tolist()
        if alone:
            raise DataError(
                f"value {alone[0]} of factor {j} is in one row only ({len(alone)} values are), and a group that "
                "shares it needs at least 2: give more rows"
            )


def _of_one_factor(shared: Tensor, entries: int) -> Iterator[tuple[int, Tensor]]:
    """Iterate over factors and the indices of the points they belong to, as many at once as memory allows."""
    for j in shared.unique().tolist():
        for points in (shared == j).nonzero().flatten().split(max(1, _AT_ONCE // entries)):
            yield j, points
