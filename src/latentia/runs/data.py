"""The data of a run: read in parts, described in config.json, and the part held out found again."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.data.streams import Stream
from latentia.errors import LatentiaError
from latentia.runs.options import Training
from latentia.runs.parts import is_named, part_name, read_parts

_MOST = 1000  # rows whose values identify a set


def own_part(data: Mapping[str, Any]) -> str:
    """Return what the rows are called that a run is scored on unless others are given.

    Args:
        data: what `description` returned.
    """
    return part_name("test" if data["named"] else "held-out", data["name"])


def description(
    data: Any, rows: Rows | Stream, training: Training, reading: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what config.json says of the data: what it is, and how a file of one's own is read again."""
    labels, size = reading["labels"], reading["resize"]
    again = labels is None or isinstance(labels, str)
    return {
        "name": str(data) if isinstance(data, str | Path) else rows.name,
        "named": is_named(data),
        "path": _path(data) if again else None,
        "labels": labels if again and _path(data) is not None else None,
        "resize": None if size is None else np.broadcast_to(size, 2).tolist(),
        "text": _said({name: reading[name] for name in ("header", "index", "separator")}),
        "n": len(rows) if isinstance(rows, Rows) else None,
        "fingerprint": fingerprint(rows) if isinstance(rows, Rows) else None,
        "split_seed": training.split_seed,
        **({"split_rule": reading["split_rule"]} if reading["split_rule"] else {}),
        "spec": rows.spec.to_json(),
        **({"columns": reading["columns"]} if reading["columns"] else {}),
    }


def _said(text: Mapping[str, str | None]) -> dict[str, str] | None:
    """Return what is said of a table of text, or None where all of it is for the reader to find out."""
    return {name: value for name, value in text.items() if value not in (None, "auto")} or None


def fingerprint(rows: Rows) -> int:
    """Return a number that identifies rows: the CRC-32 of at most 1,000 of them, attributes included."""
    count = min(_MOST, len(rows))
    chosen = torch.arange(count) * (len(rows) - 1) // max(1, count - 1)
    code = crc32(rows.take(chosen).x.float().contiguous().numpy().tobytes())
    for known in _known_of(rows):
        code = crc32(known[chosen].contiguous().numpy().tobytes(), code)
    return code


def _known_of(rows: Rows) -> Iterator[Tensor]:
    """Yield what is known of rows in the form that fingerprints are taken of: class, factors, conditions, texts."""
    if rows.labels is not None:
        yield rows.labels
    if rows.factor_values is not None:
        yield rows.factor_values
    conditions = [
        (each, rows.attributes[each.name]) for each in rows.spec.conditions if each.name in rows.attributes
    ]
    numbers = [values.double() for each, values in conditions if each.kind != "text"]
    if numbers:
        yield torch.stack(numbers, dim=1)
    yield from (values for each, values in conditions if each.kind == "text")


def read_again(data: Mapping[str, Any], training: Training) -> tuple[Rows, Rows | None] | None:
    """Return the rows that a run was fitted to and those held out from it, read again; None where they are not there.

    Args:
        data: what `description` returned; of the user's own data, a file that is there and has not changed.
        training: has the fraction that was held out, and the seed of the split.
    """
    source = data["name"] if data["named"] else data.get("path")
    sets = source.values() if isinstance(source, Mapping) else [source]
    if any(each is None or not (is_named(each) or Path(each).exists()) for each in sets):
        return None
    spec = DataSpec.from_json(data["spec"])
    reading: dict[str, Any] = {"support": data["spec"]["support"], "like": spec}
    reading |= {"split_rule": data.get("split_rule")}
    if not data["named"]:
        reading |= {"labels": data["labels"], "resize": data["resize"] and tuple(data["resize"])}
        reading |= data.get("text") or {}
        reading["context"] = [each.name for each in spec.conditions]
    try:
        kept, held_out, _ = read_parts(source, training, **reading)
    except LatentiaError:  # it was read once, so it is another file
        return None
    if isinstance(kept, Stream):
        return None
    same = (len(kept), fingerprint(kept)) == (data["n"], data["fingerprint"])
    return (kept, held_out) if same else None


def _path(data: Any) -> Any:
    """Return where data is read again: an absolute path, or names and paths by domain; None for what is in memory."""
    if isinstance(data, Mapping):
        sources = {str(key): each if is_named(each) else _path(each) for key, each in data.items()}
        return None if None in sources.values() else sources
    return str(Path(data).resolve()) if isinstance(data, str | Path) and not is_named(data) else None
