"""Rows as models take them, in blocks."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from latentia.data.ingest.arrays import as_tensor
from latentia.runs.run import Run

_BLOCK = 256  # rows that the model is given at once


def taken(run: Run, rows: np.ndarray) -> Tensor:
    """Return checked rows as a run's model takes them: in the precision that it computes in."""
    if run.recipe.transform is not None or run.spec.is_shifted:
        return run.rows(rows)
    return as_tensor(rows).to(run.device, dtype_of(run.model))


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return float64 for models that are all in it, as closed forms are; torch's default for networks."""
    found = {tensor.dtype for tensor in model.state_dict().values() if tensor.is_floating_point()}
    return torch.float64 if found == {torch.float64} else torch.get_default_dtype()


@torch.no_grad()
def by_blocks(function: Callable[[Tensor], Tensor], x: Tensor) -> np.ndarray:
    """Return function(x), read in blocks of one size, the last of them filled up with copies of its last row.

    A matrix product rounds a row differently in a smaller batch. So a row's result is the same, to the
    last bit, wherever it is and whatever rows it comes with.
    """
    parts: list[Tensor] = []
    for block in x.split(_BLOCK):
        filling = block[-1:].expand(_BLOCK - len(block), *block.shape[1:])
        parts.append(function(torch.cat([block, filling]))[: len(block)])
    return torch.cat(parts).cpu().numpy()
