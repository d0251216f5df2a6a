"""Images from their factors: a deterministic map from encoded factors to images."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentia.core.model import Conditional, Generative, SamplesContext
from latentia.core.objective import Blocks
from latentia.data.attributes import given_values
from latentia.data.spec import DataSpec
from latentia.distributions.likelihoods.reconstruction_losses import SquaredError
from latentia.networks.conditioning import ContextEncoder
from latentia.networks.scaling import Scaling


class DeconvolutionGenerator(Generative, Conditional, SamplesContext):
    """x = G(c): given the code c of its factors a row is certain; factors are uniform over their values, alone each.

    It has no density: all its mass is on one row for each code. What it learns is the mean E[x | c].

    Args:
        data: what a row is, with the factors (or classes) that its code is made of.
        network: from codes to scaled rows, (B, 1, *event).
        scaling: the affine map between rows and network output.
    """

    measure = None
    context_encoder: ContextEncoder

    def __init__(self, data: DataSpec, *, network: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.data = data
        self.network = network
        self.context_encoder = ContextEncoder(data.context)
        self.loss = SquaredError(data, scaling)

    def generate(self, context: Tensor) -> Tensor:
        """Return G(c), differentiable and not rounded to the support: (B, *event) for codes (B, c)."""
        return self.loss(self.network(context)).mean

    def squared_error(self, x: Tensor, context: Tensor) -> Tensor:
        """Return Σ (x - G(c))² of each row, (B,), in units of the data's range where it is bounded."""
        return -self.loss.reconstruction(self.network(context), x)

    @torch.no_grad()
    def sample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the row of each context, or of n contexts that are drawn."""
        if context is None:
            context = self.sample_context(n, {}, generator=generator)
        return self.data.support.project(self.generate(context))

    def sample_context(
        self, n: int, given: Mapping[str, Any], *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return n codes of what is given, (n, c); the other factors are drawn uniformly from their values."""
        device = self.loss.scaling.shift.device
        values = given_values(self.data.context, n, given, generator=generator)
        return self.context_encoder.encode({name: each.to(device) for name, each in values.items()})

    def begin(self, rows: Blocks) -> None:
        """Fit the scaling of real data to the rows."""
        self.loss.scaling.fit(rows)
