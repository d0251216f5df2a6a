"""Symptoms of any training: losses that are not finite, gradients that grow, fits that go too far or end too soon."""

import numpy as np

from latentia.runs.diagnostics.finding import WINDOW, Finding, Symptom, TrainingLog

_HELD_OUT = "validation_"
_HIGHER = ("log_likelihood", "elbo", "bound", "log-likelihood", "iwae")
_LOWER = ("loss", "energy-distance", "reconstruction-error")
_GROWN = 100.0  # times the largest of its first norms: no schedule and no batch explains that
_LOST = 0.25  # of what was gained up to the best epoch, and of a distance itself
_JITTER = 4.0  # times the median change from one epoch to the next: noise about a level does this in 1 of 200
_STILL = 0.05  # of the whole gain, in the last epochs: training on is worth it
_SURE = 4.0  # standard errors of a slope: by chance once in some thousands of trainings
_TREND = 2 * WINDOW  # epochs that a slope is fitted to


def not_finite(log: TrainingLog) -> Finding | None:
    """Find a training that a loss or a gradient has stopped."""
    if not log.facts.stopped:
        return None
    return Finding(
        "not-finite", "error", log.facts.stopped, "begin anew with a lower learning rate, or with clip=1"
    )


def strange_samples(log: TrainingLog) -> Finding | None:
    """Find a model whose samples are not numbers."""
    if not log.facts.strange_samples:
        return None
    told = f"{log.facts.strange_samples:.0%} of the model's samples hold NaN or infinite values"
    return Finding(
        "strange-samples", "error", told, "begin anew with a lower learning rate, or standardise the rows"
    )


def interrupted(log: TrainingLog) -> Finding | None:
    """Find a training that was stopped before its end."""
    if not log.facts.interrupted:
        return None
    done = f"{log.epoch} of {log.facts.epochs}" if log.facts.epochs else f"{log.epoch}"
    told = f"{done} epochs are done"
    return Finding(
        "interrupted", "note", told, "the same command with --resume, in Python resume=True, goes on"
    )


def gradient_grew(log: TrainingLog) -> Finding | None:
    """Find a player whose gradient has grown out of bounds."""
    for name in log.columns:
        norms = log.recent(name)
        if not name.startswith("gradient_norm/") or not len(norms):
            continue
        before, now = float(log.known(name)[:WINDOW].max()), float(np.median(norms))
        if now > _GROWN * before > 0:
            told = (
                f"the gradient norm of player {name.partition('/')[2]!r} grew from {before:.3g} to {now:.3g}"
            )
            return Finding("gradient-grew", "warning", told, "set clip=1, or lower the learning rate")
    return None


def overfitting(log: TrainingLog) -> Finding | None:
    """Find held-out rows that become less likely while the training rows become more so."""
    name, values = _held_out(log)
    own = log.known(name.replace("-", "_"))
    best = _lost_much(values)
    if name not in _HIGHER or log.facts.restored or best is None or len(own) != len(values):
        return None
    if not np.median(own[-WINDOW:]) > own[best]:
        return None
    return Finding(
        "overfitting",
        "warning",
        f"{_was_and_is(log, name, values, best)}, while that of training rows went on rising",
        "set patience=10, which keeps the best weights; or take a smaller model or more rows",
    )


def got_worse(log: TrainingLog) -> Finding | None:
    """Find samples that were nearer to the data once."""
    name, values = _held_out(log)
    best = _lost_much(-values)
    if name not in _LOWER or log.facts.restored or best is None:
        return None
    if not np.median(values[-WINDOW:]) > (1 + _LOST) * values[best]:
        return None
    told = _was_and_is(log, name, values, best)
    return Finding("got-worse", "warning", told, f"set stop_on={name}, which keeps the best weights")


def diverged(log: TrainingLog) -> Finding | None:
    """Find a loss that ended higher than it began, and no likelihood that rose meanwhile, as with a warm-up."""
    told = [sign * log.known(name) for names, sign in ((_HIGHER, 1), (_LOWER, -1)) for name in names]
    told = [values for values in told if len(values) >= _TREND]
    loss = log.known("loss")
    if len(loss) < _TREND or not all(_fell(values) for values in told):
        return None
    return Finding(
        "diverged",
        "warning",
        f"the loss was {loss[0]:.4g} in the first epoch and is {np.median(loss[-WINDOW:]):.4g}",
        "lower the learning rate",
    )


def still_improving(log: TrainingLog) -> Finding | None:
    """Find a training that ended while it still got better."""
    name, values = _progress(log)
    ended = log.facts.epochs > 0 and log.epoch >= log.facts.epochs
    if not log.facts.over or not ended or len(values) < 2 * _TREND:
        return None
    slope, error = _trend(values[-_TREND:])
    gain, whole = slope * (_TREND - 1), float(values.max() - values[0])
    size = (
        abs(float(values[-1])) if name in _LOWER else 0.0
    )  # a distance has a size of its own, nats have not
    if not (gain > _STILL * max(whole, size) > 0 and slope > _SURE * error):
        return None
    evidence = f"{name} made {gain / whole:.0%} of its way in the last {_TREND} of {log.facts.epochs} epochs"
    return Finding(
        "still-improving",
        "note",
        evidence,
        "give it more epochs: a longer one goes on with --resume, in Python resume=True",
    )


def best_epoch(log: TrainingLog) -> int | None:
    """Return the epoch with the best value of what was watched; None where that is not known."""
    name, values = _held_out(log)
    if not len(values) or name not in _HIGHER + _LOWER:
        return None
    logged = ~np.isnan(log.columns[_HELD_OUT + name])
    return int(log.columns["epoch"][logged][(values if name in _HIGHER else -values).argmax()])


def _held_out(log: TrainingLog) -> tuple[str, np.ndarray]:
    """Return the metric that was watched, and its values; an empty name and nothing where none was."""
    for name in log.columns:
        if name.startswith(_HELD_OUT):
            return name.removeprefix(_HELD_OUT), log.known(name)
    return "", np.empty(0)


def _progress(log: TrainingLog) -> tuple[str, np.ndarray]:
    """Return the best measure of how far a training is, higher for better: of held-out rows if it is known."""
    name, values = _held_out(log)
    if len(values) and name in _HIGHER + _LOWER:
        return name, values if name in _HIGHER else -values
    for name in _HIGHER + _LOWER:
        if len(log.known(name)):
            return name, log.known(name) * (1 if name in _HIGHER else -1)
    return "", np.empty(0)


def _lost_much(values: np.ndarray) -> int | None:
    """Return where the best of some values is, higher for better, if much was lost since; else None.

    They are compared as medians of windows: the best of many noisy values is far from the last by itself.
    """
    if len(values) < 2 * WINDOW:
        return None
    level = np.median(np.lib.stride_tricks.sliding_window_view(values, WINDOW), axis=1)
    best, jitter = int(level.argmax()), float(np.median(np.abs(np.diff(values))))
    lost, gained = level[best] - level[-1], level[best] - values[0]
    return best + WINDOW // 2 if lost > _LOST * gained and lost > _JITTER * jitter else None


def _fell(values: np.ndarray) -> bool:
    """Whether values, higher for better, ended below their first by more than noise."""
    jitter = float(np.median(np.abs(np.diff(values))))
    return bool(values[0] - np.median(values[-WINDOW:]) > _JITTER * jitter)


def _trend(values: np.ndarray) -> tuple[float, float]:
    """Return the slope of a straight line through values, and its standard error."""
    line, covariance = np.polyfit(np.arange(len(values)), values, 1, cov=True)
    return float(line[0]), float(np.sqrt(covariance[0, 0]))


def _was_and_is(log: TrainingLog, name: str, values: np.ndarray, best: int) -> str:
    """Return what a number of held-out rows was at its best, and when, and what it is now."""
    logged = ~np.isnan(log.columns[_HELD_OUT + name])
    epoch = int(log.columns["epoch"][logged][best])
    return f"{name} of held-out rows was {values[best]:.5g} in epoch {epoch} and is {values[-1]:.5g}"


SYMPTOMS: tuple[Symptom, ...] = (not_finite, gradient_grew, overfitting, got_worse, diverged)
AT_THE_END: tuple[Symptom, ...] = (strange_samples, interrupted, still_improving)
"""What can be found of a training only when it is over."""
