"""Semi-amortised inference: the encoder's posterior parameters, refined for each row by gradient steps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latentia.core.randomness import using_generator
from latentia.errors import UsageError

_LARGEST = 5.0  # norm to which the paper clips a row's gradient


@dataclass(frozen=True)
class Refinement:
    """h ← h + η ∇_h ELBO(x; h), a few times, with h the posterior parameters that the encoder outputs for a row x.

    Training differentiates through the steps, so that the encoder learns good starting points.

    Args:
        steps: gradient steps, at least 1.
        lr: η; gradients are clipped to a norm of 5 for each row.

    Raises:
        UsageError: for values out of range.

    References:
        Kim et al. (2018), Semi-amortized variational autoencoders, section 3.
    """

    steps: int
    lr: float

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.lr > 0:
            raise UsageError(
                f"refine_steps must be at least 0 and refine_lr above 0; got {self.steps} and {self.lr}"
            )

    def __call__(self, h: Tensor, bound: Callable[[Tensor], Tensor], *, through: bool) -> Tensor:
        """Return the refined parameters, (B, P).

        Args:
            h: (B, P) the encoder's output.
            bound: (B, P) → (B,) a stochastic ELBO of each row.
            through: whether to differentiate through the steps; otherwise the noise is the same at every call.
        """
        if through:
            return self._climb(h, bound, through=True)
        with using_generator(torch.Generator(h.device).manual_seed(0)):
            return self._climb(h.detach().requires_grad_(), bound, through=False).detach()

    def _climb(self, h: Tensor, bound: Callable[[Tensor], Tensor], *, through: bool) -> Tensor:
        with torch.enable_grad():
            for _ in range(self.steps):
                (gradient,) = torch.autograd.grad(bound(h).sum(), h, create_graph=through)
                norm = gradient.norm(dim=1, keepdim=True)
                h = h + self.lr * gradient * (_LARGEST / norm.clamp_min(_LARGEST))
        return h
