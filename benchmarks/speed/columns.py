"""Columns of one million rows by 15: inference, encoding and decoding, with the whole process's peak memory."""

import resource
import time

import numpy as np
import pandas as pd

from latentia.data.columns.infer import infer_columns
from latentia.data.columns.rows import frame_of, natural, support_of_rows
from latentia.data.spec import DataSpec

ROWS = 1_000_000


def table(n: int) -> pd.DataFrame:
    """Return n rows of five columns of words, three of whole numbers, four real ones, two truth values and a date."""
    draw = np.random.default_rng(0)
    words = np.array([f"w{j}" for j in range(40)])
    columns = {f"word{j}": words[draw.integers(0, 40, n)] for j in range(5)}
    columns |= {f"whole{j}": draw.integers(0, 90, n) for j in range(3)}
    columns |= {f"real{j}": draw.normal(size=n) for j in range(4)}
    columns |= {f"truth{j}": draw.random(n) < 0.5 for j in range(2)}
    return pd.DataFrame(
        columns | {"date": pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 900, n), "D")}
    )


def main() -> None:
    """Print seconds and megabytes."""
    frame, marks = table(ROWS), [time.perf_counter()]
    columns = infer_columns(frame)
    marks.append(time.perf_counter())
    x = natural(frame, columns)
    marks.append(time.perf_counter())
    frame_of(x, DataSpec((x.shape[1],), support_of_rows(columns), table=columns))
    marks.append(time.perf_counter())
    infer, encode, decode = np.diff(marks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"infer {infer:.1f} s, encode {encode:.1f} s, decode {decode:.1f} s, peak {peak:.0f} MB in all")


if __name__ == "__main__":
    main()
