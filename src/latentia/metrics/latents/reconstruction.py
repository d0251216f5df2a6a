"""How well codes reconstruct the rows."""

import torch
from torch import Tensor

from latentia.core.model import Decodes, Encodes
from latentia.core.objective import Batch
from latentia.functional.checks import same_shape
from latentia.metrics.evaluation import Evaluation, capable
from latentia.metrics.features import coordinates
from latentia.metrics.score import Score, mean_score
from latentia.registry import metrics


@metrics.register("reconstruction-error", needs=(Encodes, Decodes), default=True)
def reconstruction_error(evaluation: Evaluation) -> Score:
    """Mean squared error per entry of the decoded mean code of held-out rows, in squared data units.

    A category that is reconstructed as another one counts 1. Where cells are missing, each row's mean is of those that
    are there; a row without any counts 0.
    """
    support = evaluation.rows.spec.support
    encoder, decoder = capable(evaluation.model, Encodes), capable(evaluation.model, Decodes)

    def squared_error(batch: Batch, _: torch.Generator) -> Tensor:
        z = encoder.encode(batch.x, batch.context).mean
        x_hat = decoder.decode(z, batch.context).mean
        same_shape(reconstruction=x_hat, x=batch.x)
        missing = batch.x.isnan()
        errors = coordinates(x_hat, support) - coordinates(torch.where(missing, x_hat, batch.x), support)
        return errors.square().sum(1) / (~missing).flatten(1).sum(1).clamp_min(1)

    errors = evaluation.per_row(squared_error)
    return mean_score("reconstruction-error", errors, unit="data units²", kind="estimate", direction="lower")
