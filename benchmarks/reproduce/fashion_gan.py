"""gan, wgan-gp and r3-gan on Fashion-MNIST at 32×32, side by side by a Fréchet distance.

    LATENTIA_DATA=... python benchmarks/reproduce/fashion_gan.py [--minutes 20] [--recipes gan wgan-gp r3-gan]

DCGAN networks of width 64, with batch norm in the generator, in bf16 on two cores, batch 64, one batch of samples for
both players; as many steps as fit into the minutes, measured beforehand; the generator's weights are averaged, over
the last 1,000 steps or a sixth of all, where that is less. The distance is between Gaussians fitted to the features, in
front of its last layer, of a classifier that we train on 50,000 training images: 10,000 samples against the 10,000 test
images. The floor is the distance of the 10,000 training images that the classifier has not seen. Reported
too are the number of classes with more than a thousandth of the samples, and the KL of the class histogram. No
published figure uses these features, so the numbers compare with each other only. Recipes that are not named keep their
recorded runs of as many minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

import latentia as lt
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.figures.images import image_grid, png_of
from latentia.functional.gaussian.wasserstein import bures_wasserstein_power
from latentia.functional.modes import count_kl
from latentia.metrics.samples.classes import ClassesSettings
from latentia.metrics.samples.sample_classifier import SampleClassifier, accuracy, sample_classifier

RESULTS = Path(__file__).parent / "results"
RECIPES: dict[str, dict[str, Any]] = {
    "gan": {},
    "wgan-gp": {},
    "r3-gan": {"penalty_weight": 0.1},  # of the order that the paper has for 32×32 images; not tuned here
}
COMMON: dict[str, Any] = {
    "network": "conv",
    "width": 64,
    "latent_dim": 64,
    "norm": "batch",
    "reuse_samples": True,
}
SAMPLES = 10_000


def fashion(split: str) -> Rows:
    """Return the images with a frame of 2 black pixels, and their classes."""
    rows = lt.datasets["fashion-mnist"](split=split)
    x = rows.take(torch.arange(len(rows))).x
    spec = replace(rows.spec, event_shape=(1, 32, 32))
    return Rows(pad(x, (2, 2, 2, 2)).to(torch.uint8), spec).with_labels(rows.labels)


def frechet(features: Tensor, others: Tensor) -> float:
    """Return ‖μ - μ'‖² + tr(C + C' - 2 (C C')^½) of Gaussians fitted to (n, F) features."""
    (mean, cov), (other_mean, other_cov) = (
        (each.double().mean(0), torch.cov(each.double().T)) for each in (features, others)
    )
    return float(bures_wasserstein_power(mean, cov, other_mean, other_cov))


def steps_within(recipe: str, rows: Rows, seconds: float) -> int:
    """Return how many steps fit into so many seconds, by the median time of some."""
    made = lt.recipes[recipe](rows.spec, **COMMON | RECIPES[recipe])
    states = lt.train(made.objective, Batches(rows, 64), optim=made.optim, precision="bf16")
    times = [time.perf_counter() for _ in islice(states, 50)]
    return int(seconds / median(b - a for a, b in pairwise(times[10:])))


def one(recipe: str, seconds: float, rows: Rows, reader: SampleClassifier, real: Tensor) -> dict[str, Any]:
    """Train one recipe for so many seconds, and score 10,000 samples."""
    steps = steps_within(recipe, rows, 0.95 * seconds)
    start = time.perf_counter()
    run = lt.fit(
        recipe,
        rows,
        steps=steps,
        batch_size=64,
        precision="bf16",
        ema=min(0.999, 1 - 6 / steps),
        seed=0,
        **COMMON | RECIPES[recipe],
    )
    trained = time.perf_counter() - start
    samples = run.sample(SAMPLES, seed=0)
    counts = torch.bincount(reader.predict(samples), minlength=10)
    grid = image_grid(samples[:100], run.spec, columns=10, scale=2)
    (RESULTS / f"fashion_gan_{recipe}.png").write_bytes(png_of(grid))
    return {
        "recipe": recipe,
        "steps": steps,
        "training_seconds": round(trained, 1),
        "frechet": frechet(reader.features(samples), real),
        "classes": int((counts > SAMPLES // 1000).sum()),
        "class_kl": float(count_kl(counts, torch.full((10,), 0.1))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    args = parser.parse_args()
    torch.set_num_threads(2)
    train, test = fashion("train"), fashion("test")
    reader = sample_classifier(train.select(torch.arange(SAMPLES, len(train))), ClassesSettings().steps)
    real = reader.features(test.take(torch.arange(len(test))).x)
    floor = frechet(reader.features(train.take(torch.arange(SAMPLES)).x), real)
    correct = accuracy(reader, test)
    print(f"floor {floor:.2f}, classifier accuracy {correct:.1%} on the test images", flush=True)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "fashion_gan.json"
    result = {
        "torch": torch.__version__,
        "minutes": args.minutes,
        "floor": floor,
        "classifier_accuracy": correct,
    }
    before = json.loads(file.read_text()) if file.exists() else {}
    comparable = before.get("minutes") == args.minutes  # then other recipes' runs stay
    runs = {run["recipe"]: run for run in before.get("runs", []) if comparable}
    for recipe in args.recipes:
        runs[recipe] = one(recipe, 60 * args.minutes, train, reader, real)
        print(runs[recipe], flush=True)
        file.write_text(json.dumps(result | {"runs": list(runs.values())}, indent=2) + "\n")


if __name__ == "__main__":
    main()
