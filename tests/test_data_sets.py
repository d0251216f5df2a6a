"""Named sets: each from tiny files that the test writes, and from the published files where they are."""

import gzip
import os
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

import latentia.data
from latentia.data.ingest import download
from latentia.data.ingest.download import PublishedFile
from latentia.data.rows import Rows
from latentia.data.sets.tables import daily_counts
from latentia.errors import DataError, UsageError
from latentia.registry import datasets

published = pytest.mark.skipif(
    not os.environ.get("LATENTIA_DATA"), reason="LATENTIA_DATA names no folder of published files"
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def published_files() -> Iterator[PublishedFile]:
    """Find the records that stand beside the named sets, in whatever file of the package these are."""
    for each in pkgutil.walk_packages(latentia.data.__path__, "latentia.data."):
        for value in vars(import_module(each.name)).values():
            files = value.values() if isinstance(value, dict) else [value]
            yield from (file for file in files if isinstance(file, PublishedFile))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own files, which are not the published ones, without a network."""

    def retrieve(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setenv("LATENTIA_DATA", str(tmp_path))
    monkeypatch.setattr(download, "_verify", lambda path, file: None)
    monkeypatch.setattr(download.pooch, "retrieve", retrieve)
    for file in published_files():
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
    return tmp_path


def test_the_records_of_published_files_are_well_formed():
    """Each has a checksum, but for a live export, whose bytes cannot be known."""
    files = list(published_files())
    assert len({file.path for file in files}) == len(files)
    assert {file.path.partition("/")[0] for file in files} >= {
        "mnist", "fashion-mnist", "mnist-static", "usps", "dsprites", "olivetti", "coil20", "fremont",
        "wine-quality", "geyser",
    }  # fmt: skip
    for file in files:
        assert file.address.startswith(("https://", "http://"))
        for checksum in file.checksums:
            kind, _, digits = checksum.partition(":")
            assert len(digits) == {"sha256": 64, "md5": 32}[kind]
            int(digits, 16)
        assert file.checksums or file.path.startswith("fremont/")


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_pairs(cache: Path, name: str):
    images, labels = rng().integers(0, 256, (12_000, 2, 3), dtype=np.uint8), np.arange(12_000) % 10
    for part, n in (("train", 12_000), ("t10k", 20)):
        write_idx(cache / name / f"{part}-images-idx3-ubyte.gz", images[:n])
        write_idx(cache / name / f"{part}-labels-idx1-ubyte.gz", labels[:n].astype(np.uint8))
    test = datasets[name](split="test")
    assert np.array_equal(test.x[:, 0].numpy(), images[:20])
    assert test.labels.tolist() == labels[:20].tolist()
    assert str(test.spec.support) == "discrete(256)"
    assert len(test.spec.classes) == 10
    train, validation = datasets[name](split="train", seed=1), datasets[name](split="validation", seed=1)
    assert (len(train), len(validation), len(datasets[name](split="all"))) == (2_000, 10_000, 12_020)
    numbers = [rows.take(torch.arange(len(rows))).index for rows in (train, validation)]
    assert sorted(torch.cat(numbers).tolist()) == list(range(12_000))
    assert train.labels.tolist() == (numbers[0] % 10).tolist()


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_static(cache: Path, zipped: bool):
    bits = {part: rng().integers(0, 2, (n, 784)) for part, n in (("train", 6), ("valid", 3), ("test", 2))}
    for part, array in bits.items():
        text = "".join(" ".join(map(str, row)) + "\n" for row in array).encode()
        path = cache / f"mnist-static/binarized_mnist_{part}.amat{'.gz' * zipped}"
        path.write_bytes(gzip.compress(text) if zipped else text)
    for split, part in (("train", "train"), ("validation", "valid"), ("test", "test")):
        rows = datasets["mnist-static"](split=split)
        assert np.array_equal(rows.x.reshape(len(rows), -1).numpy(), bits[part])
        assert str(rows.spec.support) == "binary"
    assert len(datasets["mnist-static"](split="all")) == 11


def test_usps(cache: Path):
    h5py = pytest.importorskip("h5py")
    images = rng().random((1_200, 256)).astype(np.float32)
    with h5py.File(cache / "usps/usps.h5", "w") as file:
        for part, n in (("train", 1_200), ("test", 30)):
            file[f"{part}/data"], file[f"{part}/target"] = images[:n], np.arange(n, dtype=np.int32) % 10
    test = datasets["usps"](split="test")
    assert np.array_equal(test.x[:, 0].numpy(), images[:30].reshape(-1, 16, 16))
    assert test.labels.tolist() == [n % 10 for n in range(30)]
    assert str(test.spec.support) == "unit"
    assert (len(datasets["usps"](split="train")), len(datasets["usps"](split="validation"))) == (200, 1_000)


def test_dsprites(cache: Path):
    images = rng().integers(0, 2, (60, 64, 64), dtype=np.uint8)
    shapes = np.arange(60) % 3
    factors = np.stack([shapes, *np.zeros((4, 60), dtype=int)], axis=1)
    metadata = np.array({"title": "sprites"}, dtype=object)
    subset = cache / "dsprites/dsprites_subset.npz"
    np.savez(subset, imgs=images[:30], latents_classes=factors[:30], metadata=metadata)
    rows = datasets["dsprites"](split="all")
    assert rows.name == "dsprites-random"
    assert np.array_equal(rows.x[:, 0].numpy(), images[:30])
    assert rows.labels.tolist() == shapes[:30].tolist()
    full = np.column_stack([np.zeros(60, dtype=int), factors])  # the colour, always white
    np.savez(cache / FILES_FULL, imgs=images, latents_classes=full, metadata=metadata)
    rows = datasets["dsprites"](split="all")
    assert (rows.name, len(rows)) == ("dsprites-full", 60)
    assert rows.labels.tolist() == shapes.tolist()
    assert len(datasets["dsprites"](split="train", subset="random")) == 24
    with pytest.raises(UsageError, match="did you mean 'random'"):
        datasets["dsprites"](subset="ramdom")
    with pytest.raises(DataError, match=r"dsprites_downsampled.npz is not there"):
        datasets["dsprites"](subset="grid")


FILES_FULL = "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"


def test_column_major_images(cache: Path):
    faces = rng().integers(0, 256, (400, 64, 64), dtype=np.uint8)
    savemat(cache / "olivetti/olivettifaces.mat", {"faces": np.stack([face.ravel("F") for face in faces], 1)})
    rows = datasets["olivetti"](split="all")
    assert np.array_equal(rows.x[:, 0].numpy(), faces)
    assert torch.bincount(rows.labels).tolist() == [10] * 40
    objects = rng().integers(0, 256, (40, 32, 32), dtype=np.uint8)
    numbers = np.repeat(np.arange(1, 21), 2)[:, None].astype(np.uint8)
    x = np.stack([image.ravel("F") for image in objects])
    savemat(cache / "coil20/COIL20.mat", {"X": x, "Y": numbers})
    rows = datasets["coil20"](split="all")
    assert np.array_equal(rows.x[:, 0].numpy(), objects)
    assert [rows.spec.classes[label] for label in rows.labels] == [str(n) for n in numbers.ravel()]


def hourly(days: list[str], east: int, west: int, *, columns: str, reverse: bool, skip: str = "") -> str:
    """Write hourly counts as the two exports do: East before West, or a total, then West before East."""
    lines = []
    for day in days:
        for hour in range(24):
            stamp = f"{day} {(hour - 1) % 12 + 1:02}:00:00 {'AM' if hour < 12 else 'PM'}"
            a, b = east + hour, west + hour
            counts = f"{a},{b}" if columns == "old" else f"{a + b},{b},{a}"
            blank = "," * counts.count(",")
            lines.append(f"{stamp},{blank if stamp == skip else counts}")
    head = (
        "Date,Fremont Bridge East Sidewalk,Fremont Bridge West Sidewalk"
        if columns == "old"
        else 'Date,"Bridge, south Total","Bridge, south Cyclist West Sidewalk","Bridge, south Cyclist East Sidewalk"'
    )
    return "\n".join([head, *(reversed(lines) if reverse else lines)]) + "\n"


@pytest.mark.parametrize(("columns", "reverse"), [("old", True), ("new", False)])
def test_fremont_in_both_layouts(cache: Path, columns: str, reverse: bool):
    days = ["01/01/2018", "01/02/2018", "03/11/2018"]  # a Monday, a Tuesday, and the spring change of clocks
    text = hourly(days, 100, 500, columns=columns, reverse=reverse, skip="03/11/2018 02:00:00 AM")
    (cache / "fremont/FremontBridge.csv").write_text(text)
    rows = datasets["fremont"](split="all")
    hours = list(range(24))
    assert rows.x.tolist() == [[100 + h for h in hours]] * 2 + [[500 + h for h in hours]] * 2
    assert [rows.spec.classes[label] for label in rows.labels] == ["Monday", "Tuesday"] * 2
    assert rows.spec.columns[13] == "13:00"


def test_fremont_leaves_out_days_with_an_hour_twice_or_missing(cache: Path):
    lines = hourly(
        ["01/01/2018", "01/02/2018", "01/03/2018"], 1, 2, columns="old", reverse=False
    ).splitlines()
    twice = lines[1]
    path = cache / "fremont/FremontBridge.csv"
    path.write_text(
        "\n".join([*lines[:30], twice, *lines[31:]]) + "\n"
    )  # the first day has 25, the second 23
    counts, weekdays = daily_counts(path)
    assert counts.shape == (2, 24)
    assert weekdays.tolist() == [2, 2]
    path.write_text("Date,Total\n01/01/2018 01:00:00 PM,3\n")
    with pytest.raises(DataError, match="columns Date, Total; expected Date, one East and one West"):
        daily_counts(path)
    with pytest.raises(UsageError, match="unknown export '2020'"):
        datasets["fremont"](export="2020")


def test_wine_quality(cache: Path):
    names = [f"measure {number}" for number in range(11)]
    values = rng().random((6, 11)).round(3)
    head = ";".join(f'"{name}"' for name in [*names, "quality"])
    for colour, part in (("red", values[:2]), ("white", values[2:])):
        lines = [";".join(map(str, [*row, 5 + number % 2])) for number, row in enumerate(part)]
        (cache / f"wine-quality/winequality-{colour}.csv").write_text("\n".join([head, *lines]) + "\n")
    rows = datasets["wine-quality"](split="all")
    assert np.allclose(rows.x.numpy(), values)
    assert rows.spec.columns == tuple(names)
    assert [rows.spec.classes[label] for label in rows.labels] == ["red"] * 2 + ["white"] * 4
    rows = datasets["wine-quality"](split="all", label="quality")
    assert [rows.spec.classes[label] for label in rows.labels] == ["5", "6"] * 3
    with pytest.raises(UsageError, match="label 'color'; did you mean 'colour'"):
        datasets["wine-quality"](label="color")


def test_old_faithful(cache: Path):
    (cache / "geyser/geyser.csv").write_text(
        "duration,waiting,kind\n3.6,79,long\n1.8,54,short\n3.333,74,long\n"
    )
    rows = datasets["old-faithful"](split="all")
    assert np.allclose(rows.x.numpy(), [[3.6, 79], [1.8, 54], [3.333, 74]])
    assert [rows.spec.classes[label] for label in rows.labels] == ["long", "short", "long"]
    assert rows.spec.columns == ("duration", "waiting")


@pytest.mark.parametrize(
    "name", ["mnist", "fashion-mnist", "mnist-static", "usps", "dsprites", "olivetti", "coil20", "fremont"]
)
def test_an_absent_set_says_what_to_put_where(cache: Path, name: str):
    with pytest.raises(DataError, match=f"is not there.*put http.* at {cache}.*LATENTIA_DATA"):
        datasets[name](split="test")


def test_digits_are_scikit_learn_s_in_seeded_parts():
    from sklearn.datasets import load_digits

    whole = datasets["digits"](split="all")
    images, labels = load_digits(return_X_y=True)
    assert np.array_equal(whole.x.reshape(1797, 64).numpy(), images)
    assert whole.labels.tolist() == labels.tolist()
    assert whole.x.dtype == torch.uint8
    parts = {split: datasets["digits"](split=split, seed=1) for split in ("train", "validation", "test")}
    assert {split: len(rows) for split, rows in parts.items()} == {
        "train": 1438,
        "validation": 179,
        "test": 180,
    }
    numbers = [rows.take(torch.arange(len(rows))).index for rows in parts.values()]
    assert sorted(torch.cat(numbers).tolist()) == list(range(1797))


# The published files.

COUNTS = {  # training + validation, test, all; the number of classes
    "mnist": (60_000, 10_000, 10),
    "fashion-mnist": (60_000, 10_000, 10),
    "mnist-static": (60_000, 10_000, 0),
    "usps": (7_291, 2_007, 10),
    "olivetti": (360, 40, 40),
    "coil20": (1_296, 144, 20),
    "fremont": (4_149, 461, 7),
    "wine-quality": (5_847, 650, 2),
    "old-faithful": (245, 27, 2),
}


@published
@pytest.mark.parametrize("name", COUNTS)
def test_published_counts(name: str):
    parts = {split: datasets[name](split=split, seed=0) for split in ("train", "validation", "test")}
    learnt, test, classes = COUNTS[name]
    assert len(parts["train"]) + len(parts["validation"]) == learnt
    assert len(parts["test"]) == test
    for rows in parts.values():
        assert len(rows.spec.classes) == classes


def class_counts(rows: Rows) -> list[int]:
    assert rows.labels is not None
    return torch.bincount(rows.labels).tolist()


@published
def test_published_class_counts():
    mnist = [datasets["mnist"](split=split) for split in ("train", "validation")]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (np.array(class_counts(mnist[0])) + class_counts(mnist[1])).tolist() == counts
    assert class_counts(datasets["fashion-mnist"](split="test")) == [1000] * 10
    usps = [datasets["usps"](split=split) for split in ("train", "validation")]
    counts = [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert (np.array(class_counts(usps[0])) + class_counts(usps[1])).tolist() == counts
    assert class_counts(datasets["olivetti"](split="all")) == [10] * 40
    assert class_counts(datasets["coil20"](split="all")) == [72] * 20
    assert class_counts(datasets["wine-quality"](split="all")) == [1599, 4898]


@published
def test_published_sprites():
    rows = datasets["dsprites"](split="all", subset="random")
    assert len(rows) == 20_000
    assert str(rows.spec.support) == "binary"
    square = rows.x[rows.labels == 0].float().mean((1, 2, 3))
    heart = rows.x[rows.labels == 2].float().mean((1, 2, 3))
    assert 0.01 < heart.mean() < square.mean() < 0.1  # a heart is cut out of its square


@published
def test_published_fremont_exports():
    old, new = (datasets["fremont"](split="all", export=export) for export in ("2019", "2025"))
    assert len(old) == 2 * (2312 - 7)
    counts = old.x.reshape(2, -1, 24)
    workdays = (old.labels < 5).reshape(2, -1)[0]
    assert counts[:, workdays, 8].mean() > 4 * counts[:, ~workdays, 8].mean()  # people ride to work at eight
    # The same days in both exports, until they differ in which sidewalk is which (from 21 April 2015 on).
    assert torch.equal(new.x.reshape(2, -1, 24)[:, :150], counts[:, :150])


@published
def test_published_images_are_upright():
    """An image read in the wrong order is its transpose: light from the left instead of above."""
    digits = datasets["mnist"](split="test")
    one = digits.x[digits.labels == 1].float().mean((0, 1))
    assert one.sum(0).max() > 1.5 * one.sum(1).max()  # a stroke from top to bottom
    postal = datasets["usps"](split="test")
    one = postal.x[postal.labels == 1].mean((0, 1))
    assert one.sum(0).max() > 1.5 * one.sum(1).max()
    face = datasets["olivetti"](split="all").x.float().mean((0, 1))
    assert (face - face.flip(1)).abs().mean() < 0.5 * (face - face.flip(0)).abs().mean()  # left is like right
    things = datasets["coil20"](split="all")
    cups = things.x[things.labels == 11].float().mean((0, 1))
    assert (cups - cups.flip(1)).abs().mean() < (cups - cups.flip(0)).abs().mean()
