"""Modes that each adversarial recipe finds on a ring of 8 and a grid of 25 Gaussians.

    python benchmarks/reproduce/ring_and_grid.py [--recipes r3-gan gan] [--data ring grid] [--seeds 0 1 2 3 4]

PacGAN's data (Lin et al. 2018, section 4.1): ring of radius 1 with sd 0.01, grid of spacing 2 with sd 0.05, 100,000
rows drawn once. All recipes have the same networks (three hidden layers of 128), batches, learning rates and average of
the generator's weights; a recipe adds what it is about. gan, pac-gan, unrolled-gan and r3-gan have five seeds and as
many steps as take at most 4 minutes; the others one seed and at most a minute, which the table says. Scores of 2,500
samples: modes with a sample within 3 sd, the share of such samples (98.9 % for true data), and the reverse KL of their
frequencies ((K - 1)/2n for true data: 0.0014 and 0.0048).

Each run is written to results/ring_and_grid/ as it ends, and the table is made of what is there. Goals: one recipe
finds 8 of 8 and 25 of 25 with every seed, with at least 90 % (ring) and 80 % (grid) of the samples near a mode.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import latentia as lt

RESULTS = Path(__file__).parent / "results" / "ring_and_grid"
DATA: dict[str, dict[str, Any]] = {
    "ring": {"radius": 1.0, "sd": 0.01, "n": 100_000},
    "grid": {"spacing": 2.0, "sd": 0.05, "n": 100_000},
}
MODES = {"ring": 8, "grid": 25}
COMMON: dict[str, Any] = {
    "latent_dim": 2,
    "hidden": 128,
    "layers": 3,
    "batch_size": 128,
    "lr": 1e-3,
    "critic_lr": 1e-3,
    "schedule": "cosine",
    "ema": 0.999,
}
OWN: dict[str, dict[str, Any]] = {
    "r3-gan": {"penalty_weight": 0.1},
    "f-gan": {"divergence": "jensen-shannon"},
    "w-gan": {"clip_weights": 0.05},
    "mode-seeking-gan": {"diversity_weight": 0.1},
}
NOT_HERE = ("dc-gan", "conditional-gan")  # of images, and of classes
FULL_STEPS = {"gan": 20_000, "pac-gan": 20_000, "r3-gan": 20_000, "unrolled-gan": 5000}
STEPS = 5000
SAMPLES = 2500


def one(recipe: str, data: str, seed: int, steps: int) -> dict[str, Any]:
    """Train and score one recipe with one seed."""
    start = time.perf_counter()
    rows = lt.datasets[data](split="train", seed=seed, **DATA[data])
    options = COMMON | OWN.get(recipe, {})
    run = lt.fit(recipe, rows, steps=steps, seed=seed, progress=False, **options)
    seconds = time.perf_counter() - start
    scores = lt.evaluate(run, rows, metrics=["modes"], max_rows=SAMPLES).set_index("metric")
    found = {
        "recipe": recipe,
        "data": data,
        "seed": seed,
        "steps": steps,
        "seconds": round(seconds, 1),
        **{
            name: float(scores.value[name])
            for name in ("modes/captured", "modes/high-quality", "modes/reverse-kl")
        },
        "options": options,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{data}_{recipe}_{seed}.json").write_text(json.dumps(found, indent=2) + "\n")
    return found


def table() -> pd.DataFrame:
    """Return a row for each recipe and data set that has results."""
    found = pd.DataFrame([json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))])
    groups = found.groupby(["data", "recipe"])
    return pd.DataFrame(
        {
            "seeds": groups.size(),
            "steps": groups["steps"].first(),
            "seconds": groups["seconds"].mean().round(0),
            "modes": groups["modes/captured"].apply(lambda each: " ".join(f"{value:.0f}" for value in each)),
            "high quality": groups["modes/high-quality"].mean().round(3),
            "least": groups["modes/high-quality"].min().round(3),
            "reverse KL": groups["modes/reverse-kl"].mean().round(4),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [name for name in lt.recipes if name.endswith(("gan", "gan-gp")) and name not in NOT_HERE]
    parser.add_argument("--recipes", nargs="*", default=known, choices=known)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, help="of every run, instead of those of the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for data in args.data:
        for recipe in args.recipes:
            for seed in args.seeds if recipe in FULL_STEPS else args.seeds[:1]:
                found = one(recipe, data, seed, args.steps or FULL_STEPS.get(recipe, STEPS))
                print({name: value for name, value in found.items() if name != "options"}, flush=True)
    print(table().to_string())


if __name__ == "__main__":
    main()
