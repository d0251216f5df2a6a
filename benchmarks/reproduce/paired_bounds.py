"""Two trainings on static-binarised MNIST, compared by bounds of the same test rows, for vamp_prior.py and iwae.py."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import latentia as lt
from latentia.metrics.evaluation import Evaluation

RESULTS = Path(__file__).parent / "results"
TRAINING: dict[str, Any] = {"batch_size": 100, "layers": 2}


Sides = Mapping[str, dict[str, Any]]


def compare(
    name: str, what: str, recipe: str, sides: Callable[[int], Sides], *, goal: str, doc: str | None
) -> None:
    """Read the command line, train both sides with each seed, and write results/NAME.json.

    Args:
        name: of the JSON file.
        what: what the sides differ in.
        recipe: that both have.
        sides: from the number of epochs to two sets of options by name, the base first.
        goal: in words.
        doc: of the script, for --help.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", type=int, default=1000, help="of the test part, to score")
    args = parser.parse_args()
    torch.set_num_threads(2)
    runs, gains = [], []
    for seed in args.seeds:
        bounds = []
        for side, options in sides(args.epochs).items():
            length = {"epochs": args.epochs, "seed": seed}
            found, bound = one(recipe, args.rows, **TRAINING, **length, **options)
            runs.append({what: side, "seed": seed, **found})
            bounds.append(bound)
            print(runs[-1], flush=True)
        gain = bounds[1] - bounds[0]
        gains.append({"nats": gain.mean().item(), "stderr": gain.std().item() / len(gain) ** 0.5})
    print("better by", gains)
    result = {
        "command": " ".join(["python", f"benchmarks/reproduce/{name}.py", *sys.argv[1:]]),
        "goal": goal,
        "epochs": args.epochs,
        "torch": torch.__version__,
        "runs": runs,
        "better_by_on_the_same_rows": gains,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def one(recipe: str, rows: int, **options: Any) -> tuple[dict[str, Any], torch.Tensor]:
    """Train once; return what to report, and the bound of each row by 5,000 importance samples, in nats."""
    start = time.perf_counter()
    run = lt.fit(recipe, "mnist-static", **options)
    trained = time.perf_counter() - start
    every = lt.datasets["mnist-static"](split="test")
    test = every.select(torch.randperm(len(every), generator=torch.Generator().manual_seed(0))[:rows])
    iwae = Evaluation.of(run.model, test, seed=options["seed"], batch_size=100).bound(5000)
    with torch.no_grad():
        means = run.model.encode(test.x).mean
    report = {
        "elbo_of_all_10000": Evaluation.of(run.model, every, seed=options["seed"]).bound(1).mean().item(),
        "iwae_5000": iwae.mean().item(),
        "iwae_5000_stderr": iwae.std().item() / rows**0.5,
        "active_units": int((means.var(0) > 0.01).sum()),
        "rows": rows,
        "training_seconds": round(trained, 1),
        "scoring_seconds": round(time.perf_counter() - start - trained, 1),
    }
    return report, iwae
