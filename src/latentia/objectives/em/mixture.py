"""Expectation-maximisation of mixtures: closed-form steps, without players."""

import math
from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import UsageError
from latentia.functional.likelihood.information_criteria import bic
from latentia.functional.mixtures.products import MStep
from latentia.models.mixture import PlacedMixture
from latentia.models.mixture_init import Frame, frame_of
from latentia.objectives.em.em_init import Start
from latentia.objectives.em.steps import em_step

_BLOCK_SIZE = 2**22  # rows × entries that are checked at once


class ExpectationMaximisation(Objective):
    """What EM for mixtures has in common: initialisation and convergence.

    Initialisation assigns every row to the nearest of K centres that k-means++ draws, numbers in units of their
    standard deviations and categories and gaps one-hot, and does an M-step; of ``restarts`` the most likely after a
    few steps on a subset is kept (short runs of EM, Biernacki, Celeux and Govaert 2003). With ``order`` bic or aic,
    mixtures of 1 to K components are fitted to the subset first, and the number with the best criterion is used;
    the others keep the weight 0.

    Args:
        model: the mixture.
        tol: gain below which the fit has converged, in nats per row.
        restarts: number of starts.
        regularisation: added to a component's variances, as a fraction of each entry's variance over all rows.
        order: fixed, bic or aic.
        pseudo_count: added to the number of rows of a component with each category, and with a gap or none.

    Raises:
        UsageError: for options out of range.
    """

    model: PlacedMixture
    centre: Tensor
    variances: Tensor
    last: Tensor
    converged: Tensor

    def __init__(
        self,
        model: PlacedMixture,
        *,
        tol: float = 1e-3,
        restarts: int = 1,
        regularisation: float = 1e-6,
        order: str = "fixed",
        pseudo_count: float = 0.0,
    ) -> None:
        super().__init__()
        numbers = {"tol": tol, "regularisation": regularisation, "pseudo_count": pseudo_count}
        for name, value in numbers.items():
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} must be finite and at least 0; got {value}")
        self.model = model
        self.tol = tol
        self.regularisation, self.pseudo_count = regularisation, pseudo_count
        self.start = Start(restarts=restarts, order=order, tol=tol)
        D = model.means.shape[1]
        self.register_buffer("centre", torch.zeros(D, dtype=torch.float64))
        self.register_buffer("variances", torch.ones(D, dtype=torch.float64))
        self.register_buffer("last", torch.tensor(-torch.inf, dtype=torch.float64))
        self.register_buffer("converged", torch.tensor(False))

    @property
    def finished(self) -> bool:  # pyright: ignore
        """Whether the last gain was less than ``tol``."""
        return bool(self.converged)

    @property
    def frame(self) -> Frame:
        """Location and scale of the rows' numbers."""
        return Frame(self.centre, self.variances)

    @property
    def ridge(self) -> Tensor:
        """(D,) added to a component's variances."""
        return self.regularisation * self.variances

    @property
    def m_step(self) -> MStep:
        """The M-step, regularised and smoothed."""
        return MStep(self.model.covariance, self.ridge, self.pseudo_count)

    def players(self) -> Mapping[str, nn.Module]:
        """Return none: every step is in closed form."""
        return {}

    @torch.no_grad()
    def begin(self, rows: Blocks) -> None:
        """Initialise with the best of ``restarts`` k-means++ initialisations.

        Raises:
            DataError: for fewer rows than components, and for values that are not finite.
        """
        self.last.fill_(-torch.inf)
        self.converged.fill_(False)
        entries, size = self.model.entries, max(1, _BLOCK_SIZE // self.model.data.size)
        if entries.numbers:
            frame = frame_of(rows, missing=entries.missing, numbers=entries.numbers)
            self.centre.copy_(frame.centre)
            self.variances.copy_(frame.variances)
        if entries.outcomes:
            self.model.data.support.check_blocks(block.x for block in rows.blocks(size))
        product, seen = self.start.of(self.model, rows, self.frame, self.m_step)
        self.model.placed(product)
        self.started(rows, seen)

    @abstractmethod
    def started(self, rows: Blocks, seen: int) -> None:
        """Prepare for the rows to fit, of which initialisation has used ``seen``."""

    def compared(self, value: Tensor) -> dict[str, Tensor]:
        """Compare a mean log-likelihood with the last one, note convergence, and return what to log."""
        gain = value - self.last
        self.converged.fill_(bool(gain < self.tol))
        self.last.copy_(value)
        return {"log_likelihood": value, "gain": gain} if gain.isfinite() else {"log_likelihood": value}


class MixtureEM(ExpectationMaximisation):
    """Fit a mixture by expectation-maximisation on the whole set.

    E-step: r_ik = π_k p(x_i | k) / Σ_j π_j p(x_i | j).
    M-step: π_k = Σ_i r_ik / n; for categories and gaps θ_kg(l) = (Σ_i r_ik 1[x_ig = l] + a) / Σ_m (Σ_i r_ik 1[x_ig
    = m] + a) with a = ``pseudo_count``, the maximum under a Dirichlet(1 + a) prior; for Gaussians μ_k = Σ_i r_ik
    x_i / Σ_i r_ik, and Σ_k the weighted covariance about μ_k, with ``regularisation`` · v added to its diagonal,
    pooled according to its family; v are the entries' variances over all rows. The fit is therefore equivariant to
    the data's units. A constant entry has the mean of v (1 where all are constant). Without regularisation and
    pseudo-count no step lowers the likelihood; with them, a step may lower it a little, as may the rounding of
    products in float32, by 1e-4 nats.

    Where entries may be missing, the M-step uses the expected value and the variance of a missing entry given the
    row's other entries and the component.

    Initialisation is that of `ExpectationMaximisation`. The fit has converged when a step raises the mean
    log-likelihood by less than ``tol``.

    Args:
        model: the mixture.
        tol: smallest gain of a step, in nats per row.
        restarts: number of starts.
        regularisation: added to a component's variances, as a fraction of each entry's variance over all rows.
        order: fixed, or the criterion by which the number of components is chosen: bic or aic.
        pseudo_count: a, rows added to a component's count of each category, and of gaps.

    Raises:
        UsageError: for options out of range.

    References:
        Dempster, Laird and Rubin (1977), example 4.3; Ghahramani and Jordan (1994) (missing values).
        Schwarz (1978) (bic).
    """

    def started(self, rows: Blocks, seen: int) -> None:
        """Do nothing: every step reads all rows."""

    @torch.no_grad()
    def step(self, batch: Batch) -> Step:
        """Do one E-step and one M-step on all rows; log the likelihood before them, and its gain over the last step's.

        The first step has no gain. Training that ends after all epochs with a gain above ``tol`` has not converged.
        """
        yield from ()
        parameters = self.model.free_parameters
        after, value = em_step(self.model.product, batch, self.frame, self.m_step)
        self.model.placed(after)
        return self.compared(value) | {"bic": bic(float(value) * len(batch), parameters, len(batch))}
