"""Randomness from a generator that the caller passes, for code that takes none."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def using_generator(*generators: torch.Generator | None) -> Generator[None]:
    """Draw from given generators where torch draws from its global ones (torch.distributions, dropout).

    Each generator replaces its device's global state and keeps what it has become; the global state is put
    back. None leaves torch's own in place.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> with using_generator(generator):
        ...     a = torch.rand(2)
        >>> bool((a == torch.rand(2, generator=torch.Generator().manual_seed(0))).all())
        True
    """
    own = [each for each in generators if each is not None and each is not torch.default_generator]
    outside = [_global_state(generator.device) for generator in own]
    for generator in own:
        _set_global_state(generator.device, generator.get_state())
    try:
        yield
    finally:
        for generator, state in zip(own, outside, strict=True):
            generator.set_state(_global_state(generator.device))
            _set_global_state(generator.device, state)


def _global_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_global_state(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
