"""How a table of text is written: its encoding, separator, decimal sign, the lines above it, and its column names."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from latentia.data.ingest.column_names import Look, is_gap

SPACES = r"\s+"
_SEPARATORS = (",", ";", "\t", "|")
_SOME = 400  # records that a table is judged by
_BYTE_ORDERS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_GROUPS = re.compile(r"[-+]?[1-9]\d{0,2}(?:(,)\d{3})+(?:\.\d+)?|[-+]?[1-9]\d{0,2}(?:(\.)\d{3})+(?:,\d+)")


@dataclass(frozen=True)
class Records:
    """The first lines of a table, split.

    Attributes:
        separator: what stands between fields; ``\\s+`` where spaces do.
        fields: of each record that is not blank.
        ends: the number of lines of the file up to each record's end.
        width: how many fields most records have.
        share: the fraction of the records that have as many.
    """

    separator: str
    fields: list[list[str]]
    ends: list[int]
    width: int
    share: float

    @property
    def first(self) -> int:
        """The number of the first record that is as wide as most."""
        return next((i for i, record in enumerate(self.fields) if len(record) == self.width), 0)

    def below(self, first: int) -> list[list[str]]:
        """Return the fields of each column, in the records that are as wide as most, from a record on."""
        body = [record for record in self.fields[first:] if len(record) == self.width]
        return [list(column) for column in zip(*body, strict=True)] or [[] for _ in range(self.width)]


def encoding_of(head: bytes) -> str | None:
    """Return the encoding that the first bytes of a text show, or None for single bytes that are not UTF-8.

    Example:
        >>> encoding_of("a;b".encode("utf-16")), encoding_of("é;b".encode()), encoding_of("é;b".encode("latin-1"))
        ('utf-16', 'utf-8', None)
    """
    for mark, name in _BYTE_ORDERS:
        if head.startswith(mark):
            return name
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) > 0.3 * len(head):
        return "utf-16-le" if odd > even else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    return "utf-8"


def split_records(text: str, separator: str | None) -> tuple[Records, str | None]:
    """Split the first lines of a text as most of them agree.

    Args:
        text: whole lines.
        separator: what stands between fields, or None to find it.

    Returns:
        the records, and another separator that fits as well, or None.
    """
    if separator is not None:
        return _split(text, separator), None
    found = [each for each in (_split(text, each) for each in _SEPARATORS) if each.width > 1]
    if not any(each.share > 0.8 for each in found):
        spaced = _split(text, SPACES)
        found += [spaced] if spaced.width > 1 and _numeric_share(spaced) > 0.3 else []
    if not found:
        return _split(text, ","), None
    found.sort(key=lambda each: (round(each.share, 2), _numeric_share(each), each.width), reverse=True)
    best, *others = found
    rivals = [each for each in others if each.share >= best.share > 0.9]
    alike = [each.separator for each in rivals if _numeric_share(each) > _numeric_share(best) - 0.1]
    return best, next(iter(alike), None)


def _split(text: str, separator: str) -> Records:
    fields, ends = list[list[str]](), list[int]()
    for record, end in _spaced(text) if separator == SPACES else _separated(text, separator):
        if any(field.strip() for field in record):
            fields.append(record)
            ends.append(end)
        if len(fields) == _SOME:
            break
    counts = Counter(map(len, fields))
    width, often = max(counts.items(), key=lambda item: item[1], default=(0, 0))
    return Records(separator, fields, ends, width, often / max(1, counts.total()))


def _separated(text: str, separator: str) -> Iterable[tuple[list[str], int]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        for record in reader:
            yield record, reader.line_num
    except csv.Error:  # a quote that does not end: pandas says so
        return


def _spaced(text: str) -> Iterable[tuple[list[str], int]]:
    for end, line in enumerate(text.splitlines(), 1):
        yield next(csv.reader([" ".join(line.split())], delimiter=" "), []), end


def _numeric_share(records: Records) -> float:
    """Return which part of the fields are numbers, with a decimal point or, where no comma separates, a comma."""
    look = Look(decimal="." if records.separator == "," else ",")
    fields = [field for record in records.fields[:100] for field in record]
    return sum(look.is_number(field) or Look().is_number(field) for field in fields) / max(1, len(fields))


def number_signs(records: Records, first: int) -> tuple[Look, str | None]:
    """Return the decimal sign and the sign between thousands, and what was taken where both readings are possible.

    Example:
        >>> number_signs(split_records("a;b\\n1,5;x\\n2,25;y\\n", None)[0], 1)
        (Look(decimal=',', thousands=None), None)
    """
    fields = [field for record in records.fields[first:] for field in record if "," in field]
    if any(match and match[2] for match in map(_GROUPS.fullmatch, fields)):
        return Look(",", "."), None
    grouped = [field for field in fields if _GROUPS.fullmatch(field)]
    commas = [field for field in fields if _COMMA.fullmatch(field) and field not in set(grouped)]
    if len(commas) > len(grouped) or (commas and not grouped):
        return Look(","), None
    if not grouped:
        return Look(), None
    sure = any(field.count(",") > 1 or "." in field for field in grouped) and not commas
    if sure or records.separator == ",":
        return Look(".", ","), None
    return Look(","), f"{grouped[0]!r} is read with a decimal comma, not as {grouped[0].replace(',', '')}"


def zero_led(columns: Sequence[Sequence[str]]) -> list[int]:
    """Return the columns of codes: digits alone, some of which begin with a nought that a number would lose.

    Example:
        >>> zero_led([["007", "123"], ["0", "12"], ["0.5", "007"]])
        [0]
    """
    code: Callable[[str], object] = re.compile(r"0\d+").fullmatch
    some = [j for j, column in enumerate(columns) if any(map(code, column))]
    return [j for j in some if all(field.isdecimal() or is_gap(field) for field in columns[j])]
