"""The optimal assignment between two sets of equal size: prices by auction, then shortest augmenting paths."""

from collections.abc import Sequence

import numpy as np

_SMALL = 256  # points, up to which the auction costs more time than it saves
_INCREMENTS = (0.2, 0.05, 0.0125, 0.003)  # of the auction, relative to the mean reduced cost
_LEFT = 0.02  # fraction of the points that may be unassigned when a round of the auction ends
_BIDS = 300  # in each round, at most


def best_matching(cost: np.ndarray, starts: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Return the permutation σ that minimises Σ_i C_iσ(i), exactly.

    SciPy's solver is slow where many points compete for the same partners. It is given the reduced cost
    C_ij + π_j − min_j (C_ij + π_j) instead, which has the same solution, with prices π from a few rounds of an
    auction, which need not be exact.

    Args:
        cost: (n, n) C.
        starts: initial guesses (n,) of the prices; the one of highest dual value is used, or zeros.

    Returns:
        (n,) σ.

    Reference: Bertsekas (1988), The auction algorithm, section 2 (scaling of ε); Crouse (2016), On implementing
    2D rectangular assignment algorithms.

    Example:
        >>> best_matching(np.array([[1.0, 0.0], [5.0, 1.0]]))
        array([0, 1])
    """
    from scipy.optimize import linear_sum_assignment

    if len(cost) <= _SMALL:
        return linear_sum_assignment(cost)[1]
    prices = max([np.zeros(len(cost)), *starts], key=lambda prices: _dual_value(cost, prices))
    increments = np.multiply(_INCREMENTS, _reduced(cost, prices).mean())
    for increment in increments:
        prices = _auction(cost, prices, increment)
    reduced = _reduced(cost, prices)
    return linear_sum_assignment(reduced - reduced.min(0))[1]


def _reduced(cost: np.ndarray, prices: np.ndarray) -> np.ndarray:
    reduced = cost + prices
    reduced -= reduced.min(1, keepdims=True)
    return reduced


def _dual_value(cost: np.ndarray, prices: np.ndarray) -> float:
    return float((cost + prices).min(1).sum() - prices.sum())


def _auction(cost: np.ndarray, prices: np.ndarray, increment: float) -> np.ndarray:
    """Return prices at which all but a few points hold an object that is cheapest for them, up to the increment.

    All unassigned points bid at once: each for its cheapest object, up to the price at which its second choice
    would be as good, plus the increment.
    """
    n = len(cost)
    owners = np.full(n, -1)
    prices = prices.copy()
    free = np.ones(n, dtype=bool)
    for _ in range(_BIDS):
        bidders = np.flatnonzero(free)
        if len(bidders) <= _LEFT * n:
            break
        objects, bids = _bids(cost, prices, bidders, increment)
        order = np.argsort(bids, kind="stable")  # of several bids for one object the last and highest wins
        winners = np.full(n, -1)
        winners[objects[order]] = bidders[order]
        prices[objects[order]] = bids[order]
        sold = np.flatnonzero(winners >= 0)
        free[owners[sold][owners[sold] >= 0]] = True
        owners[sold] = winners[sold]
        free[owners[sold]] = False
    return prices


def _bids(
    cost: np.ndarray, prices: np.ndarray, bidders: np.ndarray, increment: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the object that is cheapest for each bidder, and what the bidder offers for it."""
    paid = cost[bidders] + prices
    rows = np.arange(len(bidders))
    objects = paid.argmin(1)
    least = paid[rows, objects]
    paid[rows, objects] = np.inf
    return objects, prices[objects] + paid.min(1) - least + increment
