"""Kernel density estimation."""

from typing import Annotated

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.models.kernel_density import KernelDensity
from latentia.objectives.closed_form.kernel_density import RULES, SHAPES, KernelPlacement
from latentia.options import NonNegative, OneOf, Positive
from latentia.registry import density_kernels, recipes


@recipes.register("kernel-density", aliases=("kde",))
def kernel_density(
    data: DataSpec,
    *,
    kernel: Annotated[str, OneOf(density_kernels)] = "gaussian",
    bandwidth: Annotated[str, OneOf(RULES)] = "scott",
    bandwidth_factor: Positive = 1.0,
    shape: Annotated[str, OneOf(SHAPES)] = "diagonal",
    variance_floor: NonNegative = 1e-6,
) -> Recipe:
    """Kernel density: a kernel around every row, an exact density without a parametric form.

    p(x) = (1/n) Σ_i K_H(x − x_i), H = h² Σ with Σ the rows' covariance; with bandwidth=loo, h maximises the
    leave-one-out likelihood Σ_i log (1/(n−1)) Σ_{j≠i} K_H(x_i − x_j)

    Args:
        data: what a row is.
        kernel: K, of covariance H; epanechnikov has bounded support
        bandwidth: rule of h; scott and silverman go by the number of rows, loo by the leave-one-out
            likelihood, fixed is 1
        bandwidth_factor: multiplies h; with bandwidth=fixed it is h, in standard deviations
        shape: of H: scalar (the same variance in all entries), diagonal (a variance per entry) or full (correlated)
        variance_floor: least variance of Σ in any direction, as a fraction of each entry's variance over all rows

    References:
        Silverman (1986), Density Estimation for Statistics and Data Analysis; Scott (1992), Multivariate Density
        Estimation.
    """
    require(data, "kernel-density", ("real", "unit", "discrete"))
    model = KernelDensity(data, kernel=kernel)
    objective = KernelPlacement(
        model, bandwidth=bandwidth, factor=bandwidth_factor, shape=shape, variance_floor=variance_floor
    )
    return Recipe(objective, {}, batch_size=None, epochs=1)
