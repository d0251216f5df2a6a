"""What a command imports: help shows without torch, and a fit does without what it does not use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "numpy", "pandas", "sklearn", "scipy", "matplotlib", "zuko", "jinja2", "sympy", "typeguard"}
UNUSED = {"sklearn", "scipy", "sympy", "torch._dynamo", "torch._inductor"}  # by the fit and scores of a VAE
FIT = [
    "fit",
    "vae",
    "--data",
    "digits",
    "--epochs",
    "1",
    "--latent-dim",
    "1",
    "--hidden",
    "4",
    "--out",
    "run",
]
PROGRAM = """
import sys
from latentia.cli import main
for words in {commands!r}:
    assert main(words) == 0
print(*sys.modules, file=sys.stderr)
"""


def imported(folder: Path, *commands: list[str]) -> set[str]:
    """Return the modules that a fresh process has imported after some commands."""
    program = PROGRAM.format(commands=commands)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder
    )
    return {*done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["recipes"],
        ["datasets"],
        ["metrics"],
        ["fit", "--help"],
        ["fit", "vae", "--help"],
        ["fit", "wgan-gp", "--help"],
        ["sample", "--help"],
        ["test", "--help"],
        ["evaluate", "--help"],
    ],
    ids=" ".join,
)
def test_what_must_be_quick_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    assert not imported(tmp_path, words) & HEAVY


def test_a_fit_and_its_scores_import_what_they_use(tmp_path: Path) -> None:
    assert not imported(tmp_path, FIT) & UNUSED
    assert not imported(tmp_path, ["evaluate", "run"]) & (UNUSED | {"matplotlib"})
