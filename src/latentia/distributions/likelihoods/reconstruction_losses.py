"""Losses that stand where a likelihood would: the field trains with them, and they are scored as no likelihood."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from latentia.distributions.likelihoods.base import Likelihood
from latentia.distributions.point_mass import PointMass
from latentia.registry import likelihoods


class _Error(Likelihood):
    """A distance between a row and what comes out of the decoder.

    Its unit is that of real data, and the whole range of bounded data: pixels count as if from 0 to 1.
    """

    params_per_entry = 1
    kinds = ("real", "unit", "discrete", "binary")
    measure = None

    def forward(self, h: Tensor) -> Distribution:
        """Return h as data, without noise."""
        return PointMass(self.scaling.inverse(h.squeeze(1)), event_dim=self.event_dim)

    def errors(self, h: Tensor, x: Tensor) -> Tensor:
        """Return the entries of x - x̂, flattened: (B, D)."""
        low, high = self.support.bounds or (0.0, 1.0)
        return (x - self.scaling.inverse(h.squeeze(1))).flatten(1) / (high - low)


@likelihoods.register("squared-error")
class SquaredError(_Error):
    """Σ (x - x̂)², which a Gaussian likelihood with σ² = ½ is up to a constant; no likelihood by itself."""

    def reconstruction(self, h: Tensor, x: Tensor) -> Tensor:
        """Return -Σ (x - x̂)² of each row, (B,), in squared units."""
        return -self.errors(h, x).square().sum(1)


@likelihoods.register("absolute-error")
class AbsoluteError(_Error):
    """Σ |x - x̂|, which a Laplace likelihood of scale 1 is up to a constant; no likelihood by itself."""

    def reconstruction(self, h: Tensor, x: Tensor) -> Tensor:
        """Return -Σ |x - x̂| of each row, (B,)."""
        return -self.errors(h, x).abs().sum(1)
