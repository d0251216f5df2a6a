"""Schedules: factors in [0, 1] as pure functions of the number of completed steps.

To add a decay, add a function (step, total) → factor to `SCHEDULES`.
"""

import math
from collections.abc import Callable

from latentia.errors import UsageError
from latentia.functional.checks import member
from latentia.registry import Registry, schedules


def warmup(step: int, steps: int) -> float:
    """Return min(1, step / steps): from 0 at step 0 linearly to 1 at ``steps``; always 1 for steps = 0.

    Args:
        step: completed steps, from 0.
        steps: length of the warm-up.

    Raises:
        UsageError: for negative steps.

    Example:
        >>> [warmup(step, 4) for step in (0, 1, 4, 9)], warmup(0, 0)
        ([0.0, 0.25, 1.0, 1.0], 1.0)
    """
    if step < 0 or steps < 0:
        raise UsageError(f"a warm-up needs step and steps of at least 0; got step {step}, steps {steps}")
    return min(1.0, step / steps) if steps else 1.0


def cyclical(step: int, period: int, *, rise: float = 0.5) -> float:
    """Return min(1, t / (rise · period)), t = step mod period: from 0 to 1 in each period, then 1 to its end.

    Args:
        step: completed steps, from 0.
        period: length of a period, at least 1.
        rise: fraction of a period over which the factor rises, above 0 and at most 1.

    Raises:
        UsageError: for numbers outside these ranges.

    Reference: Fu et al. (2019), Cyclical annealing schedule, equations 6 and 7.

    Example:
        >>> [cyclical(step, 4) for step in range(6)]
        [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]
    """
    if step < 0 or period < 1 or not 0 < rise <= 1:
        raise UsageError(
            "a cycle needs step >= 0, period >= 1 and a rise above 0 and at most 1; "
            f"got step {step}, period {period}, rise {rise}"
        )
    return min(1.0, (step % period) / (rise * period))


def constant(step: int, total: int) -> float:  # noqa: ARG001  (the signature of every decay)
    """Return 1 at every step."""
    return 1.0


def cosine(step: int, total: int) -> float:
    """Return ½ (1 + cos(π · min(step, total) / total)): from 1 at step 0 to 0 at ``total`` and after.

    Args:
        step: completed steps, from 0.
        total: length of the decay, at least 1.

    Raises:
        UsageError: for a negative step, or a total below 1.

    Reference: Loshchilov & Hutter (2017), SGDR, eq. 5, without restarts.

    Example:
        >>> [round(cosine(step, 4), 4) for step in (0, 2, 4, 9)]
        [1.0, 0.5, 0.0, 0.0]
    """
    if step < 0 or total < 1:
        raise UsageError(f"a decay needs step >= 0 and total >= 1; got step {step}, total {total}")
    return 0.5 * (1.0 + math.cos(math.pi * min(step, total) / total))


SCHEDULES: Registry[Callable[[int, int], float]] = schedules
schedules.add({"constant": constant, "cosine": cosine})


def learning_rate_factor(schedule: str, step: int, total: int, warmup_steps: int = 0) -> float:
    """Return the factor of the learning rate at one step: a linear warm-up, then a decay.

    factor = warmup(step + 1, W) · schedule(max(0, step − W), total − W)

    The warm-up counts the current step, so that the first step has the factor 1/W and not 0.

    Args:
        schedule: a name of `SCHEDULES`.
        step: completed steps, from 0 to total − 1.
        total: length of the training in steps.
        warmup_steps: W.

    Raises:
        UnknownNameError: for an unknown schedule, with near matches.

    Example:
        >>> [round(learning_rate_factor("cosine", step, 6, warmup_steps=2), 2) for step in range(6)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    decay = member(SCHEDULES, schedule, "schedule")
    return warmup(step + 1, warmup_steps) * decay(max(0, step - warmup_steps), max(1, total - warmup_steps))
