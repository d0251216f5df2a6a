"""Readers open regular files only, and every error of theirs is ours."""

import contextlib
import os
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from latentia.data.ingest import formats
from latentia.data.read import read_rows
from latentia.errors import DataError, LatentiaError

ENDINGS = ("csv", "npy", "npz", "parquet", "idx", "amat", "csv.gz", "gz", "data")
X = np.random.default_rng(0).normal(size=(20, 3))


@pytest.mark.parametrize("ending", ENDINGS)
def test_pipes_and_devices_are_not_opened(tmp_path: Path, ending: str):
    pipe = tmp_path / f"pipe.{ending}"
    os.mkfifo(pipe)  # opening it would wait
    with pytest.raises(
        DataError, match=rf"pipe\.{ending} is a pipe, not a file: copy its content into a file"
    ):
        read_rows(pipe)
    device = tmp_path / f"zero.{ending}"
    device.symlink_to("/dev/zero")  # reading it would not end
    with pytest.raises(DataError, match="is a device, not a file"):
        read_rows(device)


def test_names_and_links_that_lead_nowhere(tmp_path: Path):
    with pytest.raises(DataError, match="its name is longer than a file system allows"):
        read_rows(str(tmp_path / f"{'x' * 300}.csv"))
    (tmp_path / "a.csv").symlink_to(tmp_path / "b.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv: its links lead back to themselves"):
        read_rows(tmp_path / "a.csv")
    (tmp_path / "c.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(LatentiaError, match=r"there is no file or folder .*c\.csv"):
        read_rows(tmp_path / "c.csv")
    with pytest.raises(DataError, match="null"):
        read_rows("a\0b.csv")


@pytest.mark.parametrize("verb", [["fit", "gaussian", "--data"], ["test", "digits"]])
def test_a_long_name_on_the_command_line(tmp_path: Path, verb: list[str]):
    called = [sys.executable, "-m", "latentia", *verb, f"{'x' * 300}.csv"]
    done = subprocess.run(called, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "longer than a file system allows" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stat(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(DataError, match=r"cannot read .*a\.csv: Permission denied"):
        read_rows(tmp_path / "a.csv")


def test_foreign_and_encrypted_members(tmp_path: Path):
    path = tmp_path / "x.npz"
    np.savez(path, x=X)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr("y.npy", b"not an array")
    with pytest.raises(DataError, match=r"cannot read .*x\.npz"):
        read_rows(path)
    np.savez(path, x=X)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")
    assert read_rows(path).spec.event_shape == (3,)
    raw = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = raw.find(mark)
        raw[start + place] |= 1  # the flag of encryption
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"cannot read .*encrypted"):
        read_rows(path)


def test_a_member_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    np.savez(tmp_path / "x.npz", x=X)
    monkeypatch.setattr(formats, "most_bytes", lambda: 100)
    with pytest.raises(
        DataError, match=r"the array 'x' of .*x\.npz has 608 bytes, .*save it as a \.npy file"
    ):
        read_rows(tmp_path / "x.npz")


def test_a_gzipped_file_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import gzip

    (tmp_path / "x.idx.gz").write_bytes(gzip.compress(bytes(10_000)))
    monkeypatch.setattr(formats, "most_bytes", lambda: 100)
    with pytest.raises(DataError, match="does not fit into memory: it unzips to more than 100 bytes"):
        read_rows(tmp_path / "x.idx.gz")


def test_idx_of_65_dimensions(tmp_path: Path):
    (tmp_path / "x.idx").write_bytes(bytes([0, 0, 8, 65]) + struct.pack(">65I", *[1] * 65) + b"\x07")
    with pytest.raises(DataError, match="has 65 dimensions; arrays have at most 32"):
        read_rows(tmp_path / "x.idx")


def idx(path: Path) -> None:
    path.write_bytes(bytes([0, 0, 13, 2]) + struct.pack(">2I", *X.shape) + X.astype(">f4").tobytes())


WRITERS: dict[str, Callable[[Path], object]] = {
    "x.csv": pd.DataFrame(X, columns=list("abc")).to_csv,
    "x.tsv": lambda path: pd.DataFrame(X, columns=list("abc")).to_csv(path, sep="\t", encoding="utf-16"),
    "x.csv.gz": pd.DataFrame(X, columns=list("abc")).to_csv,
    "x.npy": lambda path: np.save(path, X),
    "x.npz": lambda path: np.savez_compressed(path, x=X, y=np.arange(20) % 2),
    "s.npz": lambda path: scipy.sparse.save_npz(path, scipy.sparse.csr_array(X)),
    "x.parquet": pd.DataFrame(X, columns=list("abc")).to_parquet,
    "x.idx": idx,
    "x.amat": lambda path: path.write_text("0 1 1\n1 0 1\n" * 9),
}


@pytest.mark.parametrize("name", WRITERS)
def test_random_bytes_and_truncations_give_errors_of_ours(tmp_path: Path, name: str):
    rng, path = np.random.default_rng(0), tmp_path / name
    WRITERS[name](path)
    good = path.read_bytes()
    for trial in range(150):
        raw = bytearray(good)
        if trial % 3 == 0:
            raw = raw[: int(rng.integers(0, len(raw)))]
        elif trial % 3 == 1:
            raw = bytearray(rng.bytes(int(rng.integers(1, 300))))
        reach = (12, 150, len(raw))[trial % 3]
        for place in rng.integers(0, max(1, min(len(raw), reach)), 1 + trial % 4):
            raw[place : place + 1] = rng.bytes(1)
        path.write_bytes(raw)
        with warnings.catch_warnings(), contextlib.suppress(LatentiaError):  # any other error fails
            warnings.simplefilter("ignore")
            read_rows(path)
