"""Corrections of p-values for the number of tests."""

from collections.abc import Callable

import numpy as np

from latentia.registry import Registry, corrections


def holm(p: np.ndarray) -> np.ndarray:
    """Return Holm's adjusted p-values, which bound the probability of any false rejection.

    With p_(1) ≤ … ≤ p_(D):  p̃_(i) = max_{j ≤ i} min(1, (D − j + 1) p_(j)), under any dependence.

    Args:
        p: (D,) p-values.

    Returns:
        (D,) in the order given.

    Reference: Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, section 3.

    Example:
        >>> holm(np.array([0.5, 0.25, 0.125])).tolist()
        [0.5, 0.5, 0.375]
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return Benjamini and Hochberg's adjusted p-values, which bound the expected fraction of false rejections.

    With p_(1) ≤ … ≤ p_(D):  p̃_(i) = min_{j ≥ i} min(1, D p_(j)/j), for independent or positively dependent
    tests.

    Args:
        p: (D,) p-values.

    Returns:
        (D,) in the order given.

    Reference: Benjamini & Hochberg (1995), Controlling the False Discovery Rate, theorem 1.

    Example:
        >>> benjamini_hochberg(np.array([0.5, 0.25, 0.125])).tolist()
        [0.5, 0.375, 0.375]
    """
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p, method="bh"))


CORRECTIONS: Registry[Callable[[np.ndarray], np.ndarray]] = corrections
"""What adjusts the p-values of many features."""
corrections.add({"holm": holm, "benjamini-hochberg": benjamini_hochberg})
