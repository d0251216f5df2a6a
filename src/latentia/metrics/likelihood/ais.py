"""Likelihoods by annealed importance sampling: a lower bound, and how far it is from an upper one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from latentia.core.model import LatentVariableModel
from latentia.core.objective import Batch
from latentia.core.randomness import using_generator
from latentia.functional.bounds import effective_sample_size, iwae, renyi, renyi_jackknife
from latentia.functional.likelihood.ais import Annealed, Move, Path, ais, reverse_ais, temperatures
from latentia.functional.likelihood.hmc import adapted_step_sizes, hamiltonian
from latentia.metrics.evaluation import Evaluation, capable, scoring
from latentia.metrics.score import Score, mean_score
from latentia.metrics.settings import MetricSettings
from latentia.options import Count
from latentia.registry import metrics

_LEAPFROG = 5  # steps of a trajectory: at one cost, more temperatures serve better than longer ones
_PILOTS = 4  # chains that find the step sizes, at most
_AT_ONCE = 1024  # codes that go through the decoder together
_SCHEDULE = "sigmoid"


@dataclass(frozen=True)
class AISSettings(MetricSettings):
    """Settings of annealed importance sampling.

    Attributes:
        rows: held-out rows to score, at thousands of decodings each
        chains: for each row
        temperatures: steps of a chain from the prior to the posterior
    """

    rows: Count = 100
    chains: Count = 8
    temperatures: Count = 500


@metrics.register("ais", needs=LatentVariableModel, likelihood=True, settings=AISSettings)
def ais_score(evaluation: Evaluation) -> Score:
    """Lower bound of mean log p(x) by annealed importance sampling with Hamiltonian moves, in nats."""
    found = evaluation.shared(annealed_rows)
    return mean_score(
        "ais",
        iwae(found.log_w),
        unit="nats",
        measure=evaluation.measure,
        kind=f"lower bound (AIS, T={_own(evaluation).temperatures})",
        direction="higher",
        settings=_settings(evaluation) | _findings(found) | {"decoder_calls": decoder_calls(evaluation)},
    )


@metrics.register("bidirectional-gap", needs=LatentVariableModel, likelihood=True, reads=("ais",))
def bidirectional_gap(evaluation: Evaluation) -> Score:
    """Reverse bound minus forward bound of log p(x), on rows drawn from the model: what AIS is off by, at most."""
    ends = _simulated(evaluation)
    forward, reverse = iwae(ends.forward.log_w), renyi(ends.reverse.log_w, alpha=2.0)
    settings = _settings(evaluation) | _findings(ends.forward)
    settings |= {"forward": float(forward.mean()), "reverse": float(reverse.mean())}
    settings |= {"decoder_calls": decoder_calls(evaluation, directions=2)}
    return mean_score(
        "bidirectional-gap",
        reverse - forward,
        unit="nats",
        kind=f"upper bound of the error of AIS, T={_own(evaluation).temperatures}",
        direction="lower",
        settings=settings,
    )


def annealed_rows(evaluation: Evaluation) -> Annealed:
    """Return what chains from the prior to the posterior gather, for ``ais_rows`` of the held-out rows."""
    model, generator = capable(evaluation.model, LatentVariableModel), evaluation.generator("annealing")
    size = max(1, _AT_ONCE // _own(evaluation).chains)
    with scoring(evaluation.model), using_generator(generator):
        blocks = evaluation.blocks(evaluation.chosen(_own(evaluation).rows), size)
        return _joined([_forward(evaluation, _Annealing.of(evaluation, model, block)) for block in blocks])


def decoder_calls(evaluation: Evaluation, directions: int = 1) -> int:
    """Return how many codes are decoded for each row, those of the chains that find the step sizes included."""
    chains = directions * _own(evaluation).chains + min(_PILOTS, _own(evaluation).chains)
    return chains * (1 + (_own(evaluation).temperatures - 1) * _LEAPFROG)


@dataclass(frozen=True)
class _Annealing:
    """The path from the prior to the posterior of some rows, and moves along it.

    Attributes:
        prior: where chains start.
        path: the distributions on the way.
        betas: (T + 1,) temperatures.
        move: a Markov step that leaves each of them invariant.
        rows: how many rows.
    """

    prior: Distribution
    path: Path
    betas: Tensor
    move: Move
    rows: int

    @classmethod
    def of(cls, evaluation: Evaluation, model: LatentVariableModel, batch: Batch) -> _Annealing:
        prior, n = model.prior_distribution(), len(batch)
        path = Path(prior.log_prob, lambda z: model.reconstruction(z, batch.x, batch.context))
        betas = temperatures(_SCHEDULE, _own(evaluation).temperatures)
        pilots = prior.sample(torch.Size((min(_PILOTS, _own(evaluation).chains), n)))
        sizes = adapted_step_sizes(path, pilots, betas, leapfrog=_LEAPFROG)
        return cls(prior, path, betas, hamiltonian(path, betas, sizes, leapfrog=_LEAPFROG), n)


@dataclass(frozen=True)
class _Ends:
    forward: Annealed
    reverse: Annealed


def _simulated(evaluation: Evaluation) -> _Ends:
    """Return what chains gather both ways, on rows drawn from the model, whose codes are draws of their posteriors."""
    model, generator = capable(evaluation.model, LatentVariableModel), evaluation.generator("both ways")
    size = max(1, _AT_ONCE // _own(evaluation).chains)
    with scoring(evaluation.model), using_generator(generator):
        blocks = evaluation.blocks(
            evaluation.chosen(_own(evaluation).rows), size
        )  # for their number and their contexts
        ends = [_both_ways(evaluation, model, block) for block in blocks]
    return _Ends(_joined([forward for forward, _ in ends]), _joined([reverse for _, reverse in ends]))


def _both_ways(evaluation: Evaluation, model: LatentVariableModel, like: Batch) -> tuple[Annealed, Annealed]:
    z = model.prior_distribution().sample(torch.Size((len(like),)))
    drawn = Batch(model.decode(z, like.context).sample(), like.context)
    way = _Annealing.of(evaluation, model, drawn)
    start = z.expand(_own(evaluation).chains, *z.shape)
    return _forward(evaluation, way), reverse_ais(way.path, start, way.betas, way.move)


def _forward(evaluation: Evaluation, way: _Annealing) -> Annealed:
    z = way.prior.sample(torch.Size((_own(evaluation).chains, way.rows)))
    return ais(way.path, z, way.betas, way.move)


def _joined(parts: list[Annealed]) -> Annealed:
    log_w = torch.cat([part.log_w.cpu() for part in parts], 1)
    return Annealed(log_w, torch.cat([part.acceptance.cpu() for part in parts]))


def _own(evaluation: Evaluation) -> AISSettings:
    return evaluation.settings.of(AISSettings)


def _settings(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "chains": _own(evaluation).chains,
        "temperatures": _own(evaluation).temperatures,
        "schedule": _SCHEDULE,
        "leapfrog_steps": _LEAPFROG,
        "seed": evaluation.seed,
    }


def _findings(found: Annealed) -> dict[str, Any]:
    """Return how well the chains went: acceptance, effective chains, and the error that is theirs, not the rows'."""
    findings = {
        "acceptance": float(found.acceptance.mean()),
        "effective_sample_size": float(effective_sample_size(found.log_w).mean()),
    }
    if len(found.log_w) > 1:
        errors = renyi_jackknife(found.log_w, alpha=0.0).stderr
        findings["stderr_of_chains"] = float(errors.square().sum().sqrt() / len(errors))
    return findings
