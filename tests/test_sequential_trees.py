"""Sequential trees, against naive loops, scikit-learn's own predictions, and sums over all rows."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise, product

import pytest
import torch
from scipy import integrate
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.category_scores import category_scores
from latentia.models.cells import NumberCells
from latentia.models.column_tree import ColumnTree
from latentia.models.sequential_trees import BinnedSequentialTrees, SequentialTrees
from latentia.objectives.closed_form.sequential_trees import TreeGrowth

DISCRETE = "table(binary, categorical(3) or missing, discrete(4))"
MIXED = "table(real or missing, categorical(4), count, unit)"


def spec(support: str) -> DataSpec:
    parsed = Support.parse(support)
    return DataSpec((len(parsed.columns),), parsed)


def discrete_rows(n: int = 400) -> Tensor:
    g = torch.Generator().manual_seed(0)
    a = torch.randint(2, (n,), generator=g)
    b = (a + torch.randint(2, (n,), generator=g)) % 3
    c = (b + a + torch.randint(2, (n,), generator=g)).clamp_max(3)
    x = torch.stack([a, b, c], 1).float()
    x[torch.rand(n, generator=g) < 0.1 + 0.2 * a, 1] = torch.nan
    return x


def mixed_rows(n: int = 400) -> Tensor:
    g = torch.Generator().manual_seed(1)
    number = torch.randn(n, generator=g)
    kind = torch.randint(4, (n,), generator=g)
    count = (number.exp() + kind).round()
    part = torch.sigmoid(number + torch.randn(n, generator=g))
    number[torch.rand(n, generator=g) < 0.2] = torch.nan
    return torch.stack([number, kind.float(), count, part], 1)


def fitted(kind: type, support: str, x: Tensor, *, leaf: int = 5, **options):
    model = kind(spec(support), **options)
    TreeGrowth(model, leaf=leaf).solve(Batch(x))
    return model


def draws(n: int = 1, seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed + n - 1)


# --- the trees --------------------------------------------------------------------------------------------------


def test_leaves_are_those_of_scikit_learn():
    from sklearn.tree import DecisionTreeRegressor

    x = torch.randn(500, 3, generator=draws())
    model = SequentialTrees(DataSpec((3,), Support("real")))
    TreeGrowth(model, leaf=7).solve(Batch(x))
    tree = model.trees[2]
    ranks = x[:, 2].argsort().argsort()
    theirs = DecisionTreeRegressor(min_samples_leaf=7, random_state=0).fit(x[:, :2].numpy(), ranks.numpy())
    new = torch.randn(300, 2, generator=draws())
    pairs = set(zip(tree.find(new).tolist(), theirs.apply(new.numpy()).tolist(), strict=True))
    assert len({ours for ours, _ in pairs}) == len({his for _, his in pairs}) == len(pairs) > 20
    assert torch.bincount(tree.find(x[:, :2])).min() >= 7


@pytest.mark.parametrize(("support", "rows"), [(DISCRETE, discrete_rows()), (MIXED, mixed_rows())])
def test_samples_are_values_of_training_rows_of_the_same_leaf(support, rows):
    model = fitted(SequentialTrees, support, rows)
    made = model.sample(300, generator=draws())
    model.data.check(made)
    for i, tree in enumerate(model.trees):
        before = tree.find(rows[:, :i])
        for value, leaf in zip(made[:, i].tolist(), tree.find(made[:, :i]).tolist(), strict=True):
            inside = rows[before == leaf, i]
            assert len(inside) >= 5
            assert bool(inside.isnan().any() if math.isnan(value) else (inside == value).any())


def test_with_leaves_of_one_row_samples_are_copies():
    rows = mixed_rows()
    made = fitted(SequentialTrees, MIXED, rows, leaf=1).sample(200, generator=draws())
    known = set(map(tuple, rows.nan_to_num(-9).tolist()))
    assert {tuple(row) for row in made.nan_to_num(-9).tolist()} <= known


def test_trees_of_one_leaf_give_independent_columns():
    """χ² of a 2 × 3 table at level 1e-4, on columns whose dependence the trees see with smaller leaves."""
    from scipy.stats import chi2_contingency

    rows = discrete_rows()
    p = []
    for leaf in (len(rows), 5):
        model = fitted(SequentialTrees, DISCRETE, rows, leaf=leaf)
        made = model.sample(4000, generator=draws()).nan_to_num(3).long()
        counts = torch.zeros(2, 4).index_put_((made[:, 0], made[:, 1]), torch.ones(4000), accumulate=True)
        p.append(chi2_contingency(counts.numpy()).pvalue)
        frequencies = torch.bincount(made[:, 1], minlength=4) / 4000
        expected = torch.bincount(rows[:, 1].nan_to_num(3).long(), minlength=4) / len(rows)
        assert (frequencies - expected).abs().max() < 0.04  # 5 standard errors
        assert (leaf == 5) or all(tree.leaves == 1 for tree in model.trees)
    assert p[0] > 1e-4
    assert p[1] < 1e-30


def test_columns_of_fewest_categories_come_first():
    support = "table(real, categorical(5), binary, count, discrete(3))"
    assert SequentialTrees(spec(support), order="fewest-categories").order == [2, 4, 1, 0, 3]
    assert SequentialTrees(spec(support)).order == [0, 1, 2, 3, 4]


def test_an_order_s_rows_come_back_in_the_columns_own_places():
    rows = mixed_rows()
    model = fitted(SequentialTrees, MIXED, rows, order="fewest-categories")
    model.data.check(model.sample(50, generator=draws()))


def test_scores_of_categories_order_them_by_the_mean_target():
    g = torch.Generator().manual_seed(3)
    codes, target = torch.randint(5, (200,), generator=g), torch.randn(200, 1, generator=g).double()
    scores = category_scores(codes, 5, target)
    means = torch.stack([target[codes == k].mean() for k in range(5)])
    order = scores.argsort().tolist()
    assert order in (means.argsort().tolist(), means.argsort(descending=True).tolist())
    assert torch.corrcoef(torch.stack([scores, means]))[0, 1].abs() == pytest.approx(1, abs=1e-12)


# --- the density ------------------------------------------------------------------------------------------------


def all_rows(support: str) -> Tensor:
    columns = []
    for each in Support.parse(support).columns:
        values = [float(k) for k in range(2 if each.kind == "binary" else each.levels or 0)]
        columns.append(values + ([math.nan] if each.missing else []))
    return torch.tensor(list(product(*columns)))


@pytest.mark.parametrize("leaf", [1, 5, 50])
def test_probabilities_of_all_rows_add_up_to_one(leaf):
    model = fitted(BinnedSequentialTrees, DISCRETE, discrete_rows(), leaf=leaf)
    assert float(model.log_prob(all_rows(DISCRETE)).exp().sum()) == pytest.approx(1, abs=1e-12)


def test_probabilities_are_those_of_a_loop_over_rows():
    rows = discrete_rows()
    model = fitted(BinnedSequentialTrees, DISCRETE, rows, leaf=20)
    every = all_rows(DISCRETE)
    expected = []
    for row in every:
        log_p = 0.0
        for i, (tree, cells) in enumerate(zip(model.trees, (2, 4, 4), strict=True)):
            same = tree.find(rows[:, :i]) == tree.find(row[None, :i])
            value = float(row[i].nan_to_num(-1))
            inside, column = (Counter(each[:, i].nan_to_num(-1).tolist()) for each in (rows[same], rows))
            q = (column[value] + 0.5) / (len(rows) + cells / 2)
            log_p += math.log((inside[value] + cells / 2 * q) / (int(same.sum()) + cells / 2))
        expected.append(log_p)
    assert model.log_prob(every).tolist() == pytest.approx(expected, abs=1e-12)


def test_a_density_of_numbers_integrates_to_one():
    rows = torch.randn(300, 2, generator=draws())
    rows[:, 1] += rows[:, 0]
    model = BinnedSequentialTrees(DataSpec((2,), Support("real")), bins=5)
    TreeGrowth(model, leaf=40).solve(Batch(rows))
    for tree, point in zip(model.trees, (0.0, 0.3), strict=True):
        before = torch.full((1, len(tree.predictors)), point)

        def density(value: float, tree=tree, before=before) -> float:
            return float(tree.log_prob(torch.tensor([value], dtype=torch.float64), tree.find(before)).exp())

        edges = tree.cells.edges.tolist()
        ends = [edges[0] - 60, *edges, edges[-1] + 60]
        pieces = [integrate.quad(density, a, b)[0] for a, b in pairwise(ends)]
        assert sum(pieces) == pytest.approx(1, abs=1e-6)


def test_the_density_of_a_table_with_gaps_adds_up_to_one():
    """Over gaps and numbers of the first column, the counts of the third, with the others' sums of one column."""
    model = fitted(BinnedSequentialTrees, MIXED, mixed_rows(), leaf=30, bins=6)
    first, kind, count, part = model.trees
    none = torch.zeros(1, dtype=torch.int64)
    gap = float(first.log_prob(torch.tensor([math.nan]), none).exp())
    edges = first.cells.edges.double()
    inside = torch.cat([edges[:-1] + edges.diff() / 2])
    heights = first.log_prob(inside, none.expand(len(inside))).exp()
    scale = float(first.cells._scale())
    tails = sum(
        float(first.log_prob(torch.tensor([at], dtype=torch.float64), none).exp()) * scale
        for at in (float(edges[0]) - 1e-12, float(edges[-1]))
    )
    assert gap + float((heights * edges.diff()).sum()) + tails == pytest.approx(1, abs=1e-9)
    counts = torch.arange(0, 3000).float()
    leaf = torch.zeros(3000, dtype=torch.int64)
    assert float(count.log_prob(counts, leaf).exp().sum()) == pytest.approx(1, abs=1e-9)
    at = (torch.arange(20000).double() + 0.5) / 20000
    assert float(part.log_prob(at, leaf[:1].expand(20000)).exp().mean()) == pytest.approx(1, abs=2e-3)
    kinds = torch.arange(4).float()
    assert float(kind.log_prob(kinds, leaf[:4]).exp().sum()) == pytest.approx(1, abs=1e-12)


def test_samples_of_histograms_have_their_probabilities():
    """Frequencies of all 32 rows: the largest of 32 differences within 5 standard errors, false alarms 2e-5."""
    model = fitted(BinnedSequentialTrees, DISCRETE, discrete_rows(), leaf=20)
    every, n = all_rows(DISCRETE), 20000
    made = Counter(map(tuple, model.sample(n, generator=draws()).nan_to_num(-1).tolist()))
    p = model.log_prob(every).exp()
    found = torch.tensor([made[tuple(row)] / n for row in every.nan_to_num(-1).tolist()])
    assert ((found - p).abs() / (p * (1 - p) / n).sqrt()).max() < 5


@pytest.mark.parametrize("kind", ["real", "count", "unit"])
def test_cells_draw_what_their_density_says(kind):
    """The distribution function of draws in each cell against the integral of the density, KS at 1e-5."""
    values = torch.rand(500, generator=draws()) ** 2
    values = (values * 40).floor() if kind == "count" else values
    cells = NumberCells(Support(kind), 8)
    cells.place(values)
    assert int(cells.of(values).max()) < cells.count
    for number in range(cells.count):
        x = cells.draw(torch.full((4000,), number))
        assert bool((cells.of(x) == number).all()), number
        points = x.unique() if kind == "count" else x.sort().values
        log_p = cells.log_within(points, torch.full((len(points),), number))
        if kind == "count":
            below, total = (
                log_p.exp().cumsum(0),
                torch.searchsorted(x.sort().values, points, right=True) / len(x),
            )
            assert (below - total).abs().max() < 2.5 / math.sqrt(4000)
        else:
            steps = (log_p[1:].exp() + log_p[:-1].exp()) / 2 * points.diff()
            assert (steps.cumsum(0) - torch.arange(1, 4000) / 4000).abs().max() < 2.5 / math.sqrt(4000)


def test_a_constant_column_is_binned_around_its_value():
    cells = NumberCells(Support("real"), 8)
    cells.place(torch.full((9,), 3.0))
    assert cells.edges.tolist() == [2.5, 3.0, 3.5]


# --- filling ----------------------------------------------------------------------------------------------------


def test_filled_entries_have_the_conditional_distribution():
    """Frequencies of (b | a = 1, c = 3) against the sum over rows; resampling 32 draws biases them by below .02."""
    model = fitted(
        BinnedSequentialTrees, "table(binary, categorical(3), discrete(4))", discrete_rows().nan_to_num(0)
    )
    x = torch.tensor([[1.0, math.nan, 3.0]]).repeat(8000, 1)
    filled = model.impute(x, generator=draws())
    assert bool((filled[:, [0, 2]] == x[:, [0, 2]]).all())
    rows = torch.tensor([[1.0, b, 3.0] for b in range(3)])
    expected = model.log_prob(rows).softmax(0)
    found = torch.bincount(filled[:, 1].long(), minlength=3) / 8000
    assert (found - expected).abs().max() < 0.02 + 5 * 0.5 / math.sqrt(8000)


@pytest.mark.parametrize("kind", [SequentialTrees, BinnedSequentialTrees])
def test_only_gaps_are_filled_and_none_is_left(kind):
    rows = mixed_rows()
    model = fitted(kind, MIXED, rows)
    holes = rows.masked_fill(torch.rand(rows.shape, generator=draws()) < 0.3, torch.nan)
    filled = model.impute(holes, generator=draws())
    assert not bool(filled.isnan().any())
    assert torch.equal(filled[~holes.isnan()], holes[~holes.isnan()])
    model.data.check(filled)
    assert torch.equal(filled, model.impute(holes, generator=draws()))
    assert not torch.equal(filled, model.impute(holes, generator=draws(seed=5)))
    assert isinstance(model, lt.Imputes)


# --- a run ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", ["leaf-values", "binned"])
def test_a_run_is_a_density_only_where_it_says_so_and_is_loaded_bit_for_bit(numbers, tmp_path):
    rows = mixed_rows()
    run = lt.fit(
        "sequential-trees", rows, support=MIXED, numbers=numbers, out=tmp_path / "run", progress=False
    )
    assert isinstance(run.model, lt.Density) == (numbers == "binned")
    again = lt.load(tmp_path / "run")
    assert torch.equal(run.sample(99, seed=1).nan_to_num(-9), again.sample(99, seed=1).nan_to_num(-9))
    if numbers == "binned":
        assert torch.equal(run.model.log_prob(rows), again.model.log_prob(rows))
        assert run.history["log_likelihood"].iloc[0] == pytest.approx(float(run.model.log_prob(rows).mean()))


def test_bad_input_is_one_line():
    with pytest.raises(DataError, match="column 0 has no value in any of 50 rows"):
        fitted(
            SequentialTrees, "table(real or missing, binary)", torch.tensor([[math.nan, 1.0]]).repeat(50, 1)
        )
    with pytest.raises(UsageError, match="leaf must be at least 1; got 0"):
        TreeGrowth(SequentialTrees(spec(MIXED)), leaf=0)
    with pytest.raises(UsageError, match="unknown order 'best'"):
        SequentialTrees(spec(MIXED), order="best")
    with pytest.raises(UsageError, match="these trees have no leaves yet"):
        SequentialTrees(spec(MIXED)).sample(3)
    assert ColumnTree(Support("real"), [], bins=3).leaves == 0
