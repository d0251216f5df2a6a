"""Generators that look ahead, against critics that torch's own SGD trains.

Row B11 of docs/known-mistakes.md.
"""

from __future__ import annotations

import copy

import pytest
import torch
from tests.draws import seeded
from tests.games import game, rows
from tests.running import weights
from torch import Tensor, nn

from latentia.objectives.gan.adversarial import Adversarial


def answered(played: Adversarial, real: Tensor, fake: Tensor, steps: int, lr: float) -> nn.Module:
    """Return a copy of the critic after steps of plain SGD on the game's own loss, with penalties and clipping."""
    critic = copy.deepcopy(played.critics[0])
    optimiser = torch.optim.SGD(critic.parameters(), lr=lr)
    for _ in range(steps):
        on_real, on_fake = played.losses.critic(critic.score(real), critic.score(fake.detach()))
        loss = on_real.mean() + on_fake.mean()
        for penalty in played.critic_terms:
            loss = loss + penalty.of(critic.score, real, fake.detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if played.clip is not None:
            with torch.no_grad():
                for parameter in critic.parameters():
                    parameter.clamp_(-played.clip, played.clip)
    return critic


UNROLLED = [
    {"loss": "non-saturating"},
    {"loss": "relativistic-paired", "penalty": "r1-r2", "penalty_every": 4},
    {"loss": "wasserstein", "clip_weights": 0.05},
    {"loss": "hinge", "critic_norm": "spectral"},
    {"loss": "least-squares", "critic_norm": "batch"},
    {"loss": "minimax", "pack": 2},
]


@pytest.mark.parametrize("options", UNROLLED, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize("steps", [1, 3])
def test_the_generator_meets_the_critic_of_some_steps_later(options, steps):
    """The loss is that to a copy trained by torch's SGD; the critic, and its norms, stay bit for bit."""
    played = game(unroll_steps=steps, unroll_lr=0.2, layers=2, **options)
    played.clock.fill_(1)  # a penalty of every fourth step is in every unrolled one
    before, x = weights(played.critics), rows()
    with seeded(5):
        value = played.generator_loss(x, None)
    assert all(torch.equal(each, before[key]) for key, each in weights(played.critics).items())
    with seeded(5):
        fake = played.seen(played.model.rsample(16))
    critic = answered(played, played.seen(x), fake, steps, 0.2)
    real_scores = critic.score(played.seen(x)) if played.losses.relativistic else torch.empty(0)
    expected = played.losses.generator(critic.score(fake), real_scores).mean()
    now = played.losses.generator(
        played.critics[0].score(fake), played.critics[0].score(played.seen(x))
    ).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    assert abs(value.item() - now.item()) > 1e-4
    value.backward(inputs=list(played.model.parameters()))
    assert all(p.grad is None for p in played.critics.parameters())


@pytest.mark.parametrize("options", UNROLLED[:2], ids=["non-saturating", "relativistic-r1-r2"])
@pytest.mark.parametrize("steps", [1, 3])
def test_unrolled_gradients_equal_finite_differences(options, steps):
    """B11: in float64, of the loss to a critic that torch's SGD trains anew for every moved weight."""
    lr, h = 0.5, 1e-5
    played = game(unroll_steps=steps, unroll_lr=lr, layers=2, **options).double()
    for module in (
        *played.critics.modules(),
        *played.model.modules(),
    ):  # smooth, so that differences have limits
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Tanh())
    x = rows().double()

    def loss() -> float:
        with seeded(5):
            fake = played.seen(played.model.push(torch.randn(16, 3).double()))
        critic = answered(played, played.seen(x), fake, steps, lr)
        real_scores = critic.score(played.seen(x))
        return played.losses.generator(critic.score(fake), real_scores).mean().item()

    played.model.codes = lambda n: torch.randn(n, 3).double()
    weights = list(played.model.parameters())
    with seeded(5):
        found = torch.autograd.grad(played.generator_loss(x, None), weights)
    played.unroll = None
    with seeded(5):
        plain = torch.autograd.grad(played.generator_loss(x, None), weights)
    for weight, slope, short in zip(weights, found, plain, strict=True):
        for entry in (0, weight.numel() - 1):
            flat = weight.data.view(-1)
            start = flat[entry].item()
            flat[entry] = start + h
            above = loss()
            flat[entry] = start - h
            below = loss()
            flat[entry] = start
            assert slope.flatten()[entry].item() == pytest.approx(
                (above - below) / (2 * h), rel=1e-5, abs=1e-9
            )
        assert not torch.allclose(slope, short, rtol=1e-3)


def test_an_unrolled_loss_is_not_compiled():
    assert game(unroll_steps=1).loss_functions == ("critic_losses",)
    assert game().loss_functions == ("critic_losses", "generator_losses")
