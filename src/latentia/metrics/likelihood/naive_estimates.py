"""Estimates of log p(x) that are far off in high dimensions, and whose scores show it: compare `ais` and `iwae`."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from latentia.core.model import Generative, LatentVariableModel
from latentia.core.objective import Batch
from latentia.core.randomness import using_generator
from latentia.errors import DataError, UsageError
from latentia.functional.bounds import effective_sample_size
from latentia.functional.likelihood.naive_estimates import (
    log_mean_likelihood,
    parzen_bandwidth,
    parzen_log_density,
)
from latentia.metrics.evaluation import Evaluation, capable, scoring
from latentia.metrics.likelihood.densities import IWAESettings
from latentia.metrics.score import Score, mean_score
from latentia.metrics.settings import MetricSettings
from latentia.options import Between, Count
from latentia.registry import metrics

_DECODED_AT_ONCE = 2048  # codes


@dataclass(frozen=True)
class ParzenSettings(MetricSettings):
    """Settings of Parzen windows.

    Attributes:
        samples: of the model, each the centre of a window; the literature draws 10,000
        validation: fraction of the rows that σ is chosen on, which are not scored
    """

    samples: Count = 10_000
    validation: Annotated[float, Between(0, 1, "()")] = 0.2


@metrics.register("monte-carlo", needs=LatentVariableModel, likelihood=True, reads=("iwae",))
def monte_carlo(evaluation: Evaluation) -> Score:
    """Naive estimate of mean log p(x): the logarithm of the mean of p(x|z) over draws from the prior, in nats."""
    K, sizes = evaluation.settings.of(IWAESettings).samples, list[Tensor]()

    def estimate(batch: Batch, generator: torch.Generator) -> Tensor:
        log_p = _under_prior(capable(evaluation.model, LatentVariableModel), batch, K, generator)
        sizes.append(effective_sample_size(log_p.double()).cpu())
        return log_mean_likelihood(log_p)

    rows = evaluation.per_row(estimate)
    settings = {
        "samples": K,
        "seed": evaluation.seed,
        "effective_sample_size": float(torch.cat(sizes).mean()),
        "decoder_calls": K,
    }
    kind = f"estimate (naive Monte Carlo, K={K})"
    return mean_score(
        "monte-carlo",
        rows,
        unit="nats",
        measure=evaluation.measure,
        kind=kind,
        direction="higher",
        settings=settings,
    )


@metrics.register("parzen", needs=Generative, settings=ParzenSettings)
def parzen(evaluation: Evaluation) -> Score:
    """Estimate of mean log p(x) by Gaussian windows around samples, σ chosen on rows not scored, in nats."""
    if evaluation.conditional:
        raise UsageError(
            "Parzen windows estimate p(x), and this model is conditional, p(x | context): use iwae or ais"
        )
    rows, own = evaluation.heldout.x.flatten(1), evaluation.settings.of(ParzenSettings)
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(evaluation.seed))
    kept = round(own.validation * len(rows))
    if not 0 < kept < len(rows):
        raise DataError(f"Parzen windows need rows to choose σ on and others to score; there are {len(rows)}")
    samples = _samples(evaluation, own.samples)
    width = parzen_bandwidth(rows[chosen[:kept]], samples)
    settings = {
        "sigma": width.sigma,
        "sigma_at_an_end": width.at_an_end,
        "validation_rows": kept,
        "samples": len(samples),
        "seed": evaluation.seed,
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


def _under_prior(model: LatentVariableModel, batch: Batch, draws: int, generator: torch.Generator) -> Tensor:
    """Return log p(x | z_k) of K codes from the prior for each row: (K, B) nats."""
    prior, block = model.prior_distribution(), max(1, _DECODED_AT_ONCE // len(batch))
    parts: list[Tensor] = []
    with using_generator(generator):
        for start in range(0, draws, block):
            z = prior.sample(torch.Size((min(block, draws - start), len(batch))))
            parts.append(model.reconstruction(z, batch.x, batch.context))
    return torch.cat(parts)


def _samples(evaluation: Evaluation, n: int) -> Tensor:
    """Return n samples of the model, flattened: (n, D)."""
    model, generator = capable(evaluation.model, Generative), evaluation.generator("windows")
    sizes = [min(evaluation.batch_size, n - start) for start in range(0, n, evaluation.batch_size)]
    with scoring(model):
        return torch.cat([model.sample(size, generator=generator).cpu().flatten(1) for size in sizes])
