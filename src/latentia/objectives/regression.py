"""Regression of rows on their factors: a generator is fitted to pairs by least squares."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import DataError
from latentia.models.conditional_generator import DeconvolutionGenerator


class Regression(Objective):
    """Minimise loss = mean over rows of Σ (x - G(c))², for pairs of a row x and the code c of its factors.

    Args:
        model: the generator.

    References:
        Dosovitskiy, Springenberg and Brox (2015), Learning to generate chairs with convolutional neural networks,
        equation 1, without the segmentation mask.
    """

    model: DeconvolutionGenerator
    loss_functions: ClassVar[tuple[str, ...]] = ("squared_error",)

    def __init__(self, model: DeconvolutionGenerator) -> None:
        super().__init__()
        self.model = model

    def players(self) -> Mapping[str, nn.Module]:
        """Return the one player: the generator."""
        return {"generator": self.model}

    def begin(self, rows: Blocks) -> None:
        """Fit the model's scaling to the rows."""
        self.model.begin(rows)

    def step(self, batch: Batch) -> Step:
        """Minimise the loss by one step."""
        context = self.context_of(batch)
        if context is None:
            raise DataError("regression needs rows with factors or classes; these have neither")
        loss = self.squared_error(batch.x, context)
        yield "generator", loss
        return {"loss": loss.detach()}

    def squared_error(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the mean over rows of Σ (x - G(c))²: (), in squared units of the data's range."""
        return self.model.squared_error(x, context).mean()
