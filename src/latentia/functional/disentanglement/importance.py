"""Disentanglement and completeness (DCI) from a matrix of the importance of each code for each factor."""

import math

import torch
from torch import Tensor

from latentia.functional.disentanglement.checks import matrix


def disentanglement(importance: Tensor) -> Tensor:
    """Return the disentanglement: the degree to which each code captures one factor only, weighted by importance.

    D = Σ_i ρ_i D_i,  D_i = 1 − H(P_i) / log F,  P_ij = R_ij / Σ_j R_ij,  ρ_i = Σ_j R_ij / Σ_ij R_ij

    in [0, 1]; 0 where no code is important. Codes of no importance have no weight.

    Args:
        importance: (d, F) R_ij, of code i for factor j.

    Returns:
        ().

    Raises:
        UsageError: for fewer than two factors, with which the degree is undefined.
        DataError: for entries that are negative or not finite.

    Reference: Eastwood & Williams (2018), A Framework for the Quantitative Evaluation of Disentangled
    Representations, section 2.

    Example:
        >>> disentanglement(torch.tensor([[3.0, 0.0], [0.0, 1.0]])), disentanglement(torch.ones(3, 2))
        (tensor(1.), tensor(0.))
    """
    matrix((1, 2), importance=importance)
    return _concentration(importance)


def completeness(importance: Tensor) -> Tensor:
    """Return the completeness: the degree to which each factor is captured by one code only, weighted by importance.

    C = Σ_j ρ_j C_j,  C_j = 1 − H(P_j) / log d,  P_ij = R_ij / Σ_i R_ij,  ρ_j = Σ_i R_ij / Σ_ij R_ij

    in [0, 1]; 0 where no code is important.

    Args:
        importance: (d, F) R_ij, of code i for factor j.

    Returns:
        ().

    Raises:
        UsageError: for fewer than two codes, with which the degree is undefined.
        DataError: for entries that are negative or not finite.

    Reference: Eastwood & Williams (2018), section 2.

    Example:
        >>> twice = torch.eye(5).repeat(2, 1)  # 10 codes, two for each of 5 factors: 1 − log 2 / log 10
        >>> completeness(twice)
        tensor(0.6990)
    """
    matrix((2, 1), importance=importance)
    return _concentration(importance.mT)


def _concentration(importance: Tensor) -> Tensor:
    """Return Σ_i ρ_i (1 − H(P_i) / log k) over the rows of an (m, k) matrix."""
    mass = importance.sum(1)
    fractions = importance / mass.where(mass > 0, 1)[:, None]
    each = 1 - torch.special.entr(fractions).sum(1) / math.log(importance.shape[1])
    return (mass @ each / mass.sum().where(mass.sum() > 0, 1)).clamp(min=0)
