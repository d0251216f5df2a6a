"""DCGAN at 32×32, feature maps 256-128-64, batch 64, one critic and one generator update a step.

python benchmarks/speed/dcgan.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from side_by_side import compare
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import latentia as lt
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support

BATCH, LATENT, WIDTH, CHANNELS = 64, 64, 64, 3


def plain_generator() -> nn.Module:
    """The generator as a tutorial writes it: the same layers as ours."""
    return nn.Sequential(
        nn.Linear(LATENT, 4 * WIDTH * 16),
        nn.Unflatten(1, (4 * WIDTH, 4, 4)),
        nn.BatchNorm2d(4 * WIDTH),
        nn.ReLU(),
        nn.ConvTranspose2d(4 * WIDTH, 2 * WIDTH, 4, 2, 1),
        nn.BatchNorm2d(2 * WIDTH),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        nn.ConvTranspose2d(WIDTH, CHANNELS, 4, 2, 1),
        nn.Tanh(),
    )


def plain_critic() -> nn.Module:
    """The critic as a tutorial writes it: the same layers as ours."""
    return nn.Sequential(
        nn.Conv2d(CHANNELS, WIDTH, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * WIDTH, 4 * WIDTH, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(4 * WIDTH * 16, 1),
    )


def plain(x: Tensor, steps: int) -> Callable[[], int]:
    """NCHW, float32, plain Adam, full ``backward()``."""
    generator, critic = plain_generator(), plain_critic()
    moves_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    moves_c = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    real = x.float() / 127.5 - 1

    def run() -> int:
        order = torch.randperm(len(real))
        for step in range(steps):
            batch = real[order[step * BATCH : (step + 1) * BATCH]]
            fake = generator(torch.randn(BATCH, LATENT))
            moves_c.zero_grad()
            loss = F.softplus(-critic(batch)).mean() + F.softplus(critic(fake.detach())).mean()
            loss.backward()
            moves_c.step()
            moves_g.zero_grad()
            loss = F.softplus(-critic(generator(torch.randn(BATCH, LATENT)))).mean()
            loss.backward()
            moves_g.step()
        return steps

    return run


def ours(x: Tensor, steps: int, **how: object) -> Callable[[], int]:
    """Latentia's recipe in Latentia's loop."""
    rows = Rows(x, DataSpec((CHANNELS, 32, 32), Support("discrete", 256)))
    recipe = lt.recipes["gan"](rows.spec, latent_dim=LATENT, width=WIDTH)
    states = lt.train(recipe.objective, Batches(rows, BATCH), optim=recipe.optim, **how)  # type: ignore[arg-type]

    def run() -> int:
        for _ in range(steps):
            next(states)
        return steps

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12, help="steps a turn")
    parser.add_argument("--repetitions", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    x = torch.randint(256, (10_000, CHANNELS, 32, 32), dtype=torch.uint8)
    sides = {
        "latentia": ours(x, args.steps),
        "latentia, bf16": ours(x, args.steps, precision="bf16"),
        "plain": plain(x, args.steps),
    }
    goals = {("latentia, bf16", "latentia"): 1.6, ("latentia", "plain"): 1.15}
    compare("dcgan", sides, repetitions=args.repetitions, unit="steps/s", goals=goals)


if __name__ == "__main__":
    main()
