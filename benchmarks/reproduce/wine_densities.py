"""The Gaussian's density of wines in ten folds, the protocol of RNADE; goal: within 0.05 nats of −13.18 and −13.20.

    LATENTIA_DATA=... python benchmarks/reproduce/wine_densities.py [--shuffles 3]

Each fold is standardised by its training rows' means and standard deviations, and its test rows are scored in these
units (Uria, Murray and Larochelle 2013). A seventh of the red wines and a fifth of the white ones are exact copies of
others, so that a random fold tests on rows that were trained on; beside it all copies of a row are kept in one fold.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

import latentia as lt

RESULTS = Path(__file__).parent / "results"
GOALS = {"red": -13.18, "white": -13.20}
FOLDS = 10


def wines(colour: str) -> np.ndarray:
    """Return the eleven measurements of the wines of a colour."""
    path = Path(os.environ["LATENTIA_DATA"]) / "wine-quality" / f"winequality-{colour}.csv"
    return np.loadtxt(path, delimiter=";", skiprows=1)[:, :11]


def folds(x: np.ndarray, copies: str, random: np.random.Generator) -> np.ndarray:
    """Return the fold of each row: at random, or the same for all copies of a row."""
    if copies == "keep":
        return random.permutation(len(x)) % FOLDS
    different, which = np.unique(x, axis=0, return_inverse=True)
    return (random.permutation(len(different)) % FOLDS)[which.ravel()]


def scored(x: np.ndarray, copies: str, seed: int) -> float:
    """Return the mean over folds of the mean test log-density, in nats per row."""
    fold, values = folds(x, copies, np.random.default_rng(seed)), list[float]()
    for k in range(FOLDS):
        train, test = x[fold != k], x[fold == k]
        mean, sd = train.mean(0), train.std(0)
        run = lt.fit("gaussian", (train - mean) / sd, variance_floor=0.0, progress=False)
        values.append(run.model.log_prob(torch.from_numpy((test - mean) / sd)).mean().item())
    return float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shuffles", type=int, default=3)
    args = parser.parse_args()
    result = {
        "command": " ".join(["python", "benchmarks/reproduce/wine_densities.py", *sys.argv[1:]]),
        "protocol": f"{FOLDS} folds of {args.shuffles} shuffles, standardised by the training rows of each fold",
        "goal": "the Gaussian with copies kept within 0.05 nats of -13.18 (red) and -13.20 (white)",
        "unit": "nats per row",
        "copies": {},
    }
    for colour, goal in GOALS.items():
        x = wines(colour)
        copies = len(x) - len(np.unique(x, axis=0))
        found = {
            way: [round(scored(x, way, seed), 3) for seed in range(args.shuffles)]
            for way in ("keep", "group")
        }
        result["copies"][colour] = copies
        result[colour] = {**found, "goal": goal, "off_goal": round(float(np.mean(found["keep"])) - goal, 3)}
        print(colour, result[colour], "copies:", copies, flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "wine_densities.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
