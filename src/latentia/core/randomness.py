"""Randomness from a generator that the caller passes, for code that takes none."""

from collections.abc import Generator
from contextlib import contextmanager

import torch


class Swap:
    """Draw from given generators in a ``with``, again and again: `using_generator` without the time to set it up.

    Args:
        generators: one for each device, none of them torch's own.
    """

    def __init__(self, *generators: torch.Generator) -> None:
        self.generators = generators
        self.outside: list[torch.Tensor] = []

    def __enter__(self) -> None:
        """Let each generator's state be its device's global one."""
        self.outside = [_global_state(each.device) for each in self.generators]
        for each in self.generators:
            _set_global_state(each.device, each.get_state())

    def __exit__(self, *_: object) -> None:
        """Let each generator keep what it has become, and put the global state back."""
        for each, state in zip(self.generators, self.outside, strict=True):
            each.set_state(_global_state(each.device))
            _set_global_state(each.device, state)


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
    with Swap(*own):
        yield


def _global_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_global_state(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
