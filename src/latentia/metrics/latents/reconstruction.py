"""How well codes reconstruct the rows."""

from collections.abc import Callable

import torch
from torch import Tensor

from latentia.core.model import Decodes, Encodes
from latentia.core.objective import Batch
from latentia.functional.checks import same_shape
from latentia.metrics.evaluation import Evaluation, capable
from latentia.metrics.features import coordinates
from latentia.metrics.points import is_table
from latentia.metrics.samples.compared import read, table_points, unit_of
from latentia.metrics.score import Score, mean_score
from latentia.registry import metrics


@metrics.register("reconstruction-error", needs=(Encodes, Decodes), default=True)
def reconstruction_error(evaluation: Evaluation) -> Score:
    """Mean squared error per entry of the decoded mean code of held-out rows, in squared data units.

    The columns of tables are divided by their standard deviation in the training rows (``distances="raw"``: they are
    not). A category that is reconstructed as another one counts 1. Where cells are missing, each row's mean is of those
    that are there; a row without any counts 0.
    """
    encoder, decoder = capable(evaluation.model, Encodes), capable(evaluation.model, Decodes)
    as_points, spec = _points(evaluation), evaluation.rows.spec

    def squared_error(batch: Batch, _: torch.Generator) -> Tensor:
        z = encoder.encode(batch.x, batch.context).mean
        x_hat = decoder.decode(z, batch.context).mean
        same_shape(reconstruction=x_hat, x=batch.x)
        missing = batch.x.isnan()
        errors = as_points(x_hat) - as_points(torch.where(missing, x_hat, batch.x))
        return errors.square().sum(1) / (~missing).flatten(1).sum(1).clamp_min(1).to(errors.device)

    errors = evaluation.per_row(squared_error)
    about = {"distances": evaluation.settings.distances} if is_table(spec) else {}
    facts = {"unit": f"{unit_of(evaluation)}²", "settings": about}
    return mean_score("reconstruction-error", errors, kind="estimate", direction="lower", **facts)


def _points(evaluation: Evaluation) -> Callable[[Tensor], Tensor]:
    """Return what makes points of rows."""
    spec = evaluation.rows.spec
    if not is_table(spec):
        return lambda x: coordinates(spec.natural(x), spec.support)
    points = table_points(evaluation, evaluation.heldout.x)
    return lambda x: points(read(evaluation, x))
