"""Compositions of exponentials and logarithms that stay accurate where their parts overflow or cancel."""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def weighted_expm1(log_w: Tensor, x: Tensor) -> Tensor:
    """Return w (eˣ − 1) from log w: for large x, eˣ alone may overflow where w eˣ does not.

    Example:
        >>> weighted_expm1(torch.tensor([-1000.0]), torch.tensor([1001.0])).log()
        tensor([1.])
    """
    small = log_w.exp() * torch.expm1(x.clamp(-1, 1))
    return torch.where(x.abs() < 1, small, torch.exp(log_w + x) - log_w.exp())


def log_softplus(v: Tensor) -> Tensor:
    """Return log log(1 + eᵛ), which is v to the last digit where eᵛ underflows.

    Example:
        >>> log_softplus(torch.tensor([-1000.0]))
        tensor([-1000.])
    """
    low = v < -37
    return torch.where(low, v, softplus(torch.where(low, 0.0, v)).log())


def inverse_logsigmoid(s: Tensor) -> Tensor:
    """Return v with −log σ(v) = s, for s ≥ 0: v = −s − log(1 − e⁻ˢ); +∞ for s = 0.

    Example:
        >>> inverse_logsigmoid(torch.tensor([0.0, 0.6931471805599453, 1000.0])).abs().round(decimals=4)
        tensor([  inf,    0., 1000.])
    """
    return -s - torch.log(-torch.expm1(-s))
