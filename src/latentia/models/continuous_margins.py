"""Margins with a density: kernels at quantiles of a column, and families of distributions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from latentia.data.support import Support
from latentia.functional.gaussian.rectangles import log_standard_normal
from latentia.models.margins import FARTHEST, DensityMargin

_CENTRES = 256
_ROWS = 4096  # whose kernels are held at once
FAMILIES = ("norm", "lognorm", "gamma", "laplace", "logistic", "uniform", "beta")
"""Families of SciPy's distributions; a margin keeps the place of its own in this list."""
_OF_REAL, _OF_UNIT = ("norm", "lognorm", "gamma", "laplace", "logistic"), ("uniform", "beta")


class KernelMargin(DensityMargin):
    """F(x) = Σ_i w_i Φ((x − c_i)/h), with kernels at the means of at most 256 groups of neighbouring values.

    h is a factor times Silverman's 0.9 min(s, IQR/1.34) n^(−1/5). Where the support ends, F is cut off and made 1.

    Args:
        support: of the column: real or unit.
        factor: multiplies h.

    Attributes:
        centres: (m,) c, in ascending order.
        weights: (m,) w, which add up to 1.
        width: h.

    References:
        Silverman (1986), Density Estimation for Statistics and Data Analysis, eq. 3.31.
    """

    centres: Tensor
    weights: Tensor
    width: Tensor

    def __init__(self, support: Support, factor: float = 1.0) -> None:
        super().__init__()
        self.ends, self.factor = support.bounds, factor
        self.register_buffer("centres", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("weights", torch.ones(1, dtype=torch.float64))
        self.register_buffer("width", torch.ones((), dtype=torch.float64))

    def place(self, values: Tensor) -> None:
        """Put the kernels, and choose their width."""
        x = values.double().sort().values
        groups = x.tensor_split(min(_CENTRES, len(x)))
        self.centres = torch.stack([group.mean() for group in groups])
        self.weights = x.new_tensor([len(group) for group in groups]) / len(x)
        deviation = x.std(correction=0)
        middle = (x[3 * (len(x) - 1) // 4] - x[(len(x) - 1) // 4]) / 1.34
        spread = torch.minimum(deviation, middle) if bool(middle > 0) else deviation
        spread = spread if bool(spread > 0) else torch.ones_like(spread)
        self.width = self.factor * 0.9 * spread * len(x) ** -0.2

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log Σ_i w_i φ((x − c_i)/h)/h, over the mass inside the ends."""
        log_k = [log_standard_normal(self._units(block)) for block in x.split(_ROWS)]
        sums = torch.cat([(each + self.weights.log()).logsumexp(1) for each in log_k])
        return sums - self.width.log() - self._mass()[2].log()

    def score(self, x: Tensor) -> Tensor:
        """Return Φ⁻¹(F(x)), from the smaller one of both tails."""
        below, above, mass = self._mass()
        tails = (torch.cat([self._tail(block, side) for block in x.split(_ROWS)]) for side in (1, -1))
        outside = (below, above)
        F, S = (((tail - out) / mass).clamp(0, 1) for tail, out in zip(tails, outside, strict=True))
        z = torch.where(F < S, torch.special.ndtri(F), -torch.special.ndtri(S))
        return z.clamp(-FARTHEST, FARTHEST)

    def value(self, z: Tensor) -> Tensor:
        """Return the x of Φ⁻¹(F(x)) = z, between nodes a quarter of h apart and by two of Newton's steps."""
        nodes = self._nodes()
        scores = self.score(nodes)
        at = torch.searchsorted(scores, z.contiguous()).clamp(1, len(nodes) - 1)
        low, high, below, above = nodes[at - 1], nodes[at], scores[at - 1], scores[at]
        x = low + (high - low) * ((z - below) / (above - below)).nan_to_num(0.5).clamp(0, 1)
        for _ in range(2):
            steps = [self._newton(*each) for each in zip(x.split(_ROWS), z.split(_ROWS), strict=True)]
            x = torch.minimum(torch.maximum(x + torch.cat(steps), low), high)
        return x

    def _nodes(self) -> Tensor:
        """Return numbers a quarter of h apart wherever a kernel is nearer than 9 h, in ascending order."""
        unit = self.width / 4
        near = torch.arange(-36, 37, device=unit.device)
        nodes = ((self.centres / unit).round()[:, None] + near).unique() * unit
        return nodes if self.ends is None else nodes.clamp(*self.ends).unique()

    def _newton(self, x: Tensor, z: Tensor) -> Tensor:
        """Return (z − Φ⁻¹(F(x))) φ(Φ⁻¹(F(x)))/f(x) of few rows, F from the smaller tail."""
        below, above, mass = self._mass()
        side = torch.where(z < 0, 1.0, -1.0).double()
        u = self._units(x)
        tail = (
            torch.special.ndtr(side[:, None] * u) @ self.weights - torch.where(side > 0, below, above)
        ) / mass
        here = side * torch.special.ndtri(tail.clamp(1e-300, 1))
        density = (-0.5 * u.square()).exp() @ self.weights / (self.width * mass * math.sqrt(2 * math.pi))
        return ((z - here) * log_standard_normal(here).exp() / density).nan_to_num(0.0, 0.0, 0.0)

    def _units(self, x: Tensor) -> Tensor:
        """Return (x − c)/h: (B, m)."""
        return (x.double()[:, None] - self.centres) / self.width

    def _tail(self, x: Tensor, side: int) -> Tensor:
        """Return Σ_i w_i Φ(±(x − c_i)/h): (B,)."""
        return torch.special.ndtr(side * self._units(x)) @ self.weights

    def _mass(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the kernels' mass below the ends, above them, and between them."""
        if self.ends is None:
            return self.width.new_zeros(()), self.width.new_zeros(()), self.width.new_ones(())
        low, high = self.centres.new_tensor(self.ends)
        below, above = self._tail(low[None], 1)[0], self._tail(high[None], -1)[0]
        return below, above, 1 - below - above


class ParametricMargin(DensityMargin):
    """The most likely of some families: normal, log-normal, gamma, Laplace and logistic; uniform and beta in [0, 1].

    Args:
        support: of the column: real or unit.

    Attributes:
        family: place of the family in `FAMILIES`.
        constants: (4,) two shapes of the family, its location and scale, as SciPy has them; 0 where it has no shape.
    """

    family: Tensor
    constants: Tensor

    def __init__(self, support: Support) -> None:
        super().__init__()
        self.candidates = _OF_UNIT if support.kind == "unit" else _OF_REAL
        self.register_buffer("family", torch.tensor(FAMILIES.index(self.candidates[0])))
        constants = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
        self.register_buffer("constants", constants)

    def place(self, values: Tensor) -> None:
        """Fit the families by maximum likelihood, and keep the most likely one."""
        import numpy as np
        from scipy import stats

        x = values.double().cpu().numpy()
        best = -math.inf
        for name in self.candidates:
            fit = _fit(name, x)
            value = -math.inf if fit is None else float(np.sum(getattr(stats, name).logpdf(x, *fit)))
            if fit is not None and math.isfinite(value) and value > best:
                best = value
                self.family.fill_(FAMILIES.index(name))
                shapes = [*fit[:-2], 0.0, 0.0][:2]
                self.constants.copy_(torch.tensor([*shapes, *fit[-2:]], dtype=torch.float64))

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the family's log-density."""
        return self._computed("logpdf", x)

    def score(self, x: Tensor) -> Tensor:
        """Return Φ⁻¹(F(x)), from the smaller one of both tails."""
        F, S = self._computed("cdf", x), self._computed("sf", x)
        z = torch.where(F < S, torch.special.ndtri(F), -torch.special.ndtri(S))
        return z.clamp(-FARTHEST, FARTHEST)

    def value(self, z: Tensor) -> Tensor:
        """Return the family's quantiles of Φ(z)."""
        p = torch.special.ndtr(-z.abs())
        return torch.where(z < 0, self._computed("ppf", p), self._computed("isf", p))

    def _computed(self, function: str, x: Tensor) -> Tensor:
        from scipy import stats

        shapes = [each for each in self.constants[:2].tolist() if each > 0]
        family: Any = getattr(stats, FAMILIES[int(self.family)])
        found = getattr(family, function)(x.double().cpu().numpy(), *shapes, *self.constants[2:].tolist())
        return torch.from_numpy(found).to(self.constants)


def _fit(name: str, x: Any) -> tuple[float, ...] | None:
    """Return the most likely parameters of a family, shapes first; None where it cannot be."""
    import numpy as np
    from scipy import stats

    constant = bool(x.std() <= 1e-12 * max(1.0, float(abs(x).max())))
    if name == "norm":
        return float(x.mean()), 1.0 if constant else float(x.std())
    if name == "uniform":
        return 0.0, 1.0
    if (
        constant
        or (name in ("lognorm", "gamma", "beta") and x.min() <= 0)
        or (name == "beta" and x.max() >= 1)
    ):
        return None
    match name:
        case "lognorm":
            return float(np.log(x).std()), 0.0, float(np.exp(np.log(x).mean()))
        case "laplace":
            centre = float(np.median(x))
            return centre, float(abs(x - centre).mean())
        case "gamma":
            return tuple(map(float, stats.gamma.fit(x, floc=0)))
        case "beta":
            return tuple(float(each) for each in stats.beta.fit(x, floc=0, fscale=1))  # pyright: ignore
        case _:
            return tuple(map(float, stats.logistic.fit(x)))
