"""The step of a VAE with each posterior: what an autoregressive flow costs in its slow direction.

    python benchmarks/speed/posteriors.py [--steps 40]

Inverse autoregressive flow draws all entries of a code at once; a masked autoregressive flow draws one after another,
so its step grows with the number of entries. No goal: the ratios are reported in the docs of `iaf-vae`.
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

BATCH, HIDDEN = 100, 300


def side(x: Tensor, posterior: str, latent_dim: int, steps: int) -> Callable[[], int]:
    """Return a function that trains for some steps and returns their number."""
    rows = Rows(x, DataSpec((784,), Support("binary")))
    recipe = lt.recipes["vae"](
        rows.spec, latent_dim=latent_dim, network="mlp", hidden=HIDDEN, posterior=posterior
    )
    states = lt.train(recipe.objective, Batches(rows, BATCH), optim=recipe.optim)

    def run() -> int:
        return sum(next(states) is not None for _ in range(steps))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=40, help="steps a turn")
    parser.add_argument("--latent-dim", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    x = (torch.rand(10_000, 784) < 0.13).to(torch.uint8)
    names = ("diagonal", "iaf", "maf", "realnvp", "planar", "full")
    sides = {name: side(x, name, args.latent_dim, args.steps) for name in names}
    goals = {(name, "iaf"): None for name in names if name != "iaf"}
    compare("posteriors", sides, repetitions=args.repetitions, unit="steps/s", goals=goals)


if __name__ == "__main__":
    main()
