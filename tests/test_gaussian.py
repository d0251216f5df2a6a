"""The Gaussian: its maximum likelihood against NumPy, SciPy, scikit-learn and the Cramér-Rao bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from sklearn import mixture
from sklearn.covariance import OAS, LedoitWolf, ShrunkCovariance
from tests.problems import real
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.player import Optim
from latentia.core.train import train
from latentia.data.moments import Moments, moments_of
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.gaussian.covariances import floored
from latentia.functional.gaussian.densities import log_prob_gaussian
from latentia.models.gaussian import COVARIANCES, Gaussian, TrainableGaussian
from latentia.models.mixture import GaussianMixture
from latentia.objectives.closed_form.gaussian import GaussianMLE
from latentia.objectives.likelihood import MaximumLikelihood

each_family = pytest.mark.parametrize("family", COVARIANCES)


def rows(n: int = 300, seed: int = 0) -> np.ndarray:
    """Return correlated rows far from 0, in three very different units."""
    random = np.random.default_rng(seed)
    mix = np.array([[1.0, 0.8, 0], [0, 1, -0.5], [0, 0, 0.6]])
    return (random.normal(size=(n, 3)) @ mix + 5) * np.array([1.0, 1e-3, 1e4])


def fitted(x: np.ndarray, family: str = "full", **options) -> Gaussian:
    model = Gaussian(real(x.shape[1]), covariance=family)
    *_, state = train(GaussianMLE(model, **options), [Batch(torch.from_numpy(x))])
    assert state.step == 1
    return model


def of_family(cov: np.ndarray, family: str) -> np.ndarray:
    """Return a covariance's member of a family: its diagonal, or the mean of that."""
    if family == "full":
        return cov
    return np.diag(np.diag(cov)) if family == "diagonal" else np.eye(len(cov)) * np.trace(cov) / len(cov)


# --- the maximum ------------------------------------------------------------------------------------------------


@each_family
def test_the_closed_form_is_the_mean_and_the_covariance_with_one_over_n(family):
    x = rows()
    model = fitted(x, family)
    expected = of_family(np.cov(x.T, bias=True), family)
    assert model.mean.numpy() == pytest.approx(x.mean(0), rel=1e-12)
    unit = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert model.covariance.numpy() / unit == pytest.approx(expected / unit, abs=1e-12)


@each_family
def test_log_prob_is_scipys_and_the_functional_ones(family):
    unit = np.array([1.0, 1e-2, 1e3])  # the most that SciPy takes for positive definite
    model, x = fitted(rows() / unit, family), torch.from_numpy(rows(50, seed=1) / unit)
    distribution = stats.multivariate_normal(model.mean.numpy(), model.covariance.numpy())
    assert model.log_prob(x).numpy() == pytest.approx(distribution.logpdf(x.numpy()), abs=1e-8)
    assert torch.allclose(model.log_prob(x), log_prob_gaussian(x, model.mean, model.covariance))
    assert model.log_prob(x).shape == (50,)


@each_family
def test_it_has_as_many_free_parameters_as_scikit_learns_mixture_of_one_component(family):
    x = rows() / np.array([1.0, 1e-3, 1e4])
    reference = mixture.GaussianMixture(1, covariance_type={"diagonal": "diag"}.get(family, family)).fit(x)
    run = lt.fit("gaussian", x, covariance=family, progress=False)
    assert run.model.free_parameters == reference._n_parameters()
    for name in ("bic", "aic"):
        found = lt.evaluate(run, x, metrics=name)["value"].item()
        assert found == pytest.approx(getattr(reference, name)(x), rel=1e-4)


@each_family
def test_it_is_the_mixture_of_one_component(family):
    model, x = fitted(rows(), family), torch.from_numpy(rows(20, seed=1))
    other = GaussianMixture(real(3), components=1, covariance=family)
    other.means.copy_(model.mean)
    other.factors.copy_(model.factor)
    assert torch.allclose(model.log_prob(x), other.log_prob(x), rtol=1e-12)


@each_family
def test_what_is_logged_is_the_mean_log_density_of_the_rows(family):
    x = torch.from_numpy(rows())
    model = Gaussian(real(3), covariance=family)
    metrics = GaussianMLE(model).solve(Batch(x))
    assert metrics["log_likelihood"] == pytest.approx(model.log_prob(x).mean().item(), rel=1e-12)


@each_family
def test_no_neighbour_is_more_likely(family):
    """A maximum, whatever formula says so: SciPy's optimiser starts there and gains nothing."""
    x = rows() / np.array([1.0, 1e-3, 1e4])
    model, data = fitted(x, family), torch.from_numpy(x)
    best = model.log_prob(data).mean().item()
    lower = np.tril_indices(3)

    def loss(theta: np.ndarray) -> float:
        other = Gaussian(real(3))
        factor = np.zeros((3, 3))
        if family == "full":
            factor[lower] = theta[3:]
        else:
            factor = np.diag(np.broadcast_to(theta[3:], 3))
        other.place(torch.from_numpy(theta[:3]), torch.from_numpy(factor))
        return -other.log_prob(data).mean().item()

    factor = np.linalg.cholesky(model.covariance.numpy())
    start = {"full": factor[lower], "diagonal": np.diag(factor), "spherical": factor[:1, 0]}[family]
    found = optimize.minimize(loss, np.concatenate([model.mean.numpy(), start]), method="BFGS")
    assert -found.fun < best + 1e-9
    perturbed = np.concatenate([model.mean.numpy(), start]) + 0.01
    assert -loss(perturbed) < best - 1e-6


@each_family
def test_the_gradient_reaches_the_closed_form(family):
    """To 1e-4 in each parameter, in units of the rows' standard deviations, and in nats."""
    x = rows()
    exact, batch, unit = fitted(x, family), Batch(torch.from_numpy(x)), torch.from_numpy(x.std(0))
    torch.manual_seed(0)
    model = TrainableGaussian(real(3), covariance=family)
    start = None
    for state in train(MaximumLikelihood(model), [batch], optim=Optim(lr=0.1, schedule="cosine"), steps=500):
        start = start or state.metrics["log_likelihood"]
    if family == "spherical":
        unit = unit.square().mean().sqrt().expand(3)
    assert ((model.mean - exact.mean) / unit).abs().max() < 1e-4
    assert ((model.covariance - exact.covariance) / unit[:, None] / unit).abs().max() < 1e-4
    best = exact.log_prob(batch.x).mean().item()
    assert model.log_prob(batch.x).mean().item() == pytest.approx(best, abs=1e-4)
    assert start < best - 0.1  # there was something to learn


def test_the_recipe_by_gradient_reaches_the_recipe_in_closed_form_in_batches():
    """Batches of 500 of 2,000 rows: to 1e-4 nats."""
    x = rows(2000).astype(np.float32)
    exact = lt.fit("gaussian", x, progress=False)
    run = lt.fit("gaussian", x, by="gradient", batch_size=500, epochs=200, lr=0.05, progress=False)
    likelihood, best = (each.model.log_prob(torch.from_numpy(x)).mean().item() for each in (run, exact))
    assert best - 1e-4 < likelihood <= best + 1e-9
    assert len(exact.history) == 1


def test_the_estimators_variances_are_the_cramer_rao_bound():
    """n·Var: σ² of μ̂ and 2σ⁴ of σ̂² (times 1 − 1/n, whose bias it has), over 40,000 sets of 50 rows.

    Each column is one set. The relative standard error of a variance over R sets is √((κ − 1)/R), with the kurtosis κ =
    3 of μ̂, and 3 + 12/(n − 1) of σ̂²; the limits are 4.5 of them, so each false alarm has probability 7e-6.
    """
    n, R, sigma = 50, 40_000, 1.7
    x = np.random.default_rng(0).normal(3.0, sigma, size=(n, R))
    model = fitted(x, "diagonal")
    means, variances = model.mean, model.factor.square()
    assert n * means.var().item() == pytest.approx(sigma**2, rel=4.5 * math.sqrt(2 / R))
    bound = 2 * sigma**4 * (1 - 1 / n)
    assert n * variances.var().item() == pytest.approx(bound, rel=4.5 * math.sqrt((2 + 12 / (n - 1)) / R))
    error = 4.5 * sigma**2 * math.sqrt(2 / n / R)
    assert variances.mean().item() == pytest.approx(sigma**2 * (1 - 1 / n), abs=error)


def test_on_the_training_rows_it_beats_the_truth_and_on_others_it_does_not():
    """Erratum E1: KL ≥ 0 is of expectations; for n = 20 the fit gains and loses about D(D + 3)/4n nats."""
    x, fresh = rows(20), torch.from_numpy(rows(5000, seed=1))
    truth = fitted(rows(200_000, seed=2))
    model = fitted(x)
    assert model.log_prob(torch.from_numpy(x)).mean() > truth.log_prob(torch.from_numpy(x)).mean() + 0.1
    assert model.log_prob(fresh).mean() < truth.log_prob(fresh).mean() - 0.1


@pytest.mark.parametrize("D", [1, 2])
def test_the_density_integrates_to_one(D):
    x = rows()[:, :D] / np.array([1.0, 1e-3])[:D]
    model = fitted(x)
    axes = [np.linspace(m - 9 * s, m + 9 * s, 400) for m, s in zip(x.mean(0), x.std(0), strict=True)]
    grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, D)
    cell = math.prod(axis[1] - axis[0] for axis in axes)
    assert model.log_prob(torch.from_numpy(grid)).exp().sum().item() * cell == pytest.approx(1, abs=1e-9)


# --- samples ----------------------------------------------------------------------------------------------------


@each_family
def test_samples_have_the_models_moments(family):
    """100,000 draws: limits of 5 standard errors, 12 comparisons, so a false alarm has probability 7e-6."""
    model, n = fitted(rows(), family), 100_000
    x = model.sample(n, generator=torch.Generator().manual_seed(0)).double()
    sigma = model.covariance
    scale = sigma.diagonal().sqrt()
    assert ((x.mean(0) - model.mean) / scale).abs().max() < 5 / math.sqrt(n)
    cov = torch.cov(x.T) / scale[:, None] / scale
    assert (cov - sigma / scale[:, None] / scale).abs().max() < 5 * math.sqrt(2 / n)


def test_samples_of_bounded_data_are_in_the_support():
    spec = DataSpec((1, 2, 2), Support("discrete", 5))
    model = Gaussian(spec)
    x = torch.randint(0, 5, (100, 1, 2, 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    GaussianMLE(model).solve(Batch(x))
    sample = model.sample(50, generator=torch.Generator().manual_seed(1))
    spec.check(sample)
    assert sample.shape == (50, 1, 2, 2)
    assert model.mean.numpy() == pytest.approx(x.flatten(1).double().mean(0).numpy())


# --- moments in blocks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matrix", [True, False])
def test_blocks_make_no_difference_also_far_from_the_origin(matrix, monkeypatch):
    monkeypatch.setattr("latentia.data.moments._BLOCK_NUMBERS", 3 * 7)
    x = np.random.default_rng(0).normal(size=(400, 3)) @ np.array([[1.0, 1, 0], [0, 1, 0], [0, 1, 1]]) + 1e8
    moments = moments_of(Batch(torch.from_numpy(x)), matrix=matrix)
    expected = np.cov(x.T, bias=True)
    assert moments.covariance.numpy() == pytest.approx(expected if matrix else np.diag(expected), abs=1e-6)
    assert moments.mean.tolist() == pytest.approx([math.fsum(column) / 400 for column in x.T], rel=1e-15)


@pytest.mark.parametrize("matrix", [True, False])
def test_moments_of_too_few_or_infinite_rows_are_refused(matrix):
    with pytest.raises(DataError, match="the rows hold NaN or infinity"):
        moments_of(Batch(torch.tensor([[1.0], [torch.inf]])), matrix=matrix)
    with pytest.raises(DataError, match="a covariance needs at least 2 rows; got 1"):
        moments_of(Batch(torch.ones(1, 1)), matrix=matrix)


def test_weighted_moments_are_numpys_and_add_up():
    x, w = rows(40), np.random.default_rng(1).uniform(0.1, 3, size=40)
    data, weights = torch.from_numpy(x), torch.from_numpy(w)
    parts = [Moments.of(data[i], weights[i], matrix=True) for i in (slice(0, 3), slice(3, 25), slice(25, 40))]
    whole = parts[0] + parts[1] + parts[2]
    assert whole.mean.numpy() == pytest.approx(np.average(x, axis=0, weights=w), rel=1e-12)
    expected = np.cov(x.T, aweights=w, bias=True)
    assert whole.covariance.numpy() / expected == pytest.approx(np.ones((3, 3)), rel=1e-10)


def test_rows_in_a_mapped_file_are_read_in_blocks(tmp_path, monkeypatch):
    """No block is larger than requested, and each row is read once, twice for Ledoit and Wolf's shrinkage."""
    x = rows(1000).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="c"))
    monkeypatch.setattr("latentia.data.moments._BLOCK_NUMBERS", 300)
    read: list[int] = []
    original = Batch.blocks

    def blocks(self, size):
        for block in original(self, size):
            read.append(len(block))
            yield block

    monkeypatch.setattr(Batch, "blocks", blocks)
    for shrinkage, times in (("none", 1), ("ledoit-wolf", 2)):
        read.clear()
        model = Gaussian(real(3))
        GaussianMLE(model, shrinkage=shrinkage).solve(Batch(mapped))
        assert max(read) == 100
        assert sum(read) == 1000 * times + 1  # one row shows their width
    read.clear()
    GaussianMLE(model).solve(Batch(mapped))
    unit = x.std(0, dtype=np.float64)
    expected = np.cov(x.astype(np.float64).T, bias=True)
    assert model.covariance.numpy() / np.outer(unit, unit) == pytest.approx(expected / np.outer(unit, unit))


# --- shrinkage and the floor ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [8, 60, 3000])
@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({"shrinkage": "ledoit-wolf"}, LedoitWolf()),
        ({"shrinkage": "oas"}, OAS()),
        ({"shrinkage": "fixed", "fraction": 0.3}, ShrunkCovariance(shrinkage=0.3)),
    ],
)
def test_shrinkage_is_scikit_learns(n, options, reference):
    x = rows(n) / np.array([1.0, 1e-3, 3e3])
    model = Gaussian(real(3))
    metrics = GaussianMLE(model, **options, variance_floor=0.0).solve(Batch(torch.from_numpy(x)))
    reference.fit(x)
    assert metrics["shrinkage"] == pytest.approx(getattr(reference, "shrinkage_", 0.3), rel=1e-9)
    assert model.covariance.numpy() == pytest.approx(reference.covariance_, rel=1e-8)


def test_shrinkage_of_variances():
    x = rows() / np.array([1.0, 1e-3, 3e3])
    model, v = fitted(x, "diagonal", shrinkage="fixed", fraction=0.25), x.var(0)
    assert model.factor.square().numpy() == pytest.approx(0.75 * v + 0.25 * v.mean())


def test_the_floor_is_the_most_likely_covariance_above_it():
    """Against SciPy's optimiser over Σ = diag(r) + A Aᵀ; and it is the rows' own where that lies above."""
    random = np.random.default_rng(0)
    root = random.normal(size=(3, 3)) * np.array([2.0, 1.0, 0.1])
    S, r = root @ root.T, np.array([0.3, 0.2, 0.5])

    def loss(a: np.ndarray) -> float:
        sigma = np.diag(r) + a.reshape(3, 3) @ a.reshape(3, 3).T
        return np.linalg.slogdet(sigma)[1] + np.trace(np.linalg.solve(sigma, S))

    found = optimize.minimize(loss, np.eye(3).ravel(), method="BFGS")
    best = found.x.reshape(3, 3) @ found.x.reshape(3, 3).T + np.diag(r)
    ours = floored(torch.from_numpy(S), torch.from_numpy(r)).numpy()
    assert ours == pytest.approx(best, abs=1e-4)
    assert np.abs(ours - S).max() > 0.05
    assert torch.equal(floored(torch.from_numpy(S), torch.from_numpy(1e-4 * r)), torch.from_numpy(S))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@each_family
def test_constant_and_repeated_columns_have_a_density_in_any_unit(family, scale):
    """0.1 · scale is no binary fraction, so its mean over the rows is not exactly itself."""
    x = np.column_stack([rows()[:, 0], rows()[:, 0], np.full(300, 0.1)]) * scale
    model = fitted(x, family)
    assert model.log_prob(torch.from_numpy(x)).isfinite().all()
    constant = 1e-6 * x.var(0).sum() / 3  # counted with the mean of all variances
    if family != "spherical":
        assert model.covariance[2, 2].item() == pytest.approx(constant, rel=1e-6)


@pytest.mark.parametrize("family", ["full", "diagonal"])
def test_the_gradient_has_the_same_floor(family):
    """To 5 % of the floor, which softplus approaches slowly: it is 1e-2 of the entries' variances."""
    x = np.column_stack([rows()[:, 0], 2 * rows()[:, 0], np.full(300, 0.1)])
    exact, batch = fitted(x, family, variance_floor=1e-2), Batch(torch.from_numpy(x))
    torch.manual_seed(0)
    model = TrainableGaussian(real(3), covariance=family, variance_floor=1e-2)
    for _ in train(MaximumLikelihood(model), [batch], optim=Optim(lr=0.1, schedule="cosine"), steps=500):
        pass
    unit = exact.covariance.diagonal().sqrt()
    assert ((model.covariance - exact.covariance) / unit[:, None] / unit).abs().max() < 0.05


# --- bad input --------------------------------------------------------------------------------------------------


def singular() -> dict[str, Tensor]:
    x = torch.from_numpy(rows(10))
    return {
        "few": x[:3],
        "constant": torch.cat(
            [torch.from_numpy(rows())[:, :2], torch.full((300, 1), 0.1, dtype=torch.float64)], 1
        ),
        "dependent": torch.stack([x[:, 0], x[:, 2], x[:, 0] + 2 * x[:, 2]], 1),
        "duplicates": x[:1].expand(10, 3),
    }


@pytest.mark.parametrize("case", singular())
def test_rows_whose_likelihood_has_no_maximum_are_refused_without_a_floor(case):
    batch = Batch(singular()[case])
    with pytest.raises(DataError, match=r"has no density: .*give a variance_floor"):
        GaussianMLE(Gaussian(real(3)), variance_floor=0.0).solve(batch)
    with pytest.raises(DataError, match="has no density"):
        MaximumLikelihood(TrainableGaussian(real(3), variance_floor=0.0)).begin(batch)
    for covariance in COVARIANCES:
        model = Gaussian(real(3), covariance=covariance)
        GaussianMLE(model).solve(batch)
        assert model.log_prob(batch.x).isfinite().all()


def test_bad_rows_and_options_are_refused():
    with pytest.raises(DataError, match="at least 2 rows; got 1"):
        GaussianMLE(Gaussian(real(3))).solve(Batch(torch.zeros(1, 3)))
    for bad in (torch.nan, torch.inf):
        x = torch.from_numpy(rows())
        x[7, 1] = bad
        with pytest.raises(DataError, match="NaN"):
            GaussianMLE(Gaussian(real(3))).solve(Batch(x))
        with pytest.raises(DataError, match="NaN"):
            TrainableGaussian(real(3)).begin(Batch(x))
    spherical = Gaussian(real(3), covariance="spherical")
    for options, message in [
        ({"shrinkage": "oaz"}, "unknown shrinkage 'oaz'; did you mean 'oas'"),
        ({"shrinkage": "fixed", "fraction": 1.1}, "from 0 to 1; got 1.1"),
        ({"shrinkage": "oas"}, "for a full covariance; this one is spherical"),
        ({"variance_floor": -1.0}, "variance_floor must be finite and at least 0; got -1"),
        ({"variance_floor": math.nan}, "got nan"),
    ]:
        with pytest.raises(UsageError, match=message):
            GaussianMLE(spherical, **options)
    with pytest.raises(UsageError, match="unknown covariance 'ful'; did you mean 'full'"):
        Gaussian(real(3), covariance="ful")
    with pytest.raises(UsageError, match="unknown by 'gradints'; did you mean 'gradient'"):
        lt.recipes["gaussian"](real(3), by="gradints")
    with pytest.raises(UsageError, match="shrinkage='oas' is for by='closed-form'; got by='gradient'"):
        lt.recipes["gaussian"](real(3), by="gradient", shrinkage="oas")


def test_a_fitted_model_is_fitted_again_from_other_rows():
    model = fitted(rows())
    game = GaussianMLE(model)
    for x in (rows(seed=1), rows(seed=2) + 7):
        assert len([*train(game, [Batch(torch.from_numpy(x))])]) == 1
        assert model.mean.numpy() == pytest.approx(x.mean(0))


def test_the_gradient_trains_in_half_precision_and_is_loaded(tmp_path):
    x = rows().astype(np.float32)
    run = lt.fit(
        "gaussian", x, by="gradient", epochs=3, precision="bf16", out=tmp_path / "run", progress=False
    )
    again = lt.load(tmp_path / "run")
    assert torch.equal(run.model.log_prob(torch.from_numpy(x)), again.model.log_prob(torch.from_numpy(x)))
    assert run.model.covariance.isfinite().all()


def test_with_missing_values_it_reaches_the_maximum_of_the_likelihood_of_those_that_are_there():
    """Where the second entry may be missing the maximum is known: regression of it on the first, over complete rows."""
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal([5.0, -3.0], [[2.0, 1.2], [1.2, 1.5]], 400)
    x[rng.random(400) < 0.4, 1] = np.nan
    model = lt.fit("gaussian", x, support="real or missing", variance_floor=0).model
    there = ~np.isnan(x[:, 1])
    slope, start = np.polyfit(x[there, 0], x[there, 1], 1)
    mean = [x[:, 0].mean(), start + slope * x[:, 0].mean()]
    residual = np.mean((x[there, 1] - start - slope * x[there, 0]) ** 2)
    variance = x[:, 0].var()
    covariance = [[variance, slope * variance], [slope * variance, residual + slope**2 * variance]]
    np.testing.assert_allclose(model.mean, mean, atol=2e-3)
    np.testing.assert_allclose(model.components.covariances[0], covariance, atol=5e-3)
