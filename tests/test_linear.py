"""PCA, probabilistic PCA and factor analysis against scikit-learn, dense formulas and planted truth."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import decomposition
from tests.problems import real
from torch import Tensor
from torch.distributions import MultivariateNormal

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data import moments
from latentia.data.moments import covariance_of, dense_covariance, streamed_covariance
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.rotations import ROTATIONS, canonical, varimax
from latentia.models.linear import NOISES, PCA, LinearGaussian
from latentia.objectives.closed_form.linear import ClosedFormPCA, ClosedFormPPCA, principal
from latentia.objectives.em.factor import FactorEM

D, K = 6, 2


def factors(n: int = 400, size: int = D, k: int = K, seed: int = 0, shift: float = 10.0) -> np.ndarray:
    """Return n rows of k factors with a noise of its own in each entry, far from 0."""
    random = np.random.default_rng(seed)
    W = 2 * random.normal(size=(k, size))
    noise = random.normal(size=(n, size)) * np.linspace(0.5, 1.5, size)
    return random.normal(size=(n, k)) @ W + noise + shift


X = factors()


def batch(x: np.ndarray = X) -> Batch:
    return Batch(torch.from_numpy(x))


def trained(objective, x: np.ndarray = X, steps: int | None = 5000, seed: int = 0):
    *_, state = train(objective, [batch(x)], steps=steps, seed=seed)
    return state.objective


def pca(x: np.ndarray = X, k: int = K, *, solver: str = "auto", whiten: bool = False) -> PCA:
    return trained(ClosedFormPCA(PCA(real(x.shape[1]), latent_dim=k, whiten=whiten), solver=solver), x).model


def gaussian(noise: str, data: DataSpec | None = None, k: int = K, seed: int = 0) -> LinearGaussian:
    """Return a model with random parameters."""
    data = data or real(D)
    random = torch.Generator().manual_seed(seed)
    model = LinearGaussian(data, latent_dim=k, noise=noise)
    W = torch.randn(data.size, k, generator=random, dtype=torch.float64)
    mean = torch.randn(data.size, generator=random, dtype=torch.float64)
    variances = 0.3 + torch.rand(data.size, generator=random, dtype=torch.float64)
    model.assign(mean, W, variances if noise == "diagonal" else variances[0])
    return model.requires_grad_(False)


def distribution(model: LinearGaussian) -> MultivariateNormal:
    """Return N(μ, WWᵀ + Ψ) with its dense covariance."""
    W = model.loadings
    return MultivariateNormal(model.mean, W @ W.mT + model.noise.expand(len(W)).diag())


def em(noise: str, x: np.ndarray = X, k: int = K, *, seed: int = 0, **options) -> FactorEM:
    model = LinearGaussian(real(x.shape[1]), latent_dim=k, noise=noise)
    return trained(FactorEM(model, **({"tol": 1e-12} | options)), x, seed=seed)


def ppca(x: np.ndarray = X, k: int = K, **options) -> LinearGaussian:
    return trained(ClosedFormPPCA(LinearGaussian(real(x.shape[1]), latent_dim=k), **options), x).model


def scores(model: LinearGaussian, x: np.ndarray = X) -> np.ndarray:
    with torch.no_grad():
        return model.log_prob(torch.from_numpy(x)).numpy()


# --- covariances ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_covariances_are_numpys_in_blocks_of_any_size(shift, block, monkeypatch):
    monkeypatch.setattr(moments, "_BLOCK_NUMBERS", block * D)
    x = factors(shift=shift)
    expected = np.cov(x.T, bias=True)
    dense, streamed = dense_covariance(batch(x), D), streamed_covariance(batch(x))
    assert dense.matrix.numpy() == pytest.approx(expected, rel=1e-8, abs=1e-8)
    B = torch.randn(D, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for each in (dense, streamed):
        assert each.rows == len(x)
        assert each.mean.numpy() == pytest.approx(x.mean(0), rel=1e-12)
        assert each.variances.numpy() == pytest.approx(x.var(0), rel=1e-8)
        assert each.times(B).numpy() == pytest.approx(expected @ B.numpy(), rel=1e-7, abs=1e-7)


def test_quick_covariances_are_as_exact_as_they_say():
    """Of grey levels, as bytes and far from 0; entries of very different standard deviations too."""
    random = np.random.default_rng(0)
    grey = random.integers(100, 256, size=(6000, 50)).astype(np.uint8)
    table = (random.normal(size=(6000, 50)) * np.logspace(-3, 3, 50)).astype(np.float32)
    for x in (grey, table):
        exact = np.cov(x.T.astype(np.float64), bias=True)
        quick = dense_covariance(batch(x), 50, quick=True)
        assert quick.matrix.dtype == torch.float64
        size = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
        assert (np.abs(quick.matrix.numpy() - exact) / size).max() < 2e-6


def test_small_variances_are_found_although_products_are_in_float32_at_first():
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 300)) * np.concatenate([np.logspace(0, -5, 4), np.zeros(296)])
    x = x @ np.linalg.qr(random.normal(size=(300, 300)))[0]
    model, reference = pca(x, 4), decomposition.PCA(4, svd_solver="full").fit(x)
    assert model.explained_variance.numpy() == pytest.approx(reference.explained_variance_, rel=1e-5)


class Counted:
    """Rows that exist only while they are read, and count how often that is."""

    def __init__(self, n: int) -> None:
        self.n, self.passes = n, 0

    def __len__(self) -> int:
        return self.n

    def blocks(self, size: int) -> Iterator[Batch]:
        self.passes += 1
        for start in range(0, self.n, size):
            yield Batch(torch.from_numpy(factors(min(size, self.n - start), seed=start)))


def test_the_covariance_is_taken_in_one_pass_of_rows_that_are_never_all_there(monkeypatch):
    monkeypatch.setattr(moments, "_BLOCK_NUMBERS", 100 * D)
    rows = Counted(1000)
    found = principal(rows, D, K, "covariance")
    assert rows.passes == 1
    x = np.concatenate([factors(100, seed=start) for start in range(0, 1000, 100)])
    assert found.variances.numpy() == pytest.approx(np.linalg.eigvalsh(np.cov(x.T, bias=True))[:-3:-1])


# --- PCA --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["covariance", "randomized"])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("k", [1, 2, D])
def test_pca_equals_scikit_learns(solver, whiten, k):
    """The randomized solver's directions span all of so few entries, so it is exact too."""
    model = pca(k=k, solver=solver, whiten=whiten)
    reference = decomposition.PCA(k, svd_solver="full", whiten=whiten).fit(X)
    sign = np.sign((reference.components_ * model.components.T.numpy()).sum(1))
    assert model.mean.numpy() == pytest.approx(reference.mean_)
    assert sign[:, None] * model.components.T.numpy() == pytest.approx(reference.components_, abs=1e-8)
    assert model.explained_variance.numpy() == pytest.approx(reference.explained_variance_)
    assert model.explained_variance_ratio.numpy() == pytest.approx(reference.explained_variance_ratio_)
    x = torch.from_numpy(factors(50, seed=1))
    z = model.encode(x).mean
    assert z.dtype == torch.get_default_dtype()
    assert sign * z.numpy() == pytest.approx(reference.transform(x), abs=1e-4)
    back = reference.inverse_transform(reference.transform(x))
    assert model.decode(z).mean.numpy() == pytest.approx(back, rel=1e-5, abs=1e-4)


def test_pca_codes_have_the_explained_variance_and_no_correlation():
    for whiten in (False, True):
        model = pca(whiten=whiten)
        z = model.encode(torch.from_numpy(X)).mean.double()
        expected = torch.ones(K).double() if whiten else model.explained_variance
        assert torch.allclose(z.T.cov(), expected.diag(), atol=1e-4)
        assert torch.allclose(z.mean(0), torch.zeros(K).double(), atol=1e-4)
    run = lt.fit("pca", X, latent_dim=K, whiten=True, progress=False)
    assert run.encode(X).std(0).tolist() == pytest.approx([1.0] * K, rel=1e-4)


def test_pca_components_are_orthonormal_with_the_largest_entry_positive():
    W = pca(k=4).components
    assert torch.allclose(W.T @ W, torch.eye(4).double(), atol=1e-12)
    assert (W.gather(0, W.abs().argmax(0, keepdim=True)) > 0).all()


def test_the_randomized_solver_finds_the_directions_of_a_falling_spectrum():
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 200)) * 0.9 ** np.arange(200)
    one, two, exact = (pca(x, 5, solver=solver) for solver in ("randomized", "randomized", "covariance"))
    assert torch.equal(one.components, two.components)
    assert torch.allclose(one.explained_variance, exact.explained_variance, rtol=1e-6)
    assert torch.allclose(one.components, exact.components, atol=1e-3)


def test_rows_of_more_entries_than_a_matrix_is_made_for_take_the_randomized_solver(monkeypatch):
    """30 rows of 2,500 entries: the directions span them all, so this is exact as well."""
    monkeypatch.delattr("latentia.objectives.closed_form.linear.dense_covariance")
    x = np.random.default_rng(0).normal(size=(30, 2500)) + 3
    model, reference = pca(x, 29), decomposition.PCA(29, svd_solver="full").fit(x)
    assert model.explained_variance.numpy() == pytest.approx(reference.explained_variance_)
    back = model.decode(model.encode(torch.from_numpy(x)).mean).mean
    assert back.numpy() == pytest.approx(x, abs=1e-4)


def test_pca_of_images_encodes_and_decodes_them(digits):
    run = lt.fit("pca", digits, latent_dim=10, progress=False)
    flat, x = digits.reshape(200, 64), torch.from_numpy(digits[:, None]).float()
    reference = decomposition.PCA(10, svd_solver="full").fit(flat)
    assert run.encode(x).shape == (200, 10)
    expected = reference.inverse_transform(reference.transform(flat)).reshape(200, 1, 8, 8)
    assert run.reconstruct(x).numpy() == pytest.approx(expected, abs=1e-4)
    share = run.history["explained_variance_ratio"].iloc[-1]
    assert share == pytest.approx(reference.explained_variance_ratio_.sum())
    assert not isinstance(run.model, lt.Generative | lt.Density)


@pytest.mark.parametrize("name", ["gaussian-mixture", "flow"])
def test_pca_samples_by_a_latent_density(name, digits, out):
    size = {"latent_components": 2} if name == "gaussian-mixture" else {}
    run = lt.fit("pca", digits, latent_dim=3, latent_density=name, progress=False, out=out, **size)
    sample = run.sample(5, seed=0)
    assert sample.shape == (5, 1, 8, 8)
    assert torch.equal(sample, lt.load(out).sample(5, seed=0))
    values = lt.evaluate(run, digits, metrics=["log-likelihood", "reconstruction-error"])
    assert "its density is of codes" in values["reason"].iloc[0]
    assert values["value"].iloc[1] > 0


def test_pca_with_one_gaussian_on_its_codes_samples_with_the_rows_covariance():
    """All components, one Gaussian: that is a Gaussian fitted to the rows. Entries within 6 standard errors."""
    options = {"latent_dim": D, "latent_density": "gaussian-mixture", "latent_components": 1}
    run = lt.fit("pca", X, progress=False, **options)
    _assert_covariance(run.sample(40_000, seed=0).double(), X.mean(0), np.cov(X.T))


# --- the linear Gaussian ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", NOISES)
def test_log_prob_is_the_implied_gaussians(noise):
    model, x = gaussian(noise), torch.from_numpy(X)
    assert model.log_prob(x).shape == (len(X),)
    assert torch.allclose(model.log_prob(x), distribution(model).log_prob(x), rtol=1e-10)


@pytest.mark.parametrize("noise", NOISES)
def test_log_prob_keeps_its_digits_where_there_is_almost_no_noise(noise):
    """At 1e-8 of the variance, on rows of the model: against SciPy's, within the rounding of its dense covariance."""
    model = gaussian(noise)
    model.assign(model.mean, model.loadings, 1e-8 * torch.ones_like(model.noise))
    x = distribution(model).sample((20,))
    expected = stats.multivariate_normal(
        model.mean.numpy(), distribution(model).covariance_matrix.numpy()
    ).logpdf(x)
    assert model.log_prob(x).numpy() == pytest.approx(expected, rel=1e-5)


def test_nothing_is_of_size_d_by_d():
    """A million entries: a matrix of them would be 8 TB."""
    model = LinearGaussian(real(1_000_000), latent_dim=1).requires_grad_(False)
    model.assign(model.mean, torch.zeros(1_000_000, 1), torch.tensor(4.0))
    expected = -0.5 * 1_000_000 * math.log(2 * math.pi * 4)
    assert model.log_prob(torch.zeros(2, 1_000_000)).tolist() == pytest.approx([expected] * 2)
    assert model.encode(torch.zeros(2, 1_000_000)).mean.tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("noise", NOISES)
def test_the_posterior_is_that_of_gaussian_conditioning(noise):
    """Of the joint distribution of (z, x): mean C_zx C_xx⁻¹ (x − μ), covariance I − C_zx C_xx⁻¹ C_xz."""
    model, x = gaussian(noise), torch.from_numpy(X[:20])
    gain = model.loadings.mT @ torch.linalg.inv(distribution(model).covariance_matrix)
    posterior = model.encode(x)
    assert (posterior.batch_shape, posterior.event_shape) == ((20,), (K,))
    assert torch.allclose(posterior.mean.double(), (x - model.mean) @ gain.mT, rtol=1e-5, atol=1e-5)
    expected = torch.eye(K).double() - gain @ model.loadings
    assert torch.allclose(posterior.covariance_matrix.double(), expected.expand(20, K, K), atol=1e-6)


def test_the_posterior_is_bayes_rule_on_a_grid():
    model, x = gaussian("diagonal", k=1), torch.from_numpy(X[:1] - 9)
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    log_joint = torch.distributions.Normal(0, 1).log_prob(grid) + model.decode(grid[:, None]).log_prob(x)
    density = log_joint.softmax(0) / (grid[1] - grid[0])
    posterior = model.encode(x).log_prob(grid[:, None].float()).exp()
    assert torch.allclose(posterior.double(), density, atol=1e-4)


@pytest.mark.parametrize("noise", NOISES)
def test_log_prob_is_log_joint_less_log_posterior(noise):
    """log p(x) = log p(z) + log p(x | z) − log p(z | x) at any z."""
    model, x = gaussian(noise), torch.from_numpy(X[:10])
    z = torch.randn(10, K, generator=torch.Generator().manual_seed(0))
    prior = torch.distributions.Normal(0, 1).log_prob(z).sum(1)
    found = prior + model.decode(z).log_prob(x.float()) - model.encode(x).log_prob(z)
    assert torch.allclose(found.double(), model.log_prob(x), rtol=1e-4)


@pytest.mark.parametrize("noise", NOISES)
def test_samples_have_the_implied_mean_and_covariance(noise):
    """40,000 rows: entries within 6 standard errors, so that a false alarm is rarer than 1 in 10⁶."""
    model = gaussian(noise)
    sample = model.sample(40_000, generator=torch.Generator().manual_seed(0))
    assert sample.dtype == torch.get_default_dtype()
    _assert_covariance(sample.double(), model.mean.numpy(), distribution(model).covariance_matrix.numpy())


def _assert_covariance(sample: Tensor, mean: np.ndarray, covariance: np.ndarray) -> None:
    """A covariance's standard error is √((S_ii S_jj + S_ij²)/n)."""
    n, variances = len(sample), np.diag(covariance)
    assert (np.abs(sample.mean(0).numpy() - mean) < 6 * np.sqrt(variances / n)).all()
    error = np.sqrt((np.outer(variances, variances) + covariance**2) / n)
    assert (np.abs(sample.T.cov().numpy() - covariance) < 6 * error).all()


def test_images_are_flattened_and_samples_lie_in_the_support():
    spec = DataSpec((1, 4, 4), Support("discrete", 17))
    model = gaussian("diagonal", spec)
    sample = model.sample(50, generator=torch.Generator().manual_seed(0))
    spec.check(sample)
    flat = gaussian("diagonal", real(16))
    assert torch.allclose(model.log_prob(sample), flat.log_prob(sample.flatten(1)))
    assert model.decode(model.encode(sample).mean).log_prob(sample).shape == (50,)
    assert model.decode(torch.zeros(3, K)).mean.shape == (3, 1, 4, 4)


# --- probabilistic PCA ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 5])
def test_ppca_noise_is_the_mean_of_the_discarded_eigenvalues(k):
    model = ppca(k=k)
    eigenvalues = np.linalg.eigvalsh(np.cov(X.T, bias=True))
    assert float(model.noise) == pytest.approx(eigenvalues[:-k].mean())
    gram = (model.loadings.mT @ model.loadings).numpy()
    assert gram == pytest.approx(np.diag(eigenvalues[::-1][:k] - float(model.noise)), abs=1e-8)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_ppca_scores_held_out_rows_as_scikit_learns_pca_does(k):
    """Row D23 of docs/known-mistakes.md.

    Scikit-learn takes covariances with 1/(n − 1): rows that lie √(n/(n − 1)) farther out have them with 1/n.
    """
    wider = X.mean(0) + (X - X.mean(0)) * math.sqrt(len(X) / (len(X) - 1))
    reference, held_out = decomposition.PCA(k, svd_solver="full").fit(X), factors(100, seed=1)
    model = ppca(wider, k)
    assert float(model.noise) == pytest.approx(reference.noise_variance_)
    assert scores(model, held_out) == pytest.approx(reference.score_samples(held_out), abs=1e-8)


def test_no_other_parameters_near_the_closed_form_are_more_likely():
    model = ppca()
    best, generator = scores(model).mean(), torch.Generator().manual_seed(0)
    mean, W, noise = model.mean, model.loadings, model.noise
    for _ in range(50):
        steps = [0.02 * torch.randn(each.shape, generator=generator) for each in (mean, W, noise)]
        model.assign(mean + steps[0], W + steps[1], noise * steps[2].exp())
        assert scores(model).mean() < best


def test_the_closed_form_logs_the_likelihood_of_its_parameters():
    for regularisation in (1e-6, 0.5):  # also a noise that the constraint holds above some of the variances
        objective = ClosedFormPPCA(LinearGaussian(real(D), latent_dim=4), regularisation=regularisation)
        state = list(train(objective, [batch()], steps=9))[-1]
        assert state.step == 1
        assert state.metrics["log_likelihood"] == pytest.approx(scores(objective.model).mean())


def test_ppca_by_em_reaches_the_closed_form():
    found, exact = em("isotropic").model, ppca()
    assert float(found.noise) == pytest.approx(float(exact.noise), rel=1e-6)
    assert torch.allclose(found.loadings, exact.loadings, atol=1e-5)
    assert scores(found) == pytest.approx(scores(exact), abs=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_ppca_by_gradient_reaches_the_closed_form_in_any_unit(scale):
    x = scale * (X - 10)
    options = {"latent_dim": K, "by": "gradient", "batch_size": len(x), "epochs": 400, "progress": False}
    found = lt.fit("ppca", x, **options).model
    assert scores(found, x) == pytest.approx(scores(ppca(x), x), abs=1e-4)
    assert found.noise.item() == pytest.approx(ppca(x).noise.item(), rel=1e-3)


@pytest.mark.parametrize("by", ["closed-form", "em"])
def test_ppca_of_rows_without_noise_has_the_least_noise_it_is_allowed(by):
    """Rows on a plane, two latent dimensions: without the constraint the likelihood would be infinite."""
    x = X[:, :2] @ np.random.default_rng(0).normal(size=(2, D))
    model = lt.fit("ppca", x, latent_dim=2, by=by, regularisation=1e-3, progress=False).model
    assert float(model.noise) == pytest.approx(1e-3 * x.var(0).mean(), rel=1e-5)
    assert np.isfinite(scores(model, x)).all()


def test_more_latent_dimensions_than_the_rows_span_add_nothing():
    x = X[:, :2] @ np.random.default_rng(0).normal(size=(2, D))
    two, four = (ppca(x, k, regularisation=1e-3) for k in (2, 4))
    assert scores(four, x) == pytest.approx(scores(two, x), rel=1e-6)
    assert torch.isfinite(four.encode(torch.from_numpy(x)).mean).all()


# --- expectation-maximisation -----------------------------------------------------------------------------------


def values_of(objective: FactorEM, x: np.ndarray, steps: int, seed: int = 0) -> list[float]:
    return [state.metrics["log_likelihood"] for state in train(objective, [batch(x)], steps=steps, seed=seed)]


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("case", ["plain", "far", "constant", "Heywood", "few rows"])
def test_em_never_lowers_the_likelihood(noise, rotation, case):
    """From random starts, and where noise variances come down to the least that is allowed."""
    x = factors(shift=1e5 if case == "far" else 0.0)
    if case == "constant":
        x[:, 2] = 0.1
    if case == "Heywood":
        x[:, 1] = x[:, 0] + 1e-6 * x[:, 1]
    if case == "few rows":
        x = x[:4]
    for seed in range(3):
        model = LinearGaussian(real(D), latent_dim=3, noise=noise)
        objective = FactorEM(model, tol=0.0, rotation=rotation)
        objective.tol = -math.inf  # go on
        values = values_of(objective, x, 60, seed)
        assert min(np.diff(values)) > -1e-8
        assert values[-1] > values[0] + 0.1


@pytest.mark.parametrize("noise", NOISES)
def test_em_logs_the_likelihood_before_each_step(noise):
    objective = FactorEM(LinearGaussian(real(D), latent_dim=K, noise=noise), tol=0.0)
    states, after = train(objective, [batch()], steps=6), None
    for state in states:
        if after is not None:
            assert state.metrics["log_likelihood"] == pytest.approx(after, abs=1e-9)
        after = scores(state.objective.model).mean()


@pytest.mark.parametrize("noise", NOISES)
def test_a_step_is_the_textbooks_row_by_row(noise):
    """E zzᵀ and E z of each row from its posterior; then regression of x on z, in the basis where E zzᵀ is I."""
    objective = FactorEM(LinearGaussian(real(D), latent_dim=K, noise=noise))
    model, x = gaussian(noise), torch.from_numpy(X)
    model.assign(x.mean(0), model.loadings, model.noise)
    precision = torch.eye(K).double() + model.loadings.mT @ (model.loadings / model.noise.expand(D)[:, None])
    covariance = torch.linalg.inv(precision)
    second, cross, total = torch.zeros(K, K).double(), torch.zeros(D, K).double(), torch.zeros(D).double()
    for row in x - x.mean(0):
        z = covariance @ model.loadings.mT @ (row / model.noise)
        second += (covariance + torch.outer(z, z)) / len(x)
        cross += torch.outer(row, z) / len(x)
        total += row.square() / len(x)
    W = cross @ torch.linalg.inv(second)
    left = total - (W * cross).sum(1)
    objective.model.load_state_dict(model.state_dict())
    objective._update(covariance_of(batch(), D))
    expected = left if noise == "diagonal" else left.mean()
    found = objective.model.loadings
    assert torch.allclose(objective.model.noise, expected, rtol=1e-9)
    assert torch.allclose(found @ found.mT, W @ second @ W.mT, rtol=1e-9)


def test_factor_analysis_equals_scikit_learns_at_convergence():
    held_out = factors(100, seed=1)
    reference = decomposition.FactorAnalysis(K, tol=1e-12, max_iter=5000, svd_method="lapack").fit(X)
    model = em("diagonal", tol=1e-14).model
    assert scores(model) == pytest.approx(reference.score_samples(X), abs=1e-5)
    assert scores(model, held_out) == pytest.approx(reference.score_samples(held_out), rel=1e-6)
    assert model.noise.numpy() == pytest.approx(reference.noise_variance_, rel=1e-4)
    assert model.encode(torch.from_numpy(held_out)).mean.abs().numpy() == pytest.approx(
        np.abs(reference.transform(held_out)), abs=1e-4
    )


def test_planted_factors_are_recovered():
    """100,000 rows: WWᵀ + Ψ within 6 standard errors of the truth, entry by entry."""
    truth = gaussian("diagonal")
    x = truth.sample(100_000, generator=torch.Generator().manual_seed(0)).double().numpy()
    found = distribution(em("diagonal", x, tol=1e-9).model)
    S = distribution(truth).covariance_matrix
    error = ((S.diagonal()[:, None] * S.diagonal() + S.square()) / len(x)).sqrt()
    assert ((found.covariance_matrix - S).abs() < 6 * error).all()


@pytest.mark.parametrize("noise", NOISES)
def test_em_without_a_matrix_is_em_with_one(noise, monkeypatch):
    dense = em(noise, tol=1e-8)
    monkeypatch.setattr(moments, "DENSE", D - 1)
    streamed = em(noise, tol=1e-8)
    assert int(streamed.clock) == int(dense.clock)
    assert torch.allclose(streamed.model.loadings, dense.model.loadings, rtol=1e-6)
    assert torch.allclose(streamed.model.noise, dense.model.noise, rtol=1e-6)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("scale", [1e-4, 1e5])
def test_rows_in_other_units_are_fitted_by_the_same_distribution_in_those_units(noise, scale):
    one, other = (em(noise, each).model for each in (X, scale * X))
    assert torch.allclose(other.noise, scale**2 * one.noise, rtol=1e-6)
    assert torch.allclose(other.loadings, scale * one.loadings, rtol=1e-4, atol=1e-6 * scale)


def test_em_goes_on_with_the_rows_that_it_is_given():
    """The covariance of a batch is remembered, but not for another batch."""
    objective, other = FactorEM(LinearGaussian(real(D), latent_dim=K)), factors(seed=5)
    objective.begin(batch())
    for x in (X, X, other, X):
        assert not list(objective.step(batch(x)))
        assert objective.model.mean.numpy() == pytest.approx(x.mean(0))


def test_a_constant_entry_has_the_least_noise_by_the_mean_variance():
    x = X.copy()
    x[:, 2] = 0.1
    model = em("diagonal", x).model
    assert float(model.noise[2]) == pytest.approx(1e-6 * x.var(0).mean(), rel=1e-6)
    assert np.isfinite(scores(model, x)).all()


def test_em_ends_when_a_step_gains_less_than_tol():
    loose, tight = em("diagonal", tol=1e-2), em("diagonal", tol=1e-8)
    assert loose.finished
    assert tight.finished
    assert int(loose.clock) < int(tight.clock) < 1000


# --- rotations --------------------------------------------------------------------------------------------------


def test_rotations_leave_the_distribution_invariant():
    model, found = gaussian("diagonal"), []
    for rotate in ROTATIONS.values():
        turned = rotate(model.loadings, model.noise)
        found.append(turned)
        assert torch.allclose(turned @ turned.mT, model.loadings @ model.loadings.mT)
    assert not torch.allclose(found[0], found[1])
    distributions = [em("diagonal", rotation=rotation, tol=1e-13).model for rotation in ROTATIONS]
    assert scores(distributions[0]) == pytest.approx(scores(distributions[1]), abs=1e-5)


@pytest.mark.parametrize("noise", NOISES)
def test_latent_variables_of_canonical_loadings_are_independent_given_a_row(noise):
    model = gaussian(noise, k=3)
    W = canonical(model.loadings, model.noise)
    gram = W.mT @ (W / model.noise.expand(D)[:, None])
    assert torch.allclose(gram, gram.diagonal().diag(), atol=1e-10)
    assert (gram.diagonal().diff() < 0).all()
    assert (W.gather(0, W.abs().argmax(0, keepdim=True)) > 0).all()
    if noise == "isotropic":
        assert torch.allclose(W.mT @ W, (W.mT @ W).diagonal().diag(), atol=1e-10)


def criterion(W: Tensor) -> float:
    squares = W.square()
    return float((squares.square().mean(0) - squares.mean(0).square()).sum())


def test_varimax_is_the_best_of_all_rotations_of_two_factors():
    W = gaussian("diagonal", real(9)).loadings
    angles = torch.linspace(0, torch.pi / 2, 2001, dtype=torch.float64)
    turns = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], 1).view(-1, 2, 2)
    best = max(criterion(W @ R) for R in turns)
    assert criterion(varimax(W)) == pytest.approx(best, rel=1e-5)
    assert criterion(varimax(W)) > 1.01 * criterion(W)


def test_varimax_equals_scikit_learns_and_orders_the_factors():
    from sklearn.decomposition._factor_analysis import _ortho_rotation

    W = gaussian("diagonal", real(12), k=4).loadings
    found, reference = varimax(W, tol=1e-14), _ortho_rotation(W.numpy(), tol=1e-14, max_iter=5000)
    reference = torch.from_numpy(reference.T if reference.shape[0] == 4 else reference)
    order = reference.square().sum(0).argsort(descending=True)
    assert torch.allclose(found.abs(), reference[:, order].abs(), atol=1e-5)
    assert (found.square().sum(0).diff() <= 0).all()


def test_varimax_leaves_loadings_of_which_no_rotation_is_better():
    """The corners of an octagon; rounding must not turn them round and round."""
    angles = 0.1 + torch.arange(8, dtype=torch.float64) * torch.pi / 4
    octagon = torch.stack([1.1 * angles.cos(), 1.1 * angles.sin()], 1)
    assert criterion(octagon @ torch.tensor([[0.6, -0.8], [0.8, 0.6]]).double()) == pytest.approx(
        criterion(octagon)
    )
    found = varimax(octagon)
    assert {tuple(column) for column in found.abs().T.tolist()} == {
        tuple(c) for c in octagon.abs().T.tolist()
    }


def test_varimax_finds_factors_that_load_on_entries_of_their_own():
    simple = torch.zeros(6, 2, dtype=torch.float64)
    simple[:4, 0], simple[4:, 1] = 2.0, 1.0
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    assert torch.allclose(varimax(simple @ turn), simple, atol=1e-6)


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pca", {"latent_dim": 7}, "latent_dim must be from 1 to 6, the entries of a row, for pca; got 7"),
        ("pca", {"latent_dim": 0}, "latent_dim must be at least 1; got 0"),
        ("pca", {"solver": "random"}, "unknown solver 'random'; did you mean"),
        (
            "pca",
            {"latent_density": "gausian"},
            "unknown latent_density 'gausian'; did you mean 'gaussian' or 'gaussian-mixture'",
        ),
        ("ppca", {"latent_dim": 6}, "latent_dim must be at least 1 and less than 6"),
        ("ppca", {"by": "ems"}, "unknown by 'ems'; did you mean 'em'"),
        ("ppca", {"regularisation": 0.0}, "regularisation must be between 0 and 1, both excluded; got 0.0"),
        ("factor-analysis", {"latent_dim": 6}, "less than 6, the entries of a row, so that noise remains"),
        ("factor-analysis", {"rotation": "promax"}, "unknown rotation 'promax'"),
        ("factor-analysis", {"tol": -1.0}, "tol must be at least 0; got -1.0"),
    ],
)
def test_options_that_mean_nothing_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        lt.recipes[name](real(D), **options)


FITS = [
    ("pca", {}),
    ("pca", {"solver": "randomized"}),
    ("ppca", {}),
    ("ppca", {"by": "em"}),
    ("factor-analysis", {}),
]


def recipe(name: str, options: dict[str, object]):
    return lt.recipes[name](real(D), **({"latent_dim": 3} | options)).objective


@pytest.mark.parametrize(("name", "options"), FITS)
def test_rows_that_are_not_finite_are_refused(name, options):
    for value in (math.nan, math.inf):
        x = X.copy()
        x[3, 1] = value
        with pytest.raises(DataError, match="the rows hold NaN or infinity"):
            trained(recipe(name, options), x)


@pytest.mark.parametrize(("name", "options"), FITS)
def test_fewer_rows_than_latent_dimensions_need_are_refused(name, options):
    with pytest.raises(DataError, match="3 latent dimensions need at least 4 rows; got 3: ask for at most 2"):
        trained(recipe(name, options), X[:3])
    trained(recipe(name, options), X[:4])


@pytest.mark.parametrize(("name", "options"), [*FITS, ("ppca", {"by": "gradient"})])
def test_rows_that_are_all_the_same_are_refused(name, options):
    objective = recipe(name, options)
    with pytest.raises(DataError, match="rows are the same"):
        list(train(objective, [batch(np.full((9, D), 0.1))], optim=lt.Optim(), steps=2))


@pytest.mark.parametrize("solver", ["covariance", "randomized"])
def test_more_components_than_the_rows_span_are_refused(solver):
    x = X[:, :2] @ np.random.default_rng(0).normal(size=(2, D))
    with pytest.raises(DataError, match=r"the rows span 2 dimensions .* latent_dim=3: ask for at most 2"):
        pca(x, 3, solver=solver)
    assert pca(x, 2, solver=solver).explained_variance_ratio.sum() == pytest.approx(1)


def test_other_models_than_an_objective_can_solve_are_refused():
    with pytest.raises(UsageError, match="only isotropic noise has a closed form"):
        ClosedFormPPCA(LinearGaussian(real(D), latent_dim=2, noise="diagonal"))
    with pytest.raises(UsageError, match="unknown noise 'spherical'"):
        LinearGaussian(real(D), latent_dim=2, noise="spherical")
    with pytest.raises(UsageError, match="ppca models real, unit, discrete data"):
        lt.recipes["ppca"](DataSpec((6,), Support("binary")))


def test_without_a_latent_dim_there_are_16_or_as_many_as_there_can_be():
    for size, expected in ((4, (4, 3, 3)), (40, (16, 16, 16))):
        models = (lt.recipes[name](real(size)).objective.model for name in ("pca", "ppca", "factor-analysis"))
        sizes = [(each.components if isinstance(each, PCA) else each.loadings).shape[1] for each in models]
        assert tuple(sizes) == expected
