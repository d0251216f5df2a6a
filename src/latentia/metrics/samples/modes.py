"""How many modes of the data samples reach, how well, and how evenly, where the modes are known."""

from dataclasses import dataclass
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
from latentia.metrics.settings import MetricSettings
from latentia.options import Positive
from latentia.registry import metrics


@dataclass(frozen=True)
class ModesSettings(MetricSettings):
    """Settings of the count of modes.

    Attributes:
        radius: standard deviations of a mode within which a sample is of high quality
    """

    radius: Positive = 3.0


@metrics.register(
    "modes",
    needs=Generative,
    default=True,
    modes=True,
    settings=ModesSettings,
    no_stderr={"modes/captured": "a count of modes that one sample decides"},
)
def modes(evaluation: Evaluation) -> list[Score]:
    """Modes captured, fraction of samples within 3 sd of a mode, and reverse KL over modes, for rows of known modes.

    A mode is captured by one good sample. Perfect samples of modes in the plane reach a fraction of 98.889 %, and on
    average a reverse KL of (K − 1)/(2n) over K modes.

    Reference: Lin et al. (2018), PacGAN, section 4.
    """
    known = evaluation.modes
    if known is None:
        reason = (
            "the modes of the rows are not known: those of ring and grid are, and Rows(modes=...) gives them"
        )
        return [Score("modes", None, kind="none: not known", n=len(evaluation.rows), reason=reason)]
    radius = evaluation.settings.of(ModesSettings).radius
    nearest, distance = nearest_modes(evaluation.samples.flatten(1), known.centres, known.sd)
    good = distance < radius
    counts = torch.bincount(nearest[good], minlength=len(known))
    settings = {"modes": len(known), "radius": radius, "samples": len(good), "seed": evaluation.seed}
    ceiling = fraction_within(radius, known.centres.shape[1])
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
            unit="fraction",
            kind="estimate",
            settings=settings | {"of_perfect_samples": ceiling},
            direction="higher",
        ),
        reverse_kl("modes/reverse-kl", counts, torch.full((len(known),), 1 / len(known)), settings),
    ]


def reverse_kl(metric: str, counts: torch.Tensor, reference: torch.Tensor, settings: dict[str, Any]) -> Score:
    """Return KL(p̂ ‖ π) of counted samples as a score, with its mean over draws from π.

    Args:
        metric: its name.
        counts: (K,) samples of each mode or class.
        reference: (K,) π.
        settings: what else decides the number.
    """
    n = int(counts.sum())
    if n == 0:
        return Score(
            metric, None, kind="none: not defined", reason="no sample is near a mode", settings=settings
        )
    return Score(
        metric,
        float(count_kl(counts, reference)),
        float(count_kl_stderr(counts, reference)),
        unit="nats",
        kind="estimate",
        n=n,
        settings=settings | {"of_perfect_samples": count_kl_bias(n, len(reference))},
        direction="lower",
    )
