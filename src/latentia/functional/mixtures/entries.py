"""Which entries of a row are numbers and which are categories, and rows as indicators of categories and of gaps."""

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True)
class Entries:
    """What a product of distributions reads in a row of D entries.

    Attributes:
        numbers: the entries that are numbers.
        categories: the entries that are categories, numbered from 0.
        levels: the number of categories of each of those.
        gaps: the entries that may be missing where the pattern of gaps is a part of the distribution.
        missing: whether numbers may be missing.

    Example:
        >>> entries = Entries((0,), (1,), (3,), gaps=(1,))
        >>> entries.indicators(torch.tensor([[0.5, 2.0], [0.1, torch.nan]]))
        tensor([[0., 0., 1., 1., 0.],
                [0., 0., 0., 0., 1.]])
    """

    numbers: tuple[int, ...]
    categories: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()
    gaps: tuple[int, ...] = ()
    missing: bool = False

    @property
    def size(self) -> int:
        """The number of entries, D."""
        return len(self.numbers) + len(self.categories)

    @property
    def groups(self) -> tuple[int, ...]:
        """The numbers of outcomes of the categorical variables: the categories, and present or missing for gaps."""
        return (*self.levels, *(2 for _ in self.gaps))

    @property
    def outcomes(self) -> int:
        """The number of indicators, F."""
        return sum(self.groups)

    def of_numbers(self, x: Tensor) -> Tensor:
        """Return the numbers of (B, D) rows: (B, d)."""
        return x if len(self.numbers) == x.shape[1] else x[:, list(self.numbers)]

    def indicators(self, x: Tensor, *, gaps_count: bool = True) -> Tensor:
        """Return one-hot categories and gaps of (B, D) rows: (B, F); a missing category is all zeros.

        Args:
            x: rows, NaN where a value is missing.
            gaps_count: whether a gap is an outcome; otherwise it is all zeros, as something that is not known.
        """
        values = x[:, list(self.categories)]
        missing = x[:, list(self.gaps)].isnan()
        outcome = torch.cat([values.nan_to_num(nan=0.0), missing.to(x)], dim=1).long()
        known = torch.cat([~values.isnan(), torch.ones_like(missing) if gaps_count else ~missing], dim=1)
        starts = [0, *accumulate(self.groups)][:-1]
        places = outcome + torch.tensor(starts, dtype=torch.long, device=x.device)
        return x.new_zeros(len(x), self.outcomes).scatter_(1, places, known.to(x))

    def joined(self, numbers: Tensor, outcomes: Tensor) -> Tensor:
        """Return (B, D) rows of numbers (B, d) and of the outcomes (B, G) of all categorical variables."""
        x = numbers.new_empty(len(numbers), self.size)
        x[:, list(self.numbers)] = numbers
        C = len(self.categories)
        x[:, list(self.categories)] = outcomes[:, :C].to(numbers)
        gaps = list(self.gaps)
        x[:, gaps] = torch.where(outcomes[:, C:] == 1, torch.nan, x[:, gaps])
        return x

    def without(self, known: tuple[int, ...]) -> "Entries":
        """Return the entries that are left when some are known, numbered anew in their order."""
        place = {entry: new for new, entry in enumerate(sorted({*range(self.size)} - {*known}))}
        kept = [(e, n) for e, n in zip(self.categories, self.levels, strict=True) if e in place]
        return Entries(
            tuple(place[e] for e in self.numbers if e in place),
            tuple(place[e] for e, _ in kept),
            tuple(n for _, n in kept),
            tuple(place[e] for e in self.gaps if e in place),
            self.missing,
        )
