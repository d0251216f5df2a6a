"""The game in function space: against the optimal critic the generator's distribution converges to the data's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from latentia.errors import DataError, UsageError
from latentia.functional import loss_pair
from latentia.theory import play_in_function_space


def bins(k: int = 20) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).log_prob(torch.linspace(-2.5, 2.5, k).double()).softmax(0)


@pytest.mark.parametrize(
    ("name", "lr"),
    [("minimax", 1.0), ("non-saturating", 1.0), ("least-squares", 4.0), ("kl", 1.0), ("jensen-shannon", 1.0)],
)
def test_with_best_critics_the_divergence_falls_at_every_step_to_nothing(name, lr):
    p = bins()
    logits = torch.randn(len(p), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    game = play_in_function_space(loss_pair(name), p, logits, steps=4000, lr=lr)
    falling = game.jensen_shannon[: int((game.jensen_shannon > 1e-12).sum())]  # above rounding
    assert bool((falling.diff() < 0).all())
    assert float(game.jensen_shannon[-1]) < 1e-8
    assert torch.allclose(game.distributions[-1], p, atol=1e-4)


def test_a_step_in_function_space_descends_twice_the_jensen_shannon_divergence():
    """The envelope theorem: autograd through JSD, where the critic moves along, gives the same step."""
    p, logits = bins(6), torch.linspace(-1, 1, 6).double().requires_grad_()
    q, m = logits.softmax(0), (logits.softmax(0) + p) / 2
    twice = (p * (p / m).log() + q * (q / m).log()).sum()
    (gradient,) = torch.autograd.grad(twice, logits)
    game = play_in_function_space(loss_pair("minimax"), p, logits.detach(), steps=1, lr=0.5)
    assert torch.allclose(game.distributions[1], (logits - 0.5 * gradient).softmax(0).detach())
    assert float(game.jensen_shannon[0]) == pytest.approx(twice.item() / 2)


@pytest.mark.parametrize("name", ["wasserstein", "relativistic-average", "relativistic-paired"])
def test_a_pair_without_a_best_score_has_no_game_in_function_space(name):
    with pytest.raises(UsageError, match="a function of p/q alone"):
        play_in_function_space(loss_pair(name), bins(), torch.zeros(20).double(), steps=1)


def test_laws_with_empty_bins_are_refused():
    p = torch.tensor([0.5, 0.5, 0.0])
    with pytest.raises(DataError, match="p must be above 0 in every bin"):
        play_in_function_space(loss_pair("minimax"), p, torch.zeros(3), steps=1)
    with pytest.raises(UsageError, match="shapes must be equal"):
        play_in_function_space(loss_pair("minimax"), bins(3), torch.zeros(4).double(), steps=1)
    with pytest.raises(UsageError, match="steps must be at least 1"):
        play_in_function_space(loss_pair("minimax"), bins(3), torch.zeros(3).double(), steps=0)
