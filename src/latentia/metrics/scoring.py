"""Score a model by name: every metric that is asked for comes back with a value or with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from latentia.core.model import Bounded, Density, Generative
from latentia.data.attributes import Attribute
from latentia.data.spec import DataSpec
from latentia.errors import LatentiaError
from latentia.metrics.evaluation import Evaluation, measure_of
from latentia.metrics.score import Score
from latentia.registry import metrics


def default_metrics(model: nn.Module, spec: DataSpec, *, modes: bool = False) -> list[str]:
    """Return the metrics that a model's capabilities, its measure and what is known of data allow, alphabetically.

    A model without any likelihood keeps "log-likelihood", whose row then says so.

    Args:
        model: the model.
        spec: what its data is.
        modes: whether the modes of the data are known.
    """
    names = [name for name in metrics if _unasked(name, spec, modes=modes)]
    silent = bool(_no_likelihood(model))
    return [name for name in names if not _lack(name, model, spec) or (silent and name == "log-likelihood")]


def score(evaluation: Evaluation, names: Iterable[str] | None = None) -> list[Score]:
    """Score a model on held-out rows.

    Args:
        evaluation: the model and the rows.
        names: metrics to compute, from `latentia.registry.metrics`; without names, `default_metrics`.

    Returns:
        At least one score for every name, in their order. One that cannot be computed has no value, and a
        reason; none is dropped, and none is zero instead.

    Raises:
        UnknownNameError: for a metric that is not there, before anything is computed.
    """
    if names is None:
        names = default_metrics(evaluation.model, evaluation.rows.spec, modes=evaluation.modes is not None)
    chosen = list(names)
    for name in chosen:
        _ = metrics[name]
    return [result for name in chosen for result in _score(name, evaluation)]


def _score(name: str, evaluation: Evaluation) -> list[Score]:
    lack = _lack(name, evaluation.model, evaluation.rows.spec)
    if lack:
        kind, reason = lack
        return [Score(name, None, kind=kind, n=len(evaluation.rows), reason=reason)]
    try:
        result = metrics[name](evaluation)
    except LatentiaError as error:
        return [Score(name, None, kind="none: failed", n=len(evaluation.rows), reason=str(error))]
    return [result] if isinstance(result, Score) else list(result)


def _unasked(name: str, spec: DataSpec, *, modes: bool) -> bool:
    """Return whether a metric is computed unasked: one of factors (not classes alone) or modes where they are known."""
    facts = metrics.facts(name)
    known = len(spec.factors) >= facts.get("factors", 0) and (modes or not facts.get("modes", False))
    return facts.get("default", False) and known


def _lack(name: str, model: nn.Module, spec: DataSpec) -> tuple[str, str] | None:
    """Return why a metric does not apply, as (kind, reason), or None where it does."""
    facts, model_name = metrics.facts(name), type(model).__name__
    without = _no_likelihood(model) if facts.get("likelihood", False) else None
    if without:
        return without
    needs = facts.get("needs", ())
    asked = needs if isinstance(needs, tuple) else (needs,)
    lacking = [need for need in asked if not isinstance(model, need)]
    if lacking:
        return "none: not offered", f"{model_name} is not {' and '.join(map(_name, lacking))}"
    known = spec.factors or spec.context  # the class is a factor too
    if len(known) < facts.get("factors", 0):
        return "none: not defined", _too_few(known, facts["factors"])
    if spec.support.missing and Generative in asked:
        return "none: not defined", "the rows have missing values, samples have none"
    measure = measure_of(model, spec)
    if facts.get("counting", False) and measure != "counting":
        return (
            "none: not defined",
            f"{model_name} has a density relative to {measure} measure, not to counting",
        )
    return None


def _too_few(known: Sequence[Attribute], needed: int) -> str:
    """Return the line that says how many factors a metric needs, and which are known."""
    there = f"only {known[0].name} is known" if known else "nothing is known of these"
    return (
        f"needs rows of which at least {needed} factor{'s are' if needed > 1 else ' is'} known, {there}: "
        "dsprites, chairs and coil20 have factors, and rows.with_factors gives them"
    )


def _no_likelihood(model: nn.Module) -> tuple[str, str] | None:
    """Return why no likelihood can be told, as (kind, reason), or None where there is one."""
    why = getattr(model, "why_no_likelihood", "")
    if why:
        return "none: not a likelihood", why
    if not isinstance(model, Density | Bounded):
        kind = "none: samples only" if isinstance(model, Generative) else "none: no density"
        return kind, f"{type(model).__name__} has no density and no bound of one"
    return None


def _name(capability: type) -> str:
    """Return a capability's name; of a union, all names."""
    return getattr(capability, "__name__", "") or str(capability).replace("latentia.core.model.", "")
