"""A linear autoencoder 784-20-784, squared error, batch 128, Adam: Latentia against a loop by hand.

    python benchmarks/speed/autoencoder.py [--steps 600]

Goal: 0.80 of the loop by hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from side_by_side import compare
from torch import Tensor, nn

import latentia as lt
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support

BATCH, LATENT = 128, 20


def by_hand(x: Tensor, steps: int) -> Callable[[], int]:
    """A minimal eager loop: floats in memory, index_select, fused Adam."""
    model = nn.Sequential(nn.Linear(784, LATENT), nn.Linear(LATENT, 784))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def run() -> int:
        order = torch.randperm(len(x))
        for step in range(steps):
            batch = x.index_select(0, order[step * BATCH : (step + 1) * BATCH])
            loss = (model(batch) - batch).square().sum() / BATCH
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        return steps * BATCH

    return run


def ours(x: Tensor, steps: int) -> Callable[[], int]:
    """Latentia's recipe in Latentia's loop."""
    rows = Rows(x, DataSpec((784,), Support("real")))
    recipe = lt.recipes["autoencoder"](rows.spec, latent_dim=LATENT, network="mlp", layers=0)
    recipe.objective.begin(rows)
    states = lt.train(recipe.objective, Batches(rows, BATCH), optim=recipe.optim)

    def run() -> int:
        return sum(next(states).rows for _ in range(steps))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600, help="steps a turn")
    parser.add_argument("--repetitions", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(2)
    x = torch.rand(60_000, 784, generator=torch.Generator().manual_seed(0))
    sides = {"latentia": ours(x, args.steps), "by hand": by_hand(x, args.steps)}
    compare(
        "autoencoder",
        sides,
        repetitions=args.repetitions,
        unit="rows/s",
        goals={("latentia", "by hand"): 0.80},
    )


if __name__ == "__main__":
    main()
