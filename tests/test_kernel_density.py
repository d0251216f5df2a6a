"""Kernel densities against direct float64 sums, SciPy, scikit-learn, quadrature and naive leave-one-out loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.neighbors import KernelDensity as Reference
from tests.problems import real
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.kernel.density_kernels import SMOOTHING_KERNELS
from latentia.models.kernel_density import KernelDensity
from latentia.models.mixture import GaussianMixture
from latentia.objectives.closed_form.kernel_density import SHAPES, KernelPlacement

each_kernel = pytest.mark.parametrize("kernel", SMOOTHING_KERNELS)
each_shape = pytest.mark.parametrize("shape", SHAPES)


def rows(n: int = 200, d: int = 2, seed: int = 0) -> np.ndarray:
    """Return two clusters of correlated rows, in different units and away from 0."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, d)) + 3 * random.integers(2, size=(n, 1))
    x[:, 1:] += 0.8 * x[:, :1]
    return 50 + x * np.geomspace(1, 5, d)


def fitted(x: np.ndarray, kernel: str = "gaussian", **options) -> KernelDensity:
    model = KernelDensity(real(x.shape[1]), kernel=kernel)
    *_, state = train(KernelPlacement(model, **options), [Batch(torch.from_numpy(x))])
    assert state.step == 1
    return model


def covariance(model: KernelDensity) -> np.ndarray:
    """Return H."""
    h = model.bandwidth.numpy()
    return h @ h.T if h.ndim == 2 else np.diag(h**2)


def kernel_at(u: np.ndarray, kernel: str) -> np.ndarray:
    """Return log K of (..., d), with the textbook's normalisers at the textbook's scales."""
    d, r = u.shape[-1], np.linalg.norm(u, axis=-1)
    ball = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
    if kernel == "gaussian":
        return -0.5 * r**2 - 0.5 * d * math.log(2 * math.pi)
    if kernel == "epanechnikov":  # (d + 2)/(2 V_d) (1 − ‖v‖²) of v = u/R, over Rᵈ
        R = math.sqrt(d + 4)
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(1 - (r / R) ** 2, 0)) + math.log((d + 2) / (2 * ball)) - d * math.log(R)
    b = 1 / math.sqrt(d + 1)  # exp(−‖v‖)/(V_d d!) of v = u/b, over bᵈ
    return -r / b - math.log(ball * math.factorial(d)) - d * math.log(b)


def direct(model: KernelDensity, x: np.ndarray, kernel: str, weights: np.ndarray | None = None) -> np.ndarray:
    """Return log p(x) by a sum over points in float64, from differences, in a loop over rows."""
    points, H = model.points.double().numpy(), covariance(model)
    whiten = np.linalg.inv(np.linalg.cholesky(H))
    w = np.full(len(points), 1 / len(points)) if weights is None else weights / weights.sum()
    found = []
    for row in x:
        log_k = kernel_at((row - points) @ whiten.T, kernel) + np.log(w)
        top = log_k.max()
        found.append(top + np.log(np.exp(log_k - top).sum()) if top > -np.inf else -np.inf)
    return np.array(found) - 0.5 * np.linalg.slogdet(H)[1]


# --- the density ------------------------------------------------------------------------------------------------


@each_kernel
@each_shape
@pytest.mark.parametrize("d", [1, 2, 8])
def test_log_prob_is_the_direct_sum_in_the_bulk_and_in_far_tails(kernel, shape, d):
    """To 1e-5, up to 500 standard deviations away, where every term underflows."""
    x = rows(400, d)
    model = fitted(x, kernel, shape=shape)
    centre, spread = x.mean(0), x.std(0)
    direction = np.random.default_rng(1).normal(size=(30, d))
    far = centre + spread * direction * np.geomspace(1, 500, 30)[:, None]
    query = np.concatenate([rows(100, d, seed=2), x[:20], far])
    ours, expected = model.log_prob(torch.from_numpy(query)).numpy(), direct(model, query, kernel)
    assert np.isfinite(expected).mean() > (0.5 if kernel == "epanechnikov" else 0.99)
    assert ours == pytest.approx(expected, abs=1e-5)
    assert ours.dtype == np.float64


def test_many_blocks_and_outlying_points_make_no_difference(monkeypatch):
    monkeypatch.setattr("latentia.functional.kernel.density_kernels._ROWS", 7)
    monkeypatch.setattr("latentia.functional.kernel.density_kernels._COLUMNS", 31)
    x = rows(300)
    x[-3:] += 1e4
    model, query = fitted(x, bandwidth="fixed", factor=1e-3), np.concatenate([rows(60, seed=1), x[-5:] + 0.1])
    assert model.log_prob(torch.from_numpy(query)).numpy() == pytest.approx(
        direct(model, query, "gaussian"), abs=1e-5
    )


@each_kernel
def test_weights_may_differ_by_a_hundred_orders_of_magnitude(kernel):
    x = np.array([[0.0], [1.0], [300.0]])
    weights = np.array([1.0, 3.0, 1e-100])
    model = KernelDensity(real(1), kernel=kernel)
    model.place(torch.from_numpy(x), torch.tensor([20.0]), torch.from_numpy(weights))
    query = np.array([[0.3], [299.0], [330.0], [80.0]])
    expected = direct(model, query, kernel, weights)
    assert model.log_prob(torch.from_numpy(query)).numpy() == pytest.approx(expected, abs=1e-5)
    assert np.isfinite(expected).sum() >= 3


def test_a_weight_is_a_repeated_point():
    x, query = torch.from_numpy(rows(20)), torch.from_numpy(rows(30, seed=1))
    times = torch.arange(20) % 4  # some have weight 0
    weighted, repeated = KernelDensity(real(2)), KernelDensity(real(2))
    weighted.place(x, torch.ones(2), times.double())
    repeated.place(x.repeat_interleave(times, 0), torch.ones(2))
    assert torch.allclose(weighted.log_prob(query), repeated.log_prob(query), atol=1e-6)
    assert len(weighted.points) == 15


@each_kernel
def test_it_is_scikit_learns_at_the_same_scale(kernel):
    name, scale = {
        "gaussian": ("gaussian", 1.0),
        "epanechnikov": ("epanechnikov", math.sqrt(3 + 4)),
        "laplace": ("exponential", 1 / math.sqrt(3 + 1)),
    }[kernel]
    x, query = rows(200, 3), rows(50, 3, seed=1)
    model = KernelDensity(real(3), kernel=kernel)
    model.place(torch.from_numpy(x), torch.full((3,), 1.5))
    theirs = Reference(bandwidth=1.5 * scale, kernel=name).fit(x).score_samples(query)
    assert model.log_prob(torch.from_numpy(query)).numpy() == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("rule", ["scott", "silverman"])
def test_the_full_gaussian_one_is_scipys_with_one_over_n(rule):
    x, query = rows(150), rows(40, seed=1)
    weights = np.random.default_rng(3).uniform(0.2, 2, size=150)
    for w in (None, weights):
        model = fitted(x, bandwidth=rule, shape="full", weights=None if w is None else torch.from_numpy(w))
        theirs = stats.gaussian_kde(x.T, bw_method=rule, weights=w)
        unbiased = 1 - (theirs.weights**2).sum()  # SciPy's covariance is over n − 1
        theirs.set_bandwidth(theirs.factor * math.sqrt(unbiased))
        assert model.log_prob(torch.from_numpy(query)).numpy() == pytest.approx(
            theirs.logpdf(query.T), abs=1e-6
        )


def test_it_is_a_mixture_with_a_component_at_every_row_and_not_one_gaussian():
    """Erratum E10: a kernel density is (1/n) Σ K_h(x − x_i); the maximum likelihood Gaussian is another density."""
    x = rows(30)
    model, query = fitted(x), torch.from_numpy(rows(20, seed=1))
    mixture = GaussianMixture(real(2), components=30, covariance="diagonal")
    mixture.means.copy_(torch.from_numpy(x))
    mixture.factors.copy_(model.bandwidth.expand(30, 2))
    assert torch.allclose(model.log_prob(query), mixture.log_prob(query), atol=1e-6)
    one = lt.fit("gaussian", x.astype(np.float32), progress=False).model
    assert (model.log_prob(query) - one.log_prob(query)).abs().max() > 0.3


@each_kernel
def test_on_the_training_rows_the_likelihood_grows_without_bound_and_on_others_it_falls(kernel):
    """Erratum E21: as h → 0 the likelihood of the rows diverges; only held-out rows measure the fit."""
    x, fresh = rows(100), rows(100, seed=1)
    seen, unseen = [], []
    for h in (1e-1, 1e-3, 1e-5, 1e-7):
        model = fitted(x, kernel, bandwidth="fixed", factor=h)
        seen.append(model.log_prob(torch.from_numpy(x)).mean().item())
        unseen.append(model.log_prob(torch.from_numpy(fresh)).mean().item())
        ours = model.log_prob(torch.from_numpy(x)).numpy()
        assert ours == pytest.approx(direct(model, x, kernel), abs=1e-5)
    assert np.diff(seen)[1:] == pytest.approx(np.full(2, 4 * math.log(10)), abs=1e-2)  # −d log h
    assert np.isneginf(unseen[-1]) or unseen[-1] < unseen[0] - 1e3


@each_kernel
@each_shape
@pytest.mark.parametrize("d", [1, 2])
def test_the_density_integrates_to_one(kernel, shape, d):
    """By the midpoint rule; a step of a twentieth of h leaves errors of 1e-3 at the kinks in the plane."""
    x = np.array([[0.0, 1.0], [1.0, 0.0], [1.5, 2.0], [0.5, 0.7]])[:, :d]
    model = fitted(x, kernel, shape=shape, bandwidth="fixed", factor=0.7)
    reach = {"gaussian": 9, "epanechnikov": 3, "laplace": 22 if d == 1 else 12}[kernel]
    h = np.sqrt(np.diag(covariance(model)))
    steps = 200_000 if d == 1 else 700
    ends = zip(x.min(0) - reach * h, x.max(0) + reach * h, strict=True)
    axes = [np.linspace(low, high, steps) for low, high in ends]
    grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, d)
    cell = math.prod(axis[1] - axis[0] for axis in axes)
    total = model.log_prob(torch.from_numpy(grid)).exp().sum().item() * cell
    assert total == pytest.approx(1, abs=1e-6 if d == 1 else 2e-3)


@each_kernel
@pytest.mark.parametrize("d", [1, 2, 5, 20])
def test_each_kernel_integrates_to_one_and_has_the_identity_as_covariance(kernel, d):
    """Radial integrals by quadrature: ∫ k(r) d V_d r^(d−1) dr = Z, and E‖u‖² = d."""
    from scipy.integrate import quad

    K = SMOOTHING_KERNELS[kernel]
    surface = d * math.pi ** (d / 2) / math.gamma(d / 2 + 1)

    def density(r: float) -> float:
        s = torch.tensor(-0.5 * r * r, dtype=torch.float64)
        return surface * r ** (d - 1) * math.exp(K.log_profile(s, d).item() - K.log_normaliser(d))

    end = math.sqrt(d + 4) if kernel == "epanechnikov" else 60.0
    assert quad(density, 0, end, limit=200, points=[math.sqrt(d)])[0] == pytest.approx(1, abs=1e-7)
    second = quad(lambda r: r * r * density(r), 0, end, limit=200, points=[math.sqrt(d)])[0]
    assert second == pytest.approx(d, abs=1e-6)


@each_kernel
def test_the_log_density_is_differentiable_in_the_rows(kernel):
    model = fitted(rows(50), kernel, shape="full")
    x = torch.from_numpy(rows(6, seed=1)).requires_grad_()
    assert torch.allclose(model.log_prob(x).detach(), model.log_prob(x.detach()), atol=1e-6)
    assert torch.autograd.gradcheck(model.log_prob, x)


# --- samples ----------------------------------------------------------------------------------------------------


@each_kernel
@pytest.mark.parametrize("d", [1, 3])
def test_noise_around_a_point_follows_the_kernel(kernel, d):
    """20,000 draws from one point: the radius by Kolmogorov-Smirnov at level 1e-4, moments of u to 5 standard errors
    (10 comparisons: 6e-6).
    """
    n = 20_000
    root = torch.linalg.cholesky(torch.eye(d).double() + 0.5)
    model = KernelDensity(real(d), kernel=kernel)
    model.place(torch.full((1, d), 7.0), root)
    x = model.sample(n, generator=torch.Generator().manual_seed(0)).double() - 7
    u = torch.linalg.solve_triangular(root, x.T, upper=False).T
    square = u.square().sum(1).numpy()
    radii, expected = {
        "gaussian": (square, stats.chi2(d)),
        "epanechnikov": (square / (d + 4), stats.beta(d / 2, 2)),
        "laplace": (np.sqrt(square * (d + 1)), stats.gamma(d)),
    }[kernel]
    assert stats.kstest(radii, expected.cdf).pvalue > 1e-4
    fourth = u.pow(4).mean().item()
    assert u.mean(0).abs().max() < 5 / math.sqrt(n)
    assert (u.T @ u / n - torch.eye(d)).abs().max() < 5 * math.sqrt(max(1.0, fourth - 1) / n)


@each_kernel
def test_a_point_is_drawn_by_its_weight(kernel):
    """30,000 draws, three points far apart: limits of 5 standard errors, so a false alarm has probability 2e-6."""
    weights, n = torch.tensor([0.2, 0.0, 0.7, 0.1]), 30_000
    model = KernelDensity(real(1), kernel=kernel)
    model.place(torch.tensor([[0.0], [1000.0], [2000.0], [3000.0]]), torch.ones(1), weights)
    x = model.sample(n, generator=torch.Generator().manual_seed(0))
    shares = (x / 1000).round().long().flatten().bincount(minlength=4) / n
    assert shares.numpy() == pytest.approx(weights.numpy(), abs=5 * math.sqrt(0.25 / n))
    assert shares[1] == 0


@each_kernel
@each_shape
def test_samples_have_the_model_s_covariance(kernel, shape):
    """Cov = S + H: 100,000 draws, limits of 6 standard errors of a distribution with kurtosis below 6."""
    x = rows(50)
    model, n = fitted(x, kernel, shape=shape, bandwidth="fixed", factor=0.8), 100_000
    sample = model.sample(n, generator=torch.Generator().manual_seed(0)).double().numpy()
    expected = np.cov(x.T, bias=True) + covariance(model)
    unit = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.cov(sample.T) / unit == pytest.approx(expected / unit, abs=6 * math.sqrt(5 / n))


def test_samples_of_bounded_data_are_in_the_support():
    spec = DataSpec((1, 2, 3), Support("discrete", 5))
    x = torch.randint(0, 5, (40, 1, 2, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    model = KernelDensity(spec)
    KernelPlacement(model).solve(Batch(x))
    sample = model.sample(30, generator=torch.Generator().manual_seed(1))
    spec.check(sample)
    assert sample.shape == (30, 1, 2, 3)
    assert sample.dtype == torch.float32


# --- the bandwidth ----------------------------------------------------------------------------------------------


def naive_loo(x: np.ndarray, H: np.ndarray, kernel: str, weights: np.ndarray | None = None) -> float:
    """Return the leave-one-out log-likelihood: the density without row i, at row i, in a loop."""
    w = np.ones(len(x)) if weights is None else weights
    total = 0.0
    for i in range(len(x)):
        others = np.delete(np.arange(len(x)), i)
        whiten = np.linalg.inv(np.linalg.cholesky(H))
        k = np.exp(kernel_at((x[i] - x[others]) @ whiten.T, kernel) - 0.5 * np.linalg.slogdet(H)[1])
        with np.errstate(divide="ignore"):
            total += w[i] * np.log((w[others] * k).sum() / w[others].sum())
    return total / w.sum()


@each_kernel
@each_shape
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loo_bandwidth_is_the_maximum_of_the_naive_likelihood(kernel, shape, weighted):
    """On a grid of steps of 5 %, from a seventh of it to seven times it; what is logged is its maximum."""
    x = rows(40)
    w = np.random.default_rng(5).uniform(0.5, 2, size=40) if weighted else None
    model = KernelDensity(real(2), kernel=kernel)
    weights = None if w is None else torch.from_numpy(w)
    metrics = KernelPlacement(model, bandwidth="loo", shape=shape, weights=weights).solve(
        Batch(torch.from_numpy(x))
    )
    unit = covariance(model) / metrics["bandwidth"] ** 2
    cov = np.cov(x.T, bias=True, aweights=w)
    expected = {"scalar": np.eye(2) * np.trace(cov) / 2, "diagonal": np.diag(np.diag(cov)), "full": cov}[
        shape
    ]
    assert unit == pytest.approx(expected, rel=1e-9, abs=1e-12)
    grid = metrics["bandwidth"] * 1.05 ** np.arange(-40, 41)
    values = [naive_loo(x, h**2 * unit, kernel, w) for h in grid]
    assert metrics["loo_log_likelihood"] == pytest.approx(
        naive_loo(x, covariance(model), kernel, w), abs=1e-6
    )
    assert metrics["loo_log_likelihood"] >= max(values) - 1e-6
    assert abs(int(np.argmax(values)) - 40) <= 1


def test_the_loo_likelihood_of_many_rows_is_that_of_some(monkeypatch):
    x = Batch(torch.from_numpy(rows(500)))
    found = []
    for size in (500, 250):
        monkeypatch.setattr("latentia.objectives.closed_form.kernel_density._ROWS", size)
        torch.manual_seed(0)
        found.append(KernelPlacement(KernelDensity(real(2)), bandwidth="loo").solve(x)["bandwidth"])
    assert found[0] != found[1]
    assert found[0] == pytest.approx(found[1], rel=0.2)


@each_shape
def test_rules_and_factors(shape):
    x, d = rows(100), 2
    for rule, h in (("scott", 100 ** (-1 / 6)), ("silverman", (100 * 4 / 4) ** (-1 / 6)), ("fixed", 1.0)):
        model = KernelDensity(real(d))
        metrics = KernelPlacement(model, bandwidth=rule, factor=0.5, shape=shape).solve(
            Batch(torch.from_numpy(x))
        )
        assert metrics["bandwidth"] == pytest.approx(0.5 * h)
    model = fitted(x[:, :1], bandwidth="silverman")  # in one dimension: (4/3n)^(1/5) σ
    assert model.bandwidth.item() == pytest.approx((4 / 300) ** 0.2 * x[:, 0].std())


def test_held_out_rows_prefer_the_loo_bandwidth_where_the_rule_of_thumb_is_wrong():
    """Two narrow clusters far apart: the rule takes their distance for spread."""
    random = np.random.default_rng(0)
    x, fresh = (random.normal(size=(n, 1)) + 100 * random.integers(2, size=(n, 1)) for n in (300, 1000))
    rule, loo = (fitted(x, bandwidth=bandwidth) for bandwidth in ("scott", "loo"))
    gain = loo.log_prob(torch.from_numpy(fresh)).mean() - rule.log_prob(torch.from_numpy(fresh)).mean()
    assert gain > 0.5


# --- bad input --------------------------------------------------------------------------------------------------


def test_duplicates_have_no_loo_bandwidth_but_a_rule_of_thumb():
    x = Batch(torch.from_numpy(np.repeat(rows(30), 2, axis=0)))
    with pytest.raises(
        DataError, match="every row has a duplicate; remove such rows, or choose bandwidth='scott'"
    ):
        KernelPlacement(KernelDensity(real(2)), bandwidth="loo").solve(x)
    model = KernelDensity(real(2))
    KernelPlacement(model).solve(x)
    assert model.log_prob(x.x).isfinite().all()
    some = Batch(torch.from_numpy(np.concatenate([rows(30), rows(3)])))  # three rows twice
    assert KernelPlacement(KernelDensity(real(2)), bandwidth="loo").solve(some)["bandwidth"] > 0.01


@each_kernel
@each_shape
def test_constant_and_dependent_columns_have_a_floor_or_are_refused(kernel, shape):
    base = rows(30, 1)
    x = np.column_stack([base, 2 * base, np.full(30, 0.1)])
    model = fitted(x, kernel, shape=shape)
    assert model.log_prob(torch.from_numpy(x)).isfinite().all()
    if shape != "scalar":
        constant = 1e-6 * x.var(0).mean() * 30 ** (-2 / 7)
        assert covariance(model)[2, 2] == pytest.approx(constant, rel=1e-6)
        with pytest.raises(DataError, match=r"entries 2 \(from 0\) do not vary; give a variance_floor"):
            fitted(x, kernel, shape=shape, variance_floor=0.0)
    same = np.full((5, 2), 0.3)
    assert fitted(same, kernel, shape=shape).log_prob(torch.from_numpy(same)).isfinite().all()


@pytest.mark.parametrize(
    "weights", [[1.0, -1.0, 1.0], [0.0, 0, 0], [1.0, 2.0], [1.0, math.nan, 1], [1.0, math.inf, 1]]
)
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(DataError, match="weights must be 3 finite numbers, at least 0 and not all 0"):
        KernelDensity(real(2)).place(torch.zeros(3, 2), torch.ones(2), torch.tensor(weights))


@pytest.mark.parametrize(
    ("bandwidth", "message"),
    [
        (torch.zeros(2), "positive and finite; got a scale of 0"),
        (torch.tensor([1.0, -1.0]), "got a scale of -1"),
        (torch.tensor([1.0, math.nan]), "positive and finite"),
        (torch.ones(3), r"must have shape \(2,\), or be a lower triangular \(2, 2\); got shape \(3,\)"),
        (torch.ones(2, 2), "lower triangular"),
        (torch.tensor([[1.0, 0], [math.inf, 1]]), "positive and finite"),
    ],
)
def test_bandwidths_that_are_none_are_refused(bandwidth, message):
    with pytest.raises(UsageError, match=message):
        KernelDensity(real(2)).place(torch.zeros(3, 2), bandwidth)


def test_bad_rows_and_options_are_refused():
    model = KernelDensity(real(2))
    for call in (lambda: model.log_prob(torch.zeros(1, 2)), lambda: model.sample(1)):
        with pytest.raises(UsageError, match="no points yet: fit it, or set points"):
            call()
    with pytest.raises(DataError, match=r"at least 2 rows .*; got 1"):
        KernelPlacement(model).solve(Batch(torch.zeros(1, 2)))
    with pytest.raises(DataError, match=r"at least 2 rows .*; got 1"):
        KernelPlacement(model, weights=torch.tensor([0.0, 1.0])).solve(Batch(torch.rand(2, 2)))
    with pytest.raises(DataError, match="the rows holds NaN"):
        KernelPlacement(model).solve(Batch(torch.tensor([[0.0, 1.0], [math.nan, 0.0]])))
    for options, message in [
        ({"bandwidth": "scot"}, "unknown bandwidth 'scot'; did you mean 'scott'"),
        ({"factor": 0.0}, "factor must be positive and finite; got 0"),
        ({"factor": math.inf}, "got inf"),
        ({"shape": "diagonl"}, "did you mean 'diagonal'"),
        ({"variance_floor": -1.0}, "variance_floor must be finite and at least 0"),
    ]:
        with pytest.raises(UsageError, match=message):
            KernelPlacement(model, **options)
    with pytest.raises(UsageError, match="unknown kernel 'gausian'; did you mean 'gaussian'"):
        KernelDensity(real(2), kernel="gausian")


@each_shape
def test_a_run_is_loaded_with_all_of_its_points(shape, tmp_path):
    x = rows(70).astype(np.float32)
    run = lt.fit("kernel-density", x, shape=shape, out=tmp_path / "run", progress=False)
    again, query = lt.load(tmp_path / "run"), torch.from_numpy(rows(5, seed=1))
    assert again.model.points.shape == (70, 2)
    assert torch.equal(run.model.log_prob(query), again.model.log_prob(query))
    assert torch.equal(run.sample(5, seed=1), again.sample(5, seed=1))


def test_the_points_are_copies():
    x: Tensor = torch.from_numpy(rows(10))
    model = KernelDensity(real(2))
    KernelPlacement(model).solve(Batch(x))
    before = model.points.clone()
    x.zero_()
    assert torch.equal(model.points, before)
