"""Loss pairs against closed forms, naive loops and the theory of their games.

Row B15 of docs/known-mistakes.md; errata E4, E25, E26.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical
from torch.nn.functional import binary_cross_entropy_with_logits

from latentia.errors import DataError, UnknownNameError, UsageError
from latentia.functional.gan.loss_pairs import LOSS_PAIRS, LossPair, loss_pair
from latentia.registry import divergences

PARAMETERS = {"alpha": ("(0.3)", "(3)"), "jensen-shannon-weighted": ("(0.3)",)}
F_DIVERGENCES = [name + form for name in sorted(divergences) for form in PARAMETERS.get(name, ("",))]
EMPTY = torch.empty(0, dtype=torch.float64)
PLAIN = sorted(name for name, pair in LOSS_PAIRS.items() if not pair.relativistic)


@pytest.fixture(params=sorted(LOSS_PAIRS))
def pair(request) -> LossPair:
    return loss_pair(request.param)


@pytest.fixture(params=["minimax", "non-saturating"])
def cross_entropy(request) -> LossPair:
    return loss_pair(request.param)


def scores(n: int, seed: int) -> Tensor:
    return 3 * torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distributions(seed: int, size: int = 6) -> tuple[Tensor, Tensor]:
    """Return two random probability vectors, nowhere zero."""
    mass = torch.rand(2, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.02
    p, q = mass / mass.sum(1, keepdim=True)
    return p, q


def slope(pair: LossPair, score: float) -> float:
    fake = torch.tensor([score], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(pair.generator(fake, torch.zeros(1).double()).sum(), fake)
    return gradient.item()


def critic_loss(pair: LossPair, s: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Return the critic's expected loss with score s[i] at point i, over all pairs (real i, generated j)."""
    K = len(p)
    real, fake = s.repeat_interleave(K), s.repeat(K)
    on_real, on_fake = pair.critic(real, fake)
    return torch.outer(p, q).flatten() @ (on_real + on_fake)


# --- closed forms -----------------------------------------------------------------------------------------------


def test_critic_is_the_cross_entropy_per_sample_for_unequal_sizes(cross_entropy):
    real, fake = scores(5, 0), scores(8, 1)
    on_real, on_fake = cross_entropy.critic(real, fake)
    expected = binary_cross_entropy_with_logits(real, torch.ones(5).double(), reduction="none")
    torch.testing.assert_close(on_real, expected)
    expected = binary_cross_entropy_with_logits(fake, torch.zeros(8).double(), reduction="none")
    torch.testing.assert_close(on_fake, expected)


def test_generator_losses_are_the_two_of_the_paper():
    fake = scores(8, 0)
    D = fake.sigmoid()
    torch.testing.assert_close(loss_pair("minimax").generator(fake, EMPTY), torch.log(1 - D))
    torch.testing.assert_close(loss_pair("non-saturating").generator(fake, EMPTY), -torch.log(D))


@pytest.mark.parametrize(
    ("name", "on_real", "on_fake", "generator"),
    [
        ("least-squares", [2.0, 0.125, 0.5], [0.5, 0.125, 2.0], [2.0, 0.125, 0.5]),
        ("hinge", [2.0, 0.5, 0.0], [0.0, 1.5, 3.0], [1.0, -0.5, -2.0]),
        ("wasserstein", [1.0, -0.5, -2.0], [-1.0, 0.5, 2.0], [1.0, -0.5, -2.0]),
    ],
)
def test_losses_at_given_scores(name, on_real, on_fake, generator):
    s = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
    real, fake = loss_pair(name).critic(s, s)
    assert real.tolist() == on_real
    assert fake.tolist() == on_fake
    assert loss_pair(name).generator(s, EMPTY).tolist() == generator


def test_relativistic_average_equals_a_double_loop():
    real, fake = scores(3, 0), scores(5, 1)

    def sigma(s: float) -> float:
        return 1 / (1 + math.exp(-s))

    mean_real, mean_fake = sum(real.tolist()) / 3, sum(fake.tolist()) / 5
    D_real = [sigma(r - mean_fake) for r in real.tolist()]
    D_fake = [sigma(f - mean_real) for f in fake.tolist()]
    on_real, on_fake = loss_pair("relativistic-average").critic(real, fake)
    assert on_real.tolist() == pytest.approx([-math.log(D) for D in D_real])
    assert on_fake.tolist() == pytest.approx([-math.log(1 - D) for D in D_fake])
    loss = loss_pair("relativistic-average").generator(fake, real)
    assert loss.shape == (5,)
    expected = sum(-math.log(D) for D in D_fake) / 5 + sum(-math.log(1 - D) for D in D_real) / 3
    assert loss.mean().item() == pytest.approx(expected)
    assert (loss - loss[0]).tolist() == pytest.approx([math.log(D_fake[0] / D) for D in D_fake])


def test_relativistic_paired_equals_a_loop_over_pairs():
    real, fake = scores(5, 0), scores(5, 1)
    on_real, on_fake = loss_pair("relativistic-paired").critic(real, fake)
    generator = loss_pair("relativistic-paired").generator(fake, real)
    for i, (r, f) in enumerate(zip(real.tolist(), fake.tolist(), strict=True)):
        assert (on_real[i] + on_fake[i]).item() == pytest.approx(math.log(1 + math.exp(f - r)))
        assert generator[i].item() == pytest.approx(math.log(1 + math.exp(r - f)))


def test_relativistic_losses_read_differences_of_scores_only():
    real, fake = scores(6, 0), scores(6, 1)
    for name in ("relativistic-average", "relativistic-paired"):
        pair = loss_pair(name)
        assert pair.relativistic
        for here, shifted in zip(pair.critic(real, fake), pair.critic(real + 5, fake + 5), strict=True):
            torch.testing.assert_close(here, shifted)
        torch.testing.assert_close(pair.generator(fake, real), pair.generator(fake + 5, real + 5))
        torch.testing.assert_close(pair.generator(fake, real).mean(), sum(pair.critic(fake, real)).mean())


def test_wasserstein_loss_of_a_shift_is_its_size():
    x = scores(10, 0)
    on_real, on_fake = loss_pair("wasserstein").critic(
        x, x - 2.5
    )  # f(x) = x is 1-Lipschitz, and optimal here
    assert -(on_real.mean() + on_fake.mean()).item() == pytest.approx(2.5)


# --- every pair -------------------------------------------------------------------------------------------------


def test_each_row_has_a_loss_and_the_dtype_stays(pair):
    real, fake = scores(8, 0), scores(8, 1)
    for dtype in (torch.float32, torch.float64):
        on_real, on_fake = pair.critic(real.to(dtype), fake.to(dtype))
        loss = pair.generator(fake.to(dtype), real.to(dtype))
        for value in (on_real, on_fake, loss):
            assert value.shape == (8,)
            assert value.dtype == dtype


@pytest.mark.parametrize("name", PLAIN)
def test_losses_of_a_row_do_not_read_the_other_rows(name):
    pair = loss_pair(name)
    real, fake = scores(5, 0), scores(8, 1)
    on_real, on_fake = pair.critic(real, fake)
    torch.testing.assert_close(pair.critic(real[:1], fake[:2])[0], on_real[:1])
    torch.testing.assert_close(pair.critic(real[:1], fake[:2])[1], on_fake[:2])
    torch.testing.assert_close(pair.generator(fake[:2], EMPTY), pair.generator(fake, real)[:2])


def test_large_scores_stay_finite(pair):
    extreme = torch.tensor([-1e4, 1e4])
    losses = [*pair.critic(extreme, -extreme), pair.generator(extreme, -extreme)]
    assert torch.stack(losses).isfinite().all()


def test_every_generator_raises_the_scores_of_its_rows(pair):
    assert all(slope(pair, score) < 0 for score in (-3.0, -1.0, 0.0))


def test_slope_where_the_critic_is_sure_of_a_fake():  # B15
    assert abs(slope(loss_pair("minimax"), -20.0)) < 1e-8
    for name in sorted(set(LOSS_PAIRS) - {"minimax"}):
        assert slope(loss_pair(name), -20.0) <= -1 + 1e-8, name


def test_minimax_is_zero_sum_in_the_fake_scores():
    fake = scores(8, 0)
    pair = loss_pair("minimax")
    torch.testing.assert_close(pair.generator(fake, EMPTY), -pair.critic(fake, fake)[1])


def test_pairs_without_an_optimum_are_those_where_theory_gives_none():
    without = {name for name, pair in LOSS_PAIRS.items() if pair.optimal_critic is None}
    assert without >= {"wasserstein", "relativistic-average"}
    assert without.isdisjoint({"minimax", "non-saturating", "least-squares", "hinge", "relativistic-paired"})
    assert without == {name for name, pair in LOSS_PAIRS.items() if pair.value_at_optimum is None}


def test_the_even_score_is_the_optimal_one_where_both_distributions_are_equal():
    known = {
        "minimax": 0.0, "non-saturating": 0.0, "least-squares": 0.5, "hinge": 0.0,
        "wasserstein": None, "relativistic-average": None, "relativistic-paired": None,
    }  # fmt: skip
    assert {name: LOSS_PAIRS[name].even for name in known} == known


# --- games at their optimum -------------------------------------------------------------------------------------

SEPARABLE = [name for name in PLAIN if LOSS_PAIRS[name].optimal_critic] + F_DIVERGENCES
WITH_VALUE = [*SEPARABLE, "relativistic-paired"]


@pytest.mark.parametrize("name", SEPARABLE)
@pytest.mark.parametrize("seed", range(3))
def test_no_score_on_a_grid_beats_the_optimal_critic(name, seed):
    pair, (p, q) = loss_pair(name), distributions(seed)
    best = pair.optimal_critic((p / q).log())
    on_real, on_fake = pair.critic(best, best)
    least = p * on_real + q * on_fake
    grid = torch.linspace(-20, 20, 80_001, dtype=torch.float64)
    on_real, on_fake = pair.critic(grid, grid)
    losses = p[:, None] * on_real + q[:, None] * on_fake
    found = losses.min(1).values
    assert (least <= found + 1e-12).all()
    torch.testing.assert_close(
        found, least, atol=1e-6, rtol=0
    )  # the grid's step is 5e-4, its loss of order step²


@pytest.mark.parametrize("seed", range(3))
def test_numeric_minimisation_of_the_paired_loss_finds_the_optimal_critic(seed):
    pair, (p, q) = loss_pair("relativistic-paired"), distributions(seed)
    s = torch.zeros(len(p), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([s], max_iter=300, tolerance_grad=1e-12, tolerance_change=0)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = critic_loss(pair, s, p, q)
        loss.backward()
        return loss

    optimiser.step(closure)
    best = pair.optimal_critic((p / q).log())
    torch.testing.assert_close(s.detach() - s.detach().mean(), best - best.mean(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", WITH_VALUE)
@pytest.mark.parametrize("seed", range(3))
def test_value_at_the_optimum_is_the_value_of_the_optimal_critic(name, seed):
    pair, (p, q) = loss_pair(name), distributions(seed)
    value = -critic_loss(pair, pair.optimal_critic((p / q).log()), p, q)
    torch.testing.assert_close(pair.value_at_optimum.value(p, q), value)
    assert pair.value_at_optimum.value(p, q) > pair.value_at_optimum.value(p, p)
    assert pair.value_at_optimum.formula


def test_values_for_equal_distributions(cross_entropy):
    p, _ = distributions(0)
    assert cross_entropy.value_at_optimum.value(p, p).item() == pytest.approx(-math.log(4))
    assert loss_pair("least-squares").value_at_optimum.value(p, p).item() == pytest.approx(-1 / 4)
    assert loss_pair("hinge").value_at_optimum.value(p, p).item() == pytest.approx(-2)
    assert loss_pair("relativistic-paired").value_at_optimum.value(p, p).item() == pytest.approx(-math.log(2))


@pytest.mark.parametrize("name", ["minimax", "least-squares", "hinge", "relativistic-paired"])
def test_values_take_batches_and_disjoint_distributions_and_refuse_other_vectors(name):
    value = LOSS_PAIRS[name].value_at_optimum.value
    disjoint = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.4, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(value(disjoint, disjoint.flip(0)), torch.zeros(2).double())
    with pytest.raises(DataError, match="p must sum to one"):
        value(torch.ones(2), torch.ones(2))
    with pytest.raises(UsageError, match="shapes must be equal"):
        value(torch.ones(1), torch.ones(2) / 2)


def test_value_at_the_optimum_is_minus_log_4_for_equal_distributions(cross_entropy):
    on_real, on_fake = cross_entropy.critic(torch.zeros(3), torch.zeros(3))  # D* = p/(p + q) = 1/2
    assert -(on_real.mean() + on_fake.mean()).item() == pytest.approx(-math.log(4), rel=1e-6)


def test_value_at_the_optimum_is_twice_jsd_minus_log_4(cross_entropy):
    p, q = torch.tensor([[0.36, 0.48, 0.16], [1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64)
    optimal = torch.log(p / q)  # the logit of D* = p/(p + q)
    on_real, on_fake = cross_entropy.critic(optimal, optimal)
    entropy = [Categorical(probs).entropy() for probs in ((p + q) / 2, p, q)]
    jsd = entropy[0] - (entropy[1] + entropy[2]) / 2
    value = -(p @ on_real + q @ on_fake)
    assert value.item() == pytest.approx(2 * jsd.item() - math.log(4), rel=1e-9)
    worse = [cross_entropy.critic(optimal + step, optimal + step) for step in (-0.1, 0.1)]
    assert all(-(p @ real + q @ fake) < value for real, fake in worse)


# --- names and bad input ----------------------------------------------------------------------------------------


def test_the_gan_divergence_is_the_minimax_game():
    real, fake = scores(5, 0), scores(8, 1)
    gan, minimax = loss_pair("gan"), loss_pair("minimax")
    for a, b in zip(gan.critic(real, fake), minimax.critic(real, fake), strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(gan.generator(fake, EMPTY), minimax.generator(fake, EMPTY))
    p, q = distributions(0)
    torch.testing.assert_close(gan.value_at_optimum.value(p, q), minimax.value_at_optimum.value(p, q))
    torch.testing.assert_close(gan.optimal_critic(real), minimax.optimal_critic(real))


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_every_f_divergence_is_a_zero_sum_loss_pair(name):
    pair, fake = loss_pair(name), scores(8, 0)
    torch.testing.assert_close(pair.generator(fake, EMPTY), -pair.critic(fake, fake)[1])
    assert not pair.relativistic


def test_unknown_pair_names_the_nearest_of_both_tables():
    with pytest.raises(UnknownNameError, match="did you mean 'minimax'"):
        loss_pair("mini-max")
    with pytest.raises(UnknownNameError, match="did you mean 'squared-hellinger'"):
        loss_pair("squared-helinger")
    assert len(divergences) >= 11
    assert not set(divergences) & set(LOSS_PAIRS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alpha", r"the loss pair 'alpha' needs its parameter, as in 'alpha\(0.5\)'; got 'alpha'"),
        ("kl(0.5)", r"the loss pair 'kl' needs no parameter; got 'kl\(0.5\)'"),
        ("alpha(x)", r"one number, as in 'alpha\(0.5\)'; got 'alpha\(x\)'"),
        ("alpha(0.5", r"one number.*got 'alpha\(0.5'"),
        ("alpha(0.5)x", r"one number.*got 'alpha\(0.5\)x'"),
        ("hinge(1)", "unknown loss pair"),
    ],
)
def test_a_parameter_is_given_where_one_is_taken(name, message):
    with pytest.raises(UsageError, match=message):
        loss_pair(name)


@pytest.mark.parametrize(
    ("name", "real", "fake", "message"),
    [
        ("relativistic-paired", (3,), (4,), r"shapes must be equal.*real_scores \(3,\), fake_scores \(4,\)"),
        ("relativistic-paired", (3, 1), (3, 1), r"scores must be vectors.*real_scores \(3, 1\)"),
        ("relativistic-average", (3, 1), (4,), r"scores must be vectors.*real_scores \(3, 1\)"),
        ("relativistic-average", (0,), (4,), r"at least one entry.*real_scores \(0,\), fake_scores \(4,\)"),
    ],
)
def test_relativistic_losses_compare_vectors_only(name, real, fake, message):
    with pytest.raises(UsageError, match=message):
        loss_pair(name).critic(torch.zeros(real), torch.zeros(fake))
    with pytest.raises(UsageError, match=message):
        loss_pair(name).generator(torch.zeros(fake), torch.zeros(real))
