"""Regression: a generator learns the row that belongs to each code, from pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import DataError
from latentia.models.conditional_generator import DeconvolutionGenerator


class Regression(Objective):
    """Descend loss = mean over rows of Σ (x - G(c))², for pairs of a row x and the code c of its factors.

    Args:
        model: the generator.

    References:
        Dosovitskiy, Springenberg and Brox (2015), Learning to generate chairs with convolutional neural networks,
        equation 1, without their mask.
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
        """Take from the rows what the model's scaling needs."""
        self.model.begin(rows)

    def step(self, batch: Batch) -> Step:
        """Descend the loss once."""
        context = self.context_of(batch)
        if context is None:
            raise DataError("rows are learned from their factors or classes, and these have neither")
        loss = self.squared_error(batch.x, context)
        yield "generator", loss
        return {"loss": loss.detach()}

    def squared_error(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the mean over rows of Σ (x - G(c))²: a number in units of the data's range, squared."""
        return self.model.squared_error(x, context).mean()
