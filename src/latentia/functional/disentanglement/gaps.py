"""The gap between the two most predictive codes of a factor (SAP), and R² of factors on single codes."""

import torch
from torch import Tensor

from latentia.errors import DataError
from latentia.functional.checks import point_sets
from latentia.functional.disentanglement.checks import matrix


def top_two_gaps(scores: Tensor) -> Tensor:
    """Return the gap between the best and the second best code of each factor: max_i s_ij − max_{i ≠ i*} s_ij.

    With s_ij the accuracy, or R², of predicting factor j from code i alone this is the separated attribute
    predictability (SAP), whose score is the mean over factors. With a single code the gap is to 0.

    Args:
        scores: (d, F) s_ij, how well code i predicts factor j, not negative.

    Returns:
        (F,).

    Raises:
        UsageError: for another shape.
        DataError: for scores that are negative or not finite.

    Reference: Kumar, Sattigeri & Balakrishnan (2018), Variational Inference of Disentangled Latent Concepts,
    section 3.

    Example:
        >>> top_two_gaps(torch.tensor([[0.75, 0.5], [0.25, 0.5], [0.5, 0.0]])).tolist()
        [0.25, 0.0]
    """
    matrix((1, 1), scores=scores)
    padded = torch.cat([scores, scores.new_zeros(1, scores.shape[1])])
    best, second = padded.topk(2, dim=0).values
    return best - second


def squared_correlations(codes: Tensor, values: Tensor) -> Tensor:
    """Return R² of the linear regression of each factor's values on each code.

    R²_ij = Cov(z_i, v_j)² / (Var z_i Var v_j), 0 for a constant code

    Args:
        codes: (n, d).
        values: (n, F) of the factors.

    Returns:
        (d, F) in [0, 1], float64.

    Raises:
        UsageError: for other shapes.
        DataError: for values that are not finite, or a factor with one value.

    Reference: Kumar, Sattigeri & Balakrishnan (2018), section 3, the score of continuous factors.

    Example:
        >>> z = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
        >>> squared_correlations(z, 3 - 2 * z[:, :1])[:, 0].round(decimals=6).tolist()
        [1.0, 0.0]
    """
    point_sets(at_least=2, codes=codes)
    point_sets(at_least=2, values=values)
    z, v = _standardised(codes.double()), _standardised(values.double())
    constant = (v == 0).all(0).nonzero().flatten().tolist()
    if constant:
        raise DataError(f"factor {constant[0]} has one value in all {len(values)} rows: leave it out")
    return (z.mT @ v).square().clamp(max=1)


def _standardised(x: Tensor) -> Tensor:
    """Return columns with mean 0 and length 1; 0 for columns that are constant."""
    centred = (x - x.mean(0)).where(x.amax(0) > x.amin(0), 0)
    length = centred.norm(dim=0)
    return centred / length.where(length > 0, 1)
