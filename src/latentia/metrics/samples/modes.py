"""How many modes of the data samples reach, how well, and how evenly, where the data knows its modes."""

from __future__ import annotations

from typing import Any

import torch

from latentia.core.model import Generative
from latentia.functional.modes import (
    count_kl,
    count_kl_bias,
    count_kl_stderr,
    fraction_within,
    nearest_modes,
)
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.score import Score, mean_score
from latentia.registry import metrics

_RADIUS = 3.0  # standard deviations within which a sample is good


@metrics.register("modes", needs=Generative, default=True, modes=True)
def modes(evaluation: Evaluation) -> list[Score]:
    """Modes captured, share of samples within 3 sd of a mode, and reverse KL over modes: of rows that know their modes.

    A mode is captured by one good sample. Perfect samples of modes in the plane reach a share of 98.889 %, and in the
    mean a reverse KL of (K − 1)/(2n) over K modes.

    Reference: Lin et al. (2018), PacGAN, section 4.
    """
    known = evaluation.modes
    if known is None:
        reason = (
            "the modes of the rows are not known: those of ring and grid are, and Rows(modes=...) gives them"
        )
        return [Score("modes", None, kind="none: not known", n=len(evaluation.rows), reason=reason)]
    nearest, distance = nearest_modes(evaluation.samples.flatten(1), known.centres, known.sd)
    good = distance < _RADIUS
    counts = torch.bincount(nearest[good], minlength=len(known))
    settings = {"modes": len(known), "radius": _RADIUS, "samples": len(good), "seed": evaluation.seed}
    ceiling = fraction_within(_RADIUS, known.centres.shape[1])
    return [
        Score(
            "modes/captured",
            float((counts > 0).sum()),
            unit="modes",
            kind="estimate",
            n=len(good),
            settings=settings,
            direction="higher",
        ),
        mean_score(
            "modes/high-quality",
            good.double(),
            unit="share",
            kind="estimate",
            settings=settings | {"of_perfect_samples": ceiling},
            direction="higher",
        ),
        reverse_kl("modes/reverse-kl", counts, torch.full((len(known),), 1 / len(known)), settings),
    ]


def reverse_kl(metric: str, counts: torch.Tensor, law: torch.Tensor, settings: dict[str, Any]) -> Score:
    """Return KL(p̂ ‖ π) of counted samples as a score, with what draws from π would have in the mean.

    Args:
        metric: its name.
        counts: (K,) samples of each mode or class.
        law: (K,) π.
        settings: what else decides the number.
    """
    n = int(counts.sum())
    if n == 0:
        return Score(
            metric, None, kind="none: not defined", reason="no sample is near a mode", settings=settings
        )
    return Score(
        metric,
        float(count_kl(counts, law)),
        float(count_kl_stderr(counts, law)),
        unit="nats",
        kind="estimate",
        n=n,
        settings=settings | {"of_perfect_samples": count_kl_bias(n, len(law))},
        direction="lower",
    )
