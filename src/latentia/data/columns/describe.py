"""A table of what a table's columns are, and what a look at them shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from latentia.data.columns.column import Column
from latentia.data.columns.infer import infer_columns
from latentia.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

HEADINGS = ("column", "kind", "type", "gaps", "distinct", "low", "high", "notes")
_WORDS = 5  # categories that are listed
_LONG = 24  # characters of a value that are shown


def described(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    """Return what is known of columns, a row of words for each under `HEADINGS`.

    Example:
        >>> facts = {"rows": 10, "gaps": 1, "distinct": 4, "low": 0, "high": 90, "step": 5, "spike": ["0", 0.9]}
        >>> described([Column("gain", "integer", "int64", True, facts)])
        [('gain', 'integer', 'int64', '10 %', '4', '0', '90', '90 % are 0; in steps of 5')]
    """
    return [_row(column) for column in columns]


def describe_frame(columns: Sequence[Column]) -> pd.DataFrame:
    """Return what is known of columns as a frame."""
    import pandas as pd

    return pd.DataFrame(described(columns), columns=list(HEADINGS))


def look_at(frame: pd.DataFrame, declared: Any = None) -> tuple[tuple[Column, ...], str]:
    """Return what the columns of a frame are, and the line that says how many rows there are and are copies."""
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        raise DataError("the table is empty: it has no rows or no columns")
    copies = int(frame.duplicated().sum()) if _is_hashable(frame) else 0
    copied = f", of which {copies:,} ({_share(copies / len(frame))}) are copies of others" if copies else ""
    return infer_columns(frame, declared), f"{len(frame):,} rows{copied}"


def _is_hashable(frame: pd.DataFrame) -> bool:
    try:
        frame.iloc[:1].duplicated()
    except TypeError:
        return False
    return True


def _row(column: Column) -> tuple[str, ...]:
    facts = column.facts
    rows = facts.get("rows", 0)
    gaps = _share(facts["gaps"] / rows) if "gaps" in facts else ""
    distinct = f"{facts['distinct']:,}" if "distinct" in facts else ""
    kind = f"{column.kind} ({column.role})" if column.role else column.kind
    return (column.name, kind, column.dtype, gaps, distinct, *_ends(column), "; ".join(_notes(column)))


def _ends(column: Column) -> tuple[str, str]:
    facts = column.facts
    if column.kind == "datetime":
        return facts["first"], str(_date(facts))
    form = facts.get("form", {})
    low, high = (facts.get(end, form.get(end, "")) for end in ("low", "high"))
    return _value(low), _value(high if high != "" else facts.get("most", ""))


def _date(facts: Any) -> Any:
    import numpy as np

    return np.datetime64(facts["first"], facts["unit"]) + np.timedelta64(
        int(facts.get("high", 0)), facts["unit"]
    )


def _notes(column: Column) -> Iterator[str]:
    facts = column.facts
    yield from _about_kind(column)
    if "spike" in facts and column.kind in ("real", "integer", "count"):
        value, share = facts["spike"]
        yield f"{_share(share)} are {value}"
    if facts.get("step", 1) != 1:
        yield f"in steps of {facts['step']}{' ' + facts['unit'] if 'unit' in facts else ''}"
    if "decimals" in facts:
        yield f"{facts['decimals']} decimals" if facts["decimals"] else "whole numbers"
    if facts.get("declared") and not column.role:
        yield "declared"


def _about_kind(column: Column) -> Iterator[str]:
    facts = column.facts
    match column.kind:
        case "categorical" | "ordinal" | "boolean":
            values = facts.get("values", [])
            yield ", ".join(_value(value) for value in values[:_WORDS]) + ", ..." * (len(values) > _WORDS)
            if "shared" in facts:
                yield f"{facts['shared']:,} rare ones share a category"
        case "constant":
            yield "all missing" if facts["value"] is None else f"always {_value(facts['value'])}"
        case "id":
            yield (
                "made anew; whether there is one is modelled" if column.missing else "not modelled; made anew"
            )
        case "text":
            yield "free text; left out"
        case "drop":
            yield "left out"
        case "datetime" if "format" in facts:
            yield facts["format"]
        case _:
            pass


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"


def _value(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."
