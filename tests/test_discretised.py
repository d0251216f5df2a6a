"""Columns of numbers on a grid, scored by the probability of their cell."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, stats
from tests.draws import seeded
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.columns.column import Column
from latentia.data.spec import DataSpec, Support
from latentia.distributions.cells import GaussianCells, log_gaussian_mass
from latentia.distributions.likelihoods import make_likelihood
from latentia.distributions.likelihoods.discretised import Grid, grids_of
from latentia.errors import UsageError
from latentia.networks.scaling import Scaling

AGE = Column("age", "integer", "int64", facts={"low": 17, "high": 90, "step": 1})
PH = Column("pH", "real", "float64", facts={"low": 2.7, "high": 4.0, "decimals": 2})
MASS = Column("mass", "real", "float64", facts={"low": 1.0, "high": 2.0})
SEX = Column("sex", "categorical", "object")
SUPPORT = Support.parse("table(real, real or missing, real, categorical(2))")
NAMES = ("age", "pH", "mass", "sex")
DATA = DataSpec(
    (4,),
    SUPPORT,
    NAMES,
    table=(SEX, AGE, PH, MASS),
    offsets=(40.0, 3.0, 0.0, 0.0),
    scales=(12.0, 0.25, 1.0, 1.0),
)


def test_the_mass_of_a_cell_is_that_of_scipy_in_both_tails_and_for_narrow_cells():
    """Against quadrature of the density, relative to its value at the centre."""
    for z in (-30.0, -5.0, -0.3, 0.0, 1.0, 8.0, 30.0):
        for width in (1e-6, 5e-3, 0.0099, 0.0101, 0.3, 2.0):
            found = log_gaussian_mass(*torch.tensor([z, width], dtype=torch.float64)).item()
            ratio, _ = integrate.quad(
                lambda t, z=z: math.exp((z**2 - t**2) / 2), z - width / 2, z + width / 2
            )
            expected = math.log(ratio) + stats.norm.logpdf(z)
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), (z, width)
            single = log_gaussian_mass(torch.tensor(z), torch.tensor(width)).item()
            assert single == pytest.approx(expected, rel=2e-5, abs=2e-5), (z, width)


def test_its_gradients_are_those_of_finite_differences():
    z = torch.tensor([-9.0, -0.5, 0.2, 3.0, 12.0], dtype=torch.float64, requires_grad=True)
    width = torch.tensor([1.0, 1e-3, 0.5, 1e-4, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(log_gaussian_mass, (z, width), eps=1e-7)


def test_draws_are_on_the_grid_and_have_the_cells_frequencies():
    """100,000 draws: 5 standard errors of each of 9 cells, a false alarm in 200,000 runs."""
    cells = GaussianCells(*(torch.tensor(value, dtype=torch.float64) for value in (0.3, 0.8, 0.5, 0.1)))
    with seeded():
        drawn = cells.sample((100_000,))
    k = (drawn - 0.1) / 0.5
    assert (k - k.round()).abs().max() < 1e-9
    for number in range(-4, 5):
        p = cells.log_prob(torch.tensor(0.1 + 0.5 * number).double()).exp().item()
        share = (k.round() == number).double().mean().item()
        assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / 100_000) + 1e-9


def test_the_grids_are_those_of_whole_numbers_and_decimals_in_the_model_s_units():
    grids = grids_of(DATA)
    assert list(grids) == [0, 1]
    assert grids[0] == Grid(1 / 12, (17 - 40) / 12, 12.0)
    assert grids[1].step == pytest.approx(0.04)
    assert grids[1].start == pytest.approx((2.7 - 3) / 0.25)
    count = DataSpec((1,), Support("real"), ("n",), table=(Column("n", "count", "int64"),))
    assert grids_of(count) == {0: Grid(1.0, 0.0, 1.0)}
    assert grids_of(DataSpec((1,), Support("real"))) == {}


def natural_log_prob(law, x: Tensor) -> Tensor:
    """Return the log-density of rows as the model reads them, in the data's units, as scores have it."""
    return law.log_prob(x).double() + DATA.log_det(x)


def test_probabilities_in_the_data_s_units_add_up_to_one_and_are_scipy_s():
    likelihood = make_likelihood("auto", DATA, Scaling(DATA), discretise=True).double()
    h = torch.tensor([[0.2, -0.1, 0.4, 0.3, -0.3, 0.0]], dtype=torch.float64)  # age, pH; mass; sex; gap
    law, sigma = likelihood(h), math.exp(math.log1p(math.exp(-6)))
    ages = torch.arange(-150, 250, dtype=torch.float64)
    gap = stats.bernoulli(0.5).logpmf(1)
    rows = torch.stack([ages, torch.full_like(ages, torch.nan), torch.full_like(ages, 1.5), 0 * ages], dim=1)
    found = natural_log_prob(law, DATA.coded(rows).double()).detach()
    rest = gap + stats.norm.logpdf(1.5, 0.4, sigma) + 0.3 - np.logaddexp(0.3, -0.3)
    normal = stats.norm(40 + 12 * 0.2, 12 * sigma)
    with np.errstate(divide="ignore"):
        expected = np.log(normal.cdf(ages + 0.5) - normal.cdf(ages - 0.5)) + rest
    middle = slice(130, 240)  # where SciPy's difference has digits left
    assert found[middle].numpy() == pytest.approx(expected[middle], abs=1e-4)
    assert (found - rest).exp().sum().item() == pytest.approx(1, abs=1e-5)
    ph = 3 + torch.arange(-300, 300, dtype=torch.float64) / 100
    rows = torch.stack([torch.full_like(ph, 40.0), ph, torch.full_like(ph, 1.5), 0 * ph], dim=1)
    there = natural_log_prob(law, DATA.coded(rows).double()).detach()
    whole = found[ages == 40.0].item()  # the same row without its pH: both patterns have probability one half
    assert there.exp().sum().item() == pytest.approx(math.exp(whole), rel=1e-4)


def test_the_measure_is_counting_for_the_columns_that_have_a_grid():
    assert make_likelihood("auto", DATA, Scaling(DATA), discretise=True).measure == "mixed"
    ages = DataSpec((2,), Support("real"), ("age", "pH"), table=(AGE, PH))
    assert make_likelihood("auto", ages, Scaling(ages), discretise=True).measure == "counting"
    assert make_likelihood("auto", ages, Scaling(ages)).measure == "Lebesgue"


def test_samples_are_on_the_grid():
    ages = DataSpec(
        (2,), Support("real"), ("age", "pH"), table=(AGE, PH), offsets=(40.0, 3.0), scales=(12.0, 0.25)
    )
    with seeded():
        model = lt.recipes["vae"](ages, latent_dim=1, hidden=4, discretise=True).objective.model.eval()
        x = ages.natural(model.sample(200))
    assert (x[:, 0] - x[:, 0].round()).abs().max() < 1e-4
    assert (100 * x[:, 1] - (100 * x[:, 1]).round()).abs().max() < 1e-3
    assert len(x[:, 0].round().unique()) > 5
    assert model.log_prob_bound(ages.coded(x), samples=3).isfinite().all()


def test_what_has_no_grid_is_refused():
    plain = DataSpec((2,), Support("real"))
    with pytest.raises(UsageError, match="discretise=True needs a column of numbers whose step is known"):
        lt.recipes["vae"](plain, discretise=True)
    picture = DataSpec((1, 8, 8), Support("unit"))
    with pytest.raises(UsageError, match="discretise=True is for tables with columns of numbers"):
        lt.recipes["vae"](picture, discretise=True)


def test_a_fitted_vae_scores_whole_numbers_like_the_distribution_that_they_are_from():
    """Rounded Gaussian rows: the bound is at most the entropy of the rounded law, and within 0.05 nats of it."""
    spec = DataSpec((1,), Support("real"), ("age",), table=(AGE,))
    x = (40 + 2 * torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))).round()
    made = lt.recipes["vae"](spec, latent_dim=1, hidden=8, lr=1e-2, discretise=True)
    with seeded():
        for _ in train(made.objective, [Batch(x)], optim=made.optim, steps=300):
            pass
    found = made.objective.model.eval().log_prob_bound(x, samples=20).mean().item()
    normal = stats.norm(x.mean().item(), x.std().item())
    exact = np.log(normal.cdf(x + 0.5) - normal.cdf(x - 0.5)).mean()
    assert exact - 0.05 < found < exact + 0.02


def test_a_frame_s_whole_numbers_are_scored_by_cells_where_that_is_asked_for():
    """The density of a column in tenths is 10 times the probability of a cell: 2.3 nats apart, and gaps are kept."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"ph": draw.normal(7, 2, 400).round(1), "sex": draw.choice(["m", "f"], 400)})
    frame.loc[draw.random(400) < 0.2, "ph"] = np.nan
    options = {"latent_dim": 1, "hidden": 8, "epochs": 30, "lr": 1e-2, "seed": 0, "progress": False}
    runs = [lt.fit("vae", frame, discretise=discretise, **options) for discretise in (False, True)]
    densities, cells = (float(np.mean(np.asarray(run.log_prob(frame)))) for run in runs)
    share = frame["ph"].notna().mean()
    assert cells == pytest.approx(densities - share * math.log(10), abs=0.05)
    assert [run.model.measure for run in runs] == ["mixed", "counting"]
    assert runs[1].impute(frame).notna().all(axis=None)
    made = runs[1].sample(500, seed=0)
    assert 0.1 < made["ph"].isna().mean() < 0.3


def test_a_model_of_rows_without_gaps_fills_rows_with_gaps():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(size=200)})
    frame["b"] = frame["a"] + 0.1 * draw.normal(size=200)
    run = lt.fit("vae", frame, latent_dim=1, hidden=32, epochs=100, lr=1e-2, seed=0, progress=False)
    holes = frame.copy()
    holes.loc[::2, "b"] = np.nan
    filled = run.impute(holes, seed=0)
    assert (filled["b"] - frame["b"]).abs().mean() < 0.5  # of 0.8, the mean of |b|
    assert np.allclose(filled.loc[1::2], frame.loc[1::2], atol=1e-5)
