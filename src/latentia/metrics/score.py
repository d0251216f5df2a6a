"""A score: a number with its name, unit, exactness and number of rows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from latentia.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

Direction = Literal["higher", "lower", ""]

COLUMNS = (
    "metric", "value", "stderr", "unit", "kind", "n", "data", "run", "recipe", "seed", "measure", "direction", "reason",
    "settings",
)  # fmt: skip
"""Of a table of scores: what is read first comes first, the settings, which may be long, last."""

REPEATS = "repeats_of_training_rows"
"""The setting that says which fraction of the rows that were scored repeats a row that was trained on."""


@dataclass(frozen=True)
class Score:
    """One number about a model, or the reason why there is none.

    Attributes:
        metric: the metric's name.
        value: the number; None where there is none, never a stand-in such as 0.
        stderr: its standard error; None where it is not known.
        unit: "nats", "bits/dim", "data units", …
        kind: how the number relates to the quantity: "exact", "lower bound (IWAE, K=100)", "estimate",
            "test", "none: samples only", …
        measure: what a density refers to: "counting", "Lebesgue", or "mixed", of a table with columns of both kinds;
            empty for what is no density.
        n: held-out rows it was computed from.
        settings: what else decides the number; two settings never share a column.
        direction: "higher" or "lower" is better; empty for what has no better.
        reason: why there is no value.
        data: what the rows are called that it was computed on.
        fingerprint: a number by which these rows differ from others of that name.
        run: the name of the run's folder; empty for a run in memory.
        recipe: the run's recipe; empty for a recipe of the user's own.
        seed: of the run's training, by which runs of a recipe differ; the seed of the evaluation is a setting.

    Raises:
        UsageError: for a value that is not finite, or a missing value without a reason.

    Example:
        >>> Score("elbo", -98.5, 0.25, unit="nats", kind="lower bound (ELBO)", n=1000).value
        -98.5
    """

    metric: str
    value: float | None
    stderr: float | None = None
    unit: str = ""
    kind: str = ""
    measure: Literal["counting", "Lebesgue", "mixed", ""] = ""
    n: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    direction: Direction = ""
    reason: str = ""
    data: str = ""
    fingerprint: int | None = None
    run: str = ""
    recipe: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            raise UsageError(f"score {self.metric!r} has no value, so it must give a reason")
        if self.value is not None and not math.isfinite(self.value):
            raise UsageError(f"score {self.metric!r} must be finite, or None with a reason; got {self.value}")


def mean_score(metric: str, rows: Tensor, **facts: Any) -> Score:
    """Return the mean of one number per row with its standard error sd/√n; every row counts, or none does.

    Args:
        metric: the metric's name.
        rows: (n,) one number per row.
        facts: the other fields of the score.

    Returns:
        A score; without a value where a row is NaN or infinite, and the reason counts them.

    Example:
        >>> import torch
        >>> mean_score("elbo", torch.tensor([1.0, 3.0])).stderr
        1.0
        >>> mean_score("elbo", torch.tensor([1.0, -torch.inf])).reason
        '1 of 2 rows scored NaN or infinite'
    """
    rows = rows.double()
    wrong = int((~rows.isfinite()).sum())
    if wrong or not len(rows):
        reason = f"{wrong} of {len(rows)} rows scored NaN or infinite" if len(rows) else "there are no rows"
        return Score(metric, None, n=len(rows), reason=reason, **facts)
    stderr = float(rows.std() / math.sqrt(len(rows))) if len(rows) > 1 else None
    return Score(metric, float(rows.mean()), stderr, n=len(rows), **facts)


def table(scores: Sequence[Score]) -> pd.DataFrame:
    """Return scores as a tidy table: one row each, the numbers as they are, the settings as JSON text.

    A missing value is NaN, and its row has the reason.

    Example:
        >>> table([Score("elbo", -98.5, unit="nats")])[["metric", "value", "unit"]].values.tolist()
        [['elbo', -98.5, 'nats']]
    """
    import pandas as pd

    rows = [{**asdict(score), "settings": json.dumps(dict(score.settings))} for score in scores]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"value": "float64", "stderr": "float64", "n": "int64", "seed": "Int64"})


def printed(value: object) -> str:
    """Return a score's field as text: numbers with 9 significant digits whatever their size, none clipped.

    Example:
        >>> printed(-3.2), printed(1 / 3e6), printed(None), printed({"seed": 0})
        ('-3.2', '3.33333333e-07', '', '{"seed": 0}')
    """
    if value is None or value == {}:
        return ""
    if isinstance(value, dict):
        return json.dumps(value)
    return f"{value:.9g}" if isinstance(value, float) else str(value)
