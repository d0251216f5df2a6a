"""Missing cells of rows, drawn given the others by a Markov chain on the codes of a latent variable model."""

from dataclasses import replace

import torch
from torch import Tensor

from latentia.core.model import LatentVariableModel
from latentia.data.spec import DataSpec
from latentia.distributions.likelihoods.gaps import complete
from latentia.errors import UsageError


def imputed(
    model: LatentVariableModel, data: DataSpec, x: Tensor, context: Tensor | None, steps: int
) -> Tensor:
    """Return rows (B, *event) with missing cells, NaN, drawn from p(missing | present) by some steps of a chain.

    A step proposes z' ~ q(z | x), accepts it with probability min(1, p(x, z') q(z | x) / (p(x, z) q(z' | x))), and
    draws the missing cells from p(x | z). Encoder and likelihood read gaps that the data may have; in the place of
    others they read the cells of the last draw, at first those of a sample.

    Args:
        model: p(z), p(x | z) and q(z | x).
        data: what a row is.
        x: the rows.
        context: (B, c) what to condition on, for conditional models.
        steps: at least 1.

    Raises:
        DataError: for rows of another shape, or values outside the support.
        UsageError: for fewer steps than 1.
    """
    replace(data, support=data.support.or_missing).check(x)
    if steps < 1:
        raise UsageError(f"steps must be at least 1; got {steps}")
    missing = x.isnan()
    unread = missing & ~_readable(data, x)
    start = model.prior_distribution().sample(torch.Size((len(x),)))
    whole, z = torch.where(missing, _cells(model, data, start, context), x), None
    for _ in range(steps):
        z = _step(model, torch.where(unread, whole, x), context, z)
        whole = torch.where(missing, _cells(model, data, z, context), x)
    return whole


def _step(model: LatentVariableModel, x: Tensor, context: Tensor | None, z: Tensor | None) -> Tensor:
    """Return codes (B, d) after one step from the present ones; at first, draws from q(z | x)."""
    q = model.encode(x, context)
    proposed = q.sample()
    if z is None:
        return proposed
    both = torch.stack([proposed, z])
    log_p = model.reconstruction(both, x, context) + model.prior_distribution().log_prob(both)
    log_w = log_p - q.log_prob(both)
    accepted = torch.rand_like(log_w[0]).log() < log_w[0] - log_w[1]
    return torch.where(accepted[:, None], proposed, z)


def _cells(model: LatentVariableModel, data: DataSpec, z: Tensor, context: Tensor | None) -> Tensor:
    """Draw complete rows from p(x | z), in the support."""
    return data.support.present.project(complete(model.decode(z, context)).sample())


def _readable(data: DataSpec, x: Tensor) -> Tensor:
    """Return where an encoder reads gaps, as a mask that applies to rows (B, *event)."""
    support = data.support
    return torch.tensor([each.missing for each in support.columns or (support,)], device=x.device)
