"""Gaussian mixtures and EM against scikit-learn, naive loops and planted truth."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.mixture import GaussianMixture as Reference
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.mixtures.components import COVARIANCES
from latentia.models.mixture import GaussianMixture
from latentia.objectives.em.mixture import MixtureEM

FAMILIES = {
    "full": "full",
    "tied": "tied",
    "diagonal": "diag",
    "spherical": "spherical",
}  # ours: scikit-learn's
REAL = DataSpec((3,), Support("real"))


def blobs(n: int = 400, seed: int = 0) -> np.ndarray:
    """Return n rows of three Gaussians in three dimensions, far from 0 and with correlated entries."""
    random = np.random.default_rng(seed)
    centres = np.array([[100.0, 0, 0], [104, 3, 0], [98, 0, 5]])
    mix = np.array([[1.0, 0.5, 0], [0, 1, 0.3], [0, 0, 0.4]])
    return centres[random.integers(3, size=n)] + random.normal(size=(n, 3)) @ mix


def objective(covariance: str = "full", components: int = 3, data: DataSpec = REAL, **options) -> MixtureEM:
    return MixtureEM(GaussianMixture(data, components=components, covariance=covariance), **options)


def fitted(covariance: str = "full", x: np.ndarray | None = None, steps: int = 20, **options) -> MixtureEM:
    game = objective(covariance, **options)
    batch = Batch(torch.from_numpy(blobs() if x is None else x))
    *_, state = train(game, [batch], steps=steps)
    return state.objective


def update(game: MixtureEM, x: Tensor) -> Tensor:
    """Play one step; return the mean log-likelihood before it."""
    step = game.step(Batch(x))
    with pytest.raises(StopIteration) as end:
        next(step)
    return end.value.value["log_likelihood"]


def covariances(model: GaussianMixture) -> Tensor:
    """Return Σ_k as (K, D, D), whatever the family."""
    factors = model.factors
    return factors @ factors.mT if model.covariance.matrix else torch.diag_embed(factors.square())


def as_reference(model: GaussianMixture, covariance: str) -> Reference:
    """Return scikit-learn's mixture with the same parameters."""
    sigma, kind = covariances(model), FAMILIES[covariance]
    theirs = {
        "full": sigma,
        "tied": sigma[0],
        "diag": sigma.diagonal(dim1=-2, dim2=-1),
        "spherical": sigma[:, 0, 0],
    }[kind].numpy()
    reference = Reference(len(model.weights), covariance_type=kind, reg_covar=0.0)
    reference.weights_, reference.means_ = model.weights.numpy().copy(), model.means.numpy().copy()
    reference.covariances_ = theirs
    reference.precisions_cholesky_ = _compute_precision_cholesky(theirs, kind)
    return reference


@pytest.mark.parametrize("covariance", FAMILIES)
def test_log_prob_equals_scikit_learns(covariance):
    model = fitted(covariance, steps=3).model
    reference, x = as_reference(model, covariance), blobs(200, seed=1)
    ours = model.log_prob(torch.from_numpy(x)).numpy()
    assert ours == pytest.approx(reference.score_samples(x), abs=1e-5)
    assert ours.shape == (200,)


@pytest.mark.parametrize("covariance", FAMILIES)
def test_log_prob_equals_a_naive_loop(covariance):
    model, x = fitted(covariance, steps=3).model, blobs(20, seed=1)
    density = np.zeros(len(x))
    for weight, mean, sigma in zip(model.weights, model.means, covariances(model), strict=True):
        density += weight.item() * stats.multivariate_normal(mean.numpy(), sigma.numpy()).pdf(x)
    assert model.log_prob(torch.from_numpy(x)).numpy() == pytest.approx(np.log(density), rel=1e-9)


@pytest.mark.parametrize("covariance", FAMILIES)
def test_one_step_equals_scikit_learns(covariance):
    game, x = fitted(covariance, steps=2, regularisation=0.0), blobs()
    reference = as_reference(game.model, covariance)
    _, log_responsibilities = reference._e_step(x)
    reference._m_step(x, log_responsibilities)
    before = game.model.log_prob(torch.from_numpy(x)).mean().item()
    value = update(game, torch.from_numpy(x)).item()
    after = as_reference(game.model, covariance)
    assert value == pytest.approx(before, abs=1e-10)
    assert after.weights_ == pytest.approx(reference.weights_, rel=1e-9)
    assert after.means_ == pytest.approx(reference.means_, rel=1e-9)
    assert after.covariances_ == pytest.approx(reference.covariances_, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("covariance", FAMILIES)
def test_blocks_make_no_difference(covariance, monkeypatch):
    """The moments of 400 rows in blocks of 7 are those of all rows, also far from the origin."""
    whole = fitted(covariance, steps=4).model.state_dict()
    numbers = 3 + (10 if COVARIANCES[covariance].matrix else 7)  # of a row's log-densities and features
    monkeypatch.setattr("latentia.objectives.em.steps._FEATURE_BLOCK", 7 * numbers)
    for name, value in fitted(covariance, steps=4).model.state_dict().items():
        assert torch.allclose(value, whole[name], rtol=1e-8, atol=1e-10), name


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("covariance", FAMILIES)
def test_em_never_lowers_the_likelihood(covariance, shift):
    """Of what it maximises: the ridge is 0. From a poor start, so that there is far to go."""
    x = torch.from_numpy(blobs() + shift)
    game = objective(covariance, components=4, regularisation=0.0, tol=0.0)
    torch.manual_seed(0)
    game.begin(Batch(x))
    game.model.means.copy_(x[:4])
    game.model.factors.mul_(3)
    values = [update(game, x).item() for _ in range(40)]
    assert min(np.diff(values)) > -1e-9
    assert values[-1] > values[0] + 0.1


@pytest.mark.parametrize("family", COVARIANCES)
def test_families_pool_as_naive_loops_do(family):
    torch.manual_seed(0)
    root = torch.randn(4, 3, 3, dtype=torch.float64)
    free = root @ root.mT if COVARIANCES[family].matrix else root[:, 0].square()
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    expected = free.clone()
    for k in range(4):
        if family == "tied":
            expected[k] = sum(weights[j] * free[j] for j in range(4))
        if family == "spherical":
            expected[k] = sum(free[k, d] for d in range(3)) / 3
    assert torch.allclose(COVARIANCES[family].pool(free, weights), expected)


def test_a_planted_mixture_is_recovered():
    """20,000 rows of well separated components: each mean within 6 standard errors of the truth."""
    random = np.random.default_rng(0)
    weights, means = np.array([0.2, 0.3, 0.5]), np.array([[0.0, 0, 0], [20, 0, 0], [0, 30, 10]])
    root = random.normal(size=(3, 3, 3)) + 2 * np.eye(3)
    label = random.choice(3, size=20_000, p=weights)
    x = means[label] + np.einsum("nij,nj->ni", root[label], random.normal(size=(20_000, 3)))
    model = fitted(x=x, steps=50).model
    order = [int(torch.cdist(model.means, torch.from_numpy(means[k : k + 1])).argmin()) for k in range(3)]
    assert sorted(order) == [0, 1, 2]
    assert model.weights[order].numpy() == pytest.approx(weights, abs=6 * math.sqrt(0.25 / 20_000))
    for k, j in enumerate(order):
        sigma = root[k] @ root[k].T
        error = 6 * np.sqrt(np.diag(sigma) / (weights[k] * 20_000))
        assert (np.abs(model.means[j].numpy() - means[k]) < error).all()
        assert covariances(model)[j].numpy() == pytest.approx(sigma, abs=0.06 * np.abs(sigma).max())


@pytest.mark.parametrize("scale", [1e-4, 1e6])
@pytest.mark.parametrize("covariance", FAMILIES)
def test_data_in_other_units_is_fitted_by_the_same_mixture_in_those_units(covariance, scale):
    """Also its default regularisation: an absolute one made data of standard deviation 1e-4 ten times too wide."""
    one, other = (fitted(covariance, x=x, tol=0.0).model for x in (blobs(), scale * blobs()))
    assert torch.allclose(other.weights, one.weights, rtol=1e-6)
    assert torch.allclose(other.means, scale * one.means, rtol=1e-6, atol=1e-6 * scale)
    assert torch.allclose(covariances(other), scale**2 * covariances(one), rtol=1e-5, atol=1e-6 * scale**2)


@pytest.mark.parametrize("covariance", FAMILIES)
def test_regularisation_adds_a_share_of_each_entrys_variance(covariance):
    """One M-step with it and one without; the families' constraints are linear, so the ridge is pooled too."""
    x = blobs() * np.array([1.0, 1e-3, 1e3])
    rows, found = Batch(torch.from_numpy(x)), []
    start = fitted(covariance, x=x, steps=1, regularisation=0.0).model.state_dict()
    for regularisation in (0.0, 0.1):
        game = objective(covariance, regularisation=regularisation)
        game.begin(rows)
        game.model.load_state_dict(start)
        update(game, rows.x)
        found.append(covariances(game.model).numpy())
    share = np.diag(0.1 * x.var(0))
    if covariance == "spherical":
        share = np.eye(3) * share.trace() / 3
    added = (found[1] - found[0]) / np.sqrt(np.outer(np.diag(share), np.diag(share)))
    assert added == pytest.approx(np.stack([np.eye(3)] * 3), abs=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_repeated_and_a_constant_column_have_a_density_in_any_unit(scale):
    """0.1 · scale is no binary fraction, so its mean over the rows is not exactly itself."""
    x = blobs()
    x[:, 1], x[:, 2] = x[:, 0], 0.1
    model = fitted(x=scale * x).model
    assert torch.isfinite(model.log_prob(torch.from_numpy(scale * x))).all()
    expected = 1e-6 * x.var(0).mean() * scale**2
    assert covariances(model)[:, 2, 2].numpy() == pytest.approx(np.full(3, expected), rel=1e-3)


def test_one_component_is_the_maximum_likelihood_gaussian():
    x = blobs()
    model = fitted(x=x, components=1, regularisation=0.0).model
    assert model.means[0].numpy() == pytest.approx(x.mean(0))
    assert covariances(model)[0].numpy() == pytest.approx(np.cov(x.T, bias=True))


def test_the_best_of_several_short_runs_is_gone_on_with():
    """The first start is the same for equal seeds, so more starts are never less likely after ten steps."""
    x = Batch(torch.from_numpy(np.random.default_rng(0).uniform(size=(300, 3))))

    def values(restarts: int, seed: int) -> list[float]:
        states = train(objective("spherical", 12, restarts=restarts, tol=0.0), [x], steps=11, seed=seed)
        return [state.metrics["log_likelihood"] for state in states]

    gains = [values(6, seed)[0] - values(1, seed)[10] for seed in range(8)]
    assert min(gains) > -1e-9
    assert np.mean(gains) > 0.01


def test_the_kept_start_is_the_one_with_the_best_value(monkeypatch):
    """Planted values: of starts that are worth 1, 3 and 2, the second is kept."""
    game, starts, values = objective(restarts=3), [], [1.0, 3.0, 2.0]

    def start(x, components, *_):
        starts.append(len(starts) + 1)
        means = torch.full((components, 3), starts[-1], dtype=torch.float64)
        product = game.model.product
        return dataclasses.replace(product, gaussian=dataclasses.replace(product.gaussian, means=means))

    def step(product, *_):
        return product, torch.tensor(values[int(product.gaussian.means[0, 0]) - 1])

    monkeypatch.setattr("latentia.objectives.em.em_init.product_start", start)
    monkeypatch.setattr("latentia.objectives.em.em_init.em_step", step)
    game.begin(Batch(torch.from_numpy(blobs())))
    assert starts == [1, 2, 3]
    assert torch.equal(game.model.means, torch.full((3, 3), 2.0, dtype=torch.float64))


def test_it_ends_when_a_step_gains_less_than_tol():
    games = {
        tol: list(train(objective(tol=tol), [Batch(torch.from_numpy(blobs()))], steps=500))
        for tol in (1e-2, 1e-9)
    }
    for tol, states in games.items():
        values = [state.metrics["log_likelihood"] for state in states]
        gains = np.diff(values)
        assert gains[-1] < tol
        assert (gains[:-1] >= tol).all()
        assert states[-1].objective.finished
        assert [state.metrics["gain"] for state in states[1:]] == pytest.approx(gains, abs=1e-12)
        assert "gain" not in states[0].metrics
    assert len(games[1e-2]) < len(games[1e-9]) < 500


def test_fitting_again_begins_anew():
    """A converged objective that is given other rows is not taken for finished."""
    game = fitted(steps=500)
    assert game.finished
    other = Batch(torch.from_numpy(blobs(seed=5) + 50))
    *_, state = train(game, [other], steps=500)
    assert state.step > 1
    assert state.objective.model.means.mean() > 50


@pytest.mark.parametrize("covariance", FAMILIES)
def test_samples_have_the_mixtures_moments(covariance):
    """100,000 draws; 6 standard errors of 3 means and 9 second moments: a false alarm in 10⁷."""
    model = fitted(covariance, steps=5).model
    x = model.sample(100_000, generator=torch.Generator().manual_seed(0)).double()
    pi, mu = model.weights, model.means
    mean = pi @ mu
    second = (
        pi[:, None, None] * (covariances(model) + (mu - mean)[:, :, None] * (mu - mean)[:, None, :])
    ).sum(0)
    deviations = x - mean
    assert ((deviations.mean(0)).abs() < 6 * deviations.std(0) / math.sqrt(len(x))).all()
    products = deviations[:, :, None] * deviations[:, None, :]
    assert ((products.mean(0) - second).abs() < 6 * products.std(0) / math.sqrt(len(x))).all()


def test_samples_have_the_data_s_shape_and_support():
    data = DataSpec((1, 2, 2), Support("discrete", 17))
    x = torch.randint(0, 17, (50, 1, 2, 2), generator=torch.Generator().manual_seed(0))
    run = lt.fit("gaussian-mixture", x.numpy(), support="discrete(17)", components=2, progress=False)
    sample = run.sample(30, seed=0)
    assert sample.shape == (30, 1, 2, 2)
    data.check(sample)
    assert run.model.log_prob(x.float()).shape == (50,)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(5, 2),
        torch.zeros(5, 1),
        torch.zeros(5),
        torch.zeros(5, 3, 1),
        torch.full((5, 3), torch.nan),
    ],
    ids=["two entries", "one entry", "numbers", "columns", "NaN"],
)
def test_log_prob_refuses_rows_of_another_shape_or_without_a_value(x):
    """(5, 1) would broadcast against three entries and (5, 3, 1) would be flattened: neither is a row here."""
    with pytest.raises(DataError, match=r"rows of shape|NaN"):
        fitted(steps=1).model.log_prob(x)


@pytest.mark.parametrize("covariance", FAMILIES)
def test_a_singular_covariance_is_an_error_that_says_what_to_do(covariance):
    """A component on two equal rows, without a ridge; with one it has a density."""
    x = np.concatenate([np.zeros((20, 3)), 1000 + blobs(40)]) if covariance != "tied" else np.zeros((20, 3))
    with pytest.raises(DataError, match="singular: raise regularisation"):
        fitted(covariance, x=x, components=2, regularisation=0.0)
    model = fitted(covariance, x=x, components=2).model
    assert torch.isfinite(model.log_prob(torch.from_numpy(x))).all()


def test_more_components_than_rows_are_an_error():
    with pytest.raises(DataError, match="a mixture of 3 components needs at least 3 rows; got 2"):
        fitted(x=blobs(2))
    with pytest.raises(DataError, match="a mixture of 10 components needs at least 10 rows; got 4"):
        lt.fit("gaussian-mixture", blobs(4), progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 0}, "components must be at least 1; got 0"),
        ({"covariance": "diag"}, "unknown covariance 'diag'; did you mean 'diagonal'"),
        ({"restarts": 0}, "restarts must be at least 1"),
        ({"tol": -1.0}, "tol must be at least 0; got -1.0"),
        ({"tol": math.nan}, "must be a finite number"),
        ({"tol": math.inf}, "must be a finite number"),
        ({"regularisation": -1.0}, "regularisation must be at least 0; got -1.0"),
        ({"regularisation": math.nan}, "must be a finite number"),
        ({"regularisation": math.inf}, "must be a finite number"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        lt.fit("gaussian-mixture", blobs(), progress=False, **options)
