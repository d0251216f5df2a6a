"""Critics trained against a frozen generator: each f-GAN's bound, and the critic that makes it tight."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

import latentia as lt
from latentia.functional import loss_pair
from latentia.models.implicit import Implicit
from latentia.networks.critic import Critic
from latentia.networks.mlp import MLP
from latentia.networks.scaling import Scaling
from latentia.objectives.gan.adversarial import Adversarial
from latentia.theory.best_response import best_response

LINE = lt.DataSpec((1,), lt.Support("real"))
P, Q = Normal(0.0, 1.0), Normal(0.8, 1.0)
GRID = torch.linspace(-8, 9, 3401)
DIVERGENCES = {name: made for name, made in lt.divergences.items() if not callable(made)} | {
    "jensen-shannon-weighted(0.3)": lt.divergences["jensen-shannon-weighted"](0.3),
    **{f"alpha({number})": lt.divergences["alpha"](number) for number in (-0.5, 0.5, 2.0)},
}


class Shift(nn.Module):
    """z ↦ z + 0.8."""

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z + Q.loc


class Draws:
    """Batches of new draws of P."""

    rows = lt.Batch(
        torch.tensor([[-1.0], [1.0]])
    )  # mean 0 and standard deviation 1: networks see rows unscaled

    def at(self, step: int) -> Iterator[lt.Batch]:
        while True:
            generator = torch.Generator().manual_seed(step)
            yield lt.Batch(torch.randn(2048, 1, generator=generator))
            step += 1


def trained(name: str) -> Tensor:
    """Return the raw scores on the grid of a critic after 1,200 steps."""
    torch.manual_seed(0)
    critic = Critic(MLP((1,), (1,), hidden=[32, 32], activation="tanh"), Scaling(LINE))
    game = Adversarial(Implicit.of_noise(LINE, Shift(), latent_dim=1), critic, loss_pair(name))
    optim = lt.Optim(lr=5e-3, schedule="cosine")
    *_, last = best_response(game, "critic", Draws(), optim=optim, steps=1200)
    with torch.no_grad():
        return last.critics[0](GRID[:, None]).double()


@pytest.mark.slow
@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_trained_critic_reaches_the_divergence_and_its_best_value(name):
    """The bound, by quadrature, is short of D_f by less than 3 % of D_f − f(1), and T gives log p/q to 0.15 nats.

    The latter where both distributions have rows: from −2 to 2.8, two standard deviations from either mean. The total
    variation's T* is sign(p − q)/2, which a network reaches but for a strip about the jump.
    """
    record, x, pair = DIVERGENCES[name], GRID.double(), loss_pair(name)
    log_p, log_q = P.log_prob(x), Q.log_prob(x)
    scores = trained(name)
    on_real, on_fake = pair.critic(scores, scores)
    bound = -torch.trapezoid(log_p.exp() * on_real + log_q.exp() * on_fake, x)
    true = record.densities(log_p, log_q, x)
    assert -1e-6 < (true - bound) / (true - record.at_one) < 0.03
    inside = (x > -2) & (x < 2.8)
    if name == "total-variation":
        missed = record.activation(scores) - record.derivative((log_p - log_q).exp())
        assert missed[inside & ((x - 0.4).abs() > 0.4)].abs().max() < 0.05
    else:
        assert (pair.log_ratio(scores) - (log_p - log_q))[inside].abs().max() < 0.15
