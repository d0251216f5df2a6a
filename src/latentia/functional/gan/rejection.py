"""Rejection sampling by a critic's density ratio: a generator's rows are accepted with probability p/(Mq)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from latentia.errors import UsageError
from latentia.functional.checks import finite

_BLOCK = 1000  # draws at once
_TINY = 1e-14  # the paper's ε: keeps the acceptance of the greatest ratio finite on the logit scale


@dataclass(frozen=True)
class Rejection:
    """Rows that were accepted, and how.

    Attributes:
        rows: (n, *event).
        draws: how many rows were drawn.
        accepted: how many of them were accepted, n and those after them.
        log_bound: log M, the greatest log-ratio among the draws.
        gamma: the shift γ of the logit of acceptance.
    """

    rows: Tensor
    draws: int
    accepted: int
    log_bound: float
    gamma: float


def rejection_sample(
    draw: Callable[[int], Tensor],
    log_ratio: Callable[[Tensor], Tensor],
    n: int,
    *,
    quantile: float | None = None,
    burn_in: int = 10_000,
    max_draws: int | None = None,
    generator: torch.Generator | None = None,
) -> Rejection:
    """Draw n rows of p by drawing from q and keeping each row with a probability that its ratio p/q decides.

    accept x if u < σ(F(x) − γ), u ~ U(0, 1), with F(x) = logit(p(x)/(M q(x))) and M = max p/q over all draws

    With γ = 0 the probability is p/(Mq), and the rows kept follow p where the ratio is exact, in the limit of
    many draws, of which M is the greatest. The maximum runs, but each row is held against the last one: it is
    kept if log M < log p/q − log σ(γ + logit u). With γ the quantile of F over the burn-in, rows at that quantile
    are kept half the time: less exact, and many more are kept where ratios vary over orders of magnitude.

    Args:
        draw: m → (m, *event) rows of q.
        log_ratio: (m, *event) → (m,) log p/q, up to a constant where γ = 0.
        n: rows to return.
        quantile: the level of γ among F over the burn-in, between 0 and 1 (the paper takes 0.8); None is γ = 0.
        burn_in: draws before γ is chosen and rows are counted, at least 1; they may be kept too.
        max_draws: of q; by default burn_in + 1,000 n.
        generator: draws u, on the ratios' device; torch's own where None.

    Raises:
        UsageError: for values out of range, or where too few rows are kept of ``max_draws``.
        DataError: for a ratio that is not finite.

    Reference: Azadi et al. (2019), Discriminator rejection sampling, section 3; the running maximum that earlier rows
    are held against too is Caffo, Booth & Davis (2002), Empirical supremum rejection sampling.

    Example:
        >>> source = torch.Generator().manual_seed(0)
        >>> found = rejection_sample(  # p uniform on [0, 1), q uniform on [0, 2)
        ...     lambda m: 2 * torch.rand(m, generator=source), lambda x: torch.where(x < 1, 0.69, -50.0), 100
        ... )
        >>> found.rows.shape, bool((found.rows < 1).all()), round(found.accepted / found.draws, 1)
        (torch.Size([100]), True, 0.5)
    """
    limit = burn_in + 1000 * n if max_draws is None else max_draws
    _check(n, quantile, burn_in, limit)
    first = draw(burn_in)
    ratios = _ratios(log_ratio, first)
    peak, gamma, draws = ratios.max(), 0.0, burn_in
    if quantile is not None:
        gamma = _gamma(ratios - peak, quantile)
    levels, rows = _levels(ratios, gamma, generator), first
    while True:
        stay = levels > peak
        rows, levels = rows[stay], levels[stay]
        if len(rows) >= n:
            return Rejection(rows[:n], draws, len(rows), float(peak), gamma)
        if draws >= limit:
            raise UsageError(_too_few(len(rows), n, draws, float(peak)))
        new = draw(min(_BLOCK, limit - draws))
        ratios = _ratios(log_ratio, new)
        peak, draws = torch.maximum(peak, ratios.max()), draws + len(new)
        rows = torch.cat([rows, new])
        levels = torch.cat([levels, _levels(ratios, gamma, generator)])


def _ratios(log_ratio: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Return log p/q of rows in float64."""
    ratios = log_ratio(rows).double()
    if ratios.shape != (len(rows),):
        raise UsageError(
            f"log_ratio must return one number per row, ({len(rows)},); got {tuple(ratios.shape)}"
        )
    finite(log_ratio=ratios)
    return ratios


def _levels(ratios: Tensor, gamma: float, generator: torch.Generator | None) -> Tensor:
    """Return log p/q − log σ(γ + logit u) of each row, which is kept while log M is below it."""
    u = torch.rand(ratios.shape, generator=generator, dtype=ratios.dtype, device=ratios.device)
    return ratios - logsigmoid(gamma + torch.logit(u))


def _gamma(below: Tensor, quantile: float) -> float:
    """Return the quantile of F = d − log(1 − e^(d − ε)) over rows whose log-ratios are d below the greatest."""
    logits = below - torch.log(-torch.expm1(below - _TINY))
    return float(logits.sort().values[int(quantile * (len(logits) - 1))])


def _check(n: int, quantile: float | None, burn_in: int, max_draws: int) -> None:
    if n < 1 or burn_in < 1 or max_draws < burn_in:
        raise UsageError(
            f"rejection sampling needs n >= 1, burn_in >= 1 and max_draws >= burn_in; got {n}, {burn_in}, {max_draws}"
        )
    if quantile is not None and not 0 < quantile < 1:
        raise UsageError(f"quantile must be between 0 and 1, without the ends; got {quantile}")


def _too_few(kept: int, n: int, draws: int, peak: float) -> str:
    return (
        f"{kept} of {draws} draws were accepted, of {n} requested: the critic finds some rows e^{peak:.3g} times as "
        "likely real as generated, as one does that has overfitted or is far from its optimum: give quantile=0.8, "
        "which keeps more, train with a penalty, or sample without rejection"
    )
