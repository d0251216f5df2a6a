"""Rows far from 0 and with a small spread are modelled as well as the same rows near 0."""

import numpy as np
import pytest
from scipy import stats

import latentia as lt

pytestmark = pytest.mark.filterwarnings("ignore::latentia.errors.DataWarning")
OFFSETS = [1e3, 1e5, 5.4e6, 1.7e9, 1e12]


def rows(offset: float) -> np.ndarray:
    """Return rows that float64 has exactly at every one of the offsets: whole numbers of 1/1024."""
    x = np.random.default_rng(0).normal(0, 1, (400, 2))
    return np.round(x * 1024) / 1024 + [offset, 0]


def score(run: lt.Run, x: np.ndarray) -> float:
    return lt.evaluate(run, x, metrics=["log-likelihood"]).iloc[0]["value"]


def exact(recipe: str, x: np.ndarray) -> float:
    """Return the mean log-density of the fitted model by SciPy, on the rows less their first."""
    y = x - x[0]
    covariance = np.cov(y.T, ddof=0)
    if (
        recipe == "ppca"
    ):  # of one dimension in two: the second eigenvalue is the noise, so the covariance is the rows'
        assert len(covariance) == 2
    if recipe == "kernel-density":
        run = lt.fit("kernel-density", y, progress=False)
        return score(run, y)
    return stats.multivariate_normal(y.mean(0), covariance).logpdf(y).mean()


CLOSED = {
    "gaussian": {"variance_floor": 0},
    "gaussian-mixture": {"components": 1, "regularisation": 0},
    "ppca": {"latent_dim": 1},
    "kernel-density": {},
}


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("recipe", CLOSED)
def test_closed_forms_score_as_on_rows_less_their_first(recipe, offset):
    x = rows(offset)
    value, truth = score(lt.fit(recipe, x, progress=False, **CLOSED[recipe]), x), exact(recipe, x)
    assert abs(value - truth) <= 1e-6 * max(1, abs(truth))


@pytest.mark.parametrize(("recipe", "metric"), [("flow", "log-likelihood"), ("vae", "elbo")])
def test_trained_recipes_score_as_on_rows_without_the_offset(recipe, metric):
    values = []
    for offset in (0, 1.7e9):
        run = lt.fit(recipe, rows(offset), epochs=5, progress=False)
        values.append(lt.evaluate(run, rows(offset), metrics=[metric]).iloc[0]["value"])
    assert values[1] == pytest.approx(values[0], abs=1e-3)


@pytest.mark.parametrize("offset", OFFSETS)
def test_samples_are_as_fine_as_float64_draws(offset):
    """Distinct values of 2,000 draws and of NumPy's: both are counts of the same distribution; z at most 4 (6e-5)."""
    run = lt.fit("gaussian", rows(offset), progress=False)
    ours = np.asarray(run.sample(2000, seed=0))
    assert ours.dtype == np.float64
    theirs = np.random.default_rng(1).normal(offset, 1, 2000)
    distinct = [len(np.unique(each)) / 2000 for each in (ours[:, 0], theirs)]
    spread = np.sqrt(max(distinct[1] * (1 - distinct[1]), 1 / 2000) * 2 / 2000)
    assert abs(distinct[0] - distinct[1]) <= 4 * spread
    assert ours[:, 0].std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_a_density_in_another_unit_has_its_jacobian(unit):
    x = np.random.default_rng(0).normal(0, unit, (300, 2))
    value = score(lt.fit("gaussian", x, progress=False, variance_floor=0), x)
    truth = stats.multivariate_normal(x.mean(0), np.cov(x.T, ddof=0), allow_singular=False).logpdf(x).mean()
    assert value == pytest.approx(truth, rel=1e-6)
