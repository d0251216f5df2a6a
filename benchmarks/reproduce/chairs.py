"""Chairs from their factors, 24 types at 64x64: new poses against the nearest neighbour and cross-fading.

    python benchmarks/reproduce/chairs.py [--epochs 60] [--width 32] [--precision bf16] [--threads 2]

Learns from the training part of `chairs` and writes mean squared errors per entry (pixels from 0 to 1):
- of the test part's images, generated from their factors, against the training image of the same type with the nearest
  pose, and against the training image nearest in pixels;
- of frames half-way between two rendered azimuths, at which nothing was ever rendered, against the mean of the two
  frames, which may be of any part.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import latentia as lt
from latentia.data.rows import Rows
from latentia.data.sets.chairs import chair
from latentia.data.transforms import GivenFactors

RESULTS = Path(__file__).parent / "results"


def error(x: Tensor, y: Tensor) -> float:
    """Return the mean squared error of bytes per entry, where pixels are from 0 to 1."""
    return float(((x.float() - y.float()) / 255).square().mean())


def held_out(run: lt.Run, learnt: Rows, held: Rows) -> dict[str, float]:
    """Compare images made from held-out factors with neighbours in the training part."""
    known, asked = (rows.transformed(GivenFactors()).whole() for rows in (learnt, held))
    made = torch.cat([run.model.sample(len(c), c) for c in asked.context.split(64)])
    apart = torch.cdist(asked.context, known.context)
    apart += 1e3 * (held.labels[:, None] != learnt.labels)  # another type is no neighbour
    nearest = torch.cdist(held.x.float().flatten(1), learnt.x.float().flatten(1)).argmin(1)
    return {
        "generator": error(made, held.x),
        "nearest_pose": error(learnt.x[apart.argmin(1)], held.x),
        "nearest_image": error(learnt.x[nearest], held.x),
    }


def between(run: lt.Run, rows: Rows) -> dict[str, float]:
    """Compare frames between rendered azimuths with the mean of their neighbours."""
    kinds, azimuths, elevations, distances = (factor.values for factor in rows.spec.factors)
    frames = rows.x.view(*(len(factor.values) for factor in rows.spec.factors), *rows.spec.event_shape)
    half = [azimuth + 180 / len(azimuths) for azimuth in azimuths]
    found: list[tuple[float, float]] = []
    for kind in range(len(kinds)):
        for e, elevation in enumerate(elevations):
            for d, distance in enumerate(distances):
                truth = torch.from_numpy(np.stack([chair(kind, a, elevation, distance) for a in half]))
                given = {"type": kind, "azimuth": half, "elevation": elevation, "distance": distance}
                here = frames[kind, :, e, d].float()
                faded = (here + here.roll(-1, 0)) / 2
                found.append((error(run.sample(len(half), given), truth), error(faded, truth)))
    generator, cross_fading = np.mean(found, axis=0).tolist()
    return {"generator": generator, "cross_fading": cross_fading}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    parts = {split: lt.datasets["chairs"](split=split) for split in ("train", "test", "all")}
    start = time.perf_counter()
    _ = parts["all"].x
    rendered = time.perf_counter() - start
    options = {"width": args.width, "precision": args.precision, "seed": args.seed, "epochs": args.epochs}
    start = time.perf_counter()
    run = lt.fit("deconvolution-generator", parts["train"], schedule="cosine", lr=5e-3, **options)
    trained = time.perf_counter() - start
    result = {
        "command": f"python benchmarks/reproduce/chairs.py --epochs {args.epochs} --width {args.width} "
        f"--precision {args.precision} --threads {args.threads} --seed {args.seed}",
        "measure": "mean squared error per entry, pixels from 0 to 1",
        "goal": "the generator below all others",
        "held_out_poses": held_out(run, parts["train"], parts["test"]),
        "between_azimuths": between(run, parts["all"]),
        "images": len(parts["all"]),
        "rendering_seconds": round(rendered, 1),
        "training_seconds": round(trained, 1),
        "torch": torch.__version__,
    }
    print(json.dumps(result, indent=2))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "chairs.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
