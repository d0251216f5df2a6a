"""The pictures of a report: samples beside the real rows, reconstructions, paths and codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.core.model import Decodes, Density, Encodes, Generative
from latentia.data.spec import DataSpec
from latentia.models.mixture import MixtureLaw
from latentia.report import plots, tables
from latentia.report.figures import (
    MODEL,
    REAL,
    Titled,
    data_uri,
    drawable,
    image_grid,
    png,
    png_of,
    single,
    svg,
    together,
)
from latentia.report.heldout import SEED, HeldOut, draw, of_class, per_class, seen, seen_spec
from latentia.report.mixtures import components_plot
from latentia.runs.run import Run

_POINTS = 2000  # samples of points and tables
_GRID, _A_CLASS, _CLASSES = 64, 8, 20  # images: in a grid; of each class; classes shown
_PATHS, _STEPS = 4, 10  # interpolations; images on a path
_ENTRIES, _VALUES, _SPAN = 9, 11, 3.0  # entries of the code that are moved; values of each; the largest

MOST_ROWS = _POINTS


@dataclass(frozen=True)
class Strip:
    """A row of images with its label; ``uri`` holds the picture itself."""

    label: str
    uri: str


@dataclass(frozen=True)
class Exhibit:
    """A plot (an SVG element) or strips of images, with a title."""

    title: str
    svg: str = ""
    square: bool = False
    strips: tuple[Strip, ...] = ()


@dataclass(frozen=True)
class Section:
    """Exhibits under one heading; ``lead`` says what one sees."""

    title: str
    lead: str
    exhibits: tuple[Exhibit, ...]

    @property
    def layout(self) -> str:
        """How exhibits stand beside each other: pictures, square plots or plots."""
        if any(exhibit.strips for exhibit in self.exhibits):
            return "pictures"
        return "plots square" if any(exhibit.square for exhibit in self.exhibits) else "plots"


def sections(run: Run, held: HeldOut | None) -> Iterator[Section]:
    """Yield what there is to see of a run: what its model can do, on held-out rows where there are any."""
    if isinstance(run.model, Generative):
        yield _samples(run, held)
    if held is None or not isinstance(run.model, Encodes):
        return
    if isinstance(run.model, Decodes):
        yield _reconstructions(run, held)
        yield from _interpolations(run, held)
        yield _traversal(run, held)
    yield _codes(run, held)


def samples_png(run: Run, held: HeldOut | None) -> bytes:
    """Return samples as one picture: images in a grid, by class where the model is conditional; else plots."""
    if drawable(run.spec):
        images = draw(run, *_images_to_draw(run))
        columns = _A_CLASS if run.recipe.conditional else None
        return png_of(image_grid(images, seen_spec(run), columns, bounds=_bounds(run, held)))
    drawn, _ = _sample_plots(run, held)
    return png(together(drawn, square=run.spec.size == 2))


def exhibits(drawn: Titled, *, square: bool = False) -> tuple[Exhibit, ...]:
    """Return plots as SVG elements with their titles."""
    return tuple(Exhibit(title, svg(single(plot, square=square)), square) for title, plot in drawn)


def _samples(run: Run, held: HeldOut | None) -> Section:
    lead = f"Draws from the model, not chosen: the first that come with seed {SEED}."
    if drawable(run.spec):
        return Section("Samples", lead + _classes_note(run), tuple(_image_samples(run, held)))
    drawn, note = _sample_plots(run, held)
    return Section("Samples", lead + note, exhibits(drawn, square=run.spec.size == 2))


def _image_samples(run: Run, held: HeldOut | None) -> Iterator[Exhibit]:
    n, labels = _images_to_draw(run)
    images = draw(run, n, labels)
    bounds = _bounds(run, held) or _range(images)
    if labels is None:
        yield Exhibit("Samples", strips=(_strip("", images, run, bounds, columns=8),))
        if held is not None:
            real = seen(run, held.first(_GRID))
            yield Exhibit("Held-out rows", strips=(_strip("", real, run, bounds, columns=8),))
        return
    yield Exhibit("Samples", strips=_by_class(images, labels, run, bounds))
    if held is not None and held.labels is not None:
        yield Exhibit("Held-out rows", strips=_by_class(seen(run, held), held.labels, run, bounds))


def _images_to_draw(run: Run) -> tuple[int, Tensor | None]:
    """Return how many images to draw, and of which classes: some of each for a conditional model."""
    if not run.recipe.conditional:
        return _GRID, None
    labels = torch.arange(min(len(run.spec.classes), _CLASSES)).repeat_interleave(_A_CLASS)
    return len(labels), labels


def _by_class(
    images: Tensor, labels: Tensor, run: Run, bounds: tuple[float, float] | None
) -> tuple[Strip, ...]:
    shown = [number for number in labels.unique().tolist() if number < _CLASSES]
    return tuple(
        _strip(run.spec.classes[number], images[labels == number][:_A_CLASS], run, bounds) for number in shown
    )


def _classes_note(run: Run) -> str:
    if not run.recipe.conditional:
        return ""
    more = len(run.spec.classes) - _CLASSES
    return " A row for each class" + (f", of which {more} more are not shown." if more > 0 else ".")


def _sample_plots(run: Run, held: HeldOut | None) -> tuple[Titled, str]:
    """Return plots of samples that are points or tables, with held-out rows, and a note on what they show."""
    labels = _labels_to_draw(run, held)
    samples = draw(run, _POINTS if labels is None else len(labels), labels).flatten(1)
    real = None if held is None else _whole(seen(run, held).flatten(1))
    if run.spec.size == 2:
        return _planes(run, samples, real, labels, None if held is None else held.log_density)
    drawn = tables.histograms(samples, real, run.spec)
    if real is not None:
        drawn += tables.pairs(samples, real, run.spec)
    hidden = run.spec.size > tables.MOST_COLUMNS
    return drawn, f" {tables.MOST_COLUMNS} of {run.spec.size} columns are shown." if hidden else ""


def _whole(rows: Tensor) -> Tensor | None:
    """Return the rows without gaps, which alone can be drawn beside samples; None where there is none."""
    whole = rows[~rows.isnan().any(1)]
    return whole if len(whole) else None


def _labels_to_draw(run: Run, held: HeldOut | None) -> Tensor | None:
    """Return the classes to draw points of, for a conditional model: the held-out rows', or each as often."""
    if not run.recipe.conditional:
        return None
    if held is not None and held.labels is not None:
        return held.labels
    return torch.arange(_POINTS) % len(run.spec.classes)


def _planes(
    run: Run, samples: Tensor, real: Tensor | None, labels: Tensor | None, truth: plots.LogDensity | None
) -> tuple[Titled, str]:
    """Return plots of samples and held-out rows in one frame of the plane, over what is known of densities."""
    model = run.model
    density = model.log_prob if isinstance(model, Density) and not run.recipe.conditional else None
    frame = plots.Frame.fitting(samples if real is None else real)
    drawn = [("Samples", plots.scatter(samples, frame, run.spec, MODEL, labels=labels, log_density=density))]
    if real is not None:
        right = plots.scatter(real, frame, run.spec, REAL, labels=labels, log_density=truth)
        drawn.append(("Held-out rows", right))
    if isinstance(model, MixtureLaw):
        shown = samples if real is None else real
        drawn.append(("Components", components_plot(shown, model.components, run.spec, frame)))
    outside = frame.outside(samples)
    note = f" {outside} of {len(samples)} lie outside the frame." if outside else ""
    owners = [owner for owner, known in (("the model's", density), ("the true", truth)) if known is not None]
    if owners:
        note += f" Lines: contours of {' and '.join(owners)} density that hold half and nine tenths of the points."
    if isinstance(model, MixtureLaw):
        note += " Ellipses hold half and nine tenths of a component, and rows have the colours of their components."
    return drawn, note


def _reconstructions(run: Run, held: HeldOut) -> Section:
    lead = "Held-out rows encoded and decoded again, both as means."
    spec = seen_spec(run)
    held = held.first(2 * _STEPS) if drawable(spec) else held
    real, again = seen(run, held), per_class(run, held, run.reconstruct)
    if drawable(spec):
        bounds = _bounds(run, held)
        strips = tuple(
            _strip(label, images[start : start + _STEPS], run, bounds)
            for start in range(0, len(real), _STEPS)
            for label, images in (("held out", real), ("decoded", again))
        )
        return Section("Reconstructions", lead, (Exhibit("", strips=strips),))
    real, again = real.flatten(1), again.flatten(1)
    if spec.size == 2:
        plot = plots.displacements(real[:300], again[:300], plots.Frame.fitting(real), spec)
        return Section(
            "Reconstructions", lead, exhibits([("Each row joined to its reconstruction", plot)], square=True)
        )
    return Section("Reconstructions", lead, exhibits(tables.agreements(real, again, spec)))


def _interpolations(run: Run, held: HeldOut) -> Iterator[Section]:
    """Yield paths between pairs of held-out images, of one class each where the model is conditional."""
    if not drawable(run.spec):
        return
    lead = "From one held-out row's code (left) to another's (right) along a great circle, decoded as means."
    bounds, strips = _bounds(run, held), list[Strip]()
    for a, b, given in _ends(run, held):
        path = run.interpolate(held.given[a], held.given[b], steps=_STEPS, given=given).cpu()
        strips.append(_strip("" if given is None else given["class"], path, run, bounds))
    if strips:
        yield Section("Interpolation", lead, (Exhibit("", strips=tuple(strips)),))


def _ends(run: Run, held: HeldOut) -> Iterator[tuple[int, int, dict[str, str] | None]]:
    """Yield pairs of rows to go between, with the class that both have for a conditional model."""
    if not run.recipe.conditional or held.labels is None:
        for k in range(min(_PATHS, len(held.given) // 2)):
            yield 2 * k, 2 * k + 1, None
        return
    for number in held.labels.unique().tolist()[:_PATHS]:
        members = (held.labels == number).nonzero()[:2, 0].tolist()
        if len(members) == 2:
            yield members[0], members[1], of_class(run, number)


def _traversal(run: Run, held: HeldOut) -> Section:
    given = None
    if run.recipe.conditional and held.labels is not None:
        given = of_class(run, int(held.labels[0]))
    rows = run.traverse(held.given[:1], steps=_VALUES, span=_SPAN, given=given).cpu()
    effect = rows.flatten(2).std(1).mean(1)
    strongest = effect.argsort(descending=True, stable=True)[:_ENTRIES].tolist()
    lead = f"One held-out row decoded with one entry of its code moved from −{_SPAN:g} to {_SPAN:g}, the others kept."
    if len(strongest) < len(rows):
        lead += f" The {len(strongest)} of {len(rows)} entries with the greatest effect, greatest first."
    if drawable(run.spec):
        bounds = _bounds(run, held)
        strips = tuple(_strip(f"z{entry}", rows[entry], run, bounds) for entry in strongest)
        return Section("Latent traversal", lead, (Exhibit("", strips=strips),))
    scale = seen(run, held).flatten(1).std(0, correction=0).clamp_min(1e-9)
    values = torch.linspace(-_SPAN, _SPAN, _VALUES)
    drawn = [
        (f"z{entry}", tables.responses(rows[entry].flatten(1), values, scale, run.spec))
        for entry in strongest
    ]
    return Section("Latent traversal", lead, exhibits(drawn))


def _codes(run: Run, held: HeldOut) -> Section:
    codes = per_class(run, held, run.encode)
    plot = plots.codes_plot(codes, run.spec, held.labels)
    coloured = ", coloured by class" if held.labels is not None else ""
    return Section(
        "Codes",
        f"The mean code of {len(codes)} held-out rows{coloured}.",
        exhibits([("", plot)], square=True),
    )


def _strip(
    label: str, images: Tensor, run: Run, bounds: tuple[float, float] | None, columns: int | None = None
) -> Strip:
    spec: DataSpec = seen_spec(run)
    return Strip(label, data_uri(image_grid(images, spec, columns or len(images), bounds=bounds)))


def _bounds(run: Run, held: HeldOut | None) -> tuple[float, float] | None:
    """Return the range of all pictures of a run, from the held-out rows where the support has none."""
    bounds = seen_spec(run).support.bounds
    if bounds is not None or held is None:
        return bounds
    return _range(seen(run, held))


def _range(images: Tensor) -> tuple[float, float]:
    return float(images.min()), float(images.max())
