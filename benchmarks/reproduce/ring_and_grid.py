"""Modes that each adversarial recipe, and each cure of mode collapse, finds on a ring of 8 and a grid of 25 Gaussians.

    python benchmarks/reproduce/ring_and_grid.py [--data ring] [--entries gan "gan --pack 3"] [--seeds 0 1 2 3 4]

PacGAN's data (Lin et al. 2018, section 4.1): ring of radius 1 with sd 0.01, grid of spacing 2 with sd 0.05, 100,000
rows drawn once. All entries have the same networks (three hidden layers of 128), batches, learning rates and average of
the generator's weights (over a twentieth of the steps), and differ in the named option only. gan, pac-gan, unrolled-gan
and r3-gan have five seeds and as many steps as take at most 4 minutes of one core; the others one seed and about a
minute, minibatch-gan, w-gan, wgan-gp and sn-gan with fewer steps than gan does in that time. Scores of 2,500 samples:
modes with a sample within 3 sd, the fraction of such samples, and the reverse KL of their frequencies; "relative" is
that KL over the mean of five seeds of gan, with 20,000 steps for the long runs and 8,000 (half a minute) for the short
ones. One seed is an anecdote: gan's own range is in the table. The last row is of the data themselves.

Runs are kept in results/ring_and_grid/DATA.json as they end, and summary.json is made of what is there. Goals: one
recipe finds 8 of 8 and 25 of 25 with every one of five seeds, and at least 90 % (ring) and 80 % (grid) of its samples
are good.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import latentia as lt
from latentia.functional.modes import count_kl, nearest_modes
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.scoring import score

RESULTS = Path(__file__).parent / "results" / "ring_and_grid"
DATA: dict[str, dict[str, Any]] = {
    "ring": {"radius": 1.0, "sd": 0.01, "n": 100_000},
    "grid": {"spacing": 2.0, "sd": 0.05, "n": 100_000},
}
GOALS = {"ring": (8, 0.9), "grid": (25, 0.8)}
COMMON: dict[str, Any] = {
    "latent_dim": 2,
    "hidden": 128,
    "layers": 3,
    "batch_size": 128,
    "lr": 1e-3,
    "critic_lr": 1e-3,
    "schedule": "cosine",
}
OWN: dict[str, dict[str, Any]] = {
    "r3-gan": {"penalty_weight": 0.1},
    "f-gan": {"divergence": "jensen-shannon"},
    "w-gan": {"clip_weights": 0.05},
    "mode-seeking-gan": {"diversity_weight": 0.1},
    "unrolled-gan": {"critic_lr": 1e-4},  # as in the paper, below the generator's
}
FULL = {"gan": 20_000, "pac-gan": 20_000, "r3-gan": 20_000, "unrolled-gan": 5000}
SHORT = 8000
FEWER = {"wgan-gp": 2500, "w-gan": 4000, "sn-gan": 2500, "minibatch-gan": 1000}  # whose steps are slow
CURES = (
    "gan --minibatch deviation",
    "gan --critics 3 --combined mean",
    "gan --critics 3 --combined hardest",
    "gan --diversity gdpp --diversity-weight 0.1",
    "gan --diversity distance-ratio --diversity-weight 0.1",
    "gan --diversity pulling-away --diversity-weight 0.1",
    "gan --label-smoothing 0.1",
    "gan --label-flips 0.05",
    "gan --dropout 0.1",
    "gan --replay 1000",
    "gan --instance-noise 0.1 --instance-noise-steps 2500",
    "gan --penalty r1 --penalty-weight 0.1",
)
NOT_HERE = ("dc-gan", "conditional-gan")  # of images, and of classes
SAMPLES = 2500


def entries() -> list[str]:
    """Return the rows of the table: recipes of the plane, and gan with one option more."""
    recipes = [name for name in lt.recipes if name.endswith(("gan", "gan-gp")) and name not in NOT_HERE]
    return [*recipes, *CURES]


def plan(entry: str, seeds: list[int]) -> list[tuple[int, int]]:
    """Return the (steps, seed) of an entry's runs; gan has both lengths, as the reference of the others."""
    if entry == "gan":
        return [(steps, seed) for steps in (FULL[entry], SHORT) for seed in seeds]
    if entry in FULL:
        return [(FULL[entry], seed) for seed in seeds]
    return [(FEWER.get(entry, SHORT), seeds[0])]


def options_of(entry: str) -> tuple[str, dict[str, Any]]:
    """Return an entry's recipe and options."""
    recipe, *words = shlex.split(entry)
    own = {
        name[2:].replace("-", "_"): _value(text) for name, text in zip(words[::2], words[1::2], strict=True)
    }
    return recipe, COMMON | OWN.get(recipe, {}) | own


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def rows_of(data: str, seed: int) -> lt.Rows:
    """Draw the data."""
    return lt.datasets[data](split="train", seed=seed, **DATA[data])


def scores_of(model: Any, rows: lt.Rows) -> dict[str, float | None]:
    """Return captured, high-quality and reverse-kl of a model's samples."""
    found = score(Evaluation.of(model, rows, max_rows=SAMPLES), ["modes"])
    return {each.metric.partition("/")[2]: each.value for each in found}


def one(entry: str, data: str, seed: int, steps: int) -> dict[str, Any]:
    """Train and score one entry with one seed."""
    start = time.process_time()
    rows = rows_of(data, seed)
    recipe, options = options_of(entry)
    run = lt.fit(recipe, rows, steps=steps, seed=seed, ema=1 - 20 / steps, progress=False, **options)
    seconds = round(time.process_time() - start, 1)
    return {
        "entry": entry,
        "steps": steps,
        "seed": seed,
        "seconds": seconds,
        **scores_of(run.model, rows),
        "options": options,
    }


def kept(data: str) -> dict[str, Any]:
    """Return what has been found so far."""
    file = RESULTS / f"{data}.json"
    return json.loads(file.read_text()) if file.exists() else {"runs": []}


def keep(data: str, found: dict[str, Any]) -> None:
    """Write a run down, in place of an earlier one of the same entry, steps and seed."""
    which = ("entry", "steps", "seed")
    runs = [run for run in kept(data)["runs"] if any(run[name] != found[name] for name in which)]
    runs = sorted([*runs, found], key=lambda run: [str(run[name]) for name in which])
    facts = {"data": DATA[data], "samples": SAMPLES, "torch": torch.__version__, "threads": 1, "runs": runs}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{data}.json").write_text(json.dumps(facts, indent=1) + "\n")


def relative_to_gan(runs: pd.DataFrame) -> pd.Series:
    """Return each entry's mean reverse KL over that of gan's five seeds, in the long or in the short runs."""
    gan = runs[runs["entry"] == "gan"].groupby("steps")["reverse-kl"].mean()
    ratios = {}
    for (entry, steps), group in runs.groupby(["entry", "steps"]):
        base = gan[FULL["gan"] if steps == FULL.get(str(entry)) else SHORT]
        ratios[entry, steps] = group["reverse-kl"].mean() / base
    return pd.Series(ratios).rename_axis(["entry", "steps"])


def table(data: str) -> pd.DataFrame:
    """Return a row for each entry and number of steps that has results, and one of the data themselves."""
    runs = pd.DataFrame(kept(data)["runs"]).sort_values("seed")
    # Where no sample is near a mode, it is as if all were near one.
    runs["reverse-kl"] = runs["reverse-kl"].astype(float).fillna(math.log(GOALS[data][0]))
    groups = runs.groupby(["entry", "steps"])
    found = pd.DataFrame(
        {
            "seeds": groups.size(),
            "seconds": groups["seconds"].mean().round(0),
            "modes": groups["captured"].apply(lambda each: " ".join(f"{value:.0f}" for value in each)),
            "good": groups["high-quality"].mean().round(3),
            "least good": groups["high-quality"].min().round(3),
            "reverse KL": groups["reverse-kl"].mean().round(4),
            "greatest KL": groups["reverse-kl"].max().round(4),
            "relative": relative_to_gan(runs).round(2),
        }
    ).reset_index()
    real = true_row(data)
    return pd.concat([found, pd.DataFrame([real])], ignore_index=True)


def true_row(data: str) -> dict[str, Any]:
    """Return the row of data in place of samples."""
    truth = rows_of(data, 0)
    other = torch.as_tensor(rows_of(data, 1).x[:SAMPLES])
    nearest, distance = nearest_modes(other, truth.modes.centres, truth.modes.sd)
    good = distance < 3
    counts = torch.bincount(nearest[good], minlength=len(truth.modes))
    reverse = count_kl(counts, torch.full((len(truth.modes),), 1 / len(truth.modes)))
    return {
        "entry": "data",
        "seeds": 1,
        "modes": f"{int((counts > 0).sum())}",
        "good": round(good.double().mean().item(), 3),
        "reverse KL": round(reverse.item(), 4),
    }


def verdicts(data: str) -> dict[str, bool]:
    """Return which recipes with five seeds meet the goal in every one."""
    modes, good = GOALS[data]
    runs = pd.DataFrame(kept(data)["runs"])
    met = (runs["captured"] == modes) & (runs["high-quality"] >= good)
    return {
        entry: bool(met[group.index].all())
        for (entry, steps), group in runs.groupby(["entry", "steps"])
        if FULL.get(str(entry)) == steps and len(group) == 5
    }


def summary() -> dict[str, Any]:
    """Return both tables, and which recipes meet which goal; of all goals, `every_goal_met_by`."""
    met = {data: verdicts(data) for data in DATA}
    both = [recipe for recipe, yes in met["ring"].items() if yes and met["grid"].get(recipe)]
    return {
        "command": "python benchmarks/reproduce/ring_and_grid.py",
        "goals": {data: {"modes": modes, "good": good} for data, (modes, good) in GOALS.items()},
        "met": met,
        "every_goal_met_by": both,
        "tables": {data: json.loads(table(data).to_json(orient="records")) for data in DATA},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", nargs="*", default=entries())
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, help="of every run, instead of those of the table; not kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for data in args.data:
        for entry in args.entries:
            for steps, seed in [(args.steps, 0)] if args.steps else plan(entry, args.seeds):
                found = one(entry, data, seed, steps)
                if not args.steps:
                    keep(data, found)
                print({name: value for name, value in found.items() if name != "options"}, flush=True)
        if kept(data)["runs"]:
            print(table(data).to_string(index=False))
    if all(kept(data)["runs"] for data in DATA):
        (RESULTS / "summary.json").write_text(json.dumps(summary(), indent=1) + "\n")


if __name__ == "__main__":
    main()
