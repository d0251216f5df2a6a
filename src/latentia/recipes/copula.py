"""Gaussian copulas."""

from typing import Annotated

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.errors import UsageError
from latentia.models.copula import MARGINS
from latentia.models.copula_densities import copula_for
from latentia.objectives.closed_form.copula import CopulaFit
from latentia.options import Fraction, Needs, OneOf, Positive
from latentia.registry import recipes


@recipes.register("gaussian-copula", aliases=("copula",), example="ring")
def gaussian_copula(
    data: DataSpec,
    *,
    margins: Annotated[str, OneOf(MARGINS)] = "kernel",
    bandwidth_factor: Annotated[Positive, Needs("margins", "kernel")] = 1.0,
    shrinkage: Fraction = 0.0,
) -> Recipe:
    """Gaussian copula: columns of any distributions, joined by correlations of normal variables behind them.

    x_j = F_j⁻¹(Φ(z_j)), z ~ N(0, R): p(x) = φ_R(z) Π_j f_j(x_j)/φ(z_j), with intervals of z for discrete columns and
    for gaps. The density is exact with at most 4 of these, and a lower bound with more

    Args:
        data: what a row is.
        margins: F_j of numbers; kernel is smooth, parametric the most likely of some families, empirical the training
            values themselves, samples only
        bandwidth_factor: multiplies the bandwidth of kernels
        shrinkage: of the correlations towards 0: R becomes (1 − a) R + a I

    References:
        Song (2000), Multivariate dispersion models generated from Gaussian copula; Joe (1997), Multivariate models and
        dependence concepts; Olsson (1979), for discrete columns.
    """
    if data.is_image:
        raise UsageError("gaussian-copula models the columns of tables, not images: choose gaussian or vae")
    kinds = ("binary", "categorical", "discrete", "count", "unit", "real", "table")
    require(data, "gaussian-copula", kinds, missing=True)
    model = copula_for(data, margins=margins, bandwidth_factor=bandwidth_factor)
    return Recipe(CopulaFit(model, shrinkage=shrinkage), {}, batch_size=None, epochs=1)
