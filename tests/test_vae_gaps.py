"""Rows with gaps in latent variable models: the bound, the pattern of gaps, and how missing cells are filled."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.draws import seeded
from tests.small_recipes import fit, given
from tests.small_recipes import rows as small_rows
from torch import Tensor, nn

import latentia as lt
from latentia.core.objective import Batch
from latentia.data.spec import DataSpec, Support
from latentia.distributions.likelihoods import make_likelihood
from latentia.distributions.posteriors import make_posterior
from latentia.distributions.priors import PriorSetting, make_prior
from latentia.errors import DataError, UnfitError, UsageError
from latentia.models.latent_variable import LatentVariable
from latentia.networks.scaling import Scaling
from latentia.runs.options import recipe_options

NAN = torch.nan
SMALL_SETTINGS = {"ais_chains": 3, "ais_temperatures": 5, "gaps_steps": 3, "gaps_draws": 5}
SUPPORT = "table(real or missing, binary, categorical(3) or missing, discrete(5))"
DATA = DataSpec((4,), Support.parse(SUPPORT))


def holes(x: Tensor, support: Support, rate: float = 0.3, seed: int = 0) -> Tensor:
    """Return rows of which some cells, of those that may be, are missing."""
    may = torch.tensor([column.missing for column in support.columns or (support,) * x.shape[1]])
    drawn = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < rate
    return x.masked_fill(drawn & may, NAN)


def complete_rows(n: int, seed: int = 0) -> Tensor:
    draw = np.random.default_rng(seed)
    columns = [
        draw.normal(10, 3, n),
        draw.integers(2, size=n),
        draw.integers(3, size=n),
        draw.integers(5, size=n),
    ]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def rows(n: int, seed: int = 0) -> Tensor:
    return holes(complete_rows(n, seed), DATA.support, seed=seed)


# --- what the networks read --------------------------------------------------------------------------------------


def test_the_input_is_what_is_there_and_an_indicator_for_each_column_with_gaps():
    x = rows(50)
    scaling = Scaling(DATA)
    scaling.fit(Batch(x))
    mean, std = np.nanmean(x[:, 0].double()), np.nanstd(x[:, 0].double())
    assert scaling.shift[0].item() == pytest.approx(mean, rel=1e-6)
    assert scaling.scale[0].item() == pytest.approx(std, rel=1e-6)
    for row, found in zip(x, scaling(x), strict=True):
        number, bit, category, level = row.tolist()
        expected = [0.0 if math.isnan(number) else (number - mean) / std, 2 * bit - 1, (level - 2) / 2]
        expected += [float(category == k) for k in range(3)]
        expected += [float(math.isnan(number)), float(math.isnan(category))]
        assert found.tolist() == pytest.approx(expected, abs=1e-5)
    gaps = x.isnan().sum(0)[[0, 2]].double()
    assert torch.allclose(scaling.gap_logits.double(), ((gaps + 0.5) / (50 - gaps + 0.5)).log(), rtol=1e-6)


@pytest.mark.parametrize(
    "support", ["binary or missing", "categorical(3) or missing", "discrete(5) or missing"]
)
def test_gaps_in_entries_of_one_bounded_kind(support):
    data = DataSpec((3,), Support.parse(support))
    scaling = Scaling(data)
    x = torch.tensor([[1.0, NAN, 0.0], [NAN, NAN, NAN]])
    scaling.fit(Batch(x))
    y = scaling(x)
    assert y.shape == (2, *scaling.out_shape)
    whole = Scaling(DataSpec((3,), data.support.present))(x.nan_to_num(0.0))
    per = whole.shape[1] // 3
    assert torch.equal(y[0, : 3 * per].view(3, per)[[0, 2]], whole[0].view(3, per)[[0, 2]])
    assert not y[0, per : 2 * per].any()
    assert not y[1, : 3 * per].any()
    assert y[:, 3 * per :].tolist() == [[0, 1, 0], [1, 1, 1]]


def test_a_column_of_nothing_but_gaps_and_a_first_block_of_them_are_read():
    scaling = Scaling(DataSpec((2,), Support.parse("real or missing")))
    x = torch.full((1000, 2), NAN)
    x[900:, 0] = torch.arange(100.0)
    scaling.fit(Batch(x))
    assert scaling.shift.tolist() == [pytest.approx(49.5), 0.0]
    assert scaling.scale.tolist() == [pytest.approx(np.arange(100).std()), 1.0]
    assert scaling(x).isfinite().all()


# --- the likelihood ----------------------------------------------------------------------------------------------


def test_the_log_density_is_that_of_the_pattern_and_of_the_cells_that_are_there():
    """Cell by cell with SciPy."""
    x = rows(40).double()
    scaling = Scaling(DATA).double()
    scaling.fit(Batch(x))
    law = make_likelihood("auto", DATA, scaling).double()
    assert law.param_shape == (1 + 1 + 3 + 2 + 2,)
    h = torch.randn(40, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 3
    given = law(h)
    floor = math.log(1 + math.exp(-6))  # of log σ = 0
    for i, (row, numbers) in enumerate(zip(x.tolist(), h.tolist(), strict=True)):
        a, b, c, d, m = (np.array(part) for part in np.split(numbers, [1, 2, 5, 7]))
        odds = m + scaling.gap_logits.numpy()
        expected = sum(
            stats.bernoulli.logpmf(int(math.isnan(row[j])), 1 / (1 + math.exp(-o)))
            for j, o in zip((0, 2), odds, strict=True)
        )
        shift, scale = scaling.shift[0].item(), scaling.scale[0].item()
        if not math.isnan(row[0]):
            expected += stats.norm.logpdf(row[0], shift + scale * a[0], scale * math.exp(floor))
        expected += stats.bernoulli.logpmf(row[1], 1 / (1 + math.exp(-b[0])))
        if not math.isnan(row[2]):
            expected += c[int(row[2])] - np.logaddexp.reduce(c)
        cdf = stats.logistic(loc=2 + 2 * d[0], scale=2 * math.exp(d[1] - 2)).cdf
        upper, lower = (
            (1.0 if row[3] == 4 else cdf(row[3] + 0.5)),
            (0.0 if row[3] == 0 else cdf(row[3] - 0.5)),
        )
        expected += math.log(upper - lower)
        assert given.log_prob(x)[i].item() == pytest.approx(expected, rel=1e-6), i


def test_a_gap_has_no_gradient_of_its_value_and_none_is_nan():
    data = DataSpec((2,), Support.parse("table(real or missing, count or missing)"))
    law = make_likelihood("auto", data, Scaling(data)).double()
    h = torch.randn(3, math.prod(law.param_shape), dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[NAN, NAN], [1.0, NAN], [NAN, 3.0]], dtype=torch.float64)
    law.reconstruction(h, x).sum().backward()
    assert h.grad is not None
    there = torch.tensor([[0, 0, 0, 1, 1], [1, 0, 0, 1, 1], [0, 1, 1, 1, 1]], dtype=torch.bool)
    assert torch.equal(h.grad != 0, there)


def test_draws_have_gaps_at_their_rate_and_means_have_none():
    """50,000 draws: 5 standard errors, a false alarm in a million."""
    x = rows(200)
    scaling = Scaling(DATA)
    scaling.fit(Batch(x))
    law = make_likelihood("auto", DATA, scaling)
    given = law(torch.zeros(1, 9))
    with seeded():
        drawn = given.sample((50_000,))[:, 0]
    DATA.check(drawn)
    rate = (x.isnan().sum(0) + 0.5) / 201
    error = (rate * (1 - rate) / 50_000).sqrt()
    assert ((drawn.isnan().float().mean(0) - rate).abs() < 5 * error)[[0, 2]].all()
    assert not drawn[:, [1, 3]].isnan().any()
    assert given.mean.isfinite().all()


def test_losses_and_pictures_with_gaps_are_refused():
    x = torch.randn(20, 2)
    x[0, 0] = NAN
    with pytest.raises(UsageError, match="this likelihood is a loss; rows with missing values need"):
        lt.fit("vae", x, support="real or missing", likelihood="squared-error", steps=1, progress=False)
    picture = DataSpec((1, 8, 8), Support.parse("unit or missing"))
    with pytest.raises(UnfitError, match=r"rows of shape \(1, 8, 8\) with missing values cannot be"):
        lt.recipes["vae"](picture)


# --- the bound ---------------------------------------------------------------------------------------------------

W = torch.tensor([1.5, -0.7, 0.4], dtype=torch.float64)
SIGMA = 0.8
RATES = torch.tensor([-1.0, 0.5, -0.2], dtype=torch.float64)  # log-odds of a gap


class ExactEncoder(nn.Module):
    """p(z | present) of the linear model, from scaled values with 0 for gaps, and indicators; or off by ``off``."""

    def __init__(self, off: float = 0.0) -> None:
        super().__init__()
        self.off = off

    def forward(self, y: Tensor, context: Tensor | None = None) -> Tensor:
        there = 1 - y[:, 3:] if y.shape[1] > 3 else torch.ones_like(y)
        precision = 1 + (there * W.square()).sum(1) / SIGMA**2
        mean = (there * y[:, :3] * W).sum(1) / SIGMA**2 / precision
        return torch.stack([mean + self.off, -precision.log()], dim=1)


class LinearDecoder(nn.Module):
    def __init__(self, gaps: bool) -> None:
        super().__init__()
        self.gaps = gaps

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.cat([z * W, RATES.expand(len(z), 3)], dim=1) if self.gaps else (z * W)[:, None]


def linear(*, off: float = 0.0, gaps: bool = True) -> LatentVariable:
    """Return z ~ N(0, 1), x = Wz + σε, with gaps that do not depend on z, and the exact posterior."""
    data = DataSpec((3,), Support.parse("real or missing" if gaps else "real"))
    scaling = Scaling(data).double()
    model = LatentVariable(
        data,
        prior=make_prior("standard-normal", PriorSetting(1, data, scaling)),
        encoder=ExactEncoder(off),
        posterior=make_posterior("diagonal", 1),
        decoder=LinearDecoder(gaps),
        likelihood=make_likelihood("gaussian", data, scaling, sigma=SIGMA),
        scaling=scaling,
    )
    return model.double().eval()


def exact_log_prob(x: Tensor) -> list[float]:
    """Return log p(pattern, present) of rows of the linear model, by SciPy."""
    cov = np.outer(W, W) + SIGMA**2 * np.eye(3)
    found: list[float] = []
    for row in x.numpy():
        there = ~np.isnan(row)
        pattern = stats.bernoulli.logpmf(~there, 1 / (1 + np.exp(-RATES.numpy()))).sum()
        of_cells = (
            stats.multivariate_normal.logpdf(row[there], np.zeros(there.sum()), cov[np.ix_(there, there)])
            if there.any()
            else 0.0
        )
        found.append(float(pattern + of_cells))
    return found


def linear_rows(n: int = 12) -> Tensor:
    x = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2
    x = holes(x, Support.parse("real or missing"), 0.5)
    x[0] = NAN
    return x


def test_the_bound_at_the_optimum_is_the_exact_marginal_of_what_is_there():
    """With q(z | x) = p(z | present) every importance weight is p(pattern, present): no variance."""
    x = linear_rows()
    with torch.no_grad():
        assert linear().log_prob_bound(x, samples=7).tolist() == pytest.approx(exact_log_prob(x), abs=1e-6)


def test_the_bound_elsewhere_lies_below_by_the_kl_of_the_posteriors():
    """ELBO = log p − KL(q ‖ p(z | x)), here off² · precision / 2; 5 standard errors of 4,000 draws."""
    x, off = linear_rows(), 0.5
    with torch.no_grad(), seeded():
        bounds = linear(off=off).log_prob_bound(x.repeat(4000, 1)).view(4000, len(x))
    precision = 1 + ((~x.isnan()) * W.square()).sum(1) / SIGMA**2
    expected = torch.tensor(exact_log_prob(x)) - off**2 * precision / 2
    assert ((bounds.mean(0) - expected).abs() < 1e-6 + 5 * bounds.std(0) / math.sqrt(4000)).all()


# --- filling -----------------------------------------------------------------------------------------------------


def conditional(row: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of the missing cells of a row of the linear model, given the others."""
    cov = np.outer(W, W) + SIGMA**2 * np.eye(3)
    there = ~np.isnan(row.numpy())
    a = cov[np.ix_(~there, there)] @ np.linalg.inv(cov[np.ix_(there, there)])
    return a @ row.numpy()[there], cov[np.ix_(~there, ~there)] - a @ cov[np.ix_(there, ~there)]


@pytest.mark.parametrize(("gaps", "off"), [(True, 0.0), (True, 0.6), (False, 0.0), (False, 0.3)])
def test_filled_cells_have_the_conditional_distribution(gaps, off):
    """Also by an encoder that is off, or has seen no gaps, after 40 steps; 8,000 rows, 5 standard errors."""
    row, n = torch.tensor([2.0, NAN, NAN], dtype=torch.float64), 8000
    with seeded():
        filled = linear(off=off, gaps=gaps).impute(row.expand(n, 3), steps=40)
    assert torch.equal(filled[:, 0], torch.full((n,), 2.0, dtype=torch.float64))
    mean, cov = conditional(row)
    error = np.sqrt(np.diag(cov) / n)
    assert (np.abs(filled[:, 1:].mean(0).numpy() - mean) < 5 * error).all()
    assert np.abs(np.cov(filled[:, 1:].T.numpy()) - cov).max() < 5 * cov.max() * math.sqrt(2 / n)


def test_one_step_is_a_draw_from_the_encoder_s_posterior():
    """With the mean of q off by 0.6, that of the cells is off by 0.6 W; 8,000 rows, 5 standard errors."""
    row, n = torch.tensor([2.0, NAN, NAN], dtype=torch.float64), 8000
    with seeded():
        filled = linear(off=0.6).impute(row.expand(n, 3), steps=1)
    mean, cov = conditional(row)
    error = np.sqrt(np.diag(cov) / n)
    assert (np.abs(filled[:, 1:].mean(0).numpy() - mean - 0.6 * W[1:].numpy()) < 5 * error).all()


def test_what_cannot_be_filled_is_refused():
    model = linear()
    with pytest.raises(DataError, match="rows of shape"):
        model.impute(torch.zeros(3, 2, dtype=torch.float64))
    with pytest.raises(DataError, match="infinity"):
        model.impute(torch.full((3, 3), torch.inf, dtype=torch.float64))
    with pytest.raises(UsageError, match="steps must be at least 1; got 0"):
        model.impute(linear_rows(), steps=0)


# --- fitted models -----------------------------------------------------------------------------------------------


def test_a_fitted_vae_generates_gaps_where_they_are():
    """The second column is missing where the first is above 0: half the rows, and never else.

    20,000 samples of a fitted model: its rate of gaps within 0.05 of the data's, which is 12 standard errors of the
    draws, for what training misses.
    """
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    x[:, 1] = torch.where(x[:, 0] > 0, NAN, x[:, 1])
    run = lt.fit(
        "vae",
        x,
        support="table(real, real or missing)",
        latent_dim=2,
        hidden=32,
        lr=1e-2,
        epochs=40,
        seed=0,
        progress=False,
    )
    made = run.sample(20_000, seed=0)
    gap = made[:, 1].isnan()
    assert abs(gap.float().mean() - x[:, 1].isnan().float().mean()) < 0.05
    assert gap[made[:, 0] > 0.5].float().mean() > 0.8
    assert gap[made[:, 0] < -0.5].float().mean() < 0.2


VARIATIONAL = [name for name in lt.recipes if "refine_steps" in recipe_options(lt.recipes[name])]


@pytest.mark.parametrize("name", VARIATIONAL)
def test_every_variational_recipe_takes_a_table_with_gaps(name):
    x = small_rows("gaps")
    run = fit(name, "gaps", steps=3)
    condition = given(name, run.model)
    made = run.sample(500, condition, seed=0)
    run.model.data.check(made)
    assert made.isnan().any(0).tolist() == [True, False, True, False]
    means = run.sample(20, condition, seed=0, mean=True)
    run.model.data.support.present.check(means.where(torch.tensor([False, True, True, False]), 0.0))
    assert run.reconstruct(x, condition).isfinite().all()
    assert run.interpolate(x[0], x[1], given=condition).isfinite().all()
    context = None if condition is None else torch.eye(3)[:1].expand(len(x), 3)
    filled = run.model.impute(x, context, generator=torch.Generator().manual_seed(0))
    run.model.data.support.present.check(filled)
    assert torch.equal(filled[~x.isnan()], x[~x.isnan()])
    assert torch.equal(filled, run.model.impute(x, context, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    "option", [{"refine_steps": 2}, {"posterior": "full"}, {"prior": "vamp-data"}], ids=str
)
def test_parts_of_a_vae_read_gaps(option):
    run = fit("vae", "gaps", steps=3, **option)
    assert run.model.log_prob_bound(small_rows("gaps"), samples=5).isfinite().all()
    run.model.data.check(run.sample(20, seed=0))


def test_scores_of_rows_with_gaps_are_numbers_or_say_why_not():
    run = fit("vae", "gaps", steps=3)
    scores = lt.evaluate(run, small_rows("gaps", seed=1), metrics=[*lt.metrics], **SMALL_SETTINGS)
    by_name = scores.set_index("metric")
    for name in ("elbo", "iwae", "reconstruction-error", "ais"):
        assert math.isfinite(by_name.loc[name, "value"]), name
    assert set(by_name.loc[["elbo", "iwae"], "measure"]) == {"mixed"}
    without = scores[scores["value"].isna()]
    assert (without["reason"].str.len() > 0).all()
