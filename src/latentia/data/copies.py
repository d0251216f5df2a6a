"""Rows that repeat others: which they are, whether chance explains them, and how many of a part repeat another's."""

from collections.abc import Iterator
from functools import reduce
from hashlib import blake2b
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latentia.data.randomness import uniforms
from latentia.data.rows import Rows
from latentia.data.support import Support

Treatment = Literal["keep", "group", "drop"]
"""What a split does with copies: nothing, keep those of one row in one part, leave out all but the first."""

TREATMENTS: tuple[Treatment, ...] = ("keep", "group", "drop")
EXPECTED = 0.01  # of the rows: from here on repeats are put down to chance
_DRAWS = 100_000  # rows with independent columns
_ROWS = 100_000  # of which the columns' frequencies are taken
_ENTRIES = 1 << 20  # of a block that is read at once


def treatment(rows: Rows, copies: str, numbers: Tensor) -> Treatment:
    """Return what a split of rows does with copies: what is asked, or by ``auto`` what the rows suggest.

    Copies go to one part where repeats are not to be expected by chance: a real-valued column takes part, and the
    `expected_repeats` are less than 1 % of the rows. In discrete tables repeats are the distribution.

    Args:
        rows: to split.
        copies: auto, keep, group or drop.
        numbers: (n,) from `copy_numbers`.

    Example:
        >>> from latentia.data.spec import DataSpec
        >>> x = torch.arange(60.0).reshape(20, 3)[[*range(19), 0]]
        >>> rows = Rows(x, DataSpec((3,), Support("real")))
        >>> treatment(rows, "auto", copy_numbers(rows)), treatment(rows, "drop", copy_numbers(rows))
        ('group', 'drop')
    """
    for each in TREATMENTS:
        if copies == each:
            return each
    if int(numbers.max()) + 1 == len(rows) or not _is_real(rows.spec.support):
        return "keep"
    return "group" if expected_repeats(rows) < EXPECTED else "keep"


def copy_numbers(rows: Rows) -> Tensor:
    """Return a number for each row, (n,) int64: copies share one. They count different rows, in their order.

    Rows are compared as they are stored; a missing value equals a missing value.

    Example:
        >>> from latentia.data.spec import DataSpec
        >>> rows = Rows(torch.tensor([[1.0], [-0.0], [torch.nan], [0.0], [torch.nan]]), DataSpec((1,), Support("real")))
        >>> copy_numbers(rows).tolist()
        [0, 1, 2, 1, 2]
    """
    seen: dict[bytes, int] = {}
    return torch.tensor([seen.setdefault(each, len(seen)) for each in _digests(rows, _dtype(rows))])


def expected_repeats(rows: Rows) -> float:
    """Return the fraction of rows that would equal another if the columns were independent.

    E[1 − (1 − p(x))^(n−1)], where p(x) = Π_j p_j(x_j) and p_j(v) = (c_j(v) − 1) / (n − 1) is the chance that another
    row has the value v, which c_j rows have. It is a mean over 100,000 fixed draws of x from the columns' own values.

    Example:
        >>> from latentia.data.spec import DataSpec
        >>> bits = torch.arange(8)[:, None] >> torch.arange(3) & 1
        >>> round(expected_repeats(Rows(bits, DataSpec((3,), Support("binary")))), 3)
        0.437
    """
    n = len(rows)
    some = torch.arange(min(n, _ROWS)) * (n - 1) // max(1, min(n, _ROWS) - 1)
    x = rows.select(some).x.flatten(1).double().numpy()
    chance = np.ones(_DRAWS)
    for j, column in enumerate(x.T):
        _, values, counts = np.unique(column, return_inverse=True, return_counts=True)
        drawn = (uniforms(torch.arange(_DRAWS), 1, j)[:, 0] * len(x)).long().numpy()
        chance *= ((counts - 1) / max(1, len(x) - 1))[values[drawn]]
        if n * chance.mean() < EXPECTED * 1e-6:  # further columns only lessen it
            break
    with np.errstate(divide="ignore"):
        return abs(float(np.expm1((n - 1) * np.log1p(-chance)).mean()))


def repeated(rows: Rows, train: Rows) -> float:
    """Return the fraction of rows that repeat a row of another part, such as the rows that were trained on.

    Example:
        >>> from latentia.data.spec import DataSpec
        >>> spec = DataSpec((1,), Support("count"))
        >>> repeated(Rows(torch.tensor([[1], [2]]), spec), Rows(torch.tensor([[2], [3]]), spec))
        0.5
    """
    dtype = _dtype(rows, train)
    known = set(_digests(train, dtype))
    return sum(each in known for each in _digests(rows, dtype)) / len(rows)


def repeats_text(fraction: float) -> str:
    """Return the line that says how many rows repeat a training row.

    Example:
        >>> repeats_text(0.2713)
        '27.1 % of the held-out rows repeat a training row'
    """
    return f"{100 * fraction:.3g} % of the held-out rows repeat a training row"


def _is_real(support: Support) -> bool:
    """Whether a real-valued column takes part."""
    return any(each.kind in ("real", "unit") for each in support.columns or (support,))


def _dtype(*parts: Rows) -> torch.dtype:
    """Return the type in which rows of several parts are compared."""
    dtype = reduce(torch.promote_types, (part.select(torch.tensor([0])).x.dtype for part in parts))
    return torch.float64 if dtype.is_floating_point else dtype


def _digests(rows: Rows, dtype: torch.dtype) -> Iterator[bytes]:
    """Yield 128 bits of the BLAKE2b hash of each row."""
    size = max(1, _ENTRIES // max(1, rows.spec.size))
    for block in torch.arange(len(rows)).split(size):
        x = rows.select(block).x.flatten(1).to(dtype)
        x = x.nan_to_num(torch.nan, torch.inf, -torch.inf) + 0.0 if dtype.is_floating_point else x
        yield from (blake2b(row, digest_size=16).digest() for row in x.contiguous().numpy())
