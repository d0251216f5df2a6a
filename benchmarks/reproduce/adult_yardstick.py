"""A yardstick for synthetic tables on Adult: what looks real, and what is a copy.

    LATENTIA_DATA=folder python benchmarks/reproduce/adult_yardstick.py

10,000 rows of adult.data are the training rows and 10,000 others are held out. Samples of models, and copies with cells
drawn again, are compared with both:
- one_way, two_way: 1 − total variation of the columns, and of pairs, with numbers in 10 bins between quantiles;
- auc: area under the ROC curve of gradient boosting, 3 folds, training rows against samples; below ½ it marks copies;
- closer: fraction of 2,000 samples that are nearer to a training row than to a held-out one, ½ for new rows;
- identical: fraction of samples that are equal to a training row.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import latentia as lt

RESULTS = Path(__file__).parent / "results"
NUMBERS = (0, 2, 4, 10, 11, 12)
N, BINS, PROBES = 10_000, 10, 2_000

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "sequential trees, leaf 5": ("sequential-trees", {}),
    "sequential trees, leaf 1": ("sequential-trees", {"leaf": 1}),
    "sequential trees, leaf 5, binned": ("sequential-trees", {"numbers": "binned"}),
    "gaussian copula, kernels": ("gaussian-copula", {}),
    "gaussian copula, empirical": ("gaussian-copula", {"margins": "empirical"}),
}


def adult() -> tuple[Tensor, str]:
    """Return adult.data as numbers (32561, 15), NaN for gaps, and its support."""
    file = Path(os.environ["LATENTIA_DATA"]) / "adult" / "adult.data"
    table = pd.read_csv(file, header=None, skipinitialspace=True, na_values="?")
    columns, supports = [], []
    for j, name in enumerate(table):
        values, gaps = table[name], table[name].isna()
        support = "real"
        if j not in NUMBERS:
            categories = values.astype("category").cat
            support = f"categorical({len(categories.categories)})"
            values = pd.Series(categories.codes, dtype="float32").where(~gaps)
        columns.append(values.to_numpy("float32"))
        supports.append(support + (" or missing" if gaps.any() else ""))
    return torch.from_numpy(np.stack(columns, 1)), f"table({', '.join(supports)})"


def binned(x: Tensor, train: Tensor) -> np.ndarray:
    """Return each cell's bin among the training rows' deciles, or category; 99 for gaps: (n, 15)."""
    found = np.full(x.shape, 99)
    for j in range(x.shape[1]):
        values, known = x[:, j].numpy(), ~x[:, j].isnan().numpy()
        if j in NUMBERS:
            edges = np.unique(np.nanquantile(train[:, j].numpy(), np.linspace(0, 1, BINS + 1)[1:-1]))
            found[known, j] = np.searchsorted(edges, values[known], side="right")
        else:
            found[known, j] = values[known]
    return found


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Return 1 − total variation of two columns of codes."""
    size = max(a.max(), b.max()) + 1
    p, q = (np.bincount(each, minlength=size) / len(each) for each in (a, b))
    return 1 - np.abs(p - q).sum() / 2


def accuracies(sample: Tensor, train: Tensor) -> dict[str, float]:
    """Return the mean agreement of columns and of pairs."""
    a, b = binned(sample, train), binned(train, train)
    pairs = combinations(range(a.shape[1]), 2)
    two = [agreement(a[:, i] * 100 + a[:, j], b[:, i] * 100 + b[:, j]) for i, j in pairs]
    one = [agreement(a[:, j], b[:, j]) for j in range(a.shape[1])]
    return {"one_way": float(np.mean(one)), "two_way": float(np.mean(two))}


def auc(sample: Tensor, real: Tensor) -> float:
    """Return the area under the ROC curve of gradient boosting that tells samples from rows, in 3 folds."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    x, y = torch.cat([real, sample]).numpy(), np.repeat([0, 1], [len(real), len(sample)])
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    classifier = HistGradientBoostingClassifier(random_state=0)
    return float(cross_val_score(classifier, x, y, cv=folds, scoring="roc_auc").mean())


def features(x: Tensor, train: Tensor) -> Tensor:
    """Return numbers as fractions of the training rows below them, categories and gaps one-hot in units of ½."""
    parts = []
    for j in range(x.shape[1]):
        column, ordered = x[:, j].contiguous(), torch.sort(train[:, j][~train[:, j].isnan()])[0]
        if j in NUMBERS:
            parts.append(torch.searchsorted(ordered, column)[:, None].float() / len(ordered))
        else:
            codes = torch.where(column.isnan(), int(ordered.max()) + 1, column).long()
            parts.append(torch.nn.functional.one_hot(codes, int(ordered.max()) + 2).float() / 2)
    return torch.cat(parts, 1)


def closer(sample: Tensor, train: Tensor, held_out: Tensor) -> float:
    """Return how many of 2,000 samples are nearer to training rows, ties counted as ½."""
    a, b, c = (features(each, train) for each in (sample[:PROBES], train, held_out))
    near, far = (torch.cat([torch.cdist(x, y, p=1).amin(1) for x in a.split(250)]) for y in (b, c))
    return float(((near < far).double() + (near == far).double() / 2).mean())


def identical(sample: Tensor, train: Tensor) -> float:
    """Return the fraction of samples that equal a training row."""
    known = set(map(tuple, train.nan_to_num(-1).tolist()))
    return float(np.mean([tuple(row) in known for row in sample.nan_to_num(-1).tolist()]))


def redrawn(train: Tensor, fraction: float) -> Tensor:
    """Return the training rows with a fraction of their cells from other rows."""
    g = torch.Generator().manual_seed(1)
    others = torch.stack(
        [column[torch.randint(len(train), (len(train),), generator=g)] for column in train.T], 1
    )
    return torch.where(torch.rand(train.shape, generator=g) < fraction, others, train)


def modelled(
    recipe: str, options: dict[str, Any], train: Tensor, support: str
) -> tuple[Tensor, dict[str, float]]:
    """Return as many samples as there are rows, rounded where the rows are whole, and seconds."""
    start = time.perf_counter()
    run = lt.fit(recipe, train, support=support, progress=False, **options)
    fitted = time.perf_counter()
    made = run.model.sample(N, generator=torch.Generator().manual_seed(0))
    for j in NUMBERS:
        low, high = train[:, j].aminmax()
        made[:, j] = made[:, j].round().clamp(low, high)
    return made, {"seconds_fit": fitted - start, "seconds_sample": time.perf_counter() - fitted}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], help="rows of the table, by name")
    only = parser.parse_args().only
    x, support = adult()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, held_out = x[order[:N]], x[order[N : 2 * N]]
    samples: dict[str, Callable[[], tuple[Tensor, dict[str, float]]]] = {
        "real held-out rows": lambda: (held_out, {}),
        "independent columns": lambda: (redrawn(train, 1.0), {}),
        "10 % of cells redrawn": lambda: (redrawn(train, 0.1), {}),
        "50 % of cells redrawn": lambda: (redrawn(train, 0.5), {}),
    }
    for name, (recipe, options) in MODELS.items():
        samples[name] = lambda recipe=recipe, options=options: modelled(recipe, options, train, support)
    found = {}
    for name, make in samples.items():
        if only and name not in only:
            continue
        sample, seconds = make()
        found[name] = {
            **accuracies(sample, train),
            "auc": auc(sample, train),
            **({"closer": closer(sample, train, held_out)} if sample is not held_out else {}),
            "identical": identical(sample, train),
            **seconds,
        }
        print(
            f"{name:34}" + "  ".join(f"{key} {value:.4f}" for key, value in found[name].items()), flush=True
        )
    if not only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "adult_yardstick.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
