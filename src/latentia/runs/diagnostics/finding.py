"""What a diagnosis is made of: findings, the facts that they rest on, and how a history is read.

To add a symptom, write a function from a `TrainingLog` to a `Finding` or None, and add it to the
table at the end of its file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

Columns: TypeAlias = Mapping[str, np.ndarray]
"""What was logged, by name: a number an epoch, NaN where it was not."""

WINDOW = 5  # last epochs that a finding rests on: one bad epoch is none, and a cure shows soon
_STEPS = 500  # steps that are as good as these, where epochs are long
MOST = 0.8  # fraction of these that must agree


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or may be.

    Attributes:
        name: of the symptom.
        severity: "error" for a model that cannot be used, "warning" for one that has probably not learned its data,
            "note" for what is left to do.
        evidence: the figures that it rests on.
        advice: what to do.

    Example:
        >>> print(Finding("collapse", "warning", "diversity 0.01", "pack rows"))
        collapse: diversity 0.01; pack rows
    """

    name: str
    severity: Literal["error", "warning", "note"]
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}; {self.advice}"


@dataclass(frozen=True)
class Facts:
    """What is known of a training besides its history; what is not known keeps its default.

    Attributes:
        epochs: that it is to have.
        over: whether it has come to its end, and nothing is to follow.
        interrupted: whether it was stopped before its end.
        stopped: why it could not go on, where a loss was not finite.
        bounded: whether the data's values have bounds.
        even: whether the critic's loss has a score at which a row is as likely real as generated, so that accuracies
            compare with chance.
        restored: whether the best weights by the held-out metric are kept.
        mixing: layers of a critic that mix the rows of a batch.
        active_units: entries of the code that move with the row, where that was scored.
        held: rows that each component of a mixture holds.
        strange_samples: fraction of samples with an entry that is not finite.
        spikes: of a model with a density, columns of numbers of which many rows have exactly one value, and how many.
    """

    epochs: int = 0
    over: bool = False
    interrupted: bool = False
    stopped: str = ""
    bounded: bool = False
    even: bool = True
    restored: bool = False
    mixing: tuple[str, ...] = ()
    active_units: float | None = None
    held: tuple[float, ...] = ()
    strange_samples: float = 0.0
    spikes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingLog:
    """A training under examination: what it logged, and what is known of it."""

    columns: Columns
    facts: Facts = Facts()

    @property
    def rows(self) -> int:
        """Epochs that were logged."""
        return len(self.columns.get("epoch", ()))

    @property
    def window(self) -> int:
        """Last epochs that a finding rests on."""
        steps = self.known("step")
        return window_of(float(steps[0]) if len(steps) else 1.0)

    @property
    def epoch(self) -> int:
        """The last of them; 0 before the first."""
        return int(self.columns["epoch"][-1]) if self.rows else 0

    def known(self, name: str) -> np.ndarray:
        """Return what was logged under a name, missing values left out; nothing where it never was."""
        values = self.columns.get(name, np.empty(0))
        return values[~np.isnan(values)]

    def recent(self, name: str) -> np.ndarray:
        """Return the last values of a number; nothing where there are fewer than a finding needs."""
        values = self.known(name)
        return values[-self.window :] if len(values) >= self.window else np.empty(0)

    def median(self, name: str) -> float:
        """Return the median of these; NaN, which no threshold is beyond, where there are none."""
        values = self.recent(name)
        return float(np.median(values)) if len(values) else np.nan

    def early(self, name: str) -> float:
        """Return the median of a number's first values: at most as many as are recent, and at most a third."""
        values = self.known(name)
        return (
            float(np.median(values[: max(1, min(self.window, len(values) // 3))])) if len(values) else np.nan
        )

    def until(self, row: int) -> TrainingLog:
        """Return the log as it was after so many rows."""
        return replace(self, columns={name: values[:row] for name, values in self.columns.items()})


def window_of(steps: float) -> int:
    """Return the last epochs that a finding rests on, where an epoch has so many steps: 5, or fewer long ones.

    Example:
        >>> window_of(16), window_of(200), window_of(938)
        (5, 3, 2)
    """
    return max(2, min(WINDOW, math.ceil(_STEPS / max(1.0, steps))))


Symptom: TypeAlias = Callable[[TrainingLog], Finding | None]


def columns_of(history: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return a history, a mapping an epoch, as an array for each name.

    Example:
        >>> columns_of([{"epoch": 1}, {"epoch": 2, "loss": 0.5}])["loss"].tolist()
        [nan, 0.5]
    """
    rows = list(history)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, np.nan) for row in rows], dtype=float) for name in names}


def mostly(holds: np.ndarray) -> bool:
    """Whether something holds in most of the recent epochs, and there are enough of them."""
    return len(holds) > 0 and bool(holds.mean() >= MOST)
