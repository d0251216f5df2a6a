"""The f-divergences against the field's tables, each other and known values. Errata E28 to E31, trap T4."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from scipy import optimize
from scipy.special import lambertw
from tests.draws import line
from torch import Tensor
from torch.distributions import Normal

import latentia as lt
from latentia.errors import DataError, UsageError
from latentia.functional.f_divergences import FDivergence, from_function
from latentia.functional.f_divergences._numerics import inverse_logsigmoid, log_softplus, weighted_expm1
from latentia.functional.gan.loss_pairs import LOSS_PAIRS

LOG_2 = math.log(2)
log, exp, sqrt = torch.log, torch.exp, torch.sqrt


def random_vectors(n: int = 50, k: int = 5) -> tuple[Tensor, Tensor]:
    logits = 1.5 * torch.randn(2, n, k, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return tuple(logits.softmax(-1))  # type: ignore[return-value]


# --- the table of the paper, row by row, as it stands there -------------------------------------------------------


def lambert(t: Tensor) -> Tensor:
    return torch.from_numpy(lambertw(exp(1 - t).numpy()).real)


def squash(v: Tensor) -> Tensor:
    return -log(1 + exp(-v))


PI, A, B = 0.3, 0.3, 3.0

# name: f(u), T*(u), g(v), f*(t), f'(1)
TABLE = {
    "total-variation": (
        lambda u: 0.5 * abs(u - 1), lambda u: 0.5 * torch.sign(u - 1), lambda v: 0.5 * torch.tanh(v), lambda t: t, 0,
    ),
    "kl": (lambda u: u * log(u), lambda u: 1 + log(u), lambda v: v, lambda t: exp(t - 1), 1),
    "reverse-kl": (lambda u: -log(u), lambda u: -1 / u, lambda v: -exp(-v), lambda t: -1 - log(-t), -1),
    "pearson": (
        lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1), lambda v: v,
        lambda t: torch.where(t >= -2, t**2 / 4 + t, -1.0), 0,
    ),
    "neyman": (
        lambda u: (1 - u) ** 2 / u, lambda u: 1 - u**-2, lambda v: 1 - exp(-v), lambda t: 2 - 2 * sqrt(1 - t), 0,
    ),
    "squared-hellinger": (
        lambda u: (sqrt(u) - 1) ** 2, lambda u: 1 - u**-0.5, lambda v: 1 - exp(-v), lambda t: t / (1 - t), 0,
    ),
    "jeffreys": (
        lambda u: (u - 1) * log(u), lambda u: 1 + log(u) - 1 / u, lambda v: v,
        lambda t: lambert(t) + 1 / lambert(t) + t - 2, 0,
    ),
    "jensen-shannon": (
        lambda u: -(u + 1) * log((1 + u) / 2) + u * log(u), lambda u: log(2 * u / (u + 1)),
        lambda v: LOG_2 + squash(v), lambda t: -log(2 - exp(t)), 0,
    ),
    "jensen-shannon-weighted": (
        lambda u: PI * u * log(u) - (1 - PI + PI * u) * log(1 - PI + PI * u),
        lambda u: PI * log(u / (1 - PI + PI * u)), lambda v: -PI * math.log(PI) + squash(v),
        lambda t: (1 - PI) * log((1 - PI) / (1 - PI * exp(t / PI))), 0,
    ),
    "gan": (
        lambda u: u * log(u) - (u + 1) * log(u + 1), lambda u: log(u / (u + 1)), squash,
        lambda t: -log(1 - exp(t)), -LOG_2,
    ),
    "alpha below 1": (
        lambda u: (u**A - 1 - A * (u - 1)) / (A * (A - 1)), lambda u: (u ** (A - 1) - 1) / (A - 1),
        lambda v: 1 / (1 - A) + squash(v), lambda t: ((t * (A - 1) + 1) ** (A / (A - 1)) - 1) / A, 0,
    ),
    "alpha above 1": (
        lambda u: (u**B - 1 - B * (u - 1)) / (B * (B - 1)), lambda u: (u ** (B - 1) - 1) / (B - 1), lambda v: v,
        lambda t: ((t * (B - 1) + 1).clamp(min=0) ** (B / (B - 1)) - 1) / B, 0,
    ),
}  # fmt: skip


def record(name: str) -> FDivergence:
    parameter = {"jensen-shannon-weighted": PI, "alpha below 1": A, "alpha above 1": B}.get(name)
    entry = lt.divergences[name.split()[0]]
    return entry if parameter is None else entry(parameter)


def test_the_table_has_every_member():
    assert {name.split()[0] for name in TABLE} == set(lt.divergences)


@pytest.mark.parametrize("name", TABLE)
def test_row_of_the_table(name):
    f, critic, activation, conjugate, threshold = TABLE[name]
    divergence, u, v = record(name), line(-3, 3, 60).exp(), line(-6, 6, 60)
    same = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
    same(divergence.f(u), f(u))
    same(divergence.derivative(u), critic(u))
    same(divergence.activation(v), activation(v))
    same(divergence.conjugate(activation(v)), conjugate(activation(v)))
    assert float(divergence.derivative(torch.ones(1).double())) == pytest.approx(threshold, abs=1e-15)
    assert divergence.at_one == (-2 * LOG_2 if name == "gan" else 0.0)


# --- identities between members -----------------------------------------------------------------------------------


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum(-1)


def jsd(p: Tensor, q: Tensor) -> Tensor:
    m = (p + q) / 2
    return (kl(p, m) + kl(q, m)) / 2


def test_identities():
    p, q = random_vectors()
    same = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-12)
    D = {name: lt.divergences[name] for name in lt.divergences}
    same(D["kl"].discrete(p, q), kl(p, q))
    same(D["reverse-kl"].discrete(p, q), kl(q, p))
    same(D["jeffreys"].discrete(p, q), kl(p, q) + kl(q, p))
    same(D["jensen-shannon"].discrete(p, q), 2 * jsd(p, q))  # T4, E28: twice the divergence of that name
    same(D["jensen-shannon"].discrete(p, q), D["jensen-shannon"].discrete(q, p))
    same(D["jensen-shannon-weighted"](0.5).discrete(p, q), jsd(p, q))
    same(D["jensen-shannon-weighted"](0.3).discrete(p, q), D["jensen-shannon-weighted"](0.7).discrete(q, p))
    same(D["gan"].discrete(p, q), 2 * jsd(p, q) - math.log(4))
    same(D["total-variation"].discrete(p, q), (p - q).abs().sum(-1) / 2)
    same(D["squared-hellinger"].discrete(p, q), 2 - 2 * (p * q).sqrt().sum(-1))
    same(D["pearson"].discrete(p, q), (p**2 / q).sum(-1) - 1)
    same(D["neyman"].discrete(p, q), (q**2 / p).sum(-1) - 1)
    same(D["alpha"](2.0).discrete(p, q), D["pearson"].discrete(p, q) / 2)
    same(D["alpha"](-1.0).discrete(p, q), D["neyman"].discrete(p, q) / 2)
    same(D["alpha"](0.5).discrete(p, q), 2 * D["squared-hellinger"].discrete(p, q))


@pytest.mark.parametrize("a", [-2.0, 0.3, 0.5, 0.7, 3.0])
def test_alpha_has_p_to_the_alpha(a):
    """E29: at ½ a reversal is invisible; at 0.3 and 3 it is not."""
    p, q = random_vectors()
    printed = ((p**a * q ** (1 - a)).sum(-1) - 1) / (a * (a - 1))
    value = lt.divergences["alpha"](a).discrete(p, q)
    torch.testing.assert_close(value, printed, rtol=1e-10, atol=1e-12)
    reversed_ = lt.divergences["alpha"](a).discrete(q, p)
    assert ((value - reversed_).abs() > 1e-3 * value).any() == (a != 0.5)
    torch.testing.assert_close(lt.divergences["alpha"](1 - a).discrete(q, p), value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("gap", [1e-4, 1e-8, 1e-12, -1e-4, -1e-8, -1e-12])
def test_alpha_tends_to_kl_and_reverse_kl_without_losing_digits(gap):
    p, q = random_vectors()
    close = {"rtol": 10 * abs(gap) + 1e-10, "atol": 1e-12}
    torch.testing.assert_close(lt.divergences["alpha"](1 + gap).discrete(p, q), kl(p, q), **close)
    torch.testing.assert_close(lt.divergences["alpha"](gap).discrete(p, q), kl(q, p), **close)
    u, t = line(-2, 2, 20).exp(), line(-3, 0.5, 20)
    torch.testing.assert_close(lt.divergences["alpha"](1 + gap).f(u), u * u.log() - (u - 1), **close)
    torch.testing.assert_close(lt.divergences["alpha"](gap).f(u), -u.log() + (u - 1), **close)
    torch.testing.assert_close(lt.divergences["alpha"](1 + gap).conjugate(t), t.exp() - 1, **close)
    torch.testing.assert_close(lt.divergences["alpha"](gap).conjugate(t), -(1 - t).log(), **close)


REVERSES = [
    ("kl", "reverse-kl"), ("reverse-kl", "kl"), ("pearson", "neyman"), ("neyman", "pearson"),
    ("total-variation",) * 2, ("squared-hellinger",) * 2, ("jeffreys",) * 2, ("jensen-shannon",) * 2, ("gan",) * 2,
]  # fmt: skip


@pytest.mark.parametrize(
    ("divergence", "partner"),
    [(lt.divergences[a], lt.divergences[b]) for a, b in REVERSES]
    + [(lt.divergences["alpha"](a), lt.divergences["alpha"](1 - a)) for a in (-1.5, 0.3, 3.0)]
    + [(lt.divergences["jensen-shannon-weighted"](0.3), lt.divergences["jensen-shannon-weighted"](0.7))],
    ids=lambda each: each.name,
)
def test_reverse_is_the_partner_with_its_conjugate_and_domain(divergence, partner):
    reverse, same = divergence.reverse(), partial(torch.testing.assert_close, rtol=1e-8, atol=1e-8)
    assert (reverse.at_zero, reverse.domain.high) == pytest.approx((partner.at_zero, partner.domain.high))
    assert reverse.domain.at_high == pytest.approx(partner.domain.at_high)
    u = line(-3, 3, 30).exp()
    same(reverse.f(u), partner.f(u))
    same(reverse.derivative(u), partner.derivative(u))
    t = partner.derivative(u)
    t = torch.cat([t, t.min() - line(0.1, 3, 5), t.max() + line(0.1, 3, 5)])  # to both sides of the domain
    same(reverse.conjugate(t), partner.conjugate(t))


# --- known values -------------------------------------------------------------------------------------------------


def test_worked_example():
    p, q = torch.tensor([9, 12, 4]).double() / 25, torch.full((3,), 1 / 3).double()
    assert float(lt.divergences["kl"].discrete(p, q)) == pytest.approx(0.0852996, abs=5e-8)
    assert float(lt.divergences["reverse-kl"].discrete(p, q)) == pytest.approx(0.097455, abs=5e-7)


def test_point_masses_apart_have_infinite_kl_and_saturated_jensen_shannon():
    """E31: JSD stops at log 2 wherever the other mass is; KL is infinite."""
    for theta in (1, 2, 3):
        p, q = torch.eye(4, dtype=torch.float64)[[0, theta]]
        assert lt.divergences["kl"].discrete(p, q) == math.inf
        assert float(lt.divergences["jensen-shannon"].discrete(p, q)) / 2 == pytest.approx(LOG_2)
        assert float(lt.divergences["gan"].discrete(p, q)) == 0.0


def js_of_uniforms(theta: float) -> float:
    """Return JSD(U[0, 1], U[θ, θ + 1]) by quadrature."""
    half = 7 / 280_000  # the uniforms' ends lie between points, so that their masses on the grid are exact
    x = line(-3 + half, 4 - half, 140_000)
    p, q = (torch.where((x >= low) & (x < low + 1), 0.0, -torch.inf).double() for low in (0.0, theta))
    return float(lt.divergences["jensen-shannon"].densities(p, q, x)) / 2


def test_jensen_shannon_of_disjoint_uniforms_has_no_slope_in_theta():
    for theta in (-2.0, 1.5, 2.5):
        slope = (js_of_uniforms(theta + 0.1) - js_of_uniforms(theta - 0.1)) / 0.2
        assert js_of_uniforms(theta) == pytest.approx(LOG_2, abs=1e-4)
        assert slope == pytest.approx(0.0, abs=1e-10)
    overlapping = (js_of_uniforms(0.6) - js_of_uniforms(0.4)) / 0.2
    assert overlapping == pytest.approx(LOG_2, abs=1e-3)  # JSD = θ log 2 for 0 ≤ θ ≤ 1


def test_value_of_the_gan_game_at_its_optimum():
    """E log D* + E log(1 − D*) with D* = p/(p + q) is 2 JSD − log 4; for p = q, D* = ½ gives −log 4."""
    gan = lt.divergences["gan"]
    p, q = random_vectors()
    D = p / (p + q)
    value = (p * D.log()).sum(-1) + (q * (1 - D).log()).sum(-1)
    torch.testing.assert_close(value, 2 * jsd(p, q) - math.log(4))
    torch.testing.assert_close(gan.discrete(p, q), value)
    on_real, on_fake = gan.loss().critic(gan.optimal_score((p / q).log()), gan.optimal_score((p / q).log()))
    torch.testing.assert_close(-(p * on_real + q * on_fake).sum(-1), value)
    torch.testing.assert_close(gan.discrete(p, p), torch.full((50,), -math.log(4)).double())
    assert torch.sigmoid(gan.optimal_score(torch.zeros(1))) == 0.5


def test_losses_of_the_gan_record_are_those_of_the_first_gan():
    """E4, E25: the two generators are two losses."""
    v = line(-60, 60, 25)
    gan, nothing = lt.divergences["gan"], torch.empty(0)
    for non_saturating, name in ((False, "minimax"), (True, "non-saturating")):
        pair, field = gan.loss(non_saturating=non_saturating), LOSS_PAIRS[name]
        torch.testing.assert_close(pair.critic(v, v), field.critic(v, v))
        torch.testing.assert_close(pair.generator(v, nothing), field.generator(v, nothing))


def test_monte_carlo_of_equal_distributions_has_no_error_and_misses_mass_that_q_lacks():
    estimate = lt.divergences["kl"].monte_carlo(torch.zeros(10))
    assert (float(estimate.value), float(estimate.stderr)) == (0.0, 0.0)
    one_side = lt.divergences["reverse-kl"].monte_carlo(torch.tensor([0.0, -torch.inf]))
    assert one_side.value == math.inf


# --- Gaussian against a mixture, exact part of the f-GAN paper's experiment -----------------------------------------

# name: D*, mu*, sigma*
EXACT = {
    "kl": (0.288093, 1.01000, 1.83044),
    "reverse-kl": (0.250673, 1.58409, 1.62942),
    "jensen-shannon": (0.129827, 1.31252, 1.75247),
    "jeffreys": (0.579101, 1.32492, 1.70227),
    "pearson": (0.661622, 0.56632, 1.92675),
}
GRID = line(-25, 25, 20_001)


def target() -> Tensor:
    parts = [
        Normal(-1.0, 0.25).log_prob(GRID) + math.log(0.33),
        Normal(2.0, math.sqrt(2)).log_prob(GRID) + math.log(0.67),
    ]
    return torch.logaddexp(*parts)


def distance(name: str, theta: tuple[float, float]) -> float:
    mu, log_sigma = theta
    q = Normal(mu, math.exp(log_sigma)).log_prob(GRID)
    return float(lt.divergences[name].densities(target(), q, GRID))


@pytest.mark.parametrize("name", EXACT)
def test_gaussian_nearest_to_a_mixture(name):
    value, mu, sigma = EXACT[name]
    assert distance(name, (mu, math.log(sigma))) == pytest.approx(value, abs=1e-5)
    best = optimize.minimize(
        partial(distance, name),
        (1.2, math.log(1.7)),
        method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-10},
    )
    assert best.fun == pytest.approx(value, abs=1e-5)
    assert (best.x[0], math.exp(best.x[1])) == pytest.approx((mu, sigma), abs=1e-3)


def test_each_gaussian_is_the_nearest_by_its_own_divergence():
    """The second table of that experiment: each column has its least value on the diagonal."""
    for test in EXACT:
        column = {train: distance(test, (mu, math.log(sigma))) for train, (_, mu, sigma) in EXACT.items()}
        assert min(column, key=column.__getitem__) == test
    assert distance("pearson", (1.58409, math.log(1.62942))) == pytest.approx(1.4801, abs=5e-5)


# --- a generator of the user's --------------------------------------------------------------------------------------

CUSTOM = {
    "kl": lambda u: torch.xlogy(u, u),
    "reverse-kl": lambda u: -u.log(),
    "pearson": lambda u: (u - 1) ** 2,
    "neyman": lambda u: (1 - u) ** 2 / u,
    "squared-hellinger": lambda u: (u.sqrt() - 1) ** 2,
    "total-variation": lambda u: (u - 1).abs() / 2,
    "jeffreys": lambda u: (u - 1) * u.log(),
    "jensen-shannon": lambda u: torch.xlogy(u, u) - (u + 1) * ((u + 1) / 2).log(),
}


@pytest.mark.parametrize("name", CUSTOM)
def test_a_function_gives_the_divergence_that_has_closed_forms(name):
    custom, known = from_function(CUSTOM[name]), lt.divergences[name]
    same = partial(torch.testing.assert_close, rtol=1e-7, atol=1e-7)
    assert custom.domain.high == pytest.approx(known.domain.high)
    assert custom.domain.at_high == pytest.approx(known.domain.at_high, abs=1e-6)
    assert custom.at_zero == pytest.approx(known.at_zero)
    u = line(-3, 3, 30).exp()
    t = known.derivative(u)
    same(custom.derivative(u), t)
    same(custom.conjugate(t), known.conjugate(t))
    below = t.min() - line(0.1, 3, 5)
    same(custom.conjugate(below), known.conjugate(below))
    p, q = random_vectors(10)
    same(custom.discrete(p, q), known.discrete(p, q))
    holed = torch.tensor([0.0, 0.4, 0.6, 0.0]).double(), torch.tensor([0.3, 0.0, 0.7, 0.0]).double()
    same(custom.discrete(*holed), known.discrete(*holed))
    ratio = (p / q).log()
    real, fake = custom.bound_terms(custom.optimal_critic(ratio), custom.optimal_critic(ratio))
    same((p * real).sum(-1) - (q * fake).sum(-1), known.discrete(p, q))
    v = line(-3, 3, 11)
    assert (custom.activation(v).diff() > 0).all()
    assert custom.conjugate_of_activation(v).isfinite().all()
    same(custom.reverse().discrete(p, q), known.discrete(q, p))
    finite = custom.optimal_score(ratio).isfinite()
    same(custom.activation(custom.optimal_score(ratio))[finite], custom.optimal_critic(ratio)[finite])
    single = custom.discrete(p.float(), q.float())
    assert single.dtype == torch.float32


def test_a_custom_divergence_trains_a_critic():
    """Gradient ascent on the bound's scores reaches the divergence, from above no more than rounding."""
    custom = from_function(lambda u: (u - 1).abs() ** 1.5)
    p, q = random_vectors(1, 3)
    v = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([v], max_iter=200, line_search_fn="strong_wolfe")

    def minus_bound() -> Tensor:
        optimiser.zero_grad()
        on_real, on_fake = custom.loss().critic(v, v)
        loss = (p * on_real + q * on_fake).sum()
        loss.backward()
        return loss

    optimiser.step(minus_bound)
    bound, exact = -float(minus_bound().detach()), float(custom.discrete(p, q))
    assert bound == pytest.approx(exact, rel=1e-4)
    assert bound <= exact + 1e-12


def jumps_up_at_one(u: Tensor) -> Tensor:
    """E27 moved to 1: −1 below, (u − 1)² from there, so that f(1) = 0 lies above its limit −1."""
    return torch.where(u < 1, -1.0, (u - 1).square())


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda u: u * u.sin() - math.sin(1), r"f is not convex: f\(.*\) = .* is above the chord from f\("),
        (lambda u: -((u - 1) ** 2), r"f is not convex: f\(.*\) = .* is above the chord"),
        (lambda u: u.square(), r"f\(1\) must be 0.*got f\(1\) = 1: subtract it"),
        (jumps_up_at_one, r"not lower semicontinuous: f\(1\) = 0, but f\(1\) = -1 next to it"),
        (lambda u: torch.where(u > 0, (u - 1) ** 2, 5.0), r"not lower semicontinuous: f\(0\) = 5, but f\(1e-300\) = 1"),
        (lambda u: u * u.log(), r"f\(0\) is NaN; give its limit as at_zero="),
        (lambda u: torch.where(u > 2, torch.inf, (u - 1) ** 2), r"f must be finite for u > 0; got f\(2\..*\) = inf"),
        (lambda u: (u - 1).sum(), "f must map entry by entry"),
    ],
)  # fmt: skip
def test_a_function_that_defines_no_divergence_is_refused_with_its_witness(f, message):
    with pytest.raises(ValueError, match=message):
        from_function(f)


def test_limits_and_breakpoints_can_be_given():
    given = from_function(lambda u: u * u.log(), at_zero=0.0)
    p, q = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5])
    assert float(given.discrete(p, q)) == pytest.approx(LOG_2)

    def jumps_down_at_pi(u: Tensor) -> Tensor:
        return torch.where(u == math.pi, 5.0 + 0 * u, (u - 1).square())

    with pytest.raises(DataError, match=r"f\(3.14159\) = 5, but f\(3.14159\) = 4.58"):
        from_function(jumps_down_at_pi, breakpoints=(math.pi,))
    with pytest.raises(UsageError, match="breakpoints must be positive"):
        from_function(jumps_down_at_pi, breakpoints=(0.0,))


# --- parameters and stable parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("alpha", 1, "alpha = 1 is a limit: use 'kl'"),
        ("alpha", 0.0, "alpha = 0 is a limit: use 'reverse-kl'"),
        ("alpha", math.nan, "alpha must be a finite number"),
        ("jensen-shannon-weighted", 0.0, "weight must be above 0 and below 1"),
        ("jensen-shannon-weighted", 1.5, "weight must be above 0 and below 1"),
        ("jensen-shannon-weighted", math.inf, "weight must be a finite number"),
    ],
)
def test_parameters_outside_their_range_are_refused(name, value, message):
    with pytest.raises(UsageError, match=message):
        lt.divergences[name](value)


def test_stable_parts():
    v = line(-30, 30, 61)
    torch.testing.assert_close(log_softplus(v), torch.log(torch.log1p(v.exp())), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(inverse_logsigmoid(torch.log1p((-v).exp())), v, rtol=1e-9, atol=1e-9)
    x = torch.cat([line(-3, 3, 61), torch.tensor([1e-12, -1e-12]).double()])
    torch.testing.assert_close(
        weighted_expm1(0.3 + 0 * x, x), math.exp(0.3) * torch.expm1(x), rtol=1e-13, atol=0
    )


def test_weighted_jensen_shannon_keeps_its_digits_where_the_sigmoid_is_one():
    """For large v, f*(g(v)) = (1 − π)(log(1 − π) + v + log π), on both sides of where the formula changes."""
    v = torch.tensor([30.0, 36.9, 37.1, 200.0, 800.0], dtype=torch.float64)
    value = record("jensen-shannon-weighted").conjugate_of_activation(v)
    torch.testing.assert_close(value, (1 - PI) * (math.log(1 - PI) + v + math.log(PI)), rtol=1e-9, atol=0)


def test_a_ratio_beyond_float64_takes_the_limits():
    log_p, log_q = torch.tensor([-0.5, -1000.0]).double(), torch.tensor([-1000.0, -0.5]).double()
    total_variation, pearson = (from_function(CUSTOM[name]) for name in ("total-variation", "pearson"))
    expected = torch.full((2,), math.exp(-0.5) / 2).double()
    torch.testing.assert_close(total_variation.integrand(log_p, log_q), expected)
    assert pearson.integrand(log_p, log_q).tolist() == [math.inf, pytest.approx(math.exp(-0.5))]
