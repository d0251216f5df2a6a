"""ELBO surgery of a fitted model: what its bound is made of, in nats a row."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from latentia.core.model import LatentVariableModel
from latentia.core.objective import Batch
from latentia.core.randomness import using_generator
from latentia.distributions.aggregated_posterior import (
    aggregated_marginals,
    aggregated_posterior,
    all_posteriors,
    log_prob_in_blocks,
)
from latentia.distributions.diagonal_gaussian import DiagonalGaussian
from latentia.distributions.posteriors import closed_form_kl
from latentia.errors import DataError
from latentia.functional.surgery import KLParts, active_units, is_saturated, kl_parts
from latentia.metrics.evaluation import Evaluation, capable, scoring
from latentia.metrics.score import Score, mean_score
from latentia.metrics.settings import MetricSettings
from latentia.options import Count, NonNegative
from latentia.registry import metrics


@dataclass(frozen=True)
class SurgerySettings(MetricSettings):
    """Settings of the surgery.

    Attributes:
        draws: of the code for each row
        threshold: variance over rows above which the mean of an active unit lies
    """

    draws: Count = 8
    threshold: NonNegative = 0.01


@dataclass(frozen=True)
class Dissected:
    """What the bound of n rows is made of.

    Attributes:
        reconstruction: (n,) E_q log p(x | z), in nats.
        parts: of the KL.
        by_entry: whether the prior's entries are independent, so that the parts' entries are those of the code.
        closed_form: whether the KL is.
        active: (d,) whether an entry of the code moves with the row.
    """

    reconstruction: Tensor
    parts: KLParts
    by_entry: bool
    closed_form: bool
    active: Tensor


@metrics.register(
    "surgery",
    needs=LatentVariableModel,
    likelihood=True,
    settings=SurgerySettings,
    no_stderr={"surgery/active-units": "a count of entries, exact for these rows"},
)
def surgery(evaluation: Evaluation) -> list[Score]:
    """What the ELBO is made of: reconstruction, mutual information, marginal KL and its parts; and active units.

    Near 0 the standard errors of marginal KL and total correlation err towards too large: their rows' terms vanish with
    them, and what is left of these is the draws' noise.
    """
    found = evaluation.shared(dissected)
    parts, elbo = found.parts, found.reconstruction - found.parts.kl
    return [
        _term(
            "elbo",
            elbo,
            evaluation,
            kind="lower bound (ELBO)",
            measure=evaluation.measure,
            direction="higher",
        ),
        _term("reconstruction", found.reconstruction, evaluation),
        _term("kl", parts.kl, evaluation, **({"kind": "exact"} if found.closed_form else {})),
        _mutual_information(parts.mutual_information, evaluation),
        _term("marginal-kl", parts.marginal_kl, evaluation),
        _term("total-correlation", parts.total_correlation, evaluation),
        _dimension_wise(found, evaluation),
        _active(found.active, evaluation, len(elbo)),
    ]


def dissected(evaluation: Evaluation) -> Dissected:
    """Return what the bound is made of, for ``max_rows`` of the held-out rows.

    Raises:
        DataError: for a single row.
        UsageError: for posteriors that are not Gaussian.
    """
    if len(evaluation.heldout) < 2:
        raise DataError("the codes of a single row have no aggregate: give at least 2 rows")
    model, own = capable(evaluation.model, LatentVariableModel), evaluation.settings.of(SurgerySettings)
    with scoring(evaluation.model), using_generator(evaluation.generator("surgery")):
        batches = list(evaluation.blocks(evaluation.heldout, evaluation.batch_size))
        posteriors = [model.encode(batch.x, batch.context) for batch in batches]
        q, prior = all_posteriors(posteriors), model.prior_distribution()
        z = q.sample(torch.Size((own.draws,)))
        decoded = z.to(posteriors[0].mean.dtype)
        reconstruction = torch.cat(
            [_reconstructed(model, batch, part) for batch, part in _paired(batches, decoded)]
        )
        kl = closed_form_kl(q, prior)
        log_p = _log_prior(prior, decoded).double()
        parts = kl_parts(*_log_densities(q, z), log_p, None if kl is None else kl.double())
    cpu = KLParts(
        *(part.cpu() for part in (parts.kl, parts.mutual_information, parts.total_correlation, parts.entries))
    )
    by_entry = isinstance(prior, DiagonalGaussian)
    return Dissected(reconstruction, cpu, by_entry, kl is not None, active_units(q.mean, own.threshold).cpu())


def _log_densities(q: Any, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return log q(z | x), log q(z), (S, n), and log q(z_j), (S, n, d), of the codes of n rows."""
    n = z.shape[1]
    columns = zip(aggregated_marginals(q), z.split(1, 2), strict=True)
    entries = [log_prob_in_blocks(marginal, column, n) for marginal, column in columns]
    return q.log_prob(z), log_prob_in_blocks(aggregated_posterior(q), z, n), torch.stack(entries, 2)


def _log_prior(prior: Distribution, z: Tensor) -> Tensor:
    """Return log p(z_j), (S, n, d), where the prior's entries are independent, and else log p(z), (S, n, 1)."""
    if isinstance(prior, DiagonalGaussian):
        return Normal(prior.mean, prior.variance.sqrt(), validate_args=False).log_prob(z)
    return prior.log_prob(z)[..., None]


def _paired(batches: list[Batch], z: Tensor) -> list[tuple[Batch, Tensor]]:
    return list(zip(batches, z.split([len(batch) for batch in batches], 1), strict=True))


def _reconstructed(model: LatentVariableModel, batch: Batch, z: Tensor) -> Tensor:
    """Return the mean of log p(x | z) over (S, B, d) codes, draw by draw: (B,)."""
    draws = [model.reconstruction(each[None], batch.x, batch.context).double() for each in z]
    return torch.cat(draws).mean(0).cpu()


def _term(name: str, rows: Tensor, evaluation: Evaluation, **facts: Any) -> Score:
    draws = evaluation.settings.of(SurgerySettings).draws
    usual = {
        "kind": f"estimate ({draws} draws a row)",
        "settings": {"draws": draws, "seed": evaluation.seed},
    }
    return mean_score(f"surgery/{name}", rows, **{"unit": "nats", **usual, **facts})


def _mutual_information(rows: Tensor, evaluation: Evaluation) -> Score:
    """Return I_q[x, z], with a warning in its kind where it is so near log n that it says little else."""
    term = _term("mutual-information", rows, evaluation)
    if term.value is None:
        return term
    limit, full = math.log(len(rows)), is_saturated(term.value, len(rows))
    warning = f"; near its limit, log n = {limit:.3g}: give more rows" if full else ""
    return replace(
        term,
        kind=term.kind + warning,
        settings={**term.settings, "log_n": limit, "saturated": full},
    )


def _dimension_wise(found: Dissected, evaluation: Evaluation) -> Score:
    if found.by_entry:
        term = _term("dimension-wise-kl", found.parts.marginals, evaluation)
        return replace(term, settings={**term.settings, "entries": found.parts.entries.mean(0).tolist()})
    reason = "the prior's entries depend on each other, so its KL has no part for each"
    return Score(
        "surgery/dimension-wise-kl",
        None,
        kind="none: not defined",
        n=len(found.reconstruction),
        reason=reason,
    )


def _active(active: Tensor, evaluation: Evaluation, rows: int) -> Score:
    threshold = evaluation.settings.of(SurgerySettings).threshold
    settings = {"threshold": threshold, "latent_dim": len(active), "seed": evaluation.seed}
    count = float(active.sum())
    return Score("surgery/active-units", count, unit="entries", kind="exact", n=rows, settings=settings)
