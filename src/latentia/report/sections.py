"""The sections of a report: samples and held-out rows, then latent codes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from latentia.core.model import Density, Generative
from latentia.figures import plots, tables
from latentia.figures.drawing import MODEL, REAL, Titled, png, together
from latentia.figures.images import drawable, image_grid, png_of
from latentia.figures.mixtures import components_plot
from latentia.models.mixture import MixtureModel
from latentia.report.codes import code_sections
from latentia.report.elements import Exhibit, Section, Strip, bounds_of, exhibits, strip, value_range
from latentia.report.report_rows import SEED, Given, HeldOut, draw, pictures, seen, seen_spec, shows_means
from latentia.runs.run import Run

_POINTS = 2000  # samples of points and tables
_GRID, _A_CLASS, _CLASSES = 64, 8, 20  # images: in a grid; of each class; classes shown
_MEANS = " Pictures are the means of p(x | z); run.sample draws the pixels too."

MOST_ROWS = _POINTS


def sections(run: Run, held: HeldOut | None) -> Iterator[Section]:
    """Yield the sections of a run by its model's capabilities, with held-out rows if there are any."""
    if isinstance(run.model, Generative):
        yield _samples(run, held)
    yield from code_sections(run, held)


def samples_png(run: Run, held: HeldOut | None) -> bytes:
    """Return samples as one picture: a grid of images, by class for a conditional model, or plots.

    Images are means of p(x | z) where the model offers them; points and tables are draws.
    """
    if drawable(run.spec):
        n, labels, given = _images_to_draw(run, held)
        images, columns = pictures(run, n, given), None if labels is None else _A_CLASS
        return png_of(image_grid(images, seen_spec(run), columns, bounds=bounds_of(run, held)))
    drawn, _ = _sample_plots(run, held)
    return png(together(drawn, square=run.spec.size == 2))


def _samples(run: Run, held: HeldOut | None) -> Section:
    lead = f"The first samples drawn with seed {SEED}, not selected."
    if drawable(run.spec):
        note = _MEANS if shows_means(run) else ""
        return Section("Samples", lead + note + _given_note(run, held), tuple(_image_samples(run, held)))
    drawn, note = _sample_plots(run, held)
    given = "" if _by_class_alone(run) else _given_note(run, held)
    return Section("Samples", lead + given + note, exhibits(drawn, square=run.spec.size == 2))


def _image_samples(run: Run, held: HeldOut | None) -> Iterator[Exhibit]:
    n, labels, given = _images_to_draw(run, held)
    images = pictures(run, n, given)
    bounds = bounds_of(run, held) or value_range(images)
    if labels is None:
        yield Exhibit("Samples", strips=(strip("", images, run, bounds, columns=8),))
        if held is not None:
            real = seen(run, held.first(n))
            yield Exhibit("Held-out rows", strips=(strip("", real, run, bounds, columns=8),))
        return
    yield Exhibit("Samples", strips=_by_class(images, labels, run, bounds))
    if held is not None and held.labels is not None:
        yield Exhibit("Held-out rows", strips=_by_class(seen(run, held), held.labels, run, bounds))


def _images_to_draw(run: Run, held: HeldOut | None) -> tuple[int, Tensor | None, Given]:
    """Return the number of images to draw, and for a conditional model their classes and conditions.

    Some of each class; conditions other than a class are those of the held-out rows.
    """
    if not run.recipe.conditional:
        return _GRID, None, None
    if not _by_class_alone(run):
        some = None if held is None else held.first(_GRID)
        return _GRID if some is None else len(some.given), None, None if some is None else some.conditions
    labels = torch.arange(min(len(run.spec.classes), _CLASSES)).repeat_interleave(_A_CLASS)
    return len(labels), labels, {"class": [run.spec.classes[number] for number in labels.tolist()]}


def _by_class_alone(run: Run) -> bool:
    return run.recipe.conditional and [each.role for each in run.model_spec.context] == ["label"]


def _by_class(
    images: Tensor, labels: Tensor, run: Run, bounds: tuple[float, float] | None
) -> tuple[Strip, ...]:
    shown = [number for number in labels.unique().tolist() if number < _CLASSES]
    return tuple(
        strip(run.spec.classes[number], images[labels == number][:_A_CLASS], run, bounds) for number in shown
    )


def _given_note(run: Run, held: HeldOut | None) -> str:
    if not run.recipe.conditional:
        return ""
    if not _by_class_alone(run):
        names = " and ".join(factor.name for factor in run.model_spec.context)
        whose = "as of the held-out row at the same position" if held is not None else "drawn at random"
        return f" Conditional on {names}, {whose}."
    more = len(run.spec.classes) - _CLASSES
    return " One row for each class" + (f", of which {more} more are not shown." if more > 0 else ".")


def _sample_plots(run: Run, held: HeldOut | None) -> tuple[Titled, str]:
    """Return plots of samples that are points or tables, with held-out rows, and a note on what they show."""
    labels, given = _points_to_draw(run, held)
    samples = draw(run, _POINTS if given is None or held is None else len(held.given), given).flatten(1)
    if run.model_spec.support.missing:
        samples = samples if (whole := _whole(samples)) is None else whole
    real = None if held is None else _whole(seen(run, held).flatten(1))
    if run.spec.size == 2:
        return _planes(run, samples, real, labels, None if held is None else held.log_density)
    drawn = tables.histograms(samples, real, run.spec)
    if real is not None:
        drawn += tables.pairs(samples, real, run.spec)
    hidden = run.spec.size > tables.MOST_COLUMNS
    return drawn, f" {tables.MOST_COLUMNS} of {run.spec.size} columns are shown." if hidden else ""


def _whole(rows: Tensor) -> Tensor | None:
    """Return the complete rows, since those with missing values cannot be drawn; None if there are none."""
    whole = rows[~rows.isnan().any(1)]
    return whole if len(whole) else None


def _points_to_draw(run: Run, held: HeldOut | None) -> tuple[Tensor | None, Given]:
    """Return the classes and conditions of the points to draw, for a conditional model.

    Those of the held-out rows or, without any, every class equally often.
    """
    if not run.recipe.conditional:
        return None, None
    if held is not None:
        return held.labels, held.conditions
    if not _by_class_alone(run):
        return None, None
    labels = torch.arange(_POINTS) % len(run.spec.classes)
    return labels, {"class": [run.spec.classes[number] for number in labels.tolist()]}


def _planes(
    run: Run, samples: Tensor, real: Tensor | None, labels: Tensor | None, truth: plots.LogDensity | None
) -> tuple[Titled, str]:
    """Return plots of samples and held-out rows in one frame of the plane, over known densities."""
    model = run.model
    density = model.log_prob if isinstance(model, Density) and not run.recipe.conditional else None
    frame = plots.Frame.fitting(samples if real is None else real)
    drawn = [("Samples", plots.scatter(samples, frame, run.spec, MODEL, labels=labels, log_density=density))]
    if real is not None:
        right = plots.scatter(real, frame, run.spec, REAL, labels=labels, log_density=truth)
        drawn.append(("Held-out rows", right))
    if isinstance(model, MixtureModel) and model.is_gaussian:
        shown = samples if real is None else real
        drawn.append(("Components", components_plot(shown, model.components, run.spec, frame)))
    outside = frame.outside(samples)
    note = f" {outside} of {len(samples)} lie outside the frame." if outside else ""
    owners = [owner for owner, known in (("the model's", density), ("the true", truth)) if known is not None]
    if owners:
        note += f" Lines: contours of {' and '.join(owners)} density that hold 50% and 90% of the points."
    if isinstance(model, MixtureModel) and model.is_gaussian:
        note += " Ellipses hold 50% and 90% of a component; rows have the colours of their components."
    return drawn, note
