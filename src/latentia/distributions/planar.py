"""Planar flows: z ↦ z + u tanh(wᵀz + b), layer after layer."""

import torch
from torch import Tensor
from torch.distributions import Transform, constraints
from torch.nn.functional import softplus

_BISECTIONS = 60  # of an interval of length 2, down to rounding in float64


class PlanarFlow(Transform):
    """Planar layers whose parameters differ from row to row.

    g(z) = z + û tanh(wᵀz + b), log |det ∂g/∂z| = log (1 + (1 − tanh²(wᵀz + b)) wᵀû), with
    û = u + (softplus(wᵀu + log(e − 1)) − 1 − wᵀu) w/‖w‖², so that wᵀû > −1 and g is invertible. The inverse solves
    one equation in wᵀz by bisection.

    Args:
        u: (B, L, d) for L layers.
        w: (B, L, d).
        b: (B, L).

    References:
        Rezende and Mohamed (2015), Variational inference with normalizing flows, equations 10 to 12, appendix A.1.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, u: Tensor, w: Tensor, b: Tensor) -> None:
        super().__init__()
        # 1e-6 keeps the quotient finite at w = 0.
        norm = w.square().sum(-1) + 1e-6
        wu = (w * u).sum(-1)
        self.wu = softplus(wu + _SOFTPLUS_ONE) - 1  # wᵀû, up to that 1e-6
        self.u = u + ((self.wu - wu) / norm)[..., None] * w
        self.wu = (w * self.u).sum(-1)
        self.w, self.b = w, b

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return g(z) and log |det ∂g/∂z| of (*sample, B, d) codes."""
        total = x.new_zeros(())
        for layer in range(self.b.shape[-1]):
            slope = torch.tanh(_along(x, self.w[:, layer]) + self.b[:, layer])
            x = x + self.u[:, layer] * slope[..., None]
            total = total + torch.log1p((1 - slope.square()) * self.wu[:, layer])
        return x, total

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        """Return log |det ∂g/∂z|: (*sample, B)."""
        return self.call_and_ladj(x)[1]

    def _call(self, x: Tensor) -> Tensor:
        return self.call_and_ladj(x)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        for layer in reversed(range(self.b.shape[-1])):
            y = self._undo(y, layer)
        return y

    def _undo(self, y: Tensor, layer: int) -> Tensor:
        """Solve α + wᵀû tanh(α + b) = wᵀy for α = wᵀz, which lies within |wᵀû| of wᵀy, and return z."""
        target, wu, b = _along(y, self.w[:, layer]), self.wu[:, layer], self.b[:, layer]
        low, high = target - wu.abs(), target + wu.abs()
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            above = middle + wu * torch.tanh(middle + b) > target
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        alpha = ((low + high) / 2).detach()
        slope = torch.tanh(alpha + b)
        # One Newton step: for the last digits, and so that gradients are those of the solution.
        error = alpha + wu * slope - target
        alpha = alpha - error / (1 + wu * (1 - slope.square())).detach()
        return y - self.u[:, layer] * torch.tanh(alpha + b)[..., None]


_SOFTPLUS_ONE = 0.5413248546129181  # log(e − 1): softplus of it is 1


def _along(z: Tensor, w: Tensor) -> Tensor:
    return (z * w).sum(-1)
