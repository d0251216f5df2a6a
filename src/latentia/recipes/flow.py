"""Normalising flows."""

from typing import Annotated

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.models.flow import LAYERS, NormalizingFlow
from latentia.objectives.likelihood import MaximumLikelihood
from latentia.options import Count, OneOf, Positive
from latentia.registry import recipes


@recipes.register("flow", example="ring")
def flow(
    data: DataSpec,
    *,
    transforms: Count = 4,
    hidden: Count = 64,
    layer: Annotated[str, OneOf(LAYERS)] = "realnvp",
    lr: Positive = 1e-3,
) -> Recipe:
    """Normalising flow: an exact density through invertible maps, learned by maximum likelihood.

    max log N(f(x); 0, I) + log |det ∂f/∂x|

    Args:
        data: what a row is.
        transforms: invertible layers
        hidden: units of the two hidden layers of each layer's network
        layer: realnvp (coupling), maf (autoregressive, slow to sample) or spline (coupling with rational quadratics)
        lr: learning rate of Adam

    References:
        Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP.
    """
    require(data, "flow", ("real", "unit"))
    model = NormalizingFlow(data, transforms=transforms, hidden=hidden, layer=layer)
    return Recipe(MaximumLikelihood(model), Optim(lr=lr, clip=10.0), epochs=50)
