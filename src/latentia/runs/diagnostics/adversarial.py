"""Symptoms of adversarial games, from what `latentia.objectives.gan.diagnostics` and the objective log."""

import numpy as np

from latentia.runs.diagnostics.finding import Finding, Symptom, TrainingLog, mostly

_ACCURATE = 0.95  # accuracy: 3 rows of 64 wrong on each side, where chance errs in 32
_CHANCE = (
    0.55  # accuracy of a critic hardly better than chance, whose standard deviation over 128 rows is 0.04
)
_FALLEN = 0.5  # of its first norm: a gradient that is half as long and still falls
_UNLIKE = 0.5  # of the real rows' distances: a spread unlike that of the data; 2 is the other side
_COLLAPSED = 0.4  # of them: of a ring of eight modes, two neighbours have 0.3 and three have 0.5
_RISING = 1.5  # within the recent epochs: a model on its way out of a collapse
_OUTSIDE = 0.25  # fraction of entries: tanh for data in [0, 1] begins with 0.45, a poor fit has 0.1
_COVERED = 0.6  # of the range: a sigmoid's outputs cover half of [-1, 1], a good generator's nearly all
_SATURATED = 0.9  # fraction of saturated scores: the gradients of the others are hardly enough to learn from
_HALF = 0.5  # of the scores saturated: relativistic critics classify nearly all rows correctly before that


def critic_too_strong(log: TrainingLog) -> Finding | None:
    """Find a critic that classifies nearly all rows correctly while the generator's gradient vanishes."""
    real, fake = (log.recent(f"critic_accuracy_{kind}") for kind in ("real", "fake"))
    norms = log.recent("gradient_norm/generator")
    confident = (
        log.median("critic_saturated") >= _HALF if len(log.recent("critic_saturated")) else log.facts.even
    )
    accurate = len(real) == len(fake) and mostly((real >= _ACCURATE) & (fake >= _ACCURATE))
    if not (confident and accurate and len(norms)):
        return None
    before, now = log.early("gradient_norm/generator"), float(np.median(norms))
    if not now <= _FALLEN * before:
        return None
    return Finding(
        "critic-too-strong",
        "warning",
        f"{_accuracy(log)}, and the generator's gradient norm fell from {before:.3g} to {now:.3g}",
        "unless it is so already: set loss=non-saturating, penalty=r1, a lower critic_lr or fewer critic_steps; "
        "or take r3-gan",
    )


def critic_too_weak(log: TrainingLog) -> Finding | None:
    """Find a critic no better than chance although samples and data differ; where they agree, chance is the goal."""
    real, fake = (log.recent(f"critic_accuracy_{kind}") for kind in ("real", "fake"))
    if not (len(real) == len(fake) and mostly((real + fake) / 2 <= _CHANCE)):
        return None
    diversity, outside = log.median("sample_diversity"), log.median("range_outside")
    if not (diversity < _UNLIKE or diversity > 1 / _UNLIKE or outside > _OUTSIDE):
        return None
    return Finding(
        "critic-too-weak",
        "warning",
        f"{_accuracy(log)}, although pairs of samples are {diversity:.2g} times as far apart as real rows",
        "give the critic a higher critic_lr, more critic_steps or a larger network",
    )


def collapse(log: TrainingLog) -> Finding | None:
    """Find samples that are nearly all alike, and stay so."""
    diversity = log.recent("sample_diversity")
    if not mostly(diversity < _COLLAPSED) or diversity[-1] > _RISING * diversity[0]:
        return None
    return Finding(
        "collapse",
        "warning",
        f"pairs of samples are {np.median(diversity):.2g} times as far apart as real rows {_when(log)}",
        "take r3-gan, pac-gan or unrolled-gan, or tune penalty=r1 and its weight; stop_on=energy-distance keeps an "
        "earlier model",
    )


def range_mismatch(log: TrainingLog) -> Finding | None:
    """Find samples outside the data's range, or whose own is too small for it."""
    outside, covered = log.median("range_outside"), log.median("range_covered")
    spread = log.median("sample_diversity")  # a collapse, which covers little too, has its own name
    if outside > _OUTSIDE:
        seen = f"{outside:.0%} of the generated entries lie outside the data's range"
    elif log.facts.bounded and covered < _COVERED and spread >= _UNLIKE:
        seen = f"samples span {covered:.0%} of the data's range"
    else:
        return None
    return Finding(
        "range-mismatch",
        "warning",
        f"{seen} {_when(log)}",
        "lower the learning rates, and let the generator end in the scaling that the critic begins with",
    )


def rows_mixed_under_a_penalty(log: TrainingLog) -> Finding | None:
    """Find a penalty on the gradient of a critic whose score of a row depends on the other rows of the batch."""
    if not log.facts.mixing or not any("penalty" in name for name in log.columns):
        return None
    return Finding(
        "batch-norm-under-penalty",
        "warning",
        f"the critic's {_listed(log.facts.mixing)} mixes the rows of a batch, so no score has a gradient of its own",
        "set critic_norm=spectral or critic_norm=none",
    )


def scores_saturated(log: TrainingLog) -> Finding | None:
    """Find a critic whose sigmoid is flat at nearly all rows."""
    saturated = log.recent("critic_saturated")
    if not mostly(saturated >= _SATURATED):
        return None
    return Finding(
        "scores-saturated",
        "warning",
        f"{np.median(saturated):.0%} of the critic's probabilities are within 0.01 of 0 or 1 {_when(log)}",
        "set label_smoothing=0.1, instance_noise=0.1 or penalty=r1, or take a loss without a sigmoid",
    )


def _when(log: TrainingLog) -> str:
    return f"over the last {log.window} epochs"


def _accuracy(log: TrainingLog) -> str:
    real, fake = (log.median(f"critic_accuracy_{kind}") for kind in ("real", "fake"))
    return f"the critic classifies {real:.0%} of real and {fake:.0%} of generated rows correctly {_when(log)}"


def _listed(layers: tuple[str, ...]) -> str:
    return layers[0] + (f" (and {len(layers) - 1} more)" if len(layers) > 1 else "")


SYMPTOMS: tuple[Symptom, ...] = (
    critic_too_strong,
    critic_too_weak,
    collapse,
    range_mismatch,
    rows_mixed_under_a_penalty,
    scores_saturated,
)
