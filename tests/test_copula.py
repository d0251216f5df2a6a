"""Gaussian copulas, against SciPy's normal distributions, sums over all rows, and planted correlations."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.models.continuous_margins import FAMILIES, KernelMargin, ParametricMargin
from latentia.models.copula_densities import BoundedCopula, EmpiricalCopula, ExactCopula, copula_for
from latentia.models.margins import ClassMargin, CountMargin, EmpiricalMargin
from latentia.objectives.closed_form.copula import CopulaFit

REAL = Support("real")


def g(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normals(n: int, R: list[list[float]], seed: int = 0) -> Tensor:
    L = torch.linalg.cholesky(torch.tensor(R, dtype=torch.float64))
    return torch.randn(n, len(R), generator=g(seed), dtype=torch.float64) @ L.mT


def fitted(support: str, x: Tensor, **options):
    parsed = Support.parse(support)
    model = copula_for(DataSpec((x.shape[1],), parsed), **options)
    CopulaFit(model).solve(Batch(x.float()))
    return model


R3 = [[1.0, 0.6, -0.4], [0.6, 1.0, 0.2], [-0.4, 0.2, 1.0]]
R4 = [[1.0, 0.5, -0.3, 0.4], [0.5, 1.0, 0.2, 0.1], [-0.3, 0.2, 1.0, -0.5], [0.4, 0.1, -0.5, 1.0]]


# --- margins ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["real", "unit"])
@pytest.mark.parametrize("make", [KernelMargin, ParametricMargin])
def test_a_margin_s_density_is_the_slope_of_its_distribution_and_values_invert_scores(make, kind):
    values = torch.rand(700, generator=g()).double() ** 2
    margin = make(Support(kind))
    margin.place(values if kind == "unit" else values * 30 + 1)
    x = torch.linspace(0.02, 0.9, 50).double() * (1 if kind == "unit" else 30)
    z, step = margin.score(x), 1e-5
    slope = (torch.special.ndtr(margin.score(x + step)) - torch.special.ndtr(margin.score(x - step))) / (
        2 * step
    )
    assert margin.log_prob(x).exp().tolist() == pytest.approx(slope.tolist(), rel=1e-4, abs=1e-7)
    assert margin.value(z).tolist() == pytest.approx(x.tolist(), rel=1e-6)
    if kind == "unit":
        at = (torch.arange(20000).double() + 0.5) / 20000
        assert float(margin.log_prob(at).exp().mean()) == pytest.approx(1, abs=5e-3)  # steep at 0


def test_kernels_are_a_naive_sum():
    values = torch.randn(200, generator=g()).double()
    margin = KernelMargin(REAL, factor=0.7)
    margin.place(values)
    x = torch.tensor([-9.0, 0.1, 2.0]).double()
    deviation, middle = values.std(correction=0), 1.34
    ordered = values.sort().values
    h = 0.7 * 0.9 * min(float(deviation), float(ordered[149] - ordered[49]) / middle) * 200**-0.2
    expected = [stats.norm.logpdf(each, values.numpy(), h) for each in x.tolist()]
    assert margin.log_prob(x).tolist() == pytest.approx(
        [np.logaddexp.reduce(e) - math.log(200) for e in expected]
    )


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("norm", stats.norm(3, 2)),
        ("lognorm", stats.lognorm(0.8, scale=3)),
        ("gamma", stats.gamma(0.7, scale=4)),
        ("laplace", stats.laplace(-3, 2)),
        ("logistic", stats.logistic(1, 2)),
        ("beta", stats.beta(0.4, 2)),
        ("uniform", stats.uniform(0, 1)),
    ],
)
def test_the_family_that_the_values_are_from_is_found(name, law):
    values = law.rvs(5000, random_state=0)
    margin = ParametricMargin(Support("unit" if name in ("beta", "uniform") else "real"))
    margin.place(torch.tensor(values))
    assert FAMILIES[int(margin.family)] in (name, "beta" if name == "uniform" else name)
    x = law.ppf([0.1, 0.5, 0.9])
    assert margin.log_prob(torch.tensor(x)).tolist() == pytest.approx(law.logpdf(x).tolist(), abs=0.15)
    assert margin.score(torch.tensor(x)).tolist() == pytest.approx(
        stats.norm.ppf([0.1, 0.5, 0.9]).tolist(), abs=0.1
    )


def test_classes_keep_their_order_and_their_frequencies():
    margin = ClassMargin(3)
    margin.arrange(torch.tensor([0.5, -1.0, 2.0]))
    margin.place(torch.tensor([0.0] * 5 + [1.0] * 3 + [2.0]))
    low, high = margin.interval(torch.tensor([1.0, 0.0, 2.0]))
    masses = torch.special.ndtr(high) - torch.special.ndtr(low)
    assert masses.tolist() == pytest.approx([3.5 / 10.5, 5.5 / 10.5, 1.5 / 10.5])
    assert high[:-1].tolist() == low[1:].tolist()
    assert margin.value(torch.tensor([-5.0, 0.0, 5.0]).double()).tolist() == [1, 0, 2]


@pytest.mark.parametrize("mean", [2.0, 3000.0])
def test_counts_have_intervals_that_meet_and_add_up_to_one(mean):
    margin = CountMargin()
    margin.place(torch.poisson(torch.full((2000,), mean), generator=g()))
    x = torch.arange(0, 6 * int(mean) + 60).double()
    low, high = margin.interval(x)
    assert high[:-1].tolist() == pytest.approx(low[1:].tolist())
    masses = torch.special.ndtr(high) - torch.special.ndtr(low)
    assert float(masses.sum()) == pytest.approx(1, abs=1e-3)  # the tail goes on
    inside = (masses > 1e-9).nonzero()[:, 0]
    middle = torch.special.ndtri((torch.special.ndtr(low) + torch.special.ndtr(high)) / 2)[inside]
    assert torch.equal(margin.value(middle), x[inside])


def test_an_empirical_margin_gives_its_values_back():
    margin, values = EmpiricalMargin(), torch.tensor([3.0, 1.0, 2.0, 2.0])
    margin.place(values)
    assert margin.value(torch.special.ndtri(torch.tensor([0.1, 0.3, 0.6, 0.9]).double())).tolist() == [
        1,
        2,
        2,
        3,
    ]
    expected = stats.norm.ppf(np.array([3.0, 1.0]) / 5).tolist()
    assert margin.score(torch.tensor([2.0, 1.0])).tolist() == pytest.approx(
        [(stats.norm.ppf(0.5)), expected[1]]
    )


# --- densities --------------------------------------------------------------------------------------------------


def test_normal_margins_make_a_normal_distribution():
    x = normals(3000, R3) * torch.tensor([1.0, 10.0, 0.1]) + torch.tensor([5.0, 0.0, -2.0])
    model = fitted("table(real, real, real)", x, margins="parametric")
    assert isinstance(model, ExactCopula)
    location, scale = (torch.stack([each.constants[i] for each in model.columns]) for i in (2, 3))
    assert [FAMILIES[int(each.family)] for each in model.columns] == ["norm"] * 3
    covariance = scale[:, None] * model.correlation * scale
    expected = stats.multivariate_normal(location.numpy(), covariance.numpy()).logpdf(x[:50].numpy())
    assert model.log_prob(x[:50]).tolist() == pytest.approx(expected.tolist(), abs=1e-9)


@pytest.mark.parametrize("margins", ["kernel", "parametric"])
def test_two_columns_integrate_to_one(margins):
    z = normals(500, [[1.0, 0.7], [0.7, 1.0]])
    x = torch.stack([z[:, 0].exp(), z[:, 1]], 1)
    model = fitted("table(real, real)", x, margins=margins)
    first = model.columns[0].value(torch.special.ndtri((torch.arange(400).double() + 0.5) / 400))
    second = torch.linspace(-7, 7, 300, dtype=torch.float64)
    rows = torch.cartesian_prod(first, second)
    marginal = model.columns[0].log_prob(rows[:, 0])
    mean = (model.log_prob(rows) - marginal).exp().view(400, 300).sum(1) * (14 / 299)
    assert float(mean.mean()) == pytest.approx(1, abs=2e-3)


def every(support: str) -> Tensor:
    columns = []
    for each in Support.parse(support).columns:
        values = [float(k) for k in range(2 if each.kind == "binary" else each.levels or 0)]
        columns.append(values + ([math.nan] if each.missing else []))
    return torch.tensor(list(product(*columns)))


DISCRETE = ["table(binary, categorical(3))", "table(discrete(4), binary, categorical(3))",
            "table(binary or missing, discrete(3) or missing)", "table(binary, binary, binary, binary)"]  # fmt: skip


def discrete_rows(support: str, n: int = 2000) -> Tensor:
    columns = Support.parse(support).columns
    z = normals(n, [[1.0 if i == j else 0.5 for j in range(len(columns))] for i in range(len(columns))])
    x = torch.stack(
        [
            (z[:, j] > 0.3).double() + (z[:, j] > 1) * ((each.levels or 2) > 2)
            for j, each in enumerate(columns)
        ],
        1,
    )
    gaps = torch.tensor([each.missing for each in columns]) & (
        torch.rand(x.shape, generator=g()) < 0.2 + 0.1 * x[:, :1]
    )
    return x.masked_fill(gaps, torch.nan)


@pytest.mark.parametrize("support", DISCRETE)
def test_probabilities_of_all_rows_add_up_to_one(support):
    model = fitted(support, discrete_rows(support))
    assert isinstance(model, ExactCopula)
    assert float(model.log_prob(every(support)).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_discrete_columns_have_scipy_s_rectangles():
    support = "table(discrete(4), binary, categorical(3))"
    model = fitted(support, discrete_rows(support))
    normal = stats.multivariate_normal(
        np.zeros(3), model.correlation.numpy(), abseps=1e-8, maxpts=2_000_000, seed=0
    )
    for row in every(support)[::5]:
        ends = [margin.interval(row[j : j + 1]) for j, margin in enumerate(model.columns)]
        low, high = ([float(each[i]) for each in ends] for i in (0, 1))
        assert float(model.log_prob(row[None]).exp()) == pytest.approx(
            normal.cdf(high, lower_limit=low), abs=1e-6
        )


def mixed_rows(n: int = 3000) -> Tensor:
    z = normals(n, R4)
    x = torch.stack(
        [z[:, 0].exp(), (z[:, 1] > 0.2).double(), (z[:, 2] > -0.5).double() + (z[:, 2] > 0.7), z[:, 3]], 1
    )
    x[torch.rand(n, generator=g(1)) < torch.special.ndtr(z[:, 0] - 1), 3] = torch.nan
    return x


MIXED = "table(real, binary, discrete(3), real or missing)"


def test_a_mixed_density_sums_over_its_discrete_columns_to_that_of_the_numbers():
    model = fitted(MIXED, mixed_rows())
    gap, numbers = model.gaps[0], torch.linspace(-8, 8, 801).double()
    rows = torch.tensor(
        list(product([1.3], [0.0, 1.0], [0.0, 1.0, 2.0], [*numbers.tolist(), math.nan]))
    ).double()
    p = model.log_prob(rows).exp().view(6, -1)
    total = float((p[:, :-1].sum() * (numbers[1] - numbers[0])) + p[:, -1].sum())
    marginal = float(model.columns[0].log_prob(rows[:1, 0]).exp())
    assert total == pytest.approx(marginal, rel=2e-3)
    R = model.correlation
    z = float(model.columns[0].score(rows[:1, 0]))
    above = (float(gap.ends[1]) - float(R[0, 4]) * z) / math.sqrt(1 - float(R[0, 4]) ** 2)
    assert float(p[:, -1].sum()) == pytest.approx(marginal * stats.norm.sf(above), rel=1e-5)


def test_a_bound_is_below_the_exact_value_and_reaches_it_with_many_draws():
    x = mixed_rows(400)
    exact = fitted(MIXED, x)
    bounded = BoundedCopula(exact.data)
    bounded.columns, bounded.gaps = exact.columns, exact.gaps
    bounded.correlation, bounded.fitted = exact.correlation, exact.fitted
    value = exact.log_prob(x.float())
    gaps = [
        value.mean() - bounded.log_prob_bound(x.float(), samples=K, repeats=40, generator=g()).mean()
        for K in (1, 10, 1000)
    ]
    assert gaps[0] > gaps[1] > gaps[2] > -1e-4
    assert gaps[0] > 0.02
    assert gaps[2] < 1e-3


# --- fits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margins", ["kernel", "parametric", "empirical"])
def test_planted_correlations_of_numbers_are_recovered(margins):
    """(1 − ρ²)/√n is at most 0.0071; within 5 of it, six pairs: false alarms 4e-6."""
    z = normals(20000, R4)
    x = torch.stack([z[:, 0].exp(), z[:, 1] ** 3, z[:, 2], z[:, 3].sigmoid()], 1)
    model = fitted("table(real, real, real, unit)", x, margins=margins)
    assert (model.correlation - torch.tensor(R4).double()).abs().max() < 5 * 0.0071


def test_planted_correlations_of_discrete_columns_are_recovered():
    """Of binary columns cut at their median the standard error is about 1.6 (1 − ρ²)/√n < 0.012: within 5 of it."""
    z = normals(20000, R4)
    names = torch.tensor([2.0, 0.0, 1.0]).double()
    ordinal = (z[:, 2] > -0.4).long() + (z[:, 2] > 0.8).long()
    x = torch.stack([z[:, 0], (z[:, 1] > 0).double(), names[ordinal], (z[:, 3].exp() * 3).floor()], 1)
    model = fitted("table(real, binary, categorical(3), count)", x)
    found, expected = model.correlation, torch.tensor(R4).double()
    sign = torch.sign(found[0, 2] * expected[0, 2])  # the order of categories may be the other way round
    flip = torch.tensor([1.0, 1.0, float(sign), 1.0]).double()
    assert (flip[:, None] * found * flip - expected).abs().max() < 0.06
    places = model.columns[2].places[names.long()].tolist()
    assert places in ([0, 1, 2], [2, 1, 0])


def test_gaps_that_depend_on_a_column_are_generated_with_it():
    x = mixed_rows(20000)
    made = fitted(MIXED, x).sample(20000, generator=g())
    for rows in (x, made):
        missing, other = rows[:, 3].isnan(), rows[:, 0]
        assert float(missing.double().mean()) == pytest.approx(0.24, abs=0.02)
        assert float((other[missing] > 1).double().mean()) > 0.8
    assert stats.ks_2samp(x[:, 0].numpy(), made[:, 0].numpy()).statistic < 0.03
    assert (torch.bincount(x[:, 2].long()) - torch.bincount(made[:, 2].long())).abs().max() < 600


# --- filling ----------------------------------------------------------------------------------------------------


def test_filled_numbers_have_the_conditional_distribution_of_a_gaussian():
    """Mean and variance of 20,000 draws within 5 standard errors."""
    x = normals(4000, R3)
    model = fitted("table(real, real, real)", x, margins="parametric")
    location, scale = (torch.stack([each.constants[i] for each in model.columns]) for i in (2, 3))
    S = scale[:, None] * model.correlation * scale
    given = torch.tensor([1.2, math.nan, -0.7]).double()
    filled = model.impute(given.repeat(20000, 1), generator=g())[:, 1]
    known = [0, 2]
    weights = torch.linalg.solve(S[known][:, known], S[known, 1])
    mean = location[1] + weights @ (given[known] - location[known])
    variance = S[1, 1] - weights @ S[known, 1]
    assert float(filled.mean()) == pytest.approx(float(mean), abs=5 * math.sqrt(float(variance) / 20000))
    assert float(filled.var()) == pytest.approx(float(variance), rel=5 * math.sqrt(2 / 20000))


def test_filled_categories_have_their_conditional_probabilities():
    support = "table(discrete(4), binary, categorical(3))"
    model = fitted(support, discrete_rows(support))
    x = torch.tensor([[2.0, 1.0, math.nan]]).repeat(20000, 1)
    filled = model.impute(x, generator=g())
    p = model.log_prob(torch.tensor([[2.0, 1.0, k] for k in range(3)])).softmax(0)
    found = torch.bincount(filled[:, 2].long(), minlength=3) / 20000
    assert (found - p).abs().max() < 0.02
    assert torch.equal(filled[:, :2], x[:, :2])


@pytest.mark.parametrize("margins", ["kernel", "parametric", "empirical"])
def test_only_gaps_are_filled_and_none_is_left(margins):
    x = mixed_rows(500).float()
    model = fitted(MIXED, x, margins=margins)
    holes = x.masked_fill(torch.rand(x.shape, generator=g()) < 0.3, torch.nan)
    filled = model.impute(holes, generator=g())
    assert not bool(filled.isnan().any())
    assert torch.equal(filled[~holes.isnan()], holes[~holes.isnan()])
    assert torch.equal(filled, model.impute(holes, generator=g()))
    assert isinstance(model, lt.Imputes)


# --- a run ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("support", "margins", "kind"),
    [
        ("real", "kernel", ExactCopula),
        ("real", "empirical", EmpiricalCopula),
        ("table(real, binary or missing, categorical(3), real)", "parametric", ExactCopula),
        ("table(real, binary or missing, categorical(3) or missing, binary)", "kernel", BoundedCopula),
        ("table(binary, binary, discrete(3), count)", "empirical", ExactCopula),
    ],
)
def test_a_copula_can_do_what_its_class_says(support, margins, kind):
    model = copula_for(DataSpec((4,), Support.parse(support)), margins=margins)
    assert type(model) is kind
    assert isinstance(model, lt.Density) == (kind is ExactCopula)
    assert isinstance(model, lt.Bounded) == (kind is BoundedCopula)


@pytest.mark.parametrize("margins", ["kernel", "parametric", "empirical"])
def test_a_run_is_loaded_bit_for_bit(margins, tmp_path):
    x = mixed_rows(200).float()
    run = lt.fit("gaussian-copula", x, support=MIXED, margins=margins, out=tmp_path / "run", progress=False)
    again = lt.load(tmp_path / "run")
    assert torch.equal(run.sample(99, seed=1).nan_to_num(-9), again.sample(99, seed=1).nan_to_num(-9))
    if margins != "empirical":
        assert torch.equal(run.model.log_prob(x), again.model.log_prob(x))


def test_constant_and_nearly_empty_columns_are_fitted():
    x = torch.stack([torch.full((50,), 3.0), torch.randn(50, generator=g()), torch.full((50,), torch.nan)], 1)
    x[0, 2] = 1.0
    for margins in ("kernel", "parametric", "empirical"):
        model = fitted("table(real, real, real or missing)", x, margins=margins)
        assert model.sample(20, generator=g()).shape == (20, 3)


def test_bad_input_is_one_line():
    with pytest.raises(UsageError, match="unknown margins 'normal'"):
        copula_for(DataSpec((2,), REAL), margins="normal")
    with pytest.raises(UsageError, match="this copula has no margins yet: fit it"):
        copula_for(DataSpec((2,), REAL)).sample(3)
    with pytest.raises(UsageError, match="not images"):
        lt.recipes["gaussian-copula"](DataSpec((1, 8, 8), Support("binary")))
    with pytest.raises(UsageError, match="shrinkage must be from 0 to 1; got 2"):
        CopulaFit(copula_for(DataSpec((2,), REAL)), shrinkage=2)
    with pytest.raises(DataError, match="column 1 has no value in any of 9 rows"):
        fitted("table(real, real or missing)", torch.tensor([[1.0, math.nan]]).repeat(9, 1))
