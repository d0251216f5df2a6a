"""Splits: copies of rows in one part or where the seed puts them, and which of these chance asks for."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import latentia as lt
from latentia.data.columns.rows import frame_of
from latentia.data.copies import copy_numbers, expected_repeats, repeated, treatment
from latentia.data.read import read_rows
from latentia.data.rows import Rows
from latentia.data.splits import cut, seeded_part
from latentia.errors import DataError, RunError, UsageError
from latentia.metrics.score import REPEATS
from latentia.runs.evaluate import held_out_rows, scores

REAL = lt.DataSpec((3,), lt.Support("real"))
HALVES = {"train": 0.7, "test": 0.3}


def wine_like(n: int = 400, copies: int = 100) -> Rows:
    """Return rounded measurements, of which some rows are written down twice."""
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(n, 3)), 2)
    return Rows(torch.from_numpy(np.concatenate([x, x[rng.permutation(n)[:copies]]])), REAL)


def votes(n: int = 2000, columns: int = 6) -> Rows:
    bits = torch.from_numpy(np.random.default_rng(1).random((n, columns)) < 0.2).to(torch.uint8)
    return Rows(bits, lt.DataSpec((columns,), lt.Support("binary")))


def naive_numbers(x: np.ndarray) -> list[int]:
    """Number rows by their texts, in which missing values are equal."""
    texts = [str([0.0 if value == 0 else float(value) for value in row]) for row in x]
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return [places[text] for text in texts]


# --- copies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_copies_share_a_number_as_a_loop_over_texts_says(dtype):
    x = np.random.default_rng(0).integers(0, 3, size=(200, 3)).astype(dtype)
    assert copy_numbers(Rows(torch.from_numpy(x), REAL)).tolist() == naive_numbers(x)


def test_missing_values_and_zeros_of_both_signs_are_equal():
    x = np.random.default_rng(0).choice([np.nan, -np.nan, 0.0, -0.0, 1.5], size=(200, 2))
    spec = lt.DataSpec((2,), lt.Support("real", missing=True))
    numbers = copy_numbers(Rows(torch.from_numpy(x), spec))
    assert numbers.tolist() == naive_numbers(np.abs(x))
    assert int(numbers.max()) == 8  # NaN, 0 and 1.5 in two columns


def test_rows_of_different_types_are_compared_as_numbers():
    one = Rows(torch.tensor([[1], [2], [3]], dtype=torch.uint8), lt.DataSpec((1,), lt.Support("count")))
    other = Rows(torch.tensor([[2.0], [2.5], [3.0], [9.0]]), lt.DataSpec((1,), lt.Support("real")))
    assert repeated(one, other) == pytest.approx(2 / 3)
    assert repeated(other, one) == 0.5


def test_a_million_rows_take_seconds():
    x = torch.rand(1_000_000, 15, dtype=torch.float64)
    start = time.perf_counter()
    assert int(copy_numbers(Rows(x, lt.DataSpec((15,), lt.Support("real")))).max()) == 999_999
    assert time.perf_counter() - start < 30  # 4 s on an idle machine


# --- what chance explains ---------------------------------------------------------------------------------------


def brute_force(x: np.ndarray) -> float:
    """Sum 1 − (1 − p)^(n−1) over all rows that the columns' values can make, by how often they would be made."""
    n = len(x)
    counts = [Counter(column) for column in x.T]
    total = 0.0
    for values in itertools.product(*counts):
        of = [column[value] for column, value in zip(counts, values, strict=True)]
        chance = np.prod([(c - 1) / (n - 1) for c in of])
        total += np.prod([c / n for c in of]) * (1 - (1 - chance) ** (n - 1))
    return total


@pytest.mark.parametrize("levels", [(2, 2), (5, 7), (3, 3, 3, 3), (30, 20, 10)])
def test_expected_repeats_are_those_of_brute_force(levels):
    rng = np.random.default_rng(sum(levels))
    x = np.stack([rng.binomial(k - 1, 0.3, size=150) for k in levels], axis=1)
    found = expected_repeats(Rows(torch.from_numpy(x), lt.DataSpec((len(levels),), lt.Support("count"))))
    exact = brute_force(x)
    # A mean of 100,000 values in [0, 1]: its sd is at most sqrt(exact (1 − exact) / 100,000); 5 of these: 6e-7.
    assert abs(found - exact) < 5 * np.sqrt(exact * (1 - exact) / 100_000) + 1e-12


def test_columns_of_different_values_make_no_repeats():
    assert expected_repeats(Rows(torch.rand(500, 3), REAL)) == 0


def test_copies_are_grouped_where_chance_does_not_explain_them():
    rows = wine_like()
    assert treatment(rows, "auto", copy_numbers(rows)) == "group"
    assert treatment(votes(), "auto", copy_numbers(votes())) == "keep"
    coarse = Rows(torch.randint(4, (500, 3), generator=torch.Generator().manual_seed(0)).double(), REAL)
    assert expected_repeats(coarse) > 0.5
    assert treatment(coarse, "auto", copy_numbers(coarse)) == "keep"
    table = lt.Support("table", columns=(lt.Support("binary"), lt.Support("real"), lt.Support("real")))
    mixed = Rows(rows.x, lt.DataSpec((3,), table))
    assert treatment(mixed, "auto", copy_numbers(mixed)) == "group"


# --- splits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_no_copy_crosses_a_grouped_split(seed):
    rows = wine_like()
    parts = cut(rows, HALVES, seed, "auto")
    assert repeated(parts["test"], parts["train"]) == 0
    assert repeated(*reversed(list(cut(rows, HALVES, seed, "keep").values()))) > 0.1
    together = torch.cat([part.numbers for part in parts.values()])
    assert together.sort()[0].equal(torch.arange(len(rows)))
    assert abs(len(parts["test"]) - 150) <= 2


def test_without_copies_all_treatments_split_alike():
    rows = Rows(torch.rand(200, 3), REAL)
    plain = rows.split(HALVES, 4)
    for copies in ("auto", "keep", "group", "drop"):
        assert all(
            part.numbers.equal(plain[name].numbers) for name, part in cut(rows, HALVES, 4, copies).items()
        )


def test_dropped_copies_are_in_no_part():
    rows = wine_like()
    numbers = naive_numbers(rows.x.numpy())
    different = [place for place, number in enumerate(numbers) if number not in numbers[:place]]
    assert seeded_part(rows, "all", 0, "drop").numbers.tolist() == different
    parts = cut(rows, HALVES, 0, "drop").values()
    assert torch.cat([part.numbers for part in parts]).sort()[0].tolist() == different


def test_a_discrete_table_is_split_at_random():
    rows = votes()
    parts = cut(rows, HALVES, 2, "auto")
    assert parts["test"].numbers.equal(rows.split(HALVES, 2)["test"].numbers)
    assert repeated(parts["test"], parts["train"]) > 0.9


def test_too_few_different_rows_and_other_words_are_refused():
    rows = Rows(torch.ones(20, 3), REAL)
    with pytest.raises(DataError, match=r"1 different rows, too few to split.*copies='keep'"):
        cut(rows, HALVES, 0, "group")
    with pytest.raises(UsageError, match="copies is one of auto, keep, group, drop; got 'some'"):
        cut(rows, HALVES, 0, "some")


# --- runs -------------------------------------------------------------------------------------------------------


def measured(n: int = 300, copies: int = 0) -> pd.DataFrame:
    return pd.DataFrame(wine_like(n - copies, copies).x.numpy(), columns=["a", "b", "c"])


def stored(frame: pd.DataFrame, form: str, folder):
    """Return a table in one of the forms that ``fit`` takes."""
    if form == "frame":
        return frame
    path = folder / f"rows.{form}"
    if form == "npy":
        np.save(path, frame.to_numpy())
    elif form == "npz":
        np.savez(path, x=frame.to_numpy())
    else:
        getattr(frame, f"to_{form}")(path, index=False)
    return path


@pytest.mark.parametrize("form", ["frame", "csv", "parquet", "npy", "npz"])
def test_a_tenth_of_files_and_frames_is_held_out_and_said(form, tmp_path, capsys):
    run = lt.fit("gaussian", stored(measured(), form, tmp_path), out=tmp_path / "run")
    assert (len(run.train_rows), len(run.held_out), run.training.validation) == (270, 30, 0.1)
    assert (
        capsys.readouterr().err.count("30 of 300 rows are held out to score the run on (validation=0, or")
        == 1
    )
    assert json.loads((tmp_path / "run/config.json").read_text())["data"]["split_rule"] == 2
    if form != "frame":
        assert held_out_rows(lt.load(tmp_path / "run")).x.equal(run.held_out.x)
        lt.evaluate(lt.load(tmp_path / "run"))


def test_a_folder_of_pictures_holds_a_tenth_out(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pictures = np.random.default_rng(0).integers(256, size=(200, 4, 4), dtype=np.uint8)
    (tmp_path / "photos").mkdir()
    for place, picture in enumerate(pictures):
        image.fromarray(picture).save(tmp_path / "photos" / f"{place:03}.png")
    run = lt.fit("gaussian", tmp_path / "photos", support="real", progress=False)
    assert (len(run.train_rows), len(run.held_out)) == (180, 20)


def test_small_tables_arrays_and_who_says_so_hold_none_out(tmp_path, capsys):
    small = measured(199)
    runs = [
        lt.fit("gaussian", small),
        lt.fit("gaussian", measured(), validation=0, out=tmp_path / "run"),
        lt.fit("gaussian", measured().to_numpy()),
        lt.fit("gaussian", torch.from_numpy(measured().to_numpy())),
    ]
    assert [run.held_out for run in runs] == [None] * 4
    assert [run.training.validation for run in runs] == [None, 0.0, None, None]
    assert "held out" not in capsys.readouterr().err
    with pytest.raises(UsageError, match="nothing was held out"):
        lt.evaluate(lt.load(tmp_path / "run"))


@pytest.mark.parametrize("copies", [None, "keep", "group", "drop"])
def test_what_was_done_with_copies_is_found_again(copies, tmp_path, capsys):
    path = stored(measured(500, 200), "csv", tmp_path)
    run = lt.fit("gaussian", path, out=tmp_path / "run", copies=copies)
    again = lt.load(tmp_path / "run")
    assert again.training.copies == copies
    assert held_out_rows(again).x.equal(run.held_out.x)
    crossing = repeated(run.held_out, run.train_rows)
    assert (crossing > 0.2) == (copies == "keep")
    found = scores(again, metrics="log-likelihood")[0].settings
    assert found.get(REPEATS, 0.0) == crossing
    told = capsys.readouterr().err
    assert ("repeat a training row" in told) == (copies == "keep")
    assert ("copies of a row are in one part" in told) == (copies in (None, "group"))


def without_rule(folder) -> None:
    """Make config.json what earlier versions wrote."""
    config = json.loads((folder / "config.json").read_text())
    del config["data"]["split_rule"]
    config["training"]["copies"] = None
    (folder / "config.json").write_text(json.dumps(config))


def test_a_folder_without_a_rule_has_the_parts_of_its_time(tmp_path):
    path, folder = stored(measured(500, 200), "csv", tmp_path), tmp_path / "run"
    run = lt.fit("gaussian", path, validation=0.2, copies="keep", split_seed=3, out=folder)
    without_rule(folder)
    old = read_rows(path).split((0.8, 0.2), seed=3)
    assert held_out_rows(lt.load(folder)).x.equal(old[1].x)
    assert run.train_rows.x.equal(old[0].x)
    assert lt.evaluate(lt.load(folder)).drop(columns="run").equals(lt.evaluate(run).drop(columns="run"))
    lt.fit("gaussian", path, validation=0.2, split_seed=3, out=folder, resume=True)


def test_a_folder_of_its_time_that_held_nothing_out_goes_on_so(tmp_path):
    path, folder = stored(measured(), "csv", tmp_path), tmp_path / "run"
    options = {"recipe": "vae", "data": path, "hidden": 4, "latent_dim": 2, "progress": False, "out": folder}
    lt.fit(**options, validation=0, epochs=1)
    without_rule(folder)
    config = json.loads((folder / "config.json").read_text())
    config["training"]["validation"] = None
    (folder / "config.json").write_text(json.dumps(config))
    run = lt.fit(**options, epochs=2, resume=True)
    assert (run.held_out, len(run.train_rows), len(run.epochs)) == (None, 300, 2)
    with pytest.raises(UsageError, match="nothing was held out"):
        lt.evaluate(lt.load(folder))


def test_a_run_goes_on_with_the_rows_that_it_held_out_unasked(tmp_path):
    options = {"recipe": "vae", "data": measured(), "hidden": 4, "latent_dim": 2, "progress": False}
    run = lt.fit(**options, out=tmp_path / "run", epochs=1)
    again = lt.fit(**options, out=tmp_path / "run", epochs=2, resume=True)
    assert again.held_out.x.equal(run.held_out.x)
    with pytest.raises(RunError, match=r"begun with validation=0\.1, not with validation=0"):
        lt.fit(**options, out=tmp_path / "run", epochs=3, validation=0, resume=True)


def test_copies_that_would_do_nothing_are_refused():
    array = measured().to_numpy()
    with pytest.raises(UsageError, match="copies='group' is for a split, and no rows are held out"):
        lt.fit("gaussian", array, copies="group")
    assert len(lt.fit("gaussian", measured(300, 100).to_numpy(), copies="drop").train_rows) == 200
    with pytest.raises(
        UsageError, match="copies='group' is for tables without parts of their own; those of digits"
    ):
        lt.fit("gaussian", "digits", support="real", copies="group")


# --- named tables -----------------------------------------------------------------------------------------------


def published(name: str, split: str) -> Rows:
    try:
        return lt.datasets[name](split=split)
    except DataError as error:
        if "is not there" not in str(error):
            raise
        pytest.skip(f"{name}: {error}")


def test_penguins_come_with_the_package_and_are_what_pandas_reads():
    rows = lt.datasets["penguins"](split="all")
    path = Path(lt.__file__).parent / "data/sets/penguins.csv"
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith("f204db2c753b0937")
    frame = pd.read_csv(path)
    assert (len(rows), rows.spec.columns) == (344, tuple(frame.columns))
    assert int(rows.x.isnan().sum()) == int(frame.isna().sum().sum()) == 19
    assert frame_of(rows.x, rows.spec).equals(frame)


@pytest.mark.parametrize(
    ("name", "sizes", "columns"),
    [
        ("adult", (29_305, 3_256, 16_281), 15),
        ("nltcs", (16_181, 2_157, 3_236), 16),
        ("dna", (1_600, 400, 1_186), 180),
        ("mushrooms", (2_000, 500, 5_624), 112),
        ("plants", (17_412, 2_321, 3_482), 69),
    ],
)
@pytest.mark.skipif(
    not os.environ.get("LATENTIA_DATA"), reason="LATENTIA_DATA names no folder of published files"
)
def test_official_parts_have_their_published_sizes(name, sizes, columns):
    parts = [published(name, split) for split in ("train", "validation", "test")]
    assert tuple(map(len, parts)) == sizes
    assert {part.spec.size for part in parts} == {columns}


@pytest.mark.skipif(
    not os.environ.get("LATENTIA_DATA"), reason="LATENTIA_DATA names no folder of published files"
)
def test_adult_has_two_classes_and_gaps_and_nltcs_repeats_itself():
    rows = published("adult", "test")
    assert rows.spec.categories[-1] in ((), ("<=50K", ">50K"))
    assert rows.spec.support.missing
    assert int(published("adult", "all").x.isnan().sum()) == 6_465
    assert 0.85 < repeated(published("nltcs", "test"), published("nltcs", "train")) < 0.95
