"""The scree plot: the fraction of the rows' variance that each component of a linear model explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from latentia.figures.drawing import INK, MODEL, REAL, Plot, Titled
from latentia.models.latent_density import LatentDensity
from latentia.models.linear import PCA, LinearGaussian

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 30  # components, up to which each is marked by a dot


@dataclass(frozen=True)
class Spectrum:
    """The decomposition of the rows' variance by a linear model, Σ_j λ_j over all D directions.

    Attributes:
        fractions: (d,) λ_j / Σ λ of the components, falling.
        left_out: D − d, the number of directions without a component.
    """

    fractions: Tensor
    left_out: int

    @property
    def together(self) -> Tensor:
        """Return the fraction that the first k components explain, for k = 1 … d: (d,)."""
        return self.fractions.cumsum(0)

    @property
    def mean_left_out(self) -> Tensor | None:
        """Return the mean fraction per omitted direction, (), which is ppca's noise; None if none is omitted."""
        return (1 - self.fractions.sum()) / self.left_out if self.left_out else None


@torch.no_grad()
def spectrum_of(model: nn.Module) -> Spectrum | None:
    """Return the spectrum of pca (also with a latent density) or of ppca; None for other models.

    ppca's components are the principal axes of WWᵀ, whatever the rotation of z: λ_j = ‖w_j‖² + σ², and
    Σ λ = tr(WWᵀ) + Dσ².

    Reference: Tipping and Bishop (1999), Probabilistic principal component analysis, equations 7 and 8.

    Example:
        >>> from latentia.data.spec import DataSpec, Support
        >>> spectrum_of(PCA(DataSpec((4,), Support("real")), latent_dim=2)).together.tolist()
        [0.25, 0.5]
    """
    match model:
        case LatentDensity():
            return spectrum_of(model.codec)
        case PCA():
            return Spectrum(
                model.explained_variance_ratio.cpu(), model.data.size - len(model.explained_variance)
            )
        case LinearGaussian() if model.noise.dim() == 0:
            strengths = torch.linalg.svdvals(model.loadings).square()
            whole = strengths.sum() + model.data.size * model.noise
            return Spectrum(((strengths + model.noise) / whole).cpu(), model.data.size - len(strengths))
        case _:
            return None


def scree(spectrum: Spectrum) -> Titled:
    """Return two plots: the fraction of the variance that each component explains, and that of the first k together.

    A dashed line is the mean fraction per omitted direction, if there are any.

    Example:
        >>> [title for title, _ in scree(Spectrum(torch.tensor([0.6, 0.3]), left_out=1))]
        ['Each component', 'The first k together']
    """
    return [("Each component", _each(spectrum)), ("The first k together", _together(spectrum))]


def _each(spectrum: Spectrum) -> Plot:
    def draw(axes: Axes) -> None:
        _over_components(axes, spectrum.fractions, MODEL)
        if spectrum.mean_left_out is not None:
            name = f"mean of the {spectrum.left_out} omitted"
            axes.axhline(float(spectrum.mean_left_out), color=REAL, linestyle="--", label=name)
            axes.legend()
        axes.set(xlabel="component", ylabel="fraction of variance")
        axes.set_ylim(bottom=0)

    return draw


def _together(spectrum: Spectrum) -> Plot:
    def draw(axes: Axes) -> None:
        _over_components(axes, spectrum.together, MODEL)
        axes.axhline(1.0, color=INK, linewidth=0.7, alpha=0.6)
        axes.set(xlabel="k", ylabel="fraction of variance", ylim=(0, 1.05))

    return draw


def _over_components(axes: Axes, values: Tensor, colour: str) -> None:
    """Draw a value for each component, numbered from 1."""
    numbers = range(1, len(values) + 1)
    axes.plot(
        numbers, values.tolist(), color=colour, marker="o" if len(values) <= _FEW else None, markersize=3.5
    )
    axes.locator_params(axis="x", integer=True)
