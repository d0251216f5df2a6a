"""Loss pairs against Goodfellow et al. (2014). Known mistake B15 and erratum E4."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical
from torch.nn.functional import binary_cross_entropy_with_logits

from latentia.errors import UnknownNameError
from latentia.functional.adversarial import LOSS_PAIRS, LossPair, loss_pair


@pytest.fixture(params=sorted(LOSS_PAIRS))
def pair(request) -> LossPair:
    return loss_pair(request.param)


def scores(n: int, seed: int) -> torch.Tensor:
    return 3 * torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slope(pair: LossPair, score: float) -> float:
    fake = torch.tensor([score], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(pair.generator(fake).sum(), fake)
    return gradient.item()


def test_critic_is_the_cross_entropy_per_sample_for_unequal_sizes(pair):
    real, fake = scores(5, 0), scores(8, 1)
    on_real, on_fake = pair.critic(real, fake)
    assert (on_real.shape, on_fake.shape) == ((5,), (8,))
    expected = binary_cross_entropy_with_logits(real, torch.ones(5).double(), reduction="none")
    torch.testing.assert_close(on_real, expected)
    expected = binary_cross_entropy_with_logits(fake, torch.zeros(8).double(), reduction="none")
    torch.testing.assert_close(on_fake, expected)


def test_generator_losses_are_the_two_of_the_paper():
    fake = scores(8, 0)
    D = fake.sigmoid()
    torch.testing.assert_close(loss_pair("minimax").generator(fake), torch.log(1 - D))
    torch.testing.assert_close(loss_pair("non-saturating").generator(fake), -torch.log(D))


def test_minimax_is_zero_sum_in_the_fake_scores():
    fake = scores(8, 0)
    pair = loss_pair("minimax")
    torch.testing.assert_close(pair.generator(fake), -pair.critic(fake, fake)[1])


def test_slope_where_the_critic_is_sure_of_a_fake():  # B15
    assert abs(slope(loss_pair("minimax"), -20.0)) < 1e-8
    assert slope(loss_pair("non-saturating"), -20.0) == pytest.approx(-1.0, abs=1e-8)


def test_both_generators_raise_the_critics_belief(pair):
    assert all(slope(pair, score) < 0 for score in (-3.0, 0.0, 3.0))


def test_value_at_the_optimum_is_minus_log_4_for_equal_laws(pair):
    on_real, on_fake = pair.critic(torch.zeros(3), torch.zeros(3))  # D* = p/(p + q) = 1/2
    assert -(on_real.mean() + on_fake.mean()).item() == pytest.approx(-math.log(4), rel=1e-6)


def test_value_at_the_optimum_is_twice_jsd_minus_log_4(pair):
    p, q = torch.tensor([[0.36, 0.48, 0.16], [1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64)
    optimal = torch.log(p / q)  # the logit of D* = p/(p + q)
    on_real, on_fake = pair.critic(optimal, optimal)
    entropy = [Categorical(probs).entropy() for probs in ((p + q) / 2, p, q)]
    jsd = entropy[0] - (entropy[1] + entropy[2]) / 2
    value = -(p @ on_real + q @ on_fake)
    assert value.item() == pytest.approx(2 * jsd.item() - math.log(4), rel=1e-9)
    worse = [pair.critic(optimal + step, optimal + step) for step in (-0.1, 0.1)]
    assert all(-(p @ real + q @ fake) < value for real, fake in worse)


def test_large_scores_stay_finite(pair):
    extreme = torch.tensor([-1e4, 1e4])
    assert torch.stack([*pair.critic(extreme, extreme), pair.generator(extreme)]).isfinite().all()


def test_unknown_pair_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'minimax'"):
        loss_pair("mini-max")
