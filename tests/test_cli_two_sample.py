"""`latentia test`: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from latentia.cli import main
from latentia.metrics.two_sample import CORRECTIONS, METHODS, two_sample_test

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def arrays(own_folder: None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 3)), rng.normal([0.0, 2.0, 0.0], size=(40, 3))
    np.save("a.npy", a)
    np.save("b.npy", b)
    return a, b


@pytest.fixture
def tables(arrays: tuple[np.ndarray, np.ndarray]) -> tuple[pd.DataFrame, pd.DataFrame]:
    a, b = (pd.DataFrame(each, columns=["mass", "age", "size"]) for each in arrays)
    a.assign(kind="p").to_csv("a.csv", index=False)
    b.assign(kind="q")[["kind", "size", "age", "mass"]].to_csv("b.csv", index=False)
    return a, b


def run(words: str) -> int:
    return main(words.split())


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return what was printed, by the first words of each line."""
    lines = [line.split("   ", 1) for line in capsys.readouterr().out.splitlines()]
    return {parts[0].strip(): parts[-1].strip() for parts in lines}


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"classifier", "deep-kernel"}))
def test_it_prints_what_the_call_returns(
    method: str, arrays: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"test a.npy b.npy --method {method} --permutations 99 --seed 3 --level 0.01"
    assert main(words.split()) == 0
    result, lines = two_sample_test(*arrays, method, 99, 3, 0.01), told(capsys)
    assert lines["statistic"] == f"{result.statistic:.6g}"
    assert lines["threshold"] == f"{result.threshold:.6g} at level 0.01"
    assert lines["p-value"] == f"{result.p_value:.6g}"
    assert lines["decision"] == "reject that both samples come from one distribution"
    assert lines["effect size"] == f"{result.effect_size:.6g} ({result.effect})"
    assert lines.get("degrees of freedom") == (
        None if result.degrees_of_freedom is None else f"{result.degrees_of_freedom:.6g}"
    )
    assert lines["test"].startswith(f"{method}, n = 30, m = 40")


def test_features_are_named_and_ranked_and_a_column_can_be_left_out(
    tables: tuple[pd.DataFrame, pd.DataFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    words = "test a.csv b.csv --method welch-t --labels kind --correction benjamini-hochberg"
    assert main(words.split()) == 0
    printed = capsys.readouterr().out
    rows = printed.partition("adjusted p")[2].split()
    result = two_sample_test(*tables, "welch-t", correction="benjamini-hochberg")
    assert rows[::5] == [each.name for each in result.features]
    assert rows[0] == "age"
    shown = [float(value) for value in rows[4::5]]
    assert shown == pytest.approx([each.adjusted_p_value for each in result.features], rel=1e-5)


def test_points_are_shown_with_their_sample_and_row(
    arrays: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("test a.npy b.npy --method energy") == 0
    rows = capsys.readouterr().out.partition("value\n")[2].splitlines()
    points = two_sample_test(*arrays, "energy").points
    assert [line.split() for line in rows] == [[p.sample, str(p.row), f"{p.value:.6g}"] for p in points]


def test_the_exit_code_is_zero_whatever_the_decision(
    arrays: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("test a.npy a.npy --permutations 19") == 0
    assert told(capsys)["decision"] == "fail to reject that both samples come from one distribution"


def test_the_result_is_written_with_all_digits(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    assert run("test a.npy b.npy --method mann-whitney --json test.json") == 0
    result = two_sample_test(*arrays, "mann-whitney")
    assert json.loads(Path("test.json").read_text()) == json.loads(json.dumps(result.to_json()))


def test_folders_of_images_and_named_sets(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for folder, mean in (("dark", 60), ("light", 200)):
        Path(folder).mkdir()
        for i in range(8):
            pixels = rng.normal(mean, 20, size=(6, 6)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(f"{folder}/{i}.png")
    assert run("test dark light --resize 4 4 --method kolmogorov-smirnov") == 0
    assert told(capsys)["effect size"].startswith("1 (")
    assert run("test moons moons --method welch-t") == 0
    assert told(capsys)["p-value"] == "1"


def test_the_help_names_every_method_and_correction(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in METHODS)
    assert all(name in shown for name in CORRECTIONS)
    assert all(
        flag in shown
        for flag in ("--method", "--permutations", "--seed", "--level", "--correction", "--json")
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("a.npy", 2, "Missing from latentia test: B"),
        ("a.npy nothing.npy", 2, "there is no file or folder nothing.npy"),
        ("a.npy b.npy --method mdm", 2, "unknown --method 'mdm'; did you mean 'mmd'?"),
        ("a.npy b.npy --level 2", 2, "--level must be between 0 and 1, both excluded; got 2.0"),
        ("a.npy b.npy --correction none", 2, "unknown --correction 'none'"),
        ("a.npy b.npy --permutation 9", 2, "did you mean '--permutations'?"),
        ("a.npy b.csv --labels kind", 2, "a.npy is no table"),
        ("a.npy wide.npy", 2, "same number of dimensions; got x (30, 3), y (5, 4)"),
        ("a.csv few.csv --labels kind", 2, "only one of them has age, size"),
        ("a.npy nan.npy", 1, "nan.npy holds NaN or infinity in 1 of 5 rows"),
        ("a.npy b.npy --json nowhere/test.json", 1, "cannot write nowhere/test.json"),
        ("a.csv b.npy --labels kind", 2, "b.npy is no table"),
    ],
)
@pytest.mark.usefixtures("tables")
def test_bad_input_is_one_line(
    words: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("wide.npy", np.random.default_rng(1).normal(size=(5, 4)))
    np.save("nan.npy", np.where(np.eye(5, 3) * np.eye(5)[:, :1], np.nan, 0.5))
    pd.DataFrame({"mass": [1.0, 2.0], "kind": ["p", "q"]}).to_csv("few.csv", index=False)
    assert main(["test", *words.split()]) == code
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1
