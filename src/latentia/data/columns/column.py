"""A column of a table: its kind, its type, and what is known of its values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Column:
    """What a column of a table is.

    Attributes:
        name: as a string; ``facts["label"]`` has a name that is none.
        kind: a name of `column_kinds`.
        dtype: the type, in pandas' words, that values are given back in.
        missing: whether some values were missing.
        facts: what the kind knows of the values, as JSON values: categories, bounds, the smallest step, a format.

    Example:
        >>> column = Column("age", "integer", "int64", facts={"low": 17, "high": 90, "step": 1})
        >>> Column.from_json(column.to_json()) == column
        True
    """

    name: str
    kind: str
    dtype: str
    missing: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def role(self) -> str:
        """What the column is besides a part of the rows: ``label`` or ``condition``; empty for others."""
        return self.facts.get("role", "")

    @property
    def label(self) -> Any:
        """The name as the frame has it: a string, a number, or a tuple of several levels."""
        label = self.facts.get("label", self.name)
        return tuple(label) if isinstance(label, list) else label

    def to_json(self) -> dict[str, Any]:
        """Return the column as JSON values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "dtype": self.dtype,
            "missing": self.missing,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Column":
        """Read what ``to_json`` returns."""
        return cls(**values)
