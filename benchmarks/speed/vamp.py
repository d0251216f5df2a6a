"""Training steps of a VAE 784-300-300-40 at batch 100 with and without a VampPrior of 500 pseudo-inputs.

python benchmarks/speed/vamp.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from side_by_side import compare
from torch import Tensor

import latentia as lt
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support

BATCH, LATENT, HIDDEN, PSEUDO_INPUTS = 100, 40, 300, 500


def training(x: Tensor, steps: int, **options: object) -> Callable[[], int]:
    """Latentia's recipe in Latentia's loop."""
    rows = Rows(x, DataSpec((784,), Support("binary")))
    recipe = lt.recipes["vae"](
        rows.spec, latent_dim=LATENT, network="mlp", hidden=HIDDEN, layers=2, **options
    )
    states = lt.train(recipe.objective, Batches(rows, BATCH), optim=recipe.optim)

    def run() -> int:
        for _ in range(steps):
            next(states)
        return steps

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100, help="steps a turn")
    parser.add_argument("--repetitions", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(2)
    x = torch.randint(2, (20_000, 784), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sides = {
        "standard normal": training(x, args.steps),
        "VampPrior": training(x, args.steps, prior="vamp", prior_components=PSEUDO_INPUTS),
    }
    goals = {("VampPrior", "standard normal"): 1 / 3.5}
    compare("vamp", sides, repetitions=args.repetitions, unit="steps/s", goals=goals)


if __name__ == "__main__":
    main()
