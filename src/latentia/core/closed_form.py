"""Closed forms: objectives that are solved in one step on the whole set."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Metrics, Objective, Step


class ClosedForm(Objective, ABC):
    """An objective without players: one step on the whole set solves it, and it has finished.

    Attributes:
        done: whether the step is done; a buffer, so that it is saved.
    """

    done: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("done", torch.tensor(False))

    @property
    def finished(self) -> bool:  # pyright: ignore
        """Whether the one step is done."""
        return bool(self.done)

    def players(self) -> Mapping[str, nn.Module]:
        """Return none: the solution is in closed form."""
        return {}

    def begin(self, rows: Blocks) -> None:  # noqa: ARG002  (read in the step)
        """Forget an earlier training."""
        self.done.fill_(False)

    def step(self, batch: Batch) -> Step:
        """Solve for the model on all rows."""
        yield from ()
        with torch.no_grad():
            metrics = self.solve(batch)
        self.done.fill_(True)
        return metrics

    @abstractmethod
    def solve(self, rows: Blocks) -> Metrics:
        """Set the model's parameters to the solution, without gradient; return what to log."""
