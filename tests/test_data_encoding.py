"""Rows of a table as real vectors: they come back, at their rates, and their density is accounted for."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

import latentia as lt
from latentia.data.encoding.margins import with_margins
from latentia.data.encoding.parts import Interval, OneHot, Quantile, Sticks
from latentia.data.encoding.table import STYLES, TableEncoding, can_encode
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.errors import UsageError
from latentia.models.encoded_table import of_tables
from latentia.models.gaussian import Gaussian

NAN = float("nan")
MIXED = "table(real or missing, binary, categorical(4) or missing, discrete(5), categorical(2) or missing)"


def mixed_rows(n: int = 400) -> Rows:
    rng = np.random.default_rng(0)
    number = rng.normal(3, 2, n)
    number[rng.random(n) < 0.2] = NAN
    category = rng.choice(4, n, p=[0.6, 0.25, 0.1, 0.05]).astype(float)
    category[rng.random(n) < 0.1] = NAN
    two = rng.integers(0, 2, n).astype(float)
    two[rng.random(n) < 0.3] = NAN
    columns = [number, rng.random(n) < 0.1, category, rng.integers(0, 5, n), two]
    spec = DataSpec((5,), Support.parse(MIXED))
    return with_margins(Rows(torch.tensor(np.stack([np.asarray(c, float) for c in columns], 1)), spec))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("epoch", [0, 3])
def test_encoded_rows_come_back(style, epoch):
    rows = mixed_rows()
    encoding = TableEncoding(style).on(rows.spec)
    batch = rows.whole()
    x = batch.x.float()
    y = encoding(x, batch.index, epoch)
    assert y.shape == (len(rows), encoding.spec(rows.spec).size)
    assert torch.equal(encoding.inverse(y).nan_to_num(-9), x.nan_to_num(-9))
    assert torch.equal(encoding.inverse(encoding.likeliest(x)).nan_to_num(-9), x.nan_to_num(-9))


def test_an_encoding_is_a_function_of_row_number_and_epoch():
    rows = mixed_rows(20)
    encoding = TableEncoding("normal").on(rows.spec)
    x, index = rows.whole().x.float(), torch.arange(20)
    assert torch.equal(encoding(x, index, 2)[7:9], encoding(x[7:9], index[7:9], 2))
    assert not torch.equal(encoding(x, index, 2), encoding(x, index, 3))


def test_normal_numbers_are_standard_normal_over_rows_at_their_rates():
    """Kolmogorov's test of each number at level 1e-4, with a fixed seed: 6 numbers, false alarms 6e-4."""
    rates = (0.5, 0.3, 0.15, 0.05)
    generator = torch.Generator().manual_seed(1)
    x = torch.multinomial(torch.tensor(rates), 20_000, replacement=True, generator=generator).double()
    for part in (Sticks(rates), Interval(rates)):
        y = part.forward(x, torch.rand(len(x), part.width, generator=generator, dtype=torch.float64))
        for z in y.T:
            assert stats.kstest(z.numpy(), "norm").pvalue > 1e-4


@pytest.mark.parametrize(
    "part", [Interval((0.2, 0.5, 0.3)), Sticks((0.2, 0.5, 0.3)), Sticks((0.1, 0.2, 0.3, 0.4))]
)
def test_the_noise_has_the_density_that_it_says(part):
    """Where the vectors are independent and standard normal each value has its rate: E_q φ(y)/q(y | x) = p(x)."""
    u = torch.rand(50, part.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for k, rate in enumerate(part.rates):
        x = torch.full((50,), float(k), dtype=torch.float64)
        y = part.forward(x, u)
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(y).sum(1)
        assert torch.allclose((normal - part.log_noise(x, y)).exp(), torch.tensor(rate, dtype=torch.float64))


def test_one_hot_numbers_are_drawn_in_proportion_and_the_largest_is_likeliest():
    y = torch.tensor([[0.5, -1.0, 1.5]])
    u = torch.linspace(0.001, 0.999, 1000)
    drawn = OneHot(3).inverse(y.expand(1000, 3), u)
    assert [(drawn == k).double().mean().item() for k in range(3)] == pytest.approx([0.25, 0, 0.75], abs=2e-3)
    assert OneHot(3).inverse(y, None).tolist() == [2]
    two = OneHot(2).inverse(torch.full((1000, 1), 0.3), u)
    assert two.mean().item() == pytest.approx(0.3, abs=2e-3)


def test_blocks_say_which_entries_are_one_category():
    spec = mixed_rows(20).spec
    encoded = TableEncoding("one-hot").on(spec).spec(spec)
    assert encoded.size == 2 + 1 + 5 + 1 + 2
    assert encoded.blocks == ((0, 1), (2, 1), (3, 1), (4, 4), (9, 1), (10, 1))


def rectangle(encoding: TableEncoding, cell: torch.Tensor, covariance: torch.Tensor) -> float:
    """P(the vectors of a cell) under N(0, Σ): the limits are those of the encodings with u near 0 and 1."""
    row, width = cell[None].double(), len(covariance)
    low, high = (
        encoding.encoded(row, torch.full((1, width), u).double())[0].numpy() for u in (1e-13, 1 - 1e-13)
    )
    return stats.multivariate_normal(np.zeros(width), covariance.numpy()).cdf(high, lower_limit=low)


def test_a_bound_of_a_table_is_below_its_log_density_and_near_it_with_many_draws():
    """A Gaussian of the encodings: the probability of each cell of two categories is an integral that SciPy takes."""
    spec = DataSpec((2,), Support.parse("table(binary, categorical(3))"))
    rows = with_margins(Rows(torch.tensor([[0.0, 0], [1, 1], [0, 2], [1, 0], [0, 1], [0, 0]]), spec))
    encoding = TableEncoding("normal").on(rows.spec)
    inner = Gaussian(encoding.spec(rows.spec), covariance="full")
    covariance = torch.tensor([[1.0, 0.5, 0.2], [0.5, 1.0, 0.0], [0.2, 0.0, 1.0]], dtype=torch.float64)
    inner.place(torch.zeros(3, dtype=torch.float64), torch.linalg.cholesky(covariance))
    model = of_tables(inner, encoding)
    cells = torch.tensor(list(product([0.0, 1.0], [0.0, 1.0, 2.0])))
    generator = torch.Generator().manual_seed(0)
    many = model.log_prob_bound(cells, samples=20_000, generator=generator)
    few = model.log_prob_bound(cells, samples=1, repeats=2000, generator=generator)
    exact = [rectangle(encoding, cell, covariance) for cell in cells]
    assert many.exp().tolist() == pytest.approx(exact, rel=0.05)
    assert (few < many + 0.01).all()
    assert math.isfinite(float(few.sum()))


def test_only_tables_are_encoded():
    assert can_encode(mixed_rows(5).spec)
    assert not can_encode(DataSpec((3,), Support("real")))
    assert can_encode(DataSpec((3,), Support.parse("real or missing")))
    assert not can_encode(DataSpec((1, 8, 8), Support.parse("unit or missing")))


def skewed(n: int = 2000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([rng.lognormal(0, 1, n), rng.normal(0, 1, n) ** 3], axis=1)


def test_quantile_normal_numbers_are_standard_normal_and_come_back():
    """Kolmogorov's test of two margins of rows that the knots were not made of, at level 1e-4 each."""
    spec = DataSpec((2,), Support("real"))
    rows = with_margins(Rows(torch.tensor(skewed()), spec), quantiles=True)
    encoding = TableEncoding("normal").on(rows.spec)
    x = torch.tensor(skewed(4000)[2000:])
    z = encoding.likeliest(x)
    assert torch.allclose(encoding.inverse(z), x)
    assert all(stats.kstest(column.numpy(), "norm").pvalue > 1e-4 for column in z.T)


def test_the_density_of_a_quantile_normal_number_is_that_of_finite_differences():
    part = Quantile(tuple(np.quantile(skewed()[:, 0], np.linspace(0, 1, 101)).tolist()))
    x = torch.tensor([-1.0, 0.05, 0.7, 3.0, 40.0], dtype=torch.float64)
    h = 1e-7
    u = torch.full((5, 1), 0.5, dtype=torch.float64)
    slope = (part.forward(x + h, u) - part.forward(x - h, u))[:, 0] / (2 * h)
    assert torch.allclose(-part.log_noise(x, part.forward(x, u)), slope.log(), atol=1e-5)


def test_a_value_of_many_rows_is_one_knot():
    part = Quantile((0.0,) * 50 + tuple(np.linspace(0, 5, 51).tolist()))
    zero = part.forward(torch.zeros(1, dtype=torch.float64), torch.full((1, 1), 0.5, dtype=torch.float64))
    assert zero.item() == pytest.approx(stats.norm.ppf(25.5 / 101), abs=1e-9)  # the middle of 51 of 101


def test_a_gaussian_of_skewed_numbers_is_better_by_quantiles_and_its_density_integrates_to_one():
    x = skewed()[:, :1]
    plain = lt.fit("gaussian", x, progress=False)
    normal = lt.fit("gaussian", x, number_encoding="quantile-normal", progress=False)
    assert normal.log_prob(x).mean() > plain.log_prob(x).mean() + 0.3
    grid = torch.linspace(-30, 200, 400_001, dtype=torch.float64)[:, None]
    assert torch.trapezoid(normal.log_prob(grid, samples=1).exp(), grid[:, 0]).item() == pytest.approx(
        1, abs=2e-3
    )
    samples = np.asarray(normal.sample(2000, seed=0))[:, 0]
    assert stats.ks_2samp(samples, x[:, 0]).pvalue > 1e-4


def test_recipes_that_read_rows_as_they_are_refuse_another_form_of_numbers():
    with pytest.raises(UsageError, match="number_encoding is for recipes of real vectors: vae reads"):
        lt.fit("vae", np.eye(8, dtype=bool), number_encoding="quantile-normal", progress=False)
