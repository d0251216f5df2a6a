"""Models of rows given what is known of them: classes, factors, and columns of a table that are named as context."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

import latentia as lt
from latentia.cli import main
from latentia.data.attributes import Attribute, given_values
from latentia.data.read import read_rows
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.data.splits import joined
from latentia.errors import DataError, RunError, UsageError
from latentia.networks.conditioning import Interval, context_encoder
from latentia.report.report_rows import choose, draw, named, with_own
from latentia.runs.conditioning import conditions_of, in_context_of, random_conditions
from latentia.runs.data import fingerprint

SMALL = {"latent_dim": 1, "hidden": 16, "progress": False}


def people(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Return heights that follow from age and sex: 160 + 20 [m] + (age - 50)/2, with a standard deviation of 2."""
    draw = np.random.default_rng(seed)
    age, sex = draw.uniform(20, 80, n), draw.choice(["f", "m"], n)
    height = 160 + 20 * (sex == "m") + (age - 50) / 2 + draw.normal(0, 2, n)
    return pd.DataFrame({"height": height, "age": age, "smokes": draw.random(n) < 0.5, "sex": sex})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> lt.Run:
    """Return a conditional VAE of heights given age and sex, fitted to a CSV file."""
    folder = tmp_path_factory.mktemp("people")
    people(1000).drop(columns="smokes").to_csv(folder / "people.csv", index=False)
    return lt.fit(
        "conditional-vae",
        folder / "people.csv",
        context=["age", "sex"],
        out=folder / "run",
        validation=0.2,
        epochs=40,
        lr=1e-2,
        **SMALL,
    )


# --- factors that are measured -----------------------------------------------------------------------------------


def test_what_is_measured_is_read_from_minus_one_to_one_and_beyond():
    age = Attribute("age", (20.0, 80.0), "real")
    values = torch.tensor([20.0, 50.0, 80.0, 110.0])
    encode = Interval(age)
    assert encode(values)[:, 0].tolist() == [-1, 0, 1, 2]
    assert encode(age.given(values.tolist(), 4))[:, 0].tolist() == [-1, 0, 1, 2]
    assert encode(age.given("20:80", 3))[:, 0].tolist() == [-1, 0, 1]
    assert age.names(values) == values.tolist()
    assert Attribute.from_json(age.to_json()) == age
    drawn = age.draw(1000, torch.Generator().manual_seed(0))
    assert 20 <= drawn.min() < 22 < 78 < drawn.max() <= 80
    values = given_values([age], 1000, {}, generator=torch.Generator().manual_seed(0))
    assert torch.equal(values["age"], drawn)
    with pytest.raises(UsageError, match="age is a number about 20 to 80; got 'old'"):
        age.given("old", 1)
    with pytest.raises(UsageError, match="age is a number about 20 to 80; got nan"):
        age.given(math.nan, 1)


# --- columns of tables -------------------------------------------------------------------------------------------


def test_columns_named_as_context_leave_the_rows():
    frame = people(50)
    rows = read_rows(frame, context=["sex", "smokes", "age"], labels=["a", "b"] * 25)
    assert isinstance(rows, Rows)
    assert rows.spec.columns == ("height",)
    assert [factor.name for factor in rows.spec.context] == ["class", "sex", "smokes", "age"]
    encoder = context_encoder(rows.spec, conditional=True)
    assert rows.spec.conditions[:2] == (Attribute("sex", ("f", "m")), Attribute("smokes", ("False", "True")))
    batch = rows.select(torch.tensor([3, 8])).take(torch.tensor([1, 0]))
    for row, context in zip((8, 3), encoder(batch), strict=True):
        low, high = frame["age"].min(), frame["age"].max()
        expected = [
            float(row % 2 == 0),
            float(row % 2 == 1),
            *[float(frame["sex"][row] == name) for name in "fm"],
            *[float(frame["smokes"][row] == truth) for truth in (False, True)],
            (2 * frame["age"][row] - low - high) / (high - low),
        ]
        assert context.tolist() == pytest.approx(expected, abs=1e-6)
    assert DataSpec.from_json(rows.spec.to_json()) == rows.spec
    assert encoder.size == 7
    twice = joined([rows, rows])
    assert torch.equal(encoder(twice.take(torch.tensor([53]))), encoder(rows.take(torch.tensor([3]))))
    changed = frame.assign(age=frame["age"] + 1)
    assert fingerprint(read_rows(changed, context="age", labels="sex")) != fingerprint(
        read_rows(frame, context="age", labels="sex")
    )


@pytest.mark.parametrize(
    ("data", "context", "error", "told"),
    [
        (people(9), ["ages"], UsageError, "unknown context column 'ages'; did you mean 'age'"),
        (np.eye(4), ["age"], UsageError, r"context=\['age'\] names columns, but data is no DataFrame"),
        ("digits", "age", UsageError, "names columns, but digits is no DataFrame"),
        (
            people(9).assign(age=[1.0, math.nan, *range(7)]),
            "age",
            DataError,
            "in 1 rows of column 'age', first in row 1",
        ),
        (
            people(9).assign(sex=["f", None, *"fffffff"]),
            "sex",
            DataError,
            "in 1 rows of column 'sex', first in row 1",
        ),
        (people(9)[["age"]], "age", DataError, "no columns besides"),
    ],
)
def test_context_that_cannot_be_is_refused(data, context, error, told):
    with pytest.raises(error, match=told):
        read_rows(data, context=context)


def test_a_column_with_one_value_is_refused_as_context():
    for frame in (people(20).assign(age=3.0), people(20).assign(sex="f")):
        with pytest.raises(UsageError, match="in all rows: leave it out of the context"):
            lt.fit("conditional-vae", frame, context=["age", "sex"], steps=1, **SMALL)
    lt.fit("vae", people(20).assign(age=3.0, sex="f"), context=["age", "sex"], steps=1, **SMALL)  # unused


def test_conditions_of_another_shape_or_without_a_value_are_refused():
    rows = Rows(torch.zeros(3, 1), DataSpec((1,), Support("real")))
    age = Attribute("age", (0.0, 1.0), "real")
    with pytest.raises(
        DataError, match=r"condition values of data have shape \(2, 1\); 3 rows and 1 conditions"
    ):
        rows.with_conditions([age], torch.zeros(2, 1))
    with pytest.raises(DataError, match="holds NaN or infinity"):
        rows.with_conditions([age], torch.tensor([[0.0], [torch.nan], [1.0]]))
    with pytest.raises(DataError, match="value number 2 of sex, which has 2 values"):
        rows.with_conditions([Attribute("sex", ("f", "m"))], torch.tensor([[0.0], [2.0], [1.0]]))


# --- a fitted model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "sex"), [(25, "f"), (25, "m"), (75, "f"), (75, "m")])
def test_samples_follow_the_context(run, age, sex):
    """Within 2.5 of the true mean: the mean of 1,250 samples has a standard error of 0.06; the rest is the fit."""
    height = run.sample(1250, {"age": age, "sex": sex}, seed=0)["height"]
    expected = 160 + 20 * (sex == "m") + (age - 50) / 2
    assert height.mean() == pytest.approx(expected, abs=2.5)
    assert 1 < height.std() < 4


def test_each_row_may_be_given_its_own_and_a_way_may_be_walked(run):
    rows = run.sample(4, {"age": [30, 40, 50, 60], "sex": ["f", "f", "m", "m"]}, seed=0)
    assert rows[2:].equals(run.sample(4, {"age": "30:60", "sex": ["f", "f", "m", "m"]}, seed=0)[2:])
    with pytest.raises(UsageError, match=r"give age=, about 20.* to 79.* and sex=, one of f, m; got age"):
        run.sample(4, {"age": 30})


def test_it_is_scored_on_each_row_s_own_context(run):
    """The bound of rows with their own context beats that with others'; and what scores does is the model's own."""
    frame = people(500, seed=5).drop(columns="smokes")
    own = lt.evaluate(run, frame, metrics="elbo")["value"].iloc[0]
    others = frame.assign(sex=frame["sex"].map({"f": "m", "m": "f"}))
    assert own > lt.evaluate(run, others, metrics="elbo")["value"].iloc[0] + 5
    given = {"age": frame["age"].tolist(), "sex": frame["sex"].tolist()}
    context = run.model.context_encoder.encode(given_values(run.model_spec.context, 500, given))
    x = run.spec.coded(torch.tensor(frame[["height"]].to_numpy()))
    generator = torch.Generator().manual_seed(0)
    bound = run.model.log_prob_bound(x, context, generator=generator).mean().item()
    assert own == pytest.approx(bound, abs=0.2)
    assert (
        abs(own - math.log(1 / (2 * math.sqrt(2 * math.pi * math.e)))) < 0.5
    )  # minus the entropy of the noise


def test_held_out_rows_are_matched_by_name_and_not_by_number(run):
    """A part without one of the categories, or with ages beyond the range, means the same as in the whole."""
    frame = people(40, seed=3).drop(columns="smokes")
    men = frame[frame["sex"] == "m"].reset_index(drop=True)
    rows = in_context_of(run.model_spec, read_rows(men, context=["sex", "age"]))
    assert rows.spec.conditions == run.spec.conditions
    assert run.model.context_encoder(rows.take(torch.arange(3)))[:, 1:].tolist() == [[0.0, 1.0]] * 3
    assert conditions_of(run.model_spec, rows) == {
        "age": pytest.approx(men["age"].tolist()),
        "sex": ["m"] * len(men),
    }
    assert lt.evaluate(run, men, metrics="elbo")["value"].notna().all()
    old = frame.assign(age=frame["age"] + 40)
    assert lt.evaluate(run, old, metrics="elbo")["value"].notna().all()
    one = frame.assign(age=30.0, sex="m")
    assert lt.evaluate(run, one, metrics="elbo")["value"].notna().all()


def test_rows_without_the_context_are_refused(run):
    frame = people(40).drop(columns="smokes")
    with pytest.raises(DataError, match=r"has the sex 'x', which is none of the run's: f, m"):
        lt.evaluate(run, frame.assign(sex="x"))
    with pytest.raises(DataError, match="sex is categorical for the run, but in data it is real"):
        lt.evaluate(run, frame.assign(sex=np.arange(40.0)))
    with pytest.raises(UsageError, match="unknown context column 'sex'"):
        lt.evaluate(run, frame.drop(columns="sex"))
    with pytest.raises(UsageError, match="names columns, but data is no DataFrame"):
        lt.evaluate(run, frame[["height"]].to_numpy())
    with pytest.raises(DataError, match="conditional on age, sex, which rows of data do not have"):
        lt.evaluate(run, read_rows(frame[["height"]]))


def test_it_is_loaded_scored_again_and_reported(run):
    again = lt.load(run.path)
    assert again.spec == run.spec
    given = {"age": 31.0, "sex": "f"}
    assert again.sample(3, given, seed=0).equals(run.sample(3, given, seed=0))
    assert lt.evaluate(again, metrics="elbo")["n"].tolist() == [200]  # read from the file again
    page = lt.write_report(again).read_text()
    assert "Conditional on age and sex, as of the held-out row at the same position." in page
    assert "age, about 20" in page
    other = people().drop(columns=["smokes", "sex"])
    options = SMALL | {"validation": 0.2, "lr": 1e-2, "resume": True}
    with pytest.raises(RunError, match="cannot be resumed: its data's"):
        lt.fit("conditional-vae", other, context="age", out=run.path, **options)


def test_a_report_without_held_out_rows_draws_what_is_given(run, tmp_path):
    loose = lt.fit(
        "conditional-vae", people(60), context=["age", "sex"], steps=2, out=tmp_path / "run", **SMALL
    )
    assert "Conditional on age and sex, drawn at random." in lt.write_report(loose).read_text()
    drawn = random_conditions(loose.model_spec, 5, seed=0)
    assert set(drawn) == {"age", "sex"}
    assert len(drawn["age"]) == len(drawn["sex"]) == 5
    assert torch.equal(draw(loose, 5), loose.tensors.sample(5, drawn, 0))


def test_a_report_s_rows_are_labelled_with_their_own_context(run):
    held = choose(run, read_rows(people(50).drop(columns="smokes"), context=["age", "sex"]), 20)
    told = with_own(held, lambda x, given: torch.tensor(given["age"])[:, None] + 0 * x)
    frame = people(50)
    for height, age in zip(held.given.flatten().tolist(), told.flatten().tolist(), strict=True):
        assert age == pytest.approx(frame["age"][(frame["height"] - height).abs().argmin()], rel=1e-5)
    assert held.first(3).own(2) == {name: values[2] for name, values in held.conditions.items()}
    assert named({"age": 31.25, "sex": "f"}) == "age 31.25, sex f"


# --- factors -----------------------------------------------------------------------------------------------------


def shapes(n: int = 60, classes: bool = False) -> Rows:
    """Return images of factors: a bright row or column of pixels, at one of 8 places."""
    kind, place = torch.arange(n) % 2, torch.arange(n) // 2 % 8
    x = torch.zeros(n, 1, 8, 8)
    for image, across, at in zip(x, kind, place, strict=True):
        image[0, at if across else slice(None), slice(None) if across else at] = 1
    factors = (
        Attribute("kind", ("down", "across")),
        Attribute("place", tuple(map(float, range(8))), "ordinal"),
    )
    rows = Rows(x, DataSpec((1, 8, 8), Support("binary")), name="shapes")
    rows = rows.with_labels(kind, ("down", "across")) if classes else rows
    return rows.with_factors(factors, torch.stack([kind, place], dim=1))


def test_a_model_is_conditioned_on_factors_where_there_are_no_classes(tmp_path):
    run = lt.fit(
        "conditional-vae", shapes(), epochs=150, out=tmp_path / "run", **SMALL | {"hidden": 64, "lr": 1e-2}
    )
    bright = run.sample(200, {"kind": "across", "place": 3}, seed=0).mean((0, 1, 3))
    assert bright.argmax() == 3
    assert bright[3] > bright[[0, 1, 2, 4, 5, 6, 7]].max() + 0.2
    scores = lt.evaluate(run, shapes(32), metrics=["elbo", "reconstruction-error"]).set_index("metric")
    assert scores.loc["elbo", "value"] > -25  # that of bits which are on in one of eight cases is -24.1
    page = lt.write_report(run, shapes(32)).read_text()
    assert "Conditional on kind and place, as of the held-out row at the same position." in page
    assert lt.load(tmp_path / "run").spec.factors == run.spec.factors


def test_factors_are_matched_by_name_and_value(tmp_path):
    run = lt.fit("conditional-vae", shapes(), steps=1, **SMALL)
    rows = shapes(8)
    place, kind = Attribute("place", (2.0, 0.0), "ordinal"), Attribute("kind", ("across", "down"))
    other = rows.with_factors([place, kind], torch.tensor([[0, 0], [1, 1]] * 4))
    matched = in_context_of(run.model_spec, other)
    assert conditions_of(run.model_spec, matched) == {"kind": ["across", "down"] * 4, "place": [2.0, 0.0] * 4}
    unknown = rows.with_factors([Attribute("place", (0.5, 1.0), "ordinal"), kind], torch.zeros(8, 2))
    with pytest.raises(DataError, match=r"shapes has the place 0.5, which is none of the run's: 0.0, 1.0"):
        in_context_of(run.model_spec, unknown)
    with pytest.raises(DataError, match="conditional on kind, place, which rows of data do not have"):
        lt.evaluate(run, Rows(rows.x, DataSpec((1, 8, 8), Support("binary"))))


def test_classes_come_before_factors():
    run = lt.fit("conditional-vae", shapes(classes=True), steps=1, **SMALL)
    matched = in_context_of(run.model_spec, shapes(4, classes=True))
    assert conditions_of(run.model_spec, matched) == {"class": ["down", "across"] * 2}


def test_data_of_which_nothing_is_known_is_refused():
    with pytest.raises(UsageError, match="no classes, nor factors nor columns named as context="):
        lt.fit("conditional-vae", np.eye(9), steps=1, **SMALL)


# --- the command line --------------------------------------------------------------------------------------------


def latentia(line: str) -> int:
    return main(line.split())


def test_the_command_line_names_context_and_gives_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    people(80).to_csv("people.csv", index=False)
    fit = "fit conditional-vae --data people.csv --context age sex smokes --steps 3 --hidden 8 --latent-dim 1"
    assert latentia(f"{fit} --validation 0.25 --out run") == 0
    assert latentia("sample run --given age=30 sex=f smokes=True --n 3 --seed 0 --out s.npy") == 0
    assert np.load("s.npy").shape == (3, 1)
    assert latentia("sample run --given age=20:60 sex=f smokes=True --n 5 --out s.npy") == 0
    assert latentia("encode run --out codes.npy") == 0
    loaded = lt.load("run")
    rows = in_context_of(loaded.model_spec, read_rows("people.csv", context=["age", "sex", "smokes"]))
    assert latentia("encode run --data people.csv --out codes.npy") == 0
    codes = loaded.encode(rows.x, conditions_of(loaded.model_spec, rows))
    assert np.allclose(np.load("codes.npy"), codes, atol=1e-5)
    assert latentia("traverse run --row 2 --out t.npy") == 0
    assert latentia("interpolate run --rows 0 1 --given age=50 sex=m smokes=False --out i.npy") == 0
    assert latentia("evaluate run --metrics elbo") == 0
    capsys.readouterr()
    assert latentia("sample run --given age=30") == 2
    assert "give age=, about 2" in capsys.readouterr().err
