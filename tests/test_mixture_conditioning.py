"""Mixtures given some entries, of rows with gaps, and their responsibilities, against quadrature and naive loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.mixtures.components import COVARIANCES, Components, free_parameters
from latentia.functional.mixtures.conditioning import marginal
from latentia.functional.mixtures.missing_values import expected_with_missing
from latentia.models.mixture import GaussianMixture
from latentia.models.mixture_init import frame_of
from latentia.objectives.em.mixture import MixtureEM

FAMILIES = ("full", "tied", "diagonal", "spherical")


def spec(D: int, *, missing: bool = False) -> DataSpec:
    return DataSpec((D,), Support("real", missing=missing))


def planted(family: str, D: int = 3, K: int = 3, seed: int = 0) -> Components:
    """Return random components of a family, with correlated entries where it has matrices."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(K, generator=generator).double() + 0.2
    means = 2 * torch.randn(K, D, generator=generator).double()
    L = torch.randn(K, D, D, generator=generator).double().tril()
    L.diagonal(dim1=1, dim2=2).abs_().add_(0.5)
    if family == "tied":
        L = L[:1].expand(K, D, D)
    scale = L.diagonal(dim1=1, dim2=2)
    if family == "spherical":
        scale = scale[:, :1].expand(K, D)
    return Components(weights / weights.sum(), means, L if COVARIANCES[family].matrix else scale)


def mixture(family: str, D: int = 3, *, missing: bool = False) -> GaussianMixture:
    distribution = GaussianMixture(spec(D, missing=missing), components=3, covariance=family)
    return distribution.placed(planted(family, D))


def matrices(components: Components) -> np.ndarray:
    cov = components.covariances
    return (cov if components.matrix else torch.diag_embed(cov)).numpy()


def density(components: Components, entries: list[int], x: np.ndarray) -> float:
    """Return the density of some entries at x by a loop over components."""
    return sum(
        weight * stats.multivariate_normal(mean[entries], cov[np.ix_(entries, entries)]).pdf(x)
        for weight, mean, cov in zip(
            components.weights.numpy(), components.means.numpy(), matrices(components), strict=True
        )
    )


# --- responsibilities, numbers of parameters --------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_responsibilities_are_each_component_s_share_of_the_density(family):
    model = mixture(family)
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(1)).double()
    r, components = model.responsibilities(x), model.components
    for i, row in enumerate(x.numpy()):
        parts = [
            float(components.weights[k])
            * stats.multivariate_normal(components.means[k].numpy(), matrices(components)[k]).pdf(row)
            for k in range(3)
        ]
        assert r[i].numpy() == pytest.approx(np.array(parts) / sum(parts), rel=1e-9)


@pytest.mark.parametrize(
    ("family", "parameters"), [("full", 2 + 9 + 18), ("tied", 2 + 9 + 6), ("diagonal", 20), ("spherical", 14)]
)
def test_free_parameters_are_those_that_a_count_by_hand_gives(family, parameters):
    model = mixture(family)
    assert model.free_parameters == parameters
    model.placed(planted(family, K=2).padded(3))
    assert model.free_parameters == free_parameters(COVARIANCES[family], 2, 3)


# --- given some entries -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_conditional_density_is_the_joint_over_the_marginal(family):
    model, given = mixture(family), {2: 0.3, 0: -1.0}
    distribution = model.given(given)
    for value in (-2.0, 0.5, 4.0):
        joint = density(model.components, [0, 1, 2], np.array([-1.0, value, 0.3]))
        ratio = joint / density(model.components, [0, 2], np.array([-1.0, 0.3]))
        found = distribution.log_prob(torch.tensor([[value]]).double()).item()
        assert found == pytest.approx(math.log(ratio), abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_conditional_density_integrates_to_one_over_a_plane(family):
    distribution = mixture(family).given({1: 0.7})
    grid = torch.linspace(-25, 25, 501, dtype=torch.float64)
    x = torch.cartesian_prod(grid, grid)
    assert (distribution.log_prob(x).exp().sum() * (grid[1] - grid[0]) ** 2).item() == pytest.approx(
        1, abs=1e-6
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_marginal_is_the_joint_integrated_over_the_other_entry(family):
    components = planted(family)
    grid = torch.linspace(-30, 30, 4001, dtype=torch.float64)
    rows = torch.stack([torch.full_like(grid, 0.4), grid, torch.full_like(grid, -1.2)], dim=1)
    integral = components.log_joint(rows).logsumexp(1).exp().sum() * (grid[1] - grid[0])
    at = torch.tensor([[0.4, -1.2]], dtype=torch.float64)
    found = marginal(components, torch.tensor([0, 2])).log_joint(at).logsumexp(1).exp().item()
    assert found == pytest.approx(integral.item(), rel=1e-8)


def test_samples_given_an_entry_are_the_joint_s_samples_that_nearly_have_it():
    """A window of 0.02 around the given value moves the mean by less than 0.02; 6 standard errors: a false alarm in
    10⁸.
    """
    model = mixture("full", D=2)
    joint = model.sample(2_000_000, generator=torch.Generator().manual_seed(0)).double()
    near = joint[(joint[:, 0] - 0.5).abs() < 0.02, 1]
    given = model.given({0: 0.5}).sample(100_000, generator=torch.Generator().manual_seed(1)).double()[:, 0]
    assert len(near) > 3_000
    error = 6 * near.std() / math.sqrt(len(near)) + 0.02
    assert abs(near.mean() - given.mean()) < error
    assert near.std().item() == pytest.approx(given.std().item(), rel=6 / math.sqrt(len(near)))


def test_entries_are_given_by_column_name_and_the_others_keep_theirs():
    data = DataSpec((3,), Support("real"), columns=("age", "height", "weight"))
    model = GaussianMixture(data, components=3).placed(planted("full"))
    distribution = model.given({"height": 1.0})
    assert distribution.data.columns == ("age", "weight")
    assert torch.equal(distribution.means, mixture("full").given({1: 1.0}).means)
    with pytest.raises(UsageError, match="unknown entry 'heigth'; did you mean 'height'"):
        model.given({"heigth": 1.0})


@pytest.mark.parametrize(
    ("known", "error", "message"),
    [
        ({}, UsageError, "got none"),
        ({0: 1.0, 1: 1.0, 2: 1.0}, UsageError, "leaves at least one; got 0, 1, 2"),
        ({3: 1.0}, UsageError, "unknown entry '3'; there are: 0 to 2"),
        ({-1: 1.0}, UsageError, "unknown entry '-1'"),
        ({0: math.nan}, DataError, "given values must be finite"),
    ],
)
def test_given_values_that_mean_nothing_are_refused(known, error, message):
    with pytest.raises(error, match=message):
        mixture("full").given(known)


# --- rows with gaps ---------------------------------------------------------------------------------------------


def with_gaps(n: int, share: float = 0.3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return rows of the planted full mixture, whole and with gaps at random, no row without a value."""
    generator = torch.Generator().manual_seed(seed)
    whole = mixture("full").sample(n, generator=generator).double()
    gaps = torch.rand(n, 3, generator=generator) < share
    gaps[torch.arange(n), torch.arange(n) % 3] = False
    return whole, whole.masked_fill(gaps, torch.nan)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_with_gaps_has_the_density_of_its_other_entries(family):
    _, x = with_gaps(30)
    model = mixture(family, missing=True)
    found = model.log_prob(x).numpy()
    for value, row in zip(found, x.numpy(), strict=True):
        there = [int(j) for j in np.flatnonzero(~np.isnan(row))]
        assert value == pytest.approx(math.log(density(model.components, there, row[there])), abs=1e-9)
    nothing = model.log_prob(torch.full((2, 3), torch.nan))
    assert nothing.tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_expected_moments_of_rows_with_gaps_are_those_of_draws_in_the_gaps(family):
    """Missing values are filled by 20,000 draws from their conditional given the row; within 6 standard errors."""
    components, (_, x) = planted(family), with_gaps(6)
    found = expected_with_missing(components, x)
    model = mixture(family)
    second, count = torch.zeros(3, 3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for row in x:
        known = {int(j): float(row[j]) for j in (~row.isnan()).nonzero()[:, 0]}
        filled = row.expand(20_000, 3).clone()
        if len(known) < 3:
            gaps = row.isnan().nonzero()[:, 0]
            filled[:, gaps] = (
                model.given(known).sample(20_000, generator=torch.Generator().manual_seed(2)).double()
            )
        r = model.responsibilities(filled)
        count += r.mean(0)
        second += (r[..., None] * (filled[:, None] - components.means).square()).mean(0)
    assert found.count.numpy() == pytest.approx(count.numpy(), abs=0.05)
    diagonal = found.second.diagonal(dim1=1, dim2=2) if components.matrix else found.second
    assert diagonal.numpy() == pytest.approx(second.numpy(), abs=0.03 * float(second.max()))


@pytest.mark.parametrize("family", FAMILIES)
def test_em_with_gaps_never_lowers_the_likelihood_and_finds_the_planted_distribution(family):
    _, x = with_gaps(3_000)
    model = GaussianMixture(spec(3, missing=True), components=3, covariance=family)
    states = list(train(MixtureEM(model, regularisation=0.0, tol=1e-4), [Batch(x)], steps=60))
    values = [state.metrics["log_likelihood"] for state in states]
    assert min(np.diff(values)) > -1e-9
    if family == "full":  # the planted one; on its own rows a fit is likelier than the truth
        truth = mixture("full", missing=True).log_prob(x).mean().item()
        assert truth - 0.02 < model.log_prob(x).mean().item() < truth + 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_without_gaps_are_fitted_alike_whether_gaps_are_allowed_or_not(family):
    whole, _ = with_gaps(200)
    found = []
    for missing in (False, True):
        game = MixtureEM(GaussianMixture(spec(3, missing=missing), components=2, covariance=family), tol=0.0)
        *_, state = train(game, [Batch(whole)], steps=5)
        found.append(state.objective.model.means)
    assert torch.allclose(*found, rtol=1e-7, atol=1e-9)


def test_the_frame_of_rows_with_gaps_is_that_of_the_values_there(monkeypatch):
    _, x = with_gaps(500)
    monkeypatch.setattr("latentia.models.mixture_init._BLOCK_SIZE", 3 * 70)  # blocks of 70 rows
    frame = frame_of(Batch(1e6 + x), missing=True)
    assert frame.centre.numpy() == pytest.approx(np.nanmean(x + 1e6, axis=0), rel=1e-12)
    assert frame.variances.numpy() == pytest.approx(np.nanvar(x.numpy(), axis=0), rel=1e-6)
    standard = frame.standardised(1e6 + x)
    assert (standard[x.isnan()] == 0).all()
    assert standard[~x.isnan()].std().item() == pytest.approx(1, abs=0.01)


def test_a_missing_value_is_an_error_unless_the_support_allows_it():
    _, x = with_gaps(100)
    rows, with_missing = Rows(x, spec(3)), spec(3, missing=True)
    with pytest.raises(DataError, match=r"NaN, infinite or too large values: .* 'real or missing' for NaN"):
        lt.fit("gaussian-mixture", rows, components=2, progress=False)
    run = lt.fit("gaussian-mixture", x, support="real or missing", components=2, progress=False)
    assert run.model.log_prob(x).isfinite().all()
    scores = lt.evaluate(run, x).set_index("metric")
    assert scores.loc["log-likelihood", "value"] == pytest.approx(run.model.log_prob(x).mean().item())
    assert "energy-distance" not in scores.index
    assert "missing values" in lt.evaluate(run, x, metrics="energy-distance")["reason"].item()
    with pytest.raises(DataError, match="NaN"):
        mixture("full").log_prob(x)
    infinite = x.clone()
    infinite[0, 0] = torch.inf
    with pytest.raises(DataError, match="infinity"):
        run.model.log_prob(infinite)
    with pytest.raises(DataError, match="infinite"):
        lt.fit("gaussian-mixture", Rows(infinite, with_missing), components=2, progress=False)
    with pytest.raises(DataError, match=r"NaN .* in 52 of 100 rows.*declare support='real or missing'"):
        lt.fit("gaussian-mixture", x, components=2, progress=False)
    with pytest.raises(UsageError, match=r"gradient cannot take rows with missing values: .*recipes_for"):
        lt.recipes["gaussian-mixture-gradient"](with_missing)


def test_an_entry_that_no_row_has_is_an_error():
    x = torch.randn(20, 3)
    x[:, 1] = torch.nan
    with pytest.raises(DataError, match="entry 1 is missing in every row"):
        lt.fit("gaussian-mixture", Rows(x, spec(3, missing=True)), components=2, progress=False)
