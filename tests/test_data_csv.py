"""Tables of text of every layout, and what is said where two readings are possible."""

import gzip
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import latentia as lt
from latentia.data.ingest.csv import read_csv
from latentia.data.ingest.layout import TextOptions
from latentia.data.read import read_rows
from latentia.errors import DataError, DataWarning, UsageError

X = np.random.default_rng(0).normal(size=(20, 3)).round(3)
BODY = "".join(",".join(map(str, row)) + "\n" for row in X)


def read(path: Path, text: str | bytes, **options: str) -> tuple[pd.DataFrame, list[str]]:
    """Return a table and what was said of it."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table = read_csv(path, TextOptions(**options))
    assert all(issubclass(each.category, DataWarning) for each in told)
    return table, [str(each.message).removeprefix(f"{path.name}: ") for each in told]


def frame(columns: list) -> pd.DataFrame:
    return pd.DataFrame(X, columns=columns)


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        (frame([0, 1, 2]).to_csv(index=False), ["0", "1", "2"], "'0,1,2' is taken as column names: header='no'"),
        (frame([2019, 2020, 2021]).to_csv(index=False), ["2019", "2020", "2021"], "taken as column names"),
        (frame([400.5, 401.0, 401.5]).to_csv(index=False), ["400.5", "401.0", "401.5"], "as column names"),
        (frame(["a", "b", "c"]).to_csv(index=False), ["a", "b", "c"], None),
        (frame(["a", "b", "c"]).to_csv(), ["a", "b", "c"], "holds the row numbers, so it is left out: index='no'"),
        (frame(["a", "b", "c"]).sample(frac=0.7, random_state=0).to_csv(), ["a", "b", "c"], "row numbers"),
        (frame(["a", "b", "c"]).query("a > 0").to_csv(), ["a", "b", "c"], "row numbers"),
        (pd.concat([frame(["a", "b", "c"])] * 2).to_csv(), ["a", "b", "c"], "row numbers"),
        ("\ufeff" + frame(["a", "b", "c"]).to_csv(index=False), ["a", "b", "c"], None),
        (BODY, [0, 1, 2], None),
        ("# made by hand\n# x, y, z\n" + BODY, ["x", "y", "z"], "'# x, y, z' above the table is taken as its"),
        ("# made by hand\n\n" + frame(["a", "b", "c"]).to_csv(index=False), ["a", "b", "c"], "1 line above"),
        ("Site 4\n" + BODY, [0, 1, 2], "1 line above the table, 'Site 4', left out"),
        ("Site 4, run 7\na,b,c\n" + BODY, ["a", "b", "c"], "1 line above the table, 'Site 4,run 7', left out"),
        ("a,b,c\n" + BODY.replace("\n", ",\n"), ["a", "b", "c"], None),
        (frame(["a", "a", "c"]).to_csv(index=False), ["a", "a.1", "c"], "several columns are called 'a'"),
    ],
)  # fmt: skip
def test_names_row_numbers_and_lines_above(tmp_path: Path, text: str, columns: list, said: str | None):
    table, told = read(tmp_path / "t.csv", text)
    assert list(table.columns) == columns
    assert table.to_numpy()[0].tolist() in X.tolist()
    assert table.shape[1] == 3
    assert len(table) == text.count("\n") - text.count("#") - text.count("Site") - text.count("\n\n") - (
        isinstance(columns[0], str) and "# x" not in text
    )
    assert bool(told) == bool(said)
    assert (said or "") in " ".join(told)


@pytest.mark.parametrize(
    ("first", "table"),
    [
        ("1.0,,3.0\n", [1.0, np.nan, 3.0]),
        ("1.0,?,3.0\n", [1.0, np.nan, 3.0]),
        ("1.0, ?, 3.0\n", [1.0, np.nan, 3.0]),
        ("1.0,NA,3.0\n", [1.0, np.nan, 3.0]),
    ],
)
def test_a_first_row_with_a_gap_is_a_row(tmp_path: Path, first: str, table: list[float]):
    found, told = read(tmp_path / "t.csv", first + BODY)
    assert found.shape == (21, 3)
    np.testing.assert_equal(found.iloc[0].tolist(), table)
    assert "is taken as a row: header='yes' (--header yes) reads it as column names" in told[0]


def test_a_first_row_with_a_class_is_a_row(tmp_path: Path):
    lines = [f"{line},{'ab'[i % 2]}" for i, line in enumerate(BODY.splitlines())]
    assert read(tmp_path / "t.csv", "\n".join(lines))[0].shape == (20, 4)
    letters = "".join(f"{'ab'[i % 2]},{'xyz'[i % 3]}\n" for i in range(12))
    assert read(tmp_path / "m.csv", letters)[0].shape == (12, 2)
    assert read(tmp_path / "n.csv", "first,second\n" + letters)[0].columns.tolist() == ["first", "second"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("0,1\n0,0\n1,1\n0,1\n1,0\n", [0, 1]),
        ("1,2,3\n3,1,2\n2,2,1\n1,3,3\n", [0, 1, 2]),
        ("5.1,3.5,1.4\n4.9,3.0,1.3\n", [0, 1, 2]),
        ("0.1,0.2,0.3\n0.2,0.3,0.4\n0.4,0.5,0.6\n", [0, 1, 2]),
    ],
)
def test_numbers_that_are_like_the_rows_below_are_a_row(tmp_path: Path, text: str, columns: list[int]):
    table, told = read(tmp_path / "t.csv", text)
    assert (list(table.columns), len(table), told) == (columns, text.count("\n"), [])


def test_the_options_say_otherwise(tmp_path: Path):
    path = tmp_path / "t.csv"
    text = frame([2019, 2020, 2021]).to_csv(index=False)
    assert read(path, text, header="no")[0].shape == (21, 3)
    assert read(path, BODY, header="yes")[0].columns.tolist() == BODY.split("\n")[0].split(",")
    assert read(path, frame(["a", "b", "c"]).to_csv(), index="no")[0].columns.tolist()[0] == "Unnamed: 0"
    assert read(path, "a,b\n1,2\n3,4\n", index="yes")[0].columns.tolist() == ["b"]
    assert read(path, "a|b,c\n1|2,3\n", separator=",")[0].columns.tolist() == ["a|b", "c"]
    assert read(path, "a b\n1 2\n", separator="space")[0].columns.tolist() == ["a", "b"]
    assert read(path, "a\tb,c\n1\t2,3\n", separator="tab")[0].columns.tolist() == ["a", "b,c"]


def test_names_one_too_few(tmp_path: Path):
    path = tmp_path / "t.csv"
    with pytest.raises(
        DataError, match=r"'a,b' has 2 fields and those below have 3: index='yes'.*header='no'"
    ):
        read(path, "a,b\n" + BODY)
    table, _ = read(path, "a,b\n" + BODY, index="yes")
    assert table.columns.tolist() == ["a", "b"]
    np.testing.assert_allclose(table.to_numpy(), X[:, 1:])
    table, told = read(path, "a,b\n" + BODY, header="no")
    assert (table.shape, told) == ((20, 3), ["1 line above the table, 'a,b', left out"])
    rows = "".join(f'"{name}",{i}.5,{i * i}\n' for i, name in enumerate(("Mazda", "Datsun", "Hornet")))
    table, told = read(path, '"mpg","cyl"\n' + rows)
    assert table.columns.tolist() == ["mpg", "cyl"]
    assert "holds row names, so it is left out" in told[0]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a;b\n1,5;2\n2,25;3\n", [[1.5, 2], [2.25, 3]]),
        ("a;b\n1.234,5;2\n2,25;3\n", [[1234.5, 2], [2.25, 3]]),
        ('a,b\n"1,234",2\n"22,345,678",3\n', [[1234, 2], [22345678, 3]]),
        ('a;b\n1,234,567;2\n22,345;3\n', [[1234567, 2], [22345, 3]]),
        ("a\tb\n1,5\t2\n2,25\t3\n", [[1.5, 2], [2.25, 3]]),
        ("a  b\n1.5   2\n 2.25 3\n", [[1.5, 2], [2.25, 3]]),
        ('"height, cm";"weight, kg"\n1;2\n3;4\n', [[1, 2], [3, 4]]),
        ("a;b;c\n1,5;1,5;1,5\n2,5;2,5;2,5\n", [[1.5] * 3, [2.5] * 3]),
        ("1,5;2,5;4,5\n2,5;3,5;1,5\n", [[1.5, 2.5, 4.5], [2.5, 3.5, 1.5]]),
    ],
)  # fmt: skip
def test_separators_and_numbers(tmp_path: Path, text: str, values: list[list[float]]):
    table, told = read(tmp_path / "t.csv", text)
    assert (table.to_numpy().tolist(), told) == (values, [])


def test_three_digits_behind_a_comma_are_said(tmp_path: Path):
    table, told = read(tmp_path / "t.csv", "a;b\n1,234;2\n5,678;3\n")
    assert table["a"].tolist() == [1.234, 5.678]
    assert told == ["'1,234' is read with a decimal comma, not as 1234"]


@pytest.mark.parametrize("separators", [(";", "|"), (",", ";")])
def test_two_separators_that_fit_are_said(tmp_path: Path, separators: tuple[str, str]):
    one, two = separators
    table, told = read(tmp_path / "t.csv", "".join(f"1{one}x{two}2\n" for _ in range(9)))
    assert table.shape == (9, 2)
    assert "would do: separator=" in told[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
@pytest.mark.parametrize("zipped", [False, True])
def test_encodings(tmp_path: Path, encoding: str, *, zipped: bool):
    raw = "größe,naïve\n1.5,é\n2.5,ü\n".encode(encoding)
    table, told = read(tmp_path / "t.csv", gzip.compress(raw) if zipped else raw)
    assert table.columns.tolist() == ["größe", "naïve"]
    assert table["naïve"].tolist() == ["é", "ü"]
    assert told == (["the text is not UTF-8, and is read as Windows-1252"] if encoding[0] in "lc" else [])


def test_a_byte_that_is_not_utf8_far_below(tmp_path: Path):
    raw = ("name,x\n" + "abc,1.5\n" * 20_000).encode() + "é,2.5\n".encode("latin-1")
    table, told = read(tmp_path / "t.csv", raw)
    assert table["name"].iloc[-1] == "é"
    assert told == ["the text is not UTF-8, and is read as Windows-1252"]


def test_test_files_of_uci(tmp_path: Path):
    rows = "25, Private, ?, <=50K.\n38, ?, 7, >50K.\n" * 5
    table, told = read(tmp_path / "adult.test", "|1x3 Cross validator\n" + rows + "\n")
    assert table.shape == (10, 4)
    assert table[1].isna().sum() == table[2].isna().sum() == 5
    assert table[3].unique().tolist() == ["<=50K", ">50K"]
    assert "'|1x3 Cross validator', left out" in told[0]
    assert "all end in a full stop, as '<=50K.', which is taken off" in told[1]
    table, told = read(tmp_path / "other.test", rows)
    assert table[3].unique().tolist() == ["<=50K.", ">50K."]
    assert told[-1].endswith("all end in a full stop, as '<=50K.'")


def test_codes_keep_their_noughts(tmp_path: Path):
    table, _ = read(tmp_path / "t.csv", "zip,x\n02139,1.5\n10001,2.5\n,0.5\n")
    assert table["zip"].tolist()[:2] == ["02139", "10001"]
    assert table["zip"].isna().tolist() == [False, False, True]
    assert read(tmp_path / "t.csv", "02139,1.5\n10001,2.5\n")[0][0].tolist() == ["02139", "10001"]


def test_lines_of_other_lengths(tmp_path: Path):
    with pytest.raises(DataError, match=r"cannot read .*t\.csv as a table: .*line 4"):
        read(tmp_path / "t.csv", "a,b\n1,2\n3,4\n1,2,3\n")
    table, told = read(tmp_path / "t.csv", "a,b,c\n1,2,3\n4,5\n6,7,8\n")
    assert np.isnan(table.iloc[1, 2])
    assert told == ["a line, '4,5', has 2 of 3 fields: the rest are gaps"]


@pytest.mark.parametrize("options", [{"header": "maybe"}, {"index": "1"}, {"separator": ";;"}])
def test_options_that_do_not_exist(options: dict[str, str]):
    with pytest.raises(UsageError, match=next(iter(options))):
        read_rows(np.eye(3), **options)


def test_options_are_for_tables_of_text(tmp_path: Path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(UsageError, match=r"are for tables of text, such as CSV; x\.npy is none"):
        read_rows(tmp_path / "x.npy", header="no")


def test_a_run_reads_its_table_again_as_it_was_told_to(tmp_path: Path):
    (tmp_path / "t.csv").write_text("1,2,3\n" + BODY * 5)
    run = lt.fit(
        "gaussian", tmp_path / "t.csv", header="yes", validation=0.2, out=tmp_path / "run", progress=False
    )
    assert run.data["text"] == {"header": "yes"}
    again = lt.load(tmp_path / "run")
    scores = lt.evaluate(again)  # the held-out rows are read again
    assert scores["value"].notna().any()
    assert again.spec.columns == ("1", "2", "3")


def test_adult_is_read_in_little_more_time_than_pandas_takes(tmp_path: Path):
    """Not a measurement of time: what is parsed a second time is the beginning of the file alone."""
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1.5,2.5\n" * 40_000 + "1.5,x\n")
    calls = []
    original = pd.read_csv
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pd, "read_csv", lambda *args, **options: calls.append(1) or original(*args, **options))
        with pytest.warns(DataWarning, match="'b' begins with numbers and holds 'x' further down"):
            assert len(read_csv(path)) == 40_001
    assert len(calls) == 1


def _long(tmp_path, fields) -> pd.DataFrame:
    """Read a table of a, b and c whose first 64 KiB show whole numbers alone."""
    lines = [f"{j};{j % 977};{1 + j % 9}" for j in range(9000)]
    path = tmp_path / "long.csv"
    path.write_text("a;b;c\n" + "\n".join([*lines, *fields]) + "\n")
    assert sum(map(len, lines)) > 1 << 16
    return read_csv(path)


def test_codes_and_decimal_commas_are_seen_beyond_the_first_lines(tmp_path):
    table = _long(tmp_path, ["9000;007;3"])
    assert table["b"].iloc[-1] == "007"
    assert [table[name].dtype.kind for name in "ac"] == ["i", "i"]
    with pytest.warns(
        DataWarning, match="'c' begins with numbers and holds '1,5' further down: numbers are read with"
    ):
        table = _long(tmp_path, ["9000;7;1,5"])
    assert table["c"].iloc[-1] == 1.5
    assert table["b"].dtype.kind == "i"
    with pytest.warns(
        DataWarning, match="'c' begins with numbers and holds 'n.d.' further down, so it is read as words"
    ):
        table = _long(tmp_path, ["9000;7;n.d."])
    assert table["c"].iloc[-1] == "n.d."
    with pytest.warns(DataWarning, match="decimal comma"):
        table = _long(tmp_path, ["9000;007;1,5"])
    assert (table["b"].iloc[-1], table["c"].iloc[-1]) == ("007", 1.5)
