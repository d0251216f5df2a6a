"""Reading Adult's 32,561 × 15 CSV and finding out what its columns are, against `pandas.read_csv`, in turn.

python benchmarks/speed/read_table.py adult.data
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import pandas as pd
from side_by_side import compare

from latentia.data.read import read_rows

GOAL = 1 / 3  # of pandas' rows a second
NAMES = [
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="adult.data as UCI publishes it")
    published = parser.parse_args().file
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adult.csv"
        pd.read_csv(published, header=None, names=NAMES, skipinitialspace=True).to_csv(path, index=False)
        sides = {"latentia": lambda: len(read_rows(path)), "pandas": lambda: len(pd.read_csv(path))}
        compare(
            "read_table",
            sides,
            repetitions=9,
            unit="rows/s",
            goals={("latentia", "pandas"): GOAL},
            facts={"pandas": pd.__version__},
        )


if __name__ == "__main__":
    main()
