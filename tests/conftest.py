"""Fixtures and settings of all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.draws import seeded

torch.set_num_threads(1)  # one thread per test worker: more of them collapse by 5 to 30 times

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as a shell's background jobs begin, which Ctrl-C passes by
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _global_state_is_left_alone():
    """No test, and so no code that it runs, may leave torch's global switches changed."""
    before = torch.is_grad_enabled(), torch.get_default_dtype()
    yield
    assert (torch.is_grad_enabled(), torch.get_default_dtype()) == before


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """Return 200 of scikit-learn's digits: (200, 8, 8) integers 0..16."""
    from sklearn.datasets import load_digits

    return load_digits().images[:200].astype(np.int64)


@pytest.fixture
def seeded_draws() -> Iterator[None]:
    """Draw from torch's global generator as from seed 0, and put it back."""
    with seeded():
        yield


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return the path of a run folder that does not exist yet."""
    return tmp_path / "run"
