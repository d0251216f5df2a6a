"""What a report shows of codes: the numbers drawn are the model's, and scikit-learn's where it has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

import latentia as lt
from latentia.data.ingest.raw import Raw
from latentia.data.rows import Rows
from latentia.data.spec import Support
from latentia.figures import plots
from latentia.figures.drawing import single
from latentia.figures.images import data_uri, image_grid
from latentia.figures.spectrum import scree, spectrum_of
from latentia.report.codes import code_sections
from latentia.report.elements import Section
from latentia.report.report_rows import HeldOut, choose
from latentia.runs.run import Run

TABLE = np.random.default_rng(0).normal(size=(300, 6)) @ np.random.default_rng(1).normal(size=(6, 6))


def fitted(recipe: str, data: object = TABLE, **options: object) -> Run:
    return lt.fit(recipe, data, progress=False, **options)


def scree_axes(run: Run) -> tuple[Axes, Axes]:
    spectrum = spectrum_of(run.model)
    assert spectrum is not None
    each, together = (single(plot).axes[0] for _, plot in scree(spectrum))
    return each, together


def curve(axes: Axes) -> np.ndarray:
    return np.asarray(axes.lines[0].get_xydata())


@pytest.fixture(scope="module")
def rows() -> Rows:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Raw(bunch.images[:300].astype(np.uint8), bunch.target[:300], Support("discrete", 17)).rows(
        "digits"
    )


@pytest.fixture(scope="module", params=["pca", "autoencoder", "vae"])
def run(request: pytest.FixtureRequest, rows: Rows) -> Run:
    options = {} if request.param == "pca" else {"epochs": 2, "hidden": 16}
    return fitted(request.param, rows, latent_dim=4, **options)


@pytest.fixture
def held(run: Run, rows: Rows) -> HeldOut:
    return choose(run, rows, 60)


def section(run: Run, held: HeldOut, title: str) -> Section:
    return next(each for each in code_sections(run, held) if each.title == title)


# The scree plot


@pytest.mark.parametrize("recipe", ["pca", "ppca"])
def test_a_scree_plot_draws_scikit_learns_explained_variance(recipe: str) -> None:
    from sklearn.decomposition import PCA

    theirs = PCA(4).fit(TABLE).explained_variance_ratio_
    each, together = scree_axes(fitted(recipe, latent_dim=4))
    assert curve(each) == pytest.approx(np.stack([[1, 2, 3, 4], theirs], 1), rel=1e-5)
    assert curve(together) == pytest.approx(np.stack([[1, 2, 3, 4], theirs.cumsum()], 1), rel=1e-5)


@pytest.mark.parametrize("by", ["em", "gradient"])
def test_a_scree_plot_does_not_depend_on_how_ppca_was_fitted(by: str) -> None:
    closed, other = (scree_axes(fitted("ppca", latent_dim=3, by=way))[0] for way in ("closed-form", by))
    assert curve(other) == pytest.approx(curve(closed), rel=2e-2)  # they end near the maximum


@pytest.mark.parametrize("recipe", ["pca", "ppca"])
def test_the_dashed_line_is_the_mean_discarded_eigenvalue(recipe: str) -> None:
    eigenvalues = np.linalg.eigvalsh(np.cov(TABLE.T))
    line = scree_axes(fitted(recipe, latent_dim=2))[0].lines[1]
    assert line.get_ydata()[0] == pytest.approx(eigenvalues[:4].mean() / eigenvalues.sum(), rel=1e-5)
    assert line.get_label() == "mean of the 4 omitted"


def test_nothing_is_left_out_by_all_components() -> None:
    each, together = scree_axes(fitted("pca", latent_dim=6))
    assert len(each.lines) == 1
    assert curve(together)[-1, 1] == pytest.approx(1)


def test_a_latent_density_leaves_the_scree_plot_and_other_models_have_none() -> None:
    distribution = fitted("pca", latent_dim=2, latent_density="gaussian")
    assert curve(scree_axes(distribution)[0]) == pytest.approx(
        curve(scree_axes(fitted("pca", latent_dim=2))[0])
    )
    for recipe in ("factor-analysis", "gaussian"):
        assert spectrum_of(fitted(recipe).model) is None


# Codes


def test_codes_are_the_model_s_in_the_colours_of_their_classes(rows: Rows) -> None:
    run = fitted("pca", rows, latent_dim=2)
    held = choose(run, rows, 200)
    axes = single(plots.codes_plot(run.encode(held.given), run.spec, held.labels), square=True).axes[0]
    for number, (drawn, name) in enumerate(zip(axes.collections, run.spec.classes, strict=True)):
        ours = run.encode(held.given[held.labels == number])
        assert np.asarray(drawn.get_offsets()) == pytest.approx(ours.numpy(), abs=1e-4)
        assert drawn.get_facecolor()[0, :3] == pytest.approx(to_rgba(f"C{number}")[:3])
        assert drawn.get_label() == name


# Strips


def test_reconstructions_are_the_model_s_below_the_rows(run: Run, held: HeldOut) -> None:
    strips = section(run, held, "Reconstructions").exhibits[0].strips
    again = run.reconstruct(held.given[:20])
    for k, shown in enumerate((held.given[:10].float(), again[:10], held.given[10:20].float(), again[10:])):
        assert strips[k].uri == data_uri(image_grid(shown, run.spec, 10))


def test_interpolations_go_from_one_row_s_code_to_another_s(run: Run, held: HeldOut) -> None:
    strips = section(run, held, "Interpolation").exhibits[0].strips
    assert len(strips) == 4
    for k, drawn in enumerate(strips):
        a, b = held.given[2 * k], held.given[2 * k + 1]
        path = run.interpolate(a, b, steps=10)
        assert drawn.uri == data_uri(image_grid(path, run.spec, 10))
        ends = run.reconstruct(torch.stack([a, b]))
        assert path[[0, -1]].numpy() == pytest.approx(ends.numpy(), abs=1e-4)


def test_a_traversal_moves_one_entry_through_what_the_codes_have_there(run: Run, held: HeldOut) -> None:
    """An entry of a code in the data's units would not visibly move from −3 to 3."""
    codes = run.encode(held.given).numpy()
    mean, deviation = codes.mean(0), codes.std(0)
    shown = {drawn.label: drawn.uri for drawn in section(run, held, "Latent traversal").exhibits[0].strips}
    assert set(shown) == {"z0", "z1", "z2", "z3"}
    for entry in range(4):
        moved = np.repeat(codes[:1], 11, axis=0)
        moved[:, entry] = mean[entry] + np.linspace(-3, 3, 11) * deviation[entry]
        expected = image_grid(run.decode(moved), run.spec, 11)
        assert shown[f"z{entry}"] == data_uri(expected)


def test_the_traversals_with_the_greatest_effect_come_first(rows: Rows) -> None:
    """An entry of pca's code moves the pixels by its standard deviation times its component."""
    run = fitted("pca", rows, latent_dim=12)
    held = choose(run, rows, 300)
    effect = run.encode(held.given).std(0) * run.model.components.abs().mean(0)
    strips = section(run, held, "Latent traversal").exhibits[0].strips
    assert [drawn.label for drawn in strips] == [f"z{entry}" for entry in effect.argsort().flip(0)[:9]]
    assert "The 9 of 12 entries" in section(run, held, "Latent traversal").lead


# The page of a model that does not sample


def test_a_model_without_samples_has_a_page_and_no_picture_of_samples(rows: Rows, tmp_path: Path) -> None:
    run = fitted("pca", rows, latent_dim=4, out=tmp_path / "pca")
    page = lt.write_report(run, rows).read_text(encoding="utf-8")
    assert not (tmp_path / "pca" / "samples.png").exists()
    assert "run.reconstruct(rows)" in page
    assert "run.sample" not in page
    share = float(run.model.explained_variance_ratio.sum())
    assert f"The components explain {share:.1%} of the training rows" in page
