"""Tables on the terminal; where the output is piped on, each row is one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from latentia.metrics.score import Score

_PIPED = 400  # columns where there is no terminal


def print_listing(rows: Iterable[tuple[str, str]]) -> None:
    """Print names with their one-line descriptions."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in rows:
        table.add_row(name, text)
    _print(table)


def print_scores(scores: Sequence[Score]) -> None:
    """Print scores: values with six significant digits whatever their size, standard errors with two.

    All digits, and the settings, are in scores.json. A score without a value shows the reason.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("metric", style="bold", no_wrap=True)
    for heading in ("value", "stderr"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("kind")
    table.add_column("n", justify="right", no_wrap=True)
    for score in scores:
        value = "-" if score.value is None else f"{score.value:.6g}"
        stderr = "" if score.stderr is None else f"{score.stderr:.2g}"
        kind = f"{score.kind}: {score.reason}" if score.reason else score.kind
        table.add_row(score.metric, value, stderr, score.unit, kind, str(score.n))
    _print(table)


def _print(table: Table) -> None:
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPED
    console.print(table)
