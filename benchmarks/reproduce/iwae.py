"""IWAE with k = 5 against k = 1 on static-binarised MNIST; goal: better by at least 0.5 nats, more active units.

    LATENTIA_DATA=... python benchmarks/reproduce/iwae.py [--epochs 30] [--seeds 0]

One stochastic layer of 50, networks of 200-200, batch 100 (20 in the paper: Burda, Grosse and Salakhutdinov 2016,
table 1). Scores are log p(x) by importance sampling with K = 5,000 on 1,000 random test rows, with their standard
error; a unit is active where the variance over rows of its mean code is above 0.01.
"""

from __future__ import annotations

from paired_bounds import compare

OPTIONS = {"latent_dim": 50, "network": "mlp", "hidden": 200}

if __name__ == "__main__":
    compare(
        "iwae",
        "k",
        "iwae",
        lambda _: {str(k): {**OPTIONS, "samples": k} for k in (1, 5)},
        goal="k = 5 better by at least 0.5 nats than k = 1, and more active units",
        doc=__doc__,
    )
