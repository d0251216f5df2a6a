"""Online EM: running averages of the moments are updated by batches, and the parameters from them."""

import torch
from torch import Tensor

from latentia.core.objective import Batch, Blocks, Step
from latentia.errors import UsageError
from latentia.functional.mixtures.m_step import Moments, maximised
from latentia.models.mixture import GaussianMixture
from latentia.objectives.em.mixture import ExpectationMaximisation
from latentia.objectives.em.steps import expectation


class OnlineEM(ExpectationMaximisation):
    """Fit a Gaussian mixture by online EM, with one batch for each step.

    s_t = (1 − γ_t) s_{t−1} + γ_t ŝ(batch; θ_{t−1}), θ_t = M-step(s_t), γ_t = (t₀ + t)^−κ

    s are the expected moments of a row that the M-step needs, ŝ their mean over a batch. Their initial values are those
    of the rows that initialisation used, which count as t₀ batches. The fit has converged when a pass over the rows
    raises their mean log-likelihood, that of each batch before its step, by less than ``tol``.

    Args:
        model: the mixture.
        batch_size: rows of a step, by which t₀ is computed.
        step_decay: κ in (0.5, 1], for which Σ γ_t = ∞ and Σ γ_t² < ∞.
        tol: smallest gain of a pass, in nats per row.
        restarts: number of starts.
        regularisation: added to a component's variances, as a fraction of each entry's variance over all rows.
        order: fixed, or the criterion by which the number of components is chosen: bic or aic.

    Raises:
        UsageError: for options out of range.

    References:
        Cappé and Moulines (2009), On-line expectation-maximization algorithm for latent data models, eqs. 8 and 9 and
        theorem 1.
    """

    count: Tensor
    first: Tensor
    second: Tensor
    about: Tensor
    begun: Tensor
    rows: Tensor
    seen: Tensor
    total: Tensor

    def __init__(
        self,
        model: GaussianMixture,
        *,
        batch_size: int,
        step_decay: float = 0.6,
        tol: float = 1e-3,
        restarts: int = 1,
        regularisation: float = 1e-6,
        order: str = "fixed",
    ) -> None:
        super().__init__(model, tol=tol, restarts=restarts, regularisation=regularisation, order=order)
        if not 0.5 < step_decay <= 1:
            raise UsageError(f"step_decay must be above 0.5 and at most 1; got {step_decay}")
        if batch_size < 1:
            raise UsageError(f"minibatch must be at least 1 row; got {batch_size}")
        self.step_decay = step_decay
        self.batch_size = batch_size
        self.register_buffer("count", torch.zeros_like(model.weights))
        self.register_buffer("first", torch.zeros_like(model.means))
        self.register_buffer("second", torch.zeros_like(model.factors))
        self.register_buffer("about", torch.zeros_like(model.means))
        for name in ("begun", "rows", "seen", "total"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    def started(self, rows: Blocks, seen: int) -> None:
        """Initialise the averages with the moments of the initial components, N_k = π_k about the means."""
        components = self.model.components
        weights = components.weights.view(-1, *[1] * (components.factors.dim() - 1))
        nothing = torch.zeros_like(components.means)
        second = weights * components.covariances
        self._keep(Moments(components.means, components.weights, nothing, second, self.last))
        self.begun.fill_(seen / self.batch_size)
        self.rows.fill_(len(rows))
        self.seen.zero_()
        self.total.zero_()

    @torch.no_grad()
    def step(self, batch: Batch) -> Step:
        """Update the averages with a batch's moments; log its likelihood before, and the gain at the end of a pass."""
        yield from ()
        old = self.model.components
        own = expectation(old, batch, self.frame, missing=self.model.data.support.missing)
        gamma = (self.begun + self.clock + 1) ** -self.step_decay
        running = self._kept().moved(old.means) * (1 - gamma) + own.moved(old.means) * (gamma / len(batch))
        after = maximised(running, old, self.model.covariance, self.ridge)
        self._keep(running)  # about the means before their update
        self.model.placed(after)
        return self._logged(own.log_likelihood, len(batch))

    def _logged(self, log_likelihood: Tensor, rows: int) -> dict[str, Tensor]:
        """Add to the pass's likelihood; at its end compare it with the pass before."""
        self.seen += rows
        self.total += log_likelihood
        logged = {"log_likelihood": log_likelihood / rows}
        if self.seen < self.rows:
            return logged
        found = self.compared(self.total / self.seen)
        self.seen.zero_()
        self.total.zero_()
        return logged | {"gain": found["gain"]} if "gain" in found else logged

    def _kept(self) -> Moments:
        return Moments(self.about, self.count, self.first, self.second, self.total)

    def _keep(self, moments: Moments) -> None:
        self.about.copy_(moments.about)
        self.count.copy_(moments.count)
        self.first.copy_(moments.first)
        self.second.copy_(moments.second)
