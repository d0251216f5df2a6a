"""Small trainings, and what happens to them: what the tests of runs share."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor, nn

import latentia as lt

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
VAE = {"hidden": 6, "latent_dim": 2, "batch_size": 20, "progress": False}  # three steps an epoch


def vae(**options) -> lt.Run:
    return lt.fit("vae", X, **(VAE | options))


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(bool((a[name] == b[name]).all()) for name in a)


def contents(path: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file's bytes and time of writing."""
    found = (each for each in sorted(path.rglob("*")) if each.is_file())
    return {str(each.relative_to(path)): (each.read_bytes(), each.stat().st_mtime_ns) for each in found}


@contextmanager
def watching(monkeypatch, watch):
    """Call ``watch(state)`` after every step of a fit."""

    @contextmanager
    def bar(*_, **__):
        yield watch

    with monkeypatch.context() as patched:
        patched.setattr("latentia.runs.fit.progress_bar", bar)
        yield


def full_disk(monkeypatch, writes: int) -> None:
    """Let so many files be written whole, and none after them."""
    left = [writes]
    plain = os.fsync

    def fsync(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(handle)

    monkeypatch.setattr(os, "fsync", fsync)
