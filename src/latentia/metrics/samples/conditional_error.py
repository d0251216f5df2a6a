"""How well rows are generated from their factors."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from latentia.core.model import Generative
from latentia.core.objective import Batch
from latentia.functional.checks import same_shape
from latentia.metrics.evaluation import Evaluation, capable
from latentia.metrics.score import Score, mean_score
from latentia.registry import metrics


@runtime_checkable
class Renders(Protocol):
    """A model that generates one row, without noise, from given factors."""

    def generate(self, context: Tensor) -> Tensor:
        """Return the row of each code of factors."""
        ...


@metrics.register("factor-error", needs=(Generative, Renders), default=True)
def conditional_error(evaluation: Evaluation) -> Score:
    """Mean squared error per entry of the row generated from each held-out row's own factors, in squared data units."""
    model = capable(evaluation.model, Generative)

    def squared_error(batch: Batch, generator: torch.Generator) -> Tensor:
        made = model.sample(len(batch), batch.context, generator=generator)
        same_shape(made=made, x=batch.x)
        return (made - batch.x).square().flatten(1).mean(1)

    errors = evaluation.per_row(squared_error)
    return mean_score("factor-error", errors, unit="data units²", kind="estimate", direction="lower")
