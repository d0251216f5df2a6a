"""Images from their factors."""

from typing import Annotated

from torch import nn

from latentia.core.player import Optim
from latentia.core.recipe import Recipe
from latentia.data.spec import DataSpec, require
from latentia.data.transforms import GivenFactors
from latentia.errors import UnfitError, UsageError
from latentia.models.conditional_generator import DeconvolutionGenerator
from latentia.networks.conditioning import ContextEncoder
from latentia.networks.conv import ConvDecoder
from latentia.networks.mlp import MLP, activation_named
from latentia.networks.scaling import Scaling
from latentia.objectives.regression import Regression
from latentia.options import Count, OneOf, Positive
from latentia.registry import recipes


@recipes.register("deconvolution-generator", labelled=True, images=True)
def deconvolution_generator(
    data: DataSpec,
    *,
    hidden: Count = 256,
    layers: Count = 2,
    width: Count = 32,
    norm: Annotated[str, OneOf("batch", "none")] = "batch",
    lr: Positive = 2e-3,
) -> Recipe:
    """Supervised generator: the image of given factors, such as a type of chair and a pose.

    min E Σ (x - G(c))², with c the code of the row's factors (a type one-hot, an angle as cosine and sine, a number
    in [-1, 1]), or of its class where it has no factors. The image is a deterministic function of c: no density.

    Args:
        data: what a row is; its rows have factors or classes.
        hidden: units of each fully connected layer, which come first
        layers: number of fully connected layers
        width: feature maps before the last transposed convolution, doubled at each earlier one
        norm: normalisation of the feature maps
        lr: learning rate of Adam

    References:
        Dosovitskiy, Springenberg and Brox (2015), Learning to generate chairs with convolutional neural networks.
    """
    if not data.is_image:
        raise UnfitError(
            f"deconvolution-generator is for images; these rows are of shape {data.event_shape}: "
            "lt.recipes_for(data), or latentia recipes --for DATA, lists the recipes that take them"
        )
    # A mean of bits is no bit: where it matters they are declared as grey values, with support="unit".
    require(data, "deconvolution-generator", ("discrete", "unit", "real"))
    if not data.context:
        raise UsageError("deconvolution-generator needs rows with factors or classes; this data has neither")
    transform = GivenFactors() if data.classes and data.factors else None
    model_spec = data if transform is None else transform.spec(data)
    network = nn.Sequential(
        MLP((ContextEncoder(model_spec.context).size,), (hidden,), hidden=[hidden] * (layers - 1)),
        activation_named("relu"),
        ConvDecoder(hidden, (1, *data.event_shape), width=width, norm=norm),
    )
    model = DeconvolutionGenerator(model_spec, network=network, scaling=Scaling(model_spec))
    return Recipe(
        Regression(model), Optim(lr=lr), batch_size=32, epochs=100, transform=transform, conditional=True
    )
