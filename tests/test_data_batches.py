"""Batches: an order that is a function of (seed, epoch), exact from any step and over processes; streams."""

from itertools import chain, islice

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from latentia.core.objective import Batch
from latentia.data.batches import Batches, Stream, order
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.data.transforms import Binarise
from latentia.errors import DataError, UsageError

SPEC = DataSpec((1,), Support("discrete", 256))


def make_rows(n: int = 23) -> Rows:
    return Rows(torch.arange(n, dtype=torch.uint8)[:, None], SPEC)


def numbers(batch: Batch) -> list[int]:
    assert batch.index is not None
    return batch.index.tolist()


def read(batches: Batches, step: int, count: int) -> list[list[int]]:
    return [numbers(batch) for batch in islice(batches.at(step), count)]


def test_order_is_a_permutation_that_seed_and_epoch_determine():
    assert sorted(order(100, 1, 2).tolist()) == list(range(100))
    assert torch.equal(order(100, 1, 2), order(100, 1, 2))
    distinct = {tuple(order(100, seed, epoch).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(distinct) == 25


def test_order_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    order(10, 0, 0)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("size", [5, 23, 1])
def test_an_epoch_reads_every_row_once_the_last_batch_included(size):
    batches = Batches(make_rows(), size)
    epoch = read(batches, 0, batches.steps_per_epoch)
    assert sorted(chain.from_iterable(epoch)) == list(range(23))
    assert len(epoch[-1]) == (23 % size or size)


def test_each_epoch_has_the_order_of_its_number():
    batches = Batches(make_rows(), 5, seed=2)
    for epoch in range(3):
        steps = read(batches, epoch * batches.steps_per_epoch, batches.steps_per_epoch)
        assert list(chain.from_iterable(steps)) == order(23, 2, epoch).tolist()


@pytest.mark.parametrize("size", [5, 23, None])
@pytest.mark.parametrize("step", [0, 1, 4, 5, 7, 15])
def test_at_any_step_is_the_tail_of_at_zero(size, step):
    batches = Batches(make_rows(), size, seed=3)
    assert read(batches, step, 12) == read(batches, 0, step + 12)[step:]


def test_transforms_see_the_epoch_also_after_a_resume():
    rows = Rows(torch.full((10, 8), 100, dtype=torch.uint8), DataSpec((8,), Support("discrete", 256)))
    for size in (4, None):
        batches = Batches(rows.transformed(Binarise("dynamic")), size)
        all_x = [batch.x for batch in islice(batches.at(0), 9)]
        tail = [batch.x for batch in islice(batches.at(4), 5)]
        assert all(torch.equal(a, b) for a, b in zip(all_x[4:], tail, strict=True))
        assert not torch.equal(all_x[0].sort(0).values, all_x[batches.steps_per_epoch].sort(0).values)


@pytest.mark.parametrize("size", [5, None])
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_partition_every_global_batch(size, world):
    alone = read(Batches(make_rows(), size, seed=1), 3, 9)
    ranks = [read(Batches(make_rows(), size, seed=1, rank=r, world=world), 3, 9) for r in range(world)]
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert sorted(chain.from_iterable(parts)) == sorted(whole)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_batch_of_everything_is_the_stored_tensor():
    rows = make_rows()
    first, second = islice(Batches(rows, None).at(0), 2)
    assert first.x.data_ptr() == rows.x.data_ptr() == second.x.data_ptr()


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(UsageError, match="batch size 24 is larger than the data, 23 rows"):
        Batches(make_rows(), 24)
    with pytest.raises(UsageError, match="batch size 0"):
        Batches(make_rows(), 0)


def test_a_process_without_a_row_is_refused():
    with pytest.raises(UsageError, match=r"ends? 23 rows with a batch of 1, fewer than the 2"):
        Batches(make_rows(), 11, world=2)


def test_a_stream_reads_a_loader_once_per_pass():
    spec = DataSpec((2,), Support("real"), classes=("a", "b"))
    data = TensorDataset(torch.randn(10, 2), torch.arange(10) % 2)
    stream = Stream(DataLoader(data, batch_size=4), spec)
    for _ in range(2):
        batches = list(stream)
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert batches[0].context is not None
        assert batches[0].context.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_a_stream_checks_each_batch():
    spec = DataSpec((2,), Support("unit"))
    with pytest.raises(DataError, match="batch 1 of data holds 2 in row 0, outside its support, unit"):
        list(Stream([torch.zeros(3, 2), torch.full((3, 2), 2.0)], spec))
    with pytest.raises(DataError, match=r"rows of shape \(3,\)"):
        list(Stream([torch.zeros(3, 3)], spec))
    labelled = DataSpec((2,), Support("unit"), classes=("a", "b"))
    with pytest.raises(DataError, match="class number 2"):
        list(Stream([(torch.zeros(2, 2), torch.tensor([0, 2]))], labelled))


def test_a_stream_passes_batches_through():
    batch = Batch(torch.zeros(2, 1), other=torch.ones(2, 1))
    assert next(iter(Stream([batch], DataSpec((1,), Support("real"))))).other is batch.other
