"""Kernel density estimation."""

from __future__ import annotations

from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.models.kernel_density import KernelDensity
from latentia.objectives.closed_form.kernel_density import KernelPlacement
from latentia.registry import recipes


@recipes.register("kernel-density", aliases=("kde",))
def kernel_density(
    data: DataSpec,
    *,
    kernel: str = "gaussian",
    bandwidth: str = "scott",
    bandwidth_factor: float = 1.0,
    shape: str = "diagonal",
    variance_floor: float = 1e-6,
) -> Recipe:
    """Kernel density: a kernel around every row, an exact density without a parametric form.

    p(x) = (1/n) Σ_i K_H(x − x_i), H = h² Σ with Σ the rows' covariance; with bandwidth=loo, h maximises the
    leave-one-out likelihood Σ_i log (1/(n−1)) Σ_{j≠i} K_H(x_i − x_j)

    Args:
        data: what a row is.
        kernel: gaussian, epanechnikov (no density beyond its reach) or laplace; H is the covariance of each
        bandwidth: rule of h: scott or silverman (by the number of rows), loo (leave-one-out likelihood), or fixed (1)
        bandwidth_factor: multiplies h; with bandwidth=fixed it is h, in standard deviations
        shape: of H: scalar (the same in all entries), diagonal (each entry's own) or full (correlated)
        variance_floor: least variance of Σ in any direction, as a share of each entry's variance over all rows

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
