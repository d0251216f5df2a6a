"""Classes of MNIST in the features of a critic trained without labels: 1-NN and a linear probe.

    python benchmarks/reproduce/critic_features.py [--recipe dc-gan] [--epochs 5] [--seeds 0 1 2]

The trained critic is compared with the same network at initialisation (with the batch norm statistics of the data), and
with the pixels themselves: random features are good for digits, so a critic's accuracy alone says little. All training
rows are neighbours; the linear probe is fitted to 10,000 of them.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import latentia as lt
from latentia.core.model import Encodes
from latentia.data.rows import Rows
from latentia.distributions.point_mass import PointMass
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.scoring import score
from latentia.models.critic_features import CriticFeatures
from latentia.networks.critic import Critic
from latentia.runs.build import build
from latentia.runs.critic_ratio import CriticReading
from latentia.runs.options import Training

RESULTS = Path(__file__).parent / "results"
METRICS = ("nearest-neighbour-accuracy", "linear-probe-accuracy")


class Pixels(Encodes, nn.Module):
    """Rows as their own codes."""

    def encode(self, x: Tensor, context: Tensor | None = None) -> PointMass:  # noqa: ARG002  (pixels are all)
        """Return the entries of (B, *event) rows."""
        return PointMass(x.flatten(1), event_dim=1)


@torch.no_grad()
def settle(critic: Critic, rows: Rows) -> None:
    """Set the running statistics of batch norm to those of the rows, without changing a weight."""
    critic.train()
    for block in islice(rows.blocks(64), 100):
        critic(block.x)


def critics(recipe: str, train: Rows, epochs: int, seed: int) -> dict[str, Critic]:
    """Return a critic at the initialisation of a seed, and the same critic after training."""
    first = build(recipe, train.spec, {}, Training(seed=seed)).objective
    first.begin(train)
    settle(CriticReading.of(first).critics[0], train)
    trained = lt.fit(recipe, train, epochs=epochs, seed=seed, progress=False)
    objectives = {"untrained": first, "trained": trained.recipe.objective}
    return {name: CriticReading.of(objective).critics[0] for name, objective in objectives.items()}


def accuracies(encoder: nn.Module, train: Rows, test: Rows) -> dict[str, Any]:
    """Return both accuracies of an encoder's codes, with their standard errors, in percent."""
    results = score(Evaluation(encoder, test, train_rows=lambda: train), METRICS)
    return {
        each.metric: {"percent": 100 * (each.value or 0.0), "stderr": 100 * (each.stderr or 0.0)}
        | {"entries": each.settings["entries"]}
        for each in results
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--recipe", default="dc-gan")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=None, help="training rows, for a quick look")
    parser.add_argument("--out", type=Path, default=RESULTS / "critic_features.json")
    args = parser.parse_args()
    train: Rows = lt.datasets[args.data](split="train")
    test: Rows = lt.datasets[args.data](split="test")
    train = train if args.rows is None else train.select(torch.arange(args.rows))
    records: list[dict[str, Any]] = [{"features": "pixels", **accuracies(Pixels(), train, test)}]
    for seed in args.seeds:
        start = time.perf_counter()
        for name, critic in critics(args.recipe, train, args.epochs, seed).items():
            found = accuracies(CriticFeatures(critic), train, test)
            seconds = round(time.perf_counter() - start, 1)
            records.append({"features": name, "seed": seed, **found, "seconds": seconds})
            print(records[-1], flush=True)
    result = {
        "command": f"python benchmarks/reproduce/critic_features.py --data {args.data} --recipe {args.recipe} "
        f"--epochs {args.epochs} --seeds {' '.join(map(str, args.seeds))}",
        "protocol": f"{args.recipe} on {len(train)} rows of {args.data}, classes unseen; {len(test)} test rows",
        "records": records,
        "torch": torch.__version__,
    }
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
