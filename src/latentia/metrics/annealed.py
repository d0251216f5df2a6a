"""Likelihoods by annealed importance sampling: a lower bound, and how far it is from an upper one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from latentia.core.objective import Batch
from latentia.core.randomness import drawing_from
from latentia.functional.annealing import Annealed, Move, Path, ais, reverse_ais, temperatures
from latentia.functional.bounds import effective_sample_size, iwae, renyi, renyi_jackknife
from latentia.functional.hamiltonian import adapted_step_sizes, hamiltonian
from latentia.metrics.latent_law import LatentLaw
from latentia.metrics.score import Score, mean_score
from latentia.metrics.subject import Subject, capable, scoring
from latentia.registry import metrics

_LEAPFROG = 5  # steps of a trajectory: at one cost, more temperatures serve better than longer ones
_PILOTS = 4  # chains that find the step sizes, at most
_AT_ONCE = 1024  # codes that go through the decoder together
_SCHEDULE = "sigmoid"


@metrics.register("ais", needs=LatentLaw, likelihood=True)
def ais_score(subject: Subject) -> Score:
    """Lower bound of mean log p(x) by annealed importance sampling with Hamiltonian moves, in nats."""
    found = subject.shared(annealed_rows)
    return mean_score(
        "ais",
        iwae(found.log_w),
        unit="nats",
        measure=subject.measure,
        kind=f"lower bound (AIS, T={subject.ais_temperatures})",
        direction="higher",
        settings=_settings(subject) | _findings(found) | {"decoder_calls": decoder_calls(subject)},
    )


@metrics.register("bidirectional-gap", needs=LatentLaw, likelihood=True)
def bidirectional_gap(subject: Subject) -> Score:
    """Reverse bound minus forward bound of log p(x), on rows drawn from the model: what AIS is off by, at most."""
    ends = _simulated(subject)
    forward, reverse = iwae(ends.forward.log_w), renyi(ends.reverse.log_w, alpha=2.0)
    settings = _settings(subject) | _findings(ends.forward)
    settings |= {"forward": float(forward.mean()), "reverse": float(reverse.mean())}
    settings |= {"decoder_calls": decoder_calls(subject, directions=2)}
    return mean_score(
        "bidirectional-gap",
        reverse - forward,
        unit="nats",
        kind=f"upper bound of the error of AIS, T={subject.ais_temperatures}",
        direction="lower",
        settings=settings,
    )


def annealed_rows(subject: Subject) -> Annealed:
    """Return what chains from the prior to the posterior gather, for ``ais_rows`` of the held-out rows."""
    model, generator = capable(subject.model, LatentLaw), subject.generator("annealing")
    size = max(1, _AT_ONCE // subject.ais_chains)
    with scoring(subject.model), drawing_from(generator):
        blocks = subject.blocks(subject.chosen(subject.ais_rows), size)
        return _joined([_forward(subject, _Annealing.of(subject, model, block)) for block in blocks])


def decoder_calls(subject: Subject, directions: int = 1) -> int:
    """Return how many codes are decoded for each row, those of the chains that find the step sizes included."""
    chains = directions * subject.ais_chains + min(_PILOTS, subject.ais_chains)
    return chains * (1 + (subject.ais_temperatures - 1) * _LEAPFROG)


@dataclass(frozen=True)
class _Annealing:
    """The way from the prior to the posterior of some rows, and moves along it.

    Attributes:
        prior: where chains start.
        path: the laws on the way.
        betas: (T + 1,) temperatures.
        move: leaves each law as it is.
        rows: how many rows.
    """

    prior: Distribution
    path: Path
    betas: Tensor
    move: Move
    rows: int

    @classmethod
    def of(cls, subject: Subject, model: LatentLaw, batch: Batch) -> _Annealing:
        prior, n = model.code_law(), len(batch)
        path = Path(prior.log_prob, lambda z: model.reconstruction(z, batch.x, batch.context))
        betas = temperatures(_SCHEDULE, subject.ais_temperatures)
        pilots = prior.sample(torch.Size((min(_PILOTS, subject.ais_chains), n)))
        sizes = adapted_step_sizes(path, pilots, betas, leapfrog=_LEAPFROG)
        return cls(prior, path, betas, hamiltonian(path, betas, sizes, leapfrog=_LEAPFROG), n)


@dataclass(frozen=True)
class _Ends:
    forward: Annealed
    reverse: Annealed


def _simulated(subject: Subject) -> _Ends:
    """Return what chains gather both ways, on rows drawn from the model, whose codes are draws of their posteriors."""
    model, generator = capable(subject.model, LatentLaw), subject.generator("both ways")
    size = max(1, _AT_ONCE // subject.ais_chains)
    with scoring(subject.model), drawing_from(generator):
        blocks = subject.blocks(subject.chosen(subject.ais_rows), size)  # for their number and their contexts
        ends = [_both_ways(subject, model, block) for block in blocks]
    return _Ends(_joined([forward for forward, _ in ends]), _joined([reverse for _, reverse in ends]))


def _both_ways(subject: Subject, model: LatentLaw, like: Batch) -> tuple[Annealed, Annealed]:
    z = model.code_law().sample(torch.Size((len(like),)))
    drawn = Batch(model.decode(z, like.context).sample(), like.context)
    way = _Annealing.of(subject, model, drawn)
    start = z.expand(subject.ais_chains, *z.shape)
    return _forward(subject, way), reverse_ais(way.path, start, way.betas, way.move)


def _forward(subject: Subject, way: _Annealing) -> Annealed:
    z = way.prior.sample(torch.Size((subject.ais_chains, way.rows)))
    return ais(way.path, z, way.betas, way.move)


def _joined(parts: list[Annealed]) -> Annealed:
    log_w = torch.cat([part.log_w.cpu() for part in parts], 1)
    return Annealed(log_w, torch.cat([part.acceptance.cpu() for part in parts]))


def _settings(subject: Subject) -> dict[str, Any]:
    return {
        "chains": subject.ais_chains,
        "temperatures": subject.ais_temperatures,
        "schedule": _SCHEDULE,
        "leapfrog_steps": _LEAPFROG,
        "seed": subject.seed,
    }


def _findings(found: Annealed) -> dict[str, Any]:
    """Return how well the chains went: acceptance, effective chains, and the error that is theirs, not the rows'."""
    told = {
        "acceptance": float(found.acceptance.mean()),
        "effective_sample_size": float(effective_sample_size(found.log_w).mean()),
    }
    if len(found.log_w) > 1:
        errors = renyi_jackknife(found.log_w, alpha=0.0).stderr
        told["stderr_of_chains"] = float(errors.square().sum().sqrt() / len(errors))
    return told
