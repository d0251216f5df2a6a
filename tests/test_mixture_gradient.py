"""Mixtures by gradient: the same model as by EM, and the same likelihood."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from tests.test_mixture import FAMILIES, blobs

import latentia as lt
from latentia.core.objective import Batch
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.models.mixture import GaussianMixture
from latentia.models.mixture_gradient import TrainableMixture
from latentia.models.mixture_init import frame_of, kmeans_start, random_rows

REAL = DataSpec((3,), Support("real"))


def begun(family: str, x: np.ndarray, seed: int = 0, **options) -> TrainableMixture:
    model = TrainableMixture(REAL, components=3, covariance=family, **options)
    torch.manual_seed(seed)
    model.begin(Batch(torch.from_numpy(x)))
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_it_begins_where_em_begins(family):
    """But for the least width of a start, a thousandth of the rows' spread."""
    x = blobs()
    model = begun(family, x)
    torch.manual_seed(0)
    frame = frame_of(Batch(torch.from_numpy(x)))
    rows = random_rows(Batch(torch.from_numpy(x)), 20_000)
    start = kmeans_start(rows, 3, model.covariance, frame, 1e-6 * frame.variances)
    assert torch.allclose(model.components.weights, start.weights, rtol=1e-5)
    assert torch.allclose(model.components.means, start.means, rtol=1e-5)
    assert torch.allclose(model.components.covariances, start.covariances, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_its_density_is_that_of_a_closed_form_mixture_of_its_parameters(family):
    model, x = begun(family, blobs()), torch.from_numpy(blobs(50, seed=1))
    fixed = GaussianMixture(REAL, components=3, covariance=family).placed(model.components)
    assert torch.equal(model.log_prob(x), fixed.log_prob(x))
    assert model.free_parameters == fixed.free_parameters
    assert torch.equal(model.given({0: 100.0}).means, fixed.given({0: 100.0}).means)
    families = {"tied": lambda c: c - c[:1], "spherical": lambda c: c - c[..., :1]}
    if family in families:  # the constraint holds
        assert families[family](model.components.covariances).abs().max() < 1e-12


@pytest.mark.parametrize("family", FAMILIES)
def test_its_gradient_is_that_of_finite_differences(family):
    model, x = begun(family, blobs()).double(), torch.from_numpy(blobs(20, seed=1))
    model.log_prob(x).mean().backward()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator).double()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * 1e-5 * direction
                values.append(model.log_prob(x).mean().item())
                parameter -= sign * 1e-5 * direction
        slope = (values[0] - values[1]) / 2e-5
        assert (parameter.grad * direction).sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-7), name


@pytest.mark.parametrize("family", FAMILIES)
def test_no_direction_is_narrower_than_the_least_variance(family):
    model = begun(family, blobs(), regularisation=0.01)
    with torch.no_grad():
        model.raw_scale.fill_(-50)
    components = model.components
    cov = components.covariances if components.matrix else torch.diag_embed(components.covariances)
    unit = model.unit
    least = torch.linalg.eigvalsh(cov / unit / unit[:, None])[:, 0]
    assert (least > 0.01 - 1e-9).all()
    assert torch.isfinite(model.log_prob(torch.from_numpy(blobs()))).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_it_reaches_em_s_likelihood_on_blobs(family):
    x, found = torch.from_numpy(blobs()), []
    for name in ("gaussian-mixture", "gaussian-mixture-gradient"):
        extra = {"tol": 1e-9} if name == "gaussian-mixture" else {}
        run = lt.fit(name, blobs(), components=3, covariance=family, progress=False, **extra)
        found.append(run.model.log_prob(x).mean().item())
    assert found[1] == pytest.approx(found[0], abs=1e-2)


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("LATENTIA_DATA"), reason="LATENTIA_DATA names no folder of published files"
)
@pytest.mark.parametrize("family", ["full", "diagonal"])
@pytest.mark.parametrize(("data", "components"), [("old-faithful", 2), ("wine-quality", 3)])
def test_it_reaches_em_s_likelihood_on_published_data(data, components, family):
    found = []
    for name in ("gaussian-mixture", "gaussian-mixture-gradient"):
        extra = {"tol": 1e-9, "epochs": 2000} if name == "gaussian-mixture" else {}
        run = lt.fit(name, data, components=components, covariance=family, progress=False, **extra)
        found.append(run.history["log_likelihood"].iloc[-1])
    assert found[1] == pytest.approx(found[0], abs=1e-2)


def test_bad_rows_and_options_are_errors():
    with pytest.raises(DataError, match="a mixture of 10 components needs at least 10 rows; got 4"):
        lt.fit("gaussian-mixture-gradient", blobs(4), progress=False)
    with pytest.raises(UsageError, match="regularisation must be finite and at least 0; got -1"):
        TrainableMixture(REAL, components=2, regularisation=-1.0)
    for x in (
        np.full((50, 3), 3.0),
        np.repeat(blobs(3), 20, axis=0),
        np.c_[blobs()[:, :2], np.full(400, 7.0)],
    ):
        run = lt.fit("gaussian-mixture-gradient", x, components=5, steps=20, progress=False)
        assert torch.isfinite(run.model.log_prob(torch.from_numpy(x))).all()
