"""The command line's words: help, options, errors and exit codes. What the verbs do is in test_cli_end_to_end."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

import latentia.cli
from latentia.cli import main
from latentia.cli.commands import GROUPS, verbs
from latentia.cli.fit import default_folder, fit
from latentia.cli.parse import parse
from latentia.cli.tables import print_scores
from latentia.errors import RunError, UsageError
from latentia.metrics.score import Score
from latentia.registry import datasets, metrics, recipes
from latentia.runs.options import TRAINING, recipe_options
from latentia.signatures import Option, section, signature_of


def flat(text: str) -> str:
    """Return a help screen's words in a row, without the boxes around them."""
    return " ".join(text.translate({ord(c): " " for c in "│╭╮╰╯─"}).split())


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def test_the_module_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "latentia", "smaple"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        2, "latentia: error: unknown verb name 'smaple'; did you mean 'sample'?\n",
    )  # fmt: skip


def test_the_overview_lists_every_verb_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    told = flat(capsys.readouterr().out)
    for name, summary in verbs.summaries().items():
        assert f"{name} {summary}" in told
        assert verbs.facts(name)["group"] in GROUPS


@pytest.mark.parametrize("registry", [recipes, datasets, metrics], ids=lambda registry: registry.name)
def test_lists_have_one_line_for_each_member(registry: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([registry.name]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert {name: text.strip() for name, text in lines} == registry.summaries()


@pytest.mark.parametrize("recipe", recipes)
def test_fit_help_shows_all_options_with_defaults_and_explanations(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", recipe, "--help"]) == 0
    shown = capsys.readouterr().out
    own, training = shown.index(f" {recipe} options "), shown.index(" training options ")
    assert own < training
    for name, default in recipe_options(recipes[recipe]).items():
        entry = re.search(rf"\n\W {flag(name)}\b(.*?)(?=\n\W --[a-z]|\Z)", shown[own:training], re.DOTALL)
        assert entry is not None, f"{name} is missing"
        if default is not None and default is not False:
            assert f"(default: {default})" in flat(entry[1])
    for name in TRAINING:
        assert re.search(rf"{flag(name)}\b", shown[training:])
    assert flat(recipes[recipe].__doc__.splitlines()[0]) in flat(shown)


@pytest.mark.parametrize("recipe", recipes)
def test_no_recipe_reuses_a_name_of_the_training_or_of_fit(recipe: str) -> None:
    taken = {*TRAINING, *(option.name for option in signature_of(fit).options)}
    assert not taken & {*recipe_options(recipes[recipe])}


@pytest.mark.parametrize("verb", verbs)
def test_every_option_of_a_verb_is_explained(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    for option in signature_of(verbs[verb]).options:
        assert option.help, f"{verb} does not explain {option.name}"
    assert main([verb, "--help"]) == 0
    shown = flat(capsys.readouterr().out)
    assert all(
        flat(option.help) in shown for option in signature_of(verbs[verb]).options if option.name != "recipe"
    )


@pytest.mark.parametrize("verb", verbs)
def test_the_examples_in_the_help_can_be_typed(verb: str) -> None:
    examples = section(signature_of(verbs[verb]).doc, "Examples").replace("RECIPE", "vae").splitlines()
    assert examples
    for example in examples:
        program, name, *words = shlex.split(example)
        assert program == "latentia"
        if "--help" not in words:
            assert latentia.cli._values(name, words) is not None


@pytest.mark.parametrize("recipe", recipes)
def test_help_spells_options_as_they_are_typed(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Docstrings and explanations spell them as Python does, as in ``critic_norm="spectral"``."""
    main(["fit", recipe, "--help"])
    shown = flat(capsys.readouterr().out)
    named = [option.name for option in signature_of(recipes[recipe]).keywords]
    assert not [name for name in named if re.search(rf"(?<![\w-]){name}=\w", shown)]
    assert not [name for name in named if "_" in name and re.search(rf"(?<![\w]){name}(?!\w)", shown)]


def read(hint: Any, *words: str, default: Any = None) -> Any:
    return parse("latentia test", "", {"": [Option("an_option", hint, default, "one")]}, words)["an_option"]


@pytest.mark.parametrize(
    ("hint", "words", "value"),
    [
        (int, ["3"], 3),
        (int, ["-1"], -1),
        (float, ["1e-3"], 1e-3),
        (float, ["-2"], -2.0),
        (str, ["mlp"], "mlp"),
        (str, ["3"], "3"),
        (Path, ["a/b"], Path("a/b")),
        (int | None, ["3"], 3),
        (float | None, ["none"], None),
        (str | None, ["none"], None),
        (int | float | None, ["0.5"], 0.5),
        (Literal["fixed", "dynamic"], ["dynamic"], "dynamic"),
        (Literal["fixed", "dynamic"] | None, ["fixed"], "fixed"),
        (tuple[int, int], ["3", "4"], (3, 4)),
        (tuple[int, int] | None, ["3", "4"], (3, 4)),
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (bool, [], True),
    ],
    ids=str,
)
def test_values_are_read_by_their_type(hint: Any, words: list[str], value: Any) -> None:
    default = False if hint is bool else None
    assert read(hint, "--an-option", *words, default=default) == value
    assert type(read(hint, "--an-option", *words, default=default)) is type(value)
    assert read(hint, "--an_option", *words, default=default) == value
    assert read(hint, default=default) is default


def test_a_truth_value_can_be_denied() -> None:
    assert read(bool, "--no-an-option", default=True) is False
    assert read(bool, default=True) is True


@pytest.mark.parametrize(
    ("hint", "words", "told"),
    [
        (int, ["3.5"], "expected a whole number; got '3.5'"),
        (float | None, ["x"], "expected a number; got 'x'"),
        (float, ["nan"], "expected a finite number; got 'nan'"),
        (Literal["fixed", "dynamic"] | None, ["q"], "expected fixed or dynamic; got 'q'"),
        (int, [], "--an-option"),
        (tuple[int, int], ["3"], "--an-option"),
    ],
    ids=str,
)
def test_values_that_do_not_fit_are_reported_in_one_line(hint: Any, words: list[str], told: str) -> None:
    with pytest.raises(UsageError, match="see latentia test --help") as caught:
        read(hint, "--an-option", *words)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not set(str(caught.value)) & set("│╭╰─")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("smaple", "unknown verb name 'smaple'; did you mean 'sample'?"),
        ("fit vea --data digits", "unknown recipe name 'vea'; did you mean 'vae'?"),
        (
            "fit --data digits vae",
            "fit takes a recipe first: latentia fit RECIPE ...; there are: annealed-vae, autoencoder,",
        ),
        ("fit", "fit takes a recipe first"),
        ("fit vae", "--data is missing: a name that `latentia datasets` lists"),
        (
            "fit vae --data digits --latent-dmi 8",
            "unknown option '--latent-dmi'; did you mean '--latent-dim'?",
        ),
        (
            "fit vae --data digits --latent_dmi=8",
            "unknown option '--latent-dmi'; did you mean '--latent-dim'?",
        ),
        ("fit vae --data digits --epcohs 8", "unknown option '--epcohs'; did you mean '--epochs'?"),
        ("fit gan --data digits --binarise fixed", "--binarise is an option of"),
        ("fit gan --data digits --kl_warmup=3", "--kl-warmup is an option of"),
        ("fit gan --data digits --binarised", "unknown option '--binarised'; "),
        ("fit vae digits", "--data is missing: did you mean --data digits?"),
        ("fit vae digits --epochs 3", "--data is missing: did you mean --data digits?"),
        ("fit vae --data digits --epochs many", "--epochs: expected a whole number; got 'many'"),
        ("fit vae --data digits --epochs 0", "epochs must be at least 1; got 0"),
        ("fit vae --data digits --epochs 1 --steps 1", "give --epochs or --steps, not both"),
        ("fit vae --data digits --resume --overwrite", "give one of them"),
        (
            "fit vae --data nowhere.csv",
            "error: there is no file or folder nowhere.csv, and no data set has this name",
        ),
        (
            "fit vae --data ./digits",
            "there is no file or folder digits; did you mean the data set 'digits'?",
        ),
        ("fit vae --data nowhere", "and no file has this path"),
        ("fit vae --data digit", "unknown data set 'digit'; did you mean 'digits'"),
        ("recipes --all", "unknown option '--all'"),
        ("sample", "RUN"),
        ("sample runs/a runs/b", "runs/b"),
        ("sample -n 3", "unknown option '-n'"),
    ],
)
def test_words_that_make_no_sense_exit_with_2_and_one_line(
    line: str, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("latentia: error: ")
    assert told in err
    assert not list(tmp_path.iterdir())


def raising(error: BaseException) -> Callable[..., None]:
    def verb(**_: Any) -> None:
        raise error

    return verb


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UsageError("wrong words"), 2, "latentia: error: wrong words\n"),
        (RunError("cannot\n  write"), 1, "latentia: error: cannot write\n"),
        (KeyError("k"), 1, "latentia: error: unexpected KeyError: 'k'; --debug shows where\n"),
        (ValueError(), 1, "latentia: error: unexpected ValueError: without a message; --debug shows where\n"),
        (KeyboardInterrupt(), 130, "latentia: interrupted\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes_and_their_lines(
    error: BaseException,
    code: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(verbs._members, "recipes", raising(error))
    monkeypatch.setitem(verbs._facts, "recipes", {"group": GROUPS[0]})
    assert main(["recipes"]) == code
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize(
    "line", ["--debug sample nowhere", "sample nowhere --debug", "sample --debug nowhere"]
)
def test_debug_shows_the_traceback_wherever_it_stands(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("latentia: error: there is no run folder at nowhere\n")
    assert main(["sample", "nowhere"]) == 1
    assert capsys.readouterr().err == "latentia: error: there is no run folder at nowhere\n"


@pytest.mark.parametrize("words", ["datasets", "--version"])  # by rich, and by print
def test_a_closed_pipe_is_quiet(words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # before anything is written
    done = subprocess.run(
        [sys.executable, "-m", "latentia", words], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 1


def test_printed_scores_read_back_whatever_their_size(capsys: pytest.CaptureFixture[str]) -> None:
    values = [-3.2, 1e-7, 123456.0, -0.000123456, 0.0]
    print_scores([Score("m", value, 0.25, unit="nats", kind="exact", n=9) for value in values])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [float(words[1]) for words in lines] == pytest.approx(values, rel=1e-5, abs=0)
    assert {tuple(words[2:]) for words in lines} == {("0.25", "nats", "exact", "9")}


def test_a_score_without_a_value_shows_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    print_scores([Score("log-likelihood", None, kind="none: samples only", reason="it has no density", n=9)])
    (line,) = capsys.readouterr().out.splitlines()[1:]
    assert " ".join(line.split()) == "log-likelihood - none: samples only: it has no density 9"


@pytest.mark.parametrize(
    ("data", "folder"),
    [("digits", "vae-digits"), ("a/b.csv", "vae-b"), ("b.csv.gz", "vae-b"), ("photos/cats/", "vae-cats")],
)
def test_runs_are_named_after_recipe_and_data(data: str, folder: str) -> None:
    assert default_folder("vae", data) == Path("runs") / folder
