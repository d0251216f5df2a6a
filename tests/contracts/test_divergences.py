"""Every registered f-divergence is the one its generator defines: conjugate, critic, bound, loss and limits."""

from __future__ import annotations

import math

import pytest
import torch
from tests.draws import line
from torch import Tensor
from torch.distributions import Normal

import latentia as lt
from latentia.errors import DataError, UsageError
from latentia.functional.f_divergences import FDivergence
from latentia.functional.fenchel import conjugate_by_bisection, conjugate_on_grid

PARAMETERS = {"alpha": (-1.5, 0.3, 0.5, 0.9, 1.3, 3.0), "jensen-shannon-weighted": (0.3, 0.8)}


def records() -> list[FDivergence]:
    """Return every member; one that takes a parameter at each value in PARAMETERS."""
    found: list[FDivergence] = []
    for name, entry in lt.divergences.items():
        found += [entry] if isinstance(entry, FDivergence) else [entry(value) for value in PARAMETERS[name]]
    return found


every_divergence = pytest.mark.parametrize("divergence", records(), ids=lambda each: each.name)


def random_vectors(n: int = 200, k: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(2, n, k, generator=generator, dtype=torch.float64)
    return tuple(logits.softmax(-1))  # type: ignore[return-value]


# --- the formulas -----------------------------------------------------------------------------------------------


@every_divergence
def test_f_at_one_at_zero_and_at_infinity(divergence):
    one, small, large = torch.tensor([1.0, 1e-150, 1e150], dtype=torch.float64)
    assert float(divergence.f(one)) == pytest.approx(divergence.at_one, abs=1e-15)
    for value, limit in (
        (divergence.f(small), divergence.at_zero),
        (divergence.f(large) / large, divergence.domain.high),
    ):
        assert float(value) == pytest.approx(limit, abs=1e-5) if math.isfinite(limit) else value > 100
    edges = divergence.f(torch.tensor([0.0, -1.0, torch.nan]))
    assert edges[0] == torch.tensor(divergence.at_zero)
    assert edges[1] == torch.inf
    assert edges[2].isnan()


@every_divergence
def test_derivative_is_that_of_f_and_the_optimal_critic(divergence):
    u = (
        line(-6, 6, 50).exp().requires_grad_()
    )  # an even number of points: 1, where |u − 1| has a kink, is none
    (slope,) = torch.autograd.grad(divergence.f(u).sum(), u)
    torch.testing.assert_close(divergence.derivative(u), slope, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(divergence.optimal_critic(u.log()), slope, rtol=1e-9, atol=1e-9)


@every_divergence
def test_derivative_has_its_limit_at_zero(divergence):
    zero, small = torch.tensor([0.0, 1e-200], dtype=torch.float64)
    limit, near = float(divergence.derivative(zero)), float(divergence.derivative(small))
    assert near == pytest.approx(limit, abs=1e-5) if math.isfinite(limit) else near < -100


@every_divergence
def test_conjugate_equals_the_supremum_on_a_grid(divergence):
    u = line(-14, 14, 20_001).exp()
    t = divergence.optimal_critic(line(-4, 4, 41))
    t = torch.cat([t, t.min() - line(0.1, 5, 10)])  # also below f′(0), where it is finite
    on_grid = conjugate_on_grid(
        torch.cat([u.new_zeros(1), u]), divergence.f(torch.cat([u.new_zeros(1), u])), t
    )
    conjugate = divergence.conjugate(t)
    assert (conjugate - on_grid).min() > -1e-9 * (1 + conjugate.abs().max())
    torch.testing.assert_close(conjugate, on_grid, rtol=2e-6, atol=2e-6)


@every_divergence
def test_conjugate_equals_bisection_to_nine_digits(divergence):
    t = divergence.optimal_critic(line(-4, 4, 41))
    t = torch.cat([t[t < divergence.domain.high], t.min() - line(0.1, 5, 10)])
    expected = conjugate_by_bisection(divergence.f, divergence.optimal_critic, t)
    torch.testing.assert_close(divergence.conjugate(t), expected, rtol=1e-9, atol=1e-9)


@every_divergence
def test_conjugate_is_infinite_outside_its_domain(divergence):
    high = divergence.domain.high
    if high == math.inf:
        assert divergence.conjugate(torch.tensor([20.0], dtype=torch.float64)).isfinite().all()
        return
    t = torch.tensor([high - 1e-6, high, high + 1e-6], dtype=torch.float64, requires_grad=True)
    value = divergence.conjugate(t)
    assert value[0].isfinite()
    assert value[1] == divergence.domain.at_high
    assert value[2] == torch.inf
    assert divergence.domain.contains(t).tolist() == value.isfinite().tolist()
    assert torch.autograd.grad(value[:1].sum(), t)[0].isfinite().all()
    assert divergence.conjugate(torch.tensor(torch.nan)).isnan()


@every_divergence
def test_conjugate_at_the_end_of_a_closed_domain_is_its_limit(divergence):
    """And where the domain is open, f* grows without bound towards the end."""
    high = divergence.domain.high
    if high < math.inf:
        near = divergence.conjugate(torch.tensor([high - 1e-3, high - 1e-12], dtype=torch.float64))
        if math.isfinite(divergence.domain.at_high):
            assert float(near[1]) == pytest.approx(divergence.domain.at_high, abs=1e-4)
        else:
            assert near[1] > near[0] + 1


@every_divergence
def test_conjugate_has_u_as_its_slope(divergence):
    """f*′(f′(u)) = u, except at kinks."""
    if divergence.name == "total-variation":
        pytest.skip("f′ takes three values")
    u = line(-3, 3, 20).exp()
    t = divergence.derivative(u).requires_grad_()
    (slope,) = torch.autograd.grad(divergence.conjugate(t).sum(), t)
    torch.testing.assert_close(slope, u, rtol=1e-8, atol=1e-8)


@every_divergence
def test_fenchel_young(divergence):
    """f(u) + f*(t) ≥ ut for any pair, with equality for t = f′(u)."""
    r = 2 * torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, t = r.exp(), divergence.optimal_critic(r)
    shuffled = t.roll(1)
    gap = divergence.f(u) + divergence.conjugate(shuffled) - u * shuffled
    assert (gap / (1 + (u * shuffled).abs())).min() > -1e-12
    assert gap.median() > 1e-3 or divergence.name == "total-variation"
    torch.testing.assert_close(divergence.f(u) + divergence.conjugate(t), u * t, rtol=1e-9, atol=1e-9)


@every_divergence
def test_biconjugate_is_f(divergence):
    """f**(u) = sup_t ut − f*(t), over slopes that no formula of f has chosen."""
    high = divergence.domain.high
    t = (
        line(-30, 30, 60_001)
        if high == math.inf
        else torch.cat([high - line(-12, 5, 60_001).exp(), line(high, high, 1)])
    )
    u = line(-1.5, 1.5, 31).exp()
    torch.testing.assert_close(
        conjugate_on_grid(t, divergence.conjugate(t), u), divergence.f(u), rtol=1e-4, atol=3e-5
    )


@every_divergence
def test_activation_increases_from_all_numbers_into_the_domain(divergence):
    """Known from the field: printed with exp(v) for exp(−v), an activation falls and the critic learns nothing."""
    v = line(-12, 12, 2001)
    T = divergence.activation(v)
    assert (T.diff() > 0).all()
    assert divergence.domain.contains(T).all()
    assert divergence.conjugate(T).isfinite().all()
    top = divergence.activation(torch.tensor(60.0, dtype=torch.float64))
    assert float(top) == pytest.approx(min(divergence.domain.high, 60.0))  # and it reaches every slope


@every_divergence
def test_conjugate_of_activation_is_the_composition(divergence):
    v = line(-8, 8, 400)
    torch.testing.assert_close(
        divergence.conjugate_of_activation(v),
        divergence.conjugate(divergence.activation(v)),
        rtol=1e-8,
        atol=1e-8,
    )


@every_divergence
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_are_finite_where_the_activation_saturates(divergence, dtype):
    v = torch.tensor([-35.0, -20.0, 20.0, 35.0], dtype=dtype, requires_grad=True)
    if divergence.name == "alpha(0.9)":
        v = v / 10  # there f*(g(v)) grows like exp(9v)
    for value in (*divergence.loss().critic(v, v), divergence.loss().generator(v, v)):
        (slope,) = torch.autograd.grad(value.sum(), v)
        assert value.isfinite().all()
        assert slope.isfinite().all()
        assert value.dtype == dtype
    exact = divergence.conjugate_of_activation(v.double())
    torch.testing.assert_close(divergence.conjugate_of_activation(v).double(), exact, rtol=2e-4, atol=1e-4)


@every_divergence
def test_optimal_score_is_the_activations_inverse_of_the_optimal_critic(divergence):
    r = line(-5, 5, 101)
    score = divergence.optimal_score(r)
    torch.testing.assert_close(
        divergence.activation(score), divergence.optimal_critic(r), rtol=1e-9, atol=1e-9
    )
    assert (score.diff() > 0).all() or divergence.name == "total-variation"  # −∞, 0 and ∞


# --- divergences of vectors, densities and draws ----------------------------------------------------------------


@every_divergence
def test_discrete_equals_its_definition(divergence):
    p, q = random_vectors(20)
    expected = [
        sum(
            b * float(divergence.f(torch.tensor(a / b, dtype=torch.float64)))
            for a, b in zip(x, y, strict=True)
        )
        for x, y in zip(p.tolist(), q.tolist(), strict=True)
    ]
    torch.testing.assert_close(divergence.discrete(p, q), p.new_tensor(expected), rtol=1e-10, atol=1e-12)
    single = divergence.discrete(p.float(), q.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, p.new_tensor(expected).float(), rtol=1e-3, atol=1e-5)


@every_divergence
def test_divergence_is_least_for_equal_vectors_only(divergence):
    p, q = random_vectors()
    excess = divergence.discrete(p, q) - divergence.at_one
    assert (excess > 1e-4).all()
    torch.testing.assert_close(divergence.discrete(p, p) - divergence.at_one, torch.zeros(len(p)).double())
    nearly = (1 - 1e-3) * p + 1e-3 * q  # 0 for equal vectors is approached, from above
    assert ((divergence.discrete(nearly, p) - divergence.at_one) > -1e-15).all()


@every_divergence
def test_zeros_take_the_limits(divergence):
    """q = 0 < p gives p f′(∞), p = 0 < q gives q f(0), both 0 nothing: never NaN."""
    p = torch.tensor([0.0, 0.3, 0.7, 0.0], dtype=torch.float64)
    q = torch.tensor([0.4, 0.0, 0.6, 0.0], dtype=torch.float64)
    common = 0.6 * float(divergence.f(p[2] / q[2]))
    expected = 0.4 * divergence.at_zero + 0.3 * divergence.domain.high + common
    assert float(divergence.discrete(p, q)) == pytest.approx(expected, abs=1e-12)
    eps = 1e-150  # nearly zero is nearly the same, or large
    near = divergence.discrete((1 - eps) * p + eps * q, (1 - eps) * q + eps * p)
    assert float(near) == pytest.approx(expected, abs=1e-3) if math.isfinite(expected) else near > 10


@every_divergence
def test_disjoint_point_masses_are_as_far_apart_as_can_be(divergence):
    p, q = torch.eye(2, dtype=torch.float64)
    assert float(divergence.discrete(p, q)) == pytest.approx(divergence.at_zero + divergence.domain.high)


@every_divergence
def test_gradients_of_the_discrete_divergence(divergence):
    p, q = (mass.log().requires_grad_() for mass in random_vectors(3, 4))
    softmax = torch.nn.functional.softmax
    assert torch.autograd.gradcheck(lambda a, b: divergence.discrete(softmax(a, -1), softmax(b, -1)), (p, q))
    holed = torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    whole = torch.full((4,), 0.25, dtype=torch.float64)
    for value in (divergence.discrete(holed, whole), divergence.discrete(whole, holed)):
        if value.isfinite():
            assert torch.autograd.grad(value, holed)[0].isfinite().all()


@every_divergence
def test_densities_by_quadrature_equal_a_fine_discrete_divergence(divergence):
    x = line(-12, 12, 6001)
    p, q = Normal(0.3, 0.95), Normal(0.0, 1.0)
    value = divergence.densities(p.log_prob(x), q.log_prob(x), x)
    masses = [law.log_prob(x).exp() / law.log_prob(x).exp().sum() for law in (p, q)]
    torch.testing.assert_close(value, divergence.discrete(masses[0], masses[1]), rtol=1e-6, atol=1e-9)
    both = torch.stack([p.log_prob(x), q.log_prob(x)])
    torch.testing.assert_close(
        divergence.densities(both, both, x), torch.full((2,), divergence.at_one).double()
    )


@every_divergence
def test_far_tails_of_densities_do_not_overflow(divergence):
    """At x = 80, log p = −3200 and log p/q reaches 1600: neither e^1600 nor 0 · ∞ may appear."""
    x = line(-80, 80, 40_001)
    p, q = Normal(0.0, 1.0).log_prob(x), Normal(0.0, 1.4).log_prob(x)
    for a, b in ((p, q), (q, p)):
        assert not divergence.densities(a, b, x).isnan()
    bounded = divergence.at_zero + divergence.domain.high
    assert divergence.densities(p, q, x) <= bounded
    single = divergence.densities(p.float(), q.float(), x.float())
    torch.testing.assert_close(single, divergence.densities(p, q, x).float(), rtol=1e-3, atol=1e-4)


@every_divergence
def test_monte_carlo_agrees_with_quadrature(divergence):
    """5 standard errors: a false alarm in 2 million for each of under 20 divergences."""
    p, q = Normal(0.3, 0.95), Normal(0.0, 1.0)
    draws = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimate = divergence.monte_carlo(p.log_prob(draws) - q.log_prob(draws))
    x = line(-12, 12, 6001)
    exact = divergence.densities(p.log_prob(x), q.log_prob(x), x)
    assert estimate.value.shape == estimate.stderr.shape == (2,)
    assert ((estimate.value - exact).abs() < 5 * estimate.stderr).all()
    terms = divergence.f((p.log_prob(draws) - q.log_prob(draws)).exp())
    torch.testing.assert_close(estimate.stderr, terms.std(0) / math.sqrt(20_000), rtol=1e-9, atol=1e-12)


# --- bounds and losses ------------------------------------------------------------------------------------------


def population_bound(divergence: FDivergence, p: Tensor, q: Tensor, T: Tensor) -> Tensor:
    real, fake = divergence.bound_terms(T, T)
    return (p * real).sum(-1) - (q * fake).sum(-1)


@every_divergence
def test_bound_never_exceeds_the_divergence_and_is_tight_at_the_optimal_critic(divergence):
    p, q = random_vectors()
    exact = divergence.discrete(p, q)
    v = 2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert (population_bound(divergence, p, q, divergence.activation(v)) <= exact).all()
    best = divergence.optimal_critic(p.log() - q.log())
    torch.testing.assert_close(population_bound(divergence, p, q, best), exact, rtol=1e-8, atol=1e-8)
    nearby = divergence.activation(divergence.optimal_score(p.log() - q.log()).clamp(-3, 3) + 0.1)
    assert (population_bound(divergence, p, q, nearby) < exact - 1e-9).all()


@every_divergence
def test_bound_is_the_difference_of_two_means(divergence):
    real, fake = divergence.activation(line(-1, 2, 7)), divergence.activation(line(-2, 1, 4))
    T, conjugate = divergence.bound_terms(real, fake)
    assert T.shape == (7,)
    assert conjugate.shape == (4,)
    expected = sum(real.tolist()) / 7 - sum(divergence.conjugate(fake).tolist()) / 4
    assert float(divergence.bound(real, fake)) == pytest.approx(expected)


@every_divergence
def test_critic_descends_minus_the_bound(divergence):
    real, fake = line(-1, 2, 7), line(-2, 1, 4)
    on_real, on_fake = divergence.loss().critic(real, fake)
    assert on_real.shape == (7,)
    assert on_fake.shape == (4,)
    bound = divergence.bound(divergence.activation(real), divergence.activation(fake))
    torch.testing.assert_close(on_real.mean() + on_fake.mean(), -bound)


@every_divergence
def test_generators_descend_what_the_paper_says_and_want_higher_scores(divergence):
    v = line(-0.4, 3, 6).requires_grad_()
    nothing = torch.empty(0, dtype=torch.float64)
    saturating = divergence.loss().generator(v, nothing)
    other = divergence.loss(non_saturating=True).generator(v, nothing)
    torch.testing.assert_close(saturating, -divergence.conjugate(divergence.activation(v)))
    torch.testing.assert_close(other, -divergence.activation(v))
    for losses in (saturating, other):
        assert (torch.autograd.grad(losses.sum(), v)[0] < 0).all()


@every_divergence
def test_critic_loss_is_least_at_the_optimal_score(divergence):
    if divergence.name == "total-variation":
        pytest.skip("its optimal scores are infinite")
    r = line(-2, 2, 9)
    pair = divergence.loss()
    assert pair.optimal_critic is not None
    v = pair.optimal_critic(r).clone().requires_grad_()
    on_real, on_fake = pair.critic(v, v)
    (slope,) = torch.autograd.grad((r.exp() * on_real + on_fake).sum(), v)
    assert slope.abs().max() < 1e-9


@every_divergence
def test_value_at_optimum_is_the_divergence(divergence):
    p, q = random_vectors(1)
    pair = divergence.loss()
    assert pair.value_at_optimum is not None
    torch.testing.assert_close(pair.value_at_optimum.value(p[0], q[0]), divergence.discrete(p, q)[0])


# --- the reverse ------------------------------------------------------------------------------------------------


@every_divergence
def test_reverse_exchanges_the_arguments(divergence):
    p, q = random_vectors(20)
    reverse = divergence.reverse()
    torch.testing.assert_close(reverse.discrete(p, q), divergence.discrete(q, p))
    torch.testing.assert_close(reverse.reverse().discrete(p, q), divergence.discrete(p, q))
    a, b = torch.tensor([[0.0, 1.0], [0.4, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(reverse.discrete(a, b), divergence.discrete(b, a))
    torch.testing.assert_close(reverse.discrete(b, a), divergence.discrete(a, b))
    u = line(-3, 3, 30).exp()
    torch.testing.assert_close(reverse.f(u), u * divergence.f(1 / u))


@every_divergence
def test_reverse_is_an_f_divergence_with_its_own_critic(divergence):
    reverse = divergence.reverse()
    u = line(-3, 3, 30).exp().requires_grad_()
    (slope,) = torch.autograd.grad(reverse.f(u).sum(), u)
    t = reverse.derivative(u)
    torch.testing.assert_close(t, slope, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(reverse.f(u) + reverse.conjugate(t), u * t, rtol=1e-8, atol=1e-8)
    v = line(-3, 3, 50)
    T = reverse.activation(v)
    assert (T.diff() >= 0).all()
    assert reverse.domain.contains(T).all()
    torch.testing.assert_close(reverse.conjugate_of_activation(v), reverse.conjugate(T), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(reverse.activation(reverse.optimal_score(u.log())), t, rtol=1e-9, atol=1e-9)


# --- bad input --------------------------------------------------------------------------------------------------

HALVES = torch.tensor([0.5, 0.5])


@every_divergence
@pytest.mark.parametrize(
    ("p", "q", "message"),
    [
        (HALVES, torch.tensor([0.5, 0.4]), "q must sum to one"),
        (torch.tensor([1.5, -0.5]), HALVES, "p must not hold negative mass"),
        (torch.tensor([0.5, torch.nan]), HALVES, "p holds NaN"),
        (HALVES, torch.full((3,), 1 / 3), "shapes must be equal"),
        (HALVES.expand(2, 2), HALVES, "shapes must be equal"),
    ],
)
def test_vectors_that_are_no_probabilities_are_refused(divergence, p, q, message):
    with pytest.raises(ValueError, match=message):
        divergence.discrete(p, q)


@every_divergence
def test_densities_that_are_none_are_refused(divergence):
    x = line(-5, 5, 101)
    log_p = Normal(0.0, 1.0).log_prob(x)
    with pytest.raises(DataError, match="log_q must integrate to one on x; got 2"):
        divergence.densities(log_p, log_p + math.log(2), x)
    with pytest.raises(DataError, match="log_p must be finite or −∞; got NaN"):
        divergence.densities(torch.full_like(log_p, torch.nan), log_p, x)
    with pytest.raises(UsageError, match="x must increase"):
        divergence.densities(log_p, log_p, x.flip(0))
    with pytest.raises(UsageError, match="shapes must be equal"):
        divergence.densities(log_p, log_p[:-1], x)
    with pytest.raises(UsageError, match=r"x must have shape \(n,\)"):
        divergence.densities(log_p, log_p, x[:-1])


@every_divergence
def test_draws_and_critics_that_say_nothing_are_refused(divergence):
    with pytest.raises(DataError, match="at least 2 draws"):
        divergence.monte_carlo(torch.zeros(1))
    with pytest.raises(DataError, match="log_ratio must be finite or −∞; got NaN or"):
        divergence.monte_carlo(torch.tensor([0.0, torch.inf]))
    with pytest.raises(DataError, match="critic_fake holds NaN"):
        divergence.bound(torch.zeros(2), torch.tensor([torch.nan]))
    with pytest.raises(UsageError, match="at least 1 value each"):
        divergence.bound(torch.zeros(0), torch.zeros(2))


@pytest.mark.parametrize("name", lt.divergences)
def test_every_divergence_says_what_it_is(name):
    entry = lt.divergences[name]
    assert entry.__doc__.partition("\n")[0].strip() == lt.divergences.summaries()[name]
    record = entry if isinstance(entry, FDivergence) else entry(PARAMETERS[name][0])
    assert record.name.partition("(")[0] == name
