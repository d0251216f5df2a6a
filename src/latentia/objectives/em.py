"""Expectation-maximisation: closed-form steps uphill in the likelihood. It has no players."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import DataError, UsageError
from latentia.models.mixture import GaussianMixture
from latentia.networks.scaling import moments as moments_of

_BLOCK_NUMBERS = 2**22  # of (components, rows, entries) held at once: 32 MB
_START_ROWS = 20_000  # rows that the start looks at
_SHORT_RUN = 10  # steps by which starts are compared


@dataclass(frozen=True)
class Moments:
    """What an M-step needs of the rows, given responsibilities r.

    Attributes:
        count: (K,) Σ_i r_ik.
        first: (K, D) Σ_i r_ik (x_i - c_k), about the centres c.
        second: (K, D, D) or (K, D) Σ_i r_ik (x_i - c_k)(x_i - c_k)ᵀ, or its diagonal.
        log_likelihood: Σ_i log p(x_i), in nats.
    """

    count: Tensor
    first: Tensor
    second: Tensor
    log_likelihood: Tensor

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.first + other.first,
            self.second + other.second,
            self.log_likelihood + other.log_likelihood,
        )


class MixtureEM(Objective):
    """Fit a Gaussian mixture by expectation-maximisation on the whole set.

    E-step: r_ik = π_k N(x_i; μ_k, Σ_k) / Σ_j π_j N(x_i; μ_j, Σ_j).
    M-step: π_k = Σ_i r_ik / n, μ_k = Σ_i r_ik x_i / Σ_i r_ik, and Σ_k the weighted covariance about μ_k, pooled as
    its family asks, with ``regularisation`` · v added to its diagonal before; v are the entries' variances over all
    rows. So data in other units is fitted by the same mixture in those units. A constant entry, which has no
    variance, counts with the mean of v (with 1 where all are constant). Without regularisation no step lowers the
    likelihood; with it, a step may lower it a little.

    It starts from k-means++ centres; of ``restarts`` starts it keeps the one that is most likely after a few
    steps on a subset (short runs of EM, Biernacki, Celeux and Govaert 2003). It has finished when a step raises
    the mean log-likelihood by less than ``tol``.

    Args:
        model: the mixture.
        tol: smallest gain of a step, in nats per row.
        restarts: number of starts.
        regularisation: what is added to a component's variances, as a share of each entry's variance over all rows.

    Raises:
        UsageError: for options that mean nothing.

    References:
        Dempster, Laird and Rubin (1977), example 4.3; Arthur and Vassilvitskii (2007), for k-means++.
    """

    model: GaussianMixture
    ridge: Tensor
    last: Tensor
    converged: Tensor

    def __init__(
        self, model: GaussianMixture, *, tol: float = 1e-3, restarts: int = 1, regularisation: float = 1e-6
    ) -> None:
        super().__init__()
        if restarts < 1 or not 0 <= tol < math.inf or not 0 <= regularisation < math.inf:
            raise UsageError(
                "restarts must be at least 1, tol and regularisation finite and at least 0; "
                f"got restarts={restarts}, tol={tol}, regularisation={regularisation}"
            )
        self.model = model
        self.tol = tol
        self.restarts = restarts
        self.regularisation = regularisation
        self.register_buffer("ridge", torch.full(model.means.shape[1:], regularisation, dtype=torch.float64))
        self.register_buffer("last", torch.tensor(-torch.inf, dtype=torch.float64))
        self.register_buffer("converged", torch.tensor(False))

    @property
    def finished(self) -> bool:  # pyright: ignore
        """Whether the last step gained less than ``tol``."""
        return bool(self.converged)

    def players(self) -> Mapping[str, nn.Module]:
        """Return none: every step is in closed form."""
        return {}

    @torch.no_grad()
    def begin(self, rows: Blocks) -> None:
        """Start from the best of ``restarts`` k-means++ starts."""
        self.last.fill_(-torch.inf)
        self.converged.fill_(False)
        self.ridge.copy_(self.regularisation * _variances(rows))
        subset = _random_rows(rows, _START_ROWS)
        K = len(self.model.weights)
        if len(subset) < K:
            raise DataError(f"a mixture of {K} components needs at least {K} rows; got {len(subset)}")
        self._start(subset)
        if self.restarts == 1:
            return
        best, best_value = self.model.state_dict(), -torch.inf
        for number in range(self.restarts):
            if number:
                self._start(subset)
            value = max(float(self._update(Batch(subset))) for _ in range(_SHORT_RUN))
            if value > best_value:
                best, best_value = {k: v.clone() for k, v in self.model.state_dict().items()}, value
        self.model.load_state_dict(best)

    @torch.no_grad()
    def step(self, batch: Batch) -> Step:
        """Do one E-step and one M-step on all rows; log the likelihood of the parameters before it, and its gain.

        The first step has none. A training that ends at its last epoch with a gain above ``tol`` is not converged.
        """
        yield from ()
        value = self._update(batch)
        gain = value - self.last
        self.converged.fill_(bool(gain < self.tol))
        self.last.copy_(value)
        return {"log_likelihood": value, "gain": gain} if gain.isfinite() else {"log_likelihood": value}

    def _update(self, rows: Blocks) -> Tensor:
        """Do one E-step and one M-step; return the mean log-likelihood before them, in nats per row."""
        size = max(1, _BLOCK_NUMBERS // self.model.means.numel())
        moments = sum_of(self._moments(block.x) for block in rows.blocks(size))
        self._maximise(moments)
        return moments.log_likelihood / moments.count.sum()

    def _moments(self, x: Tensor) -> Moments:
        """Return one block's moments about the present means, which loses fewer digits than about 0."""
        log_joint = self.model.log_joint(x)
        log_prob = log_joint.logsumexp(-1)
        r = (log_joint - log_prob[:, None]).exp()
        return self._weighted(x, r, log_prob.sum())

    def _weighted(self, x: Tensor, r: Tensor, log_likelihood: Tensor) -> Moments:
        deviations = self.model.deviations(x)  # (K, B, D)
        weighted = deviations * r.mT[..., None]
        matrix = self.model.covariance.matrix
        second = weighted.mT @ deviations if matrix else (weighted * deviations).sum(1)
        return Moments(r.sum(0), weighted.sum(1), second, log_likelihood)

    def _maximise(self, moments: Moments) -> None:
        """Set the parameters that are most likely given the responsibilities."""
        model, count = self.model, moments.count.clamp_min(1e-10)
        shift = moments.first / count[:, None]
        if model.covariance.matrix:
            outer = shift[:, :, None] * shift[:, None, :]
            free = moments.second / count[:, None, None] - outer + self.ridge.diag()
        else:
            free = (moments.second / count[:, None] - shift.square()).clamp_min(0) + self.ridge
        model.weights.copy_(count / count.sum())
        model.means.add_(shift)
        model.factors.copy_(self._factors(model.covariance.pool(free, model.weights)))

    def _factors(self, covariances: Tensor) -> Tensor:
        if self.model.covariance.matrix:
            factors, failed = torch.linalg.cholesky_ex(covariances)
        else:
            factors = covariances.sqrt()
            failed = (factors == 0).any(-1)
        if bool(failed.any()):
            raise DataError(
                f"the covariance of component {int(failed.nonzero()[0, 0])} is singular: raise regularisation "
                f"(now {self.regularisation}), ask for fewer components, or covariance='diagonal'"
            )
        return factors

    def _start(self, x: Tensor) -> None:
        """Give every row to the nearest of K centres drawn by k-means++, and do an M-step."""
        from sklearn.cluster import kmeans_plusplus

        flat = x.flatten(1).double()
        K = len(self.model.weights)
        seed = int(torch.randint(2**31 - 1, ()))
        centres = torch.from_numpy(kmeans_plusplus(flat.cpu().numpy(), K, random_state=seed)[0])
        self.model.means.copy_(centres)
        nearest = torch.cdist(flat, centres.to(flat)).argmin(1)
        r = nn.functional.one_hot(nearest, K).to(flat)
        self._maximise(self._weighted(flat, r, torch.zeros((), dtype=flat.dtype)))


def sum_of(parts: Iterator[Moments]) -> Moments:
    """Return the moments of all blocks together."""
    return reduce(Moments.__add__, parts)


def _variances(rows: Blocks) -> Tensor:
    """Return each entry's variance over the rows, (D,); a constant entry's is the mean of all, or 1."""
    mean, variance = (each.flatten() for each in moments_of(rows))
    constant = variance <= (1e-12 * mean).square()  # zero, but for the rounding of the mean
    typical = variance.mean() if not constant.all() else torch.ones_like(variance[0])
    return torch.where(constant, typical, variance)


def _random_rows(rows: Blocks, size: int) -> Tensor:
    """Return at most ``size`` random rows in their order, read block by block."""
    chosen = torch.zeros(len(rows), dtype=torch.bool)
    chosen[torch.randperm(len(rows))[:size]] = True
    start, parts = 0, list[Tensor]()
    for block in rows.blocks(4096):
        parts.append(block.x[chosen[start : start + len(block)].to(block.x.device)])
        start += len(block)
    return torch.cat(parts)
