"""The margins of rows, for encodings that keep them."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from latentia.data.margins import Margin
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec
from latentia.data.support import Support

_BLOCK = 65536
_STEPS = 100  # of probability between the quantiles that are kept
_PSEUDO = 0.5  # added to each count, so that no rate is 0


def with_margins(rows: Rows, *, quantiles: bool = False) -> Rows:
    """Return rows of a table whose spec knows the margins of its columns.

    Args:
        rows: of a table.
        quantiles: whether those of numbers are to be known too.

    Example:
        >>> from latentia.data.spec import DataSpec
        >>> spec = DataSpec((1,), Support.parse("categorical(3) or missing"))
        >>> rows = Rows(torch.tensor([[0.0], [2.0], [2.0], [float("nan")]]), spec)
        >>> [round(rate, 3) for rate in with_margins(rows).spec.margins[0].rates]
        [0.333, 0.111, 0.556]
    """
    supports = rows.spec.support.columns or (rows.spec.support,) * rows.spec.size
    blocks = [batch.x.double() for batch in rows.blocks(_BLOCK)]
    columns = (torch.cat([x[:, j] for x in blocks]) for j in range(len(supports)))
    margins = [_margin(x, each, quantiles) for x, each in zip(columns, supports, strict=True)]
    return replace(rows, spec=replace(rows.spec, margins=tuple(margins)))


def in_units_of(spec: DataSpec, rows: Rows) -> Rows:
    """Return rows that are read as those of a spec are: less its offsets, in its units, and with its margins.

    Args:
        spec: of the rows that a model was fitted to.
        rows: others of the same columns.
    """
    units = {"offsets": spec.offsets, "scales": spec.scales, "margins": spec.margins, "table": spec.table}
    return replace(rows, spec=replace(rows.spec, **units))


def _margin(x: Tensor, support: Support, quantiles: bool) -> Margin:
    there = x[~x.isnan()]
    gaps = float((len(x) - len(there) + _PSEUDO) / (len(x) + 2 * _PSEUDO))
    levels = 2 if support.kind == "binary" else support.levels
    if levels is not None:
        counts = torch.bincount(there.long(), minlength=levels).double() + _PSEUDO
        return Margin(gaps, rates=tuple((counts / counts.sum()).tolist()))
    if not len(there):
        return Margin(gaps)
    # NumPy's, since torch.quantile takes at most 16 million numbers
    known = tuple(np.quantile(there.numpy(), np.linspace(0, 1, _STEPS + 1)).tolist()) if quantiles else ()
    return Margin(gaps, float(there.mean()), float(there.std(correction=0)) or 1.0, quantiles=known)
