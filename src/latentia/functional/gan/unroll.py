"""Unrolled descent: parameters after some steps of gradient descent, differentiable through the steps."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from latentia.errors import UsageError


def unrolled(
    loss: Callable[[Mapping[str, Tensor]], Tensor],
    parameters: Mapping[str, Tensor],
    *,
    steps: int,
    lr: float,
    bound: float = math.inf,
) -> dict[str, Tensor]:
    """Return θ_k of θ_{j+1} = θ_j − η ∇ loss(θ_j), as a function of all that the loss depends on.

    Gradients of what is computed with θ_k pass through every step. The parameters given are not changed: a critic
    whose future is looked at in this way stays where it is.

    Args:
        loss: parameters by name → one number.
        parameters: θ₀ by name; tensors that require gradients.
        steps: k ≥ 0; θ₀ itself for 0.
        lr: η > 0.
        bound: c; each step ends in [−c, c], where a gradient passes through what is inside.

    Returns:
        θ_k by name.

    Raises:
        UsageError: for negative steps, or a learning rate that is not positive.

    Reference: Metz et al. (2017), Unrolled generative adversarial networks, equations 7 and 8.

    Example:
        >>> theta = {"w": torch.tensor(1.0, requires_grad=True)}
        >>> unrolled(lambda p: p["w"].square() / 2, theta, steps=2, lr=0.5)["w"].item()  # halved twice
        0.25
    """
    if steps < 0 or not lr > 0:
        raise UsageError(f"unrolling needs steps of at least 0 and a positive lr; got {steps} and {lr}")
    theta = dict(parameters)
    for _ in range(steps):
        gradients = torch.autograd.grad(loss(theta), list(theta.values()), create_graph=True)
        theta = {
            name: (value - lr * gradient).clamp(-bound, bound)
            for (name, value), gradient in zip(theta.items(), gradients, strict=True)
        }
    return theta
