"""Seeded randomness as pure functions of whole numbers, so that order and noise never depend on history."""

import numpy as np
import torch
from torch import Tensor

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_WORD = (1 << 64) - 1


def mix(*keys: int) -> int:
    """Hash whole numbers into a seed of 63 bits, so that (seed, epoch) and (seed + 1, epoch - 1) differ.

    Example:
        >>> mix(0, 1) == mix(0, 1), mix(0, 1) == mix(1, 0)
        (True, False)
    """
    state = np.zeros(1, dtype=np.uint64)
    for key in keys:
        state = _splitmix(state ^ np.uint64(key & _WORD))
    return int(state[0]) >> 1


def permutation(n: int, *keys: int) -> Tensor:
    """Return a random order of 0..n-1 that is a function of the keys alone."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(mix(*keys)))


def uniforms(numbers: Tensor, size: int, *keys: int) -> Tensor:
    """Return uniform numbers in [0, 1): entry (i, j) is a function of (keys, numbers[i], j) alone.

    A counter-based generator: splitmix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
    generators", figure 17) of a key per row, moved on by its golden-ratio step for every two entries.

    Args:
        numbers: (B,) int64 row numbers.
        size: D, the entries of a row.
        keys: further whole numbers, such as a seed and an epoch.

    Returns:
        (B, D) float32 on the grid of 2⁻²⁴.
    """
    rows = _splitmix(numbers.numpy().astype(np.uint64) ^ np.uint64(mix(*keys)))
    steps = np.arange(-(-size // 2), dtype=np.uint64) * _GOLDEN
    words = _splitmix(rows[:, None] + steps).astype("<u8", copy=False).view("<u4")[:, :size]
    return torch.from_numpy((words >> np.uint32(8)).astype(np.float32) * np.float32(2**-24))


def _splitmix(z: np.ndarray) -> np.ndarray:
    """Replace each state by its splitmix64 output (arithmetic modulo 2⁶⁴), in place: fresh pages are slow."""
    z += _GOLDEN
    shifted = z >> np.uint64(30)
    z ^= shifted
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= np.right_shift(z, np.uint64(27), out=shifted)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= np.right_shift(z, np.uint64(31), out=shifted)
    return z
