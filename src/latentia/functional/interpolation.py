"""Paths between two codes."""

from collections.abc import Callable

import torch
from torch import Tensor

from latentia.registry import Registry, interpolations


def linear(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Return (1 - t) a + t b for t from 0 to 1: (steps, d).

    Example:
        >>> linear(torch.tensor([0.0]), torch.tensor([2.0]), 3).flatten().tolist()
        [0.0, 1.0, 2.0]
    """
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[:, None]
    return torch.lerp(a, b, t)


def spherical(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """Return sin((1 - t)ω)/sin ω · a + sin(tω)/sin ω · b, with ω the angle between a and b: (steps, d).

    The norm of the codes stays near that of a and b, where a high-dimensional Gaussian prior has its mass.
    Where a and b are parallel, or one is zero, the path is linear.

    References:
        White (2016), Sampling generative networks, section 2.1.

    Example:
        >>> spherical(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 3)[1]
        tensor([0.7071, 0.7071])
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=0)
    omega = torch.arccos(cosine.clamp(-1, 1))
    if float(omega.sin()) < 1e-4 or not bool(a.any() and b.any()):
        return linear(a, b, steps)
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[:, None]
    return (((1 - t) * omega).sin() * a + (t * omega).sin() * b) / omega.sin()


PATHS: Registry[Callable[[Tensor, Tensor, int], Tensor]] = interpolations
interpolations.add({"linear": linear, "spherical": spherical})
