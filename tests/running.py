"""Small trainings, interrupted or watched, for tests of runs."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import latentia as lt

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
VAE = {"hidden": 6, "latent_dim": 2, "batch_size": 20, "progress": False}  # three steps an epoch


def vae(**options) -> lt.Run:
    return lt.fit("vae", X, **(VAE | options))


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


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
    """Let a number of files be written, and fail from then on as on a full disk."""
    left = [writes]
    plain = os.fsync

    def fsync(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(handle)

    monkeypatch.setattr(os, "fsync", fsync)
