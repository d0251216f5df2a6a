"""The parts of a set: train, validation, test."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from latentia.data.copies import copy_numbers, treatment
from latentia.data.randomness import permutation
from latentia.data.rows import Rows
from latentia.errors import DataError, UsageError

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
SPLITS = (*FRACTIONS, "all")
COPIES = ("auto", "keep", "group", "drop")


def seeded_part(rows: Rows, split: str, seed: int, copies: str = "keep") -> Rows:
    """Return a part of a set that has no official split: 80, 10 and 10 % at random, by seed; copies as in `cut`."""
    check_split(split)
    if split == "all":
        return without_copies(rows) if copies == "drop" else rows
    return cut(rows, FRACTIONS, seed, copies)[split]


def cut(rows: Rows, fractions: Mapping[str, float], seed: int, copies: str) -> dict[str, Rows]:
    """Split rows into random parts by name, a function of the seed.

    Args:
        rows: to split.
        fractions: of the rows, for each part.
        seed: chooses which rows go where.
        copies: of rows: keep them where the seed puts them, group those of one row in one part, drop all but the
            first; auto groups them where chance does not explain them (`latentia.data.copies.treatment`). Without
            copies all are the same.

    Raises:
        UsageError: for fractions that are not positive or add up to more than 1, and for another word for copies.
        DataError: if a part would be empty.

    Example:
        >>> from latentia.data.spec import DataSpec, Support
        >>> rows = Rows(torch.arange(10.0).repeat_interleave(2)[:, None], DataSpec((1,), Support("real")))
        >>> parts = cut(rows, {"train": 0.8, "test": 0.2}, 0, "group")
        >>> parts["test"].x[:, 0].tolist()
        [6.0, 6.0, 9.0, 9.0]
    """
    if copies not in COPIES:
        raise UsageError(f"copies is one of {', '.join(COPIES)}; got {copies!r}", options=["copies"])
    if copies == "keep":
        return rows.split(fractions, seed)
    numbers = copy_numbers(rows)
    match treatment(rows, copies, numbers):
        case "group":
            return _grouped(rows, fractions, seed, numbers)
        case "drop":
            return without_copies(rows, numbers).split(fractions, seed)
        case _:
            return rows.split(fractions, seed)


def without_copies(rows: Rows, numbers: Tensor | None = None) -> Rows:
    """Return different rows: the first of each that there are several of."""
    numbers = copy_numbers(rows) if numbers is None else numbers
    first = torch.full((int(numbers.max()) + 1,), len(rows)).scatter_reduce(
        0, numbers, torch.arange(len(rows)), "amin"
    )
    return rows.select(first)


def _grouped(rows: Rows, fractions: Mapping[str, float], seed: int, numbers: Tensor) -> dict[str, Rows]:
    """Split the different rows, in a random order, where the counts of rows reach the fractions."""
    ends = _ends(rows, fractions.values())
    sizes = numbers.bincount()
    order = permutation(len(sizes), seed)
    starts = torch.empty_like(sizes)
    starts[order] = sizes[order].cumsum(0) - sizes[order]
    part = torch.bucketize(starts, ends, right=True)[numbers]
    chosen = [(part == place).nonzero()[:, 0] for place in range(len(ends))]
    if any(not len(each) for each in chosen):
        raise DataError(
            f"{rows.name} has {len(sizes)} different rows, too few to split by {list(fractions.values())} with copies "
            "in one part: copies='keep' splits them at random"
        )
    return {name: rows.select(each) for name, each in zip(fractions, chosen, strict=True)}


def _ends(rows: Rows, fractions: Iterable[float]) -> Tensor:
    return torch.tensor([round(len(rows) * total) for total in accumulate(fractions)])


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
