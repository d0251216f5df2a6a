"""What ``overwrite`` replaces: runs of ours, and nothing that somebody else wrote."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from tests.running import X, contents, same, vae, watching, weights

import latentia as lt
from latentia.cli import main
from latentia.cli.commands import verbs
from latentia.errors import RunError
from latentia.runs import entries
from latentia.runs.entries import foreign_entries, refuse_existing, waiting

LEAVES = "so overwrite=True leaves it alone"


def no_step(monkeypatch):
    """Let a training that begins fail the test."""
    return watching(monkeypatch, lambda _: pytest.fail("a training began"))


def names(path: Path) -> list[str]:
    return [each.name for each in path.iterdir()]


def refused(out: Path, match: str, monkeypatch, **options) -> None:
    """Both ways to replace a folder refuse with one line, before a training, and change nothing on the disk."""
    before = contents(out.parent)
    with no_step(monkeypatch), pytest.raises(RunError, match=match) as error:
        vae(epochs=1, out=out, **({"overwrite": True} | options))
    assert "\n" not in str(error.value)
    with pytest.raises(RunError, match=match):
        vae(epochs=1).save(out, overwrite=True)
    assert contents(out.parent) == before


@pytest.fixture
def ours(out) -> Path:
    vae(epochs=1, out=out)
    return out


@pytest.mark.parametrize(
    "config",
    [
        {"architectures": ["Bert"], "model_type": "bert"},
        {"format": "pt"},
        {"format": 1},
        {"format": 1, "versions": {"latentia": "1"}},
        {"format": 1, "recipe": "vae", "versions": {"other": "1"}},
        {"format": 1, "recipe": "vae", "versions": []},
        [1],
        "cut off",
    ],
)
def test_a_model_of_another_library_stays(config, out, monkeypatch):
    out.mkdir()
    (out / "config.json").write_text(json.dumps(config)[:-1] if config == "cut off" else json.dumps(config))
    (out / "model.safetensors").write_bytes(b"weights")
    refused(out, f"run is not a run folder, {LEAVES}, with config.json, model.safetensors in it", monkeypatch)


def test_a_thesis_with_a_config_stays(out, monkeypatch):
    out.mkdir()
    (out / "config.json").write_text("{}")
    for name in ("thesis.tex", "a.bib", "b.bib", "c.bib"):
        (out / name).write_text("years")
    refused(
        out, f"is not a run folder, {LEAVES}, with a.bib, b.bib, c.bib and 1 more in it: choose", monkeypatch
    )


def make_file(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "notes.md",
            "codes.npy",
            ".git/HEAD",
            "model.safetensors.bak",
            ".notes.md.abcdefgh",
            "sample.npy/mine",
        ),
        *(
            "checkpoint/best.safetensors",
            "checkpoint/deep/0000000001.safetensors",
            "checkpoint/.notes.abcdefgh",
        ),
    ],
)
def test_a_run_that_holds_something_else_stays(name, ours, monkeypatch):
    make_file(ours / name)
    told = (
        name
        if name.startswith("checkpoint/.")
        else "/".join(name.split("/")[: 1 + name.startswith("checkpoint")])
    )
    refused(ours, f"run holds what no run writes, {LEAVES}, with {told} in it", monkeypatch)


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint"])
def test_links_to_what_is_elsewhere_are_not_ours(name, ours, tmp_path, monkeypatch):
    (ours / name).rename(tmp_path / "elsewhere")
    (ours / name).symlink_to(tmp_path / "elsewhere")
    refused(ours, f"holds what no run writes, {LEAVES}, with {name} in it", monkeypatch)


@pytest.mark.parametrize("where", ["", "checkpoint"])
@pytest.mark.parametrize("kind", ["run", "empty"])
def test_the_working_directory_and_its_parents_stay(kind, where, ours, monkeypatch):
    if kind == "empty":
        shutil.rmtree(ours)
        (ours / where).mkdir(parents=True)
    monkeypatch.chdir(ours / where)
    alias = ours.parent / "alias"
    alias.symlink_to(ours)
    for path in (ours, Path(where and ".."), alias):
        refused(path, f"is the working directory or a parent of it, {LEAVES}: choose", monkeypatch)
    with pytest.raises(RunError, match=r"exists already: choose another folder$"):
        vae(epochs=1, out=".")


def test_the_home_directory_stays(ours, monkeypatch):
    monkeypatch.setenv("HOME", str(ours / "checkpoint"))
    refused(ours, "is the home directory or a parent of it", monkeypatch)
    monkeypatch.setenv("HOME", str(ours.parent / "nowhere"))
    refuse_existing(ours, overwrite=True)


def test_a_place_where_a_file_system_is_mounted_stays(ours, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == ours)
    refused(ours, "is where a file system is mounted", monkeypatch)


def test_a_file_and_a_link_to_one_stay(out, monkeypatch):
    out.write_text("years")
    refused(out, f"is not a run folder, {LEAVES}: choose", monkeypatch)
    alias = out.with_name("alias")
    alias.symlink_to(out)
    refused(alias, f"is not a run folder, {LEAVES}: choose", monkeypatch)


def test_an_empty_folder_is_replaced_and_a_link_is_followed(ours, tmp_path):
    (tmp_path / "empty").mkdir()
    vae(epochs=1, out=tmp_path / "empty", overwrite=True)
    (tmp_path / "latest").symlink_to(ours)
    vae(epochs=1, seed=5, out=tmp_path / "latest", overwrite=True)
    assert (tmp_path / "latest").is_symlink()
    assert lt.load(ours).training.seed == 5


def test_runs_of_later_versions_are_ours(ours):
    config = json.loads((ours / "config.json").read_text())
    (ours / "config.json").write_text(json.dumps(config | {"format": 99, "new": 1}))
    vae(epochs=1, seed=5, out=ours, overwrite=True)
    assert lt.load(ours).training.seed == 5


def test_what_killed_writes_and_file_browsers_leave_is_replaced(ours):
    for name in (".model.safetensors.ab_cd123", "checkpoint/.0000000007.safetensors.abcdefgh", ".DS_Store"):
        (ours / name).write_text("half")
    vae(epochs=1, seed=5, out=ours, overwrite=True)
    assert not foreign_entries(ours)
    assert not (ours / ".DS_Store").exists()


def test_all_that_our_verbs_write_into_a_run_is_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", X[:, :2])
    words = [
        "fit",
        "vae",
        "--data",
        "rows.npy",
        "--hidden",
        "4",
        "--epochs",
        "1",
        "--validation",
        "0.2",
        "--out",
        "run",
    ]
    assert main(words) == 0
    for verb in (
        "sample",
        "sample --out run/sample.npy",
        *(f"{each} --data rows.npy" for each in ALL_BUT_SAMPLE),
    ):
        name, *rest = verb.split()
        assert main([name, "run", *rest]) == 0
    assert {"encode.npy", "traverse.png", "sample.png", "report.html", "scores.json"} <= set(
        names(Path("run"))
    )
    assert main([*words, "--seed", "5", "--overwrite"]) == 0
    assert not Path("run/encode.npy").exists()


ALL_BUT_SAMPLE = ("encode", "reconstruct", "interpolate", "traverse", "evaluate", "report")


def test_each_verb_with_a_default_file_in_the_run_is_known():
    using = {name for name in verbs if verbs.facts(name)["group"] == "Use a run"}
    assert {name for name in using if "out" in inspect.signature(verbs[name]).parameters} == set(
        entries.SHOWN
    )
    assert get_type_hints(verbs["encode"])["out"] == Path | None


def test_resume_begins_anew_in_no_folder_with_something_else(ours, monkeypatch):
    """Without checkpoint and model there is nothing to go on from."""
    shutil.rmtree(ours / "checkpoint")
    (ours / "model.safetensors").unlink()
    make_file(ours / "notes.md")
    before = contents(ours)
    with no_step(monkeypatch), pytest.raises(RunError, match=r"with notes\.md in it"):
        vae(epochs=1, out=ours, resume=True)
    assert contents(ours) == before
    (ours / "notes.md").unlink()
    vae(epochs=1, out=ours, resume=True)


def test_resume_goes_on_next_to_somebody_elses_files(ours):
    names = ("notes.md", "checkpoint/best.safetensors", "checkpoint/00.safetensors")
    for name in names:
        make_file(ours / name)
    run = vae(epochs=3, checkpoint_every=2, out=ours, resume=True)
    assert same(weights(run.model), weights(vae(epochs=3).model))
    assert all((ours / name).read_text() == "mine" for name in names)


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_comes_while_it_trains_stays(overwrite, out, monkeypatch):
    """The folder is looked at again when the new run takes its place."""
    if overwrite:
        vae(epochs=1, out=out)

    def come(state):
        if state.step == 3:  # after metrics.csv was written next to the place
            make_file(out / "notes.md")

    told = "with notes.md in it" if overwrite else "exists already"
    with watching(monkeypatch, come), pytest.raises(RunError, match=told):
        vae(epochs=2, checkpoint_every=4, seed=5, out=out, overwrite=overwrite)
    assert (out / "notes.md").read_text() == "mine"
    assert not overwrite or lt.load(out).training.seed == 0


@pytest.mark.parametrize("ending", ["new", "old"])
def test_folders_next_to_it_that_are_not_ours_stay(ending, ours, monkeypatch):
    make_file(ours.parent / f".run.{ending}" / "mine.txt")
    refused(ours, rf"\.run\.{ending} is in the way, with mine.txt in it: move it", monkeypatch)


def test_what_a_killed_program_left_next_to_it_is_cleared(ours):
    shutil.copytree(ours, ours.with_name(".run.new"))
    shutil.copytree(ours, ours.with_name(".run.old"))
    vae(epochs=1, seed=5, out=ours, overwrite=True)
    assert names(ours.parent) == ["run"]


@pytest.fixture
def gone() -> int:
    """The number of a process that is over."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_each_program_waits_in_a_folder_of_its_own_and_clears_those_of_killed_ones(ours, gone):
    mine = waiting(ours).name
    machine = mine.removeprefix(".run.").removesuffix(f"-{os.getpid()}.new")
    for name in (mine, f".run.{machine}-{gone}.new", ".run.elsewhere-1.new", f".run.b.{machine}-{gone}.new"):
        shutil.copytree(ours, ours.with_name(name))
    vae(epochs=1, seed=5, out=ours, overwrite=True)
    assert {*names(ours.parent)} == {"run", ".run.elsewhere-1.new", f".run.b.{machine}-{gone}.new"}


def test_two_programs_do_not_write_to_one_place(out, monkeypatch):
    """One that comes later is refused, before its training or when it first writes."""
    theirs = waiting(out).with_name(waiting(out).name.replace(f"-{os.getpid()}.", f"-{os.getppid()}."))
    theirs.mkdir()
    told = rf"another program, process {os.getppid()}, is writing a run to .*run \(in \.run\..*\.new"
    refused(out, told, monkeypatch, overwrite=False)
    theirs.rmdir()
    come = {2: lambda: theirs.mkdir(), 3: lambda: None}
    with (
        watching(monkeypatch, lambda state: come.get(state.step, int)()),
        pytest.raises(RunError, match=told),
    ):
        vae(epochs=2, checkpoint_every=4, out=out)
    assert names(out.parent) == [theirs.name]


def test_a_run_that_another_program_has_written_meanwhile_is_not_replaced(ours, tmp_path, monkeypatch):
    vae(epochs=1, seed=7, out=tmp_path / "theirs")

    def come(state):
        if state.step == 3:
            shutil.rmtree(ours)
            (tmp_path / "theirs").rename(ours)

    told = "another program has written a run to .*run meanwhile: choose another folder"
    with watching(monkeypatch, come), pytest.raises(RunError, match=told):
        vae(epochs=2, checkpoint_every=4, seed=5, out=ours, overwrite=True)
    assert lt.load(ours).training.seed == 7
    assert names(ours.parent) == ["run"]


def test_a_run_whose_replacement_was_killed_between_two_moves_is_found(ours, monkeypatch):
    old = ours.with_name(".run.old")
    ours.rename(old)
    with (
        no_step(monkeypatch),
        pytest.raises(RunError, match=r"\.run\.old is the run that was at .*: move it back"),
    ):
        vae(epochs=1, out=ours)
    assert lt.load(old).training.seed == 0
    plain = Path.rename

    def rename(self, target):
        assert old.exists()
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    vae(epochs=1, seed=5, out=ours, overwrite=True)
    assert names(ours.parent) == ["run"]


def test_ctrl_c_between_two_moves_puts_the_old_run_back(ours, monkeypatch):
    before, plain = contents(ours), Path.rename

    def rename(self, target):
        if self.name.endswith(".new"):
            raise KeyboardInterrupt
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        vae(epochs=1, seed=1, out=ours, overwrite=True)
    assert contents(ours) == before
    assert names(ours.parent) == ["run"]


def test_the_command_line_refuses_in_one_line(out, monkeypatch, capsys):
    out.mkdir()
    make_file(out / "config.json")
    monkeypatch.chdir(out)
    assert main(["fit", "gaussian", "--data", "digits", "--out", ".", "--overwrite"]) == 1
    told = "latentia: error: . is the working directory or a parent of it, so --overwrite leaves it alone: choose "
    assert capsys.readouterr().err == told + "another folder\n"
    assert names(out) == ["config.json"]
