"""Held-out log-likelihood on digits: in the space of codes, and in the space of pixels, each under its measure.

    python benchmarks/reproduce/digits_codes.py [--seeds 0 1 2]

A density of codes, decoded by a map from fewer dimensions, gives no density of pixels, so codes and pixels are two
tables:
- codes: 8 entries, of `pca` and of `autoencoder`; a Gaussian, a mixture, a kernel density, a flow and a VAE of each;
- pixels: uniformly dequantised, (x + u)/17 in [0, 1]; `ppca`, `factor-analysis` and VAEs of Gaussian likelihood.
A VAE's log-likelihood lies above its two bounds by an unknown amount. The difference of a model from the first of its
table is paired over rows, so its standard error is smaller than the scores'.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import latentia as lt
from latentia.core.model import Bounded, Density
from latentia.metrics.score import mean_score

RESULTS = Path(__file__).parent / "results"
CODE, LATENT = 8, 16  # entries of codes; of the latent variables of models of pixels
IWAE = 500
STOPPED: dict[str, Any] = {"validation": 0.1, "monitor": "elbo", "patience": 100, "epochs": 400}
"""A VAE keeps the weights with the best bound on a held-out tenth of its training rows."""

CODECS: dict[str, dict[str, Any]] = {"pca": {}, "autoencoder": {"hidden": 200, "epochs": 60}}
OF_CODES: dict[str, tuple[str, dict[str, Any]]] = {
    "gaussian": ("gaussian", {}),
    "gaussian-mixture": ("gaussian-mixture", {"components": 20, "order": "bic", "restarts": 3}),
    "kernel-density": ("kernel-density", {}),
    "flow": ("flow", {"validation": 0.1, "monitor": "log-likelihood", "patience": 10}),
    "vae": (
        "vae",
        {"latent_dim": CODE, "hidden": 100, "layers": 2, "kl_warmup": 2000, "batch_size": 64, **STOPPED},
    ),
}
_VAE = {"latent_dim": LATENT, "hidden": 200, "likelihood": "gaussian", "batch_size": 128, **STOPPED}
OF_PIXELS: dict[str, tuple[str, dict[str, Any]]] = {
    "ppca": ("ppca", {"latent_dim": LATENT, "support": "unit"}),
    "factor-analysis": ("factor-analysis", {"latent_dim": LATENT, "support": "unit"}),
    "vae, one σ for all pixels": ("vae", {"support": "unit", **_VAE}),
    "vae, σ in units of each pixel's standard deviation": ("vae", {"support": "real", **_VAE}),
}
SEEDED = ("gaussian-mixture", "flow", "vae")  # the others come out the same


def dequantised(split: str, seed: int) -> Tensor:
    """Return (n, 64) rows (x + u)/17 with u uniform on [0, 1), the same at each call."""
    x = lt.datasets["digits"](split=split).x.flatten(1).float()
    return (x + torch.rand(x.shape, generator=torch.Generator().manual_seed(seed))) / 17


@torch.no_grad()
def held_out(run: lt.Run, x: Tensor) -> dict[str, Tensor]:
    """Return log p(x) of each row, (n,) nats, or two bounds of it, by the kind of number that each is."""
    if isinstance(run.model, Density):
        return {"exact": run.model.log_prob(x)}
    bound, generator = run.require(Bounded).log_prob_bound, torch.Generator().manual_seed(0)
    return {
        "lower bound (ELBO, 20 draws)": bound(x, repeats=20, generator=generator),
        f"lower bound (IWAE, K={IWAE})": bound(x, samples=IWAE, generator=generator),
    }


def compared(
    models: dict[str, tuple[str, dict[str, Any]]], learnt: Tensor, test: Tensor, seeds: list[int]
) -> list[dict[str, Any]]:
    """Fit each model and score it on the same rows: records of a mean in nats per row, and of the difference."""
    records: list[dict[str, Any]] = []
    first: Tensor | None = None
    for name, (recipe, options) in models.items():
        for seed in seeds if recipe in SEEDED else seeds[:1]:
            start = time.perf_counter()
            run = lt.fit(recipe, learnt, seed=seed, progress=False, **options)
            seconds = round(time.perf_counter() - start, 1)
            for kind, rows in held_out(run, test).items():
                first = rows if first is None else first
                records.append(
                    {"model": name, "seed": seed, **record(kind, rows, first), "fit_seconds": seconds}
                )
                print(records[-1])
    return records


def record(kind: str, rows: Tensor, first: Tensor) -> dict[str, Any]:
    """Return the mean of (n,) nats as a score's fields, with the paired difference from the first model's."""
    score = asdict(mean_score("log p(x)", rows, unit="nats per row", kind=kind, measure="Lebesgue"))
    above = mean_score("difference", rows - first)
    kept = {field: score[field] for field in ("value", "stderr", "unit", "kind", "measure", "n")}
    return kept | {"above_first": above.value, "above_first_stderr": above.stderr}


def codes(learnt: Tensor, test: Tensor, seeds: list[int]) -> dict[str, Any]:
    """Return the table of each codec's codes; codes have different units, so tables do not compare with each other."""
    found: dict[str, Any] = {}
    for name, options in CODECS.items():
        codec = lt.fit(name, learnt, support="unit", latent_dim=CODE, progress=False, **options)
        found[name] = compared(OF_CODES, codec.encode(learnt), codec.encode(test), seeds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    learnt = torch.cat([dequantised("train", 0), dequantised("validation", 1)])
    test = dequantised("test", 2)
    result = {
        "command": "python benchmarks/reproduce/digits_codes.py --seeds " + " ".join(map(str, args.seeds)),
        "protocol": f"digits, split seed 0: fitted to the {len(learnt)} rows that are not the test part's "
        f"{len(test)}; VAEs and flows hold out a tenth of them to stop by",
        "codes_measure": f"Lebesgue on R^{CODE}, codes as the codec gives them",
        "codes": codes(learnt, test, args.seeds),
        "pixels_measure": "Lebesgue on R^64, pixels (x + u)/17; 64 log 17 = 181.3 nats less bounds log P of "
        "the integers from below",
        "pixels": compared(OF_PIXELS, learnt, test, args.seeds),
        "torch": torch.__version__,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "digits_codes.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
