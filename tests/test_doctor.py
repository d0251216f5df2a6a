"""The doctor: planted histories that have a symptom, healthy ones that have none, and trainings that are real."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch
from tests.running import X, contents, vae, watching
from torch import nn

import latentia as lt
from latentia.cli import main
from latentia.core.objective import Batch, Objective
from latentia.core.player import Optim
from latentia.errors import NonFiniteError, RunError
from latentia.metrics.score import Score
from latentia.runs import doctor as doctors
from latentia.runs.diagnostics import learning
from latentia.runs.diagnostics.finding import WINDOW, Facts, Finding, TrainingLog, columns_of
from latentia.runs.doctor import examine, facts_of, findings, findings_of, noticing, why_not_finite
from latentia.runs.evaluate import write_scores

EPOCHS = 40
RNG = np.random.default_rng(0)


def history(**columns) -> dict[str, np.ndarray]:
    """Return a history of 40 epochs; a number stands for a column of it."""
    plain = {"epoch": np.arange(1, EPOCHS + 1), "step": np.arange(1, EPOCHS + 1) * 10}
    told = {name.replace("__", "/"): value for name, value in (plain | columns).items()}
    return {name: np.broadcast_to(np.asarray(value, dtype=float), EPOCHS) for name, value in told.items()}


def noisy(values, deviation: float = 0.02, seed: int = 0) -> np.ndarray:
    return values + deviation * np.random.default_rng(seed).normal(size=EPOCHS)


def rising(last: float = 0.0, lasting: float = 4.0) -> np.ndarray:
    """Return a curve that rises to its last value and flattens."""
    return last - 10 * np.exp(-np.arange(EPOCHS) / lasting)


GAN = {
    "critic_accuracy_real": noisy(0.6),
    "critic_accuracy_fake": noisy(0.6, seed=1),
    "gradient_norm__generator": noisy(1.0),
    "gradient_norm__critic": noisy(1.0),
    "sample_diversity": noisy(0.95),
    "range_outside": 0.005,
    "range_covered": 0.9,
    "critic_saturated": 0.1,
    "validation_energy-distance": noisy(np.exp(-np.arange(EPOCHS) / 5), 0.01),
}
VAE = {
    "loss": noisy(-rising(-90)),
    "elbo": noisy(rising(-90)),
    "kl": noisy(12.0),
    "validation_elbo": noisy(rising(-95), seed=1),
}
STRONG = {"critic_accuracy_real": 0.99, "critic_accuracy_fake": 0.98}
FADING = np.geomspace(1, 0.01, EPOCHS)
PEAK = -90 - ((np.arange(EPOCHS) - 12) / 10.0) ** 2  # best in epoch 13, then lost
DONE = Facts(epochs=EPOCHS, over=True)

PLANTED: dict[str, list[tuple[dict, Facts]]] = {
    "critic-too-strong": [
        (GAN | STRONG | {"gradient_norm__generator": FADING, "critic_saturated": 0.7}, DONE),
        ({**STRONG, "gradient_norm__generator": FADING}, DONE),  # least squares, say
    ],
    "critic-too-weak": [
        (GAN | {"critic_accuracy_real": 0.4, "critic_accuracy_fake": 0.6, "sample_diversity": 0.4}, DONE),
        (GAN | {"critic_accuracy_real": 0.5, "critic_accuracy_fake": 0.5, "sample_diversity": 3.0}, DONE),
    ],
    "collapse": [(GAN | {"sample_diversity": noisy(0.05, 0.001)}, DONE)],
    "range-mismatch": [
        (GAN | {"range_outside": 0.4}, DONE),
        (GAN | {"range_covered": 0.5, "sample_diversity": 0.6}, Facts(epochs=EPOCHS, bounded=True)),
    ],
    "batch-norm-under-penalty": [
        (GAN | {"critic_penalty": 0.3}, Facts(epochs=EPOCHS, mixing=("network.1 (BatchNorm1d)",)))
    ],
    "scores-saturated": [(GAN | {"critic_saturated": noisy(0.97, 0.005)}, DONE)],
    "not-finite": [(GAN, Facts(stopped="the loss of player 'critic' is nan at step 5"))],
    "strange-samples": [(VAE, Facts(strange_samples=0.5))],
    "interrupted": [(VAE, Facts(epochs=50, interrupted=True))],
    "gradient-grew": [(GAN | {"gradient_norm__critic": np.geomspace(1, 1e4, EPOCHS)}, DONE)],
    "overfitting": [
        (VAE | {"validation_elbo": noisy(PEAK), "elbo": noisy(rising(-80, 15.0))}, DONE),
        (
            {"log_likelihood": rising(-1, 15.0), "validation_log-likelihood": noisy(PEAK + 85)},
            DONE,
        ),
    ],
    "got-worse": [(GAN | {"validation_energy-distance": noisy(0.1 - (PEAK + 90), 0.01)}, DONE)],
    "diverged": [({"loss": noisy(np.linspace(1, 9, EPOCHS))}, DONE)],
    "still-improving": [
        ({"loss": noisy(np.linspace(9, 1, EPOCHS))}, DONE),
        (VAE | {"validation_elbo": noisy(np.linspace(-99, -90, EPOCHS))}, DONE),
    ],
    "code-unused": [
        (VAE | {"kl": noisy(0.02, 0.001)}, DONE),
        (VAE, Facts(epochs=EPOCHS, active_units=0.0)),
    ],
    "components-unused": [({}, Facts(held=(50.0, 0.4, 49.6)))],
    "density-on-spikes": [({}, Facts(spikes=("gain: 90 % are 0",)))],
}
CASES = [(name, *case) for name, cases in PLANTED.items() for case in cases]


@pytest.mark.parametrize(("name", "columns", "facts"), CASES, ids=[case[0] for case in CASES])
def test_a_planted_symptom_is_found_with_its_numbers(name, columns, facts):
    found = {finding.name: finding for finding in findings(TrainingLog(history(**columns), facts))}
    assert name in found
    assert found[name].advice
    assert "nan" not in found[name].evidence.replace("is nan at step", "")
    assert "\n" not in str(found[name])


HEALTHY: dict[str, tuple[dict, Facts]] = {
    "gan": (GAN, DONE),
    "vae": (VAE, DONE),
    "nothing logged": ({}, DONE),
    "a strong critic that still teaches": (GAN | STRONG, DONE),
    "a critic that is sure and still teaches": (GAN | STRONG | {"critic_saturated": 0.7}, DONE),
    "a fading gradient at the goal": (GAN | {"gradient_norm__generator": FADING}, DONE),
    "a critic that knows no difference, since there is none": (
        GAN | {"critic_accuracy_real": 0.5, "critic_accuracy_fake": 0.5},
        DONE,
    ),
    "a way out of a collapse": (GAN | {"sample_diversity": np.geomspace(1e-4, 0.39, EPOCHS)}, DONE),
    "a critic of differences, right but not sure": (
        GAN | STRONG | {"critic_saturated": 0.0, "gradient_norm__generator": FADING},
        DONE,
    ),
    "a Wasserstein critic": (
        {
            name: value
            for name, value in (GAN | STRONG | {"gradient_norm__generator": FADING}).items()
            if name != "critic_saturated"
        },
        Facts(epochs=EPOCHS, over=True, even=False),
    ),
    "a gradient that is small once": (
        GAN | {"gradient_norm__critic": np.where(np.arange(EPOCHS) == 3, 1e-4, 1.0)},
        DONE,
    ),
    "samples that are a little worse": (
        GAN | {"validation_energy-distance": noisy(0.7 + 0.001 * np.arange(EPOCHS), 1e-4)},
        DONE,
    ),
    "a distance that hardly moves": (
        GAN | {"validation_energy-distance": noisy(0.7 - 0.0002 * np.arange(EPOCHS), 1e-5)},
        DONE,
    ),
    "one bad epoch": (
        GAN
        | {"sample_diversity": np.where(np.arange(EPOCHS) == EPOCHS - 2, 0.01, 0.9), "range_outside": 0.01},
        DONE,
    ),
    "an unbounded range that is not spanned": (GAN | {"range_covered": 0.5}, DONE),
    "batch norm without a penalty": (GAN, Facts(epochs=EPOCHS, mixing=("0 (BatchNorm1d)",))),
    "held-out rows that level off": (VAE | {"elbo": noisy(rising(-80, 15.0))}, DONE),
    "a warm-up, in which the loss rises with the bound": (
        {"loss": noisy(np.linspace(50, 90, EPOCHS)), "elbo": noisy(rising(-90))},
        DONE,
    ),
    "overfitting, but the best weights are kept": (
        VAE | {"validation_elbo": noisy(PEAK), "elbo": noisy(rising(-80, 15.0))},
        Facts(epochs=EPOCHS, over=True, restored=True),
    ),
    "ended by patience while the loss still fell": (
        {"loss": noisy(np.linspace(9, 1, EPOCHS))},
        Facts(epochs=2 * EPOCHS, over=True, restored=True),
    ),
    "gaps": (GAN | {"sample_diversity": np.where(np.arange(EPOCHS) % 3, np.nan, 0.9)}, DONE),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_history_has_no_finding(name):
    columns, facts = HEALTHY[name]
    assert findings(TrainingLog(history(**columns), facts)) == []


def test_every_symptom_has_a_planted_case():
    every = (*doctors.SYMPTOMS, *learning.AT_THE_END)
    cases = [TrainingLog(history(**columns), facts) for _, columns, facts in CASES]
    told = {symptom.__name__: {f.name for f in map(symptom, cases) if f is not None} for symptom in every}
    assert all(len(names) == 1 for names in told.values()), told
    assert {name for names in told.values() for name in names} == PLANTED.keys()


@pytest.mark.parametrize("seed", range(20))
def test_noise_about_a_level_is_no_trend(seed):
    """A level that was reached in the first epoch: of 2,000 such trainings 16 had a finding, of these 20 none."""
    noise = np.random.default_rng(seed).normal(size=(4, EPOCHS))
    columns = history(loss=noise[0], elbo=noise[1], validation_elbo=noise[2], kl=5 + noise[3])
    assert findings(TrainingLog(columns, DONE)) == []


def test_few_epochs_say_nothing_of_trends():
    columns = history(**(GAN | {"sample_diversity": 0.01}))
    few = {name: values[: WINDOW - 1] for name, values in columns.items()}
    assert findings(TrainingLog(few, Facts(epochs=WINDOW - 1, over=True))) == []


def test_long_epochs_are_judged_sooner_by_their_steps():
    """Two epochs of 300 steps are more than 500 steps, which say as much as five short epochs."""
    columns = history(**(GAN | {"sample_diversity": 0.01, "step": 300 * np.arange(1, EPOCHS + 1)}))
    few = {name: values[:2] for name, values in columns.items()}
    (found,) = findings(TrainingLog(few, Facts(epochs=2, over=True)))
    assert (found.name, "over the last 2 epochs" in found.evidence) == ("collapse", True)
    one = {name: values[:1] for name, values in columns.items()}
    assert findings(TrainingLog(one, Facts(epochs=1, over=True))) == []
    told = []
    rows = [{"epoch": epoch, "step": 300 * epoch, "sample_diversity": 0.01} for epoch in (1, 2, 3)]
    notice = noticing(Facts(epochs=3), told.append)
    for epoch in range(3):
        notice(rows[: epoch + 1])
    assert [finding.name for finding in told] == ["collapse"]


# --- while it goes on -------------------------------------------------------------------------------------------


def test_each_finding_is_reported_once_and_at_few_epochs(monkeypatch):
    looked, told = [], []
    plain = doctors.examine

    def counted(case):
        looked.append(case.rows)
        return plain(case)

    monkeypatch.setattr(doctors, "examine", counted)
    rows = [{"epoch": epoch, "sample_diversity": 0.01} for epoch in range(1, 201)]
    notice = noticing(Facts(epochs=200), told.append)
    for epoch in range(200):
        notice(rows[: epoch + 1])
    assert [finding.name for finding in told] == ["collapse"]
    assert looked == list(range(50, 201, 10))


def test_what_has_healed_is_repeated_as_a_note():
    diversity = np.where(np.arange(EPOCHS) < 20, 0.01, 0.9)
    (found,) = findings(TrainingLog(history(**(GAN | {"sample_diversity": diversity})), DONE))
    assert (found.name, found.severity) == ("collapse", "note")
    assert found.evidence.startswith(
        "reported after 10 epochs, and not at the end: pairs of samples are 0.01 times"
    )


def test_the_epoch_whose_weights_are_kept_is_reported():
    columns = history(**(GAN | {"sample_diversity": 0.01, "validation_energy-distance": 0.2 - (PEAK + 90)}))
    (found,) = findings(TrainingLog(columns, Facts(epochs=EPOCHS, over=True, restored=True)))
    assert found.evidence.endswith("over the last 5 epochs (the weights kept are of epoch 13)")


def test_the_worst_is_first():
    columns = history(**(GAN | {"sample_diversity": 0.01}))
    found = findings(TrainingLog(columns, Facts(epochs=50, stopped="nan", interrupted=True)))
    assert [finding.severity for finding in found] == ["error", "warning", "note"]


# --- real trainings ---------------------------------------------------------------------------------------------


class Narrowing(Objective):
    """A game whose generator is given: its samples are the data's until they shrink to a point."""

    def __init__(self, shrinks: bool = True) -> None:
        super().__init__()
        self.model, self.shrinks = nn.Linear(3, 1, bias=False), shrinks

    def players(self):
        return {"model": self.model}

    def step(self, batch: Batch):
        yield "model", self.model(batch.x).square().mean()
        return {"sample_diversity": 0.5 ** int(self.clock) if self.shrinks else 0.9}


def fitted(objective: Objective, epochs: int = 12, **options) -> lt.Run:
    return lt.fit(lt.Recipe(objective, Optim("sgd", lr=0.01), batch_size=60), X, epochs=epochs, **options)


def test_a_training_prints_what_goes_wrong_once(capfd, out):
    fitted(Narrowing(), out=out)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "collapse" in line]
    assert line.startswith("latentia: warning: collapse: pairs of samples are 0.")
    assert "times as far apart as real rows over the last 5 epochs; take r3-gan" in line
    (again,) = findings_of(out)
    assert again.name == "collapse"


@pytest.mark.parametrize(("shrinks", "progress"), [(True, False), (False, True)])
def test_a_healthy_training_and_a_quiet_one_print_no_warning(shrinks, progress, capfd):
    fitted(Narrowing(shrinks), progress=progress)
    assert "warning" not in capfd.readouterr().err


def test_a_table_of_findings():
    table = lt.doctor(fitted(Narrowing(), progress=False))
    assert list(table.columns) == ["finding", "severity", "evidence", "advice"]
    assert table["finding"].tolist() == ["collapse"]
    assert list(lt.doctor(fitted(Narrowing(False), progress=False)).columns) == list(table.columns)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("gan", {"lr": 1e-3, "critic_lr": 1e-12}, {"critic-too-weak", "collapse"}),
        (
            "gan",
            {"lr": 1e-5, "critic_lr": 3e-3, "loss": "minimax"},
            {"critic-too-strong", "scores-saturated"},
        ),
        ("r3-gan", {}, set()),
    ],
    ids=["a critic that stands still", "a critic that runs away", "a healthy game"],
)
def test_the_ring_is_learned_or_the_doctor_says_why_not(name, options, expected):
    """A generator's samples gather where a still critic scores highest; a critic that is sure teaches nothing."""
    rows = lt.datasets["ring"](split="train", seed=0).take(torch.arange(1280)).x.numpy()
    sizes = {"hidden": 64, "latent_dim": 4, "validation": 0.2, "epochs": 40, "progress": False}
    run = lt.fit(name, rows, seed=1, **sizes, **options)
    found = {finding.name for finding in findings_of(run) if finding.severity == "warning"}
    assert expected <= found if expected else not found


# --- folders ----------------------------------------------------------------------------------------------------


def test_a_run_in_memory_and_its_folder_have_the_same_findings(out):
    run = vae(epochs=2, out=out)
    assert findings_of(run) == findings_of(out) == findings_of(lt.load(out)) == []
    run.epochs = columns_to_history(history(kl=0.01, elbo=noisy(rising()))).to_dict("records")
    assert [finding.name for finding in findings_of(run)] == ["code-unused"]


def columns_to_history(columns):
    import pandas as pd

    return pd.DataFrame(columns).astype({"epoch": int, "step": int})


def test_an_interrupted_training_is_said_to_be_one_with_a_model_and_without(monkeypatch, out):
    with watching(monkeypatch, lambda s: signal.raise_signal(signal.SIGINT) if s.step == 3 else None):
        run = vae(epochs=4, out=out)
    for each in (run, out):
        (found,) = findings_of(each)
        assert (found.name, found.severity, found.evidence) == (
            "interrupted",
            "note",
            "1 of 4 epochs are done",
        )
    (out / "model.safetensors").unlink()
    assert [finding.name for finding in findings_of(out)] == ["interrupted"]
    vae(epochs=4, out=out, resume=True)
    assert findings_of(out) == []


def test_steps_are_a_length_too(out):
    assert findings_of(vae(steps=7, out=out)) == []
    assert findings_of(out) == []


class Falls(Objective):
    """A player whose gradient grows until its loss is not finite."""

    def __init__(self, fails_at: int, grows: float = 1.0) -> None:
        super().__init__()
        self.model, self.fails_at, self.grows = nn.Linear(3, 1, bias=False), fails_at, grows

    def players(self):
        return {"model": self.model}

    def step(self, batch: Batch):
        clock = int(self.clock)
        loss = self.model(batch.x).mean() * (torch.nan if clock == self.fails_at else self.grows**clock)
        yield "model", loss
        return {"loss": loss.detach()}


@pytest.mark.parametrize(
    ("fails_at", "grows", "told"),
    [
        (0, 1.0, "it came in the first epoch: the learning rate is too high for these rows"),
        (35, 1.0, "3 epochs before it show no sign of it: look at the rows of this step"),
        (35, 1.3, "before it the gradient norm of player 'model' grew from "),
    ],
)
def test_a_loss_that_is_not_finite_stops_with_good_weights_and_a_diagnosis(fails_at, grows, told, out):
    recipe = lt.Recipe(Falls(fails_at, grows), Optim("sgd", lr=1e-9), batch_size=6)  # ten steps an epoch
    with pytest.raises(NonFiniteError) as error:
        lt.fit(recipe, X, epochs=9, out=out, progress=False)
    message = str(error.value)
    assert f"player 'model' is nan at step {fails_at}" in message
    assert f"; {told}" in message
    assert "\n" not in message
    if fails_at:
        (found,) = findings_of(out)
        assert (found.name, found.severity, found.evidence) == ("not-finite", "error", message)
        assert findings_of(out, recipe=recipe) == [found]


def test_a_run_that_goes_on_after_a_stop_has_stopped_no_more(out):
    failing = Falls(35)
    options = {"epochs": 9, "out": out, "progress": False, "checkpoint_every": 30}
    with pytest.raises(NonFiniteError):
        lt.fit(lt.Recipe(failing, Optim("sgd", lr=1e-9), batch_size=6), X, **options)
    assert (out / "stopped.json").exists()
    failing.fails_at = -1
    lt.fit(lt.Recipe(failing, Optim("sgd", lr=1e-9), batch_size=6), X, resume=True, **options)
    assert not (out / "stopped.json").exists()


def test_an_earlier_symptom_is_reported_first():
    columns = history(**(GAN | {"sample_diversity": 0.01}))
    assert why_not_finite(TrainingLog(columns, DONE)).startswith(
        "collapse went before it: pairs of samples are"
    )


def test_stored_scores_and_the_model_are_looked_at(out):
    run = vae(epochs=1, out=out)
    write_scores([Score("surgery/active-units", 0.0, data="the test part of x")], out)
    (found,) = findings_of(run)
    assert (found.name, found.evidence) == ("code-unused", "0 entries of the code move with the row")
    with torch.no_grad():
        run.model.decoder.layers[0].weight.fill_(torch.nan)
    assert facts_of(run).strange_samples == 1


def test_components_without_rows_are_counted():
    x = np.concatenate([X[:30, :2], X[:30, :2] + 50])
    run = lt.fit("gaussian-mixture", x, components=2, progress=False)
    assert findings_of(run) == []
    with torch.no_grad():
        run.model.weights.copy_(torch.tensor([1 - 1e-3, 1e-3]))
    (found,) = findings_of(run)
    assert found.evidence == "1 of 2 components hold fewer than 2 rows each"


def test_batch_norm_is_found_in_the_critic_alone():
    class Penalised(Objective):
        def __init__(self, *, normed: str) -> None:
            super().__init__()
            self.model, self.critic = nn.Linear(3, 1), nn.Linear(3, 1)
            setattr(self, normed, nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))

        def players(self):
            return {"generator": self.model, "critic": self.critic}

        def step(self, batch: Batch):
            yield "critic", self.critic(batch.x).square().mean()
            yield "generator", self.model(batch.x).square().mean()
            return {"critic_penalty": 0.1}

    (found,) = findings_of(fitted(Penalised(normed="critic"), epochs=2, progress=False))
    assert found.evidence.startswith("the critic's 1 (BatchNorm1d) mixes the rows of a batch")
    assert findings_of(fitted(Penalised(normed="model"), epochs=2, progress=False)) == []


# --- the command line and the report ----------------------------------------------------------------------------


@pytest.fixture
def collapsed(out):
    fitted(Narrowing(), out=out, progress=False)
    return out


def test_the_verb_prints_a_table_or_json_and_changes_nothing(collapsed, capsys):
    before = contents(collapsed)
    assert main(["doctor", str(collapsed)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["finding", "severity"], ["collapse", "warning"]]
    assert main(["doctor", str(collapsed), "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["finding"] == "collapse"
    assert record.keys() == {"finding", "severity", "evidence", "advice"}
    assert contents(collapsed) == before


def test_the_verb_says_so_where_there_is_nothing(out, capsys):
    vae(epochs=2, out=out)
    assert main(["doctor", str(out)]) == 0
    assert capsys.readouterr().out == "nothing found\n"
    assert main(["doctor", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_folder_that_is_none_is_an_error(tmp_path, capsys):
    assert main(["doctor", str(tmp_path / "nowhere")]) == 1
    assert "there is no run folder at" in capsys.readouterr().err
    with pytest.raises(RunError, match="is no run folder"):
        lt.doctor(tmp_path)


def test_the_report_shows_findings_and_no_section_without(out):
    run = vae(epochs=2, out=out)
    assert "Diagnosis" not in lt.write_report(run).read_text(encoding="utf-8")
    run.epochs = columns_to_history(history(kl=0.01, elbo=noisy(rising()))).to_dict("records")
    page = lt.write_report(run).read_text(encoding="utf-8")
    assert "<h2>Diagnosis</h2>" in page
    assert "KL(q(z|x) ‖ p(z)) is 0.01 nats over the last 5 epochs" in page


def test_a_finding_is_a_line():
    assert str(Finding("a", "note", "b", "c")) == "a: b; c"
    assert columns_of([]) == {}
    assert examine(TrainingLog({})) == []
