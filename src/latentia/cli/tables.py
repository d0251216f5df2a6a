"""Tables on the terminal; where the output is piped on, each row is one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from latentia.metrics.score import Score
    from latentia.metrics.two_sample import TestResult
    from latentia.runs.diagnostics.finding import Finding

_PIPED = 400  # columns where there is no terminal
_MOST = 10  # features that are shown


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
    from latentia.data.copies import repeats_text
    from latentia.metrics.score import REPEATS

    repeats = [score.settings[REPEATS] for score in scores if REPEATS in score.settings]
    if repeats:
        print(repeats_text(repeats[0]))


def print_test(result: TestResult) -> None:
    """Print a two-sample test, and what differs most: features, or points. All digits are in its JSON."""
    df = result.degrees_of_freedom
    settings = ", ".join(f"{name} {_short(value)}" for name, value in result.settings.items())
    print_listing(
        [
            ("test", f"{result.method}, n = {result.n}, m = {result.m}{settings and ', '}{settings}"),
            ("statistic", f"{result.statistic:.6g}"),
            ("threshold", f"{result.threshold:.6g} at level {result.level:g}"),
            *([] if df is None else [("degrees of freedom", f"{df:.6g}")]),
            ("p-value", f"{result.p_value:.6g}"),
            ("decision", f"{result.decision} that both samples come from one distribution"),
            ("effect size", f"{result.effect_size:.6g} ({result.effect})"),
        ]
    )
    if result.features:
        print("\nFeatures that differ most:")
        _print(_features(result))
    if result.points:
        print(f"\nPoints that differ most ({result.points_show}):")
        _print(_points(result))


def print_columns(headings: Sequence[str], rows: Iterable[Sequence[str]], *, note: bool = False) -> None:
    """Print what the columns of a table are, a line each: names and kinds, then numbers, then notes.

    Args:
        headings: of the columns.
        rows: their cells.
        note: print them beside the output, as notes are.
    """
    first, kind, dtype, *numbers, notes = headings
    table = _columns([], first=first)
    for heading in (kind, dtype):
        table.add_column(heading, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(notes)
    for row in rows:
        table.add_row(*row)
    _print(table, note=note)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print what a diagnosis found, a line each."""
    table = _columns([], first="finding")
    table.add_column("severity", no_wrap=True)
    table.add_column("evidence")
    table.add_column("what to do")
    for finding in findings:
        table.add_row(finding.name, finding.severity, finding.evidence, finding.advice)
    _print(table)


def _features(result: TestResult) -> Table:
    tested = result.features[0].p_value is not None
    table = _columns(["statistic", "effect size", *(["p", "adjusted p"] if tested else [])], first="feature")
    for each in result.features[:_MOST]:
        p = (each.p_value, each.adjusted_p_value) if tested else ()
        table.add_row(each.name, *(f"{value:.6g}" for value in (each.statistic, each.effect_size, *p)))
    return table


def _points(result: TestResult) -> Table:
    table = _columns(["row", "value"], first="sample")
    for each in result.points:
        table.add_row(each.sample, str(each.row), f"{each.value:.6g}")
    return table


def _columns(numbers: Sequence[str], first: str) -> Table:
    """Return an empty table with a column of names and columns of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, style="bold", no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print(table: Table, *, note: bool = False) -> None:
    console = Console(markup=False, highlight=False, emoji=False, stderr=note)
    if not console.is_terminal:
        console.width = _PIPED
    console.print(table)
