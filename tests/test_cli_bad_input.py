"""Bad input to the command line: one line that says what was given and expected, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentia.cli import main

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small vae of a table, to be copied or read but not changed."""
    folder = tmp_path_factory.mktemp("fitted")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(40, 2)))
    words = (
        f"fit vae --data {folder / 'rows.npy'} --hidden 8 --latent-dim 2 --epochs 1 --out {folder / 'run'}"
    )
    assert main(words.split()) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def mixture(fitted: Path) -> Path:
    """Return a mixture fitted to the same table, which can only be sampled and scored."""
    folder = fitted.parent
    words = f"fit gaussian-mixture --data {folder / 'rows.npy'} --components 2 --out {folder / 'mixture'}"
    assert main(words.split()) == 0
    return folder / "mixture"


@pytest.fixture
def run(fitted: Path, tmp_path: Path) -> Path:
    """Return a copy of the fitted vae."""
    return Path(shutil.copytree(fitted, tmp_path / "run"))


def table(text: str) -> Callable[[], None]:
    return lambda: (Path("bad.csv").write_text(text), None)[1]


def text(name: str, content: str = "Dear diary,\n") -> Callable[[], None]:
    return lambda: (Path(name).write_text(content), None)[1]


def array(values: object, dtype: str = "float64") -> Callable[[], None]:
    return lambda: np.save("bad.npy", np.array(values, dtype=dtype))


def folder_of_images() -> None:
    Path("bad").mkdir()
    Image.new("L", (8, 8)).save("bad/a.png")
    Image.new("L", (9, 8)).save("bad/b.png")


def corrupt_image() -> None:
    Path("bad").mkdir()
    Image.new("L", (8, 8)).save("bad/a.png")
    Path("bad/b.png").write_bytes(Path("bad/a.png").read_bytes()[:40])


def truncated_idx() -> None:
    Path("bad.idx").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, 8]) + bytes(100))


GREY = np.linspace(0, 1, 4 * 64).reshape(4, 8, 8)


@pytest.mark.parametrize(
    ("make", "words", "code", "told"),
    [
        (
            table("a,b\n1,2\nnan,3\n4,5\n"),
            "--data bad.csv --support real",
            1,
            "NaN or infinity in 1 of 3 rows, first in row 1",
        ),
        (
            table("a,b\n1,2\ninf,3\n4,5\n"),
            "--data bad.csv",
            1,
            "NaN or infinity in 1 of 3 rows, first in row 1",
        ),
        (table("a,b\n"), "--data bad.csv", 1, "is empty"),
        (
            text("bad.txt"),
            "--data bad.txt",
            1,
            "as a table it has no rows; data is the name of a data set, an array,",
        ),
        (
            text("bad.npy"),
            "--data bad.npy",
            1,
            "bad.npy is no .npy file: it begins with 44 65 61 72 20 64, not 93 4e",
        ),
        (
            table("a,b\n1,2\n"),
            "--data bad.csv",
            1,
            "has a single row, of shape (2,); a distribution needs at least two",
        ),
        (table("a,b\n1,x\n2,x\n"), "--data bad.csv --columns a=drop", 1, "b is constant; declare kinds with"),
        (table("a,b\n1,x\n2,y\n"), "--data bad.csv --columns a=reel", 2, "unknown kind of column 'reel'"),
        (
            table("a,b\n1,x\n2,y\n"),
            "--data bad.csv --columns b=integer",
            1,
            "column 'b' holds 'x', and numbers are",
        ),
        (table("a,b\n1,2\n3,4\n"), "--data bad.csv --labels c", 2, "unknown label column 'c'"),
        (array(np.zeros((0, 3))), "--data bad.npy", 1, "is empty: its shape is (0, 3)"),
        (folder_of_images, "--data bad", 1, "images of different sizes: bad/a.png is 8×8, bad/b.png is 8×9"),
        (corrupt_image, "--data bad", 1, "cannot read the image bad/b.png"),
        (truncated_idx, "--data bad.idx", 1, "bad.idx"),
        (array(GREY), "--data bad.npy --support binary", 1, "outside its support, binary"),
        (array(GREY), "--data bad.npy --likelihood bernoulli", 2, "bernoulli"),
        (array(GREY), "--data bad.npy --support grey", 2, "unknown support 'grey'"),
        (array(GREY), "--data bad.npy --latent-dim 0", 2, "--latent-dim must be at least 1; got 0"),
        (array(GREY), "--data bad.npy --latent-dim -1", 2, "--latent-dim must be at least 1; got -1"),
        (array(GREY), "--data bad.npy --batch-size 9", 2, "batch size 9 is larger than the data, 4 rows"),
        (
            array(GREY),
            "--data bad.npy --validation 1.5",
            2,
            "--validation must be at least 0 and below 1; got 1.5",
        ),
        (array(GREY), "--data bad.npy --patience 3", 2, "monitor and patience need held-out rows"),
        (array(GREY), "--data bad.npy --device cuda:99", 2, "there is no device 'cuda:99' here"),
        (array(GREY), "--data bad.npy --likelihood gauss", 2, "unknown --likelihood"),
    ],
)
def test_bad_data_and_options_are_one_line_and_leave_nothing(
    make: Callable[[], None], words: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make()
    assert main(["fit", "vae", *words.split(), "--epochs", "1", "--out", "out"]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert err.startswith("latentia: error: ")
    assert told in err
    assert "unexpected" not in err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("encode RUN --data ROWS", "gaussian-mixture does not encode; it can sample, give likelihoods"),
        ("reconstruct RUN --data ROWS", "gaussian-mixture does not encode nor decode; it can sample"),
        ("interpolate RUN --data ROWS", "gaussian-mixture does not encode nor decode; it can sample"),
        ("traverse RUN --data ROWS", "gaussian-mixture does not encode nor decode; it can sample"),
        ("translate RUN --data ROWS", "gaussian-mixture does not translate; it can sample"),
        ("encode RUN", "give rows with --data"),
        ("sample RUN --given class=3", "gaussian-mixture is not conditional; it cannot be given class"),
        ("sample RUN --given three", "--given takes name=value, such as class=3; got 'three'"),
        ("sample RUN --n 0", "n must be at least 1; got 0"),
        (
            "sample RUN --out rows.jpg",
            "rows.jpg must end in .png, .csv, .parquet or .npy, or be a new folder for images",
        ),
        ("evaluate RUN --data ROWS --metrics elbow", "unknown metric name 'elbow'; did you mean 'elbo'?"),
    ],
)
def test_what_a_run_lacks_is_reported_in_one_line(
    line: str, told: str, mixture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(line.replace("RUN", str(mixture)).replace("ROWS", str(mixture.parent / "rows.npy")).split()) == 2
    )
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert told in err


def edit_config(**changes: object) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | changes))

    return edit


def truncate(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:100]) and None


def put_photos(run: Path) -> None:
    shutil.rmtree(run)
    folder_of_images()
    Path("bad").rename(run)


def widen(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config["options"]["hidden"] = 17
    (run / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda run: shutil.rmtree(run), "there is no run folder at"),
        (lambda run: (run / "config.json").unlink(), "config.json is missing"),
        (
            lambda run: (run / "model.safetensors").unlink(),
            "holds an unfinished training: continue it with resume=True (latentia fit vae --data ",
        ),
        (
            put_photos,
            "run is no run folder: it holds no config.json",
        ),
        (truncate("config.json"), "config.json is no readable JSON file"),
        (truncate("model.safetensors"), "model.safetensors is no readable safetensors file"),
        (
            edit_config(format=99),
            "has format 99, written by latentia 0.1.0; this is latentia 0.1.0, which reads",
        ),
        (edit_config(recipe="vaex"), "does not describe a model that this version can build"),
        (widen, "the stored weights do not fit the configured model"),
    ],
)
@pytest.mark.parametrize("verb", ["sample", "evaluate", "report"])
def test_damaged_run_folders_are_one_line_and_exit_with_1(
    break_it: Callable[[Path], None], told: str, verb: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_it(run)
    assert main([verb, str(run)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert told in err
    assert "Traceback" not in err


def test_a_picture_that_cannot_be_written_is_one_line(
    fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", str(fitted), "--out", "nowhere/a.png"]) == 1
    assert (
        capsys.readouterr().err == "latentia: error: cannot write nowhere/a.png: No such file or directory\n"
    )
