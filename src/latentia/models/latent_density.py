"""A density of codes on top of a model that encodes and decodes; together they can be sampled."""

from abc import ABC

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from latentia.core.model import Decodes, Encodes, Generative
from latentia.data.spec import DataSpec


class Codec(nn.Module, Encodes, Decodes, ABC):
    """A model that encodes and decodes, without a distribution of rows.

    Attributes:
        data: what a row is.
    """

    data: DataSpec
    why_no_likelihood = "its codes have no prior, so rows have no density"


class LatentDensity(Generative, Encodes, Decodes):
    """x = g(z) with z from a density that was fitted to the codes of the training rows.

    Args:
        codec: encodes and decodes.
        density: a distribution of codes (B, d).
    """

    why_no_likelihood = "its density is of codes, and its decoder gives no density of rows"

    def __init__(self, codec: Codec, density: Generative) -> None:
        super().__init__()
        self.codec = codec
        self.density = density

    @property
    def data(self) -> DataSpec:
        """What a row is."""
        return self.codec.data

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return the code of each row."""
        return self.codec.encode(x, context)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x | z) for codes (B, d)."""
        return self.codec.decode(z, context)

    @torch.no_grad()
    def sample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n rows: codes from the fitted density, then the mean of p(x | z)."""
        z = self.density.sample(n, generator=generator)
        return self.data.support.project(self.decode(z, context).mean)
