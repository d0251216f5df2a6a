"""Factors: their codes, what may be given, and how they travel with rows."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.io import savemat

from latentia.data.factors import Factor, codes, codes_of
from latentia.data.ingest import download
from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support, context_size
from latentia.data.splits import joined
from latentia.data.transforms import GivenFactors
from latentia.errors import DataError, UsageError
from latentia.registry import datasets

KIND = Factor("kind", ("stool", "bench", "throne"))
SIZE = Factor("size", (1.0, 2.0, 5.0), "number")
TURN = Factor("turn", (0.0, 90.0, 180.0, 270.0), "angle")
ALL = (KIND, SIZE, TURN)


def rows(n: int = 12, classes: tuple[str, ...] = ()) -> Rows:
    x = torch.arange(2 * n).reshape(n, 2).float()
    numbers = torch.arange(n)
    values = torch.stack([numbers % 3, numbers // 3 % 3, numbers % 4], dim=1)
    labels = numbers % 2 if classes else None
    return Rows(x, DataSpec((2,), Support("real"), classes=classes), labels).with_factors(ALL, values)


# --- codes ------------------------------------------------------------------------------------------------------


def test_codes_are_one_hot_scaled_and_on_the_circle():
    code = codes(ALL, torch.tensor([[2, 1, 3], [0, 2, 0]]))
    expected = [[0, 0, 1, -0.5, math.cos(1.5 * math.pi), math.sin(1.5 * math.pi)], [1, 0, 0, 1, 1, 0]]
    torch.testing.assert_close(code, torch.tensor(expected), atol=1e-6, rtol=0)
    assert code.dtype == torch.get_default_dtype()
    assert [factor.size for factor in ALL] == [3, 1, 2]


@pytest.mark.parametrize("factor", ALL)
def test_a_value_that_is_given_has_the_code_of_its_number(factor):
    for number, value in enumerate(factor.values):
        expected = factor.code(torch.tensor([number]))
        assert factor.code_of(value, 1).equal(expected)
        assert factor.code_of(str(value), 1).equal(expected)  # as the command line gives it
    assert factor.code_of(factor.values[1], 4).equal(factor.code(torch.ones(4)))


def test_one_value_for_each_row_may_be_given_in_any_form():
    expected = SIZE.code(torch.tensor([2, 0, 1]))
    for given in ([5, 1, 2], (5.0, 1.0, 2.0), np.array([5, 1, 2]), torch.tensor([5.0, 1.0, 2.0])):
        assert SIZE.code_of(given, 3).equal(expected)
    assert KIND.code_of(["throne", 0, "1"], 3).equal(KIND.code(torch.tensor([2, 0, 1])))
    with pytest.raises(UsageError, match="size takes one value, or one for each of 4 rows; got 3"):
        SIZE.code_of([5, 1, 2], 4)


def test_the_way_between_two_values_is_walked_in_equal_steps():
    torch.testing.assert_close(TURN.code_of("350:370", 3), TURN.code_of([350, 0, 10], 3))
    torch.testing.assert_close(SIZE.code_of("1:5", 3)[:, 0], torch.tensor([-1.0, 0.0, 1.0]))
    mixed = KIND.code_of("stool:throne", 5)
    torch.testing.assert_close(mixed, torch.lerp(*torch.eye(3)[[0, 2]], torch.linspace(0, 1, 5)[:, None]))
    assert KIND.code_of("0:2", 5).equal(mixed)
    named = Factor("kind", ("a:b", "c"))
    assert named.code_of("a:b", 1).tolist() == [[1, 0]]


def test_the_codes_of_angles_close_the_circle():
    near = TURN.code_of([359.5, 0.5], 2)
    assert float((near[0] - near[1]).norm()) == pytest.approx(math.radians(1), rel=1e-3)
    assert TURN.code_of(720, 1).allclose(TURN.code_of(0, 1), atol=1e-6)


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
        factor.code_of(given, 2)


@pytest.mark.parametrize("arguments", [("f", ()), ("f", (1.0, 1.0), "number"), ("f", ("a",), "colour")])
def test_factors_without_different_values_and_of_other_kinds_are_refused(arguments):
    with pytest.raises(UsageError, match=r"takes no different values|unknown kind of factor"):
        Factor(*arguments)


def test_what_is_not_given_is_uniform_and_independent():
    generator = torch.Generator().manual_seed(0)
    drawn = codes_of(ALL, 30_000, {"size": 2.0}, generator=generator)
    assert drawn[:, 3].unique().tolist() == [-0.5]
    kinds = drawn[:, :3].argmax(1)
    turns = (torch.atan2(drawn[:, 5], drawn[:, 4]) / (math.pi / 2)).round().long() % 4
    counts = torch.bincount(4 * kinds + turns, minlength=12)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-6  # the false-alarm rate
    with pytest.raises(UsageError, match="unknown factor 'colour'; there are: kind, size, turn"):
        codes_of(ALL, 1, {"colour": 1})


# --- with rows --------------------------------------------------------------------------------------------------


def test_factors_are_the_context_of_rows_without_classes():
    batch = rows().take(torch.tensor([5, 2]))
    assert batch.context.equal(codes(ALL, torch.tensor([[2, 1, 1], [2, 0, 2]])))
    assert rows().whole().context.equal(codes(ALL, rows().factor_values))
    labelled = rows(classes=("a", "b"))
    assert labelled.take(torch.tensor([5, 2])).context.tolist() == [[0, 1], [1, 0]]
    plain = labelled.transformed(GivenFactors())
    assert plain.take(torch.tensor([5, 2])).context.equal(batch.context)
    assert plain.take(torch.tensor([5, 2])).x.equal(batch.x)
    assert [context_size(each.spec, True) for each in (rows(), labelled, plain)] == [6, 2, 6]
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
    old = {key: value for key, value in spec.to_json().items() if key != "factors"}
    assert DataSpec.from_json(old).factors == ()


def test_other_numbers_are_refused():
    plain = Rows(torch.zeros(2, 2), DataSpec((2,), Support("real")), name="mine")
    with pytest.raises(DataError, match=r"shape \(2, 2\); 2 rows and 3 factors need \(2, 3\)"):
        plain.with_factors(ALL, torch.zeros(2, 2))
    with pytest.raises(DataError, match="mine has value number 4 of turn, which has 4 values"):
        plain.with_factors(ALL, torch.tensor([[0, 0, 4], [0, 0, 0]]))
    with pytest.raises(DataError, match="value number -1 of kind"):
        plain.with_factors(ALL, torch.tensor([[-1, 0, 3], [0, 0, 0]]))


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
