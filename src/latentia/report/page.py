"""The report: one self-contained page with a run's data, model, scores, figures and options."""

import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from latentia.core.model import Generative
from latentia.data.columns.describe import HEADINGS, described
from latentia.data.spec import DataSpec
from latentia.errors import LatentiaError, RunError
from latentia.figures.learning_curves import curves
from latentia.metrics.score import Score, printed
from latentia.registry import recipes
from latentia.report.elements import Section, exhibits
from latentia.report.gaps import gap_sections
from latentia.report.report_rows import SEED, HeldOut, choose
from latentia.report.sections import MOST_ROWS, samples_png, sections
from latentia.runs.conditioning import random_conditions
from latentia.runs.diagnostics.finding import columns_of
from latentia.runs.doctor import findings_of
from latentia.runs.entries import CONFIG, REPORT, SAMPLES
from latentia.runs.evaluate import held_out_rows, own_scores
from latentia.runs.files import write_atomically
from latentia.runs.folder import read_config
from latentia.runs.options import Training, explanations, recipe_options
from latentia.runs.run import Run


@dataclass(frozen=True)
class Option:
    """An option with its value, default and explanation."""

    name: str
    value: str
    default: str
    explanation: str

    @property
    def changed(self) -> bool:
        """Whether the value differs from the default."""
        return self.value != self.default


@dataclass(frozen=True)
class About:
    """A recipe's docstring in parts: its summary, the paragraph with its formula, its references."""

    summary: str
    formula: str
    references: str


def write_report(run: Run, rows: Any = None) -> Path:
    """Write a run's report.html and, where its model samples, samples.png into its folder; return the page's path.

    The page is self-contained; the same run, rows and scores give the same bytes.

    Args:
        run: a run with a folder.
        rows: held-out rows to show with the samples, in any form that ``evaluate`` takes; default: those that
            ``evaluate`` uses, if there are any.

    Raises:
        RunError: for a run without a folder, or one that cannot be written.
        DataError: for rows that do not match the run's data.

    Example:
        >>> import tempfile, numpy as np, latentia as lt
        >>> data = np.random.default_rng(0).normal(size=(200, 2))
        >>> folder = tempfile.TemporaryDirectory()
        >>> run = lt.fit("gaussian-mixture", data, components=2, out=f"{folder.name}/run", progress=False)
        >>> write_report(run, data).name
        'report.html'
        >>> folder.cleanup()
    """
    if run.path is None or not (run.path / CONFIG).exists():
        raise RunError("a report is written into the run's folder, and this run has none: save it first")
    held, note = _held_out(run, rows)
    page = render(run, held, note)
    if isinstance(run.model, Generative):
        picture = samples_png(run, held)
        write_atomically(run.path / SAMPLES, lambda file: file.write(picture))
    write_atomically(run.path / REPORT, lambda file: file.write(page.encode()))
    return run.path / REPORT


def render(run: Run, held: HeldOut | None, note: str = "") -> str:
    """Return the page; ``note`` is the reason why there are no held-out rows."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("latentia", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder, scores = run.path or Path("run"), own_scores(run)
    return environment.get_template("template.html").render(
        title=f"{run.name or type(run.recipe.objective).__name__} on {run.data['name']}",
        about=_about(recipes[run.name] if run.name else type(run.recipe.objective)),
        facts=list(_facts(run, held)),
        column_headings=HEADINGS,
        columns=described(run.spec.table),
        note=note,
        findings=findings_of(run),
        scores=[_cells(score) for score in scores],
        scored_on=sorted({score.data or "held-out rows" for score in scores}),
        curves=_curves(run),
        sections=[*sections(run, held), *gap_sections(scores)],
        options=_options(run),
        training=_training(run),
        folder=folder.resolve().name,
        own=run.name is None,
        samples=isinstance(run.model, Generative),
        given=json.dumps(
            {name: values[0] for name, values in random_conditions(run.model_spec, 1, SEED).items()}
        )
        if run.recipe.conditional
        else "",
    )


def _held_out(run: Run, rows: Any) -> tuple[HeldOut | None, str]:
    """Return the rows to show, or the reason why there are none, with which the page is still written."""
    if rows is not None:
        return choose(run, held_out_rows(run, rows), MOST_ROWS), ""
    if not run.data["named"] and not run.training.validation:
        return None, "No held-out rows were given, so the page shows samples only."
    try:
        return choose(run, held_out_rows(run), MOST_ROWS), ""
    except LatentiaError as error:
        return None, f"The held-out rows could not be read: {error}."


def _about(documented: Callable[..., Any]) -> About:
    paragraphs = (inspect.getdoc(documented) or "").split("\n\n")
    text = [
        " ".join(p.split()) for p in paragraphs if not p.startswith(("Args:", "Attributes:", "References:"))
    ]
    cited = [" ".join(p.split()[1:]) for p in paragraphs if p.startswith("References:")]
    return About(text[0], text[1] if len(text) > 1 else "", " ".join(cited))


def _facts(run: Run, held: HeldOut | None) -> Iterator[tuple[str, str]]:
    """Yield the facts of a run as (name, value)."""
    spec, data = run.spec, run.data
    rows = "a stream of rows" if data["n"] is None else f"{data['n']:,} rows"
    yield "Data", f"{data['name']}, {rows} for training" + (f", {held.total:,} held out" if held else "")
    yield "A row", f"{_shape(spec)}, {spec.support}"
    if spec.classes:
        yield "Classes", _listed(spec.classes)
    if spec.conditions:
        yield "Context", "; ".join(f"{each.name}, {each.choices}" for each in spec.conditions)
    if spec.columns and not spec.table:
        yield "Columns", _listed(spec.columns)
    yield "Model", f"{type(run.model).__name__}, {_size(run)}"
    yield "Training", _training_done(run)
    if run.costs is not None:
        yield "Costs", str(run.costs)
    yield "Seeds", f"{run.training.seed} of the training, {data['split_seed']} of the split"
    versions = (read_config(run.path) if run.path else run.config())["versions"]
    yield "Versions", ", ".join(f"{name} {version}" for name, version in versions.items())


def _shape(spec: DataSpec) -> str:
    if spec.is_image:
        channels, height, width = spec.event_shape
        kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
        return f"{height} × {width} {kind} image"
    return f"{spec.size} values"


def _size(run: Run) -> str:
    weights = sum(parameter.numel() for parameter in run.model.parameters())
    return f"{weights:,} weights" if weights else "fitted without gradients"


def _training_done(run: Run) -> str:
    if not run.epochs:
        return "none recorded"
    epochs, steps = (int(run.epochs[-1][name]) for name in ("epoch", "step"))
    return f"{epochs:,} epoch{'s' * (epochs != 1)}, {steps:,} step{'s' * (steps != 1)}"


def _listed(names: tuple[str, ...], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)}: {', '.join(names[:most])}{more}"


def _curves(run: Run) -> Section | None:
    drawn = curves(columns_of(run.epochs)) if run.epochs else []
    if not drawn:
        return None
    return Section("Learning curves", "Means over the rows of each epoch.", exhibits(drawn))


def _cells(score: Score) -> dict[str, str]:
    """Return a score's fields as text."""
    fields: Mapping[str, Any] = asdict(score)
    cells = {name: printed(value) for name, value in fields.items()}
    settings = ", ".join(f"{name} {printed(value)}" for name, value in score.settings.items())
    return cells | {"settings": settings}


def _options(run: Run) -> list[Option]:
    """Return the recipe's options in its own order; those of a user's own Recipe object are unknown."""
    if run.name is None:
        return []
    defaults, told = recipe_options(recipes[run.name]), explanations(recipes[run.name])
    return [
        Option(name, _text(run.options.get(name, default)), _text(default), told.get(name, ""))
        for name, default in defaults.items()
    ]


def _training(run: Run) -> list[Option]:
    plain, told = asdict(Training()), explanations(Training)
    values = asdict(run.training).items()
    return [Option(name, _text(value), _text(plain[name]), told.get(name, "")) for name, value in values]


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.15g}" if isinstance(value, float) and math.isfinite(value) else str(value)
