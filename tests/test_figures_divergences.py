"""Figures of divergences, and of two samples: the numbers drawn are those of the formulas."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from tests.plots import lines

import latentia as lt
from latentia.errors import DataError, UsageError
from latentia.figures import two_samples
from latentia.figures.drawing import png, svg
from latentia.functional.discrete import jensen_shannon, kl_categorical
from latentia.functional.kernel.kernels import gaussian_kernel
from latentia.functional.kernel.mmd import witness
from latentia.functional.likelihood.model_gap import likelihood_gap
from latentia.functional.transport import wasserstein_lp
from latentia.theory.figures import divergences
from latentia.theory.hardy_weinberg import hardy_weinberg

DRAWN = torch.Generator().manual_seed(0)


def test_of_two_uniforms_that_part_only_w1_tells_how_far():
    def uniform(x):
        return torch.where((x >= 0) & (x < 1), 0.0, -torch.inf)

    shifts = torch.tensor([0.0, 0.5, 1.5, 3.0])
    drawn = lines(divergences.moving_apart(uniform, shifts, torch.linspace(-1, 5, 6001)).axes[0])
    assert drawn["W₁"][:, 1] == pytest.approx(shifts.tolist(), abs=1e-6)  # the grid is float32
    assert drawn["Jensen-Shannon"][:, 1] == pytest.approx(
        [0, 0.5 * math.log(2), math.log(2), math.log(2)], abs=2e-3
    )
    assert drawn["KL(p‖q)"][0, 1] == 0
    assert np.isinf(drawn["KL(p‖q)"][1:, 1]).all()


def test_of_two_gaussians_the_curves_are_the_closed_forms():
    normal = torch.distributions.Normal(0.0, 1.0).log_prob
    shifts = torch.linspace(0, 3, 7)
    drawn = lines(divergences.moving_apart(normal, shifts, torch.linspace(-9, 12, 4001)).axes[0])
    assert drawn["KL(p‖q)"][:, 1] == pytest.approx((shifts**2 / 2).tolist(), abs=1e-6)
    assert drawn["W₁"][:, 1] == pytest.approx(shifts.tolist(), abs=1e-6)


def test_coverage_and_quality_add_up_to_the_divergence():
    p, q = torch.softmax(torch.randn(2, 30, generator=DRAWN, dtype=torch.float64), 1)
    axes = divergences.coverage_and_quality(torch.arange(30.0), p, q).axes[1]
    total = sum(line.get_ydata().sum() for line in axes.lines) / 2
    assert total == pytest.approx(float(jensen_shannon(p, q)), rel=1e-12)
    m = (p + q) / 2
    assert axes.lines[0].get_ydata().sum() == pytest.approx(float(kl_categorical(p, m)), rel=1e-12)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_plan_is_drawn_with_its_marginals_and_an_arrow_for_each_mass(dimensions):
    shape = () if dimensions == 1 else (2,)
    x, y = torch.randn(5, *shape, generator=DRAWN), torch.randn(4, *shape, generator=DRAWN)
    p, q = torch.full((5,), 0.2), torch.full((4,), 0.25)
    cost = torch.cdist(x.reshape(5, -1), y.reshape(4, -1))
    plan = wasserstein_lp(p, q, cost).plan
    heat, arrows = two_samples.transport_plan(plan, x, y).axes
    assert np.allclose(heat.images[0].get_array(), plan)
    above, beside = heat.child_axes
    assert [bar.get_height() for bar in above.patches] == pytest.approx(q.tolist(), abs=1e-6)
    assert [bar.get_width() for bar in beside.patches] == pytest.approx(p.tolist(), abs=1e-6)
    assert len(arrows.texts) == int((plan > 1e-3 * plan.max()).sum())
    with pytest.raises(UsageError, match=r"got plan \(5, 4\), x \(4.*, y \(5"):
        two_samples.transport_plan(plan, y, x)


def test_four_panels_show_the_two_samples():
    x, y = torch.randn(40, generator=DRAWN), torch.randn(25, generator=DRAWN) + 1
    figure = two_samples.four_panels(x, y, ("real", "model"))
    density, distribution, quantiles, points = figure.axes
    for container, sample in zip(density.containers, (x, y), strict=True):
        area = sum(bar.get_height() * bar.get_width() for bar in container)
        assert area == pytest.approx(1.0)
        assert len(container) == len(density.containers[0]), sample
    steps = distribution.lines[0].get_xydata()
    assert steps[-1].tolist() == pytest.approx([float(x.max()), 1.0])
    assert quantiles.patches[1].get_data().values == pytest.approx(y.sort().values.tolist())
    assert points.lines[0].get_xdata() == pytest.approx(x.sort().values.tolist())
    with pytest.raises(DataError, match="y holds NaN"):
        two_samples.four_panels(x, torch.tensor([0.0, math.nan]))


@pytest.mark.parametrize("name", ["kl", "pearson", "gan", "jensen-shannon", "squared-hellinger", "neyman"])
def test_tangents_touch_and_cut_the_axis_at_minus_the_conjugate(name):
    divergence = lt.divergences[name]
    generator, conjugate = divergences.conjugate_pair(divergence, at=[0.5, 2.0]).axes
    for axes, other in ((generator, divergence.conjugate), (conjugate, divergence.f)):
        tangents = [
            line for line in axes.lines if line.get_label().startswith("_") and line.get_linewidth() < 1
        ]
        for line in tangents:
            (a, b), slope = line.get_xy1(), line.get_slope()
            assert b - slope * a == pytest.approx(
                -float(other(torch.tensor(slope, dtype=torch.float64))), abs=1e-9
            )
        assert len(tangents) == 2


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_witness_that_is_drawn_is_the_witness(dimensions):
    x, y = torch.randn(20, dimensions, generator=DRAWN), torch.randn(30, dimensions, generator=DRAWN) + 2
    kernel = partial(gaussian_kernel, bandwidth=1.0)
    figure = two_samples.witness_function(x, y, kernel)
    assert len(png(figure)) > 1000
    if dimensions == 1:
        at = figure.axes[0].lines[0].get_xydata()[100]
        expected = witness(torch.tensor([[at[0]]], dtype=x.dtype), x, y, kernel)
        assert at[1] == pytest.approx(float(expected), abs=1e-5)
    with pytest.raises(UsageError, match="1 or 2 dimensions; got 3"):
        two_samples.witness_function(torch.zeros(2, 3), torch.ones(2, 3), kernel)


def test_the_simplex_shows_the_misspecification_that_is_the_likelihood_gap():
    p = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    figure = divergences.simplex_projection(p)
    told = figure.axes[0].get_legend().get_texts()[-1].get_text()
    rows = torch.tensor([0] * 5 + [1] * 2 + [2] * 3)  # a sample with these frequencies
    closest = hardy_weinberg(torch.tensor(0.6, dtype=torch.float64))
    gap = likelihood_gap(closest.log()[rows], p.log()[rows])
    assert told == f"closest member, KL = {float(gap.value):.3g}"
    assert "<svg" in svg(figure)
