"""Supports: what they hold, how they are checked in blocks, how they are inferred and joined."""

import numpy as np
import pytest
import torch

from latentia.data.rows import Rows
from latentia.data.spec import DataSpec, Support, infer_support
from latentia.errors import DataError, UsageError

ALL = ["binary", "discrete(17)", "unit", "real", "categorical(3)", "table(real, binary, categorical(3))"]


@pytest.mark.parametrize("text", ALL)
def test_text_and_json_round_trips(text):
    support = Support.parse(text)
    assert str(support) == text
    spec = DataSpec((3,), support, columns=("x", "y", "z")).with_classes(("a", "b"))
    assert DataSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("text", ["grey", "discrete", "discrete(1)", "discrete(x)", "unit(3)", "table(grey)"])
def test_other_text_is_refused(text):
    with pytest.raises(UsageError, match="support"):
        Support.parse(text)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("binary", [0, 1], [2, -1, 0.5, 1 + 1e-6]),
        ("discrete(17)", [0, 16], [17, -1, 3.5]),
        ("unit", [0, 0.3, 1], [1.0001, -1e-6]),
        ("real", [-1e30, 0, 3], []),
        ("categorical(3)", [0, 1, 2], [3, -1, 0.5]),
    ],
)
def test_values_inside_pass_and_outside_are_named(text, inside, outside):
    support = Support.parse(text)
    support.check(torch.tensor(inside, dtype=torch.float64)[:, None])
    for value in [*outside, float("nan"), float("inf")]:
        x = torch.tensor([[inside[0]], [value], [inside[0]]], dtype=torch.float64)
        with pytest.raises(DataError, match="row 1"):
            support.check(x)


def test_integers_are_checked_as_floats_are():
    Support("binary").check(torch.tensor([[0, 1]], dtype=torch.uint8))
    Support("binary").check(torch.tensor([[True, False]]))
    for dtype in (torch.uint8, torch.int64):
        with pytest.raises(DataError, match="holds 2 in row 1, outside its support, binary; 1 of 2 rows"):
            Support("binary").check(torch.tensor([[0, 1], [2, 1]], dtype=dtype))
    Support("discrete", 256).check(torch.zeros(0, 3, dtype=torch.uint8))


@pytest.mark.parametrize(
    "kind", ["binary", "discrete(17)", "unit", "real", "categorical(3)", "table(real, unit)"]
)
def test_missing_values_are_inside_a_support_that_says_so(kind):
    support = Support.parse(f"{kind} or missing")
    assert support.missing
    assert str(support) == f"{kind} or missing"
    assert Support.parse(str(support)) == support
    x = torch.tensor([[1.0, torch.nan], [torch.nan, 0.0]])
    support.check(x)
    assert torch.equal(support.project(x).isnan(), x.isnan())
    for wrong in (torch.inf, 17.5):
        x[1, 1] = wrong
        if kind != "real" or wrong == torch.inf:
            with pytest.raises(DataError, match=r"1 of 2 rows"):
                support.check(x)
    with pytest.raises(DataError, match=r"declare support='.* or missing' \(--support\)"):
        Support.parse(kind).check(torch.full((2, 2), torch.nan))


def test_rows_are_numbered_over_blocks():
    blocks = [torch.zeros(4, 2), torch.tensor([[0.0, 0.0], [0.0, 3.0]]), torch.full((3, 2), 7.0)]
    with pytest.raises(DataError, match="data holds 3 in row 5, outside its support, unit; 4 of 9 rows have"):
        Support("unit").check_blocks(blocks, name="data")
    blocks[2][1, 0] = torch.nan
    with pytest.raises(DataError, match="NaN or infinity in 1 of 9 rows, first in row 7"):
        Support("unit").check_blocks(blocks, name="data")


def test_a_large_array_is_checked_in_blocks_that_number_its_rows():
    x = torch.zeros(3_000_000, 3, dtype=torch.float16)  # three blocks
    x[2_900_000, 1] = 2
    with pytest.raises(DataError, match=r"holds 2 in row 2900000, .*; 1 of 3000000 rows"):
        Support("binary").check(x)


def test_tables_name_the_column():
    table = Support.parse("table(real, binary, categorical(3))")
    table.check(torch.tensor([[-5.5, 1, 2]]))
    with pytest.raises(
        DataError, match="holds 2 in row 1, column 1, outside its support, binary; 1 of 2 rows"
    ):
        table.check(torch.tensor([[0.0, 1, 0], [0.0, 2, 0]]))


def test_spec_checks_the_shape_first():
    with pytest.raises(DataError, match=r"x has rows of shape \(3,\), but the model is for \(2,\)"):
        DataSpec((2,), Support("real")).check(torch.zeros(5, 3))


def test_union_is_the_support_of_both_parts():
    parts = {
        "binary": np.array([[0.0, 1.0]] * 2).reshape(2, 1, 2),
        "unit": np.full((2, 1, 2), 0.5),
        "real": np.full((2, 1, 2), -2.5),
        "discrete(8)": np.full((2, 1, 2), 7),
        "discrete(3)": np.full((2, 1, 2), 2),
    }
    for a, x in parts.items():
        for b, y in parts.items():
            union = Support.parse(a).union(Support.parse(b))
            assert union == Support.parse(b).union(Support.parse(a))
            union.check(torch.from_numpy(x).double())
            union.check(torch.from_numpy(y).double())
            if x.dtype == y.dtype:
                assert union == infer_support(np.concatenate([x, y]))
            for pair in (
                (f"{a} or missing", b),
                (a, f"{b} or missing"),
                (f"{a} or missing", f"{b} or missing"),
            ):
                assert Support.parse(pair[0]).union(Support.parse(pair[1])) == union.or_missing


@pytest.mark.parametrize("text", ALL)
def test_project_puts_any_values_inside(text):
    support = Support.parse(text)
    x = 4 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    support.check(support.project(x))
    assert torch.equal(support.project(support.project(x)), support.project(x))


def test_a_table_says_of_each_column_whether_values_may_be_missing():
    support = Support.parse("table(real or missing, binary, categorical(3) or missing)")
    assert [each.missing for each in support.columns] == [True, False, True]
    assert support.missing
    assert Support.parse(str(support)) == support
    assert Support.parse("table(real, binary) or missing") == Support.parse(
        "table(real or missing, binary or missing)"
    )
    nan = float("nan")
    support.check(torch.tensor([[nan, 1.0, nan], [2.0, 0.0, 2.0]]))
    with pytest.raises(DataError, match="NaN"):
        support.check(torch.tensor([[0.0, nan, 1.0]]))


def test_offsets_and_scales_lose_nothing_that_float64_has():
    spec = DataSpec((2,), Support("real"), offsets=(1.7e9, 0.0), scales=(1.0, 4.0))
    x = torch.tensor([[1.7e9 + 0.25, 8.0], [1.7e9 - 3.5, -2.0]], dtype=torch.float64)
    y = spec.coded(x)
    assert y.dtype == torch.float32
    assert y.tolist() == [[0.25, 2.0], [-3.5, -0.5]]
    assert torch.equal(spec.natural(y), x)
    assert DataSpec.from_json(spec.to_json()) == spec


def test_the_jacobian_of_the_scales_makes_a_density_one_of_the_data():
    spec = DataSpec((2,), Support.parse("real or missing"), scales=(2.0, 5.0))
    y = torch.tensor([[0.3, -1.0], [float("nan"), 0.5]], dtype=torch.float64)
    x = spec.natural(y)
    unit = torch.distributions.Normal(torch.zeros(2, dtype=torch.float64), 1.0)
    wide = torch.distributions.Normal(torch.zeros(2, dtype=torch.float64), torch.tensor([2.0, 5.0]).double())
    ours = unit.log_prob(y.nan_to_num()).where(~y.isnan(), 0.0).sum(1) + spec.log_det(y)
    theirs = wide.log_prob(x.nan_to_num()).where(~x.isnan(), 0.0).sum(1)
    assert torch.allclose(ours, theirs)


def test_rows_are_read_less_their_offsets_and_kept_as_they_are():
    spec = DataSpec((1,), Support("real"), offsets=(1e12,))
    rows = Rows(torch.tensor([[1e12 + 1], [1e12 - 2]], dtype=torch.float64), spec)
    assert rows.take(torch.tensor([1, 0])).x.tolist() == [[-2.0], [1.0]]
    assert rows.whole().x.tolist() == [[1.0], [-2.0]]
    assert np.asarray(rows)[:, 0].tolist() == [1e12 + 1, 1e12 - 2]
