"""The semi-supervised objective: bounds for rows with and without a label, and a classification loss."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import DataError, UsageError
from latentia.functional.semi_supervised import enumerated_bound
from latentia.models.semi_supervised import SemiSupervised

_BLOCK = 4096


class SemiSupervisedBound(Objective):
    """Maximise bounds of log p(x, y) of labelled rows and of log p(x) of others, plus a classification term.

    loss = -mean_i [y_i known: L(x_i, y_i), else U(x_i)] - weight · mean over labelled rows of log q(y_i | x_i), nats,
    L(x, y) = E_q[log p(x | z, y)] - KL(q(z | x, y) ‖ p(z)) + log p(y), U(x) = Σ_y q(y | x) L(x, y) + H(q(y | x))

    Both means are estimated without bias from a batch, whatever number of its rows is labelled.

    Args:
        model: what is learned.
        columns: columns of a batch's context for the model's classes, in its order; a row with 0 in all has no label.
        weight: of the classifier's term; Kingma's α is this times the number of rows.
        labelled: number of rows that keep their label, equally many of each class; None: all.
        draws: draws of z for each row and class, which are averaged.

    Raises:
        UsageError: for options out of range.

    References:
        Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep generative models, eq. 6-9.
    """

    model: SemiSupervised
    kept: Tensor
    labelled_fraction: Tensor
    loss_functions: ClassVar[tuple[str, ...]] = ("terms",)

    def __init__(
        self,
        model: SemiSupervised,
        *,
        columns: Sequence[int],
        weight: float = 0.1,
        labelled: int | None = None,
        draws: int = 1,
    ) -> None:
        super().__init__()
        if weight < 0 or draws < 1:
            raise UsageError(f"weight must be at least 0 and draws at least 1; got {weight} and {draws}")
        if labelled is not None and labelled < len(columns):
            raise UsageError(f"labelled={labelled} is fewer than one row for each of {len(columns)} classes")
        self.model, self.columns = model, list(columns)
        self.weight, self.labelled, self.draws = weight, labelled, draws
        self.register_buffer("kept", torch.zeros(labelled or 0, dtype=torch.int64))
        self.register_buffer("labelled_fraction", torch.ones(()))

    def players(self) -> Mapping[str, nn.Module]:
        """Return the one player."""
        return {"model": self.model}

    def begin(self, rows: Blocks) -> None:
        """Choose the rows that keep their label, and initialise the model from the rows.

        Raises:
            DataError: for fewer labelled rows than ``labelled``.
        """
        self.model.begin(rows)
        blocks = [(block.index, self.classes_of(block)) for block in rows.blocks(_BLOCK)]
        y = torch.cat([classes for _, classes in blocks])
        known = y.sum(1) > 0
        if not known.any():
            raise DataError("no row is labelled: nothing says which class is which")
        if self.labelled is None:
            self.labelled_fraction.fill_(known.float().mean())
            return
        if int(known.sum()) < self.labelled:
            raise DataError(f"labelled={self.labelled} needs as many labelled rows; got {int(known.sum())}")
        numbers = [index for index, _ in blocks if index is not None]
        if len(numbers) < len(blocks):
            raise UsageError("labelled= chooses rows by their index; the batches of a DataLoader have none")
        chosen = _evenly(y.argmax(1), known)[: self.labelled]
        self.kept.copy_(torch.cat(numbers)[chosen].sort().values)
        self.labelled_fraction.fill_(self.labelled / len(y))

    def classes_of(self, batch: Batch) -> Tensor:
        """Return the rows' one-hot classes, (B, C); 0 for unlabelled rows.

        Raises:
            DataError: for rows without labels.
        """
        if batch.context is None and not batch.attributes:
            raise DataError("semi-supervised learning needs labels for some rows; got none")
        return self.model.context_encoder(batch)[:, self.columns]

    def step(self, batch: Batch) -> Step:
        """Minimise the loss by one step."""
        y = self.classes_of(batch)
        if self.labelled is not None and batch.index is not None:
            y = y * torch.isin(batch.index, self.kept)[:, None]
        bound, log_q, reconstruction, kl = self.terms(batch.x, y)
        classified = log_q / self.labelled_fraction
        loss = -bound - self.weight * classified
        yield "model", loss
        logged = {"loss": loss, "elbo": bound, "reconstruction": reconstruction, "kl": kl}
        return {name: value.detach() for name, value in (logged | {"cross_entropy": -classified}).items()}

    def terms(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the bound, log q(y | x) of labelled rows, and the bound's two terms: means over all rows."""
        log_q, known = self.model.class_log_probs(x), y.sum(1)
        reconstruction, kl = self.model.bounds(x, self.draws)
        bounds = reconstruction - kl + self.model.log_prior
        bound = known * (y * bounds).sum(1) + (1 - known) * enumerated_bound(bounds, log_q)
        q = torch.where(known[:, None] > 0, y, log_q.exp())
        classified = (y * log_q).sum(1)
        return bound.mean(), classified.mean(), (q * reconstruction).sum(1).mean(), (q * kl).sum(1).mean()


def _evenly(classes: Tensor, known: Tensor) -> Tensor:
    """Return the indices of labelled rows in a random order that takes one row of each class in turn."""
    order = torch.randperm(len(classes), device=classes.device)
    order = order[known[order]]
    turn = torch.zeros_like(order)
    for number in classes.unique():
        mine = classes[order] == number
        turn[mine] = torch.arange(int(mine.sum()), device=turn.device)
    return order[turn.argsort(stable=True)]
