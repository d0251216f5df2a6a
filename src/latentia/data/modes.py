"""The modes of a law that is a mixture of equal bumps, where a data set knows them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latentia.errors import UsageError


@dataclass(frozen=True, eq=False)
class Modes:
    """K equally likely Gaussians N(μ_k, sd² I).

    Attributes:
        centres: (K, D) μ, in the rows' unit.
        sd: of each.

    Raises:
        UsageError: for centres of another shape, or an sd that is not positive.
    """

    centres: Tensor
    sd: float

    def __post_init__(self) -> None:
        if self.centres.dim() != 2 or not self.sd > 0:
            raise UsageError(
                f"modes need centres (K, D) and a positive sd; got {tuple(self.centres.shape)} and {self.sd}"
            )

    def __len__(self) -> int:
        return len(self.centres)
