"""Symptoms of latent variables that are not used: codes independent of the row, components without rows."""

import numpy as np

from latentia.runs.diagnostics.finding import Finding, Symptom, TrainingLog, mostly

_NOTHING = (
    0.1  # nats: a code with so little information on its row cannot separate two halves of the data (0.69)
)
_RISING = 2.0  # within the recent epochs: a code that begins to be used
_FEW = 2.0  # rows: a component of fewer describes a single one


def code_unused(log: TrainingLog) -> Finding | None:
    """Find a posterior that has collapsed to the prior, so that codes carry no information on their rows."""
    kl = log.recent("kl")
    unused = mostly(kl < _NOTHING) and kl[-1] <= _RISING * kl[0]
    if not unused and log.facts.active_units != 0:
        return None
    evidence: list[str] = []
    if len(kl):
        evidence.append(f"KL(q(z|x) ‖ p(z)) is {np.median(kl):.2g} nats over the last {log.window} epochs")
    if log.facts.active_units is not None:
        evidence.append(f"{log.facts.active_units:g} entries of the code move with the row")
    return Finding(
        "code-unused",
        "warning",
        " and ".join(evidence),
        "set kl_warmup or free_bits, a smaller beta, or a less flexible decoder",
    )


def components_unused(log: TrainingLog) -> Finding | None:
    """Find components of a mixture that hold no rows."""
    few = sum(rows < _FEW for rows in log.facts.held)
    if not few:
        return None
    return Finding(
        "components-unused",
        "note",
        f"{few} of {len(log.facts.held)} components hold fewer than {_FEW:g} rows each",
        "take fewer components, or another seed",
    )


SYMPTOMS: tuple[Symptom, ...] = (code_unused, components_unused)
