"""Settings of evaluations: one mechanism for `lt.evaluate` and the command line, and settings that metrics declare."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch
from tests.running import X, vae
from torch import nn

import latentia as lt
from latentia.cli import main
from latentia.core.model import Generative
from latentia.data.rows import Rows
from latentia.errors import RenamedWarning, UnknownNameError, UsageError
from latentia.metrics.declared import Declared, declared
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.likelihood.ais import AISSettings
from latentia.metrics.score import Score, table
from latentia.metrics.scoring import score
from latentia.metrics.settings import (
    COMMON,
    CommonSettings,
    EvaluationSettings,
    MetricSettings,
    metric_settings,
    settings_of_metric,
)
from latentia.options import Count, Fraction
from latentia.registry import metrics
from latentia.runs.evaluate import read_scores
from latentia.runs.monitor import make_monitor
from latentia.runs.options import Training
from latentia.signatures import Option, signature_of


@dataclass(frozen=True)
class ColourSettings(MetricSettings):
    """Settings of the colour.

    Attributes:
        shades: of grey
        depth: of each
    """

    shades: Count = 50
    depth: Fraction = 0.5


@pytest.fixture
def colour():
    """Register a metric with settings of its own, as a user does, for a while."""

    @metrics.register("test-colour", needs=nn.Module, settings=ColourSettings)
    def test_colour(evaluation: Evaluation) -> Score:
        """Number of shades."""
        own = evaluation.settings.of(ColourSettings)
        return Score(
            "test-colour", own.shades * own.depth, unit="shades", kind="exact", n=len(evaluation.rows)
        )

    yield
    for facts in (metrics._members, metrics._facts, metrics._outside):
        facts.pop("test-colour")
    metrics._written.pop("testcolour")


@pytest.mark.usefixtures("colour")
def test_a_metric_s_own_settings_reach_it_from_python_and_the_command_line(tmp_path, capsys):
    run = vae(epochs=1, out=tmp_path / "run")
    found = lt.evaluate(run, X, "test-colour", test_colour_shades=4, test_colour_depth=1)
    assert found["value"].tolist() == [4.0]
    np.save(tmp_path / "x.npy", X)
    words = ["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "x.npy"), "--metrics", "test-colour"]
    assert main([*words, "--test-colour-shades", "6"]) == 0
    assert {each.value for each in read_scores(tmp_path / "run")} == {4.0, 3.0}
    assert main([*words, "--test-colour-shades", "0"]) == 2
    assert "--test-colour-shades must be at least 1; got 0" in capsys.readouterr().err


@pytest.mark.usefixtures("colour")
def test_help_lists_the_settings_that_evaluate_takes(capsys):
    assert main(["evaluate", "--help"]) == 0
    words = {word.strip("│,") for word in capsys.readouterr().out.split()}
    defaults = {each.name: each.default for each in metric_settings()}
    names = [*COMMON, *defaults]
    assert {f"--{name.replace('_', '-')}" for name in names} <= words
    assert "test_colour_shades" in names
    every = EvaluationSettings.named(**defaults)  # `evaluate` takes each of them
    assert every.of(AISSettings) == AISSettings()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ais_chain": 3}, "unknown setting 'ais_chain'; did you mean 'ais_chains'"),
        ({"max_row": 3}, "unknown setting 'max_row'; did you mean 'max_rows'"),
        ({"ais_chains": 0}, "ais_chains must be at least 1; got 0"),
        ({"iwae_samples": 1.5}, "iwae_samples must be a whole number; got 1.5"),
        ({"max_rows": 0}, "max_rows must be at least 1; got 0"),
        ({"seed": -1}, "seed must be from 0 to"),
        ({"memorisation_quantile": 1}, "memorisation_quantile must be between 0 and 1, both excluded; got 1"),
        ({"modes_radius": float("nan")}, "modes_radius must be a finite number; got nan"),
    ],
)
def test_unknown_settings_and_wrong_values_get_one_line(settings, message):
    with pytest.raises(UsageError) as error:
        lt.evaluate(vae(epochs=1), X, **settings)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_message_names_the_option_as_it_is_given(tmp_path, capsys):
    run = vae(epochs=1, out=tmp_path / "run")
    with pytest.raises(UsageError, match=r"nothing was held out: give rows with data=$"):
        lt.evaluate(run)
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.endswith("nothing was held out: give rows with --data\n")


def test_the_settings_of_today_are_there_by_name_and_an_old_name_is_noted():
    names = {setting.name for setting in metric_settings()} | {*COMMON}
    assert {"iwae_samples", "max_rows", "ais_rows", "ais_chains", "ais_temperatures", "seed"} <= names
    with pytest.warns(RenamedWarning, match="permutations is called mmd_test_permutations now"):
        old = EvaluationSettings.named(permutations=7)
    assert old == EvaluationSettings.named(mmd_test_permutations=7)
    rows = Rows(torch.zeros(2, 1), lt.DataSpec((1,), lt.Support("real")))
    with pytest.warns(RenamedWarning) as noted:
        Evaluation.of(nn.Identity(), rows, permutations=7)
    assert noted[0].filename == __file__
    with pytest.raises(UsageError, match="and both are given"):
        EvaluationSettings.named(permutations=7, mmd_test_permutations=7)


def test_settings_are_given_out_by_their_class_and_checked():
    assert EvaluationSettings.named(ais_rows=3).of(AISSettings) == AISSettings(rows=3)
    assert EvaluationSettings().of(AISSettings) == AISSettings()
    with pytest.raises(UsageError, match="chains must be at least 1; got 0"):
        AISSettings(chains=0)


def test_every_setting_has_an_explanation_a_default_and_a_name_of_its_own():
    settings = [*signature_of(CommonSettings).options, *metric_settings()]
    assert len({each.name for each in settings}) == len(settings)
    for each in settings:
        assert each.help, each.name
        assert each.default is not None
    assert [each.name for each in fields(EvaluationSettings)] == [*COMMON, "own"]
    helps = {each.name: each.help for each in settings}
    assert helps["ais_chains"] == "for each row (also for bidirectional-gap and gaps)"


@pytest.mark.parametrize("name", sorted(lt.metrics))
def test_what_a_metric_declares_is_known(name):
    found = declared(name)
    assert all(isinstance(each, type) or hasattr(each, "__args__") for each in found.capabilities)
    assert all(other in lt.metrics and declared(other).settings for other in found.reads)
    assert all(each == name or each.startswith((f"{name}/", f"{name}-")) for each in found.no_stderr)


def test_an_unknown_declaration_is_refused(monkeypatch):
    monkeypatch.setitem(metrics._facts, "elbo", {"need": Generative})
    with pytest.raises(UsageError, match="metric 'elbo': unknown declaration 'need'; did you mean 'needs'"):
        declared("elbo")
    assert Declared(needs=Generative).capabilities == (Generative,)


def test_the_monitor_scores_by_the_same_settings():
    run = vae(epochs=1)
    rows = Rows(torch.from_numpy(X), run.spec)
    monitor = make_monitor(run.recipe, rows, Training(seed=3))
    assert monitor is not None
    assert monitor.evaluation.settings == EvaluationSettings(seed=3, max_rows=500)


# --- which run a score is of ------------------------------------------------------------------------------------


def test_scores_say_which_run_they_are_of(tmp_path):
    run = vae(epochs=1, seed=5, out=tmp_path / "mine")
    found = lt.evaluate(run, X, "elbo", seed=2).iloc[0]
    assert (found["run"], found["recipe"], found["seed"]) == ("mine", "vae", 5)
    assert json.loads(found["settings"])["seed"] == 2
    (kept,) = read_scores(tmp_path / "mine")
    assert (kept.run, kept.recipe, kept.seed) == ("mine", "vae", 5)
    (moved,) = read_scores((tmp_path / "mine").rename(tmp_path / "renamed"))
    assert (
        moved.run == "renamed"
    )  # a folder may be renamed or copied: its scores are of what it is called now
    assert lt.evaluate(vae(epochs=1), X, "elbo")["run"].tolist() == [""]


def test_scores_of_an_earlier_version_are_read(tmp_path):
    vae(epochs=1).save(tmp_path / "run")
    old = {"metric": "elbo", "value": -1.0, "stderr": 0.1, "unit": "nats", "kind": "exact", "measure": "Lebesgue",
           "n": 3, "settings": {}, "direction": "higher", "reason": "", "data": "x", "fingerprint": 1}  # fmt: skip
    (tmp_path / "run" / "scores.json").write_text(json.dumps({"scores": [old]}))
    (found,) = read_scores(tmp_path / "run")
    assert (found.value, found.run, found.recipe, found.seed) == (-1.0, "run", "", None)
    frame = table([found, Score("elbo", 1.0, seed=3)])
    assert frame["seed"].isna().tolist() == [True, False]
    assert frame["seed"].iloc[1] == 3


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(UnknownNameError, match="unknown metric name 'elbow'"):
        score(
            Evaluation(nn.Identity(), Rows(torch.zeros(2, 1), lt.DataSpec((1,), lt.Support("real")))),
            ["elbow"],
        )


def test_settings_read_from_files_are_those_of_the_classes() -> None:
    def told(option: Option) -> tuple[object, ...]:
        return option.name, str(option.hint), option.default, option.help

    read = [told(option) for metric in metrics for option in settings_of_metric(metric)]
    assert read == [told(setting) for setting in metric_settings()]
