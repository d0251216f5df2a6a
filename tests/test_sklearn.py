"""The scikit-learn estimators against scikit-learn's own checks and models."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import latentia as lt
from latentia.data.spec import DataSpec, Support
from latentia.errors import DataError, UnknownNameError, UsageError
from latentia.sklearn import DensityEstimator, LatentTransformer

NETWORK = {"hidden": 8, "epochs": 2}
ONE = {"components": 1}
PAGE = Path(__file__).parent.parent / "docs/sklearn.md"


def blobs(n: int = 300, seed: int = 0) -> np.ndarray:
    """Return n rows of three Gaussians in three dimensions, far from 0 and from each other."""
    random = np.random.default_rng(seed)
    centres = np.array([[100.0, 0, 0], [110, 8, 0], [90, 0, 9]])
    mix = np.array([[1.0, 0.5, 0], [0, 1, 0.3], [0, 0, 0.4]])
    return centres[random.integers(3, size=n)] + random.normal(size=(n, 3)) @ mix


def density(recipe: str = "gaussian-mixture", random_state=0, **options) -> DensityEstimator:
    return DensityEstimator(recipe, options=options, random_state=random_state)


def transformer(recipe: str = "pca", random_state=0, **options) -> LatentTransformer:
    return LatentTransformer(recipe, options=options, random_state=random_state)


# --- scikit-learn's checks --------------------------------------------------------------------------------------

ESTIMATORS = [
    DensityEstimator("gaussian-mixture", options={"components": 2}),
    DensityEstimator("gaussian"),
    DensityEstimator("kernel-density"),
    DensityEstimator("ppca"),
    DensityEstimator("factor-analysis"),
    DensityEstimator("flow", options=NETWORK | {"transforms": 2}),
    DensityEstimator("vae", options=NETWORK | {"latent_dim": 2}),
    LatentTransformer("pca", options={"latent_dim": 1}),
    LatentTransformer("ppca"),
    LatentTransformer("factor-analysis"),
    LatentTransformer("autoencoder", options=NETWORK | {"latent_dim": 2}),
    LatentTransformer("vae", options=NETWORK | {"latent_dim": 2}),
]


def expected_to_fail(estimator) -> dict[str, str]:
    """Return the checks that ask of a stochastic bound what only an exact density has."""
    if not isinstance(estimator, DensityEstimator) or estimator.recipe != "vae":
        return {}
    reason = "the draws of a row's importance-weighted bound depend on its place"
    return dict.fromkeys(("check_methods_subset_invariance", "check_methods_sample_order_invariance"), reason)


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_to_fail)
def test_it_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


# --- agreement --------------------------------------------------------------------------------------------------


def test_a_mixture_scores_as_that_of_scikit_learn_does():
    X, new = blobs(), blobs(seed=1)
    ours = density(components=3, tol=1e-12, regularisation=0.0, epochs=500).fit(X)
    theirs = GaussianMixture(3, tol=1e-12, reg_covar=0, max_iter=500, random_state=0).fit(X)
    assert theirs.converged_
    np.testing.assert_allclose(ours.score_samples(new), theirs.score_samples(new), rtol=1e-5)
    assert ours.score(new) == pytest.approx(theirs.score(new), rel=1e-5)
    assert ours.score_kind_ == "exact"


@pytest.mark.filterwarnings("ignore:.*is small beside the mean:latentia.errors.DataWarning")
def test_a_gaussian_far_from_0_scores_in_float64():
    X = blobs() + 1e7
    law = stats.multivariate_normal(X.mean(0), np.cov(X.T, bias=True))
    scores = density("gaussian", variance_floor=0.0).fit(X).score_samples(X)
    np.testing.assert_allclose(scores, law.logpdf(X), rtol=1e-6)


def test_codes_and_rows_are_those_of_scikit_learn_s_pca():
    X, new = blobs(), blobs(seed=1)
    ours, theirs = transformer(latent_dim=2).fit(X), PCA(2).fit(X)
    codes = theirs.transform(new)
    np.testing.assert_allclose(ours.transform(new), codes, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours.inverse_transform(codes), theirs.inverse_transform(codes), rtol=1e-6)
    assert ours.get_feature_names_out().tolist() == ["latenttransformer0", "latenttransformer1"]


def test_the_run_is_that_of_fit():
    X = blobs()
    ours = density(components=2, random_state=7).fit(X)
    run = lt.fit("gaussian-mixture", X, support="real", components=2, seed=7, progress=False)
    assert all(
        torch.equal(*pair) for pair in zip(ours.run_.model.buffers(), run.model.buffers(), strict=True)
    )
    np.testing.assert_array_equal(ours.sample(9), run.sample(9, seed=7).numpy().astype(float))
    scores = lt.evaluate(run, blobs(seed=1), metrics="log-likelihood")
    assert ours.score(blobs(seed=1)) == pytest.approx(scores["value"].item(), rel=1e-6)


def test_a_model_with_a_bound_gives_the_bound_and_says_so():
    X = blobs()
    ours = density("vae", latent_dim=2, epochs=30, hidden=16).fit(X)
    assert ours.score_kind_ == "lower bound (IWAE, K=100)"
    np.testing.assert_array_equal(ours.score_samples(X), ours.score_samples(X))
    iwae = lt.evaluate(ours.run_, X, metrics="iwae").iloc[0]
    elbo = lt.evaluate(ours.run_, X, metrics="elbo").iloc[0]
    # The draws differ: a row's bound moves by far less than the rows differ among themselves.
    assert abs(ours.score(X) - iwae["value"]) < iwae["stderr"]
    assert ours.score(X) > elbo["value"]


# --- in scikit-learn's company ----------------------------------------------------------------------------------


def test_in_a_pipeline_the_density_is_of_the_scaled_rows():
    """Log p of scaled rows is log p of rows plus Σ log s."""
    X = blobs()
    pipeline = make_pipeline(StandardScaler(), density("gaussian", variance_floor=0.0)).fit(X)
    plain = density("gaussian", variance_floor=0.0).fit(X)
    volume = np.log(pipeline[0].scale_).sum()
    np.testing.assert_allclose(pipeline.score_samples(X) - volume, plain.score_samples(X), rtol=1e-9)
    assert pipeline.score(X) == pytest.approx(plain.score(X) + volume)


def test_a_transformer_in_a_pipeline_feeds_a_classifier_as_pca_does():
    X, y = load_iris(return_X_y=True)
    ours = make_pipeline(StandardScaler(), transformer(latent_dim=2), LogisticRegression())
    theirs = make_pipeline(StandardScaler(), PCA(2), LogisticRegression())
    np.testing.assert_allclose(cross_val_score(ours, X, y), cross_val_score(theirs, X, y), rtol=1e-12)


def test_a_grid_search_over_options_finds_the_number_of_components():
    grid = {"options": [{"components": 1}, {"components": 3}]}
    search = GridSearchCV(density(), grid, cv=3).fit(blobs())
    assert search.best_params_ == {"options": {"components": 3}}
    one, three = search.cv_results_["mean_test_score"]
    assert three > one + 1  # nats per row
    assert search.best_estimator_.run_.options["components"] == 3


def test_a_clone_has_the_parameters_and_nothing_else():
    fitted = density(components=2).fit(blobs())
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert vars(copy).keys() == {"recipe", "options", "random_state"}
    assert copy.set_params(random_state=3).random_state == 3


# --- what goes in and comes out ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"), [("float32", "float32"), ("float64", "float64"), ("int64", "float64")]
)
def test_what_comes_out_has_the_dtype_of_what_went_in(given, expected):
    X = blobs().astype(given)
    for recipe in ("gaussian", "flow"):
        law = density(recipe, **NETWORK if recipe == "flow" else {}).fit(X)
        assert law.score_samples(X).dtype == law.sample(3).dtype == expected
        assert law.score_samples(X.astype(np.float32)).dtype == np.float32
    for recipe in ("pca", "autoencoder"):
        coder = transformer(recipe, latent_dim=2, **NETWORK if recipe == "autoencoder" else {}).fit(X)
        codes = coder.transform(X)
        assert codes.dtype == coder.inverse_transform(codes).dtype == expected


def test_columns_of_a_table_keep_their_names():
    table = pd.DataFrame(blobs(), columns=["a", "b", "c"])
    law = density(**ONE).fit(table)
    assert law.feature_names_in_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(
        law.score_samples(table), density(**ONE).fit(blobs()).score_samples(blobs())
    )
    with pytest.raises(ValueError, match="feature names should match"):
        law.score_samples(table.rename(columns={"a": "z"}))
    codes = transformer(latent_dim=1).set_output(transform="pandas").fit_transform(table)
    assert codes.columns.tolist() == ["latenttransformer0"]


def test_a_row_s_result_does_not_depend_on_the_rows_beside_it():
    """To the last bit, also of float32 networks, and across blocks."""
    X = blobs(600)
    flow, coder = density("flow", **NETWORK).fit(X), transformer("autoencoder", **NETWORK).fit(X)
    for method in (flow.score_samples, coder.transform):
        whole = method(X)
        for row in (0, 17, 255, 256, 599):
            np.testing.assert_array_equal(method(X[row : row + 1])[0], whole[row])


def test_rows_that_change_after_the_fit_do_not_change_the_distribution():
    X = blobs()
    law = density("kernel-density").fit(X)
    before = law.score_samples(blobs())
    X[:] = 0
    np.testing.assert_array_equal(law.score_samples(blobs()), before)


# --- randomness -------------------------------------------------------------------------------------------------


def codes_of(random_state) -> np.ndarray:
    return transformer("autoencoder", random_state, latent_dim=2, epochs=1, hidden=8).fit_transform(blobs())


def global_numbers() -> np.ndarray:
    """Return the state of NumPy's global RandomState: its 624 numbers, and which of them is next."""
    _, numbers, position, *_ = np.random.get_state()  # noqa: NPY002
    return np.append(numbers, position)


def test_a_number_fits_the_same_again_and_none_fits_another():
    assert np.array_equal(codes_of(1), codes_of(1))
    assert not np.array_equal(codes_of(1), codes_of(2))
    assert not np.array_equal(codes_of(None), codes_of(None))  # false alarm: 1 in 2³¹


def test_a_random_state_is_drawn_from_and_the_global_one_is_not():
    random, before = np.random.RandomState(0), global_numbers()
    first, second = codes_of(random), codes_of(random)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, codes_of(np.random.RandomState(0)))
    codes_of(None)
    assert np.array_equal(before, global_numbers())


def test_samples_follow_the_estimator_s_random_state_or_the_call_s():
    law = density(**ONE).fit(blobs())
    assert law.sample().shape == (1, 3)
    assert np.array_equal(law.sample(5), law.sample(5))
    assert np.array_equal(law.sample(5, random_state=4), law.sample(5, random_state=4))
    assert not np.array_equal(law.sample(5), law.sample(5, random_state=4))
    fresh = law.set_params(random_state=None)
    assert not np.array_equal(fresh.sample(5), fresh.sample(5))  # false alarm: 1 in 2³¹


# --- pickles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "law",
    [
        density("kernel-density"),
        density("flow", **NETWORK),
        density("pca", latent_dim=2, latent_density="gaussian-mixture"),
    ],
    ids=lambda law: law.recipe,
)
def test_a_pickled_estimator_is_the_same(law):
    law.fit(blobs())
    again = pickle.loads(pickle.dumps(law))
    assert np.array_equal(again.sample(5), law.sample(5))
    assert again.run_.history.equals(law.run_.history)
    assert again.run_.path is None
    assert law.run_.path is None
    if law.score_kind_ == "exact":
        assert np.array_equal(again.score_samples(blobs()), law.score_samples(blobs()))


def test_a_pickle_does_not_hold_the_training_rows():
    X = blobs(20_000)
    assert len(pickle.dumps(transformer("factor-analysis", latent_dim=1, epochs=2).fit(X))) < X.nbytes / 20


def test_a_recipe_of_one_s_own_is_fitted_cloned_and_pickled():
    own = lt.recipes["ppca"](DataSpec((3,), Support("real")), latent_dim=1, by="em")
    law = DensityEstimator(own, options={"epochs": 3}, random_state=0).fit(blobs())
    assert not own.objective.model.mean.any()  # it is left as it was
    again = pickle.loads(pickle.dumps(law))
    assert np.array_equal(again.score_samples(blobs()), law.score_samples(blobs()))
    assert np.array_equal(clone(law).fit(blobs()).score_samples(blobs()), law.score_samples(blobs()))


# --- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "options", "random_state", "error", "message"),
    [
        ("gaussian-mixtures", None, 0, UnknownNameError, "did you mean 'gaussian-mixture'"),
        (3, None, 0, UsageError, "recipe must be a name of lt.recipes or a Recipe; got int"),
        ("gaussian", {"componnents": 2}, 0, UsageError, "unknown option 'componnents'"),
        ("gaussian", {"out": "runs/a"}, 0, UsageError, "unknown option 'out'"),
        ("gaussian", {"seed": 2}, 0, UsageError, "options hold a seed: give it as random_state"),
        ("gaussian", "epochs", 0, UsageError, "options must be a dict, as {'epochs': 5}; got str"),
        ("gaussian", {"epochs": 1.5}, 0, UsageError, "epochs must be a whole number or None; got 1.5"),
        ("gaussian-mixture", {"components": 9}, 0, DataError, r"X has 5 sample\(s\) and 3 feature\(s\)"),
        ("ppca", {"latent_dim": 3}, 0, UsageError, r"latent_dim .*less than 3.* \(X has 5 sample\(s\) and 3"),
        ("gaussian", None, "zero", ValueError, "cannot be used to seed"),
        ("gaussian", None, -1, ValueError, "Seed must be between 0"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_fitted(recipe, options, random_state, error, message):
    estimator = DensityEstimator(recipe, options=options, random_state=random_state)
    with pytest.raises(error, match=message):
        estimator.fit(blobs(5))
    with pytest.raises(NotFittedError):
        estimator.sample()


def test_what_a_model_cannot_do_is_said():
    law = density("gaussian").fit(blobs())
    with pytest.raises(UsageError, match="n must be at least 1; got 0"):
        law.sample(0)
    with pytest.raises(UsageError, match="gaussian does not encode; it can sample, give likelihoods"):
        transformer("gaussian").fit(blobs()).transform(blobs())
    coder = density("pca", latent_dim=2).fit(blobs())
    assert coder.score_kind_ == "none"
    with pytest.raises(UsageError, match="pca does not give likelihoods; it can encode, decode"):
        coder.score(blobs())
    with pytest.raises(UsageError, match="pca does not sample"):
        coder.sample()
    with pytest.raises(
        DataError, match=r"X has 3 features, but inverse_transform .* is expecting 2 features"
    ):
        transformer(latent_dim=2).fit(blobs()).inverse_transform(blobs())
    with pytest.raises(NotFittedError):
        transformer().inverse_transform(blobs())
    with pytest.raises(NotFittedError):
        _ = density().score_kind_


def test_a_fit_that_is_stopped_leaves_no_fitted_estimator(monkeypatch):
    def stopped(*arguments, **options):
        return replace(lt.fit(*arguments, **options), interrupted=True)

    monkeypatch.setattr("latentia.sklearn.estimator.fit", stopped)
    law = density("gaussian")
    with pytest.raises(KeyboardInterrupt):
        law.fit(blobs())
    with pytest.raises(NotFittedError):
        law.score_samples(blobs())


# --- the package, and its page ----------------------------------------------------------------------------------


def test_importing_latentia_does_not_import_scikit_learn():
    code = "import sys, latentia; print({'sklearn', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_page_s_python_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # it is our own page
    assert names["search"].best_params_
