"""Readers of original formats, each on a tiny file that the test writes."""

import gzip
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from latentia.data.ingest import formats
from latentia.data.ingest.csv import read_csv
from latentia.errors import DataError, UsageError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx(array: np.ndarray, code: int = 8) -> bytes:
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_idx(tmp_path, code, dtype, zipped):
    array = (IMAGES.astype(np.int64) - 5 * (dtype != "u1")).astype(dtype)
    raw = idx(array, code)
    read = formats.read_idx(write(tmp_path / "a", gzip.compress(raw) if zipped else raw))
    assert read.dtype == np.dtype(dtype)
    assert np.array_equal(read, array)


def test_idx_that_is_truncated_or_none(tmp_path):
    raw = idx(IMAGES)
    with pytest.raises(DataError, match=r"truncated: its header \[2, 3, 4\] makes 40 bytes, found 37"):
        formats.read_idx(write(tmp_path / "a", raw[:-3]))
    with pytest.raises(DataError, match=r"too long.*40 bytes, found 41"):
        formats.read_idx(write(tmp_path / "b", raw + b"\0"))
    with pytest.raises(DataError, match="expected a header of 16 bytes, found 9"):
        formats.read_idx(write(tmp_path / "c", raw[:9]))
    with pytest.raises(DataError, match="no IDX file: it begins with 89 50 4e 47"):
        formats.read_idx(write(tmp_path / "d", b"\x89PNG\r\n"))
    with pytest.raises(DataError, match="begins with nothing"):
        formats.read_idx(write(tmp_path / "e", b""))
    with pytest.raises(DataError, match=r"cannot read .*missing"):
        formats.read_idx(tmp_path / "missing")


def test_idx_whose_gzip_is_truncated_or_damaged(tmp_path):
    big = idx(np.random.default_rng(0).integers(0, 256, (100, 30, 30), dtype=np.uint8))
    zipped = gzip.compress(big)
    with pytest.raises(
        DataError, match=r"truncated: its header \[100, 30, 30\] makes 90016 bytes, found \d+"
    ):
        formats.read_idx(write(tmp_path / "a.gz", zipped[: len(zipped) // 2]))
    with pytest.raises(DataError, match="damaged gzip"):
        formats.read_idx(write(tmp_path / "b.gz", zipped[:100] + b"\xff" * 50 + zipped[150:]))


def test_npz(tmp_path):
    np.savez_compressed(
        tmp_path / "a.npz", imgs=IMAGES, names=np.array(["x"]), meta=np.array({}, dtype=object)
    )
    assert list(formats.read_npz(tmp_path / "a.npz")) == ["imgs"]
    assert np.array_equal(formats.read_npz(tmp_path / "a.npz", "imgs")["imgs"], IMAGES)
    with pytest.raises(DataError, match="no array 'images'; there are: imgs, names, meta"):
        formats.read_npz(tmp_path / "a.npz", "images")
    with pytest.raises(DataError, match=r"a.npz holds Python objects or text in its array 'meta'"):
        formats.read_npz(tmp_path / "a.npz", "meta")
    raw = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(DataError, match=r"cannot read .*b.npz"):
        formats.read_npz(write(tmp_path / "b.npz", raw[: len(raw) // 2]))


def test_npy_is_mapped_and_its_file_never_changes(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    array = formats.read_npy(tmp_path / "a.npy")
    assert isinstance(array, np.memmap)
    array[:] = 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), IMAGES)


def test_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/data"] = IMAGES
    assert np.array_equal(formats.read_hdf5(tmp_path / "a.h5", "train/data"), IMAGES)
    for name in ("train", "test/data"):
        with pytest.raises(DataError, match=f"no data set '{name}'; at its top are: train"):
            formats.read_hdf5(tmp_path / "a.h5", name)
    with pytest.raises(DataError, match=r"cannot read .*b.h5"):
        formats.read_hdf5(write(tmp_path / "b.h5", b"no HDF5"), "x")


def test_missing_extras_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r'h5py reads a.h5: pip install "latentia\[hdf5\]"'):
        formats.read_hdf5(tmp_path / "a.h5", "x")

    def refuse(*_: object) -> None:
        raise ImportError("no pyarrow")

    monkeypatch.setattr("pandas.read_parquet", refuse)
    (tmp_path / "a.parquet").touch()
    with pytest.raises(UsageError, match=r'pyarrow reads: pip install "latentia\[parquet\]"'):
        formats.read_parquet(tmp_path / "a.parquet")


def test_matlab(tmp_path):
    savemat(tmp_path / "a.mat", {"faces": IMAGES[0]})
    assert np.array_equal(formats.read_matlab(tmp_path / "a.mat", "faces"), IMAGES[0])
    with pytest.raises(DataError, match="no variable 'X'; there are: faces"):
        formats.read_matlab(tmp_path / "a.mat", "X")
    with pytest.raises(DataError, match=r"cannot read .*b.mat"):
        formats.read_matlab(write(tmp_path / "b.mat", b"no MATLAB" * 100), "X")
    with pytest.raises(DataError, match="cannot read"):
        formats.read_matlab(tmp_path / "missing.mat", "X")


@pytest.mark.parametrize("text", ["0 1 1\n1 0 0\n", "0 1 1 \n1 0 0 \n", "0 1 1\r\n1 0 0\r\n", "0 1 1\n1 0 0"])
@pytest.mark.parametrize("zipped", [False, True])
def test_bits(tmp_path, text, zipped):
    raw = text.encode()
    read = formats.read_bits(write(tmp_path / "a", gzip.compress(raw) if zipped else raw))
    assert read.dtype == np.uint8
    assert read.tolist() == [[0, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("text", "line"),
    [("0 1\n0 2\n", 2), ("0 1\n0 1\n1\n", 3), ("0 1\n0 11\n", 2), ("0,1\n0,1\n", 1), ("0 1\n0\t1\n", 2)],
)
def test_bits_that_are_none(tmp_path, text, line):
    with pytest.raises(DataError, match=f"has .*in line {line} "):
        formats.read_bits(write(tmp_path / "a", text))


def test_bits_that_are_truncated(tmp_path):
    zipped = gzip.compress("\n".join(["0 1 1 0"] * 1000).encode())
    with pytest.raises(DataError, match="is truncated: its gzip data ends"):
        formats.read_bits(write(tmp_path / "a.gz", zipped[:-9]))
    with pytest.raises(DataError, match="no line of text"):
        formats.read_bits(write(tmp_path / "b", ""))


def test_bits_are_read_fast(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (10_000, 784), dtype=np.uint8)
    text = np.full((10_000, 2 * 784), ord(" "), dtype=np.uint8)
    text[:, ::2] = bits + ord("0")
    text[:, -1] = ord("\n")
    path = write(tmp_path / "a.amat", text.tobytes())
    start = time.perf_counter()
    assert np.array_equal(formats.read_bits(path), bits)
    assert time.perf_counter() - start < 1.0  # text split into words takes about 3 s; this takes 0.03


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1.5,2\n3,4\n",
        "a;b\n1.5;2\n3;4\n",
        "a;b\n1,5;2\n3;4\n",
        "a\tb\n1.5\t2\n3\t4\n",
        "\ufeffa,b\r\n1.5,2\r\n3,4\r\n",
        '"a";"b"\n1.5;2\n3;4\n',
    ],
)
def test_csv_quirks(tmp_path, text):
    table = read_csv(write(tmp_path / "a.csv", text))
    assert list(table.columns) == ["a", "b"]
    assert table.to_numpy().tolist() == [[1.5, 2.0], [3.0, 4.0]]


def test_csv_without_names_and_bad_csv(tmp_path):
    assert read_csv(write(tmp_path / "a.csv", "1.5,2\n3,4\n")).to_numpy().tolist() == [
        [1.5, 2],
        [3, 4],
    ]
    assert read_csv(write(tmp_path / "d.csv", "x\n1\n2\n")).to_numpy().tolist() == [[1], [2]]
    with pytest.raises(DataError, match="is empty"):
        read_csv(write(tmp_path / "b.csv", "\n\n"))
    with pytest.raises(DataError, match=r"cannot read .*c.csv as a table: .*line 3"):
        read_csv(write(tmp_path / "c.csv", "a,b\n1,2\n1,2,3\n"))


def test_parquet(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pd.DataFrame({"a": [1.0, 2.0]}).to_parquet(tmp_path / "a.parquet")
    assert formats.read_parquet(tmp_path / "a.parquet")["a"].tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match="cannot read"):
        formats.read_parquet(write(tmp_path / "b.parquet", b"nothing"))
