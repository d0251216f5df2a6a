"""The command line from data to report, in temporary folders."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentia.cli import main

pytestmark = pytest.mark.usefixtures("own_folder")


def typed(line: str) -> int:
    """Return the exit code of what is typed after ``latentia``."""
    return main(line.split())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a vae fitted to digits, to be copied or read but not changed."""
    out = tmp_path_factory.mktemp("runs") / "vae"
    assert (
        main(["fit", "vae", "--data", "digits", "--epochs", "1", "--latent-dim", "3", "--out", str(out)]) == 0
    )
    return out


@pytest.fixture
def run(fitted: Path, tmp_path: Path) -> Path:
    """Return a copy of the fitted vae."""
    return Path(shutil.copytree(fitted, tmp_path / "run"))


def write_table(path: Path, n: int = 60, columns: int = 3) -> Path:
    values = np.random.default_rng(0).normal(size=(n, columns))
    path.write_text(
        "\n".join([",".join("abcdef"[:columns]), *(",".join(map(str, row)) for row in values)]) + "\n"
    )
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_fit_writes_a_whole_run_folder_and_prints_scores(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("fit vae --data digits --epochs 1 --hidden 32") == 0
    out = capsys.readouterr().out.splitlines()
    path = Path("runs/vae-digits")
    assert out[-1] == str(path)
    written = {"config.json", "model.safetensors", "checkpoint", "metrics.csv", "costs.json", "scores.json"}
    assert {file.name for file in path.iterdir()} == written | {"samples.png", "report.html"}
    scores = {score["metric"]: score for score in json.loads((path / "scores.json").read_text())["scores"]}
    assert {"elbo", "iwae", "bits-per-dim", "energy-distance", "mmd-test", "reconstruction-error"} <= {
        *scores
    }
    printed = {line.split()[0]: float(line.split()[1]) for line in out[1:-1]}
    assert printed == pytest.approx({name: score["value"] for name, score in scores.items()}, rel=1e-5)
    assert scores["elbo"]["n"] == 180  # the test part: a tenth of 1,797, rounded
    assert json.loads((path / "config.json").read_text())["options"]["hidden"] == 32


def test_fit_reads_own_data_and_scores_the_share_held_out(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(Path("rows.csv"))
    assert typed("fit gaussian-mixture --data rows.csv --components 2 --validation 0.25") == 0
    scores = json.loads(Path("runs/gaussian-mixture-rows/scores.json").read_text())["scores"]
    assert {score["n"] for score in scores if score["metric"] == "log-likelihood"} == {15}
    assert "exact" in capsys.readouterr().out


def test_fit_says_that_nothing_was_held_out(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(Path("rows.csv"))
    assert typed("fit gaussian-mixture --data rows.csv --components 2 --out mine") == 0
    note, path = capsys.readouterr().out.splitlines()
    assert note.startswith("not scored: no rows were held out")
    assert path == "mine"
    assert not Path("mine/scores.json").exists()
    assert Path("mine/report.html").exists()


def test_fit_takes_labels_and_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["x,kind", *(f"{number / 7},{'ab'[number % 2]}" for number in range(40))]
    Path("labelled.csv").write_text("\n".join(rows))
    words = "fit vae --data labelled.csv --labels kind --conditional --validation 0.2 --epochs 1 --out a"
    assert typed(words) == 0
    assert typed("sample a --given class=b --n 3") == 0
    assert len(Path("a/sample.csv").read_text().splitlines()) == 4
    Path("photos").mkdir()
    for number, size in enumerate([(9, 8), (16, 12)] * 3):
        Image.new("L", size, color=number).save(f"photos/{number}.png")
    assert typed("fit vae --data photos --resize 6 5 --epochs 1 --out b") == 0
    config = json.loads(Path("b/config.json").read_text())
    assert config["data"]["spec"]["event_shape"] == [1, 6, 5]
    capsys.readouterr()


def test_an_existing_folder_is_refused_and_overwritten_only_if_asked(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(run)
    words = ["fit", "vae", "--data", "digits", "--epochs", "1", "--hidden", "8", "--out", str(run)]
    assert main(words) == 1
    assert capsys.readouterr().err == (
        f"latentia: error: {run} exists already: choose another folder, go on with --resume, or "
        "replace it with --overwrite\n"
    )
    assert contents(run) == before
    assert main([*words, "--overwrite"]) == 0
    assert json.loads((run / "config.json").read_text())["options"]["hidden"] == 8


def test_resuming_a_finished_run_changes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(run)
    words = [
        "fit",
        "vae",
        "--data",
        "digits",
        "--epochs",
        "1",
        "--latent-dim",
        "3",
        "--out",
        str(run),
        "--resume",
    ]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{run} is finished already; nothing was changed\n"
    assert contents(run) == before
    words[words.index("--latent-dim") + 1] = "4"
    assert main(words) == 1
    assert (
        "cannot be resumed: it was begun with --latent-dim 3, not with --latent-dim 4"
        in capsys.readouterr().err
    )
    assert contents(run) == before


@pytest.mark.parametrize("missing", ["scores.json", "samples.png", "report.html"])
def test_resuming_a_run_that_was_killed_while_it_was_scored_scores_it(missing: str, fitted: Path) -> None:
    run = Path(shutil.copytree(fitted, "vae"))  # the report knows the folder's name
    before = contents(run)
    (run / missing).unlink()
    assert typed("fit vae --data digits --epochs 1 --latent-dim 3 --out vae --resume") == 0
    assert contents(run) == before


def test_a_run_without_held_out_rows_is_finished_without_scores(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(Path("rows.csv"))
    line = "fit gaussian-mixture --data rows.csv --components 2 --out mine"
    assert typed(line) == 0
    before = contents(Path("mine"))
    capsys.readouterr()
    assert typed(f"{line} --resume") == 0
    assert capsys.readouterr().out == "mine is finished already; nothing was changed\n"
    (Path("mine") / "report.html").unlink()
    assert typed(f"{line} --resume") == 0
    assert contents(Path("mine")) == before


def test_the_share_held_out_of_a_file_is_found_again(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(Path("rows.csv"))
    assert typed("fit gaussian-mixture --data rows.csv --components 2 --validation 0.25 --out mine") == 0
    before = contents(Path("mine"))
    for name in ("scores.json", "report.html"):
        (Path("mine") / name).unlink()
    assert typed("evaluate mine") == 0
    assert typed("report mine") == 0
    assert contents(Path("mine")) == before
    Path("rows.csv").unlink()
    capsys.readouterr()
    assert typed("evaluate mine") == 2
    assert "does not hold the rows" in capsys.readouterr().err


def test_resume_without_a_length_goes_on_to_the_one_it_was_begun_with(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(run)
    line = f"fit vae --data digits --latent-dim 3 --out {run} --resume"
    assert typed(line) == 0
    assert capsys.readouterr() == (f"{run} is finished already; nothing was changed\n", "")
    assert contents(run) == before


def test_resume_to_less_than_is_done_is_one_line_without_a_bar(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"fit vae --data digits --latent-dim 3 --out {run} --resume"
    assert typed(f"{line} --epochs 3") == 0
    before = contents(run)
    capsys.readouterr()
    assert typed(f"{line} --epochs 2") == 1
    assert capsys.readouterr() == ("", (
        f"latentia: error: {run} cannot be resumed: --epochs 2 is requested, but 3 are done; "
        "request more, or begin anew with --overwrite\n"
    ))  # fmt: skip
    assert contents(run) == before


def test_resume_goes_on_when_more_is_asked(run: Path) -> None:
    words = [
        "fit",
        "vae",
        "--data",
        "digits",
        "--epochs",
        "2",
        "--latent-dim",
        "3",
        "--out",
        str(run),
        "--resume",
    ]
    assert main(words) == 0
    assert len((run / "metrics.csv").read_text().splitlines()) == 3  # a heading and two epochs


@pytest.mark.parametrize(
    ("words", "columns", "lines"),
    [
        ("sample", 8, 8),
        ("sample --n 4", 2, 2),
        ("reconstruct --n 3", 3, 2),
        ("interpolate --rows 3 5 --steps 4 --path linear", 4, 1),
        ("traverse --row 2 --steps 5 --span 2", 5, 3),
    ],
)
def test_verbs_draw_images(
    words: str, columns: int, lines: int, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *options = words.split()
    assert main([verb, str(run), *options]) == 0
    assert capsys.readouterr().out == f"{run / verb}.png\n"
    with Image.open(run / f"{verb}.png") as picture:
        width, height = picture.size
    assert (width + 2) * lines == (height + 2) * columns  # square digits, 2 pixels apart
    assert (width + 2) % columns == 0


def test_sample_leaves_the_run_as_it_is(run: Path) -> None:
    before = contents(run)
    assert main(["sample", str(run)]) == 0
    assert {name: contents(run)[name] for name in before} == before


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ("sample --n 5", (5, 1, 8, 8)),
        ("encode", (180, 3)),
        ("reconstruct --n 3", (2, 3, 1, 8, 8)),
        ("interpolate --steps 4", (4, 1, 8, 8)),
        ("traverse --steps 5", (3, 5, 1, 8, 8)),
    ],
)
def test_verbs_write_arrays(words: str, shape: tuple[int, ...], fitted: Path) -> None:
    verb, *options = words.split()
    assert main([verb, str(fitted), *options, "--out", "array.npy"]) == 0
    assert np.load("array.npy").shape == shape


def test_arrays_are_what_the_python_interface_gives(fitted: Path) -> None:
    import latentia as lt

    run, x = lt.load(fitted), lt.datasets["digits"](split="test", seed=0).x
    expected = {
        "sample --n 4 --seed 7": run.sample(4, seed=7),
        "encode": run.encode(x),
        "reconstruct --n 2": np.stack([x[:2].float(), run.reconstruct(x[:2])]),
        "interpolate --rows 2 9 --steps 5": run.interpolate(x[2], x[9], steps=5),
        "interpolate --rows 2 9 --steps 5 --path linear": run.interpolate(x[2], x[9], steps=5, path="linear"),
        "traverse --row 4 --steps 3 --span 1.5": run.traverse(x[4], steps=3, span=1.5),
    }
    for line, values in expected.items():
        verb, *options = line.split()
        assert main([verb, str(fitted), *options, "--out", "array.npy"]) == 0
        np.testing.assert_allclose(np.load("array.npy"), values, rtol=1e-5, atol=1e-5, err_msg=line)
    linear, spherical = (
        expected[f"interpolate --rows 2 9 --steps 5{path}"] for path in (" --path linear", "")
    )
    assert float((linear - spherical).abs().max()) > 1e-4  # so that the path is seen to matter


def test_verbs_take_other_rows(fitted: Path) -> None:
    np.save("rows.npy", np.full((3, 8, 8), 4, dtype=np.uint8))
    assert main(["encode", str(fitted), "--data", "rows.npy", "--out", "codes.npy"]) == 0
    codes = np.load("codes.npy")
    assert codes.shape == (3, 3)
    np.testing.assert_allclose(codes, codes[:1].repeat(3, 0), rtol=1e-5, atol=1e-6)


def test_points_become_plots_and_tables_tables(capsys: pytest.CaptureFixture[str]) -> None:
    for name, columns in (("points", 2), ("table", 3)):
        write_table(Path(f"{name}.csv"), columns=columns)
        assert typed(f"fit gaussian-mixture --data {name}.csv --components 2 --out {name}") == 0
        assert typed(f"sample {name}") == 0
    assert Path("points/sample.png").read_bytes().startswith(b"\x89PNG")
    assert len(Path("table/sample.csv").read_text().splitlines()) == 65
    capsys.readouterr()
    assert typed("sample table --out table.png") == 2
    assert "rows of shape (3,) have no picture" in capsys.readouterr().err


def test_conditional_runs_take_each_rows_own_class(capsys: pytest.CaptureFixture[str]) -> None:
    import latentia as lt

    assert typed("fit vae --data digits --conditional --binarise threshold --epochs 1 --out c") == 0
    assert typed("encode c --out own.npy") == 0
    assert typed("encode c --given class=3 --out three.npy") == 0
    labels = lt.datasets["digits"](split="test", seed=0).labels.numpy()
    same = (np.load("own.npy") == np.load("three.npy")).all(1)
    np.testing.assert_array_equal(same, labels == 3)
    assert typed("reconstruct c --out pair.npy") == 0
    assert {*np.unique(np.load("pair.npy")[0])} == {0, 1}  # the rows as the model sees them, binarised
    assert typed("sample c --given class=3") == 0
    with Image.open("c/sample.png") as picture:
        assert picture.getextrema() == (0, 255)  # 0 and 1 are black and white, though the digits' white is 16
    assert typed("traverse c") == 0
    capsys.readouterr()
    assert typed("sample c") == 2
    assert "vae is conditional: give class=, one of 0, 1" in capsys.readouterr().err


def test_evaluate_prints_and_writes_scores(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(run), "--metrics", "iwae", "elbo", "--iwae-samples", "7", "--seed", "3"]
    assert main(words) == 0
    table, costs = capsys.readouterr().out.split("\n\n")
    printed = [line.split()[:2] for line in table.splitlines()[1:]]
    assert costs.startswith("costs: ")
    scores = json.loads((run / "scores.json").read_text())["scores"]
    stored = {score["metric"]: score for score in scores}
    assert [name for name, _ in printed] == ["iwae", "elbo"]
    assert [float(value) for _, value in printed] == pytest.approx(
        [stored[name]["value"] for name in ("iwae", "elbo")], rel=1e-5
    )
    assert stored["iwae"]["settings"] == {"samples": 7, "seed": 3}
    assert stored["iwae"]["data"] == "the test part of digits"


def test_evaluate_keeps_the_scores_of_other_metrics_and_of_other_rows(run: Path) -> None:
    def stored() -> dict[tuple[str, str], object]:
        records = json.loads((run / "scores.json").read_text())["scores"]
        return {(score["data"], score["metric"]): score for score in records}

    before = stored()
    np.save(
        "others.npy",
        np.full((30, 8, 8), 3, dtype=np.uint8) + np.arange(30, dtype=np.uint8)[:, None, None] % 9,
    )
    assert main(["evaluate", str(run), "--data", "others.npy", "--metrics", "elbo"]) == 0
    assert stored() == before | {("others.npy", "elbo"): stored()["others.npy", "elbo"]}
    assert main(["evaluate", str(run), "--metrics", "elbo", "--seed", "5"]) == 0
    changed = {name for name, score in stored().items() if before.get(name) != score}
    assert changed == {("others.npy", "elbo"), ("the test part of digits", "elbo")}
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "On the test part of digits." in page
    assert "others.npy" not in page


def test_report_is_written_anew(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "report.html").unlink()
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert "<html" in (run / "report.html").read_text()


def test_that_there_are_fewer_rows_than_requested_is_reported(
    fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconstruct", str(fitted), "--n", "100000", "--out", "pair.npy"]) == 0
    assert np.load("pair.npy").shape == (2, 180, 1, 8, 8)
    told = "latentia: note: the test part of digits has 180 rows, fewer than 100000: all are taken\n"
    assert capsys.readouterr() == ("pair.npy\n", told)


def test_an_index_column_that_is_left_out_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 2))
    Path("frame.csv").write_text("\n".join([",a,b", *(f"{i},{a},{b}" for i, (a, b) in enumerate(rows))]))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert typed("fit gaussian-mixture --data frame.csv --components 1 --out mine") == 0
    told = (
        "latentia: note: frame.csv: the first column has no name and holds the row numbers, so it is left out"
    )
    assert any(line.startswith(told) for line in capsys.readouterr().err.splitlines())
    assert json.loads(Path("mine/config.json").read_text())["data"]["spec"]["columns"] == ["a", "b"]


def test_rows_that_do_not_exist_are_reported(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interpolate", str(fitted), "--rows", "0", "180"]) == 2
    assert capsys.readouterr().err == (
        "latentia: error: there is no row 180; the test part of digits has rows 0 to 179\n"
    )
    write_table(Path("rows.csv"))
    assert typed("fit vae --data rows.csv --validation 0.25 --epochs 1 --hidden 8 --out mine") == 0
    capsys.readouterr()
    assert typed("interpolate mine --rows 0 9999") == 2
    assert capsys.readouterr().err == (
        "latentia: error: there is no row 9999; the held-out part of rows.csv has rows 0 to 14\n"
    )
    assert main(["reconstruct", str(fitted), "--n", "0"]) == 2
    assert capsys.readouterr().err == "latentia: error: --n must be at least 1; got 0\n"
