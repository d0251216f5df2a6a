"""Estimates of log p(x) that are far off in high dimensions, and say so: beside them, see `ais` and `iwae`."""

from __future__ import annotations

import torch
from torch import Tensor

from latentia.core.model import Generative
from latentia.core.objective import Batch
from latentia.core.randomness import drawing_from
from latentia.errors import DataError, UsageError
from latentia.functional.bounds import effective_sample_size
from latentia.functional.naive_likelihood import log_mean_likelihood, parzen_bandwidth, parzen_log_density
from latentia.metrics.latent_law import LatentLaw
from latentia.metrics.score import Score, mean_score
from latentia.metrics.subject import Subject, capable, scoring
from latentia.registry import metrics

_DECODED_AT_ONCE = 2048  # codes
_SAMPLES = 10_000  # of the model, as many as the literature draws
_VALIDATION = 0.2  # share of the rows that the bandwidth is chosen on


@metrics.register("monte-carlo", needs=LatentLaw, likelihood=True)
def monte_carlo(subject: Subject) -> Score:
    """Naive estimate of mean log p(x): the logarithm of the mean of p(x|z) over draws from the prior, in nats."""
    K, sizes = subject.iwae_samples, list[Tensor]()

    def estimate(batch: Batch, generator: torch.Generator) -> Tensor:
        log_p = _under_prior(capable(subject.model, LatentLaw), batch, K, generator)
        sizes.append(effective_sample_size(log_p.double()).cpu())
        return log_mean_likelihood(log_p)

    rows = subject.per_row(estimate)
    settings = {
        "samples": K,
        "seed": subject.seed,
        "effective_sample_size": float(torch.cat(sizes).mean()),
        "decoder_calls": K,
    }
    kind = f"estimate (naive Monte Carlo, K={K})"
    return mean_score(
        "monte-carlo",
        rows,
        unit="nats",
        measure=subject.measure,
        kind=kind,
        direction="higher",
        settings=settings,
    )


@metrics.register("parzen", needs=Generative)
def parzen(subject: Subject) -> Score:
    """Estimate of mean log p(x) by Gaussian windows around samples, σ chosen on rows not scored, in nats."""
    if subject.conditional:
        raise UsageError(
            "Parzen windows estimate p(x); this model is of p(x | context), which they tell nothing of"
        )
    rows = subject.heldout.x.flatten(1)
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(subject.seed))
    kept = round(_VALIDATION * len(rows))
    if not 0 < kept < len(rows):
        raise DataError(f"Parzen windows need rows to choose σ on and others to score; there are {len(rows)}")
    samples = _samples(subject, _SAMPLES)
    width = parzen_bandwidth(rows[chosen[:kept]], samples)
    settings = {
        "sigma": width.sigma,
        "sigma_at_an_end": width.at_an_end,
        "validation_rows": kept,
        "samples": len(samples),
        "seed": subject.seed,
        "decoder_calls": 0,
    }
    return mean_score(
        "parzen",
        parzen_log_density(rows[chosen[kept:]], samples, width.sigma),
        unit="nats",
        kind=f"estimate (Parzen windows, {len(samples)} samples)",
        measure="Lebesgue",  # windows are densities, whatever the rows are
        direction="higher",
        settings=settings,
    )


def _under_prior(model: LatentLaw, batch: Batch, draws: int, generator: torch.Generator) -> Tensor:
    """Return log p(x | z_k) of K codes from the prior for each row: (K, B) nats."""
    prior, block = model.code_law(), max(1, _DECODED_AT_ONCE // len(batch))
    parts: list[Tensor] = []
    with drawing_from(generator):
        for start in range(0, draws, block):
            z = prior.sample(torch.Size((min(block, draws - start), len(batch))))
            parts.append(model.reconstruction(z, batch.x, batch.context))
    return torch.cat(parts)


def _samples(subject: Subject, n: int) -> Tensor:
    """Return n samples of the model, flattened: (n, D)."""
    model, generator = capable(subject.model, Generative), subject.generator("windows")
    sizes = [min(subject.batch_size, n - start) for start in range(0, n, subject.batch_size)]
    with scoring(model):
        return torch.cat([model.sample(size, generator=generator).cpu().flatten(1) for size in sizes])
