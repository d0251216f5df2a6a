"""How one column of a table becomes real numbers, and how they become its value again."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.special import ndtri


class Part(Protocol):
    """A map between a column's values (B,) and real numbers (B, width).

    Its randomness comes as uniform numbers, so that rows can be made the same again.
    """

    @property
    def width(self) -> int:
        """How many real numbers a value becomes."""
        ...

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Return (B, width) real numbers for values (B,), with uniform numbers (B, width) in (0, 1)."""
        ...

    def inverse(self, y: Tensor, u: Tensor | None) -> Tensor:
        """Return values (B,) for real numbers (B, width), drawn by uniform numbers (B,), or the likeliest for None."""
        ...

    def log_noise(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y | x), the log-density of what `forward` draws: (B,) nats; 0 where it draws nothing."""
        ...


@dataclass(frozen=True)
class Number:
    """A number, as it is."""

    width: int = 1

    def forward(self, x: Tensor, u: Tensor) -> Tensor:  # noqa: ARG002  (nothing is drawn)
        """Return the number."""
        return x[:, None]

    def inverse(self, y: Tensor, u: Tensor | None) -> Tensor:  # noqa: ARG002
        """Return the number."""
        return y[:, 0]

    def log_noise(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        """Return 0."""
        return torch.zeros_like(x)


@dataclass(frozen=True)
class Quantile:
    """A number as a standard normal one: z = Φ⁻¹(F(x)), with F the distribution over rows.

    F is linear between known quantiles, and so is z between their normal scores; beyond the first and the last, z goes
    on at the slope there. A value of many rows is one knot, at the middle of its probabilities.

    Attributes:
        quantiles: of the number, at equal steps of probability from 0 to 1; at least two differ.
    """

    quantiles: tuple[float, ...]
    width: int = 1

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the normal score."""
        knots, scores = self._knots(x.device)
        return _linear(x.double(), knots, scores)[0][:, None].to(u.dtype)

    def inverse(self, y: Tensor, u: Tensor | None) -> Tensor:  # noqa: ARG002
        """Return the number that has a score."""
        knots, scores = self._knots(y.device)
        return _linear(y[:, 0].double(), scores, knots)[0].to(y.dtype)

    def log_noise(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        """Return −log dz/dx, which turns the density of the score into the number's."""
        knots, scores = self._knots(x.device)
        return -_linear(x.double(), knots, scores)[1].log()

    def _knots(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return distinct quantiles and their normal scores: (K,) each."""
        q = torch.tensor(self.quantiles, dtype=torch.float64, device=device)
        knots, which, counts = q.unique(return_inverse=True, return_counts=True)
        grid = (torch.arange(len(q), dtype=torch.float64, device=device) + 0.5) / len(q)
        middle = torch.zeros_like(knots).index_add(0, which, grid) / counts
        return knots, ndtri(middle)


@dataclass(frozen=True)
class OneHot:
    """K categories as K numbers, 1 for the one that it is; two categories and ranks as one number.

    Attributes:
        levels: K.
        ordered: whether the categories have an order, and are ranks.
    """

    levels: int
    ordered: bool = False

    @property
    def width(self) -> int:
        """1 for ranks and two categories, or K."""
        return 1 if self.ordered or self.levels == 2 else self.levels

    def forward(self, x: Tensor, u: Tensor) -> Tensor:  # noqa: ARG002  (nothing is drawn)
        """Return the number of a rank, or a row with one 1."""
        return x[:, None] if self.width == 1 else one_hot(x.long(), self.levels).to(x.dtype)

    def inverse(self, y: Tensor, u: Tensor | None) -> Tensor:
        """Return a category in proportion to what is above 0, or the largest; the nearest rank."""
        if self.ordered and self.levels > 2:
            return y[:, 0].round().clamp(0, self.levels - 1)
        weights = torch.cat([1 - y, y], dim=1) if self.width == 1 else y
        if u is None:
            return weights.argmax(1).to(y.dtype)
        positive = weights.clamp_min(0)
        total = positive.cumsum(1)
        return (u[:, None] * total[:, -1:] >= total[:, :-1]).sum(1).to(y.dtype)

    def log_noise(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        """Return 0."""
        return torch.zeros_like(x)


@dataclass(frozen=True)
class Interval:
    """K ordered values as a standard normal number between the quantiles of their cumulated rates.

    z = Φ⁻¹(c_k + u p_k) with c_k = p_0 + … + p_{k−1}; so z is N(0, 1) over rows with these rates, and a model with that
    margin gives back each value at its rate.

    Attributes:
        rates: p_0 … p_{K−1}, positive, of sum 1.
    """

    rates: tuple[float, ...]
    width: int = 1

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the number in its interval that u chooses."""
        rates, below = self._rates(x.device)
        k = x.long()
        return ndtri(below[k] + u[:, 0].double() * rates[k])[:, None].to(u.dtype)

    def inverse(self, y: Tensor, u: Tensor | None) -> Tensor:  # noqa: ARG002  (nothing is left to draw)
        """Return the value whose interval holds the number."""
        _, below = self._rates(y.device)
        limits = ndtri(below[1:])
        return torch.bucketize(y[:, 0].double(), limits, right=True).to(y.dtype)

    def log_noise(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log φ(z) − log p_k."""
        rates, _ = self._rates(x.device)
        return _log_normal(y[:, 0].double()) - rates[x.long()].log()

    def _rates(self, device: torch.device) -> tuple[Tensor, Tensor]:
        rates = torch.tensor(self.rates, dtype=torch.float64, device=device)
        return rates, rates.cumsum(0) - rates


@dataclass(frozen=True)
class Sticks:
    """K categories without order as K − 1 standard normal numbers: the first beyond its limit names the category.

    z_j ≥ Φ⁻¹(1 − s_j) says "it is category j", where s_j = p_j / (p_j + … + p_{K−1}); numbers after the first that
    says so are free. Over rows with these rates each z_j is N(0, 1).

    Attributes:
        rates: p_0 … p_{K−1}, positive, of sum 1.
    """

    rates: tuple[float, ...]

    @property
    def width(self) -> int:
        """K − 1."""
        return len(self.rates) - 1

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Return numbers in the intervals that say the category; u chooses where in them."""
        chance = self._chances(x.device)
        low, size = self._interval(x, chance)
        return ndtri(low + u.double() * size).to(u.dtype)

    def inverse(self, y: Tensor, u: Tensor | None) -> Tensor:  # noqa: ARG002  (nothing is left to draw)
        """Return the category that the first number beyond its limit names."""
        beyond = y.double() >= ndtri(1 - self._chances(y.device))
        never = ~beyond.any(1)
        first = beyond.to(torch.int8).argmax(1)
        return torch.where(never, self.width, first).to(y.dtype)

    def log_noise(self, x: Tensor, y: Tensor) -> Tensor:
        """Return Σ_j log φ(z_j) − log P(interval of z_j)."""
        _, size = self._interval(x, self._chances(x.device))
        return (_log_normal(y.double()) - size.log()).sum(1)

    def _chances(self, device: torch.device) -> Tensor:
        rates = torch.tensor(self.rates, dtype=torch.float64, device=device)
        return (rates / rates.flip(0).cumsum(0).flip(0))[:-1]

    def _interval(self, x: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the interval of each Φ(z_j) begins, and its length: (B, K − 1) each."""
        number = torch.arange(self.width, device=x.device)
        is_it, before = x[:, None] == number, x[:, None] > number
        low = torch.where(is_it, 1 - chance, 0.0)
        size = torch.where(is_it, chance, torch.where(before, 1 - chance, 1.0))
        return low, size


@dataclass(frozen=True)
class WithGaps:
    """A column with gaps: a number that says whether the value is missing, then those of the value.

    What stands for a missing value is drawn as if it were there: a one-hot category by the rates of those that are,
    so that it is one too; others are Gaussian.

    Attributes:
        gap: of the indicator, 1 where the value is missing.
        value: of the value.
        mean: of numbers that stand for missing ones.
        sd: of them.
        rates: of the categories; for one-hot values.
    """

    gap: Part
    value: Part
    mean: float = 0.0
    sd: float = 1.0
    rates: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """1 more than the value's."""
        return 1 + self.value.width

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the indicator and the value, or what stands for it."""
        missing = x.isnan()
        free = self._free(u[:, 1:])
        there = self.value.forward(x.nan_to_num(), u[:, 1:])
        value = torch.where(missing[:, None], free, there)
        return torch.cat([self.gap.forward(missing.to(x.dtype), u[:, :1]), value], dim=1)

    def inverse(self, y: Tensor, u: Tensor | None) -> Tensor:
        """Return the value, or NaN where the indicator says so."""
        missing = self.gap.inverse(y[:, :1], u) > 0
        return torch.where(missing, math.nan, self.value.inverse(y[:, 1:], u))

    def log_noise(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the log-density of the indicator's noise, and of the value's or of what stands for it."""
        missing = x.isnan()
        there, free = self.value.log_noise(x.nan_to_num(), y[:, 1:]).double(), self._log_free(y[:, 1:])
        return self.gap.log_noise(missing.to(x.dtype), y[:, :1]).double() + torch.where(missing, free, there)

    def _free(self, u: Tensor) -> Tensor:
        """Return what stands for missing values, (B, width of a value), chosen by u."""
        if isinstance(self.value, OneHot):
            limits = torch.tensor(self.rates, dtype=torch.float64, device=u.device).cumsum(0)[:-1]
            return self.value.forward(torch.bucketize(u[:, 0].double(), limits, right=True).to(u.dtype), u)
        return (self.mean + self.sd * ndtri(u.double())).to(u.dtype)

    def _log_free(self, y: Tensor) -> Tensor:
        """Return log q of what stands for missing values: (B,) nats."""
        if isinstance(self.value, OneHot):
            rates = torch.tensor(self.rates, dtype=torch.float64, device=y.device)
            return rates[self.value.inverse(y, None).long()].log()
        z = (y.double() - self.mean) / self.sd
        return (_log_normal(z) - math.log(self.sd)).sum(1)


def _linear(x: Tensor, knots: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the piecewise linear function through (knots, values) at x, and its slope there: (B,) each."""
    at = torch.bucketize(x.contiguous(), knots[1:-1], right=True)
    slope = ((values[1:] - values[:-1]) / (knots[1:] - knots[:-1]))[at]
    return values[at] + slope * (x - knots[at]), slope


def _log_normal(z: Tensor) -> Tensor:
    """Return log φ(z), the log-density of a standard normal number."""
    return -0.5 * z.square() - 0.5 * math.log(2 * math.pi)
