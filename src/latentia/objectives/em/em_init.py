"""Initialisation of EM: the best of several short runs, and the number of components by a criterion."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from latentia.core.objective import Batch, Blocks
from latentia.errors import UsageError
from latentia.functional.likelihood.information_criteria import aic, bic
from latentia.functional.mixtures.entries import Entries
from latentia.functional.mixtures.products import MStep, Product, product_parameters
from latentia.models.mixture import MixtureModel
from latentia.models.mixture_init import Frame, product_start, random_rows
from latentia.objectives.em.steps import em_step
from latentia.registry import check_name

INIT_ROWS = 20_000  # rows that initialisation uses
SHORT_RUN = 10  # steps after which restarts are compared
_LONG_RUN = 100  # steps at most for each number of components

ORDERS = ("fixed", "bic", "aic")


@dataclass(frozen=True)
class Start:
    """How EM is initialised.

    Attributes:
        restarts: k-means++ initialisations, of which the most likely after a short run of EM is kept.
        order: fixed (all components are used), or the criterion that selects their number: bic or aic.
        tol: gain of a step, in nats per row, at which runs for a criterion end.

    Raises:
        UsageError: for options out of range.
    """

    restarts: int = 1
    order: str = "fixed"
    tol: float = 1e-3

    def __post_init__(self) -> None:
        check_name("order", self.order, ORDERS)
        if self.restarts < 1:
            raise UsageError(f"restarts must be at least 1; got {self.restarts}")

    def of(self, model: MixtureModel, rows: Blocks, frame: Frame, m_step: MStep) -> tuple[Product, int]:
        """Return K initial components, and the number of rows that they were found from, at most 20,000.

        Args:
            model: the mixture.
            rows: in memory or in a file.
            frame: location and scale of the rows' numbers.
            m_step: of EM.
        """
        subset = Batch(random_rows(rows, INIT_ROWS))
        K, fit = len(model.product.weights), _Subset(subset, model.entries, frame, m_step)
        if self.order == "fixed":
            return self._best(K, fit), len(subset)
        found = [self._judged(k, fit) for k in range(1, min(K, len(subset)) + 1)]
        return min(found, key=lambda pair: pair[1])[0].padded(K), len(subset)

    def _best(self, K: int, fit: "_Subset") -> Product:
        """Return the most likely restart after a short run; a single one is not run."""
        if self.restarts == 1:
            return fit.start(K)
        runs = [list(fit.short_run(fit.start(K), steps=SHORT_RUN))[-1] for _ in range(self.restarts)]
        return max(runs, key=lambda run: float(run[1]))[0]

    def _judged(self, K: int, fit: "_Subset") -> tuple[Product, float]:
        """Return K fitted components and their criterion."""
        product, last = self._best(K, fit), float("-inf")
        for after, value in fit.short_run(product, steps=_LONG_RUN):
            product, gain, last = after, float(value) - last, float(value)
            if gain < self.tol:
                break
        p, n = product_parameters(fit.m_step.family, K, fit.entries), len(fit.rows)
        return product, bic(n * last, p, n) if self.order == "bic" else aic(n * last, p)


@dataclass(frozen=True)
class _Subset:
    """Rows that starts are compared on, and how EM is done on them."""

    rows: Batch
    entries: Entries
    frame: Frame
    m_step: MStep

    def start(self, K: int) -> Product:
        """Return K components from k-means++."""
        return product_start(self.rows.x, K, self.entries, self.frame, self.m_step)

    def short_run(self, product: Product, *, steps: int) -> Iterator[tuple[Product, Tensor]]:
        """Iterate over steps of EM: the components after each, and the mean log-likelihood before it."""
        for _ in range(steps):
            product, value = em_step(product, self.rows, self.frame, self.m_step)
            yield product, value
