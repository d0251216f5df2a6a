"""Folders and files that come in parts: train, validation and test."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import latentia as lt
from latentia.data.ingest.parts import parts_of
from latentia.data.read import read_rows
from latentia.data.rows import Rows
from latentia.errors import DataError, DataWarning, UsageError

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.arange(40) % 2
pytestmark = pytest.mark.filterwarnings("ignore:.* has the parts:latentia.errors.DataWarning")


def archive(
    path: Path, rows: str = "x_{}", labels: str = "y_{}", parts: tuple[str, ...] = ("train", "test")
) -> Path:
    """Write 30 rows for training, and 5 each, or 10, for what else there is."""
    places = {"train": slice(30), "test": slice(30, 40) if len(parts) == 2 else slice(35, 40)}
    arrays = {rows.format(part): X[places.get(part, slice(30, 35))] for part in parts}
    arrays |= {labels.format(part): Y[places.get(part, slice(30, 35))] for part in parts}
    np.savez(path, **arrays)
    return path


def pictures(folder: Path, names: tuple[str, ...], n: int = 3) -> Path:
    for value, name in enumerate(names):
        for number in range(n):
            path = folder / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4), 10 * value + number, np.uint8)).save(path)
    return folder


def read(data: Path, **options: object) -> Rows:
    rows = read_rows(data, **options)
    assert isinstance(rows, Rows)
    return rows


@pytest.mark.parametrize(
    ("rows", "labels"),
    [("x_{}", "y_{}"), ("{}_images", "{}_labels"), ("X_{}", "targets_{}"), ("data_{}", "label_{}")],
)
def test_arrays_of_parts(tmp_path: Path, rows: str, labels: str):
    path = archive(tmp_path / "x.npz", rows, labels)
    assert parts_of(path) == ("train", "test")
    with pytest.warns(
        DataWarning, match=r"x\.npz has the parts train, test, of which train is read: split='test' or"
    ):
        assert len(read(path)) == 30
    np.testing.assert_allclose(np.asarray(read(path, split="test")), X[30:], rtol=1e-6)
    assert read(path, split="train").labels.tolist() == Y[:30].tolist()
    np.testing.assert_allclose(np.asarray(read(path, split="all")), X, rtol=1e-6)
    with pytest.raises(UsageError, match="unknown part 'validation'"):
        read(path, split="validation")


def test_three_parts_of_medmnist(tmp_path: Path):
    path = archive(tmp_path / "x.npz", "{}_images", "{}_labels", ("test", "val", "train"))
    assert parts_of(path) == ("train", "validation", "test")
    np.testing.assert_allclose(np.asarray(read(path, split="validation")), X[30:35], rtol=1e-6)


def test_arrays_that_are_no_parts(tmp_path: Path):
    np.savez(tmp_path / "x.npz", x=X, y=Y)
    np.savez(tmp_path / "t.npz", x_test=X)
    assert (
        parts_of(tmp_path / "x.npz")
        == parts_of(tmp_path / "t.npz")
        == parts_of("digits")
        == parts_of(X)
        == ()
    )
    assert len(read(tmp_path / "t.npz")) == 40
    (tmp_path / "b.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"cannot read .*b\.npz"):
        read(tmp_path / "b.npz")


def test_parts_of_other_shapes_are_not_one_set(tmp_path: Path):
    np.savez(tmp_path / "x.npz", x_train=X, x_test=X[:, :2])
    with pytest.raises(DataError, match="rows of different shapes"):
        read(tmp_path / "x.npz", split="all")


def test_folders_of_parts(tmp_path: Path):
    folder = pictures(tmp_path / "photos", ("train/cat", "train/dog", "test/cat", "test/dog"))
    rows = read(folder)
    assert (len(rows), rows.spec.classes) == (6, ("cat", "dog"))
    assert len(read(folder, split="test")) == 6
    assert len(read(folder, split="all")) == 12
    assert np.asarray(read(folder, split="test")).reshape(6, -1).mean(1).tolist() == [20, 21, 22, 30, 31, 32]


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("train", "car"), ("car", "train")),
        (("train",), ("train",)),
        (("trainA", "testA"), ("testA", "trainA")),
    ],
)
def test_classes_with_such_names_are_classes(
    tmp_path: Path, names: tuple[str, ...], classes: tuple[str, ...]
):
    folder = pictures(tmp_path / "photos", names)
    assert parts_of(folder) == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(folder).spec.classes == classes


def test_a_run_folder_beside_the_parts(tmp_path: Path):
    folder = pictures(tmp_path / "photos", ("train", "test", "run"))
    (folder / "run" / "config.json").write_text('{"format": 1, "recipe": "vae", "training": {}}')
    assert parts_of(folder) == ("train", "test")


def test_a_fit_holds_the_official_part_out(tmp_path: Path):
    path = archive(tmp_path / "x.npz")
    run = lt.fit("gaussian", path, out=tmp_path / "run", progress=False)
    assert run.held_out is not None
    assert len(run.held_out) == 10
    table = lt.evaluate(lt.load(tmp_path / "run"))  # read again
    assert table["n"].iloc[0] == 10
    assert "held-out part of x.npz" in table["data"].iloc[0]
    other = lt.evaluate(run, archive(tmp_path / "other.npz"), metrics=["log-likelihood"])
    assert other["n"].tolist() == [10]  # its test part
    assert other["value"].tolist() == table[table["metric"] == "log-likelihood"]["value"].tolist()
