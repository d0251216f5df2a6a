"""Score a model by the names of metrics: each gives a value, or a reason why there is none."""

from collections.abc import Iterable, Sequence

from torch import nn

from latentia.core.model import Bounded, Density, Generative
from latentia.data.attributes import Attribute
from latentia.data.spec import DataSpec
from latentia.errors import LatentiaError
from latentia.metrics.declared import Declared, declared
from latentia.metrics.evaluation import Evaluation, measure_of
from latentia.metrics.points import is_table
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
    names = [name for name in metrics if _by_default(declared(name), spec, modes=modes)]
    silent = bool(_no_likelihood(model))
    return [name for name in names if not lacking(name, model, spec) or (silent and name == "log-likelihood")]


def score(evaluation: Evaluation, names: Iterable[str] | None = None) -> list[Score]:
    """Score a model on held-out rows.

    Args:
        evaluation: the model and the rows.
        names: metrics to compute, from `latentia.registry.metrics`; by default `default_metrics`.

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
    lack = lacking(name, evaluation.model, evaluation.rows.spec)
    if lack:
        kind, reason = lack
        return [Score(name, None, kind=kind, n=len(evaluation.rows), reason=reason)]
    try:
        result = metrics[name](evaluation)
    except LatentiaError as error:
        return [Score(name, None, kind="none: failed", n=len(evaluation.rows), reason=str(error))]
    return [result] if isinstance(result, Score) else list(result)


def lacking(name: str, model: nn.Module, spec: DataSpec) -> tuple[str, str] | None:
    """Return why a metric does not apply to a model and rows, as (kind, reason), or None where it does.

    Args:
        name: the metric, whose registration declares what it needs.
        model: the model.
        spec: what the rows are.
    """
    needs = declared(name)
    without = _no_likelihood(model) if needs.likelihood else None
    missing = [need for need in needs.capabilities if not isinstance(model, need)]
    if without or missing:
        names = " and ".join(map(_name, missing))
        return without or ("none: not offered", f"{type(model).__name__} is not {names}")
    reason = _unknown(needs, spec) or _unlike(needs, model, spec)
    return ("none: not defined", reason) if reason else None


def _by_default(needs: Declared, spec: DataSpec, *, modes: bool) -> bool:
    """Whether a metric is computed by default: one of factors (not classes alone) or modes where they are known."""
    return needs.default and len(spec.factors) >= needs.factors and (modes or not needs.modes)


def _unknown(needs: Declared, spec: DataSpec) -> str:
    """Return what a metric needs to know of the rows and does not, or an empty line."""
    known = spec.factors or spec.context  # the class is a factor too
    if len(known) < needs.factors:
        return _too_few(known, needs.factors)
    return "the rows have no classes" if needs.labels and not spec.classes else ""


def _unlike(needs: Declared, model: nn.Module, spec: DataSpec) -> str:
    """Return why a metric is not defined for a model's densities or samples of such rows, or an empty line."""
    if needs.table and not is_table(spec):
        return "the rows are not a table's: it is for frames, CSV and Parquet files"
    if spec.support.missing and Generative in needs.capabilities and not (needs.gaps and is_table(spec)):
        return "the rows have missing values, between which it has no distance"
    measure = measure_of(model, spec)
    if needs.counting and measure != "counting":
        return f"{type(model).__name__} has a density relative to {measure} measure, not to counting"
    return ""


def _too_few(known: Sequence[Attribute], needed: int) -> str:
    """Return how many factors a metric needs, and which are known."""
    there = f"only {known[0].name} is known" if known else "nothing is known of these"
    return (
        f"needs rows of which at least {needed} factor{'s are' if needed > 1 else ' is'} known, {there}: "
        "dsprites, chairs and coil20 have factors, and rows.with_factors gives them"
    )


def _no_likelihood(model: nn.Module) -> tuple[str, str] | None:
    """Return why a model has no likelihood, as (kind, reason), or None where it has one."""
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
