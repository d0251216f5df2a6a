"""The report's sections on latent codes: variance, reconstructions, interpolations, traversals, the prior, codes."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from latentia.core.model import Decodes, Encodes, LatentVariableModel
from latentia.distributions.aggregated_posterior import aggregated_posterior, all_posteriors
from latentia.distributions.diagonal_gaussian import DiagonalGaussian
from latentia.figures import plots, tables
from latentia.figures.images import drawable
from latentia.figures.latents import codes_on_quantiles, prior_and_aggregate_plots
from latentia.figures.spectrum import Spectrum, scree, spectrum_of
from latentia.report.elements import Exhibit, Section, Strip, bounds_of, exhibits, strip
from latentia.report.report_rows import Given, HeldOut, named, seen, seen_spec, with_own
from latentia.runs.run import Run

_PATHS, _STEPS = 4, 10  # interpolations; images on a path
_MANIFOLD = 15  # per side, images of the plane of codes
_ENTRIES, _VALUES = 9, 11  # entries of the code in a traversal; values of each
_SPAN = 3.0  # of a traversal in each direction, in standard deviations


def code_sections(run: Run, held: HeldOut | None) -> Iterator[Section]:
    """Yield the sections of a model that encodes; most need held-out rows."""
    if (spectrum := spectrum_of(run.model)) is not None:
        yield _spectrum(spectrum)
    if held is None or not isinstance(run.model, Encodes):
        return
    if isinstance(run.model, Decodes):
        yield _reconstructions(run, held)
        yield from _interpolations(run, held)
        yield _traversal(run, held)
        yield from _manifold(run, held)
    yield _codes(run, held)
    yield from _prior_and_aggregate(run, held)


def _spectrum(spectrum: Spectrum) -> Section:
    known = f"{float(spectrum.together[-1]):.1%} of the training rows' variance"
    return Section("Explained variance", f"The components explain {known}.", exhibits(scree(spectrum)))


def _reconstructions(run: Run, held: HeldOut) -> Section:
    lead = "Held-out rows encoded and decoded, both by their means."
    spec = seen_spec(run)
    held = held.first(2 * _STEPS) if drawable(spec) else held
    real, again = seen(run, held), with_own(held, run.tensors.reconstruct)
    if drawable(spec):
        bounds = bounds_of(run, held)
        strips = tuple(
            strip(label, images[start : start + _STEPS], run, bounds)
            for start in range(0, len(real), _STEPS)
            for label, images in (("held out", real), ("reconstruction", again))
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
    """Yield interpolations between pairs of held-out images, within one class for a conditional model."""
    if not drawable(run.spec):
        return
    lead = (
        "From one held-out row's code (left) to another's (right) along a great circle, decoded by the mean."
    )
    bounds, strips = bounds_of(run, held), list[Strip]()
    for a, b, given in _ends(held):
        path = run.tensors.interpolate(held.given[a], held.given[b], steps=_STEPS, given=given).cpu()
        strips.append(strip(named(given), path, run, bounds))
    if strips:
        yield Section("Interpolation", lead, (Exhibit("", strips=tuple(strips)),))


def _ends(held: HeldOut) -> Iterator[tuple[int, int, Given]]:
    """Yield pairs of rows, for a conditional model of one class, with the condition of the first."""
    if held.conditions is None or held.labels is None:
        for k in range(min(_PATHS, len(held.given) // 2)):
            yield 2 * k, 2 * k + 1, held.own(2 * k)
        return
    for number in held.labels.unique().tolist()[:_PATHS]:
        members = (held.labels == number).nonzero()[:2, 0].tolist()
        if len(members) == 2:
            yield members[0], members[1], held.own(members[0])


def _traversal(run: Run, held: HeldOut) -> Section:
    rows = _traversed(run, held)
    effect = rows.flatten(2).std(1).mean(1)
    strongest = effect.argsort(descending=True, stable=True)[:_ENTRIES].tolist()
    lead = (
        f"One held-out row, decoded with one entry of its code varied from {_SPAN:g} standard deviations below the "
        f"codes' mean to {_SPAN:g} above it, and the others unchanged."
    )
    if len(strongest) < len(rows):
        lead += f" The {len(strongest)} of {len(rows)} entries with the largest effect, in descending order."
    if drawable(run.spec):
        bounds = bounds_of(run, held)
        strips = tuple(strip(f"z{entry}", rows[entry], run, bounds) for entry in strongest)
        return Section("Latent traversal", lead, (Exhibit("", strips=strips),))
    scale = seen(run, held).flatten(1).std(0, correction=0).clamp_min(1e-9)
    drawn = [
        (f"z{entry}", tables.responses(rows[entry].flatten(1), _steps_of_an_entry(), scale, run.spec))
        for entry in strongest
    ]
    return Section("Latent traversal", lead, exhibits(drawn))


def _traversed(run: Run, held: HeldOut) -> Tensor:
    """Return the first row decoded with each entry of its code varied: (d, values, *event).

    The range of an entry is that of the codes' own mean and standard deviation, since not all priors are N(0, I).
    """
    given = held.own(0)
    codes = with_own(held, run.encode)
    values = codes.mean(0) + _steps_of_an_entry()[:, None] * codes.std(0, correction=0)
    moved = run.encode(held.given[:1], given).cpu().repeat(codes.shape[1], _VALUES, 1)
    moved.diagonal(dim1=0, dim2=2).copy_(values)
    return run.tensors.decode(moved.flatten(0, 1), given).cpu().unflatten(0, moved.shape[:2])


def _manifold(run: Run, held: HeldOut) -> Iterator[Section]:
    """Yield a grid of codes decoded to images, for codes of two entries."""
    if not isinstance(run.model, LatentVariableModel) or not drawable(run.spec):
        return
    prior = run.model.prior_distribution()
    if prior.event_shape != (2,):
        return
    given = held.own(0)
    images = run.tensors.decode(codes_on_quantiles(prior, _MANIFOLD), given).cpu()
    lead = "Means of p(x | z) on a grid of the prior's quantiles: z0 increases to the right, z1 upwards."
    picture = strip(named(given), images, run, bounds_of(run, held), _MANIFOLD)
    yield Section("The plane of codes", lead, (Exhibit("", strips=(picture,)),))


def _prior_and_aggregate(run: Run, held: HeldOut) -> Iterator[Section]:
    """Yield the prior and the aggregated posterior of the held-out rows, where posteriors are Gaussian."""
    if not isinstance(run.model, LatentVariableModel) or run.recipe.conditional:
        return
    with torch.no_grad():
        q, prior = run.model.encode(run.rows(held.given)), run.model.prior_distribution()
    if not isinstance(q, DiagonalGaussian | MultivariateNormal):
        return
    plots = prior_and_aggregate_plots(prior, aggregated_posterior(all_posteriors([q])))
    lead = f"The prior, and the aggregated posterior: the mixture of the posteriors of {len(held.given)} held-out rows."
    yield Section("Prior and aggregated posterior", lead, exhibits(plots, square=len(plots) == 1))


def _steps_of_an_entry() -> Tensor:
    return torch.linspace(-_SPAN, _SPAN, _VALUES)


def _codes(run: Run, held: HeldOut) -> Section:
    codes = with_own(held, run.encode)
    plot = plots.codes_plot(codes, run.spec, held.labels)
    coloured = ", coloured by class" if held.labels is not None else ""
    return Section(
        "Codes",
        f"The mean code of {len(codes)} held-out rows{coloured}.",
        exhibits([("", plot)], square=True),
    )
