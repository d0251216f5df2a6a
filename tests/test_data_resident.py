"""Rows that a training reads without work or copies at each step."""

from itertools import islice

import pytest
import torch

from latentia.core.objective import Objective
from latentia.core.train import train
from latentia.data.batches import Batches
from latentia.data.resident import resident
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.data.transforms import Binarise

META = torch.device("meta")


def grey_rows() -> Rows:
    x = (torch.arange(48, dtype=torch.uint8) * 5).reshape(12, 4)
    rows = Rows(x, DataSpec((4,), Support("discrete", 256)))
    return rows.with_labels(torch.arange(12) % 3, ("a", "b", "c"))


def test_a_fixed_transform_is_applied_once_and_gives_the_same_batches():
    rows = grey_rows().select(torch.tensor([7, 1, 3, 9, 4])).transformed(Binarise("fixed"))
    ready = resident(rows, torch.device("cpu"))
    assert ready.transform is None
    assert isinstance(ready.store, torch.Tensor)
    pairs = list(zip(islice(Batches(rows, 2).at(1), 7), islice(Batches(ready, 2).at(1), 7), strict=True))
    assert all(torch.equal(ours.x, theirs.x) for ours, theirs in pairs)
    assert all(torch.equal(ours.attributes["class"], theirs.attributes["class"]) for ours, theirs in pairs)


def test_a_transform_that_changes_with_the_epoch_is_left_and_so_are_its_rows():
    rows = grey_rows().transformed(Binarise("dynamic"))
    assert resident(rows, torch.device("cpu")).transform is not None
    assert resident(rows, META).device.type == "cpu"


@pytest.mark.parametrize("chosen", [slice(None), slice(10)])
@pytest.mark.parametrize("size", [5, None])
def test_on_a_device_no_part_of_a_batch_comes_from_elsewhere(size, chosen, monkeypatch):
    rows = grey_rows()
    rows = rows if chosen.stop is None else rows.select(torch.arange(12)[chosen])
    monkeypatch.setattr("latentia.data.attributes.Attribute.check", lambda *_: None)  # it reads values
    ready = resident(rows, META)
    assert ready.store.dtype == torch.uint8  # pyright: ignore  (as the rows are stored)
    for batch in islice(Batches(ready, size).at(1), 6):
        parts = [batch.x, batch.index, *batch.attributes.values()]
        assert {part.device for part in parts if part is not None} == {META}


def test_a_training_moves_no_rows_that_are_there(monkeypatch):
    class Nothing(Objective):
        def __init__(self):
            super().__init__()
            self.model = torch.nn.Identity()

        def players(self):
            return {}

        def step(self, batch):
            yield from ()
            return {}

    moved = []
    monkeypatch.setattr("latentia.core.objective.Batch.to", lambda *a: moved.append(a))
    list(train(Nothing(), Batches(resident(grey_rows(), torch.device("cpu")), 4), steps=5, device="cpu:0"))
    assert not moved


def test_rows_that_do_not_fit_stay_as_they_are(monkeypatch):
    rows, changed = grey_rows(), grey_rows().transformed(Binarise("fixed"))
    monkeypatch.setattr("latentia.data.resident._MOST", rows.store.nbytes - 1)  # pyright: ignore
    assert resident(rows, META).device.type == "cpu"
    assert resident(changed, torch.device("cpu")).transform is not None
