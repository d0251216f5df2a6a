"""What a metric declares where it registers: what it needs of a model and of rows, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from latentia.errors import UsageError
from latentia.registry import metrics, unknown

if TYPE_CHECKING:
    from latentia.metrics.settings import MetricSettings


@dataclass(frozen=True)
class Declared:
    """What a metric declares, as the keywords of ``@metrics.register``.

    Attributes:
        needs: the capability, or all the capabilities, that a model must have: types for ``isinstance``.
        default: whether the metric is computed where no metric is named.
        likelihood: whether it is about the likelihood, which the model must then have.
        counting: whether the density must be relative to counting measure.
        factors: how many factors of the rows must be known; the class is one.
        labels: whether the rows' classes must be known.
        modes: whether the rows' modes must be known.
        table: whether the rows must be a table's.
        gaps: whether a metric of samples takes tables with missing values.
        training: whether it also reads the rows that the model was fitted to.
        settings: the dataclass of its own settings, whose names begin with the metric's.
        reads: other metrics whose settings it reads too.
        no_stderr: by the name of a score, why it has no standard error.
    """

    needs: Any = ()
    default: bool = False
    likelihood: bool = False
    counting: bool = False
    factors: int = 0
    labels: bool = False
    modes: bool = False
    table: bool = False
    gaps: bool = False
    training: bool = False
    settings: type[MetricSettings] | None = None
    reads: tuple[str, ...] = ()
    no_stderr: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def capabilities(self) -> tuple[Any, ...]:
        """All the capabilities that a model must have; each is a type or a union of types."""
        return self.needs if isinstance(self.needs, tuple) else (self.needs,)


def declared(name: str) -> Declared:
    """Return what a metric declares.

    Raises:
        UnknownNameError: for a metric that is not there.
        UsageError: for a metric that declares something that no metric has.

    Example:
        >>> declared("ais").settings.__name__, declared("gaps").reads, declared("mig").factors
        ('AISSettings', ('ais',), 1)
    """
    facts = metrics.facts(name)
    known = [each.name for each in fields(Declared)]
    for fact in facts:
        if fact not in known:
            raise UsageError(f"metric {name!r}: {unknown('declaration', fact, known)}")
    return Declared(**facts)
