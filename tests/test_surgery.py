"""ELBO surgery and gaps against quadrature, closed forms and planted models.

Rows A10, A11 of docs/known-mistakes.md.

Errors are of seeded draws: an assertion of 4 standard errors has a false alarm of 6e-5 when a seed is changed.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from tests.draws import seeded
from tests.problems import LinearGaussian, as_latent_variable, linear_gaussian
from tests.running import X, vae
from torch import Tensor
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

import latentia as lt
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.distributions.aggregated_posterior import (
    aggregated_marginals,
    aggregated_posterior,
    all_posteriors,
    log_prob_in_blocks,
)
from latentia.distributions.diagonal_gaussian import DiagonalGaussian, StandardGaussian
from latentia.distributions.diagonal_mixture import DiagonalMixture
from latentia.errors import UsageError
from latentia.functional.surgery import KLParts, active_units, is_saturated, kl_parts, weighted_bound
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score
from latentia.metrics.scoring import score
from latentia.report.gaps import gap_bars, gap_plots, gap_sections

SMALL = {"ais_rows": 30, "ais_chains": 8, "ais_temperatures": 120}


def posteriors(n: int, d: int, seed: int = 0) -> DiagonalGaussian:
    """Return n posteriors, some near each other."""
    generator = torch.Generator().manual_seed(seed)
    mean, log_var = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(mean, 0.5 * log_var - 1)


def draws(q, S: int, seed: int = 1) -> Tensor:
    with seeded(seed):
        return q.sample((S,))


def dissect(q, S: int, *, seed: int = 1, control: bool = True) -> KLParts:
    """Return the parts of the KL to N(0, I) from S draws."""
    n, d = q.mean.shape
    z, prior = draws(q, S, seed), StandardGaussian(torch.zeros(d).double(), torch.zeros(d).double())
    columns = zip(aggregated_marginals(q), z.split(1, 2), strict=True)
    entries = torch.stack([distribution.log_prob(column) for distribution, column in columns], 2)
    log_p = Normal(0.0, 1.0).log_prob(z)
    kl = kl_divergence(q, prior) if control else None
    return kl_parts(q.log_prob(z), log_prob_in_blocks(aggregated_posterior(q), z, n), entries, log_p, kl)


def by_name(scores: list[Score]) -> dict[str, Score]:
    return {each.metric: each for each in scores}


def scored(model, rows: Rows, name: str, **settings) -> dict[str, Score]:
    return by_name(score(Evaluation.of(model, rows, **settings), [name]))


# The parts against quadrature


def one_dimensional(q) -> tuple[float, float]:
    """Return I and KL(q(z) ‖ p(z)) of posteriors on the line, by quadrature."""
    mixture, p = aggregated_posterior(q), Normal(0.0, 1.0)

    def information(z: float) -> float:
        each = DiagonalGaussian(q.mean, q.log_var).log_prob(torch.tensor([z]).double())
        return float((each.exp() * (each - mixture.log_prob(torch.tensor([[z]]).double()))).mean())

    def marginal(z: float) -> float:
        log_q = mixture.log_prob(torch.tensor([[z]]).double())
        return float(log_q.exp() * (log_q - p.log_prob(torch.tensor(z).double())))

    return quad(information, -9, 9, limit=400)[0], quad(marginal, -9, 9, limit=400)[0]


@pytest.mark.parametrize("control", [True, False])
def test_on_the_line_each_part_is_its_integral(control):
    """Each by itself, and not only their sum; 4 standard errors of 2,000 draws a row."""
    q = posteriors(5, 1)
    information, marginal = one_dimensional(q)
    found = [dissect(q, 200, seed=seed, control=control) for seed in range(10)]
    for drawn, exact in (
        ([each.mutual_information.mean() for each in found], information),
        ([each.marginal_kl.mean() for each in found], marginal),
        ([each.marginals.mean() for each in found], marginal),
    ):
        values = torch.stack(drawn)
        assert abs(values.mean().item() - exact) < 4 * values.std().item() / math.sqrt(10)
        assert values.std() < 0.1
    assert torch.stack([each.total_correlation for each in found]).abs().max() < 1e-9
    kl = kl_divergence(q, StandardGaussian(torch.zeros(1).double(), torch.zeros(1).double())).mean().item()
    assert information + marginal == pytest.approx(kl, abs=1e-8)


def test_in_the_plane_total_correlation_and_dimension_wise_kl_are_their_integrals():
    q = posteriors(4, 2)
    mixture, (first, second) = aggregated_posterior(q), aggregated_marginals(q)
    axis = torch.linspace(-7, 7, 901, dtype=torch.float64)
    width, line = float(axis[1] - axis[0]), axis[:, None]
    grid = torch.cartesian_prod(axis, axis)
    log_q, log_product = (
        mixture.log_prob(grid),
        (first.log_prob(line)[:, None] + second.log_prob(line)).flatten(),
    )
    correlation = float((log_q.exp() * (log_q - log_product)).sum() * width**2)
    p = Normal(0.0, 1.0).log_prob(axis)
    entries = [
        float((m.exp() * (m - p)).sum() * width)
        for m in (distribution.log_prob(line) for distribution in (first, second))
    ]
    found = [dissect(q, 400, seed=seed) for seed in range(10)]
    drawn = {
        correlation: [each.total_correlation.mean() for each in found],
        entries[0]: [each.entries[:, 0].mean() for each in found],
        entries[1]: [each.entries[:, 1].mean() for each in found],
    }
    for exact, values in drawn.items():
        values = torch.stack(values)
        assert abs(values.mean().item() - exact) < 4 * values.std().item() / math.sqrt(10)


def test_the_parts_add_up_to_the_closed_form_row_by_row_and_have_less_noise():
    q = posteriors(40, 5)
    prior = StandardGaussian(torch.zeros(5).double(), torch.zeros(5).double())
    parts = dissect(q, 6)
    total = parts.mutual_information + parts.total_correlation + parts.entries.sum(1)
    assert (total - kl_divergence(q, prior)).abs().max() < 1e-9
    assert torch.allclose(parts.marginal_kl, parts.kl - parts.mutual_information)
    for name in ("mutual_information", "marginal_kl"):
        spread = [
            torch.stack([getattr(dissect(q, 6, seed=s, control=c), name).mean() for s in range(12)]).std()
            for c in (True, False)
        ]
        assert spread[0] < spread[1]


def test_without_a_closed_form_the_parts_add_up_to_the_mean_over_the_draws():
    q, prior = posteriors(9, 3), Independent(Normal(torch.zeros(3).double(), 1.0), 1)
    parts, z = dissect(q, 6, control=False), draws(q, 6)
    assert torch.allclose(parts.kl, (q.log_prob(z) - prior.log_prob(z)).mean(0), atol=1e-12)


def test_codes_that_are_independent_have_no_total_correlation():  # A11
    grid = torch.cartesian_prod(torch.linspace(-2, 2, 12), torch.linspace(-2, 2, 12)).double()
    parts = dissect(DiagonalGaussian(grid, torch.full_like(grid, -3.0)), 20)
    assert parts.total_correlation.abs().max() < 1e-6
    assert parts.mutual_information.mean() > 2


def test_codes_that_are_far_apart_tell_which_row_it_is_and_equal_ones_nothing():  # A10
    apart = torch.arange(50.0).double()[:, None].expand(50, 2) * 20
    parts = dissect(DiagonalGaussian(apart, torch.zeros_like(apart)), 4)
    assert parts.mutual_information.mean().item() == pytest.approx(math.log(50), abs=1e-9)
    same = torch.zeros(50, 2).double()
    parts = dissect(DiagonalGaussian(same, same), 4)
    assert parts.kl.abs().max() < 1e-12
    assert parts.mutual_information.abs().max() < 1e-9


def test_the_aggregated_posterior_is_the_best_prior_by_exactly_the_marginal_kl():
    """mean KL(q_i ‖ p) − mean KL(q_i ‖ q_agg) = KL(q_agg ‖ p), each by quadrature."""
    q = posteriors(5, 1)
    mixture, p = aggregated_posterior(q), Normal(0.0, 1.0)

    def mean_kl(log_prior) -> float:
        def integrand(z: float) -> float:
            z = torch.tensor([[z]]).double()
            log_q = q.log_prob(z)
            return float((log_q.exp() * (log_q - log_prior(z))).mean())

        return quad(integrand, -9, 9, limit=400)[0]

    rise = mean_kl(lambda z: p.log_prob(z[:, 0])) - mean_kl(mixture.log_prob)
    assert rise == pytest.approx(one_dimensional(q)[1], abs=1e-8)


def test_replacing_the_prior_of_a_model_by_the_aggregated_posterior_raises_its_elbo_by_that():
    """On a fitted VAE's training rows, draw by draw, blocked."""
    run, rows = vae(epochs=1), Rows(torch.from_numpy(X), DataSpec((3,), Support("real")))
    found = scored(run.model, rows, "surgery")
    with torch.no_grad():
        q = all_posteriors([run.model.encode(part) for part in torch.from_numpy(X).split(7)])
        best = aggregated_posterior(q)
        z = draws(q, 4000)
        log_p = run.model.prior_distribution().log_prob(z.float()).double()
        rises = (log_prob_in_blocks(best, z, len(X)) - log_p).mean(1)
    assert isinstance(best, DiagonalMixture)
    error = rises.std().item() / math.sqrt(4000) + found["surgery/marginal-kl"].stderr
    assert abs(found["surgery/marginal-kl"].value - rises.mean().item()) < 4 * error


def test_the_distribution_of_all_codes_is_torchs_mixture_for_both_families_and_in_blocks(monkeypatch):
    diagonal = posteriors(30, 3)
    full = MultivariateNormal(diagonal.mean, torch.diag_embed(diagonal.variance))
    z = torch.randn(4, 11, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    mixture = MixtureSameFamily(
        Categorical(torch.ones(30).double()), Independent(Normal(diagonal.mean, diagonal.variance.sqrt()), 1)
    )
    expected = mixture.log_prob(z)
    for q in (diagonal, full):
        distribution = aggregated_posterior(all_posteriors([q]))
        assert torch.allclose(log_prob_in_blocks(distribution, z, 30), expected, atol=1e-9)
        assert torch.allclose(log_prob_in_blocks(distribution, z, 10**6), expected, atol=1e-9)
        for j, marginal in enumerate(aggregated_marginals(q)):
            own = MixtureSameFamily(
                Categorical(torch.ones(30).double()),
                Normal(diagonal.mean[:, j], diagonal.variance[:, j].sqrt()),
            )
            assert torch.allclose(marginal.log_prob(z[0, :, j : j + 1]), own.log_prob(z[0, :, j]), atol=1e-9)


# What an objective weighs, units, saturation


def test_the_weighted_bound_is_the_elbo_and_the_objectives_of_the_field():
    parts, reconstruction = dissect(posteriors(8, 3), 5), torch.linspace(-9, -3, 8).double()
    assert torch.allclose(weighted_bound(reconstruction, parts), reconstruction - parts.kl)
    beta = weighted_bound(reconstruction, parts, mutual_information=4, total_correlation=4, marginals=4)
    assert torch.allclose(beta, reconstruction - 4 * parts.kl)
    tc = weighted_bound(reconstruction, parts, total_correlation=6)
    assert torch.allclose(tc, reconstruction - parts.kl - 5 * parts.total_correlation)
    with pytest.raises(UsageError, match="nothing is broadcast"):
        weighted_bound(reconstruction[:1], parts)


def test_active_units_are_those_whose_mean_moves():
    means = torch.stack([torch.linspace(0, 0.1, 50), torch.linspace(0, 1, 50), torch.full((50,), 3.0)], 1)
    assert active_units(means).tolist() == [False, True, False]
    assert is_saturated(4.3, 100)
    assert not is_saturated(4.0, 100)


def test_the_metric_warns_where_the_information_saturates_and_counts_dead_units():
    sharp = LinearGaussian(torch.eye(4)[:, :2] * 3, torch.zeros(4), 0.01)
    model = as_latent_variable(sharp)
    with torch.no_grad():
        model.encoder.layers[0].weight[0] = 0  # the first mean code never moves
    rows = Rows(sharp.rows(40).x.double(), sharp.rows(2).spec)
    found = scored(model, rows, "surgery")
    information = found["surgery/mutual-information"]
    assert information.settings["saturated"]
    assert information.settings["log_n"] == pytest.approx(math.log(40))
    assert "near its limit, log n = 3.69: give more rows" in information.kind
    assert found["surgery/active-units"].value == 1
    plain = scored(
        as_latent_variable(linear_gaussian()),
        Rows(linear_gaussian().rows(300).x.double(), sharp.rows(2).spec),
        "surgery",
    )
    assert not plain["surgery/mutual-information"].settings["saturated"]
    assert plain["surgery/active-units"].value == 2


def test_the_metrics_terms_add_up_and_are_those_of_the_closed_form():
    problem = linear_gaussian(slack=0.2)
    weight = torch.linalg.qr(problem.weight)[0] * torch.tensor([1.5, 0.8]).double()
    problem = LinearGaussian(weight, problem.bias, 0.7, slack=0.2)
    model, rows = as_latent_variable(problem), Rows(problem.rows(200).x.double(), problem.rows(2).spec)
    found = scored(model, rows, "surgery")
    value = {name.removeprefix("surgery/"): each.value for name, each in found.items()}
    parts = value["mutual-information"] + value["total-correlation"] + value["dimension-wise-kl"]
    assert parts == pytest.approx(value["kl"], abs=1e-9)
    assert value["marginal-kl"] == pytest.approx(value["kl"] - value["mutual-information"], abs=1e-9)
    assert value["elbo"] == pytest.approx(value["reconstruction"] - value["kl"], abs=1e-9)
    assert value["kl"] == pytest.approx(
        kl_divergence(model.encode(rows.x), model.prior_distribution()).mean().item(), abs=1e-9
    )
    assert sum(found["surgery/dimension-wise-kl"].settings["entries"]) == pytest.approx(
        value["dimension-wise-kl"]
    )
    assert abs(value["elbo"] - problem.elbo(rows.x).mean().item()) < 4 * 2 / math.sqrt(8 * 200)
    assert value["mutual-information"] < math.log(200)


def test_priors_and_posteriors_without_a_closed_form():
    rows = Rows(torch.from_numpy(X), DataSpec((3,), Support("real")))
    mixture = scored(vae(epochs=1, prior="gaussian-mixture", prior_components=3).model, rows, "surgery")
    assert "depend on each other" in mixture["surgery/dimension-wise-kl"].reason
    assert mixture["surgery/kl"].kind.startswith("estimate")
    whole = mixture["surgery/mutual-information"].value + mixture["surgery/marginal-kl"].value
    assert whole == pytest.approx(mixture["surgery/kl"].value, abs=1e-9)
    full = scored(vae(epochs=1, posterior="full").model, rows, "surgery")
    assert full["surgery/kl"].kind == "exact"
    assert full["surgery/total-correlation"].value > -0.05
    (flow,) = score(Evaluation(vae(epochs=1, posterior="realnvp").model, rows), ["surgery"])
    assert "choose posterior='diagonal' or 'full'" in flow.reason


# Gaps


def planted(weight: Tensor, slack: float) -> tuple[LinearGaussian, Rows]:
    problem = LinearGaussian(weight, torch.zeros(4), 0.7, slack=slack)
    x = problem.rows(30).x.double()
    return problem, Rows(x, problem.rows(2).spec, log_density=problem.log_prob)


def test_the_gap_of_an_encoder_that_is_off_is_its_kl_and_all_amortisation():
    """With a diagonal posterior the family holds the exact one, so that its gap is 0; four errors of the draws."""
    weight = torch.linalg.qr(linear_gaussian().weight)[0] * torch.tensor([1.5, 0.8]).double()
    problem, rows = planted(weight, slack=0.4)
    found = scored(as_latent_variable(problem), rows, "gaps", **SMALL)
    exact = kl_divergence(problem.encode(rows.x), problem.posterior(rows.x)).mean().item()
    assert found["gaps/inference"].value == pytest.approx(exact, abs=0.12)
    assert found["gaps/approximation"].value == pytest.approx(0, abs=0.12)
    assert found["gaps/amortisation"].value == pytest.approx(exact, abs=0.03)
    assert found["gaps/model"].value == pytest.approx(0, abs=0.12)
    both = found["gaps/approximation"].value + found["gaps/amortisation"].value
    assert both == pytest.approx(found["gaps/inference"].value, abs=1e-9)
    assert found["gaps/inference"].kind.startswith("lower bound")


def test_the_gap_of_a_family_that_is_too_small_is_the_least_kl_of_it():
    """The best diagonal Gaussian has the variances 1/Λ_jj of the precision Λ: ½ (Σ log Λ_jj − log det Λ) is left."""
    weight = torch.tensor([[1.5, 1.2], [1.0, 1.4], [0.2, -0.3], [0.9, 0.8]]).double()
    problem, rows = planted(weight, slack=0.0)
    precision = torch.linalg.inv(problem.posterior_covariance)
    least = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision)).item()
    assert least > 0.3
    found = scored(as_latent_variable(problem), rows, "gaps", **SMALL)
    assert found["gaps/approximation"].value == pytest.approx(least, abs=0.12)
    assert (
        found["gaps/amortisation"].value > 0.02
    )  # the encoder writes the marginal variances, which are too wide


def test_the_gap_of_a_model_that_is_wrong_is_the_kl_from_the_data():
    weight = torch.linalg.qr(linear_gaussian().weight)[0]
    truth, rows = planted(weight, slack=0.0)
    shifted = LinearGaussian(weight, torch.full((4,), 0.5), 0.7)
    found = scored(as_latent_variable(shifted), rows, "gaps", **SMALL)
    expected = (truth.log_prob(rows.x) - shifted.log_prob(rows.x)).mean().item()
    assert found["gaps/model"].value == pytest.approx(expected, abs=0.12)
    unknown = scored(
        as_latent_variable(shifted), Rows(rows.x, rows.spec), "gaps", ais_rows=2, ais_temperatures=2
    )
    assert "not known" in unknown["gaps/model"].reason
    assert unknown["gaps/model"].value is None


def test_toy_sets_whose_density_is_known_have_a_model_gap_and_flows_have_gaps():
    run = lt.fit("vae", "ring", epochs=1, hidden=8, latent_dim=2, posterior="realnvp", progress=False)
    table = lt.evaluate(run, metrics="gaps", ais_rows=6, ais_chains=2, ais_temperatures=5).set_index("metric")
    assert table["value"].notna().all()
    assert table["n"].tolist() == [6] * 4


# The figure


def bars(axes) -> list[tuple[float, float]]:
    return [(bar.get_x(), bar.get_width()) for bar in axes.patches]


def test_the_bars_add_up_to_the_kl_and_to_the_gap():
    weight = torch.linalg.qr(linear_gaussian().weight)[0]
    problem, rows = planted(weight, slack=0.3)
    evaluation = Evaluation.of(
        as_latent_variable(problem), rows, ais_rows=8, ais_chains=4, ais_temperatures=40
    )
    scores = score(evaluation, ["surgery", "gaps"])
    value = {each.metric: each.value for each in scores}
    figure = gap_bars(scores)
    expected = (value["surgery/kl"], value["gaps/inference"] + value["gaps/model"])
    for axes, total in zip(figure.axes, expected, strict=True):
        drawn, reached = bars(axes), 0.0
        for start, width in drawn:
            assert start == pytest.approx(reached, abs=1e-9)
            reached += width
        assert len(drawn) == 3
        assert reached == pytest.approx(total, abs=1e-9)
    assert [axes.get_title() for axes in figure.axes] == [
        "Terms of the KL",
        "From the ELBO to log p_data",
    ]


def test_the_figure_shows_what_is_known():
    terms = {"mutual-information": 2.0, "marginal-kl": 1.0, "total-correlation": 0.4, "kl": 3.0}
    surgery = [Score(f"surgery/{name}", value, 0.1) for name, value in terms.items()]
    missing = Score("surgery/dimension-wise-kl", None, reason="none")
    (plain,) = gap_bars([*surgery, missing]).axes
    assert bars(plain) == [(0, 2.0), (2.0, 1.0)]
    errors = [
        each for each in plain.collections if each.get_zorder() > max(b.get_zorder() for b in plain.patches)
    ]
    assert len(errors) == 2  # over all bars: the next one would cover half of them
    gaps = [Score("gaps/approximation", -0.1), Score("gaps/amortisation", 0.5)]
    assert [title for title, _ in gap_plots(gaps)] == ["From the ELBO to log p(x)"]
    (negative,) = gap_bars(gaps).axes
    assert sum(width for _, width in bars(negative)) == pytest.approx(0.4)
    with pytest.raises(UsageError, match="surgery"):
        gap_bars([missing])
    assert gap_sections([missing]) == []
    (section,) = gap_sections([*surgery, *gaps])
    assert [each.title for each in section.exhibits] == [
        "Terms of the KL",
        "From the ELBO to log p(x)",
    ]
