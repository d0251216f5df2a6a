"""Arrays that are more than their buffer, and labels that are more than class numbers."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

import latentia as lt
from latentia.data.ingest.arrays import number_labels
from latentia.data.read import read_rows
from latentia.errors import DataError, DataWarning

X = np.random.default_rng(0).normal(size=(30, 3))


@pytest.mark.filterwarnings("ignore:.* masked, and read as missing:latentia.errors.DataWarning")
def test_masked_entries_are_missing(tmp_path: Path):
    masked = np.ma.masked_array(X.copy(), mask=X > 1)
    masked.data[masked.mask] = -9999.0
    with pytest.warns(
        DataWarning, match=rf"data: {masked.mask.sum()} of 90 entries are masked, and read as missing"
    ):
        rows = read_rows(masked)
    assert str(rows.spec.support) == "real or missing"
    np.testing.assert_allclose(np.asarray(rows), np.where(X > 1, np.nan, X), rtol=1e-6)
    assert np.isfinite(masked).all()  # what was given is left as it is
    assert str(read_rows(np.ma.masked_equal([[0, 1], [1, 7], [1, 1]], 7)).spec.support) == "binary or missing"
    assert str(read_rows(np.ma.masked_array(X, mask=False)).spec.support) == "real"
    with pytest.raises(DataError, match="no entry that is not masked"):
        read_rows(np.ma.masked_all((4, 2)))


@pytest.mark.filterwarnings("ignore:.* masked, and read as missing:latentia.errors.DataWarning")
def test_a_masked_image_keeps_its_support():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    rows = read_rows(np.ma.masked_equal(images, images[0, 0, 0]))
    assert str(rows.spec.support) == "discrete(256) or missing"
    assert rows.spec.event_shape == (1, 4, 4)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia"])
def test_sparse_arrays(tmp_path: Path, form: str):
    sparse = scipy.sparse.random(50, 8, density=0.2, random_state=0, format=form)
    scipy.sparse.save_npz(tmp_path / "s.npz", sparse)
    for given in (sparse, scipy.sparse.csr_array(sparse), tmp_path / "s.npz"):
        np.testing.assert_allclose(np.asarray(read_rows(given)), sparse.toarray(), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*(Sparse CSR|nested tensors|quantize):UserWarning")
@pytest.mark.parametrize(
    "form",
    [
        torch.Tensor.to_sparse,
        torch.Tensor.to_sparse_csr,
        lambda x: x.to(torch.float8_e4m3fn),
        torch.Tensor.bfloat16,
        lambda x: torch.quantize_per_tensor(x, 0.5, 0, torch.qint8),
        lambda x: torch.nested.nested_tensor(list(x)),
        lambda x: x.requires_grad_(),
    ],
    ids=["sparse", "csr", "float8", "bfloat16", "quantised", "nested", "grad"],
)
def test_tensors_of_every_layout(form: Callable[[torch.Tensor], torch.Tensor]):
    assert np.asarray(read_rows(form(torch.eye(5)))).tolist() == np.eye(5).tolist()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.empty(4, 2, device="meta"), "on the meta device, which has a shape and no values"),
        (
            torch.tensor([[2**63 + 5, 1], [2, 3]], dtype=torch.uint64),
            f"holds {2**63 + 5}, and integers go to",
        ),
        (np.array([[2**63 + 5, 1], [2, 3]], "u8"), f"holds {2**63 + 5}, and integers go to"),
        (np.zeros((3, 2), [("a", "f4")]), r"an array of records, and its shape is \(3, 2\)"),
        (np.zeros(3, [("a", "f4", (2,))]), "its field 'a' holds arrays"),
    ],
)
def test_what_is_refused_in_one_line(given: object, said: str):
    with pytest.raises(DataError, match=said):
        read_rows(given)


@pytest.mark.filterwarnings("ignore:.*nested tensors:UserWarning")
def test_nested_rows_of_different_shapes():
    with pytest.raises(DataError, match="its rows have different shapes"):
        read_rows(torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]))


def test_records_are_tables(tmp_path: Path):
    kinds = np.array(["a", "b"])[np.arange(30) % 2]
    records = np.zeros(30, [("x", ">f8"), ("n", "i4"), ("kind", "S1")])
    records["x"], records["n"], records["kind"] = X[:, 0], np.arange(30), kinds
    np.save(tmp_path / "r.npy", records)
    for given in (records, records.view(np.recarray), tmp_path / "r.npy"):
        rows = read_rows(given, labels="kind")
        assert rows.spec.columns == ("x", "n")
        assert rows.spec.classes == ("a", "b")
        assert len(rows) == 30


def test_labels_that_are_no_class_numbers():
    for wrong in (np.inf, -np.inf, np.nan, 0.5):
        with pytest.raises(DataError, match=r"holds .*; give a class number or name"):
            number_labels([0.0, 1.0, wrong])
    with pytest.raises(DataError, match="is masked in 1 of 3 rows"):
        number_labels(np.ma.masked_equal([0, 1, 9], 9))


def test_minus_one_is_said_to_be_a_class():
    with pytest.warns(DataWarning, match=r"holds -1, which is taken as a class of its own.*unlabelled='-1'"):
        rows = read_rows(X, labels=np.arange(30) % 3 - 1)
    assert rows.spec.classes == ("-1", "0", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_rows(X, labels=np.where(np.arange(30) % 2, 1, -1)).spec.classes == ("-1", "1")


def test_a_fit_to_a_sparse_array_is_one_to_the_dense_one():
    sparse = scipy.sparse.random(50, 3, density=0.5, random_state=0)
    runs = [lt.fit("gaussian", each, progress=False) for each in (sparse, sparse.toarray())]
    assert torch.equal(runs[0].model.mean, runs[1].model.mean)


def test_labels_may_be_a_frame_or_tensor():
    labels = np.arange(30) % 2
    for given in (torch.tensor(labels), pd.Series(labels), list(labels), labels[:, None]):
        assert read_rows(X, labels=given).spec.classes == ("0", "1")
