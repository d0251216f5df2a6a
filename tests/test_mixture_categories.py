"""Mixtures of categories against hand-written EM, sums over the whole space, and planted truth."""

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
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UnfitError, UsageError
from latentia.functional.mixtures.categories import Categories
from latentia.functional.mixtures.entries import Entries
from latentia.models.mixture import CategoricalMixture
from latentia.objectives.em.mixture import MixtureEM

BITS = DataSpec((3,), Support("binary"))
GAPPED = DataSpec((3,), Support("binary", missing=True))
TABLE = DataSpec((3,), Support.parse("table(categorical(3), binary or missing, discrete(4) or missing)"))
LEVELS = (3, 2, 4)


def planted(data: DataSpec, K: int = 3, seed: int = 0) -> CategoricalMixture:
    """Return a mixture with random weights and probabilities."""
    generator = torch.Generator().manual_seed(seed)
    model = CategoricalMixture(data, components=K)
    weights = torch.rand(K, generator=generator).double() + 0.2
    model.weights.copy_(weights / weights.sum())
    raw = torch.rand(model.probabilities.shape, generator=generator).double() + 0.05
    parts = raw.split(list(model.entries.groups), dim=1)
    model.probabilities.copy_(torch.cat([part / part.sum(1, keepdim=True) for part in parts], dim=1))
    return model


def space(data: DataSpec) -> Tensor:
    """Return every row that there is, gaps included where they are allowed."""
    columns = data.support.columns or (data.support,) * data.size
    values = [[*range(column.levels or 2), *([math.nan] if column.missing else [])] for column in columns]
    return torch.tensor(list(product(*values))).double()


def probability(model: CategoricalMixture, row: list[float]) -> float:
    """Return p(row) by loops over components, columns and gaps."""
    entries, total = model.entries, 0.0
    for k in range(len(model.weights)):
        p, at = float(model.weights[k]), 0
        for column, levels in zip(entries.categories, entries.levels, strict=True):
            if not math.isnan(row[column]):
                p *= float(model.probabilities[k, at + int(row[column])])
            at += levels
        for column in entries.gaps:
            p *= float(model.probabilities[k, at + math.isnan(row[column])])
            at += 2
        total += p
    return total


def naive_em(
    x: np.ndarray, pi: np.ndarray, theta: list[np.ndarray], a: float, gaps: list[np.ndarray] | None
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray] | None]:
    """Do one step of EM by loops: theta[d][k, l], gaps[d][k] the probability that entry d is missing."""
    n, D = x.shape
    K = len(pi)
    r = np.zeros((n, K))
    for i in range(n):
        for k in range(K):
            r[i, k] = pi[k]
            for d in range(D):
                if not np.isnan(x[i, d]):
                    r[i, k] *= theta[d][k, int(x[i, d])]
                if gaps is not None:
                    r[i, k] *= gaps[d][k] if np.isnan(x[i, d]) else 1 - gaps[d][k]
        r[i] /= r[i].sum()
    new = []
    for d in range(D):
        counts = np.full_like(theta[d], a)
        for i in range(n):
            if not np.isnan(x[i, d]):
                counts[:, int(x[i, d])] += r[i]
        total = counts.sum(1, keepdims=True)
        new.append(np.where(total > 0, counts / np.where(total > 0, total, 1), theta[d]))
    if gaps is not None:
        gaps = [(r[np.isnan(x[:, d])].sum(0) + a) / (r.sum(0) + 2 * a) for d in range(D)]
    return r.mean(0), new, gaps


def rows_of(model: CategoricalMixture, n: int, seed: int = 0) -> Tensor:
    return model.sample(n, generator=torch.Generator().manual_seed(seed))


# --- probabilities ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [BITS, GAPPED, TABLE], ids=["bits", "bits with gaps", "table"])
def test_probabilities_are_those_of_a_loop_and_sum_to_one_over_all_rows(data):
    model, rows = planted(data), space(data)
    p = model.log_prob(rows).exp()
    assert p.tolist() == pytest.approx([probability(model, row) for row in rows.tolist()], rel=1e-12)
    assert p.sum().item() == pytest.approx(1, abs=1e-12)
    assert model.measure == "counting"


def test_a_gap_sums_over_the_values_that_could_be_there():
    """Σ_v p(v, not missing) + p(missing) is the marginal of the other entries; the ratio is the missingness."""
    model = planted(TABLE)
    here = torch.tensor([[2.0, 1.0, v] for v in range(4)]).double()
    gone = torch.tensor([[2.0, 1.0, math.nan]]).double()
    both = model.log_prob(here).exp().sum() + model.log_prob(gone).exp().sum()
    other = model.product.given((2,), torch.zeros(1).double())  # leaves what is not asked here
    assert other.entries.categories == (0, 1)
    expected = 0.0
    for k in range(3):
        theta = model.probabilities[k]
        expected += float(
            model.weights[k] * theta[2] * theta[3 + 1] * theta[9]
        )  # the second column is present
    assert both.item() == pytest.approx(expected, rel=1e-12)


def test_free_parameters_are_those_of_a_count_by_hand():
    assert planted(BITS).free_parameters == 2 + 3 * 3
    assert planted(TABLE).free_parameters == 2 + 3 * (2 + 1 + 3) + 3 * 2


def test_indicators_are_what_a_loop_makes():
    x = torch.tensor([[2.0, 1.0, 3.0], [0.0, math.nan, math.nan]])
    entries = Entries((), (0, 1, 2), LEVELS, gaps=(1, 2))
    one, two = entries.indicators(x).tolist()
    assert one == [0, 0, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0]
    assert two == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]
    assert entries.indicators(x, gaps_count=False)[1].tolist() == [1, *[0] * 12]


def test_what_cannot_be_has_the_probability_0_and_its_responsibilities_are_numbers():
    model = planted(BITS, K=2)
    model.probabilities[:, :2] = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    x = torch.tensor([[1.0, 0.0, 0.0]])
    assert model.responsibilities(x).tolist() == [[0.0, 1.0]]
    model.probabilities[:, :2] = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert model.log_prob(x).item() == -math.inf


# --- EM ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pseudo_count", [0.0, 0.3])
@pytest.mark.parametrize("data", [BITS, GAPPED], ids=["whole", "with gaps"])
def test_em_equals_a_hand_written_one(data, pseudo_count):
    """Ten steps from one start, to 1e-10; a Bernoulli mixture, with and without gaps."""
    x = rows_of(planted(data), 200)
    game = MixtureEM(CategoricalMixture(data, components=3), tol=0.0, pseudo_count=pseudo_count)
    torch.manual_seed(1)
    game.begin(Batch(x))
    model = game.model
    pi = model.weights.numpy().copy()
    theta = [model.probabilities[:, 2 * d : 2 * d + 2].numpy().copy() for d in range(3)]
    gaps = (
        [model.probabilities[:, 7 + 2 * d].numpy().copy() for d in range(3)] if model.entries.gaps else None
    )
    for _ in range(10):
        pi, theta, gaps = naive_em(x.numpy(), pi, theta, pseudo_count, gaps)
        with pytest.raises(StopIteration):
            next(game.step(Batch(x)))
        assert model.weights.numpy() == pytest.approx(pi, abs=1e-10)
        ours = np.split(model.probabilities[:, :6].numpy(), 3, axis=1)
        assert np.stack(ours) == pytest.approx(np.stack(theta), abs=1e-10)
        if gaps is not None:
            assert model.probabilities[:, 7::2].numpy() == pytest.approx(np.stack(gaps, axis=1), abs=1e-10)


@pytest.mark.parametrize("data", [BITS, GAPPED, TABLE], ids=["bits", "bits with gaps", "table"])
@pytest.mark.parametrize("pseudo_count", [0.0, 2.0])
def test_no_step_lowers_the_likelihood_plus_the_prior(data, pseudo_count):
    x = Batch(rows_of(planted(data), 300))
    game = MixtureEM(CategoricalMixture(data, components=4), tol=0.0, pseudo_count=pseudo_count)
    values = []
    for state in train(game, [x], steps=40):
        model = state.objective.model
        prior = torch.special.xlogy(torch.tensor(pseudo_count), model.probabilities).sum()
        values.append((model.log_prob(x.x).sum() + prior).item())
    assert min(np.diff(values)) > -1e-8
    assert values[-1] > values[0] + 0.1


def test_one_component_is_the_frequencies_with_the_pseudo_count():
    x = rows_of(planted(TABLE), 150)
    run = lt.fit("categorical-mixture", x, support=str(TABLE.support), components=1, progress=False)
    model = run.model
    there = x[~x[:, 2].isnan(), 2]
    expected = [(float((there == v).sum()) + 0.1) / (len(there) + 0.4) for v in range(4)]
    assert model.probabilities[0, 5:9].tolist() == pytest.approx(expected, rel=1e-12)
    gone = float(x[:, 2].isnan().sum())
    assert model.probabilities[0, -1].item() == pytest.approx((gone + 0.1) / (150 + 0.2), rel=1e-12)


def test_a_planted_latent_class_model_is_recovered():
    """20,000 rows of two classes that eight questions tell apart; each probability within 6 standard errors."""
    data = DataSpec((8,), Support("binary"))
    model = CategoricalMixture(data, components=2)
    yes = torch.tensor([[0.9] * 8, [0.15] * 8], dtype=torch.float64)
    model.weights.copy_(torch.tensor([0.3, 0.7]))
    model.probabilities.copy_(torch.stack([1 - yes, yes], dim=2).flatten(1))
    run = lt.fit(
        "bernoulli-mixture", rows_of(model, 20_000), support="binary", components=2, tol=1e-8, progress=False
    )
    order = run.model.weights.argsort()
    assert run.model.weights[order].tolist() == pytest.approx([0.3, 0.7], abs=6 * math.sqrt(0.25 / 20_000))
    found = run.model.probabilities[order][:, 1::2]
    error = 6 * (yes * (1 - yes) / (torch.tensor([[0.3], [0.7]]) * 20_000)).sqrt()
    assert ((found - yes).abs() < 1.1 * error).all()  # a class is known but for one row in a hundred


def test_bic_finds_the_planted_number_of_classes():
    data = DataSpec((10,), Support("binary"))
    model = CategoricalMixture(data, components=3)
    yes = torch.full((3, 10), 0.1).double()
    for k in range(3):
        yes[k, 3 * k : 3 * k + 4] = 0.9
    model.probabilities.copy_(torch.stack([1 - yes, yes], dim=2).flatten(1))
    x = rows_of(model, 1_500)
    run = lt.fit(
        "bernoulli-mixture", x, support="binary", components=6, order="bic", restarts=3, progress=False
    )
    assert int((run.model.weights > 0).sum()) == 3
    assert run.model.free_parameters == 2 + 30


def test_values_that_are_no_categories_are_an_error_before_the_first_step():
    x = torch.tensor([[0.0, 1.0, 2.0]] * 20)
    game = MixtureEM(CategoricalMixture(BITS, components=2))
    with pytest.raises(DataError, match="2 in row 0, outside its support, binary"):
        game.begin(Batch(x))


# --- samples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [BITS, GAPPED, TABLE], ids=["bits", "bits with gaps", "table"])
def test_samples_have_the_probabilities_of_the_rows(data):
    """A chi-squared test over the whole space, gaps included; it rejects one seed in 10,000."""
    model, rows = planted(data), space(data)
    p = model.log_prob(rows).exp().numpy()
    drawn = rows_of(model, 50_000, seed=3).nan_to_num(nan=-1.0)
    place = {tuple(row): i for i, row in enumerate(rows.nan_to_num(nan=-1.0).tolist())}
    counts = np.bincount([place[tuple(row)] for row in drawn.tolist()], minlength=len(p))
    assert stats.chisquare(counts, 50_000 * p / p.sum()).pvalue > 1e-4


def test_outcomes_of_a_component_are_drawn_at_their_rates():
    """30,000 draws of each of two components; 6 standard errors: a false alarm in 10⁸."""
    theta = torch.tensor([[0.2, 0.3, 0.5, 1.0, 0.0], [0.0, 0.9, 0.1, 0.5, 0.5]]).double()
    torch.manual_seed(0)
    k = torch.arange(60_000) % 2
    drawn = Categories(theta, (3, 2)).draw(k)
    for j in range(2):
        found = torch.nn.functional.one_hot(drawn[k == j, 0], 3).double().mean(0)
        assert (
            (found - theta[j, :3]).abs() < 6 * (theta[j, :3] * (1 - theta[j, :3]) / 30_000).sqrt() + 1e-12
        ).all()
    assert (drawn[k == 0, 1] == 0).all()


# --- recipes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "support", "message"),
    [
        (
            "bernoulli-mixture",
            "categorical(3)",
            "bernoulli-mixture models binary, table data; this data is categorical",
        ),
        (
            "bernoulli-mixture",
            "table(binary, categorical(3))",
            r"columns that are binary; one is categorical\(3\)",
        ),
        ("categorical-mixture", "table(binary, real)", "one is real: gaussian-mixture takes numbers too"),
        (
            "categorical-mixture",
            "real",
            "categorical-mixture models binary, categorical, discrete, table data",
        ),
        ("gaussian-mixture", "table(binary, count)", "entry 1 is count: declare another with support="),
    ],
)
def test_data_of_other_kinds_is_refused_with_what_would_do(recipe, support, message):
    with pytest.raises(UnfitError, match=message):
        lt.recipes[recipe](DataSpec((2,), Support.parse(support)))


def test_bad_options_are_one_line():
    with pytest.raises(UsageError, match="pseudo_count must be at least 0; got -1"):
        lt.fit("bernoulli-mixture", torch.zeros(9, 3), support="binary", pseudo_count=-1, progress=False)
    with pytest.raises(UsageError, match="pseudo_count must be finite"):
        MixtureEM(CategoricalMixture(BITS, components=2), pseudo_count=math.inf)


def test_binary_images_are_fitted_as_well():
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(80, 1, 4, 4, generator=generator) < 0.3).float()
    run = lt.fit("bernoulli-mixture", x, support="binary", components=2, progress=False)
    assert run.sample(5, seed=0).shape == (5, 1, 4, 4)
    gone = x.clone()
    gone[:, :, 2:] = torch.nan
    filled = run.model.impute(gone, generator=generator)
    assert filled.shape == x.shape
    assert torch.equal(filled[:, :, :2], x[:, :, :2])
    run.spec.check(filled)
