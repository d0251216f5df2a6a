"""How far the ELBO of a fitted model is from the likelihood, and the likelihood from the data's own, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from latentia.core.objective import Batch
from latentia.core.randomness import using_generator
from latentia.data.rows import Rows
from latentia.distributions.posteriors import sample_and_kl
from latentia.functional.bounds import iwae
from latentia.metrics.evaluation import Evaluation, capable, scoring
from latentia.metrics.likelihood.ais import AISSettings, annealed_rows
from latentia.metrics.score import Score, mean_score
from latentia.metrics.settings import MetricSettings
from latentia.models.latent_variable import LatentVariable
from latentia.options import Count
from latentia.registry import metrics

_RATE, _DRAWS = 0.03, 8  # of the ascent of a row's own posterior: Adam's rate, draws a step
_ROWS = 20  # at once


@dataclass(frozen=True)
class GapsSettings(MetricSettings):
    """Settings of the gaps.

    Attributes:
        steps: of Adam, by which a row's own posterior ascends its bound
        draws: of the code for each row that both bounds are compared with
    """

    steps: Count = 300
    draws: Count = 200


@dataclass(frozen=True)
class Bounds:
    """Bounds of log p(x) of n rows, (n,) nats.

    Attributes:
        elbo: with the encoder's posteriors.
        best: with posteriors of the same family, the best for each row by itself.
    """

    elbo: Tensor
    best: Tensor


@metrics.register("gaps", needs=LatentVariable, likelihood=True, settings=GapsSettings, reads=("ais",))
def gaps(evaluation: Evaluation) -> list[Score]:
    """What lies between the ELBO and log p(x), by AIS, and between log p(x) and the data's density, in nats."""
    log_p, bounds = iwae(evaluation.shared(annealed_rows).log_w), _bounds(evaluation)
    ais, own = evaluation.settings.of(AISSettings), evaluation.settings.of(GapsSettings)
    settings = {"chains": ais.chains, "temperatures": ais.temperatures, "seed": evaluation.seed}
    ascended = settings | {"steps": own.steps, "draws": own.draws}
    below = "lower bound (of AIS less the {})"
    return [
        _gap("inference", log_p - bounds.elbo, below.format("ELBO"), settings),
        _gap("approximation", log_p - bounds.best, below.format("best ELBO of the family"), ascended),
        _gap(
            "amortisation",
            bounds.best - bounds.elbo,
            "lower bound (of the best ELBO less the ELBO)",
            ascended,
        ),
        _model_gap(evaluation, log_p, settings),
    ]


def _gap(name: str, rows: Tensor, kind: str, settings: dict[str, Any]) -> Score:
    return mean_score(f"gaps/{name}", rows, unit="nats", kind=kind, settings=settings, direction="lower")


def _model_gap(evaluation: Evaluation, log_p: Tensor, settings: dict[str, Any]) -> Score:
    """Return mean log p_data(x) − log p(x), an estimate of KL(p_data ‖ p), where the data's density is known."""
    rows = evaluation.rows
    if not isinstance(rows, Rows) or rows.log_density is None:
        reason = "the density of the data is not known: only some toy sets have it"
        return Score("gaps/model", None, kind="none: not known", n=len(log_p), reason=reason)
    truth = rows.log_density(evaluation.chosen(evaluation.settings.of(AISSettings).rows).x).double()
    return _gap("model", truth - log_p, "upper bound (of log p_data less AIS)", settings)


def _bounds(evaluation: Evaluation) -> Bounds:
    model, generator = capable(evaluation.model, LatentVariable), evaluation.generator("gaps")
    with scoring(model), using_generator(generator):
        parts = [
            _of_block(model, batch, evaluation.settings.of(GapsSettings))
            for batch in evaluation.blocks(evaluation.chosen(evaluation.settings.of(AISSettings).rows), _ROWS)
        ]
    return Bounds(torch.cat([part.elbo for part in parts]), torch.cat([part.best for part in parts]))


def _of_block(model: LatentVariable, batch: Batch, settings: GapsSettings) -> Bounds:
    prior = model.prior_distribution()

    def bound(q: Distribution, draws: int) -> Tensor:
        """Return the ELBO of each row with posteriors q, (B,) nats."""
        z, kl = sample_and_kl(q, prior, draws)
        return model.reconstruction(z, batch.x, batch.context).mean(0) - kl

    h = model.encoder(model.scaling(batch.x), batch.context)
    best = model.posterior(ascended(lambda own: bound(model.posterior(own), _DRAWS), h, settings.steps))
    seed = int(torch.randint(2**31, ()))  # the same draws for both, so that they compare
    scored: list[Tensor] = []
    for q in (model.encode(batch.x, batch.context), best):
        with using_generator(torch.Generator(h.device).manual_seed(seed)):
            scored.append(bound(q, settings.draws).double().cpu())
    return Bounds(*scored)


def ascended(bound: Callable[[Tensor], Tensor], h: Tensor, steps: int) -> Tensor:
    """Return parameters (B, P) of posteriors that raise each row's own bound, from those that an encoder gives.

    Adam on −Σ_i ELBO_i in h, whose rate falls to 0 as a cosine; the networks stay as they are. With a flow
    for a posterior, the row's own parameters move, and the flow's weights do not.

    Args:
        bound: (B, P) parameters → (B,) nats, by draws of its own, differentiable.
        h: (B, P).
        steps: of Adam.

    Reference: Cremer, Li and Duvenaud (2018), Inference suboptimality in variational autoencoders, section 3.
    """
    own = h.detach().clone().requires_grad_()
    adam = torch.optim.Adam([own], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    with torch.enable_grad():
        for _ in range(steps):
            (own.grad,) = torch.autograd.grad(-bound(own).sum(), own)
            adam.step()
            schedule.step()
    return own.detach()
