"""Online EM: running averages of the moments are updated by batches, and the parameters from them."""

import torch
from torch import Tensor

from latentia.core.objective import Batch, Blocks, Step
from latentia.errors import UsageError
from latentia.functional.mixtures.m_step import Moments
from latentia.functional.mixtures.products import MStep, ProductMoments
from latentia.models.mixture import PlacedMixture
from latentia.objectives.em.mixture import ExpectationMaximisation
from latentia.objectives.em.steps import expectation


class OnlineEM(ExpectationMaximisation):
    """Fit a mixture by online EM, with one batch for each step.

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
        pseudo_count: added to the number of rows of a component with each category, as if all rows had been seen.

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
    outcomes: Tensor
    begun: Tensor
    rows: Tensor
    seen: Tensor
    total: Tensor

    def __init__(
        self,
        model: PlacedMixture,
        *,
        batch_size: int,
        step_decay: float = 0.6,
        tol: float = 1e-3,
        restarts: int = 1,
        regularisation: float = 1e-6,
        order: str = "fixed",
        pseudo_count: float = 0.0,
    ) -> None:
        super().__init__(
            model,
            tol=tol,
            restarts=restarts,
            regularisation=regularisation,
            order=order,
            pseudo_count=pseudo_count,
        )
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
        if not model.is_gaussian:
            self.register_buffer("outcomes", torch.zeros_like(model.probabilities))
        for name in ("begun", "rows", "seen", "total"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    def started(self, rows: Blocks, seen: int) -> None:
        """Initialise the averages with the moments of the initial components, N_k = π_k about the means."""
        components, theta = self.model.components, self.model.product.categories.probabilities
        weights = components.weights.view(-1, *[1] * (components.factors.dim() - 1))
        nothing = torch.zeros_like(components.means)
        second = weights * components.covariances
        gaussian = Moments(components.means, components.weights, nothing, second, self.last)
        self._keep(ProductMoments(gaussian, components.weights[:, None] * theta))
        self.begun.fill_(seen / self.batch_size)
        self.rows.fill_(len(rows))
        self.seen.zero_()
        self.total.zero_()

    @torch.no_grad()
    def step(self, batch: Batch) -> Step:
        """Update the averages with a batch's moments; log its likelihood before, and the gain at the end of a pass."""
        yield from ()
        old = self.model.product
        own = expectation(old, batch, self.frame)
        gamma = (self.begun + self.clock + 1) ** -self.step_decay
        means = old.gaussian.means
        running = self._kept().moved(means) * (1 - gamma) + own.moved(means) * (gamma / len(batch))
        a_row = MStep(self.model.covariance, self.ridge, self.pseudo_count / float(self.rows))
        after = a_row(running, old)
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

    def _kept(self) -> ProductMoments:
        gaussian = Moments(self.about, self.count, self.first, self.second, self.total)
        nothing = self.count[:, None][:, :0]
        return ProductMoments(gaussian, nothing if self.model.is_gaussian else self.outcomes)

    def _keep(self, moments: ProductMoments) -> None:
        gaussian = moments.gaussian
        self.about.copy_(gaussian.about)
        self.count.copy_(gaussian.count)
        self.first.copy_(gaussian.first)
        self.second.copy_(gaussian.second)
        if not self.model.is_gaussian:
            self.outcomes.copy_(moments.outcomes)
