"""Batches: an order that is a function of (seed, epoch), exact from any step and over processes; streams."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.core.train import BatchSource, train
from latentia.data.batches import Batches, order
from latentia.data.read import read_rows
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.data.streams import Stream
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
    spec = DataSpec((2,), Support("real")).with_classes(("a", "b"))
    data = TensorDataset(torch.randn(10, 2), torch.arange(10) % 2)
    stream = Stream(DataLoader(data, batch_size=4), spec)
    for _ in range(2):
        batches = list(stream)
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert batches[0].attributes["class"].tolist() == [0, 1, 0, 1]


def test_a_stream_checks_each_batch():
    spec = DataSpec((2,), Support("unit"))
    with pytest.raises(DataError, match="batch 1 of data holds 2 in row 0, outside its support, unit"):
        list(Stream([torch.zeros(3, 2), torch.full((3, 2), 2.0)], spec))
    with pytest.raises(DataError, match=r"rows of shape \(3,\)"):
        list(Stream([torch.zeros(3, 3)], spec))
    labelled = DataSpec((2,), Support("unit")).with_classes(("a", "b"))
    with pytest.raises(DataError, match="class number 2"):
        list(Stream([(torch.zeros(2, 2), torch.tensor([0, 2]))], labelled))


def test_a_stream_passes_batches_through():
    batch = Batch(torch.zeros(2, 1), context=torch.ones(2, 1))
    assert next(iter(Stream([batch], DataSpec((1,), Support("real"))))).context is batch.context


class Noisy(Dataset[torch.Tensor]):
    """Ten numbers to which each reading adds noise, as augmentations do."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> torch.Tensor:
        return index + 0.5 * torch.rand(1)


class Endless(IterableDataset[torch.Tensor]):
    """Batches without end; counts those that were read."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        while True:
            self.read += 1
            yield torch.rand(3, 2)


class Reader(Objective):
    """Reads all rows at the start, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.model = torch.nn.Identity()
        self.begun: list[int] = []

    def players(self) -> dict[str, Any]:
        return {}

    def begin(self, rows: Blocks) -> None:
        self.begun += [len(block) for block in rows.blocks(2)]

    def step(self, batch: Batch) -> Step:
        yield from ()
        return {"first": batch.x[0, 0]}


def shuffled(seed: int = 0) -> Stream:
    return Stream(DataLoader(Noisy(), batch_size=4, shuffle=True), DataSpec((1,), Support("real")), seed=seed)


def first_numbers(stream: Stream, steps: int = 7, at: int = 0) -> list[list[float]]:
    return [batch.x.flatten().tolist() for batch in islice(stream.at(at), steps)]


def test_a_stream_s_order_and_noise_are_a_function_of_its_seed_and_the_pass():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    found = first_numbers(shuffled())
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(5)
    assert first_numbers(shuffled()) == found
    assert first_numbers(shuffled(seed=1)) != found
    passes = [list(chain.from_iterable(part)) for part in (found[:3], found[3:6])]
    assert passes[0] != passes[1]
    for each in passes:
        assert sorted(int(number) for number in each) == list(range(10))


def test_a_stream_leaves_the_draws_between_its_batches_alone():
    """Whatever is drawn while it is read comes from the global generator, and does not change the stream."""
    expected = first_numbers(shuffled())
    torch.manual_seed(3)
    drawn, found = [], []
    for batch in islice(shuffled().at(0), 7):
        found.append(batch.x.flatten().tolist())
        drawn.append(torch.rand(1).item())
    torch.manual_seed(3)
    assert drawn == torch.rand(7).tolist()
    assert found == expected


def test_a_stream_begins_anew_at_any_step_with_draws_of_that_step():
    found = first_numbers(shuffled(), at=4)
    assert sorted(int(number) for number in chain.from_iterable(found[:3])) == list(range(10))
    assert found == first_numbers(shuffled(), at=4)
    assert found != first_numbers(shuffled())


def test_reading_a_loader_s_first_batch_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    stream = read_rows(DataLoader(Noisy(), batch_size=4, shuffle=True))
    list(stream)  # pyright: ignore[reportArgumentType]
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("loaded", [False, True])
def test_an_endless_stream_is_begun_with_its_first_batches(monkeypatch, loaded):
    monkeypatch.setattr("latentia.data.streams._BEGUN", 5)
    endless = Endless()
    data = DataLoader(endless, batch_size=None) if loaded else endless
    stream = Stream(data, DataSpec((2,), Support("real")))
    assert isinstance(stream, BatchSource)
    assert len(stream.rows) == 15
    *_, state = train(Reader(), stream, steps=2)
    assert state.step == 2
    assert state.objective.begun == [2, 1] * 5
    assert endless.read < 20
    assert stream.steps_per_epoch == 100


def test_a_stream_with_a_length_is_begun_with_all_of_it(monkeypatch):
    monkeypatch.setattr("latentia.data.streams._BEGUN", 1)
    *_, state = train(Reader(), shuffled(), steps=2)
    assert state.objective.begun == [2, 2, 2, 2, 2]
    assert len(shuffled().rows) == 10
    assert shuffled().steps_per_epoch == 3


def test_a_stream_without_a_batch_is_an_error_and_no_endless_loop():
    with pytest.raises(DataError, match="data is empty: its loader gives no batch"):
        next(Stream([], DataSpec((2,), Support("real"))).at(0))
