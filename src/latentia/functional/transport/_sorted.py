"""W_p^p of many pairs of one-dimensional samples of equal size: rows are sorted by NumPy, in threads.

NumPy sorts contiguous rows with vector instructions and releases the interpreter's lock meanwhile.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

Array = NDArray[Any]

_CHUNK = 2**16  # values that a thread works on at once: they stay in its cache
_ALONE = 2**15  # fewer values are sorted faster than threads start
_MOST_INDICES = (
    2**28
)  # an index that fits into a float64 together with a float32, with a bit to spare for rounding


def row_costs(x: Tensor, y: Tensor, p: float) -> Tensor:
    """Return W_p^p = mean_i |x_(i) − y_(i)|^p of every pair of rows, x_(i) being the i-th smallest.

    ∂/∂x_(i) = (p/n) sign(x_(i) − y_(i)) |x_(i) − y_(i)|^(p−1), and its negative for y, implemented by hand and
    once differentiable. The sorted order is constant almost everywhere.

    Args:
        x: (L, n) finite float32 or float64 values on a CPU.
        y: (L, n) likewise.
        p: the power, at least 1.

    Returns:
        (L,) float64; differentiable in x and y.

    Reference: Peyré & Cuturi (2019), Computational Optimal Transport, eq. 2.33.

    Example:
        >>> row_costs(torch.tensor([[0.0, 1.0]]), torch.tensor([[4.0, 2.0]]), p=2)
        tensor([6.5000], dtype=torch.float64)
    """
    return _RowCosts.apply(x, y, p)  # type: ignore[no-any-return]


class _RowCosts(torch.autograd.Function):
    """Sort, with the order only where a gradient is required, which takes twice as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, p: float) -> Tensor:
        x_rows, y_rows = x.detach().contiguous().numpy(), y.detach().contiguous().numpy()
        costs = np.empty(len(x_rows))
        slopes = [np.empty_like(x_rows) if needed else None for needed in ctx.needs_input_grad[:2]]

        def work(rows: slice) -> None:
            a, a_order = _sorted(x_rows[rows], with_order=slopes[0] is not None)
            b, b_order = _sorted(y_rows[rows], with_order=slopes[1] is not None)
            gaps = np.subtract(a, b, out=a)
            if any(ctx.needs_input_grad):
                slope = _slope(gaps, p)
                _scatter(slopes[0], rows, a_order, slope)
                _scatter(slopes[1], rows, b_order, -slope)
            costs[rows] = _mean_power(gaps, p)

        _in_threads(work, len(x_rows), x_rows.shape[1])
        ctx.save_for_backward(*(None if slope is None else torch.from_numpy(slope) for slope in slopes))
        return torch.from_numpy(costs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        slope_x, slope_y = (
            None if slope is None else slope * grad.to(slope.dtype)[:, None] for slope in ctx.saved_tensors
        )
        return slope_x, slope_y, None


def _sorted(values: Array, *, with_order: bool) -> tuple[Array, Array | None]:
    """Return rows in ascending order, and optionally the index that each value came from."""
    if not with_order:
        return np.sort(values, axis=1), None
    if values.dtype != np.float32 or values.shape[1] > _MOST_INDICES:
        order = np.argsort(values, axis=1)
        return np.take_along_axis(values, order, 1), order
    return _sorted_with_indices(values)


def _sorted_with_indices(values: Array) -> tuple[Array, Array]:
    """Sort float32 rows with their indices in the 29 bits that a float64 has to spare: faster than argsort."""
    keys = values.astype(np.float64)
    bits = keys.view(np.int64)
    bits |= np.arange(values.shape[1])
    keys.sort(axis=1)
    return keys.astype(np.float32), bits & (2 * _MOST_INDICES - 1)


def _mean_power(gaps: Array, p: float) -> Array:
    """Return mean |gap|^p of each row in float64; the gaps are overwritten."""
    if p == 1:
        return np.abs(gaps, out=gaps).mean(1, dtype=np.float64)
    if p == 2:
        return np.square(gaps, out=gaps).mean(1, dtype=np.float64)
    return (np.abs(gaps).astype(np.float64) ** p).mean(1)


def _slope(gaps: Array, p: float) -> Array:
    """Return the derivative of a row's mean |gap|^p with respect to each gap."""
    n = gaps.shape[1]
    if p == 1:
        return np.sign(gaps) / n
    if p == 2:
        return gaps * (2 / n)
    return (np.sign(gaps) * (p / n) * np.abs(gaps).astype(np.float64) ** (p - 1)).astype(gaps.dtype)


def _scatter(out: Array | None, rows: slice, order: Array | None, values: Array) -> None:
    """Write each row's values to the indices they came from; row by row is twice as fast as ``put_along_axis``."""
    if out is not None and order is not None:
        for row, indices, those in zip(out[rows], order, values, strict=True):
            row[indices] = those


def _in_threads(work: Callable[[slice], None], n: int, width: int) -> None:
    """Work on all rows, chunk by chunk, in as many threads as torch uses."""
    chunks = list(_chunks(n, width))
    threads = min(torch.get_num_threads(), len(chunks))
    if threads == 1 or n * width <= _ALONE:
        for rows in chunks:
            work(rows)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, chunks):  # raises what a thread raised
            pass


def _chunks(n: int, width: int) -> Iterator[slice]:
    size = max(1, min(_CHUNK // width, -(-n // torch.get_num_threads())))
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))
