"""Mixtures of mixed rows, their gaps, conditionals and imputation, against loops, sums and quadrature."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError
from latentia.functional.mixtures.components import COVARIANCES
from latentia.models.mixture import GaussianMixture
from latentia.objectives.em.mixture import MixtureEM
from latentia.objectives.em.online import OnlineEM
from latentia.runs.doctor import facts_of

FAMILIES = ("full", "tied", "diagonal", "spherical")
SUPPORT = "table(real or missing, categorical(3), real, binary or missing)"
MIXED = DataSpec((4,), Support.parse(SUPPORT), columns=("age", "job", "height", "smokes"))
WHOLE = DataSpec((4,), Support.parse(SUPPORT.replace(" or missing", "")))
JOBS, SMOKES = slice(0, 3), slice(3, 5)  # of the probabilities; the gaps of age and smokes follow
OLD = Path(__file__).parent / "fixtures" / "runs" / "gaussian-mixture-missing"


def planted(family: str = "full", data: DataSpec = MIXED, seed: int = 0) -> GaussianMixture:
    """Return a mixture of three components with correlated numbers and random probabilities."""
    generator = torch.Generator().manual_seed(seed)
    model = GaussianMixture(data, components=3, covariance=family, gaps="modelled")
    model.weights.copy_(torch.tensor([0.2, 0.3, 0.5]))
    model.means.copy_(2 * torch.randn(3, 2, generator=generator))
    L = torch.tensor([[[1.0, 0.0], [0.6, 0.8]], [[0.7, 0.0], [-0.9, 0.5]], [[1.2, 0.0], [0.1, 1.0]]]).double()
    L = L[:1].expand(3, 2, 2) if family == "tied" else L
    scale = L.diagonal(dim1=1, dim2=2)
    scale = scale[:, :1].expand(3, 2) if family == "spherical" else scale
    model.factors.copy_(L if COVARIANCES[family].matrix else scale)
    raw = torch.rand(model.probabilities.shape, generator=generator).double() + 0.05
    parts = raw.split(list(model.entries.groups), dim=1)
    model.probabilities.copy_(torch.cat([part / part.sum(1, keepdim=True) for part in parts], dim=1))
    return model


def covariance(model: GaussianMixture, k: int) -> np.ndarray:
    cov = model.components.covariances[k]
    return (cov if cov.dim() == 2 else cov.diag()).numpy()


def density(model: GaussianMixture, row: list[float], *, gaps: bool = True) -> np.ndarray:
    """Return π_k p(row | k) of each component, by loops; ``gaps``: the pattern of gaps is a part of it."""
    found = []
    for k in range(3):
        theta, values = model.probabilities[k].numpy(), np.array([row[0], row[2]])
        there = np.flatnonzero(~np.isnan(values))
        p = float(model.weights[k])
        if len(there):
            mean, cov = model.means[k].numpy()[there], covariance(model, k)[np.ix_(there, there)]
            p *= stats.multivariate_normal(mean, cov).pdf(values[there])
        p *= 1 if math.isnan(row[1]) else theta[JOBS][int(row[1])]
        p *= 1 if math.isnan(row[3]) else theta[SMOKES][int(row[3])]
        if gaps and len(theta) > 5:
            p *= theta[5 + math.isnan(row[0])] * theta[7 + math.isnan(row[3])]
        found.append(p)
    return np.array(found)


def rows_of(model: GaussianMixture, n: int, seed: int = 0) -> Tensor:
    return model.sample(n, generator=torch.Generator().manual_seed(seed))


# --- the density ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [MIXED, WHOLE], ids=["with gaps", "whole"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_density_is_that_of_a_loop(family, data):
    model = planted(family, data)
    x = rows_of(model, 60).double()
    assert bool(x.isnan().any()) == (data is MIXED)
    expected = [math.log(density(model, row).sum()) for row in x.tolist()]
    assert model.log_prob(x).tolist() == pytest.approx(expected, abs=1e-9)
    r = np.stack([density(model, row) / density(model, row).sum() for row in x.tolist()])
    assert model.responsibilities(x).numpy() == pytest.approx(r, abs=1e-9)
    assert model.measure == "mixed"


def test_the_density_adds_up_to_one_over_gaps_categories_and_numbers():
    """Sums over jobs, smoking and gaps, and quadrature over the numbers that are there."""
    model, total = planted(), 0.0
    grid = torch.linspace(-14, 14, 281, dtype=torch.float64)
    step = (grid[1] - grid[0]).item()
    plane = torch.cartesian_prod(grid, grid)
    for job in range(3):
        for smokes in (0.0, 1.0, math.nan):
            rest = torch.tensor([[job, smokes]]).double()
            x = torch.cat([plane[:, :1], rest[:, :1].expand(len(plane), 1)], dim=1)
            x = torch.cat([x, plane[:, 1:], rest[:, 1:].expand(len(plane), 1)], dim=1)
            total += model.log_prob(x).exp().sum().item() * step**2
            line = torch.stack([torch.full_like(grid, math.nan), torch.full_like(grid, job), grid], dim=1)
            line = torch.cat([line, rest[:, 1:].expand(len(grid), 1)], dim=1)
            total += model.log_prob(line).exp().sum().item() * step
    assert total == pytest.approx(1, abs=1e-6)


def test_ignored_gaps_leave_the_density_of_the_values_that_are_there():
    model = planted()
    ignoring = GaussianMixture(MIXED, components=3).placed(model.components)
    ignoring.probabilities.copy_(model.probabilities[:, :5])
    x = rows_of(model, 40).double()
    expected = [math.log(density(model, row, gaps=False).sum()) for row in x.tolist()]
    assert ignoring.log_prob(x).tolist() == pytest.approx(expected, abs=1e-9)
    assert not ignoring.sample(200).isnan().any()


def test_gaps_of_rows_of_numbers_are_modelled_and_sampled_at_their_rate():
    """40,000 samples; the rates of gaps within 6 standard errors of those of the rows and of the fit: a false alarm in
    10⁸.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2_000, 3, generator=generator) + 5 * (torch.arange(2_000) % 2)[:, None]
    x[(torch.rand(2_000, generator=generator) < 0.6) & (torch.arange(2_000) % 2 == 0), 1] = torch.nan
    run = lt.fit("gaussian-mixture", x, support="real or missing", components=2, progress=False)
    sample = run.sample(40_000, seed=0)
    rate = x.isnan().double().mean(0)
    error = 6 * (rate * (1 - rate) / 40_000).sqrt()
    assert ((sample.isnan().double().mean(0) - rate).abs() < error + 1e-3).all()
    low = sample[~sample[:, 1].isnan(), 0] < 2.5  # gaps go with the cluster near 0
    assert low.double().mean().item() < 0.35
    assert run.recipe.objective.model.measure == "Lebesgue"
    assert facts_of(run).strange_samples == 0


def test_free_parameters_are_those_of_a_count_by_hand():
    assert planted().free_parameters == 2 + 3 * (2 + 3) + 3 * (2 + 1) + 3 * 2
    assert planted("diagonal", WHOLE).free_parameters == 2 + 3 * (2 + 2) + 3 * (2 + 1)


def test_samples_have_the_moments_of_the_components():
    """50,000 rows; means of numbers, rates of jobs, smoking and gaps within 6 standard errors: a false alarm in 10⁷."""
    model = planted()
    x = rows_of(model, 50_000).double()
    pi, theta = model.weights, model.probabilities
    for column, number in ((0, 0), (2, 1)):
        there = x[~x[:, column].isnan(), column]
        weights = pi * theta[:, 5] if column == 0 else pi
        mean = (weights / weights.sum() * model.means[:, number]).sum()
        assert abs(there.mean() - mean) < 6 * there.std() / math.sqrt(len(there))
    for job in range(3):
        p = (pi @ theta[:, job]).item()
        assert (x[:, 1] == job).double().mean().item() == pytest.approx(
            p, abs=6 * math.sqrt(p * (1 - p) / 50_000)
        )
    for column, at in ((0, 6), (3, 8)):
        p = (pi @ theta[:, at]).item()
        found = x[:, column].isnan().double().mean().item()
        assert found == pytest.approx(p, abs=6 * math.sqrt(p * (1 - p) / 50_000))
    p = ((pi * theta[:, 7]) @ theta[:, 4] / (pi @ theta[:, 7])).item()
    assert (x[~x[:, 3].isnan(), 3]).mean().item() == pytest.approx(p, abs=6 * math.sqrt(0.25 / 30_000))


# --- EM ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_of_em_is_that_of_a_loop(family):
    """On rows without gaps; probabilities with a pseudo-count of a half."""
    x = rows_of(planted(family, WHOLE), 150).double()
    game = MixtureEM(planted(family, WHOLE, seed=5), regularisation=0.0, pseudo_count=0.5, tol=0.0)
    r = np.stack([density(game.model, row) / density(game.model, row).sum() for row in x.tolist()])
    with pytest.raises(StopIteration) as end:
        next(game.step(Batch(x)))
    numbers, jobs, smokes = x[:, [0, 2]].numpy(), x[:, 1].long().numpy(), x[:, 3].long().numpy()
    count = r.sum(0)
    means = r.T @ numbers / count[:, None]
    free = np.stack(
        [(r[:, k, None] * (numbers - means[k])).T @ (numbers - means[k]) / count[k] for k in range(3)]
    )
    free = torch.from_numpy(free)
    pooled = free if COVARIANCES[family].matrix else free.diagonal(dim1=1, dim2=2)
    cov = COVARIANCES[family].pool(pooled, torch.from_numpy(count / 150))
    assert game.model.weights.numpy() == pytest.approx(count / 150, abs=1e-12)
    assert game.model.means.numpy() == pytest.approx(means, abs=1e-10)
    assert game.model.components.covariances.numpy() == pytest.approx(cov.numpy(), abs=1e-10)
    theta = np.stack([r[jobs == j].sum(0) + 0.5 for j in range(3)], axis=1)
    assert game.model.probabilities[:, JOBS].numpy() == pytest.approx(
        theta / theta.sum(1)[:, None], abs=1e-12
    )
    theta = np.stack([r[smokes == j].sum(0) + 0.5 for j in range(2)], axis=1)
    assert game.model.probabilities[:, SMOKES].numpy() == pytest.approx(
        theta / theta.sum(1)[:, None], abs=1e-12
    )
    assert "log_likelihood" in end.value.value


@pytest.mark.parametrize("family", FAMILIES)
def test_em_with_gaps_never_lowers_the_likelihood_and_finds_the_planted_one(family):
    x = rows_of(planted(family), 3_000)
    model = GaussianMixture(MIXED, components=3, covariance=family, gaps="modelled")
    states = list(train(MixtureEM(model, regularisation=0.0, tol=1e-4, restarts=6), [Batch(x)], steps=80))
    values = [state.metrics["log_likelihood"] for state in states]
    assert min(np.diff(values)) > -1e-9
    truth = planted(family).log_prob(x).mean().item()  # on its own rows a fit is likelier than the truth
    assert truth - 0.05 < model.log_prob(x).mean().item() < truth + 0.05


def test_blocks_make_no_difference(monkeypatch):
    x, found = Batch(rows_of(planted(), 200)), []
    for size in (2**22, 7 * 18):
        monkeypatch.setattr("latentia.objectives.em.steps._BLOCK_SIZE", size)
        game = MixtureEM(planted(seed=4), tol=0.0)
        with pytest.raises(StopIteration):
            next(game.step(x))
        found.append(game.model.state_dict())
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-12) for name in found[0])


def test_a_number_that_no_row_has_is_named_by_its_place_in_the_row():
    data = DataSpec((3,), Support.parse("table(binary, real, real or missing)"))
    x = torch.tensor([[0.0, 0.3, math.nan], [1.0, 0.2, math.nan]] * 10)
    with pytest.raises(DataError, match="entry 2 is missing in every row"):
        MixtureEM(GaussianMixture(data, components=2)).begin(Batch(x))


def test_online_em_reaches_the_likelihood_of_em():
    x = rows_of(planted(), 4_000)
    model = GaussianMixture(MIXED, components=3, gaps="modelled")
    order = torch.randperm(4_000, generator=torch.Generator().manual_seed(0))
    game = OnlineEM(model, batch_size=100, tol=0.0, pseudo_count=0.1, restarts=3)
    *_, state = train(game, [Batch(part) for part in x[order].split(100)], steps=600)
    run = lt.fit("gaussian-mixture", x, support=SUPPORT, components=3, restarts=3, tol=1e-6, progress=False)
    gap = run.model.log_prob(x).mean() - state.objective.model.log_prob(x).mean()
    assert -1e-3 < gap.item() < 2e-3


def test_a_step_of_online_em_is_the_recursion_of_the_paper_for_categories_too():
    """Three steps against s ← (1 − γ) s + γ ŝ with plain sums of r and r 1[job = j]."""
    x = rows_of(planted("full", WHOLE), 300).double()
    game = OnlineEM(planted("full", WHOLE, seed=5), batch_size=100, step_decay=0.8, tol=0.0, pseudo_count=0.3)
    torch.manual_seed(0)
    game.begin(Batch(x))
    model = game.model
    s = model.weights[:, None] * model.probabilities[:, JOBS]
    for number, batch in enumerate(x.split(100)):
        r = model.responsibilities(batch)
        gamma = (3 + number + 1) ** -0.8  # the start saw 300 rows, 3 batches
        jobs = torch.nn.functional.one_hot(batch[:, 1].long(), 3).double()
        s = (1 - gamma) * s + gamma * r.T @ jobs / 100
        game.clock.fill_(number)
        with pytest.raises(StopIteration):
            next(game.step(Batch(batch)))
        theta = s + 0.3 / 300
        assert torch.allclose(model.probabilities[:, JOBS], theta / theta.sum(1, keepdim=True), atol=1e-12)


def test_no_gaussian_is_left_where_all_columns_are_categories():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(2, (200, 5), generator=generator).float()
    runs = [
        lt.fit(name, x, support="binary", components=3, progress=False)
        for name in ("gaussian-mixture", "bernoulli-mixture")
    ]
    ours, theirs = (run.model.log_prob(x) for run in runs)
    assert torch.allclose(ours, theirs, atol=1e-10)
    assert runs[0].model.measure == "counting"
    assert runs[0].model.free_parameters == 2 + 15


# --- conditionals and imputation --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_conditional_is_the_joint_over_the_marginal(family):
    model = planted(family, WHOLE)
    distribution = model.given({0: 0.3, 1: 2.0})
    assert str(distribution.data.support) == "table(real, binary)"
    for height, smokes in ((0.5, 0.0), (-2.0, 1.0)):
        joint = density(model, [0.3, 2.0, height, smokes]).sum()
        marginal = density(model, [0.3, 2.0, math.nan, math.nan]).sum()
        found = distribution.log_prob(torch.tensor([[height, smokes]]).double()).item()
        assert found == pytest.approx(math.log(joint / marginal), abs=1e-9)


def test_the_conditional_of_categories_alone_and_of_numbers_alone():
    model = planted("full", WHOLE)
    of_categories = model.given({0: 0.3, 2: -1.0})
    p = of_categories.log_prob(torch.cartesian_prod(torch.arange(3.0), torch.arange(2.0))).exp()
    joint = [density(model, [0.3, j, -1.0, s]).sum() for j in range(3) for s in range(2)]
    assert p.tolist() == pytest.approx(np.array(joint) / sum(joint), rel=1e-9)
    of_numbers = model.given({1: 1, 3: 0})
    assert of_numbers.is_gaussian
    weights = np.array([density(model, [math.nan, 1, math.nan, 0])]).ravel()
    assert of_numbers.weights.tolist() == pytest.approx(weights / weights.sum(), rel=1e-9)
    assert torch.equal(of_numbers.means, model.means)


def test_given_values_keep_the_gaps_of_the_others():
    """The rate of gaps given a job, of 20,000 draws within 6 standard errors: a false alarm in 10⁸."""
    model = planted()
    distribution = model.given({"job": 1})
    assert distribution.data.columns == ("age", "height", "smokes")
    posterior = model.weights * model.probabilities[:, 1]
    p = (posterior / posterior.sum() @ model.probabilities[:, 6]).item()
    sample = distribution.sample(20_000, generator=torch.Generator().manual_seed(0))
    assert sample[:, 0].isnan().double().mean().item() == pytest.approx(p, abs=6 * math.sqrt(0.25 / 20_000))


def test_a_given_category_that_does_not_exist_is_refused():
    with pytest.raises(DataError, match=r"given entry 1 holds 3 .* outside its support, categorical\(3\)"):
        planted().given({"job": 3})


@pytest.mark.parametrize("row", [[0.5, 1, math.nan, math.nan], [math.nan, math.nan, -1.0, 1], [math.nan] * 4])
@pytest.mark.parametrize("family", FAMILIES)
def test_imputation_draws_from_the_conditional_of_what_is_missing(family, row):
    """40,000 draws against p(k | what is there) by a loop and the components' moments; 6 standard errors."""
    model, n = planted(family, WHOLE), 40_000
    x = torch.tensor([row]).expand(n, 4)
    filled = model.impute(x, generator=torch.Generator().manual_seed(1)).double()
    there = ~x.isnan()
    assert torch.equal(filled[there], x[there].double())
    assert filled.isfinite().all()
    r = density(model, row) / density(model, row).sum()
    for column, part in ((1, JOBS), (3, SMOKES)):
        if math.isnan(row[column]):
            p = r @ model.probabilities[:, part].numpy()
            found = np.bincount(filled[:, column].long().numpy(), minlength=len(p)) / n
            assert (np.abs(found - p) < 6 * np.sqrt(p * (1 - p) / n)).all()
    for column, number, other in ((0, 0, 2), (2, 1, 0)):
        if not math.isnan(row[column]):
            continue
        means = model.means[:, number].numpy().copy()
        if not math.isnan(row[other]):
            for k in range(3):
                cov = covariance(model, k)
                means[k] += (
                    cov[0, 1] / cov[1 - number, 1 - number] * (row[other] - float(model.means[k, 1 - number]))
                )
        assert abs(filled[:, column].mean() - r @ means) < 6 * filled[:, column].std() / math.sqrt(n)


def test_imputed_numbers_have_the_variance_and_covariance_of_their_conditional():
    """Both numbers missing, one component: 40,000 draws have its covariance, and one given the other the residual's.

    6 standard errors: a false alarm in 10⁷.
    """
    model = planted("full", WHOLE)
    model.weights.copy_(torch.tensor([1.0, 0.0, 0.0]))
    x = torch.full((40_000, 4), math.nan)
    filled = model.impute(x, generator=torch.Generator().manual_seed(2)).double()
    found, cov = np.cov(filled[:, [0, 2]].T.numpy()), covariance(model, 0)
    assert found == pytest.approx(cov, abs=6 * math.sqrt(2 / 40_000))
    x[:, 0] = 1.5
    filled = model.impute(x, generator=torch.Generator().manual_seed(3)).double()
    residual = cov[1, 1] - cov[0, 1] ** 2 / cov[0, 0]
    assert filled[:, 2].var().item() == pytest.approx(residual, rel=6 * math.sqrt(2 / 40_000))


def test_that_a_value_is_missing_is_no_evidence_of_the_others():
    """With gaps modelled, the same draws as p(job | age): 40,000 of them within 6 standard errors."""
    model = planted()
    row = [0.7, math.nan, math.nan, math.nan]
    filled = model.impute(torch.tensor([row]).expand(40_000, 4), generator=torch.Generator().manual_seed(0))
    assert filled.isfinite().all()
    r = density(model, row, gaps=False) * model.probabilities[:, 5].numpy()  # age is there
    p = r / r.sum() @ model.probabilities[:, JOBS].numpy()
    found = np.bincount(filled[:, 1].long().numpy(), minlength=3) / 40_000
    assert (np.abs(found - p) < 6 * np.sqrt(p * (1 - p) / 40_000)).all()


def test_imputation_keeps_what_is_there_to_the_bit_and_depends_on_the_seed():
    model = planted()
    x = rows_of(model, 300)
    one, two, other = (model.impute(x, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(one[~x.isnan()], x[~x.isnan()])
    assert one.dtype == x.dtype
    before = torch.get_rng_state()
    model.impute(x, generator=torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())
    assert isinstance(model, lt.Imputes)


def test_imputed_values_are_inside_the_support():
    x = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    run = lt.fit("gaussian-mixture", x, support="unit", components=2, progress=False)
    gone = x.clone()
    gone[:, 1] = torch.nan
    run.spec.check(run.model.impute(gone))
    with pytest.raises(DataError, match="outside its support"):
        run.model.impute(gone + 2)
    with pytest.raises(DataError, match="rows of shape"):
        run.model.impute(gone[:, :2])


# --- runs of earlier versions -----------------------------------------------------------------------------------


def test_a_run_from_before_gaps_were_modelled_keeps_its_density(tmp_path):
    assert "gaps" not in json.loads((OLD / "config.json").read_text())["options"]
    run = lt.load(shutil.copytree(OLD, tmp_path / "old"))
    assert run.options["gaps"] == "ignored"
    assert run.model.is_gaussian
    x = torch.full((1, 3), torch.nan)
    assert run.model.log_prob(x).item() == pytest.approx(0, abs=1e-12)


def test_an_unfinished_run_from_before_an_option_is_resumed(tmp_path):
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    options = {"components": 2, "tol": 0.0, "progress": False, "checkpoint_every": 1, "out": tmp_path / "run"}
    lt.fit("gaussian-mixture", x, epochs=3, **options)
    file = tmp_path / "run" / "config.json"
    config = json.loads(file.read_text())
    for name in ("gaps", "pseudo_count"):
        del config["options"][name]
    file.write_text(json.dumps(config))
    run = lt.fit("gaussian-mixture", x, epochs=5, resume=True, **options)
    assert run.history["epoch"].max() == 5
