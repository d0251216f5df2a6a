"""Figures of mixtures show the model's numbers, and the half-steps of EM are those of the two formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Ellipse
from sklearn.mixture import GaussianMixture as Reference
from torch import Tensor

import latentia as lt
from latentia.data.spec import DataSpec, Support
from latentia.errors import UsageError
from latentia.figures import plots
from latentia.figures.drawing import PALETTE, svg
from latentia.figures.mixtures import component_ellipses, em_staircase
from latentia.functional.mixtures.components import COVARIANCES, Components
from latentia.functional.mixtures.em_bound import Ascent, ascent

PLANE = DataSpec((2,), Support("real"))


def mixture(
    *, matrix: bool = True, components: int = 3, entries: int = 2, weights: list[float] | None = None
) -> Components:
    """Return components with covariances that are neither round nor upright."""
    generator = torch.Generator().manual_seed(0)
    shape = (components, entries, entries) if matrix else (components, entries)
    factors = torch.randn(shape, generator=generator, dtype=torch.float64)
    factors = factors.tril(-1) + torch.eye(entries) * (0.3 + factors.abs()) if matrix else 0.3 + factors.abs()
    means = 4 * torch.randn(components, entries, generator=generator, dtype=torch.float64)
    pi = torch.tensor(weights or [1 / components] * components, dtype=torch.float64)
    return Components(pi, means, factors)


def blobs(n: int = 200) -> Tensor:
    rows = np.random.default_rng(0).normal(size=(n, 2)) + 4 * (np.arange(n) % 2)[:, None]
    return torch.from_numpy(rows)


def start(x: Tensor) -> Components:
    cov = torch.cov(x.T, correction=0)
    return Components(
        torch.tensor([0.5, 0.5]).double(), x[:2].clone(), torch.linalg.cholesky(cov).expand(2, 2, 2)
    )


@pytest.fixture(scope="module")
def climb() -> Ascent:
    return ascent(blobs(), start(blobs()), COVARIANCES["full"], steps=6)


# --- ellipses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matrix", [True, False], ids=["full", "diagonal"])
def test_an_ellipse_has_the_axes_of_its_covariance_and_the_mahalanobis_radius_of_its_mass(matrix):
    components = mixture(matrix=matrix)
    full = components.covariances if matrix else torch.diag_embed(components.covariances)
    ellipses = component_ellipses(torch.zeros(1, 2), components, PLANE).axes[0].patches
    assert len(ellipses) == 6
    angles = torch.linspace(0, 2 * math.pi, 9)
    circle = torch.stack([angles.cos(), angles.sin()], 1).numpy()
    for number, ellipse in enumerate(ellipses):
        assert isinstance(ellipse, Ellipse)
        mean, cov = components.means[number // 2], full[number // 2]
        r2 = -2 * math.log(1 - (0.5, 0.9)[number % 2])
        half = sorted([ellipse.get_width() / 2, ellipse.get_height() / 2])
        assert half == pytest.approx((r2 * torch.linalg.eigvalsh(cov)).sqrt().tolist())
        edge = torch.from_numpy(ellipse.get_patch_transform().transform(circle)) - mean
        squares = (edge * torch.linalg.solve(cov, edge.T).T).sum(1)
        assert squares.tolist() == pytest.approx([r2] * 9)


def test_the_fraction_of_draws_inside_is_the_mass():
    """Of 20,000 draws; the standard error is at most 0.0036, and the test allows five: false alarms below 1e-6."""
    components = mixture(components=1)
    rows = (
        components.means
        + torch.randn(20_000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        @ components.factors[0].T
    )
    for ellipse, mass in zip(
        component_ellipses(rows[:9], components, PLANE).axes[0].patches, (0.5, 0.9), strict=True
    ):
        to_circle = ellipse.get_patch_transform().inverted()
        inside = np.linalg.norm(to_circle.transform(rows.numpy()), axis=1) < 1
        assert inside.mean() == pytest.approx(mass, abs=0.018)


def test_a_row_has_the_mean_of_the_colours_by_its_responsibilities():
    components, points = mixture(), torch.tensor([[0.0, 0.0], [1.0, -2.0], [90.0, 90.0]])
    dots = component_ellipses(points, components, PLANE).axes[0].collections[0]
    r = np.exp(components.log_joint(points.double()).numpy())[:2]
    r /= r.sum(1, keepdims=True)
    expected = r @ np.array([to_rgb(colour) for colour in PALETTE[:3]])
    assert dots.get_facecolors()[:2, :3] == pytest.approx(expected)
    assert np.isfinite(dots.get_facecolors()).all()  # also where each density is 0 in floating point
    assert np.asarray(dots.get_offsets()) == pytest.approx(points.numpy())


def test_components_of_weight_0_are_left_out_and_many_have_different_colours():
    axes = component_ellipses(torch.zeros(1, 2), mixture(weights=[0.5, 0.0, 0.5]), PLANE).axes[0]
    assert len(axes.patches) == 4
    many = component_ellipses(torch.zeros(1, 2), mixture(components=25), PLANE).axes[0]
    assert len({patch.get_edgecolor() for patch in many.patches}) == 25
    with pytest.raises(UsageError, match="must have 2 dimensions; got 3"):
        component_ellipses(torch.zeros(1, 3), mixture(entries=3), DataSpec((3,), Support("real")))


def test_units_are_equal_unless_the_points_would_be_a_stripe():
    points = torch.tensor([[0.0, 0.0], [1.0, 3.9]])
    assert plots.Frame.fitting(points) == plots.Frame.around(points)
    frame = plots.Frame.fitting(torch.tensor([[0.0, 0.0], [1.0, 4.1]]))
    assert not frame.equal
    assert (*frame.low, *frame.high) == pytest.approx((-0.12, -0.492, 1.12, 4.592))
    axes = component_ellipses(points * torch.tensor([1.0, 10.0]), mixture(), PLANE).axes[0]
    assert axes.get_aspect() == "auto"


# --- EM as the ascent of a bound --------------------------------------------------------------------------------


def test_the_log_likelihoods_of_the_half_steps_are_scikit_learn_s(climb: Ascent):
    x = blobs()
    reference = Reference(2, reg_covar=0.0)
    begun = start(x)
    reference.weights_, reference.means_ = begun.weights.numpy(), begun.means.numpy()
    reference.covariances_ = begun.covariances.numpy()
    reference.precisions_cholesky_ = np.linalg.inv(begun.factors.numpy()).transpose(0, 2, 1)
    for step in range(6):
        value, log_r = reference._e_step(x.numpy())
        assert climb.log_likelihood[2 * step].item() == pytest.approx(value, abs=1e-10)
        assert climb.log_likelihood[2 * step + 1].item() == pytest.approx(value, abs=1e-10)
        reference._m_step(x.numpy(), log_r)
    assert climb.components.means.numpy() == pytest.approx(reference.means_)
    assert climb.components.covariances.numpy() == pytest.approx(reference.covariances_)


@pytest.mark.parametrize("family", COVARIANCES)
def test_e_steps_close_the_gap_and_m_steps_raise_bound_and_likelihood(family):
    x, begun = blobs(), start(blobs())
    if not COVARIANCES[family].matrix:
        begun = Components(begun.weights, begun.means, begun.covariances.diagonal(dim1=1, dim2=2).sqrt())
    made = ascent(x, begun, COVARIANCES[family], steps=6)
    assert made.gap[1::2].abs().max() < 1e-12
    assert (made.gap[2::2] > 1e-9).all()
    assert (made.bound.diff() > 0).all()
    assert (made.log_likelihood.diff() >= 0).all()


def test_the_first_bound_is_of_a_uniform_q(climb: Ascent):
    joint = start(blobs()).log_joint(blobs()).numpy()
    expected = (0.5 * (joint - math.log(0.5))).sum(1).mean()
    assert climb.bound[0].item() == pytest.approx(expected, abs=1e-12)


def test_no_step_is_refused():
    with pytest.raises(UsageError, match="steps must be at least 1; got 0"):
        ascent(blobs(), start(blobs()), COVARIANCES["full"], steps=0)


def test_the_staircase_shows_the_bound_the_likelihood_and_what_they_gain(climb: Ascent):
    stairs, gains = em_staircase(climb).axes
    drawn = {line.get_label(): line.get_xydata() for line in stairs.lines}
    assert drawn["bound (ELBO)"] == pytest.approx(np.c_[np.arange(13) / 2, climb.bound])
    assert drawn["log-likelihood"][:, 1] == pytest.approx(climb.log_likelihood.numpy())
    assert drawn["after an E-step"] == pytest.approx(np.c_[np.arange(6) + 0.5, climb.log_likelihood[1::2]])
    assert drawn["after an M-step"] == pytest.approx(np.c_[np.arange(6) + 1.0, climb.bound[2::2]])
    raised, opened = gains.containers
    tops = [bar.get_y() + bar.get_height() for bar in opened]
    assert [bar.get_height() for bar in raised] == pytest.approx(
        (climb.bound[2::2] - climb.bound[1::2]).tolist()
    )
    assert tops == pytest.approx(climb.log_likelihood[::2].diff().tolist())


# --- in a report ------------------------------------------------------------------------------------------------


def test_the_report_of_a_mixture_in_the_plane_draws_its_components(tmp_path):
    run = lt.fit("gaussian-mixture", blobs(), components=2, progress=False, out=tmp_path / "run")
    page = lt.write_report(run, blobs()).read_text()
    assert "<figcaption>Components</figcaption>" in page
    assert "Ellipses hold 50% and 90% of a component" in page
    plain = lt.fit("gaussian", blobs(), progress=False, out=tmp_path / "plain")
    assert "Ellipses" not in lt.write_report(plain, blobs()).read_text()


@pytest.mark.parametrize("entries", [2, 3])
def test_a_report_shows_the_rows_without_gaps_of_a_mixture_that_takes_gaps(tmp_path, entries: int):
    x = np.random.default_rng(0).normal(size=(60, entries))
    x[::3, 0] = np.nan
    support = "real or missing"
    run = lt.fit("gaussian-mixture", x, components=2, support=support, progress=False, out=tmp_path / "run")
    assert "<svg" in lt.write_report(run, x).read_text()
    x[:, 1] = np.nan  # no row is whole
    assert "<svg" in lt.write_report(run, x).read_text()


def test_a_figure_of_components_is_an_svg():
    assert "<svg" in svg(component_ellipses(blobs(), mixture(), PLANE))
