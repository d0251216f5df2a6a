"""Attributes: their codes, what may be given, and how they travel with rows."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.io import savemat
from torch import Tensor

from latentia.data.attributes import Attribute, by_name, given_values, text_values, texts
from latentia.data.ingest import download
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support
from latentia.data.splits import joined
from latentia.data.transforms import GivenFactors
from latentia.errors import DataError, UsageError
from latentia.networks.conditioning import ContextEncoder, Interval, context_encoder
from latentia.registry import datasets

KIND = Attribute("kind", ("stool", "bench", "throne"))
SIZE = Attribute("size", (1.0, 2.0, 5.0), "ordinal")
TURN = Attribute("turn", (0.0, 90.0, 180.0, 270.0), "angle")
ALL = (KIND, SIZE, TURN)


def rows(n: int = 12, classes: tuple[str, ...] = ()) -> Rows:
    x = torch.arange(2 * n).reshape(n, 2).float()
    numbers = torch.arange(n)
    values = torch.stack([numbers % 3, numbers // 3 % 3, numbers % 4], dim=1)
    plain = Rows(x, DataSpec((2,), Support("real"))).with_factors(ALL, values)
    return plain.with_labels(numbers % 2, classes) if classes else plain


def codes(attributes, numbers: Tensor) -> Tensor:
    """Return the contexts of rows from the numbers (n, F) of their values."""
    columns = zip(attributes, numbers.unbind(1), strict=True)
    return ContextEncoder(attributes).encode({each.name: column for each, column in columns})


def code(attribute: Attribute, given, n: int) -> Tensor:
    """Return the codes of what is given for n rows."""
    return ContextEncoder([attribute]).encode({attribute.name: attribute.given(given, n)})


# --- codes ------------------------------------------------------------------------------------------------------


def test_codes_are_one_hot_scaled_and_on_the_circle():
    found = codes(ALL, torch.tensor([[2, 1, 3], [0, 2, 0]]))
    expected = [[0, 0, 1, -0.5, math.cos(1.5 * math.pi), math.sin(1.5 * math.pi)], [1, 0, 0, 1, 1, 0]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)
    assert found.dtype == torch.get_default_dtype()
    assert [ContextEncoder([each]).size for each in ALL] == [3, 1, 2]


@pytest.mark.parametrize("attribute", ALL)
def test_a_value_that_is_given_has_the_code_of_its_number(attribute):
    for number, value in enumerate(attribute.values):
        expected = codes([attribute], torch.tensor([[number]]))
        assert code(attribute, value, 1).equal(expected)
        assert code(attribute, str(value), 1).equal(expected)  # as the command line gives it
    assert code(attribute, attribute.values[1], 4).equal(codes([attribute], torch.ones(4, 1).long()))


def test_one_value_for_each_row_may_be_given_in_any_form():
    expected = codes([SIZE], torch.tensor([[2], [0], [1]]))
    for given in ([5, 1, 2], (5.0, 1.0, 2.0), np.array([5, 1, 2]), torch.tensor([5.0, 1.0, 2.0])):
        assert code(SIZE, given, 3).equal(expected)
    assert code(KIND, ["throne", 0, "1"], 3).equal(codes([KIND], torch.tensor([[2], [0], [1]])))
    with pytest.raises(UsageError, match="size takes one value, or one for each of 4 rows; got 3"):
        SIZE.given([5, 1, 2], 4)


def test_the_way_between_two_values_is_walked_in_equal_steps():
    torch.testing.assert_close(code(TURN, "350:370", 3), code(TURN, [350, 0, 10], 3))
    torch.testing.assert_close(code(SIZE, "1:5", 3)[:, 0], torch.tensor([-1.0, 0.0, 1.0]))
    mixed = code(KIND, "stool:throne", 5)
    torch.testing.assert_close(mixed, torch.lerp(*torch.eye(3)[[0, 2]], torch.linspace(0, 1, 5)[:, None]))
    assert code(KIND, "0:2", 5).equal(mixed)
    named = Attribute("kind", ("a:b", "c"))
    assert code(named, "a:b", 1).tolist() == [[1, 0]]


def test_the_codes_of_angles_close_the_circle():
    near = code(TURN, [359.5, 0.5], 2)
    assert float((near[0] - near[1]).norm()) == pytest.approx(math.radians(1), rel=1e-3)
    assert code(TURN, 720, 1).allclose(code(TURN, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("factor", "given", "message"),
    [
        (KIND, "sofa", "unknown kind 'sofa'; there are: stool, bench, throne"),
        (KIND, 3, "unknown kind 3; there are"),
        (SIZE, 0.9, "size is a number from 1 to 5; got 0.9"),
        (SIZE, "nan", "size is a number from 1 to 5; got nan"),
        (SIZE, "big", "size is a number from 1 to 5; got 'big'"),
        (TURN, "1:inf", "turn is a number in degrees; got inf"),
        (TURN, None, "turn is a number in degrees; got None"),
    ],
)
def test_values_that_there_are_not_are_refused(factor, given, message):
    with pytest.raises(UsageError, match=message):
        factor.given(given, 2)


@pytest.mark.parametrize("arguments", [("f", ()), ("f", (1.0, 1.0), "ordinal"), ("f", ("a",), "colour")])
def test_factors_without_different_values_and_of_other_kinds_are_refused(arguments):
    with pytest.raises(UsageError, match=r"has no different values|unknown kind of attribute"):
        Attribute(*arguments)


def test_what_is_not_given_is_uniform_and_independent():
    generator = torch.Generator().manual_seed(0)
    drawn = given_values(ALL, 30_000, {"size": 2.0}, generator=generator)
    assert drawn["size"].unique().tolist() == [2.0]
    counts = torch.bincount(4 * drawn["kind"] + drawn["turn"], minlength=12)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-6  # the false-alarm rate
    with pytest.raises(UsageError, match="unknown attribute 'colour'; there are: kind, size, turn"):
        given_values(ALL, 1, {"colour": 1})


def test_a_label_may_be_given_by_its_name_or_as_the_class_or_the_domain():
    label = Attribute("animal", ("horse", "zebra"), role="label")
    for name in ("animal", "class", "domain"):
        assert by_name([label, SIZE], {name: "zebra", "size": 1}) == {"animal": "zebra", "size": 1}
    with pytest.raises(UsageError, match="unknown attribute 'domain'; there are: size"):
        by_name([SIZE], {"domain": "zebra"})
    with pytest.raises(UsageError, match="animal is given twice, as animal and class"):
        by_name([label], {"animal": "zebra", "class": "zebra"})


def test_texts_are_bytes_of_one_length_and_come_back():
    caption = Attribute("caption", ("a small box", "Übung", ""), "text")
    given = caption.given(["Übung", "", "x:y"], 3)
    assert (given.shape, given.dtype) == ((3, 6), torch.uint8)
    assert caption.names(given) == texts(given) == ["Übung", "", "x:y"]
    assert caption.given("one", 2).equal(text_values(["one", "one"]))
    drawn = caption.names(caption.draw(300, torch.Generator().manual_seed(0)))
    assert set(drawn) == set(caption.values)
    with pytest.raises(UsageError, match="caption is a text without examples to draw from: give it"):
        Attribute("caption", kind="text").draw(1)


# --- with rows --------------------------------------------------------------------------------------------------


def test_factors_are_the_context_of_rows_without_classes():
    def context(rows: Rows) -> Tensor:
        return context_encoder(rows.spec, conditional=True)(rows.take(torch.tensor([5, 2])))

    expected = codes(ALL, torch.tensor([[2, 1, 1], [2, 0, 2]]))
    assert context(rows()).equal(expected)
    whole = context_encoder(rows().spec, conditional=True)(rows().whole())
    assert whole.equal(codes(ALL, rows().factor_values))
    labelled = rows(classes=("a", "b"))
    assert context(labelled).tolist() == [[0, 1], [1, 0]]
    plain = labelled.transformed(GivenFactors())
    assert context(plain).equal(expected)
    assert plain.take(torch.tensor([5, 2])).x.equal(rows().take(torch.tensor([5, 2])).x)
    assert context_encoder(labelled.spec, conditional=False)(labelled.whole()) is None
    with pytest.raises(UsageError, match="nothing is known of this data's factors"):
        Rows(torch.zeros(2, 2), DataSpec((2,), Support("real"))).transformed(GivenFactors())


def test_factors_stay_with_their_rows():
    chosen = rows().select(torch.tensor([9, 4, 7])).select(torch.tensor([2, 0]))
    assert chosen.factor_values.equal(rows().factor_values[[7, 9]])
    parts = rows().split((0.5, 0.5), seed=1)
    for part in parts:
        assert part.factor_values.equal(rows().factor_values[part.take(torch.arange(6)).index])
    together = joined(list(parts))
    assert together.factor_values.equal(torch.cat([part.factor_values for part in parts]))


def test_factors_are_part_of_the_spec_s_json():
    spec = rows().spec
    assert DataSpec.from_json(spec.to_json()) == spec
    old = {key: value for key, value in spec.to_json().items() if key != "attributes"}
    assert DataSpec.from_json(old).attributes == ()


def test_specs_of_older_versions_are_read():
    """They wrote classes, factors and conditions apart, with other names of kinds and without roles."""
    old = {
        "event_shape": [2],
        "support": "real",
        "classes": ["a", "b"],
        "factors": [{"name": "size", "values": [1.0, 2.0, 5.0], "kind": "number"}],
        "conditions": [
            {"name": "kind", "values": ["stool", "bench"], "kind": "category"},
            {"name": "age", "values": [20.0, 80.0], "kind": "measured"},
        ],
    }
    spec = DataSpec.from_json(old)
    assert spec.classes == ("a", "b")
    assert spec.label == Attribute("class", ("a", "b"), role="label")
    assert spec.factors == (Attribute("size", (1.0, 2.0, 5.0), "ordinal", "factor"),)
    assert spec.conditions == (Attribute("kind", ("stool", "bench")), Attribute("age", (20.0, 80.0), "real"))
    assert DataSpec.from_json(spec.to_json()) == spec


def test_attributes_have_names_of_their_own_and_there_is_one_label():
    with pytest.raises(UsageError, match="two attributes of the rows are called kind: rename one"):
        rows().with_conditions([KIND], torch.zeros(12, 1))
    spec = DataSpec((2,), Support("real")).with_classes(("a", "b"))
    with pytest.raises(UsageError, match="rows have one label; got class, domain"):
        DataSpec(
            (2,), Support("real"), attributes=(*spec.attributes, Attribute("domain", ("c",), role="label"))
        )


def test_other_numbers_are_refused():
    plain = Rows(torch.zeros(2, 2), DataSpec((2,), Support("real")), name="mine")
    with pytest.raises(DataError, match=r"shape \(2, 2\); 2 rows and 3 factors need \(2, 3\)"):
        plain.with_factors(ALL, torch.zeros(2, 2))
    with pytest.raises(DataError, match="mine has value number 4 of turn, which has 4 values"):
        plain.with_factors(ALL, torch.tensor([[0, 0, 4], [0, 0, 0]]))
    with pytest.raises(DataError, match="value number -1 of kind"):
        plain.with_factors(ALL, torch.tensor([[-1, 0, 3], [0, 0, 0]]))


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        (KIND, torch.zeros(2, 2, dtype=torch.int64)),
        (KIND, torch.zeros(2, dtype=torch.uint8)),
        (Attribute("said", kind="text"), torch.zeros(2, dtype=torch.uint8)),
        (Attribute("said", kind="text"), torch.zeros(2, 2, dtype=torch.int64)),
    ],
)
def test_values_in_another_form_are_refused(attribute, values):
    with pytest.raises(
        DataError, match=f"{attribute.name} of mine has .* values of shape .*: give one a row"
    ):
        attribute.check(values, 2, "mine")


def test_real_values_keep_every_digit_and_are_finite():
    weight = Attribute("weight", (0.0, 1.0), "real")
    assert weight.stored([0.1]).tolist() == [0.1]
    for value in (math.inf, math.nan):
        with pytest.raises(DataError, match="weight of mine holds NaN or infinity"):
            weight.check(weight.stored([0.5, value]), 2, "mine")


def test_a_condition_that_is_called_class_is_the_one_that_is_given_by_that_name():
    label, other = Attribute("kind", ("a", "b"), role="label"), Attribute("class", ("c", "d"))
    assert by_name([label, other], {"class": "d"}) == {"class": "d"}
    assert by_name([label], {"class": "b"}) == {"kind": "b"}


def test_a_real_attribute_that_does_not_vary_is_encoded_as_0():
    assert Interval(Attribute("age", (3.0, 3.0), "real"))(torch.tensor([3.0])).tolist() == [[0.0]]


# --- named sets -------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own files, which are not the published ones."""
    monkeypatch.setenv("LATENTIA_DATA", str(tmp_path))
    monkeypatch.setattr(download, "_verify", lambda path, file: None)
    for folder in ("coil20", "dsprites"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_views_of_an_object_are_five_degrees_apart(cache):
    numbers = np.repeat(np.arange(1, 21), 72)[:, None].astype(np.uint8)
    savemat(cache / "coil20/COIL20.mat", {"X": np.zeros((1440, 1024), np.uint8), "Y": numbers})
    found = datasets["coil20"](split="all")
    thing, pose = found.spec.factors
    assert (thing.name, pose.name, pose.kind, pose.values[1], pose.values[-1]) == (
        "object",
        "pose",
        "angle",
        5,
        355,
    )
    assert found.factor_values.equal(torch.cartesian_prod(torch.arange(20), torch.arange(72)))


@pytest.mark.parametrize(("file", "turns", "places"), [("downsampled", 10, 16), ("subset", 40, 32)])
def test_sprites_have_the_factors_of_their_subset(cache, file, turns, places):
    numbers = np.stack([np.arange(80) % k for k in (3, 6, turns, places, places)], axis=1)
    images = np.zeros((80, 64, 64), np.uint8)
    np.savez(cache / f"dsprites/dsprites_{file}.npz", imgs=images, latents_classes=numbers)
    found = datasets["dsprites"](split="all")
    assert found.factor_values.tolist() == numbers.tolist()
    assert [len(factor.values) for factor in found.spec.factors] == [3, 6, turns, places, places]
    assert found.spec.factors[0].values == found.spec.classes


published = pytest.mark.skipif(
    not os.environ.get("LATENTIA_DATA"), reason="LATENTIA_DATA names no folder of published files"
)


@published
@pytest.mark.parametrize(("subset", "file"), [("random", "subset"), ("grid", "downsampled")])
def test_published_sprites_have_the_values_that_their_file_tells(subset, file):
    told = np.load(f"{os.environ['LATENTIA_DATA']}/dsprites/dsprites_{file}.npz")["latents_values"]
    found = datasets["dsprites"](split="all", subset=subset)
    for column, factor in zip(range(1, 5), found.spec.factors[1:], strict=True):
        values = np.array(factor.values)[found.factor_values[:, column]]
        values = np.radians(values) if factor.kind == "angle" else values
        assert np.abs(values - told[:, column]).max() < 1e-12


@published
def test_published_views_of_an_object_go_round_once():
    """Neighbours in pose are more alike than views a quarter turn apart, past the last view too."""
    x = datasets["coil20"](split="all").x.double().view(20, 72, -1)
    near, far = ((x - x.roll(shift, 1)).square().mean(2) for shift in (1, 18))
    assert (near.mean(1) < 0.7 * far.mean(1)).sum() >= 16  # some objects look the same from all sides
    assert near[:, 0].mean() < 2 * near.mean()
