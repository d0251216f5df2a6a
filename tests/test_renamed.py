"""Names of earlier versions: stored tensors and options are read under them, with a note."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import latentia as lt
from latentia.cli import main
from latentia.errors import RenamedWarning, RunError, UsageError
from latentia.runs import renamed
from latentia.sklearn.density import DensityEstimator

ROWS = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
SMALL = {"latent_dim": 2, "hidden": 4, "progress": False}


def fit(out: Path, **options) -> lt.Run:
    return lt.fit("vae", ROWS, out=out, **SMALL | {"steps": 4} | options)


@pytest.fixture
def prefixes(monkeypatch):
    """Make "model.writer" and "prior_distribution" the names, until format 1, of the decoder and the prior."""
    table = ((1, "model.writer", "model.decoded_by"), (None, "model.decoded_by", "model.decoder"))
    monkeypatch.setattr(renamed, "KEY_PREFIXES", table)


@pytest.fixture
def options(monkeypatch):
    """Rename options of a recipe, of the training, and one twice."""
    table = (
        ("vae", "codes", "code_size"),
        ("vae", "code_size", "latent_dim"),
        (None, "average", "ema"),
        (None, "draws", "hidden"),  # vae has draws of its own
    )
    monkeypatch.setattr(renamed, "OPTION_NAMES", table)


def as_before(file: Path) -> None:
    """Give a file's tensors the decoder's old name."""
    with_old = {
        key.replace("model.decoder.", "model.writer."): value for key, value in load_file(file).items()
    }
    assert any("model.writer." in key for key in with_old)
    save_file(with_old, file)


def edited(run: Path, **parts) -> None:
    config = json.loads((run / "config.json").read_text())
    for part, names in parts.items():
        config[part] = {names.get(name, name): value for name, value in config[part].items()}
    (run / "config.json").write_text(json.dumps(config))


# --- tensors ----------------------------------------------------------------------------------------------------


def test_tensors_of_an_old_name_are_those_of_the_new_one(out, prefixes):
    before = fit(out).sample(5, seed=0)
    as_before(out / "model.safetensors")
    assert torch.equal(lt.load(out).sample(5, seed=0), before)


def test_without_an_entry_they_do_not_fit(out):
    fit(out)
    as_before(out / "model.safetensors")
    with pytest.raises(RunError, match=r"do not fit the configured model: missing model\.decoder"):
        lt.load(out)


def test_an_entry_of_an_earlier_format_is_for_that_one_alone(out, monkeypatch):
    fit(out)
    as_before(out / "model.safetensors")
    monkeypatch.setattr(renamed, "KEY_PREFIXES", ((0, "model.writer", "model.decoder"),))
    with pytest.raises(RunError, match="do not fit"):
        lt.load(out)


def test_a_prefix_is_a_whole_path_and_names_that_fit_are_left_alone(out, monkeypatch):
    before = fit(out).sample(5, seed=0)
    monkeypatch.setattr(renamed, "KEY_PREFIXES", ((None, "model.decoder", "model.other"),))
    assert torch.equal(lt.load(out).sample(5, seed=0), before)
    as_before(out / "model.safetensors")
    monkeypatch.setattr(renamed, "KEY_PREFIXES", ((None, "model.write", "model.decode"),))
    with pytest.raises(RunError, match="do not fit"):
        lt.load(out)


def test_an_old_checkpoint_is_not_gone_on_from_and_says_so(out, prefixes):
    fit(out, checkpoint_every=2)
    for file in (out / "checkpoint").iterdir():
        content = load_file(file)
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        old = {key.replace(".decoder.", ".writer."): value for key, value in content.items()}
        save_file(old, file, metadata)
    with pytest.raises(RunError) as caught:
        fit(out, checkpoint_every=2, steps=8, resume=True)
    assert str(caught.value) == (
        f"{out} cannot be resumed: its checkpoint was written by latentia {lt.__version__}, whose weights have other "
        "names: resume it with that version, or begin anew with overwrite=True"
    )
    as_before(out / "model.safetensors")
    before = lt.load(out).sample(5, seed=0)
    assert torch.equal(fit(out, checkpoint_every=2, resume=True).sample(5, seed=0), before)  # it is finished


# --- options ----------------------------------------------------------------------------------------------------


def test_an_old_option_is_taken_in_python_with_one_note(options, out):
    with pytest.warns(RenamedWarning) as noted:
        run = lt.fit("vae", ROWS, codes=3, average=0.5, hidden=4, steps=1, progress=False)
    assert [str(each.message) for each in noted] == [
        "codes is called latent_dim now",
        "average is called ema now",
    ]
    assert {each.filename for each in noted} == {__file__}
    assert (run.options["latent_dim"], run.training.ema) == (3, 0.5)
    assert "codes" not in run.options


def test_an_option_of_another_recipe_under_that_name_is_left_alone(options):
    run = lt.fit("vae", ROWS, draws=5, progress=False, steps=1, hidden=4)
    assert (run.options["draws"], run.options["hidden"]) == (5, 4)
    with pytest.raises(UsageError, match="codes"):
        lt.fit("autoencoder", ROWS, codes=3)


def test_both_names_at_once_are_refused(options, capsys, tmp_path):
    with pytest.raises(UsageError, match="codes is the old name of latent_dim, and both are given"):
        lt.fit("vae", ROWS, codes=3, latent_dim=3)
    words = ["fit", "vae", "--data", "digits", "--codes", "2", "--latent_dim=2", "--out", str(tmp_path / "a")]
    assert main(words) == 2
    assert "--codes is the old name of --latent-dim, and both are given" in capsys.readouterr().err


def test_an_old_option_in_a_folder_is_read_with_one_note(out, options):
    before = fit(out, ema=0.5)
    edited(out, options={"latent_dim": "codes"}, training={"ema": "average"})
    with pytest.warns(RenamedWarning) as noted:
        run = lt.load(out)
    assert len(noted) == 2
    assert {each.filename for each in noted} == {__file__}
    assert torch.equal(run.sample(5, seed=0), before.sample(5, seed=0))
    assert (run.options, run.training) == (before.options, before.training)


def test_a_training_under_old_options_goes_on(out, options):
    fit(out, checkpoint_every=2)
    edited(out, options={"latent_dim": "codes"})
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        run = fit(out, checkpoint_every=2, steps=8, resume=True)
    assert run.history["step"].max() == 8


@pytest.mark.filterwarnings("default::latentia.errors.RenamedWarning")
@pytest.mark.parametrize("words", [["--codes", "2"], ["--codes=2"]])
def test_an_old_option_is_taken_on_the_command_line_with_one_note(words, options, tmp_path, capsys):
    np.save(tmp_path / "rows.npy", ROWS)
    rest = ["--hidden", "4", "--steps", "1", "--out", str(tmp_path / "run")]
    assert main(["fit", "vae", "--data", str(tmp_path / "rows.npy"), *words, *rest]) == 0
    err = capsys.readouterr().err
    assert err.count("latentia: note: --codes is called --latent-dim now\n") == 1
    assert err.count("note") == 1
    assert lt.load(tmp_path / "run").options["latent_dim"] == 2


def test_an_old_option_is_taken_by_scikit_learn_s_estimators(monkeypatch):
    monkeypatch.setattr(renamed, "OPTION_NAMES", ((None, "parts", "components"),))
    with pytest.warns(RenamedWarning, match="parts is called components now") as noted:
        DensityEstimator("gaussian-mixture", options={"parts": 2}, random_state=0).fit(ROWS)
    assert len(noted) == 1
