"""Every registered set: parts that are disjoint, seeded where they should be and complete; values that fit the spec."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

import pytest
import torch
from torch import Tensor

import latentia as lt
from latentia.data.rows import Rows
from latentia.errors import DataError, UsageError

PARTS = ("train", "validation", "test")

DRAWN = ("ring", "grid", "moons", "pinwheel", "swiss-roll", "checkerboard", "stacked-digits", "stacked-mnist")
"""Sets whose parts are independent draws, each a function of the seed."""
SEEDED = (
    "digits", "chairs", "coil20", "dsprites", "fremont", "old-faithful", "olivetti", "wine-quality", "penguins",
    "california", "seattle-weather",
)  # fmt: skip
"""Sets of given rows, all of which the seed divides among the parts."""
OFFICIAL = ("mnist", "fashion-mnist", "usps", "adult")
"""Sets with an official test part; the seed divides the other rows into training and validation."""
FIXED = ("mnist-static", "nltcs", "dna", "mushrooms", "plants")
"""Sets with three official parts; the seed changes nothing."""

PUBLISHED = (*OFFICIAL, *FIXED, *(name for name in SEEDED if name not in ("digits", "chairs", "penguins")))
SMALL = {name: {"n": 60} for name in DRAWN} | {"chairs": {"types": 3, "azimuths": 4, "size": 8}}

every_set = pytest.mark.parametrize("name", sorted(lt.datasets))


def read(name: str, split: str, seed: int = 0) -> Rows:
    """Read a set anew; skip the test where its files are absent, or what reads them."""
    if name in (*PUBLISHED, "stacked-mnist") and not os.environ.get("LATENTIA_DATA"):
        pytest.skip(f"{name}: LATENTIA_DATA names no folder of published files")
    if name == "usps":
        pytest.importorskip("h5py")
    try:
        return lt.datasets[name](split=split, seed=seed, **SMALL.get(name, {}))
    except DataError as error:
        if "is not there" not in str(error):
            raise
        pytest.skip(f"{name}: {error}")


@dataclass(frozen=True)
class Part:
    """What is compared of a part of a set.

    Attributes:
        spec: of the rows.
        name: of the rows.
        prints: (n,) a number for each row that says which values, label and factors it has.
        numbers: (n,) of its rows in what it is a part of.
    """

    spec: lt.DataSpec
    name: str
    prints: Tensor
    numbers: Tensor

    def __len__(self) -> int:
        return len(self.prints)


@lru_cache(maxsize=256)
def part(name: str, split: str, seed: int = 0) -> Part:
    """Read a part once; what is kept of it is small."""
    rows = read(name, split, seed)
    numbers = torch.arange(len(rows)) if rows.numbers is None else rows.numbers
    return Part(rows.spec, rows.name, fingerprints(rows), numbers)


def parts(name: str) -> list[Part]:
    return [part(name, split) for split in PARTS]


def fingerprints(rows: Rows) -> Tensor:
    """Return Σ_j w_j b_j modulo 2⁶⁴ for each row, with b the bits of its values, label and factors, w random."""
    known = [each.view(len(rows), -1) for each in (rows.labels, rows.factor_values) if each is not None]
    bits = [block.x.float().flatten(1).view(torch.int32) for block in rows.blocks(512)]
    generator = torch.Generator().manual_seed(0)
    weights = torch.randint(1 << 62, (rows.spec.size,), generator=generator)
    found = torch.cat([(block * weights).sum(1) for block in bits])
    for each in known:
        found += (each * torch.randint(1 << 62, (each.shape[1],), generator=generator)).sum(1)
    return found


def test_every_set_says_what_the_seed_does():
    kinds = [*DRAWN, *SEEDED, *OFFICIAL, *FIXED]
    unknown = sorted(set(lt.datasets) - {*kinds})
    assert not unknown, f"add {', '.join(unknown)} to DRAWN, SEEDED, OFFICIAL or FIXED in this file"
    assert sorted(kinds) == sorted(lt.datasets)


@every_set
def test_values_fit_the_spec_and_labels_the_classes(name):
    rows = read(name, "all")
    assert rows.name.startswith(name)
    for block in rows.blocks(2048):
        rows.spec.check(block.x)
        assert block.x.dtype == torch.get_default_dtype()
    assert len(rows.spec.columns) in (0, rows.spec.size)
    assert bool(rows.spec.columns) != rows.spec.is_image
    assert (rows.labels is None) == (rows.spec.classes == ())
    if rows.labels is not None:
        assert rows.labels.dtype == torch.int64
        assert int(rows.labels.min()) >= 0
        assert int(rows.labels.max()) < len(rows.spec.classes)
        assert name in DRAWN or len(rows.labels.unique()) == len(rows.spec.classes)
    assert (rows.factor_values is None) == (rows.spec.factors == ())


@every_set
def test_parts_have_the_spec_of_the_whole_and_are_not_empty(name):
    whole = part(name, "all")
    assert all(each.spec == whole.spec and each.name == whole.name for each in parts(name))
    assert min(len(each) for each in parts(name)) > 0


@every_set
def test_the_whole_is_its_parts_together(name):
    """As many rows, and the same ones: none is in two parts that the whole has once, and none is left out."""
    together = torch.cat([each.prints for each in parts(name)])
    assert torch.equal(together.sort().values, part(name, "all").prints.sort().values)


@every_set
def test_parts_of_one_file_are_disjoint(name):
    if name in (*SEEDED, *OFFICIAL):
        of_one_file = parts(name) if name in SEEDED else parts(name)[:2]
        together = torch.cat([each.numbers for each in of_one_file])
        assert torch.equal(together.sort().values, torch.arange(len(together)))
    elif name in DRAWN and not name.startswith(
        "stacked"
    ):  # no point is drawn twice where points are continuous
        together = torch.cat([each.prints for each in parts(name)])
        assert len(together.unique()) == len(together)


@every_set
def test_the_same_seed_gives_the_same_rows(name):
    for split in ("train", "test"):
        assert torch.equal(fingerprints(read(name, split, 3)), part(name, split, 3).prints)


@every_set
def test_another_seed_changes_what_it_should(name):
    """Draws change altogether; of given rows their division does, and what is official stays."""
    if name in DRAWN:
        changed = {*PARTS, "all"}
    else:
        changed = {*PARTS} if name in SEEDED else {"train", "validation"} if name in OFFICIAL else set()
    for split in (*PARTS, "all"):
        a, b = part(name, split, 0), part(name, split, 3)
        assert torch.equal(a.prints, b.prints) == (split not in changed), split


@every_set
def test_the_density_and_the_modes_are_those_of_the_rows(name):
    rows = read(name, "test")
    if rows.log_density is not None:
        assert rows.log_density(rows.x).isfinite().all()
    if rows.modes is not None:
        distance = torch.cdist(rows.x.double(), rows.modes.centres).min(1).values
        assert float(distance.max()) < 6 * rows.modes.sd  # false alarm 60 exp(-18) = 1e-6


@every_set
def test_another_split_is_refused(name):
    with pytest.raises(UsageError, match="unknown split 'dev'; there are: train, validation, test, all"):
        lt.datasets[name](split="dev")
