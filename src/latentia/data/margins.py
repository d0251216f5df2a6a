"""The margins of a table's columns: how often values are missing, and how the others are distributed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Margin:
    """What is known of one column of the rows that a model is fitted to, as models read them.

    Attributes:
        gaps: the fraction of rows whose value is missing, never quite 0 or 1.
        mean: of the numbers that are there.
        sd: their standard deviation.
        rates: of categories and ranks, of sum 1 and never quite 0; empty for numbers.
    """

    gaps: float = 0.0
    mean: float = 0.0
    sd: float = 1.0
    rates: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the margin as JSON values."""
        return asdict(self) | {"rates": list(self.rates)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Margin":
        """Read what ``to_json`` returns."""
        return cls(values["gaps"], values["mean"], values["sd"], tuple(values["rates"]))
