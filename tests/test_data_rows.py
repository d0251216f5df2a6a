"""Rows: reading by index, selecting, splitting, and not copying a mapped file."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import latentia as lt
from latentia.data.batches import Batches
from latentia.data.read import read_rows
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.data.transforms import Binarise
from latentia.errors import DataError, UsageError


def make_rows(n: int = 20, labelled: bool = True) -> Rows:
    x = torch.arange(n * 3, dtype=torch.uint8).reshape(n, 3)
    rows = Rows(x, DataSpec((3,), Support("discrete", 256)))
    return rows.with_labels(torch.arange(n) % 2, ("a", "b")) if labelled else rows


def test_take_converts_after_selection_and_keeps_numbers_and_classes():
    rows = make_rows()
    batch = rows.take(torch.tensor([5, 2]))
    assert batch.x.dtype == torch.get_default_dtype()
    assert batch.x.tolist() == [[15, 16, 17], [6, 7, 8]]
    assert batch.attributes["class"].tolist() == [1, 0]
    assert batch.index is not None
    assert batch.index.tolist() == [5, 2]


def test_float64_rows_become_the_default_type():
    rows = Rows(torch.zeros(3, 2, dtype=torch.float64), DataSpec((2,), Support("real")))
    assert rows.take(torch.tensor([0])).x.dtype == torch.float32


def test_select_of_select_keeps_the_original_numbers_and_labels():
    rows = make_rows().select(torch.tensor([9, 4, 7])).select(torch.tensor([2, 0]))
    batch = rows.take(torch.tensor([0, 1]))
    assert batch.index is not None
    assert batch.index.tolist() == [7, 9]
    assert batch.x[:, 0].tolist() == [21, 27]
    assert rows.labels is not None
    assert rows.labels.tolist() == [1, 1]
    assert rows.x.tolist() == [[21, 22, 23], [27, 28, 29]]


def test_blocks_and_whole_are_the_rows_in_order():
    for rows in (make_rows(), make_rows().select(torch.tensor([3, 1, 8, 8]))):
        joined = torch.cat([batch.x for batch in rows.blocks(3)])
        whole = torch.cat([batch.x for batch in rows.whole().blocks(3)])
        assert torch.equal(joined, rows.x.float())
        assert torch.equal(whole, rows.x.float())


def test_whole_is_the_stored_tensor_itself():
    rows = make_rows()
    assert rows.whole().x.data_ptr() == rows.x.data_ptr()
    assert rows.whole().x.dtype == torch.uint8


def test_rows_are_an_array_of_the_values_that_were_given():
    rows = make_rows()
    array = np.asarray(rows)
    assert array.dtype == np.uint8
    assert array.tolist() == rows.x.tolist()
    assert np.shares_memory(array, rows.x.numpy())
    assert np.shares_memory(np.array(rows, copy=False), rows.x.numpy())
    assert not np.shares_memory(np.array(rows, copy=True), rows.x.numpy())
    assert np.asarray(rows, dtype="float64").dtype == np.float64
    assert np.asarray(rows.transformed(Binarise("fixed"))).tolist() == rows.x.tolist()
    ring = lt.datasets["ring"](split="test")
    assert np.asarray(ring).shape == (len(ring), 2)


def test_selected_rows_are_an_array_in_their_order_and_a_copy():
    rows = make_rows().select(torch.tensor([9, 4]))
    assert np.asarray(rows).tolist() == [[27, 28, 29], [12, 13, 14]]
    with pytest.raises(ValueError, match="leave out copy=False"):
        np.array(rows, copy=False)


def test_split_is_disjoint_complete_and_seeded():
    rows = make_rows(50)
    parts = rows.split({"train": 0.8, "validation": 0.1, "test": 0.1}, seed=3)
    numbers = {name: part.take(torch.arange(len(part))).index for name, part in parts.items()}
    assert {name: len(part) for name, part in parts.items()} == {"train": 40, "validation": 5, "test": 5}
    assert sorted(torch.cat([n for n in numbers.values() if n is not None]).tolist()) == list(range(50))
    again, other = rows.split((0.8, 0.1, 0.1), seed=3), rows.split((0.8, 0.1, 0.1), seed=4)
    assert torch.equal(again[0].x, parts["train"].x)
    assert not torch.equal(other[0].x, parts["train"].x)


def test_split_of_a_part_only():
    (part,) = make_rows(10).split((0.5,))
    assert len(part) == 5


@pytest.mark.parametrize("fractions", [(0.9, 0.2), (0.5, 0.0), (1.0, -0.1), ()])
def test_split_refuses_fractions_that_are_none(fractions):
    with pytest.raises(UsageError, match="add up to at most 1"):
        make_rows().split(fractions)


def test_split_refuses_an_empty_part():
    with pytest.raises(DataError, match="3 rows, too few"):
        make_rows(3).split((0.9, 0.1))


def test_labels_of_another_length_are_refused():
    with pytest.raises(DataError, match="3 rows but 2 labels"):
        Rows(torch.zeros(3, 1), DataSpec((1,), Support("real"))).with_labels(
            torch.zeros(2).long(), ("a", "b")
        )


def test_a_transform_applies_wherever_rows_are_read():
    rows = make_rows().transformed(Binarise("dynamic", seed=1))
    assert str(rows.spec.support) == "binary"
    parts = [rows.take(torch.arange(20), epoch=2).x, rows.whole(2).x]
    parts.append(torch.cat([batch.x for batch in rows.blocks(7, epoch=2)]))
    assert torch.equal(parts[0], parts[1])
    assert torch.equal(parts[0], parts[2])
    assert not torch.equal(parts[0], rows.whole(3).x)
    with pytest.raises(UsageError, match="has a transform already"):
        rows.transformed(Binarise("fixed"))


def test_a_transform_forgets_the_true_density():
    rows = Rows(torch.rand(4, 2), DataSpec((2,), Support("unit")), log_density=lambda x: x.sum(1))
    assert rows.transformed(Binarise("fixed")).log_density is None


def anonymous_memory() -> int:
    """Bytes of this process's memory that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon in /proc/self/status")


@pytest.mark.skipif(sys.platform != "linux", reason="RssAnon is Linux's")
@pytest.mark.parametrize("shape", [(65_536, 784), (16_384, 32, 32, 3)], ids=["table", "channels-last"])
def test_a_mapped_file_is_never_copied(tmp_path: Path, shape: tuple[int, ...]):
    path = tmp_path / "rows.npy"
    array = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float32, shape=shape
    )  # sparse: 200 MB of holes
    array[-1] = 1.5
    del array
    read_rows(path).take(torch.arange(8))  # allocators and lazy imports
    before = anonymous_memory()
    rows = read_rows(path, support="real")
    assert isinstance(rows, Rows)
    whole = rows.whole()
    train, _ = rows.split((0.9, 0.1))
    batches = Batches(train, 512).at(0)
    total = sum(float(next(batches).x.sum()) for _ in range(30))
    total += float(sum(block.x.sum() for block in whole.blocks(2048)))
    assert total >= 1.5 * np.prod(shape[1:])
    assert anonymous_memory() - before < 120e6  # one copy is 200 MB; malloc may keep 64 MiB that were freed
