"""The semi-supervised objective: a bound of rows with and without their class, and a classifier learned with it."""

from __future__ import annotations

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
    """Raise the bound of log p(x, y) of labelled rows and of log p(x) of the others, and the classifier's own term.

    loss = -mean_i [y_i known: L(x_i, y_i), else U(x_i)] - weight · mean over labelled rows of log q(y_i | x_i), nats,
    L(x, y) = E_q[log p(x | z, y)] - KL(q(z | x, y) ‖ p(z)) + log p(y), U(x) = Σ_y q(y | x) L(x, y) + H(q(y | x))

    A batch estimates both means without bias, however few of its rows are labelled.

    Args:
        model: what is learned.
        columns: of a batch's context, those of the model's classes, in its order; a row with 0 in all has no class.
        weight: of the classifier's term; Kingma's α is this times the number of rows.
        labelled: how many rows keep their class, drawn in equal numbers of each class; None keeps all.
        draws: of z for each row and class, averaged.

    Raises:
        UsageError: for numbers that mean nothing.

    References:
        Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep generative models, eq. 6-9.
    """

    model: SemiSupervised
    kept: Tensor
    share: Tensor
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
        self.register_buffer("share", torch.ones(()))

    def players(self) -> Mapping[str, nn.Module]:
        """Return the one player."""
        return {"model": self.model}

    def begin(self, rows: Blocks) -> None:
        """Choose the rows that keep their class, and take from the rows what the model needs.

        Raises:
            DataError: for rows of which fewer are labelled than are to be.
        """
        self.model.begin(rows)
        blocks = [(block.index, self.classes_of(block)) for block in rows.blocks(_BLOCK)]
        y = torch.cat([classes for _, classes in blocks])
        known = y.sum(1) > 0
        if not known.any():
            raise DataError("no row is labelled: the classes cannot be told apart")
        if self.labelled is None:
            self.share.fill_(known.float().mean())
            return
        if int(known.sum()) < self.labelled:
            raise DataError(f"labelled={self.labelled} rows are to be labelled; {int(known.sum())} are")
        numbers = [index for index, _ in blocks if index is not None]
        if len(numbers) < len(blocks):
            raise UsageError("labelled= chooses rows by their numbers, which a DataLoader's have not")
        chosen = _evenly(y.argmax(1), known)[: self.labelled]
        self.kept.copy_(torch.cat(numbers)[chosen].sort().values)
        self.share.fill_(self.labelled / len(y))

    def classes_of(self, batch: Batch) -> Tensor:
        """Return the rows' classes one-hot, (B, C); 0 where they are not known.

        Raises:
            DataError: for rows without labels.
        """
        if batch.context is None and not batch.attributes:
            raise DataError("semi-supervised learning needs labels of some rows; these have none")
        return self.model.context_encoder(batch)[:, self.columns]

    def step(self, batch: Batch) -> Step:
        """Descend the loss once."""
        y = self.classes_of(batch)
        if self.labelled is not None and batch.index is not None:
            y = y * torch.isin(batch.index, self.kept)[:, None]
        bound, log_q, reconstruction, kl = self.terms(batch.x, y)
        classified = log_q / self.share
        loss = -bound - self.weight * classified
        yield "model", loss
        logged = {"loss": loss, "elbo": bound, "reconstruction": reconstruction, "kl": kl}
        return {name: value.detach() for name, value in (logged | {"cross_entropy": -classified}).items()}

    def terms(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the bound, log q(y | x) where y is known and 0 elsewhere, and the bound's parts: means over rows."""
        log_q, known = self.model.class_log_probs(x), y.sum(1)
        reconstruction, kl = self.model.bounds(x, self.draws)
        bounds = reconstruction - kl + self.model.log_prior
        bound = known * (y * bounds).sum(1) + (1 - known) * enumerated_bound(bounds, log_q)
        q = torch.where(known[:, None] > 0, y, log_q.exp())
        told = (y * log_q).sum(1)
        return bound.mean(), told.mean(), (q * reconstruction).sum(1).mean(), (q * kl).sum(1).mean()


def _evenly(classes: Tensor, known: Tensor) -> Tensor:
    """Return the numbers of labelled rows in a random order that takes one row of each class in turn."""
    order = torch.randperm(len(classes), device=classes.device)
    order = order[known[order]]
    turn = torch.zeros_like(order)
    for number in classes.unique():
        mine = classes[order] == number
        turn[mine] = torch.arange(int(mine.sum()), device=turn.device)
    return order[turn.argsort(stable=True)]
