"""EM as matrix products, as a tight bound, on minibatches, and the number of components."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture as Reference
from tests.test_mixture import FAMILIES, as_reference, blobs, fitted, objective
from torch import Tensor

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UsageError
from latentia.functional.likelihood.information_criteria import aic, bic
from latentia.functional.mixtures.components import COVARIANCES, Components
from latentia.functional.mixtures.e_step import cancellation, coefficients, features
from latentia.functional.mixtures.em_bound import free_energy
from latentia.functional.mixtures.m_step import maximised, weighted_moments
from latentia.models.mixture import GaussianMixture
from latentia.models.mixture_init import Frame, frame_of
from latentia.objectives.em import steps as em_steps
from latentia.objectives.em.online import OnlineEM
from latentia.objectives.em.steps import expectation

# --- the E-step by matrix products ------------------------------------------------------------------------------


def parts_of(covariance: str, x: Tensor) -> tuple[Components, Frame]:
    return fitted(covariance, steps=3).model.components, frame_of(Batch(x))


@pytest.mark.parametrize("covariance", FAMILIES)
def test_a_product_of_features_is_the_log_joint(covariance):
    x = torch.from_numpy(blobs(50, seed=2))
    components, frame = parts_of(covariance, x)
    phi = features((x - frame.centre).T, matrix=components.matrix)
    found = coefficients(components, frame.centre) @ phi
    assert torch.allclose(found.T, components.log_joint(x), rtol=1e-10, atol=1e-10)


def test_features_are_the_products_that_a_loop_makes():
    y = torch.arange(1.0, 7).view(3, 2)
    for column, found in zip(y.T.tolist(), features(y, matrix=True).T.tolist(), strict=True):
        products = [column[i] * column[j] for i in range(3) for j in range(i, 3)]
        assert found == [*products, *column, 1]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("covariance", FAMILIES)
def test_moments_by_products_are_those_by_deviations(covariance, dtype, tolerance):
    """The same rows in the same precision; float32 loses some 1e-6."""
    x = torch.from_numpy(blobs(300, seed=2)).to(dtype)
    components, frame = parts_of(covariance, x)
    assert em_steps._precision(components, Batch(x), frame) == dtype
    product = fitted(covariance, steps=3).model.product
    fast = expectation(product, Batch(x), frame).moved(components.means).gaussian
    slow = next(em_steps._by_differences(product, Batch(x))).gaussian
    assert fast.log_likelihood.item() == pytest.approx(slow.log_likelihood.item(), rel=tolerance)
    for name in ("count", "first", "second"):
        ours, exact = getattr(fast, name), getattr(slow, name)
        assert torch.allclose(ours, exact, rtol=0, atol=10 * tolerance * float(exact.abs().max())), name
        assert ours.dtype == torch.float64


def test_components_much_narrower_than_the_rows_spread_are_not_left_to_products():
    """Two clusters 1 apart and 1e-7 wide: products would lose their width, and deviations do not."""
    random = np.random.default_rng(0)
    x = 1e-7 * random.normal(size=(400, 2)) + np.arange(400)[:, None] % 2
    model = fitted(x=np.c_[x, random.normal(size=400)], components=2, regularisation=0.0).model
    widths = model.components.covariances.diagonal(dim1=1, dim2=2)[:, :2].sqrt()
    assert widths.numpy() == pytest.approx(np.full((2, 2), 1e-7), rel=0.2)
    frame = frame_of(Batch(torch.from_numpy(x)))
    narrow = Components(model.weights, model.means[:, :2], model.factors[:, :2, :2])
    assert float(cancellation(narrow, frame.variances)) > 1e12
    assert em_steps._precision(narrow, Batch(torch.from_numpy(x)), frame) is None


@pytest.mark.parametrize("covariance", FAMILIES)
def test_float32_rows_are_fitted_as_well_as_scikit_learn_fits_float64(covariance):
    """From one start, 15 steps each: the same log-likelihood to 1e-4 relative."""
    x = np.random.default_rng(0).normal(size=(2_000, 3)) + 4 * (np.arange(2_000) % 3)[:, None]
    game = objective(covariance, regularisation=0.0, tol=0.0)
    rows = Batch(torch.from_numpy(x.astype(np.float32)))
    torch.manual_seed(0)
    game.begin(rows)
    reference = as_reference(game.model, covariance)
    for _ in range(15):
        _, log_r = reference._e_step(x)
        reference._m_step(x, log_r)
        with pytest.raises(StopIteration):
            next(game.step(rows))
    ours, theirs = game.model.log_prob(torch.from_numpy(x)).mean().item(), reference.score(x)
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_an_emptied_component_keeps_its_distribution_with_weight_0():
    components = fitted(steps=2).model.components
    x = torch.from_numpy(blobs(30))
    r = torch.zeros(30, 3).double()
    r[:, :2] = 0.5
    moments = weighted_moments(
        components.deviations(x), r, components.means, torch.zeros(()).double(), matrix=True
    )
    moments = moments.moved(torch.zeros_like(components.means))
    after = maximised(moments, components, COVARIANCES["full"], torch.zeros(3).double())
    assert after.weights.tolist() == pytest.approx([0.5, 0.5, 0])
    assert torch.equal(after.means[2], components.means[2])
    assert torch.allclose(after.covariances[2], components.covariances[2])
    assert after.log_joint(x)[:, 2].tolist() == [-math.inf] * 30


# --- EM as the tight bound --------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", FAMILIES)
def test_em_is_coordinate_ascent_of_the_elbo(covariance):
    """q = the posterior makes the bound tight; the M-step raises it for that q, so the likelihood rises as much."""
    x = torch.from_numpy(blobs())
    game = objective(covariance, components=4, regularisation=0.0)
    torch.manual_seed(1)
    game.begin(Batch(x))
    components, family = game.model.components.cloned(), game.model.covariance
    q = torch.full((len(x), 4), 0.25).double()
    for _ in range(8):
        log_joint = components.log_joint(x)
        log_prob, posterior = log_joint.logsumexp(1), log_joint.softmax(1)
        gap = log_prob - free_energy(log_joint, q)
        kl = torch.special.xlogy(q, q).sum(1) - (q * log_joint.log_softmax(1)).sum(1)
        assert torch.allclose(gap, kl, atol=1e-10)  # before the E-step
        assert torch.allclose(free_energy(log_joint, posterior), log_prob, atol=1e-10)  # it closes the gap
        moments = weighted_moments(
            components.deviations(x), posterior, components.means, log_prob.sum(), matrix=family.matrix
        )
        components = maximised(moments, components, family, game.ridge)
        raised = free_energy(components.log_joint(x), posterior).sum()
        assert raised > log_prob.sum() - 1e-9  # the M-step
        assert (
            components.log_joint(x).logsumexp(1).sum() > raised - 1e-9
        )  # and the likelihood is above the bound
        q = posterior


def test_free_energy_is_the_elbo_that_a_loop_sums():
    log_joint = torch.log(torch.tensor([[0.2, 0.1], [0.05, 0.3]]))
    q = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    expected = [0.5 * math.log(0.2 / 0.5) + 0.5 * math.log(0.1 / 0.5), math.log(0.05)]
    assert free_energy(log_joint, q).tolist() == pytest.approx(expected, rel=1e-6)


# --- minibatches ------------------------------------------------------------------------------------------------


def online(covariance: str = "full", **options) -> OnlineEM:
    model = GaussianMixture(DataSpec((3,), Support("real")), components=3, covariance=covariance)
    return OnlineEM(model, **{"batch_size": 100, "tol": 0.0} | options)


@pytest.mark.parametrize("covariance", FAMILIES)
def test_online_em_reaches_the_likelihood_of_em(covariance):
    x = blobs(4_000)
    order = np.random.default_rng(1).permutation(4_000)
    batches = [Batch(torch.from_numpy(x[part])) for part in np.split(order, 40)]
    *_, state = train(online(covariance), batches, steps=40 * 15)
    whole = fitted(covariance, x=x, steps=200, tol=1e-7).model
    rows = torch.from_numpy(x)
    gap = whole.log_prob(rows).mean() - state.objective.model.log_prob(rows).mean()
    assert -1e-3 < gap.item() < 5e-3


@pytest.mark.parametrize("covariance", FAMILIES)
def test_a_step_of_online_em_is_the_recursion_of_the_paper_about_the_origin(covariance):
    """Three steps against s ← (1 − γ) s + γ ŝ with plain sums of r, r x and r x xᵀ."""
    x = torch.from_numpy(blobs(300) - np.array([100, 0, 0]))
    game = online(covariance, step_decay=0.8)
    torch.manual_seed(0)
    game.begin(Batch(x))
    model = game.model
    begun = model.components.cloned()
    full = torch.diag_embed(begun.covariances) if not begun.matrix else begun.covariances
    s0 = begun.weights.clone()
    s1 = s0[:, None] * begun.means
    s2 = s0[:, None, None] * (full + begun.means[:, :, None] * begun.means[:, None])
    for number, batch in enumerate(x.split(100)):
        r = model.responsibilities(batch)
        gamma = (3 + number + 1) ** -0.8  # the start saw 300 rows, 3 batches
        s0 = (1 - gamma) * s0 + gamma * r.mean(0)
        s1 = (1 - gamma) * s1 + gamma * r.T @ batch / 100
        s2 = (1 - gamma) * s2 + gamma * torch.einsum("bk,bi,bj->kij", r, batch, batch) / 100
        game.clock.fill_(number)
        with pytest.raises(StopIteration):
            next(game.step(Batch(batch)))
        mean = s1 / s0[:, None]
        cov = s2 / s0[:, None, None] - mean[:, :, None] * mean[:, None] + game.ridge.diag()
        cov = cov if begun.matrix else cov.diagonal(dim1=1, dim2=2)
        assert torch.allclose(model.weights, s0)
        assert torch.allclose(model.means, mean)
        assert torch.allclose(model.components.covariances, model.covariance.pool(cov, s0), atol=1e-9)


def test_minibatches_work_through_the_recipe_and_end_when_a_pass_gains_less_than_tol():
    run = lt.fit(
        "gaussian-mixture", blobs(1_000), components=3, minibatch=100, tol=1e-2, epochs=50, progress=False
    )
    assert run.recipe.objective.finished
    steps = run.history["step"].iloc[-1]
    assert steps % 10 == 0
    assert 20 <= steps < 500
    whole = lt.fit("gaussian-mixture", blobs(1_000), components=3, progress=False)
    rows = torch.from_numpy(blobs(1_000))
    gap = whole.model.log_prob(rows).mean() - run.model.log_prob(rows).mean()
    assert gap.item() < 0.02


def test_minibatches_come_from_a_data_loader_too():
    x = torch.from_numpy(blobs(600)).float()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=100, shuffle=True)
    run = lt.fit("gaussian-mixture", loader, components=3, minibatch=100, epochs=5, progress=False)
    whole = fitted(x=blobs(600), steps=50).model
    gap = whole.log_prob(x).mean() - run.model.log_prob(x).mean()
    assert gap.item() < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minibatch": 0}, "minibatch must be at least 1; got 0"),
        ({"minibatch": 10, "step_decay": 0.5}, "step_decay must be above 0.5 and at most 1; got 0.5"),
        ({"minibatch": 10, "step_decay": 1.1}, "step_decay must be above 0.5"),
        ({"order": "mdl"}, "unknown order 'mdl'; there are: aic, bic, fixed"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        lt.fit("gaussian-mixture", blobs(), progress=False, **options)


# --- the number of components -----------------------------------------------------------------------------------


def test_criteria_are_scikit_learn_s():
    x = blobs()
    model = fitted(x=x, steps=5).model
    reference = as_reference(model, "full")
    total, p = model.log_prob(torch.from_numpy(x)).sum().item(), model.free_parameters
    assert p == reference._n_parameters()
    assert bic(total, p, len(x)) == pytest.approx(reference.bic(x))
    assert aic(total, p) == pytest.approx(reference.aic(x))


@pytest.mark.parametrize("covariance", FAMILIES)
def test_numbers_of_parameters_are_scikit_learn_s(covariance):
    model = fitted(covariance, steps=1).model
    assert model.free_parameters == as_reference(model, covariance)._n_parameters()


def test_bic_finds_three_planted_blobs_through_fit_and_survives_the_folder(tmp_path):
    x = blobs(600)
    run = lt.fit(
        "gaussian-mixture", x, components=6, order="bic", restarts=2, progress=False, out=tmp_path / "run"
    )
    weights = run.model.weights
    assert int((weights > 0).sum()) == 3
    assert run.model.free_parameters == 2 + 9 + 18
    fits = [Reference(k, n_init=3, random_state=0).fit(x).bic(x) for k in range(1, 7)]
    assert int(np.argmin(fits)) == 2
    assert run.history["bic"].iloc[-1] == pytest.approx(fits[2], rel=1e-3)
    again = lt.load(tmp_path / "run")
    assert torch.equal(again.model.log_prob(torch.from_numpy(x)), run.model.log_prob(torch.from_numpy(x)))
    assert run.sample(5, seed=0).shape == (5, 3)


def test_aic_takes_more_components_than_bic_where_rows_are_no_mixture():
    x = np.random.default_rng(0).uniform(size=(400, 2))
    used = {
        order: int((lt.fit("gaussian-mixture", x, order=order, progress=False).model.weights > 0).sum())
        for order in ("bic", "aic")
    }
    assert 1 <= used["bic"] < used["aic"] <= 10


def test_bic_and_aic_are_scores_of_models_that_count_their_parameters():
    x = blobs()
    run = lt.fit("gaussian-mixture", x, components=3, progress=False)
    scores = lt.evaluate(run, x, metrics=["bic", "aic"]).set_index("metric")
    total = run.model.log_prob(torch.from_numpy(x)).sum().item()
    assert scores.loc["bic", "value"] == pytest.approx(29 * math.log(400) - 2 * total, rel=1e-4)
    assert scores.loc["aic", "value"] == pytest.approx(58 - 2 * total, rel=1e-4)
    assert (scores["direction"] == "lower").all()
    assert (scores["settings"] == '{"parameters": 29}').all()
    other = lt.fit("flow", x.astype(np.float32), steps=1, transforms=1, progress=False)
    lacking = lt.evaluate(other, x, metrics=["bic"]).iloc[0]
    assert math.isnan(lacking["value"])
    assert "is not CountsParameters" in lacking["reason"]


# --- bad input --------------------------------------------------------------------------------------------------


def test_duplicates_and_more_components_than_different_rows_leave_a_finite_model():
    x = np.repeat(blobs(3), 20, axis=0)
    model = fitted(x=x, components=8).model
    assert torch.isfinite(model.log_prob(torch.from_numpy(x))).all()
    assert model.weights.sum().item() == pytest.approx(1)


def test_constant_columns_and_constant_rows_leave_a_finite_model():
    for x in (np.c_[blobs()[:, :2], np.full(400, 7.0)], np.full((50, 3), 3.0)):
        model = fitted(x=x, components=2).model
        assert torch.isfinite(model.log_prob(torch.from_numpy(x))).all()


@pytest.mark.parametrize("game", [objective, online], ids=["EM", "online EM"])
def test_values_that_are_not_finite_are_an_error(game):
    for wrong in (np.nan, np.inf):
        x = blobs()
        x[3, 1] = wrong
        with pytest.raises(DataError, match="NaN, infinite"):
            next(train(game(), [Batch(torch.from_numpy(x))], steps=1))
    good, bad = torch.from_numpy(blobs()), torch.from_numpy(blobs())
    bad[0, 0] = torch.nan
    made = game()
    made.begin(Batch(good))
    with pytest.raises(DataError, match="NaN or infinite"):
        next(made.step(Batch(bad)))


def test_fewer_rows_than_components_are_an_error_on_minibatches_too():
    with pytest.raises(DataError, match="a mixture of 10 components needs at least 10 rows; got 4"):
        lt.fit("gaussian-mixture", blobs(4), minibatch=2, progress=False)
