"""Data sets without a length or an order: single rows are batched, batches stay."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import latentia as lt
from latentia.data.read import read_rows
from latentia.data.streams import Stream
from latentia.errors import DataError, DataWarning

X = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
Y = torch.arange(300) % 2


class Given(IterableDataset):
    """Items as they are given."""

    def __init__(self, *items: object) -> None:
        self.items = items

    def __iter__(self) -> Iterator[object]:
        return iter(self.items)


def shapes(data: object, **options: object) -> list[tuple[int, ...]]:
    stream = read_rows(data, **options)
    assert isinstance(stream, Stream)
    return [tuple(batch.x.shape) for batch in stream]


@pytest.mark.parametrize(
    "data",
    [
        Given(*X),
        Given(*X.numpy()),
        Given(*zip(X, Y, strict=True)),
        Given(*zip(X.numpy(), Y.tolist(), strict=True)),
        DataLoader(TensorDataset(X, Y), batch_size=None),
        DataLoader(Given(*X), batch_size=None),
    ],
    ids=["rows", "arrays", "pairs", "arrays and numbers", "loader", "loader of rows"],
)
def test_single_rows_are_batched(data: object):
    assert shapes(data) == [(128, 3), (128, 3), (44, 3)]
    stream = read_rows(data)
    assert torch.equal(torch.cat([batch.x for batch in stream]), X)


def test_labels_of_single_rows():
    stream = read_rows(Given(*zip(X, Y, strict=True)), labels=["a", "b"])
    assert torch.equal(torch.cat([batch.attributes["class"] for batch in stream]), Y)


def test_single_images_and_numbers():
    images = torch.rand(5, 3, 4, 6)
    assert shapes(Given(*images)) == [(5, 3, 4, 6)]
    assert shapes(Given(*zip(images[:, 0], range(5), strict=True))) == [(5, 1, 4, 6)]
    assert shapes(Given(*np.linspace(0.0, 1.0, 7).tolist())) == [(7, 1)]


@pytest.mark.parametrize(
    "data",
    [
        Given(*X.split(100)),
        Given(*zip(X.split(100), Y.split(100), strict=True)),
        DataLoader(Given(*X.split(100)), batch_size=None),
        DataLoader(Given(*X), batch_size=100),
        list(X.split(100)),
    ],
    ids=["batches", "pairs", "loader of batches", "loader", "list"],
)
def test_batches_stay(data: object):
    if isinstance(data, list):
        data = Given(*data)
    assert shapes(data) == [(100, 3)] * 3


def test_rows_of_different_shapes():
    with pytest.raises(DataError, match="rows of data do not make a batch"):
        shapes(Given(torch.zeros(2), torch.zeros(3)))


def test_a_length_is_one_of_batches():
    loader = DataLoader(TensorDataset(X), batch_size=None)
    assert read_rows(loader).steps_per_epoch == 3


def test_a_fit_to_single_rows():
    run = lt.fit("vae", Given(*zip(X, Y, strict=True)), latent_dim=1, steps=2, progress=False)
    assert run.sample(5, seed=0).shape == (5, 3)


def test_what_may_be_pictures_without_channels_is_said():
    with pytest.warns(
        DataWarning, match=r"shape \(8, 9\), .* batches of 8 rows of 9 numbers: .* as \(1, 8, 9\)"
    ):
        stream = read_rows(Given(*torch.rand(3, 8, 9)))
    assert [len(batch) for batch in stream] == [8, 8, 8]
