"""Own data of every kind becomes rows; bad data becomes one line that says what is wrong."""

import gzip
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from latentia.data.batches import Batches
from latentia.data.read import read_rows
from latentia.data.rows import Rows
from latentia.data.spec import Support
from latentia.data.streams import Stream
from latentia.errors import DataError, DataWarning, LatentiaError, UnknownNameError, UsageError


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def read(data: object, **options: object) -> Rows:
    rows = read_rows(data, **options)  # pyright: ignore[reportArgumentType]
    assert isinstance(rows, Rows)
    return rows


# Arrays and tensors.


@pytest.mark.parametrize(
    ("shape", "event"),
    [
        ((5,), (1,)),
        ((5, 3), (3,)),
        ((5, 6, 7), (1, 6, 7)),
        ((5, 6, 7, 3), (3, 6, 7)),
        ((5, 6, 7, 1), (1, 6, 7)),
        ((5, 3, 6, 7), (3, 6, 7)),
        ((5, 1, 6, 7), (1, 6, 7)),
        ((5, 3, 6, 3), (3, 6, 3)),
        ((5, 2, 6, 7), (2, 6, 7)),
        ((5, 16, 4, 4), (16, 4, 4)),
        ((5, 16, 2, 2), (16, 2, 2)),
    ],
)
def test_layouts(shape, event):
    x = rng().integers(0, 256, shape, dtype=np.uint8)
    for data in (x, torch.from_numpy(x)):
        rows = read(data)
        assert rows.spec.event_shape == event
        assert str(rows.spec.support) == "discrete(256)"
    if shape[-1] == 3 and shape[1] == 6:
        assert torch.equal(rows.x, torch.from_numpy(x).movedim(3, 1))


@pytest.mark.parametrize(
    "shape", [(5, 6, 7, 4), (5, 28, 28, 2), (5, 6, 7, 2), (5, 2, 2, 2, 2), (5, 6, 7, 8, 9)]
)
def test_other_layouts_are_refused(shape):
    with pytest.raises(DataError, match="1 or 3 channels") as caught:
        read(np.zeros(shape))
    assert ("permute(0, 3, 1, 2)" in str(caught.value)) == (len(shape) == 4)


@pytest.mark.parametrize(
    ("x", "support"),
    [
        (np.array([[True, False], [False, True]]), "binary"),
        (np.array([[0, 1], [1, 0]]), "binary"),
        (np.array([[0, 1], [7, 0]]), "real"),
        (np.array([[37, 897112, 2], [51, 40000, 0]]), "real"),
        (np.array([3, 1, 2]), "real"),
        (np.array([[0, 255], [7, 0]], dtype=np.uint8), "discrete(256)"),
        (np.array([[[0, 1], [7, 0]]] * 2), "discrete(8)"),
        (np.array([[[0, -1], [7, 0]]] * 2), "real"),
        (np.array([[0.0, 1.0], [0.5, 0.2]]), "real"),
        (np.full((2, 4, 4), 0.5), "unit"),
        (np.eye(4)[None].repeat(2, 0), "binary"),
        (np.full((2, 4, 4), 1.5), "real"),
        (np.array([[[0, 65535]]] * 2, dtype=np.uint16), "discrete(65536)"),
        (np.array([[[0, 5]]] * 2, dtype=">i4"), "discrete(6)"),
        (np.array([[0, 5]] * 2, dtype=">f8")[:, ::-1], "real"),
    ],
)
def test_support_is_inferred_and_values_kept(x, support):
    rows = read(x)
    assert str(rows.spec.support) == support
    assert np.array_equal(rows.take(torch.arange(len(x))).x.numpy().reshape(x.shape), x.astype(np.float32))


def test_inference_reads_every_block():
    x = np.zeros((40_000, 15, 15), dtype=np.float32)  # three blocks
    assert str(read(x).spec.support) == "binary"
    x[-1, 0, 0] = 0.5
    assert str(read(x).spec.support) == "unit"
    x[-1, 0, 0] = -0.5
    assert str(read(x).spec.support) == "real"


def test_memory_is_shared():
    x = rng().random((5, 2))
    assert read(x).x.data_ptr() == torch.from_numpy(x).data_ptr()


def test_labels_become_class_numbers_in_sorted_order():
    x = np.zeros((4, 2))
    for labels, classes in (
        (["b", "a", "b", "c"], ("a", "b", "c")),
        ([10, 2, 10, 30], ("2", "10", "30")),
        (np.array([10.0, 2.0, 10.0, 30.0]), ("2", "10", "30")),
        (torch.tensor([10, 2, 10, 30]), ("2", "10", "30")),
    ):
        rows = read(x, labels=labels)
        assert rows.spec.classes == classes
        assert rows.labels is not None
        assert rows.labels.tolist() == [1, 0, 1, 2]


def test_a_declared_support_is_checked():
    x = np.full((3, 2), 0.25)
    assert str(read(x, support="unit").spec.support) == "unit"
    x[2, 1] = 1.5
    with pytest.raises(DataError, match=r"data holds 1.5 in row 2, outside its support, unit; 1 of 3 rows"):
        read(x, support="unit")
    with pytest.raises(DataError, match=r"holds 0.25 in row 0, outside its support, binary"):
        read(x, support=Support("binary"))
    with pytest.raises(DataError, match="256 in row 1, outside its support, discrete"):
        read(np.array([[1], [256]]), support="discrete(256)")


def test_a_name_is_what_messages_say():
    with pytest.raises(DataError, match=r"^sensor 7 holds 2"):
        read(np.full((2, 2), 2.0), support="unit", name="sensor 7")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("support", [None, "unit", "binary", "real"])
def test_rows_that_are_not_finite_are_counted(value, support):
    x = np.zeros((100, 3))
    x[[17, 40, 41], 1] = value
    with pytest.raises(DataError, match="NaN or infinity in 3 of 100 rows, first in row 17"):
        read(x, support=support)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 3)), r"data is empty: its shape is \(0, 3\)"),
        (np.zeros((3, 0)), r"data is empty: its shape is \(3, 0\)"),
        (np.zeros((1, 3)), "single row"),
        (np.array([[1, "a"], [2, "b"]]), "data holds text, first .*1"),
        (np.array([[1, None], [2, {}]], dtype=object), "data holds Python objects, first 1"),
        (np.zeros((2, 2), dtype=complex), "complex"),
        (torch.zeros(2, 2, dtype=torch.complex64), "complex"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "dates"),
        ([[1, 2], [3]], "rows have different shapes"),
        (pd.DataFrame({"a": []}), "empty"),
        (pd.DataFrame({"a": [1.0]}), "single row"),
    ],
)
def test_bad_arrays(data, message):
    with pytest.raises(DataError, match=message):
        read(data)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "3 rows but 2 labels"),
        ([0.5, 1, 2], "holds 0.5"),
        ([0, np.nan, 1], "holds nan"),
        (["a", None, "b"], "missing in 1 of 3 rows, first in row 1"),
        (np.eye(3), "one class number or name for each row"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(DataError, match=message):
        read(np.zeros((3, 2)), labels=labels)


# Tables.


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1.5, 2.0, 3.0], "b": [1, 2, 3], "kind": ["x", "y", "x"]})


def test_a_numeric_frame_with_a_column_of_labels():
    rows = read(frame(), labels="kind")
    assert rows.spec.columns == ("a", "b")
    assert rows.spec.classes == ("x", "y")
    assert str(rows.spec.support) == "real"
    assert rows.x.tolist() == [[1.5, 1.0], [2.0, 2.0], [3.0, 3.0]]


def test_truth_values_and_categories_make_a_table():
    data = frame().assign(kind=lambda d: d["kind"].astype("category"), flag=[True, False, True])
    rows = read(data)
    assert str(rows.spec.support) == "table(real, real, categorical(2), binary)"
    assert rows.x[:, 2:].tolist() == [[0, 1], [1, 0], [0, 1]]


def test_truth_values_alone_are_binary():
    with pytest.warns(DataWarning, match="'b' is always False"):
        rows = read(pd.DataFrame({"a": [True, False], "b": [False, False]}))
    assert str(rows.spec.support) == "binary"


def test_gaps_are_read_where_the_columns_have_some():
    rows = read(pd.DataFrame({"a": [1.0, None, 2.5]}))
    assert str(rows.spec.support) == "real or missing"
    data = pd.DataFrame({"a": pd.Categorical(["x", "y", None]), "b": [1.5, 2, 3]})
    assert str(read(data).spec.support) == "table(categorical(2) or missing, real)"
    assert (
        str(read(pd.DataFrame({"a": pd.array([None, 1, 3], dtype="Int64")})).spec.support)
        == "real or missing"
    )


def test_a_column_of_one_value_is_no_part_of_the_rows():
    data = pd.DataFrame({"c": pd.Categorical(["x", "x"]), "b": [1, 2], "d": [None, None]})
    note = r"'c' is always 'x' \(not modelled, written back\); 'd' is without any value \(not modelled, written back\)$"
    with pytest.warns(DataWarning, match=note):
        rows = read(data)
    assert rows.spec.columns == ("b",)
    assert [column.kind for column in rows.spec.table] == ["constant", "integer", "constant"]


def test_bad_frames():
    with pytest.raises(UsageError, match="unknown label column 'kid'; did you mean 'kind'"):
        read(frame(), labels="kid")
    with pytest.raises(DataError, match="no columns besides the labels"):
        read(frame()[["kind"]], labels="kind")
    with pytest.raises(DataError, match="NaN or infinity in 1 of 3 rows, first in row 1"):
        read(pd.DataFrame({"a": [1.0, None, 2.0]}), support="real")
    with pytest.raises(DataError, match=r"column 'a' holds values of different types, int and str, first 1"):
        read(pd.DataFrame({"a": [1, "b"], "b": [1, 2]}))
    with pytest.raises(DataError, match=r"column 'w' holds timedelta64.* values, first Timedelta"):
        read(pd.DataFrame({"w": pd.to_timedelta([1, 2], unit="D")}))
    with pytest.raises(DataError, match="no column to model: a is constant"):
        read(pd.DataFrame({"a": [1, 1]}))
    with pytest.raises(UsageError, match="unknown kind of column 'reel'; did you mean 'real'"):
        read(frame(), columns={"a": "reel"})
    with pytest.raises(UsageError, match="unknown column 'aa'"):
        read(frame(), columns={"aa": "real"})
    with pytest.raises(UsageError, match="declared as name=kind"):
        read(frame(), columns=["a"])
    with pytest.raises(UsageError, match="names columns, but data is no DataFrame"):
        read(np.eye(3), columns={"a": "real"})
    with pytest.raises(DataError, match="holds 3 in row 1, column 1, outside its support, categorical"):
        read(np.array([[0.5, 1], [0.5, 3]]), support="table(real, categorical(3))")


# Data sets and loaders.


class Squares(Dataset[tuple[np.ndarray, int]]):
    """Grey images of 4 × 4 that are made on request."""

    def __init__(self, n: int = 300, odd: int | None = None) -> None:
        self.n, self.odd, self.read = n, odd, list[int]()

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        self.read.append(index)
        side = 5 if index == self.odd else 4
        return np.full((side, side), index % 256, dtype=np.uint8), index % 3


def test_a_dataset_is_read_through_once_and_then_by_index():
    data = Squares()
    rows = read(data)
    assert data.read == list(range(300))
    assert rows.spec.event_shape == (1, 4, 4)
    assert rows.spec.classes == ("0", "1", "2")
    batch = next(Batches(rows, 10, seed=1).at(7))
    assert batch.index is not None
    assert data.read[300:] == batch.index.tolist()
    assert batch.x[:, 0, 0, 0].tolist() == [number % 256 for number in batch.index.tolist()]
    assert len(rows.split((0.5,))[0].whole()) == 150


@pytest.mark.parametrize("odd", [3, 299])
def test_a_dataset_of_different_shapes_is_refused(odd):
    with pytest.raises(DataError, match="different shapes"):
        read(Squares(odd=odd))


def test_a_dataset_of_one_item_or_none_is_refused():
    with pytest.raises(DataError, match="single row"):
        read(Squares(1))
    with pytest.raises(DataError, match="empty"):
        read(Squares(0))


def test_a_tensor_dataset_is_its_tensors():
    x, y = torch.rand(5, 2), torch.tensor([0, 1, 0, 1, 1])
    rows = read(TensorDataset(x, y))
    assert rows.x is x or rows.x.data_ptr() == x.data_ptr()
    assert rows.labels is not None
    assert rows.labels.tolist() == y.tolist()
    with pytest.raises(UsageError, match="gives its labels itself"):
        read(TensorDataset(x, y), labels=[0, 1, 0, 1, 1])


def test_a_loader_is_a_stream_described_by_its_first_batch():
    loader = DataLoader(TensorDataset(torch.rand(10, 4, 4), torch.arange(10) % 2), batch_size=5)
    stream = read_rows(loader, labels=["even", "odd"])
    assert isinstance(stream, Stream)
    assert stream.spec.event_shape == (1, 4, 4)
    assert str(stream.spec.support) == "unit"
    assert stream.spec.classes == ("even", "odd")
    assert sum(len(batch) for batch in stream) == 10
    with pytest.raises(UsageError, match="a loader has no split"):
        read_rows(loader, split="train")


class Endless(IterableDataset[torch.Tensor]):
    def __iter__(self):
        return iter([torch.zeros(3, 2), torch.full((3, 2), 7.0)])


def test_iterables_and_iterators():
    stream = read_rows(Endless(), support="real")
    assert [len(batch) for batch in stream.__iter__()] == [3, 3]  # pyright: ignore
    with pytest.raises(UsageError, match="generator can be read only once"):
        read_rows(torch.zeros(2, 2) for _ in range(3))
    with pytest.raises(DataError, match="no batch"):
        read_rows(DataLoader(TensorDataset(torch.zeros(0, 2))))


# Files.


def test_npy_and_npz(tmp_path: Path):
    x, y = rng().random((6, 3)), np.array(list("ababab"))
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "one.npz", anything=x)
    np.savez(tmp_path / "two.npz", x=x, y=np.arange(6) % 2, meta=np.array({"a": 1}, dtype=object))
    np.savez(tmp_path / "many.npz", first=x, second=x)
    assert np.array_equal(read(tmp_path / "x.npy").x.numpy(), x)
    assert read(str(tmp_path / "x.npy"), labels=y).spec.classes == ("a", "b")
    assert np.array_equal(read(tmp_path / "one.npz").x.numpy(), x)
    assert read(tmp_path / "two.npz").spec.classes == ("0", "1")
    with pytest.raises(DataError, match="first, second; name its array of rows x"):
        read(tmp_path / "many.npz")
    with pytest.raises(UsageError, match=r"names a column, but x.npy is no table"):
        read(tmp_path / "x.npy", labels="kind")


def test_npy_of_objects_or_cut_short(tmp_path: Path):
    np.save(tmp_path / "o.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    np.save(tmp_path / "t.npy", np.zeros((100, 10)))
    (tmp_path / "t.npy").write_bytes((tmp_path / "t.npy").read_bytes()[:-100])
    for name in ("o.npy", "t.npy"):
        with pytest.raises(DataError, match=f"cannot map .*{name}"):
            read(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"PK\x03\x04", b"\x80\x04\x95."])
def test_what_is_no_npy_file_is_said_to_be_none(tmp_path: Path, content: bytes):
    """NumPy takes it for a pickle, and says how to open one: that would run whatever is in the file."""
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy is no \.npy file: it begins with") as caught:
        read(tmp_path / "a.npy")
    assert "pickle" not in str(caught.value)


def test_a_text_that_is_no_table_is_answered_with_what_data_can_be(tmp_path: Path):
    (tmp_path / "a.txt").write_text("Dear diary,\n")
    with pytest.raises(
        DataError, match=r"a\.txt is empty: as a table it has no rows; data is .*\.npy, \.npz, \.csv"
    ):
        read(tmp_path / "a.txt")


def test_csv_and_parquet(tmp_path: Path):
    frame().to_csv(tmp_path / "t.csv", index=False)
    frame().to_csv(tmp_path / "t.csv.gz", index=False)
    frame().to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        rows = read(tmp_path / name, labels="kind")
        assert rows.spec.columns == ("a", "b")
        assert rows.name == name
        assert rows.x.tolist() == [[1.5, 1.0], [2.0, 2.0], [3.0, 3.0]]


def test_a_csv_that_pandas_wrote_with_its_index_is_read_without_it(tmp_path: Path):
    frame().to_csv(tmp_path / "t.csv")
    with pytest.warns(DataWarning, match=r"t\.csv: the first column has no name and holds the row numbers"):
        rows = read(tmp_path / "t.csv", labels="kind")
    assert rows.spec.columns == ("a", "b")
    assert rows.x.tolist() == [[1.5, 1.0], [2.0, 2.0], [3.0, 3.0]]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (",a\n0,1.5\n1,2.5\n", ("a",)),
        (";a;b\n0;1,5;2\n1;2,5;3\n", ("a", "b")),
        ('"",a\n0,1.5\n1,2.5\n', ("a",)),
        ("a,b\n0,1.5\n1,2.5\n", ("a", "b")),
        (",a\n1,1.5\n2,2.5\n", ("a",)),
        (",a\n7,1.5\n2,2.5\n", ("a",)),
        (",a\n0.5,1.5\n1,2.5\n", ("Unnamed: 0", "a")),
        ("Unnamed: 0,a\n0,1.5\n1,2.5\n", ("a",)),
        ("a,\n1.5,0\n2.5,1\n", ("a", "Unnamed: 1")),
        ("Unnamed: 0\n0\n1\n", ("Unnamed: 0",)),
        ("0,1.5\n1,2.5\n", ("0", "1")),
    ],
)
def test_only_a_nameless_first_column_of_row_numbers_is_an_index(
    tmp_path: Path, text: str, columns: tuple[str, ...]
):
    (tmp_path / "t.csv").write_text(text)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert read(tmp_path / "t.csv").spec.columns == columns
    assert len(told) == len(re.split("[,;]", text.partition("\n")[0])) - len(
        columns
    )  # one where a column is left out


def test_idx_and_bits(tmp_path: Path):
    images = rng().integers(0, 256, (3, 2, 2), dtype=np.uint8)
    raw = bytes([0, 0, 8, 3]) + np.array(images.shape, dtype=">u4").tobytes() + images.tobytes()
    (tmp_path / "a-idx3-ubyte").write_bytes(raw)
    (tmp_path / "a.idx").write_bytes(raw)
    (tmp_path / "a.gz").write_bytes(gzip.compress(raw))
    for name in ("a-idx3-ubyte", "a.idx", "a.gz"):
        assert np.array_equal(read(tmp_path / name).x[:, 0].numpy(), images)
    (tmp_path / "b.amat").write_text("0 1 1\n1 0 0\n")
    assert str(read(tmp_path / "b.amat").spec.support) == "binary"


def test_unknown_names_and_endings(tmp_path: Path):
    with pytest.raises(UnknownNameError, match=r"did you mean 'digits'.*no file"):
        read("digit")
    (tmp_path / "x.docx").write_text("")
    with pytest.raises(DataError, match=r"unknown ending '.docx'.*npz"):
        read(tmp_path / "x.docx")
    with pytest.raises(UsageError, match="cannot read int as data"):
        read(3)
    with pytest.raises(UsageError, match="sd given, but data is not a named data set"):
        read(np.zeros((3, 2)), sd=0.1)


# Folders of images.


def save(path: Path, size: tuple[int, int] = (6, 4), mode: str = "L", value: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)


def test_a_folder_of_grey_images(tmp_path: Path):
    for number in range(3):
        save(tmp_path / f"{number}.png", value=number)
    save(tmp_path / ".hidden.png", size=(1, 1))
    (tmp_path / "notes.txt").write_text("not an image")
    rows = read(tmp_path)
    assert rows.spec.event_shape == (1, 4, 6)
    assert str(rows.spec.support) == "discrete(256)"
    assert rows.x[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert rows.labels is None


def test_class_subfolders_colours_and_sizes(tmp_path: Path):
    save(tmp_path / "cats" / "a.png", size=(8, 8), mode="RGB")
    save(tmp_path / "dogs" / "b.png", size=(6, 4))
    save(tmp_path / "cats" / "c.jpg", size=(5, 5), mode="RGB")
    rows = read(tmp_path, resize=(4, 6))
    assert rows.spec.event_shape == (3, 4, 6)
    assert rows.spec.classes == ("cats", "dogs")
    assert rows.labels is not None
    assert rows.labels.tolist() == [0, 0, 1]
    assert rows.x[0, :, 0, 0].tolist() == [7, 0, 0]
    assert read(tmp_path, resize=4, channels=1).spec.event_shape == (1, 4, 4)
    with pytest.raises(DataError, match=r"different sizes: .*a.png is 8×8, .*c.jpg is 5×5; .*resize="):
        read(tmp_path)


def test_orientation_in_the_header_is_followed(tmp_path: Path):
    image = Image.fromarray(np.array([[10, 20, 30], [40, 50, 60]], dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter clockwise
    image.save(tmp_path / "a.png", exif=exif)
    image.save(tmp_path / "b.png", exif=exif)
    assert read(tmp_path).x[0, 0].tolist() == [[40, 10], [50, 20], [60, 30]]


def test_bad_folders(tmp_path: Path):
    with pytest.raises(DataError, match="holds no images"):
        read(tmp_path)
    save(tmp_path / "1.png")
    with pytest.raises(DataError, match="single row"):
        read(tmp_path)
    save(tmp_path / "2.png")
    good = (tmp_path / "2.png").read_bytes()
    for name, content in (("3.png", b"no image at all"), ("4.png", good[:50]), ("5.png", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"cannot read the image .*{name}"):
            read(tmp_path)
        (tmp_path / name).unlink()
    Image.fromarray(np.zeros((4, 6), dtype=np.uint16)).save(tmp_path / "6.png")
    with pytest.raises(DataError, match=r"6.png has more than 8 bits"):
        read(tmp_path)
    (tmp_path / "6.png").unlink()
    save(tmp_path / "cats" / "a.png")
    with pytest.raises(DataError, match="class subfolders and loose images"):
        read(tmp_path)
    with pytest.raises(UsageError, match="channels is 1"):
        read(tmp_path, channels=4)


def test_resize_is_for_folders():
    with pytest.raises(UsageError, match="for folders of images"):
        read(np.zeros((3, 4, 4)), resize=8)


# Named sets and splits.


def test_a_named_set_gives_its_training_part_and_takes_options():
    assert len(read("digits")) == 1438
    assert len(read("digits", split="all")) == 1797
    assert len(read("ring", n=12)) == 12
    assert str(read("digits", support="real", split="test").spec.support) == "real"
    with pytest.raises(DataError, match="outside its support, binary"):
        read("digits", support="binary")
    with pytest.raises(UsageError, match="labels of its own"):
        read("digits", labels=[1])
    with pytest.raises(UsageError, match="unknown split 'valid'; there are: train, validation, test, all"):
        read("digits", split="valid")


def test_own_data_is_whole_unless_a_split_is_asked():
    x = rng().random((100, 2))
    parts = [read(x, split=split, seed=2).x for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [80, 10, 10]
    assert torch.equal(torch.cat(parts).sort(0).values, torch.from_numpy(x).sort(0).values)
    assert len(read(x)) == len(read(x, split="all")) == 100


def test_rows_pass_through():
    rows = read(np.full((20, 2), 0.5))
    assert read(rows, support="unit").spec.support == Support("unit")
    assert read(rows, split="train").take(torch.arange(2)).x.tolist() == [[0.5, 0.5]] * 2


def test_every_error_is_one_line(tmp_path: Path):
    (tmp_path / "broken.csv").write_text("a,b\n1,2\n1,2,3,4\n")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 broken")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 broken")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY broken")
    for path in tmp_path.iterdir():
        with pytest.raises(LatentiaError, match="broken") as caught:
            read(path)
        assert "\n" not in str(caught.value)
