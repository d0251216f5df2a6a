"""A linear VAE reaches the likelihood of probabilistic PCA on MNIST, k = 10; goal: within 0.5 nats in 5 minutes.

    LATENTIA_DATA=... python benchmarks/reproduce/linear_vae.py [--epochs 60]

A VAE with linear encoder and decoder and one learned σ has no optimum of its ELBO that is not a maximum of PPCA's
likelihood (Lucas et al. 2019). Pixels are in [0, 1]; the decoder's offset learns their mean. The likelihood of what
was learned is in closed form, so it is compared with the ELBO, with importance sampling, and with PPCA's.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal

import latentia as lt

RESULTS = Path(__file__).parent / "results"
K = 10


def images(split: str) -> Tensor:
    """Return a part of MNIST as rows of 784 pixels in [0, 1]."""
    return lt.datasets["mnist"](split=split, seed=0).x.flatten(1).float() / 255


def implied(run: lt.Run) -> LowRankMultivariateNormal:
    """Return N(μ, WWᵀ + σ²I) of a linear VAE, in float64: its decoder at 0 is μ, at the unit vectors W + μ."""
    codes = torch.cat([torch.zeros(1, K), torch.eye(K)])
    with torch.no_grad():
        likelihood = run.model.decode(codes)
    means, sigma = likelihood.mean.double(), likelihood.stddev[0].double()
    return LowRankMultivariateNormal(means[0], (means[1:] - means[0]).T, sigma.square())


def mean_and_stderr(values: Tensor) -> dict[str, float]:
    """Return the mean of rows' scores and its standard error, in nats."""
    return {"value": values.mean().item(), "stderr": values.std().item() / math.sqrt(len(values))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--iwae-rows", type=int, default=1000)
    args = parser.parse_args()
    x, test = images("train"), images("test")
    ppca = lt.fit("ppca", x, support="unit", latent_dim=K, progress=False)
    start = time.perf_counter()
    options = {"network": "mlp", "layers": 0, "likelihood": "gaussian", "latent_dim": K, "support": "unit"}
    training = {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "lr": args.lr,
        "schedule": "cosine",
        "seed": args.seed,
    }
    run = lt.fit("vae", x, **options, **training)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        exact = implied(run).log_prob(test.double())
        closed = ppca.model.log_prob(test)
        bound = run.model.log_prob_bound(test, repeats=10, generator=torch.Generator().manual_seed(0))
        few = test[: args.iwae_rows]
        importance = run.model.log_prob_bound(few, samples=5000, generator=torch.Generator().manual_seed(0))
    error = importance.double() - exact[: args.iwae_rows]
    ais = lt.evaluate(run, test[:100], metrics=["ais"], ais_temperatures=1000, ais_chains=16).iloc[0]
    result = {
        "command": " ".join(["python", "benchmarks/reproduce/linear_vae.py", *sys.argv[1:]]),
        "protocol": f"60,000 rows, scored on the 10,000 test rows; {args.epochs} epochs, seed {args.seed}",
        "goal": "the linear VAE's likelihood within 0.5 nats of PPCA's, in under 5 minutes",
        "unit": "nats per row, density of pixels in [0, 1]",
        "ppca": mean_and_stderr(closed),
        "linear_vae_exact": mean_and_stderr(exact),
        "linear_vae_elbo": mean_and_stderr(bound.double()),
        "ppca_minus_linear_vae": mean_and_stderr(closed - exact),
        "iwae_5000_minus_exact": mean_and_stderr(error) | {"rows": args.iwae_rows},
        "ais": {
            "value": ais["value"],
            "exact": exact[:100].mean().item(),
            "rows": 100,
            "settings": ais["settings"],
        },
        "training_seconds": round(seconds, 1),
        "torch": torch.__version__,
    }
    for key, value in result.items():
        print(f"{key}: {value}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "linear_vae.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
