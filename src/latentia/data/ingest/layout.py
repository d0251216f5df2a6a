"""How a table of text is laid out: found in its first lines, as far as the user does not say it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from latentia.data.ingest.column_names import Look, has_names
from latentia.data.ingest.records import SPACES, Records, encoding_of, number_signs, split_records
from latentia.errors import DataError, UsageError

CHOICES = ("auto", "yes", "no")
_SIGNS = {"tab": "\t", "\\t": "\t", "space": SPACES, " ": SPACES}
_NAMES = {"\t": "tab", SPACES: "space"}
_ABOVE = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n)*")


@dataclass(frozen=True)
class TextOptions:
    """How a table of text is to be read, where that is not for the reader to find out.

    Attributes:
        header: whether the first line holds the columns' names: auto, yes or no.
        index: whether the first column holds row names or row numbers, which are left out: auto, yes or no.
        separator: what stands between fields: a character, ``tab`` or ``space``; None to find it.
    """

    header: str = "auto"
    index: str = "auto"
    separator: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("header", self.header), ("index", self.index)):
            if value not in CHOICES:
                raise UsageError(f"{name} is {', '.join(CHOICES)}; got {value!r}", options=(name,))
        if self.sign is not None and len(self.sign) != 1 and self.sign != SPACES:
            raise UsageError(
                f"separator is one character, tab or space; got {self.separator!r}", options=("separator",)
            )

    @property
    def sign(self) -> str | None:
        """What stands between fields, as pandas takes it."""
        return None if self.separator is None else _SIGNS.get(self.separator, self.separator)


@dataclass(frozen=True)
class Layout:
    """What was found out about a table, and what is to be said of it.

    Attributes:
        encoding: of the text.
        records: the first lines, split.
        look: how numbers are written.
        skip: how many lines are left out above the names, or above the rows where there are none.
        above: the lines that stand above the table.
        header: whether a line holds the columns' names.
        names: the names, where no line holds them as it stands; "" for a column without one.
        notes: what was taken where something else was possible.
    """

    encoding: str
    records: Records
    look: Look
    skip: int = 0
    above: tuple[str, ...] = ()
    header: bool = False
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def line(self) -> list[str]:
        """The names of the columns, or the first row where there are none."""
        return list(self.names) or self.records.fields[self.records.first]

    def noting(self, *notes: str, **changes: Any) -> "Layout":
        """Return the layout with some changes and more notes; empty ones are none."""
        return replace(self, notes=self.notes + tuple(filter(None, notes)), **changes)


def layout_of(head: bytes, options: TextOptions, *, whole: bool) -> Layout | None:
    """Find out how a table is laid out.

    Args:
        head: its first bytes.
        options: what the user says.
        whole: whether these are all bytes; otherwise the last line is incomplete.

    Returns:
        the layout, or None for a table without a line.

    Raises:
        DataError: for a line above the columns that can be read in two ways.
    """
    encoding = encoding_of(head)
    text = head.decode(encoding or "cp1252", errors="replace")
    text = text if whole else text[: text.rfind("\n") + 1] or text
    begin = _ABOVE.match(text).end()  # pyright: ignore[reportOptionalMemberAccess]  (it matches nothing too)
    records, rival = split_records(text[begin:], options.sign)
    if not records.fields:
        return None
    look, about_signs = number_signs(records, records.first)
    comments = [line.strip() for line in text[:begin].splitlines() if line.strip()]
    layout = Layout(encoding or "cp1252", records, look, text.count("\n", 0, begin))
    layout = layout.noting(
        about_signs or "", "" if encoding else not_utf8("cp1252"), _about_separator(records, rival)
    )
    return _with_names(layout, comments, options).noting(_about_short_lines(records))


def _with_names(layout: Layout, comments: Sequence[str], options: TextOptions) -> Layout:
    """Find out which line, if any, holds the columns' names."""
    first, line = layout.records.first, layout.line
    found = _short_names(layout, options) if first else _commented_names(layout, comments, options)
    if found is not None:
        return found
    separator = layout.records.separator.replace(SPACES, " ")
    above = (*comments, *map(separator.join, layout.records.fields[:first]))
    names, sure = has_names(line, layout.records.below(first + 1), layout.look)
    auto = options.header == "auto"
    return layout.noting(
        _about_lines(above),
        "" if sure or not auto else _about_names(line, names=names),
        skip=_skipped(layout, first),
        above=above,
        header=names if auto else options.header == "yes",
    )


def _skipped(layout: Layout, records: int) -> int:
    """Return the number of lines up to the end of so many records."""
    return layout.skip + (layout.records.ends[records - 1] if records else 0)


def _short_names(layout: Layout, options: TextOptions) -> Layout | None:
    """Return the layout of a table whose names are one fewer than its columns, or None where it has no such names.

    Raises:
        DataError: where the line above the table may be a title or such names.
    """
    records, first, look = layout.records, layout.records.first, layout.look
    line, columns = records.fields[first - 1], records.below(first)
    if len(line) != records.width - 1 or any(map(look.is_number, line)) or options.header == "no":
        return None
    layout_with = layout.noting(skip=_skipped(layout, first))
    if not any(field.strip() for field in columns[-1]):
        return layout_with.noting(names=(*line, ""))
    if options.index == "yes" or options.header == "yes" or _may_be_index(columns[0], look):
        return layout_with.noting(names=("", *line))
    if options.index == "no" or has_names(layout.line, records.below(first + 1), look)[0]:
        return None
    raise DataError(
        f"the line {records.separator.join(line)!r} has {len(line)} fields and those below have {records.width}: "
        "index='yes' (--index yes) reads it as the names of all columns but the first, header='no' (--header no) "
        "as a title above columns without names"
    )


def _may_be_index(column: Sequence[str], look: Look) -> bool:
    """Whether fields may be row numbers or row names: whole numbers or words, each once."""
    numbers = [look.number(field) for field in column]
    whole = all(number is not None and number.is_integer() for number in numbers)
    return len(set(column)) == len(column) and (whole or all(number is None for number in numbers))


def _commented_names(layout: Layout, comments: Sequence[str], options: TextOptions) -> Layout | None:
    """Return the layout of a table whose names stand behind the last ``#`` above it, or None."""
    records, look = layout.records, layout.look
    if not comments or options.header != "auto" or has_names(layout.line, records.below(1), look)[0]:
        return None
    named = split_records(comments[-1].lstrip("# \t"), records.separator)[0]
    if named.width != records.width or not has_names(named.fields[0], records.below(0), look)[0]:
        return None
    note = f"the line {comments[-1][:60]!r} above the table is taken as its column names"
    return layout.noting(_about_lines(comments[:-1]), note, names=tuple(named.fields[0]))


def not_utf8(encoding: str) -> str:
    """Return what is said of a text in another encoding than UTF-8."""
    called = {"cp1252": "Windows-1252", "latin-1": "Latin-1"}[encoding]
    return f"the text is not UTF-8, and is read as {called}"


def _about_separator(records: Records, rival: str | None) -> str:
    if rival is None:
        return ""
    taken, other = (_NAMES.get(sign, sign) for sign in (records.separator, rival))
    return (
        f"fields are separated by {taken!r}, though {other!r} would do: separator={other!r} (--separator {other!r}) "
        "takes that"
    )


def _about_names(line: Sequence[str], *, names: bool) -> str:
    shown = ",".join(line)
    shown = repr(shown if len(shown) <= 60 else f"{shown[:57]}…")
    if names:
        return f"the line {shown} is taken as column names: header='no' (--header no) reads it as a row"
    return f"the line {shown} is taken as a row: header='yes' (--header yes) reads it as column names"


def _about_lines(above: Sequence[str]) -> str:
    if not above:
        return ""
    what = "1 line" if len(above) == 1 else f"{len(above)} lines"
    return f"{what} above the table, {above[0].strip()[:60]!r}, left out"


def _about_short_lines(records: Records) -> str:
    short = [i for i in range(records.first, len(records.fields)) if len(records.fields[i]) < records.width]
    if not short:
        return ""
    line = records.fields[short[0]]
    shown = records.separator.join(line)[:60]
    return f"a line, {shown!r}, has {len(line)} of {records.width} fields: the rest are gaps"
