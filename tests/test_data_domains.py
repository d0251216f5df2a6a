"""Domains: unpaired sets as one set of rows with a class, balanced batches, and translation from one to another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

import latentia as lt
from latentia.cli import main
from latentia.core.model import Conditional, Translates
from latentia.core.objective import Batch, Objective
from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.attributes import Attribute, text_values
from latentia.data.batches import Batches, balanced_order
from latentia.data.domains import Together, in_domains
from latentia.data.read import read_rows
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.data.streams import Stream
from latentia.data.transforms import Binarise
from latentia.errors import DataError, UsageError
from latentia.networks.conditioning import ContextEncoder


class Shift(nn.Module, Conditional, Translates):
    """Carries rows into a domain by adding the domain's learned shift."""

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.context_encoder = ContextEncoder(data.context)
        self.shifts = nn.Linear(self.context_encoder.size, data.size, bias=False)
        nn.init.zeros_(self.shifts.weight)

    def translate(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        assert context is not None
        return x + self.shifts(context).view_as(x)


class ByDomain(Objective):
    """Learn each domain's mean as its shift; note the domains of every batch."""

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.model = Shift(data)
        self.seen: list[Tensor] = []

    def players(self):
        return {"model": self.model}

    def step(self, batch):
        context = self.context_of(batch)
        self.seen.append(context.mean(0))
        loss = (self.model.shifts(context) - batch.x.flatten(1)).square().mean()
        yield "model", loss
        return {"loss": loss.detach()}


def recipe(data: DataSpec, **facts) -> Recipe:
    return Recipe(
        ByDomain(data), Optim(lr=0.1), **{"batch_size": 8, "conditional": True, "balanced": True} | facts
    )


def folder(path, counts: dict[str, int]):
    """Write images of one grey value a folder: 10 in the first, 20 in the second, …"""
    for number, (name, count) in enumerate(counts.items(), start=1):
        (path / name).mkdir(parents=True)
        for each in range(count):
            Image.fromarray(np.full((8, 8), 10 * number + each % 2, np.uint8)).save(
                path / name / f"{each}.png"
            )
    return path


# --- sets --------------------------------------------------------------------------------------------------------


def test_two_folders_of_images_are_two_domains_and_batches_are_balanced(tmp_path):
    """The same rows from one folder of two subfolders as from a dict of two folders; 12 of one and 3 of the other."""
    folder(tmp_path / "both", {"horse": 12, "zebra": 3})
    for data in (tmp_path / "both", {name: tmp_path / "both" / name for name in ("horse", "zebra")}):
        rows = read_rows(data)
        assert rows.spec.classes == ("horse", "zebra")
        assert rows.spec.event_shape == (1, 8, 8)
        grey = rows.whole().x.float().mean((1, 2, 3))
        assert (grey >= 20).long().tolist() == rows.labels.tolist() == [0] * 12 + [1] * 3
        made = recipe(rows.spec)
        run = lt.fit(made, data, epochs=2, seed=3, progress=False)
        seen = torch.stack(run.recipe.objective.seen)
        assert len(seen) == 2 * 3  # 12 + 12 rows in batches of 8
        assert (seen == 0.5).all()
    names = [attribute.name for attribute in rows.spec.attributes]
    assert names == ["domain"]


def test_sets_of_all_kinds_are_domains():
    frame = pytest.importorskip("pandas").DataFrame({"a": [1.5, 2.5], "b": [0.0, 1.0]})
    sets = {
        "frame": frame,
        "array": np.zeros((3, 2)),
        "tensor": torch.ones(1 + 1, 2),
        "rows": read_rows(np.eye(2)),
    }
    rows = read_rows(sets)
    assert rows.name == "frame and array and tensor and rows"
    assert rows.spec.label.name == "domain"
    assert rows.labels.tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3]
    assert str(rows.spec.support) == "real"
    assert rows.take(torch.tensor([8, 1, 6])).x.tolist() == [[0, 1], [2.5, 1], [1, 1]]
    named = read_rows({"a": "digits", "b": "digits"}, split="test")
    assert len(named) == 2 * len(read_rows("digits", split="test"))
    assert str(named.spec.support) == "discrete(17)"


def test_rows_of_several_sets_are_read_where_they_are():
    """Of selections too, in any order, and with the wider of the sets' types."""
    plain = Rows(torch.arange(10, dtype=torch.uint8)[:, None], DataSpec((1,), Support("discrete", 256)))
    store = Together((plain.select(torch.tensor([9, 3])), plain, plain.select(torch.tensor([5]))))
    index = torch.tensor([12, 0, 2, 11, 1, 7])
    assert store.index_select(0, index)[:, 0].tolist() == [5, 9, 0, 9, 3, 5]
    assert store.index_select(0, index).dtype == torch.uint8
    halves = Rows(torch.full((2, 1), 0.5), DataSpec((1,), Support("real")))
    assert Together((plain, halves)).index_select(0, torch.tensor([3, 10])).tolist() == [[3.0], [0.5]]
    assert in_domains({"plain": plain, "halves": halves}, "both").spec.support == Support("real")
    sized = Rows(torch.zeros(2, 1), DataSpec((1,), Support("real"), columns=("size",)))
    assert in_domains({"a": sized, "b": sized}, "both").spec.columns == ("size",)
    binary = Rows(torch.ones(2, 1), DataSpec((1,), Support("unit")))
    with pytest.raises(UsageError, match="the sets of both have transforms already"):
        in_domains({"a": binary, "b": binary.transformed(Binarise("dynamic"))}, "both")


def test_what_is_no_pair_of_sets_is_refused(tmp_path):
    x = np.zeros((3, 2))
    with pytest.raises(UsageError, match="domains are two sets or more, by name; got one"):
        read_rows({"one": x})
    with pytest.raises(DataError, match=r"different shapes, a \(2,\), b \(3,\): give them one"):
        read_rows({"a": x, "b": np.zeros((3, 3))})
    with pytest.raises(UsageError, match="has its names as labels"):
        read_rows({"a": x, "b": x}, labels=[0, 1, 1])
    with pytest.raises(UsageError, match="the domain 'b' is a loader"):
        read_rows({"a": x, "b": DataLoader(torch.zeros(4, 2))})
    with pytest.raises(DataError, match="2 in row 0, outside its support, unit"):
        read_rows({"a": x, "b": x + 2}, support="unit")


# --- balanced batches --------------------------------------------------------------------------------------------


def unequal() -> Rows:
    labels = torch.tensor([0] * 7 + [1] * 3 + [2] * 5)
    rows = Rows(torch.arange(15.0)[:, None], DataSpec((1,), Support("real")))
    return rows.with_labels(labels[torch.randperm(15, generator=torch.Generator().manual_seed(0))], "abc")


@pytest.mark.parametrize("size", [3, 4, 7])
def test_every_batch_holds_each_class_equally_often_within_one(size):
    rows = unequal()
    batches = Batches(rows, size, seed=1, balanced=True)
    assert batches.steps_per_epoch == -(-21 // size)
    source = batches.at(0)
    for _ in range(3):
        epoch = [next(source) for _ in range(batches.steps_per_epoch)]
        for batch in epoch:
            counts = batch.attributes["class"].bincount(minlength=3)
            assert counts.max() - counts.min() <= 1
        numbers = torch.cat([batch.index for batch in epoch])
        times = numbers.bincount(minlength=15)
        for number, count in enumerate((7, 3, 5)):
            mine = times[rows.labels == number]
            assert mine.sum() == 7
            assert mine.min() >= 7 // count  # all are read before one is read again
            assert mine.max() <= -(-7 // count)


def test_balanced_batches_are_a_function_of_seed_and_epoch_and_begin_anywhere():
    batches = Batches(unequal(), 4, seed=1, balanced=True)
    first = batches.at(0)
    whole = [next(first).index for _ in range(20)]
    for step in (1, 5, 6, 13):
        later = batches.at(step)
        for expected in whole[step:]:
            assert next(later).index.equal(expected)
    assert not whole[0].equal(next(Batches(unequal(), 4, seed=2, balanced=True).at(0)).index)
    labels = unequal().labels
    assert not balanced_order(labels, 0, 0).equal(balanced_order(labels, 0, 1))


def test_each_class_has_an_order_of_its_own_and_a_new_one_each_time():
    labels = torch.arange(3).repeat_interleave(torch.tensor([6, 6, 12]))
    first, second, _ = balanced_order(labels, seed=0, epoch=0).view(12, 3).unbind(1)
    assert first[:6].tolist() != first[6:].tolist()
    assert first[:6].tolist() != (second[:6] - 6).tolist()


def test_processes_share_a_balanced_batch_and_each_part_is_balanced():
    """Every second row of classes that take turns would be of one class."""
    rows = read_rows({"a": np.zeros((8, 1)), "b": np.ones((8, 1))})
    one = Batches(rows, 8, seed=1, balanced=True).at(0)
    two = [Batches(rows, 8, seed=1, rank=rank, world=2, balanced=True).at(0) for rank in (0, 1)]
    for _ in range(4):
        parts = [next(each) for each in two]
        assert torch.cat([part.index for part in parts]).equal(next(one).index)
        for part in parts:
            assert part.attributes["domain"].bincount().tolist() == [2, 2]


def test_balanced_batches_need_classes_and_a_size():
    plain = Rows(torch.zeros(4, 1), DataSpec((1,), Support("real")))
    with pytest.raises(UsageError, match="balanced batches of data need classes: give labels="):
        Batches(plain, 2, balanced=True)
    with pytest.raises(UsageError, match="balanced batches of data need a batch size"):
        Batches(unequal(), None, balanced=True)
    loader = DataLoader([(torch.zeros(1), 0)] * 4, batch_size=2)
    with pytest.raises(UsageError, match="balances its batches by class, and a DataLoader makes its own"):
        lt.fit(recipe(unequal().spec), loader, labels="abc", steps=1)


def test_a_balanced_training_resumes_bit_exactly(tmp_path):
    rows = unequal()
    whole = lt.fit(recipe(rows.spec), rows, epochs=4, seed=5, out=tmp_path / "whole", progress=False)
    part = lt.fit(recipe(rows.spec), rows, epochs=2, seed=5, out=tmp_path / "part", progress=False)
    again = lt.fit(
        recipe(rows.spec), rows, epochs=4, seed=5, out=tmp_path / "part", resume=True, progress=False
    )
    assert again.model.shifts.weight.equal(whole.model.shifts.weight)
    assert not part.model.shifts.weight.equal(whole.model.shifts.weight)


# --- loaders of batches ------------------------------------------------------------------------------------------


def test_a_loader_of_batches_fits():
    """A collate function of one's own gives batches with attributes; classes are named by labels=."""
    generator = torch.Generator().manual_seed(0)

    def collate(numbers: list[int]) -> Batch:
        kind = torch.tensor(numbers) % 2
        x = 4.0 * kind[:, None] + 0.1 * torch.randn(len(numbers), 1, generator=generator)
        return Batch(x, attributes={"kind": kind, "weight": x[:, 0] * 2})

    loader = DataLoader(range(40), batch_size=8, collate_fn=collate)
    rows = read_rows(loader, labels=["low", "high"])
    assert isinstance(rows, Stream)
    assert [(each.name, each.kind, each.role) for each in rows.spec.attributes] == [
        ("kind", "categorical", "label"),
        ("weight", "real", "condition"),
    ]
    options = {"latent_dim": 1, "hidden": 16, "lr": 0.02, "epochs": 60, "seed": 0, "progress": False}
    run = lt.fit("conditional-vae", loader, labels=["low", "high"], **options)
    for kind, mean in (("low", 0), ("high", 4)):
        samples = run.sample(100, {"kind": kind, "weight": 2 * mean}, seed=0)
        assert samples.mean().item() == pytest.approx(mean, abs=0.5)
    lt.fit(
        "vae", [Batch(torch.randn(8, 2)) for _ in range(3)], latent_dim=1, hidden=4, epochs=1, progress=False
    )
    lt.fit(
        "gan", DataLoader([Batch(torch.randn(8, 2))] * 3, batch_size=None), hidden=4, epochs=1, progress=False
    )


def test_the_first_batch_of_a_loader_tells_kinds_and_ranges_and_rows_become_floating_point():
    attributes = {
        "kind": torch.tensor([0, 1], dtype=torch.uint8),
        "weight": torch.tensor([4.0, 2.5]),
        "said": text_values(["a", "bc"]),
    }
    stream = read_rows([Batch(torch.tensor([[0], [7]]), attributes=attributes)], labels=["low", "high"])
    assert stream.spec.attributes == (
        Attribute("kind", ("low", "high"), role="label"),
        Attribute("weight", (2.5, 4.0), "real"),
        Attribute("said", kind="text"),
    )
    assert next(iter(stream)).x.dtype == torch.float32


def test_batches_of_a_loader_are_checked():
    good, bad = (Batch(torch.zeros(2, 1), attributes={"kind": torch.tensor([0, high])}) for high in (1, 2))
    with pytest.raises(DataError, match="data has class number 2, but 2 classes"):
        list(read_rows([good, bad], labels=["a", "b"]))
    with pytest.raises(DataError, match=r"rows of shape \(2,\), but the model is for \(1,\)"):
        list(read_rows([good, Batch(torch.zeros(2, 2))], labels=["a", "b"]))


# --- translation -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> lt.Run:
    """A run whose domains have the means 15 and 25 of a grey value, of two folders of images."""
    path = folder(tmp_path_factory.mktemp("domains") / "images", {"horse": 6, "zebra": 4})
    sets = {name: path / name for name in ("horse", "zebra")}
    data = read_rows(sets, support="real")
    made = recipe(data.spec)
    return lt.fit(made, sets, support="real", epochs=300, seed=0, progress=False)


def test_rows_are_translated_into_the_domain_that_is_given(run):
    x = torch.zeros(3, 1, 8, 8)
    for given in ({"domain": "zebra"}, {"class": "zebra"}, {"domain": 1}, {"domain": ["zebra"] * 3}):
        assert run.translate(x, given=given).mean().item() == pytest.approx(20.5, abs=0.2)
    each = run.translate(x, {"domain": ["horse", "zebra", "horse"]}).mean((1, 2, 3))
    assert each.tolist() == pytest.approx([10.5, 20.5, 10.5], abs=0.2)
    with pytest.raises(UsageError, match="give domain=, one of horse, zebra"):
        run.translate(x)
    with pytest.raises(UsageError, match="unknown domain 'cow'; there are: horse, zebra"):
        run.translate(x, {"domain": "cow"})


def test_what_was_read_from_several_paths_is_read_again(run, tmp_path):
    """The run says where its domains were, so that the rows that it was fitted to are found by whoever scores it."""
    from latentia.runs.data import fingerprint, read_again

    assert set(run.data["path"]) == {"horse", "zebra"}
    again = read_again(run.data, run.training)
    assert again is not None
    assert fingerprint(again[0]) == run.data["fingerprint"]
    assert run.data["name"] == "horse and zebra"
    gone = run.data | {"path": {"horse": str(tmp_path / "none"), "zebra": run.data["path"]["zebra"]}}
    assert read_again(gone, run.training) is None


def test_the_command_line_translates_into_a_given_domain(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("latentia.runs.load.load", lambda _: run)
    folder(tmp_path / "more", {"cow": 2, "dog": 2})
    words = ["translate", str(tmp_path), "--data", str(tmp_path / "more"), "--n", "3", "--out"]
    assert not main([*words, str(tmp_path / "new.npy"), "--given", "domain=zebra"])
    assert "note" not in capsys.readouterr().err
    x, carried = np.load(tmp_path / "new.npy")
    assert (carried - x).mean() == pytest.approx(20.5, abs=0.2)
    assert not main([*words, str(tmp_path / "old.npy"), "--domain", "zebra"])
    assert "--domain zebra is written --given domain=zebra now" in capsys.readouterr().err
    assert np.array_equal(np.load(tmp_path / "old.npy"), np.load(tmp_path / "new.npy"))
