"""What decides scores: the settings of every evaluation, and those that metrics declare for themselves.

A metric's own settings are a frozen dataclass that stands next to it and is named where it registers::

    @dataclass(frozen=True)
    class AISSettings(MetricSettings):
        chains: Count = 8

    @metrics.register("ais", needs=LatentVariableModel, settings=AISSettings)

``lt.evaluate(run, ais_chains=16)`` and ``latentia evaluate RUN --ais-chains 16`` then set them: the metric's name comes
first. `evaluation.Evaluation.settings` hands them out by their class.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, TypeVar

from latentia.checks import checked, hints_of
from latentia.errors import RenamedWarning, UsageError
from latentia.metrics.declared import declared
from latentia.options import Count, OneOf, Seed
from latentia.registry import metrics, unknown
from latentia.signatures import Option, signature_of
from latentia.syntax import UnreadableError, fields_in

S = TypeVar("S", bound="MetricSettings")

DISTANCES = ("standardised", "raw")

RENAMED: Mapping[str, str] = {"permutations": "mmd_test_permutations"}
"""Settings that had another name in earlier versions: old to new."""


@dataclass(frozen=True)
class MetricSettings:
    """Settings of a metric's own: the base of the dataclasses that metrics declare.

    Raises:
        UsageError: for a value that the field's annotation does not allow.
    """

    def __post_init__(self) -> None:
        _check_fields(self, [each.name for each in fields(self)])


@dataclass(frozen=True)
class CommonSettings:
    """What decides the scores of a model on given rows, whichever the metrics.

    Attributes:
        seed: of every draw: bounds, samples, the choice of rows, permutations
        batch_size: rows that the model reads at once
        max_rows: rows and samples that metrics of samples read, since the cost of some is quadratic
        distances: how a table's columns are measured where rows are compared: standardised, each divided by its
            standard deviation in the training rows, or raw, in their own units

    Raises:
        UsageError: for a value that is out of range.
    """

    seed: Seed = 0
    batch_size: Count = 500
    max_rows: Count = 2000
    distances: Annotated[str, OneOf(DISTANCES)] = "standardised"

    def __post_init__(self) -> None:
        _check_fields(self, COMMON)


COMMON = tuple(each.name for each in fields(CommonSettings))
"""The settings of every evaluation; the others are metrics' own."""


@dataclass(frozen=True)
class EvaluationSettings(CommonSettings):
    """All settings of an evaluation: those of all metrics, and those of single metrics.

    Attributes:
        own: settings of single metrics, for those that have others than the defaults

    Raises:
        UsageError: for a value that is out of range.

    Example:
        >>> from latentia.metrics.likelihood.ais import AISSettings
        >>> settings = EvaluationSettings.named(max_rows=500, ais_chains=2)
        >>> settings.max_rows, settings.of(AISSettings).chains, settings.of(AISSettings).temperatures
        (500, 2, 500)
    """

    own: tuple[MetricSettings, ...] = ()

    def of(self, kind: type[S]) -> S:
        """Return the settings of a metric, by their class."""
        return next((each for each in self.own if isinstance(each, kind)), kind())

    @classmethod
    def named(cls, **values: Any) -> EvaluationSettings:
        """Return settings by their names, those of a metric with the metric's name before them.

        Raises:
            UsageError: for a name that no setting has, with the nearest ones, and for a value that is not allowed.
        """
        given = _current(values)
        common = {name: value for name, value in given.items() if name in COMMON}
        owned: dict[type[MetricSettings], dict[str, Any]] = {}
        for setting, value in _of_metrics({name: given[name] for name in given if name not in COMMON}):
            owned.setdefault(setting.kind, {})[setting.field] = value
        return cls(**common, own=tuple(kind(**own) for kind, own in owned.items()))


@dataclass(frozen=True)
class Setting(Option):
    """A metric's own setting, by its whole name.

    Attributes:
        kind: the class that it is a field of.
        field: its name there.
        metric: the metric that declares it.
    """

    kind: type[MetricSettings] = MetricSettings
    field: str = ""
    metric: str = ""


def metric_settings() -> Iterator[Setting]:
    """Yield the settings that metrics declare.

    Example:
        >>> [setting.name for setting in metric_settings() if setting.metric == "ais"]
        ['ais_rows', 'ais_chains', 'ais_temperatures']
    """
    for metric in metrics:
        kind = declared(metric).settings
        if kind is not None:
            yield from _of_metric(metric, kind)


def settings_of_metric(metric: str) -> list[Option]:
    """Return a metric's own settings by their whole names, importing nothing where its file can be read instead.

    Example:
        >>> [option.name for option in settings_of_metric("sap")]
        ['sap_train', 'sap_test']
    """
    kind, home = metrics.known_names(metric).get("settings"), metrics.listed(metric)
    with suppress(UnreadableError):
        if home is not None:
            options = [] if kind is None else fields_in(home[0], kind).options
            return [_whole(metric, option) for option in options]
    return [setting for setting in metric_settings() if setting.metric == metric]


def _of_metric(metric: str, kind: type[MetricSettings]) -> Iterator[Setting]:
    for option in signature_of(kind).options:
        whole = _whole(metric, option)
        yield Setting(
            whole.name, whole.hint, whole.default, whole.help, kind=kind, field=option.name, metric=metric
        )


def _whole(metric: str, option: Option) -> Option:
    """Return a metric's setting with the metric's name before its own, and the other metrics that read it."""
    others = [other for other in metrics if metric in metrics.known_facts(other).get("reads", ())]
    also = f" (also for {' and '.join(others)})" if others else ""
    return replace(option, name=f"{metric.replace('-', '_')}_{option.name}", help=option.help + also)


def _of_metrics(given: Mapping[str, Any]) -> Iterator[tuple[Setting, Any]]:
    """Yield metrics' own settings with their values; the metrics are looked at only where some are given."""
    known = {setting.name: setting for setting in metric_settings()} if given else {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(unknown("setting", name, [*COMMON, *known]), options=[name])
        yield known[name], checked(name, value, known[name].hint)


def _check_fields(settings: Any, names: Iterable[str]) -> None:
    hints = hints_of(type(settings))
    for name in names:
        object.__setattr__(settings, name, checked(name, getattr(settings, name), hints[name]))


def _current(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under the names of today."""
    for old in values.keys() & RENAMED.keys():
        if RENAMED[old] in values:
            raise UsageError(
                f"{old} is the old name of {RENAMED[old]}, and both are given: give {RENAMED[old]} alone"
            )
        warnings.warn(f"{old} is called {RENAMED[old]} now", RenamedWarning, stacklevel=4)
    return {RENAMED.get(name, name): value for name, value in values.items()}
