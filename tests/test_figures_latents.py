"""Figures of codes and of trade-offs over β: the numbers drawn are the model's, and the formula's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import MultivariateNormal

import latentia as lt
from latentia.distributions.diagonal_gaussian import DiagonalGaussian
from latentia.distributions.diagonal_mixture import DiagonalMixture
from latentia.errors import UsageError
from latentia.figures import latents as latent
from latentia.figures.images import data_uri, image_grid
from latentia.functional.spectra import high_frequency_power, lost_power
from latentia.report.codes import code_sections
from latentia.report.report_rows import choose
from latentia.theory.figures import tradeoffs
from latentia.theory.figures.tradeoffs import TradeOff

# Power at high frequencies


def test_power_over_all_frequencies_but_0_is_the_variance():
    images = torch.rand(3, 2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    variance = images.var((2, 3), correction=0).sum(1)
    torch.testing.assert_close(high_frequency_power(images, cut=0), variance)


def test_a_wave_has_its_power_at_its_frequency():
    across = torch.arange(16).double()
    wave = torch.cos(2 * math.pi * 3 / 16 * across).expand(1, 1, 16, 16)  # 0.1875 cycles per pixel, power ½
    assert high_frequency_power(wave, cut=0.18).item() == pytest.approx(0.5, abs=1e-12)
    assert high_frequency_power(wave, cut=0.19).item() == pytest.approx(0, abs=1e-12)
    assert lost_power(wave, wave / 2, cut=0.1) == pytest.approx(0.75, abs=1e-12)
    with pytest.raises(UsageError, match="choose a lower cut"):
        lost_power(torch.ones(1, 1, 4, 4), wave)
    with pytest.raises(UsageError, match="cut from 0"):
        high_frequency_power(wave, cut=0.8)


# Codes in the plane


def test_quantile_codes_have_the_prior_s_mass_between_them():
    codes = latent.codes_on_quantiles(
        DiagonalGaussian(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 2.0])), 3
    )
    levels = np.array([1 / 6, 0.5, 5 / 6])
    first, second = stats.norm.ppf(levels, 1), stats.norm.ppf(levels, -1, math.e)
    expected = [[a, b] for b in second[::-1] for a in first]
    assert codes.numpy() == pytest.approx(np.array(expected), abs=1e-6)


def test_quantile_codes_of_another_distribution_are_those_of_its_draws():
    distribution = DiagonalMixture(torch.zeros(2), torch.tensor([[-4.0, 0.0], [4.0, 0.0]]), torch.zeros(2, 2))
    before = torch.get_rng_state()
    codes = latent.codes_on_quantiles(distribution, 4)
    assert torch.equal(before, torch.get_rng_state())  # the picture moves no other draw
    assert (codes[:4, 0].sign() == torch.tensor([-1, -1, 1, 1])).all()
    # 1/8 of the mass: the quartile of the left half. 5 standard errors of a quantile of 5000 draws, 2e-6 false alarms
    assert codes[0, 0].item() == pytest.approx(-4 + stats.norm.ppf(0.25), abs=0.15)
    with pytest.raises(UsageError, match="2 entries"):
        latent.codes_on_quantiles(DiagonalGaussian(torch.zeros(3), torch.zeros(3)))


def test_a_line_of_half_the_mass_is_where_the_chi_square_distribution_says():
    axis = torch.linspace(-6, 6, 400)
    distribution = DiagonalGaussian(torch.zeros(2), torch.zeros(2))
    levels = latent.mass_levels(distribution.log_prob(torch.cartesian_prod(axis, axis)).double())
    expected = -math.log(2 * math.pi) - stats.chi2(2).ppf([0.9, 0.5, 0.1]) / 2
    assert levels.numpy() == pytest.approx(expected, abs=5e-3)  # of a cell's area


def test_contours_of_prior_and_aggregate_lie_on_circles():
    prior = DiagonalGaussian(torch.zeros(2), torch.zeros(2))
    far = DiagonalGaussian(torch.tensor([2.0, 0.0]), torch.tensor([-1.0, -1.0]))
    axes = latent.prior_and_aggregate(prior, far).axes[0]
    for drawn, centre, scale in zip(axes.collections, (0, 2), (1, math.exp(-0.5)), strict=True):
        radii = [np.hypot(*(path.vertices - [centre, 0]).T) for path in drawn.get_paths()]
        expected = scale * np.sqrt(stats.chi2(2).ppf([0.9, 0.5, 0.1]))
        for radius, each in zip(radii, expected, strict=True):
            assert radius == pytest.approx(each, abs=0.03)


def test_of_longer_codes_the_entries_that_differ_most_are_drawn():
    shift = torch.zeros(8)
    shift[[1, 7]] = 3.0
    prior, aggregate = (DiagonalGaussian(mean, torch.zeros(8)) for mean in (torch.zeros(8), shift))
    figure = latent.prior_and_aggregate(prior, aggregate)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 6
    assert {"z1", "z7"} < set(titles)
    for bars in figure.axes[titles.index("z7")].containers:
        assert sum(bar.get_height() * bar.get_width() for bar in bars) == pytest.approx(1)
    with pytest.raises(UsageError, match="equal event shapes"):
        latent.prior_and_aggregate(prior, DiagonalGaussian(torch.zeros(2), torch.zeros(2)))


def test_posterior_shapes_are_each_row_s_own():
    L = torch.tensor([[[1.0, 0.0], [0.9, 0.3]], [[0.5, 0.0], [0.0, 0.5]]])
    distribution = MultivariateNormal(torch.tensor([[0.0, 0.0], [3.0, 1.0]]), scale_tril=L)
    codes = distribution.sample((500,)).flatten(0, 1)
    figure = latent.posterior_shapes(
        {"full": distribution.log_prob, "shifted": lambda z: distribution.log_prob(z) + 7}, codes
    )
    for axes in figure.axes:  # a constant changes nothing
        for row, drawn in enumerate(axes.collections):
            for path, mass in zip(drawn.get_paths(), (0.9, 0.5, 0.1), strict=True):
                distance = torch.linalg.solve_triangular(
                    L[row],
                    torch.tensor(path.vertices).float().mT - distribution.loc[row][:, None],
                    upper=False,
                )
                assert distance.square().sum(0).numpy() == pytest.approx(
                    stats.chi2(2).ppf(mass), rel=0.1, abs=0.05
                )
    with pytest.raises(UsageError, match="at least one family"):
        latent.posterior_shapes({}, codes)


def test_the_fold_draws_each_line_where_the_decoder_puts_it():
    figure = latent.fold(lambda z: torch.stack([z[:, 0] ** 2, z.sum(1)], 1), torch.zeros(1, 2), span=2)
    codes, means = ([line.get_xydata() for line in axes.lines] for axes in figure.axes)
    assert len(codes) == 34
    for z, x in zip(codes, means, strict=True):
        assert x == pytest.approx(np.stack([z[:, 0] ** 2, z.sum(1)], 1), abs=1e-5)
    assert np.ptp(codes[0][:, 0]) == 0
    with pytest.raises(UsageError, match="in the plane"):
        latent.fold(lambda z: z, torch.zeros(4, 3))


# β


def test_rate_and_distortion_are_drawn_by_beta_and_the_best_bound_s_line_touches():
    points = [TradeOff(4, 5, 95, 0.8), TradeOff(0.5, 30, 80, 0.2), TradeOff(1, 15, 82, 0.4)]
    curve, lost = tradeoffs.rate_distortion(points).axes
    drawn, touching = curve.lines
    assert drawn.get_xydata().tolist() == [[30, 80], [15, 82], [5, 95]]
    assert touching.get_xydata().sum(1) == pytest.approx(97)  # the best −ELBO
    assert lost.lines[0].get_xydata() == pytest.approx(np.array([[0.5, 20], [1, 40], [4, 80]]))
    assert len(tradeoffs.rate_distortion([TradeOff(1, 2, 3), TradeOff(2, 1, 5)]).axes) == 1
    with pytest.raises(UsageError, match="2 points"):
        tradeoffs.rate_distortion([TradeOff(1, 2, 3)])
    with pytest.raises(UsageError, match="1 with lost power"):
        tradeoffs.rate_distortion([TradeOff(1, 2, 3), TradeOff(2, 1, 5, 0.4)])


def test_scores_are_drawn_with_their_errors():
    axes = tradeoffs.score_against_beta(
        [1, 4], {"mig": ([0.1, 0.3], [0.02, 0.04]), "dci": ([0.5, 0.6], None)}
    ).axes[0]
    first, second = axes.containers
    assert first.lines[0].get_xydata().tolist() == [[1, 0.1], [4, 0.3]]
    bars = [segment[:, 1].tolist() for segment in first.lines[2][0].get_segments()]
    assert np.array(bars) == pytest.approx(np.array([[0.08, 0.12], [0.26, 0.34]]))
    assert not second.has_yerr
    with pytest.raises(UsageError, match="for each of 2 β"):
        tradeoffs.score_against_beta([1, 4], {"mig": ([0.1], None)})


def test_a_response_map_is_the_mean_of_each_pair():
    generator = torch.Generator().manual_seed(0)
    factors = torch.stack([torch.randint(size, (300,), generator=generator) for size in (4, 3)], 1)
    codes = torch.randn(300, 2, generator=generator)
    found = tradeoffs.responses_over(codes, factors)
    naive = [
        [
            [codes[(factors == torch.tensor([a, b])).all(1), d].double().mean() for b in range(3)]
            for a in range(4)
        ]
        for d in range(2)
    ]
    torch.testing.assert_close(found, torch.tensor(naive).double())
    image = tradeoffs.response_maps(codes, factors).axes[1].images[0].get_array()
    expected = (found[1] - codes[:, 1].mean()) / codes[:, 1].std(correction=0)
    assert np.asarray(image) == pytest.approx(expected.mT.numpy(), abs=1e-5)
    with pytest.raises(UsageError, match=r"factors \(n, 2\)"):
        tradeoffs.response_maps(codes, factors[:, :1])


# The report of a fitted model


@pytest.fixture(scope="module")
def run():
    digits = lt.datasets["digits"](split="train", seed=0).select(torch.arange(200))
    return lt.fit("vae", digits, latent_dim=2, hidden=8, epochs=1, seed=0, progress=False)


def test_the_report_shows_the_plane_that_the_model_decodes_and_the_distributions(run):
    held = choose(run, lt.datasets["digits"](split="test", seed=0), 50)
    sections = {section.title: section for section in code_sections(run, held)}
    codes = torch.tensor(
        [
            [stats.norm.ppf((i + 0.5) / 15), stats.norm.ppf((j + 0.5) / 15)]
            for j in range(14, -1, -1)
            for i in range(15)
        ]
    ).float()
    grid = image_grid(run.decode(codes), run.spec, 15, bounds=run.spec.support.bounds)
    assert sections["The plane of codes"].exhibits[0].strips[0].uri == data_uri(grid)
    distributions = sections["Prior and aggregated posterior"]
    assert distributions.exhibits[0].square
    assert "50 held-out" in distributions.lead


def test_a_model_without_a_prior_or_a_plane_has_no_such_section(run):
    held = choose(run, lt.datasets["digits"](split="test", seed=0), 20)
    digits = lt.datasets["digits"](split="train", seed=0).select(torch.arange(100))
    flow = lt.fit("iaf-vae", digits, latent_dim=3, hidden=8, epochs=1, seed=0, progress=False)
    titles = {section.title for section in code_sections(flow, held)}
    assert not titles & {"The plane of codes", "Prior and aggregated posterior"}
