"""The parts of a set: train, validation, test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latentia.data.rows import Rows
from latentia.errors import DataError, UsageError

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
SPLITS = (*FRACTIONS, "all")


def seeded_part(rows: Rows, split: str, seed: int) -> Rows:
    """Return a part of a set that has no official split: 80, 10 and 10 % at random, by seed."""
    check_split(split)
    return rows if split == "all" else rows.split(FRACTIONS, seed)[split]


def official_part(read: Callable[[str], Rows], split: str, seed: int, *, validation: int) -> Rows:
    """Return a part of a set with official training and test parts; validation comes out of training.

    Args:
        read: returns the rows of "train" or "test".
        split: train, validation, test or all.
        seed: which training rows are for validation.
        validation: how many.
    """
    check_split(split)
    if split == "test":
        return read("test")
    rows = read("train")
    if split == "all":
        return joined([rows, read("test")])
    held = validation / len(rows)
    return rows.split({"train": 1 - held, "validation": held}, seed)[split]


def joined(parts: list[Rows]) -> Rows:
    """Join rows of one spec that are held in memory."""
    first = parts[0]
    if any(part.spec != first.spec for part in parts):
        raise DataError(f"parts of {first.name} differ: {' and '.join(str(part.spec) for part in parts)}")
    return replace(
        first,
        store=torch.cat([part.x for part in parts]),
        attributes=_joined([part.attributes for part in parts]),
        numbers=None,
    )


def check_split(split: str) -> None:
    """Raise `UsageError` unless a split has that name."""
    if split not in SPLITS:
        raise UsageError(f"unknown split {split!r}; there are: {', '.join(SPLITS)}")


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: torch.cat([part[name] for part in parts]) for name in names}
