"""Initialisation of EM: the best of several short runs, and the number of components by a criterion."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from latentia.core.objective import Batch, Blocks
from latentia.errors import UsageError
from latentia.functional.likelihood.information_criteria import aic, bic
from latentia.functional.mixtures.components import Components, free_parameters
from latentia.models.mixture import MixtureModel
from latentia.models.mixture_init import Frame, kmeans_start, random_rows
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

    def of(self, model: MixtureModel, rows: Blocks, frame: Frame, ridge: Tensor) -> tuple[Components, int]:
        """Return K initial components, and the number of rows that they were found from, at most 20,000.

        Args:
            model: the mixture.
            rows: in memory or in a file.
            frame: location and scale of the rows.
            ridge: (D,) added to the variances.
        """
        subset = Batch(random_rows(rows, INIT_ROWS))
        K = len(model.components.weights)
        if self.order == "fixed":
            return self._best(K, model, subset, frame, ridge), len(subset)
        found = [self._judged(k, model, subset, frame, ridge) for k in range(1, min(K, len(subset)) + 1)]
        return min(found, key=lambda pair: pair[1])[0].padded(K), len(subset)

    def _best(self, K: int, model: MixtureModel, subset: Batch, frame: Frame, ridge: Tensor) -> Components:
        """Return the most likely restart after a short run; a single one is not run."""

        def start() -> Components:
            return kmeans_start(subset.x, K, model.covariance, frame, ridge)

        if self.restarts == 1:
            return start()
        runs = [
            list(short_run(start(), model, subset, frame, ridge, steps=SHORT_RUN))[-1]
            for _ in range(self.restarts)
        ]
        return max(runs, key=lambda run: float(run[1]))[0]

    def _judged(
        self, K: int, model: MixtureModel, subset: Batch, frame: Frame, ridge: Tensor
    ) -> tuple[Components, float]:
        """Return K fitted components and their criterion."""
        components, last = self._best(K, model, subset, frame, ridge), float("-inf")
        for after, value in short_run(components, model, subset, frame, ridge, steps=_LONG_RUN):
            components, gain, last = after, float(value) - last, float(value)
            if gain < self.tol:
                break
        p, n = free_parameters(model.covariance, K, model.data.size), len(subset)
        return components, bic(n * last, p, n) if self.order == "bic" else aic(n * last, p)


def short_run(
    components: Components, model: MixtureModel, rows: Blocks, frame: Frame, ridge: Tensor, *, steps: int
) -> Iterator[tuple[Components, Tensor]]:
    """Iterate over steps of EM: the components after each, and the mean log-likelihood before it."""
    for _ in range(steps):
        components, value = em_step(components, model, rows, frame, ridge)
        yield components, value
