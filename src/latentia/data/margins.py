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
        quantiles: of the numbers at equal steps of probability, from 0 to 1, where an encoding uses them; or empty.
        rates: of categories and ranks, of sum 1 and never quite 0; empty for numbers.
    """

    gaps: float = 0.0
    mean: float = 0.0
    sd: float = 1.0
    rates: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the margin as JSON values."""
        values = asdict(self) | {"rates": list(self.rates), "quantiles": list(self.quantiles)}
        return {name: value for name, value in values.items() if name != "quantiles" or value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Margin":
        """Read what ``to_json`` returns."""
        several = {name: tuple(values.get(name, ())) for name in ("rates", "quantiles")}
        return cls(values["gaps"], values["mean"], values["sd"], **several)
