"""The place where a training computes: its device, and its process among others."""

import torch

from latentia.errors import UsageError


def device_named(name: str | torch.device) -> torch.device:
    """Return a device that is there; `UsageError` names what is.

    Example:
        >>> device_named("cpu")
        device(type='cpu')
    """
    try:
        torch.zeros((), device=name)
    except (RuntimeError, AssertionError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise UsageError(f"there is no device {str(name)!r} here; there are: {', '.join(there)}") from error
    return torch.device(name)


def rank() -> int:
    """Return this process's number among those that train together."""
    return torch.distributed.get_rank() if _distributed() else 0


def world() -> int:
    """Return the number of processes that train together."""
    return torch.distributed.get_world_size() if _distributed() else 1


def agreed(decision: bool) -> bool:
    """Return the first process's decision, in all that train together."""
    if not _distributed():
        return decision
    decisions = [decision]
    torch.distributed.broadcast_object_list(decisions, src=0)
    return decisions[0]


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
