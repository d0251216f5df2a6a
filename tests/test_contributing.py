"""The examples of CONTRIBUTING.md work as they stand there, and `make format` formats whatever ruff finds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
COPIED = ("src", "tests", "docs", "pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
BLOCKS = re.findall(
    r"^```python\n# (\S+?)(?:, ([^\n]*))?\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S
)
OUTSIDE = [path for path, *_ in BLOCKS if path.startswith("my_")]
PICKED_UP = {  # where the examples are tested without being named, and by what
    "tests/test_gan_loss_pairs.py": "signed-least-squares or even_score or without_an_optimum",
    "tests/contracts/test_divergences.py": "triangular",
    "tests/contracts/test_likelihoods.py": "laplace",
    "tests/contracts/test_priors.py": "student-t",
    "tests/contracts/test_recipes.py": "wide-vae",
    "tests/contracts/test_recipe_options.py": "wide-vae",
    "tests/contracts/test_metrics.py": "nearest-sample",
    "tests/test_metrics_evaluate.py": "defaults_follow",
    "tests/test_evaluation_settings.py": "nearest-sample or every_setting",
    "tests/test_data_sets.py": "well_formed or stars",
    "tests/test_docs.py": "readmes_tables",
    "tests/test_registry.py": "one_line_summary",
}


def put(code: str, file: Path, place: str) -> None:
    """Put an example where its first line says."""
    if not place:
        assert not file.exists(), f"{file} is there already"
        file.write_text(code)
        return
    text = file.read_text()
    if place == "at its end":
        file.write_text(f"{text}\n\n{code}")
        return
    name = place.removeprefix("in ")
    opening = re.search(rf"^{name}\b[^{{]*\{{[^\n]*\n", text, re.M)
    file.write_text(text[: opening.end()] + code + text[opening.end() :])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with all examples in their places."""
    folder = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for path, place, code in BLOCKS:
        put(code, folder / path, place)
    pairs = folder / "src/latentia/functional/gan/loss_pairs.py"  # as the text says
    pairs.write_text(
        pairs.read_text().replace(
            "    wasserstein_critic,\n", "    signed_least_squares_critic,\n    wasserstein_critic,\n", 1
        )
    )
    return folder


def run(tree: Path, *words: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_every_example_says_where_it_goes():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert len(BLOCKS) == text.count("```python") == len(OUTSIDE) + 9


@pytest.mark.slow
def test_the_examples_are_formatted_and_lint_and_types_have_nothing_to_say(tree: Path):
    files = sorted({path for path, *_ in BLOCKS})
    run(tree, str(BIN / "ruff"), "check", *files)
    run(tree, str(BIN / "ruff"), "format", "--check", *files)
    run(
        tree,
        str(BIN / "basedpyright"),
        "--pythonpath",
        sys.executable,
        *(path for path in files if path.startswith("src")),
    )


@pytest.mark.slow
def test_the_examples_pass_the_tests_that_pick_them_up(tree: Path):
    run(tree, sys.executable, "docs/make_tables.py")
    words = " or ".join(PICKED_UP.values())
    run(tree, sys.executable, "-m", "pytest", *PICKED_UP, "-k", words, "-x", "-p", "no:cacheprovider")


@pytest.mark.slow
def test_parts_outside_the_package_are_used_on_the_command_line(tree: Path):
    """Each is named in a fit, scored, and loaded with the same files."""
    imports = [word for path in OUTSIDE for word in ("--import", path)]
    assert len(OUTSIDE) == 8

    def latentia(*words: str) -> None:
        run(tree, sys.executable, "-m", "latentia", *imports, *words)

    common = ("--data", "cross", "--steps", "3", "--out")
    latentia("fit", "gan", *common, "a", "--loss", "signed")
    latentia("fit", "vae", *common, "b", "--prior", "laplace", "--monitor", "mean-gap")
    latentia("fit", "vae", *common, "c", "--likelihood", "student-t")
    latentia("fit", "robust-vae", *common, "d", "--latent-dim", "2")
    latentia("fit", "vae", *common, "e", "--network", "tapered-mlp", "--hidden", "8")
    shares = [f"{each / 4:.2f} %" for each in range(60)] + [""] * 4
    (tree / "shares.csv").write_text(
        "share,size\n" + "".join(f"{s},{len(s)}.{j}\n" for j, s in enumerate(shares))
    )
    columns = ("--columns", "share=percentage", "--validation", "0")
    latentia("fit", "gaussian-mixture", "--data", "shares.csv", "--components", "1", "--out", "f", *columns)
    latentia("sample", "f", "--n", "20", "--out", "made.csv")
    made = [line.partition(",")[0] for line in (tree / "made.csv").read_text().splitlines()[1:]]
    assert all(re.fullmatch(r"([0-9]+\.[0-9]{2} %)?", share) for share in made), made
    assert sum(map(bool, made)) > 10
    for folder in "abcde":
        latentia("evaluate", folder, "--metrics", "mean-gap")
        latentia("sample", folder, "--n", "4", "--out", f"{folder}.npy")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_format_formats_although_something_cannot_be_mended(tmp_path: Path):
    (tmp_path / ".venv").mkdir()
    for name in ("pyproject.toml", "constraints.txt", ".venv/.installed"):
        (tmp_path / name).write_text("")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    os.utime(tmp_path / ".venv/.installed")  # newer than what it is made from
    file = tmp_path / "a.py"
    file.write_text(f'"""A module."""\nimport os\nimport sys\nx = ( sys.path )\ny = "{"long " * 40}"\n')
    words = ["make", "-f", str(ROOT / "Makefile"), "format", f"BIN={BIN}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "E501" in done.stdout
    assert done.returncode != 0
    assert file.read_text().splitlines()[:5] == ['"""A module."""', "", "import sys", "", "x = sys.path"]
