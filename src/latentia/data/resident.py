"""Rows made ready for a training: transformed once where that is the same each time, and kept on its device."""

from dataclasses import replace

import torch
from torch import Tensor

from latentia.data.rows import Rows

_MOST = 1 << 30  # bytes, where a device does not say how many are free
_BLOCK = 4096  # rows that are transformed at once


def resident(rows: Rows, device: torch.device) -> Rows:
    """Return the same rows, read without work or copies at each step where they fit into memory.

    A transform to which every epoch is the same is applied once. Off the CPU the rows, their numbers and attributes
    then live on the device, as they are stored (bytes stay bytes), unless a transform is left: it reads row numbers on
    the CPU. Rows that take more than half of what is free stay where they are.

    Args:
        rows: to train on.
        device: where the training computes.

    Example:
        >>> from latentia.data.spec import DataSpec, Support
        >>> rows = Rows(torch.zeros(4, 2, dtype=torch.uint8), DataSpec((2,), Support("binary")))
        >>> resident(rows, torch.device("meta")).take(torch.tensor([1], device="meta")).x.device
        device(type='meta')
    """
    free = _free(device)
    if rows.transform is not None and rows.transform.fixed:
        rows = _applied(rows) if 4 * len(rows) * rows.spec.size <= free else rows
    if device.type == "cpu" or rows.transform is not None or not isinstance(rows.store, Tensor):
        return rows
    return _moved(rows, rows.store, device) if rows.store.nbytes <= free else rows


def _applied(rows: Rows) -> Rows:
    """Return the rows as a tensor of what their transform makes of them, under their numbers in this selection."""
    x = torch.cat([block.x for block in rows.blocks(_BLOCK)])
    return replace(rows, store=x, transform=None, stored=None, numbers=None)


def _moved(rows: Rows, store: Tensor, device: torch.device) -> Rows:
    numbers = None if rows.numbers is None else rows.numbers.to(device)
    attributes = {name: values.to(device) for name, values in rows.attributes.items()}
    return replace(rows, store=store.to(device), numbers=numbers, attributes=attributes)


def _free(device: torch.device) -> int:
    """Return how many bytes rows may take on a device."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else _MOST
