"""Arrays that are more than their buffer: sparse, masked, structured and quantised ones, as plain arrays."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from latentia.data.spec import Support, infer_support
from latentia.errors import DataError, DataWarning

if TYPE_CHECKING:
    import pandas as pd

_SMALL_FLOATS = frozenset(
    kind
    for name, kind in vars(torch).items()
    if name.startswith(("float8", "bfloat16")) and isinstance(kind, torch.dtype)
)


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse array or matrix of SciPy."""
    sparse = sys.modules.get("scipy.sparse")  # there is none where it has not been imported
    return sparse is not None and bool(sparse.issparse(x))


def is_structured(x: Any) -> bool:
    """Whether x is an array of records, with named fields."""
    return isinstance(x, np.ndarray) and x.dtype.names is not None


def dense(x: Any, name: str) -> Any:
    """Return arrays of SciPy and tensors of every layout as plain arrays and tensors; anything else as it is.

    Raises:
        DataError: for a tensor without values, and for nested rows of different shapes.

    Example:
        >>> dense(torch.eye(2).to_sparse(), "data")
        tensor([[1., 0.],
                [0., 1.]])
    """
    if is_sparse(x):
        return x.toarray()
    if not isinstance(x, Tensor):
        return x
    if x.is_meta:
        raise DataError(f"{name} is a tensor on the meta device, which has a shape and no values")
    if x.is_nested:
        return _stacked(x, name)
    x = x.dequantize() if x.is_quantized else x
    x = x.to_dense() if x.layout != torch.strided else x
    return x.float() if x.dtype in _SMALL_FLOATS else x


def _stacked(x: Tensor, name: str) -> Tensor:
    rows = x.detach().unbind()
    if len({row.shape for row in rows}) != 1:
        raise DataError(f"{name} is no array: its rows have different shapes")
    return torch.stack(rows)


def without_mask(x: Any, support: Support | None, name: str) -> tuple[Any, Support | None]:
    """Return a masked array with NaN where it is masked, and its support, in which entries may be missing.

    Args:
        x: any array; one without a mask is returned as it is.
        support: what was declared; None infers it from what is not masked.
        name: what to call the data in messages.

    Raises:
        DataError: where all is masked.

    Warns:
        DataWarning: of masked entries, with their number.

    Example:
        >>> without_mask(np.ma.masked_array([[0, 1], [1, 1]]), None, "data")[0].tolist()  # nothing is masked
        [[0, 1], [1, 1]]
    """
    if not isinstance(x, np.ma.MaskedArray):
        return x, support
    known = x.compressed()
    if len(known) == x.size:
        return np.asarray(x), support
    if not len(known):
        raise DataError(f"{name} has no entry that is not masked")
    if x.dtype.kind not in "biuf":
        return x.filled(), support
    note = f"{name}: {x.size - len(known)} of {x.size} entries are masked, and read as missing"
    warnings.warn(note, DataWarning, stacklevel=3)
    found = support or infer_support(x.filled(known[0])).or_missing
    return np.where(np.ma.getmaskarray(x), np.nan, x.data.astype(np.float64)), found


def frame_of_records(x: np.ndarray, name: str) -> pd.DataFrame:
    """Return an array of records as a table with a column for each field.

    Raises:
        DataError: for an array of another shape than (n,), and for fields that are arrays themselves.
    """
    import pandas as pd

    wide = [field for field in x.dtype.names or () if x.dtype[field].shape or x.dtype[field].names]
    if x.ndim != 1 or wide:
        what = f"its field {wide[0]!r} holds arrays" if wide else f"its shape is {x.shape}"
        raise DataError(f"{name} is an array of records, and {what}: give (n,) records of single values")
    return pd.DataFrame({field: _field(x[field]) for field in x.dtype.names or ()})


def _field(values: np.ndarray) -> Any:
    """Return a field in this machine's byte order, bytes as text, masked values as missing."""
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind == "S":
        native = np.char.decode(np.asarray(native), "utf-8", "replace")
    if isinstance(native, np.ma.MaskedArray) and native.mask.any():
        return native.astype(object).filled(None)  # pyright: ignore[reportAttributeAccessIssue]
    return np.asarray(native)
