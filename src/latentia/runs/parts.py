"""The parts of a run's data: the rows to train on and those held out, and what is said of them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentia.data.copies import copy_numbers, repeated, repeats_text
from latentia.data.encoding.margins import in_units_of, with_margins
from latentia.data.encoding.table import can_encode
from latentia.data.ingest.parts import parts_of
from latentia.data.read import is_frame, read_rows
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.data.splits import cut, without_copies
from latentia.data.streams import Stream
from latentia.errors import UsageError
from latentia.registry import datasets
from latentia.runs.distributed import rank
from latentia.runs.folder import read_config
from latentia.runs.options import Training
from latentia.runs.progress import print_note

SPLIT_RULE = 2
"""The version of the rule by which rows are held out, in config.json; in folders without one, nothing is held out
unless asked for, and copies of rows are kept where the seed puts them."""

HELD_OUT = 0.1  # of files and frames, by default
LARGE = 200  # rows from which on some of them are held out by default
_MOST_COMPARED = 1 << 30  # numbers in rows that are compared to find copies


def is_named(data: Any) -> bool:
    """Whether data is the name of a set."""
    return isinstance(data, str) and data in datasets


def read_parts(
    data: Any,
    training: Training,
    *,
    split_rule: int | None = SPLIT_RULE,
    like: DataSpec | None = None,
    **reading: Any,
) -> tuple[Rows | Stream, Rows | None, float | None]:
    """Return the rows to train on, those held out, and which fraction of own data these are.

    They are the parts of a named set, or a fraction (``validation``): by default a tenth of files and frames that are
    large enough. Of a folder or file that comes in parts, and no fraction, the validation part, or else the test part,
    is held out. Rows that are to be like those of a spec are read in its columns and units.
    """
    rows, held_out, fraction = _divided(data, training, split_rule, {**reading, "like": like})
    if isinstance(rows, Stream):
        return rows, held_out, fraction
    if like is not None:
        return in_units_of(like, rows), held_out and in_units_of(like, held_out), fraction
    normal = training.number_encoding == "quantile-normal" and len(rows.spec.event_shape) == 1
    if normal or can_encode(rows.spec):  # the margins of tables are known
        rows = with_margins(rows, quantiles=normal)
        held_out = None if held_out is None else in_units_of(rows.spec, held_out)
    return rows, held_out, fraction


def _divided(
    data: Any, training: Training, split_rule: int | None, reading: dict[str, Any]
) -> tuple[Rows | Stream, Rows | None, float | None]:
    seed, copies = training.split_seed, copies_in(training, split_rule)
    if is_named(data):
        return *_of_named(data, training, **reading, seed=seed, copies=copies), None
    rows, fraction = read_rows(data, copies=copies, **reading), training.validation
    if isinstance(rows, Stream):
        _refuse_split(training)
        return rows, None, fraction
    if fraction is None and parts_of(data):
        return rows, _official(data, rows, reading), None
    if fraction is None and split_rule and _is_stored(data) and len(rows) >= LARGE:
        fraction = HELD_OUT
    if not fraction:
        return _undivided(rows, training), None, fraction
    parts = cut(rows, {"train": 1 - fraction, "held-out": fraction}, seed, copies)
    return parts["train"], _called(parts["held-out"], "held-out", rows.name), fraction


def _of_named(data: str, training: Training, **reading: Any) -> tuple[Rows | Stream, Rows | None]:
    """Return the training and the validation part of a named set."""
    if training.validation is not None:
        raise UsageError(f"validation is for data without a validation part; {data!r} has one")
    rows, held_out = (read_rows(data, split=part, **reading) for part in ("train", "validation"))
    return rows, _called(held_out, "validation", data) if isinstance(held_out, Rows) else None


def _official(data: Any, rows: Rows, reading: Mapping[str, Any]) -> Rows | None:
    """Return the validation part, or else the test part, of a folder or file that comes in parts; None of others."""
    part = next((part for part in ("validation", "test") if part in parts_of(data)), None)
    if part is None:
        return None
    alike: dict[str, Any] = {**reading, "support": str(rows.spec.support)}
    held_out = read_rows(data, split=part, **alike)
    return _called(held_out, "held-out", rows.name) if isinstance(held_out, Rows) else None


def rules_of(path: Path | None) -> dict[str, Any]:
    """Return the rules by which a run's rows are read: today's, or those of the folder that is gone on with.

    Folders without a version of the rule are also older than kinds of columns and units: their spec is kept to.
    """
    if path is None or not path.exists():
        return {"split_rule": SPLIT_RULE}
    data = read_config(path)["data"]
    rule = data.get("split_rule")
    return {"split_rule": rule, "like": None if rule else DataSpec.from_json(data["spec"])}


def copies_in(training: Training, split_rule: int | None) -> str:
    """Return what splits do with copies of rows; the first rule, of runs without one, keeps them where they are."""
    return training.copies or ("auto" if split_rule else "keep")


def _is_stored(data: Any) -> bool:
    """Whether data is a frame or the path of a file or a folder, or several of these by name."""
    if isinstance(data, Mapping):
        return all(_is_stored(each) for each in data.values())
    return is_frame(data) or (isinstance(data, str | Path) and not is_named(data))


def _refuse_split(training: Training) -> None:
    """Raise `UsageError` for options of a split, which batches that a loader makes cannot have."""
    for name in ("validation", "copies"):
        if getattr(training, name):
            raise UsageError(
                f"{name} needs rows that can be chosen by number; a DataLoader's cannot", options=[name]
            )


def _undivided(rows: Rows, training: Training) -> Rows:
    """Return all rows to train on; without copies where these are to be dropped."""
    if training.copies in ("keep", "group"):
        raise UsageError(
            f"copies={training.copies!r} is for a split, and no rows are held out: give validation=, or leave it out",
            options=["copies", "validation"],
        )
    return without_copies(rows) if training.copies == "drop" else rows


def notes_of(
    rows: Rows | Stream, held_out: Rows | None, training: Training, asked: float | None
) -> Iterator[str]:
    """Yield what is to be said of a split: rows that are held out by default, and copies.

    Args:
        rows: to train on.
        held_out: the others.
        training: as it is recorded.
        asked: the fraction that was given.
    """
    if held_out is None or isinstance(rows, Stream):
        return
    if asked is None and training.validation:
        yield (
            f"{len(held_out):,} of {len(rows) + len(held_out):,} rows are held out to score the run on "
            "(validation=0, or --validation 0, fits to all of them)"
        )
    if (len(rows) + len(held_out)) * rows.spec.size > _MOST_COMPARED or rows.spec.is_image:
        return
    fraction = repeated(held_out, rows)
    if fraction:
        advice = (
            " (copies='group', or --copies group, keeps copies in one part)" if training.validation else ""
        )
        yield f"{repeats_text(fraction)}{advice}"
    elif training.validation and int(copy_numbers(rows).max()) + 1 < len(rows):
        yield "copies of a row are in one part (copies='keep', or --copies keep, splits all rows at random)"


def tell_parts(rows: Rows | Stream, held_out: Rows | None, training: Training, asked: float | None) -> None:
    """Print `notes_of` these, where this process is the one that prints."""
    if rank() == 0:
        for note in notes_of(rows, held_out, training, asked):
            print_note(note)


def part_name(part: str, name: str) -> str:
    """Return what a part of a set is called, in messages and with scores.

    Example:
        >>> part_name("test", "digits"), part_name("held-out", "photos/cats.npy")
        ('the test part of digits', 'the held-out part of cats.npy')
    """
    return f"the {part} part of {Path(name).name}"


def _called(rows: Rows, part: str, name: str) -> Rows:
    return replace(rows, name=part_name(part, name))
