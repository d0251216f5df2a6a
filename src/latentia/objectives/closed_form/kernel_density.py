"""Kernel densities: where the kernels are put, and how wide they are. It has no players."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from latentia.core.closed_form import ClosedForm
from latentia.core.objective import Blocks
from latentia.data.moments import Moments
from latentia.errors import DataError, UsageError
from latentia.functional.kernel.density_kernels import SmoothingKernel, log_kernel_sums
from latentia.models.gaussian import checked_floor, estimate
from latentia.models.kernel_density import KernelDensity, normalised
from latentia.registry import check_name

RULES = ("scott", "silverman", "loo", "fixed")
SHAPES: Mapping[str, str] = {"scalar": "spherical", "diagonal": "diagonal", "full": "full"}
"""Shapes of a bandwidth, and the family of covariances that it is a multiple of."""

_BLOCK = 4096  # rows that are copied at once
_ROWS = 4096  # rows that leave-one-out likelihoods are averaged over
_LADDER = range(
    -12, 9
)  # powers of 2 between which the most likely bandwidth is looked for, in units of Scott's


class KernelPlacement(ClosedForm):
    """Put a kernel around every row: H = h² Σ, with Σ the rows' covariance of the bandwidth's shape.

    h is a factor times n^(−1/(d+4)) by Scott's rule, (n (d + 2)/4)^(−1/(d+4)) by Silverman's, the maximum of the
    leave-one-out likelihood Σ_i log (1/(n−1)) Σ_{j≠i} K_H(x_i − x_j), or 1. Rules of thumb are for rows that are
    nearly Gaussian; the likelihood adapts, but yields to single rows far from all others. With weights, n is
    1/Σ_i w_i².

    What is logged is the leave-one-out likelihood, since that of the rows themselves grows without bound as h → 0.

    Args:
        model: the kernel density.
        bandwidth: scott, silverman, loo or fixed (1).
        factor: multiplies what bandwidth says.
        shape: of the bandwidth: scalar (Σ = mean variance · I), diagonal or full.
        variance_floor: the least variance of Σ in any direction, as a fraction of each entry's variance; a constant
            entry counts with the mean of all. With 0, constant or dependent entries are an error.
        weights: (n,) of the rows in their order; equal by default.

    Raises:
        UsageError: for options that mean nothing.

    References:
        Scott (1992), Multivariate Density Estimation, eq. 6.42; Silverman (1986), Density Estimation for Statistics
        and Data Analysis, eq. 4.14 and 3.4.4 (likelihood cross-validation).

    Example:
        >>> from latentia.core.objective import Batch
        >>> from latentia.data.spec import DataSpec, Support
        >>> model = KernelDensity(DataSpec((1,), Support("real")))
        >>> metrics = KernelPlacement(model, bandwidth="fixed", factor=0.5).solve(Batch(torch.tensor([[0.0], [2.0]])))
        >>> model.bandwidth, round(metrics["loo_log_likelihood"], 4)  # log N(2; 0, 0.25)
        (tensor([0.5000], dtype=torch.float64), -8.2258)
    """

    model: KernelDensity

    def __init__(
        self,
        model: KernelDensity,
        *,
        bandwidth: str = "scott",
        factor: float = 1.0,
        shape: str = "diagonal",
        variance_floor: float = 1e-6,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_name("bandwidth", bandwidth, RULES)
        if not 0 < factor < math.inf:
            raise UsageError(f"the bandwidth's factor must be positive and finite; got {factor}")
        check_name("shape of a bandwidth", shape, SHAPES)
        self.model = model
        self.rule = bandwidth
        self.factor = factor
        self.family = SHAPES[shape]
        self.variance_floor = checked_floor(variance_floor)
        self.given = weights

    @torch.no_grad()
    def solve(self, rows: Blocks) -> Mapping[str, float]:
        """Place the kernels; return h and the mean leave-one-out log-likelihood, in nats per row, if finite.

        Raises:
            DataError: for fewer than two rows, entries that do not vary where there is no floor, or rows so often
                repeated that their leave-one-out likelihood has no maximum.
        """
        points = torch.cat([block.x for block in rows.blocks(_BLOCK)])
        self.model.data.check(points, name="the rows")
        weights = normalised(points, self.given)
        if (n := int((weights > 0).sum())) < 2:
            raise DataError(f"a bandwidth needs at least 2 rows (of weights above 0); got {n}")
        unit = self._unit(points.flatten(1), weights)
        self.model.place(points, unit, weights)
        left_out = LeftOut(self.model)
        h = self.factor * self._by_rule(left_out)
        self.model.place(points, h * unit, weights)
        value = left_out.value(h)
        return {"bandwidth": h} | ({"loo_log_likelihood": value} if math.isfinite(value) else {})

    def _unit(self, points: Tensor, weights: Tensor) -> Tensor:
        """Return the factor of Σ."""
        moments = Moments.of(points, weights * len(points), matrix=self.family == "full")
        return estimate(moments, self.family, variance_floor=self.variance_floor)

    def _by_rule(self, left_out: LeftOut) -> float:
        """Return h before it is multiplied."""
        n, d = left_out.effective, self.model.data.size
        scott = n ** (-1 / (d + 4))
        match self.rule:
            case "silverman":
                return (n * (d + 2) / 4) ** (-1 / (d + 4))
            case "loo":
                return most_likely(left_out.value, scott)
            case "fixed":
                return 1.0
            case _:
                return scott


class LeftOut:
    """The leave-one-out likelihood of points as a function of h.

    It is averaged over at most 4,096 points, drawn from torch's global generator; all points count in their densities.

    Args:
        model: a kernel density; its bandwidth is the unit of h.
    """

    def __init__(self, model: KernelDensity) -> None:
        self.kernel: SmoothingKernel = model.kernel
        self.weights = model.weights
        self.u, self.log_volume = model.standardised_points(), float(model.log_volume())
        self.own = torch.randperm(len(self.u))[:_ROWS].to(self.u.device)

    @property
    def effective(self) -> float:
        """1/Σ_i w_i²: how many equally weighted points would be as many."""
        return 1 / float(self.weights.square().sum())

    def value(self, h: float) -> float:
        """Return Σ_i w_i log Σ_{j≠i} w_j K_{h² Σ}(x_i − x_j) / (1 − w_i) over Σ_i w_i: nats per point."""
        own, d = self.own, self.u.shape[1]
        w, u = self.weights[own], self.u / h
        sums = log_kernel_sums(u[own], u, self.weights, self.kernel, own=own)
        log_prob = sums - torch.log1p(-w)
        constant = self.kernel.log_normaliser(d) + self.log_volume + d * math.log(h)
        return float((w * log_prob).sum() / w.sum()) - constant


def most_likely(value: Callable[[float], float], start: float) -> float:
    """Return the h at which a likelihood is highest: the best of a ladder of h = start · 2ᵏ, refined between its rungs.

    Raises:
        DataError: where the likelihood still rises at either end of the ladder, or is 0 on all of it.
    """
    from scipy.optimize import minimize_scalar

    rungs = [start * 2.0**k for k in _LADDER]
    values = [value(h) for h in rungs]
    best = max(range(len(rungs)), key=values.__getitem__)
    if best in (0, len(rungs) - 1):
        raise DataError(
            "the leave-one-out likelihood has no maximum in the bandwidth: "
            + ("every row has a duplicate" if best == 0 else "single rows are too far from all others")
            + "; remove such rows, or choose bandwidth='scott'"
        )
    refined: Any = minimize_scalar(
        lambda t: -max(value(math.exp(t)), -1e15),  # finite, where a kernel does not reach
        bounds=(math.log(rungs[best - 1]), math.log(rungs[best + 1])),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return math.exp(refined.x) if -refined.fun > values[best] else rungs[best]
