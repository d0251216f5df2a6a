"""Symptoms of densities of data that has none."""

from latentia.runs.diagnostics.finding import Finding, Symptom, TrainingLog

_SHOWN = 3  # columns that are named


def density_on_spikes(log: TrainingLog) -> Finding | None:
    """Find columns of which many rows have exactly one value, so that a density there has no upper limit."""
    spikes = log.facts.spikes
    if not spikes:
        return None
    more = f" and {len(spikes) - _SHOWN} more columns" * (len(spikes) > _SHOWN)
    return Finding(
        "density-on-spikes",
        "note",
        f"{', '.join(spikes[:_SHOWN])}{more}; a density there grows without bound, and so do the likelihood scores",
        "compare models of these columns by their samples, or by probabilities of cells, such as VAEs' discretise=True",
    )


SYMPTOMS: tuple[Symptom, ...] = (density_on_spikes,)
