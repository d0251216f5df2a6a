"""Reconstruction losses in the place of a likelihood: common in training, without a normalised density to score."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from latentia.distributions.likelihoods.base import Likelihood
from latentia.distributions.point_mass import PointMass
from latentia.registry import likelihoods


class _Error(Likelihood):
    """A distance between a row and its reconstruction.

    Its unit is that of real data; bounded data is divided by its range, so that pixels count as if from 0 to 1.
    """

    params_per_entry = 1
    kinds = ("real", "unit", "discrete", "binary")
    measure = None

    def forward(self, h: Tensor) -> Distribution:
        """Return a point mass at h, in units of the data."""
        return PointMass(self.scaling.inverse(h.squeeze(1)), event_dim=self.event_dim)

    def errors(self, h: Tensor, x: Tensor) -> Tensor:
        """Return the entries of x - x̂, flattened: (B, D)."""
        low, high = self.support.bounds or (0.0, 1.0)
        return (x - self.scaling.inverse(h.squeeze(1))).flatten(1) / (high - low)


@likelihoods.register("squared-error")
class SquaredError(_Error):
    """Σ (x - x̂)², the negative log-likelihood of a Gaussian with σ² = ½ up to a constant; not normalised."""

    def reconstruction(self, h: Tensor, x: Tensor) -> Tensor:
        """Return -Σ (x - x̂)² of each row, (B,), in squared units."""
        low, high = self.support.bounds or (0.0, 1.0)
        scaling = self.scaling
        squares: Tensor = _Squares.apply(h.squeeze(1), x, scaling.shift, scaling.scale)  # pyright: ignore
        return squares / -((high - low) ** 2)


class _Squares(torch.autograd.Function):
    """Σ (shift + scale · h − x)² of each row, (B,), with as few passes over the rows as there can be.

    Autograd would keep and write an array of the rows' size for each of its operations, which takes longer than the
    products of a small network. The errors are kept for the gradient; where that is differentiated too, they are
    computed again from the inputs.
    """

    @staticmethod
    def forward(ctx: Any, h: Tensor, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(h, x, shift, scale)
        errors = torch.addcmul(shift, h, scale).sub_(x)
        ctx.errors = errors
        # One pass; a product, such as vecdot, would be in half precision under autocast.
        return torch.linalg.vector_norm(errors.flatten(1), dim=1).square_()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        """d/dh = 2 scale · e, d/dx = −2 e."""
        h, x, shift, scale = ctx.saved_tensors
        factor = 2 * gradients[0].view(-1, *(1,) * (h.dim() - 1))
        again = torch.is_grad_enabled()  # the gradient is differentiated too: all from what was given
        errors = torch.addcmul(shift, h, scale).sub_(x) if again else ctx.errors
        errors = errors * factor
        of_x = -errors if ctx.needs_input_grad[1] else None
        return errors.mul_(scale), of_x, None, None


@likelihoods.register("absolute-error")
class AbsoluteError(_Error):
    """Σ |x - x̂|, the negative log-likelihood of a Laplace of scale 1 up to a constant; not normalised."""

    def reconstruction(self, h: Tensor, x: Tensor) -> Tensor:
        """Return -Σ |x - x̂| of each row, (B,)."""
        return -self.errors(h, x).abs().sum(1)
