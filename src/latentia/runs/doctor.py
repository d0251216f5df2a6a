"""Doctor: what is wrong with a training, reported once while it goes on and again, on request, of the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentia.core.model import Bounded, Density, Generative, HasCritic
from latentia.core.objective import Objective
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec
from latentia.metrics.evaluation import measure_of
from latentia.models.mixture import MixtureModel
from latentia.networks.critic import batch_norm_layers
from latentia.runs.conditioning import random_conditions
from latentia.runs.diagnostics import adversarial, density, latent, learning
from latentia.runs.diagnostics.finding import (
    Facts,
    Finding,
    Symptom,
    TrainingLog,
    columns_of,
    window_of,
)
from latentia.runs.entries import METRICS, MODEL
from latentia.runs.evaluate import own_scores
from latentia.runs.folder import is_finished, read_config, read_stopped
from latentia.runs.history import read_rows
from latentia.runs.load import load
from latentia.runs.options import Training
from latentia.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

SYMPTOMS = (*learning.SYMPTOMS, *adversarial.SYMPTOMS, *latent.SYMPTOMS, *density.SYMPTOMS)
"""What can be found while a training goes on."""

_CHECKS = 20  # times that a training is examined in all; each takes a fraction of a millisecond
_AFTER = 4  # the first quarter of a training is left alone: hardly any model is like its data there
_GROWN = 10.0  # times a norm's first value, which is worth reporting of a training that has broken down
_SAMPLES, _SEED = 64, 0
_COLUMNS = ["finding", "severity", "evidence", "advice"]
_ORDER = ("error", "warning", "note")


def doctor(run: Run | str | Path, *, recipe: Recipe | None = None) -> pd.DataFrame:
    """Examine a run: a table with a row for each finding, the worst first, and none for a healthy one.

    It repeats what ``fit`` reported while it trained, and adds what can be found only at the end. It reads what the
    training logged and stored scores, and draws 64 samples; it needs no data. A finding is a symptom with its numbers,
    and no proof: held-out scores decide.

    Args:
        run: a run, or the path of its folder, which may be of a training that is not over.
        recipe: the recipe, for a folder of the user's own `Recipe`; by default, history and configuration are examined.

    Returns:
        A DataFrame with finding, severity (error, warning or note), evidence and advice.

    Raises:
        RunError: for a folder that is none, or is damaged.

    Example:
        >>> import numpy as np, latentia as lt
        >>> rows = np.random.default_rng(0).normal(size=(100, 2))
        >>> len(doctor(lt.fit("gaussian-mixture", rows, components=1, progress=False)))
        0
    """
    import pandas as pd

    return pd.DataFrame(records(findings_of(run, recipe=recipe)), columns=_COLUMNS)


def findings_of(run: Run | str | Path, *, recipe: Recipe | None = None) -> list[Finding]:
    """Return what ``doctor`` shows, as records."""
    if isinstance(run, Run):
        return findings(TrainingLog(columns_of(run.epochs), facts_of(run)))
    path, config = Path(run), read_config(Path(run))
    if (path / MODEL).exists() and (config["recipe"] is not None or recipe is not None):
        return findings_of(load(path, recipe=recipe))
    columns = columns_of(read_rows(path / METRICS))
    return findings(TrainingLog(columns, _facts_of_folder(path, config["training"])))


def records(found: Sequence[Finding]) -> list[dict[str, str]]:
    """Return findings as the rows of a table."""
    return [dict(zip(_COLUMNS, astuple(finding), strict=True)) for finding in found]


def findings(log: TrainingLog) -> list[Finding]:
    """Return all that is found of a training, the worst first; of what was reported and has healed since, a note."""
    now = [_kept(each, log) for each in (*examine(log), *_examined(learning.AT_THE_END, log))]
    names = {finding.name for finding in now}
    healed = [_healed(finding, row) for finding, row in _reported(log) if finding.name not in names]
    return sorted([*now, *healed], key=lambda finding: _ORDER.index(finding.severity))


def examine(log: TrainingLog) -> list[Finding]:
    """Return what is found of a training as it is now."""
    return _examined(SYMPTOMS, log)


def noticing(
    facts: Facts, report: Callable[[Finding], None]
) -> Callable[[Sequence[Mapping[str, Any]]], None]:
    """Return a function that is given the history after each epoch and reports each finding once.

    Args:
        facts: of the training.
        report: what is done with a finding.
    """
    reported: set[str] = set()

    def notice(history: Sequence[Mapping[str, Any]]) -> None:
        if not _is_due(len(history), facts, window_of(history[0].get("step", 1))):
            return
        for finding in examine(TrainingLog(columns_of(history), facts)):
            if finding.name not in reported:
                reported.add(finding.name)
                report(finding)

    return notice


def why_not_finite(log: TrainingLog) -> str:
    """Return a line on what went before a loss that is not finite.

    Example:
        >>> why_not_finite(TrainingLog({}))
        'it came in the first epoch: the learning rate is too high for these rows, or some of these are extreme'
    """
    found = [finding for finding in examine(log) if finding.name != "not-finite"]
    if found:
        return f"{found[0].name} went before it: {found[0].evidence}"
    for name in log.columns:
        if name.startswith("gradient_norm/") and len(norms := log.known(name)):
            before, last = log.early(name), float(norms[-1])
            if last > _GROWN * before:
                player = name.partition("/")[2]
                return (
                    f"before it the gradient norm of player {player!r} grew from {before:.3g} to {last:.3g}"
                )
    if not log.rows:
        return "it came in the first epoch: the learning rate is too high for these rows, or some of these are extreme"
    return f"{log.epoch} epochs before it show no sign of it: look at the rows of this step"


def training_facts(objective: Objective, training: Training, spec: DataSpec, epochs: int) -> Facts:
    """Return what is known of a training before it begins."""
    others = [module for module in objective.players().values() if module is not objective.model]
    return Facts(
        epochs=epochs,
        bounded=spec.support.bounds is not None,
        even=not isinstance(objective, HasCritic) or objective.losses.even is not None,
        restored=training.waits is not None,
        mixing=tuple(layer for module in others for layer in batch_norm_layers(module)),
    )


def facts_of(run: Run) -> Facts:
    """Return what is known of a run."""
    facts = training_facts(run.recipe.objective, run.training, run.spec, _planned(run))
    stopped = read_stopped(run.path) if run.path is not None else ""
    return replace(
        facts,
        over=True,
        stopped=stopped,
        interrupted=run.interrupted or (not stopped and _is_short(run, facts)),
        active_units=_active_units(run),
        held=_held(run),
        strange_samples=_strange_samples(run),
        spikes=_spikes(run),
    )


def _examined(symptoms: Sequence[Symptom], log: TrainingLog) -> list[Finding]:
    found = (symptom(log) for symptom in symptoms)
    return [finding for finding in found if finding is not None]


def _reported(log: TrainingLog) -> list[tuple[Finding, int]]:
    """Return what was reported while the training went on, and after how many epochs."""
    before = replace(log, facts=replace(log.facts, stopped="", active_units=None, held=()))
    first: dict[str, tuple[Finding, int]] = {}
    for rows in range(log.rows):
        for finding in examine(before.until(rows)) if _is_due(rows, log.facts, log.window) else ():
            first.setdefault(finding.name, (finding, rows))
    return list(first.values())


def _kept(finding: Finding, log: TrainingLog) -> Finding:
    """Return a warning that is of the last epochs with the epoch whose weights are kept, where that is another."""
    best = learning.best_epoch(log)
    if finding.severity != "warning" or not log.facts.restored or best in (None, log.epoch):
        return finding
    return replace(finding, evidence=f"{finding.evidence} (the weights kept are of epoch {best})")


def _healed(finding: Finding, rows: int) -> Finding:
    return replace(
        finding,
        severity="note",
        evidence=f"reported after {rows} epochs, and not at the end: {finding.evidence}",
        advice="look at the learning curves if the scores disappoint",
    )


def _is_due(rows: int, facts: Facts, window: int) -> bool:
    return rows >= max(window, facts.epochs // _AFTER) and rows % max(1, facts.epochs // _CHECKS) == 0


def _planned(run: Run) -> int:
    """Return the epochs that a run's first training was to have; 0 where that is not known, or another followed."""
    steps = run.training.steps
    if run.stage or not run.epochs:
        return 0
    if steps is not None:
        return math.ceil(steps / int(run.epochs[0]["step"]))
    return run.training.epochs or run.recipe.epochs


def _is_short(run: Run, facts: Facts) -> bool:
    """Whether a training ended before its epochs were over, and neither patience, the objective nor a function has.

    Its last checkpoint says so; without one the epochs do, unless the run was just trained and knows.
    """
    if run.path is None:
        return run.interrupted
    finished = is_finished(run.path)
    if finished is not None:
        return not finished
    done = int(run.epochs[-1]["epoch"]) if run.epochs else 0
    ends_alone = run.training.waits is not None or not run.recipe.objective.players()
    return not ends_alone and done < facts.epochs


def _facts_of_folder(path: Path, training: Mapping[str, Any]) -> Facts:
    """Return what is known of a folder without its model."""
    stopped, over = read_stopped(path), (path / MODEL).exists()
    return Facts(
        epochs=training.get("epochs") or 0, over=over, interrupted=not over and not stopped, stopped=stopped
    )


def _active_units(run: Run) -> float | None:
    return next((score.value for score in own_scores(run) if score.metric == "surgery/active-units"), None)


def _held(run: Run) -> tuple[float, ...]:
    """Return the rows that each component of a mixture holds."""
    if not isinstance(run.model, MixtureModel) or run.data["n"] is None:
        return ()
    return tuple((run.model.components.weights * run.data["n"]).tolist())


def _spikes(run: Run) -> tuple[str, ...]:
    """Return columns of numbers with one value in many rows, as "gain: 90 % are 0", of a model with a density."""
    model = run.model
    if not isinstance(model, Density | Bounded) or measure_of(model, run.spec) == "counting":
        return ()
    supports = dict(
        zip(run.spec.columns, run.spec.support.columns or [run.spec.support] * run.spec.size, strict=False)
    )
    found = ((column.name, column.facts.get("spike")) for column in run.spec.table if column.name in supports)
    return tuple(
        f"{name}: {spike[1]:.0%} are {spike[0]}".replace("%", " %")
        for name, spike in found
        if spike and supports[name].measure == "Lebesgue"
    )


def _strange_samples(run: Run) -> float:
    """Return the fraction of samples with an entry that is not finite; 1 where a weight is not."""
    if not isinstance(run.model, Generative):
        return 0.0
    if not all(bool(parameter.isfinite().all()) for parameter in run.model.parameters()):
        return 1.0
    given = random_conditions(run.model_spec, _SAMPLES, _SEED) if run.recipe.conditional else None
    samples = run.tensors.sample(_SAMPLES, given, _SEED)
    strange = ~samples.isfinite()
    if run.model_spec.support.missing:
        strange &= ~samples.isnan()
    return float(strange.flatten(1).any(1).double().mean())
