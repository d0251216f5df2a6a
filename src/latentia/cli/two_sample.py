"""The verb that tests whether two samples come from one distribution."""

from pathlib import Path
from typing import Annotated, Any

from latentia.cli.commands import verbs
from latentia.cli.tables import print_test
from latentia.errors import DataError
from latentia.options import Between, Count, OneOf, Seed
from latentia.registry import corrections, two_sample_tests


@verbs.register("test", group="Compare samples")
def compare_samples(
    a: str,
    b: str,
    *,
    method: Annotated[str, OneOf(two_sample_tests)] = "mmd",
    permutations: Count = 500,
    seed: Seed = 0,
    level: Annotated[float, Between(0, 1, "()")] = 0.05,
    correction: Annotated[str, OneOf(corrections)] = "holm",
    labels: str | None = None,
    resize: tuple[int, int] | None = None,
    header: Annotated[str, OneOf("auto", "yes", "no")] = "auto",
    index: Annotated[str, OneOf("auto", "yes", "no")] = "auto",
    separator: str | None = None,
    json: Path | None = None,
) -> None:
    """Test whether two samples come from one distribution; print the evidence and the decision.

    welch-t, student-t, kolmogorov-smirnov and mann-whitney test feature by feature, the other methods all features
    jointly.

    A and B are .npy, .npz, .csv or .parquet files, folders of images, or data sets that have a name. Images are
    tested pixel by pixel. The exit code is 0 whatever the decision.

    Args:
        a: one sample, a file, a folder or a name
        b: the other, of the same features
        method: the test
        permutations: random splits of the pooled rows, for tests by permutation
        seed: of every draw
        level: significance level: the probability of rejecting equal distributions that is accepted
        correction: of the features' p-values for multiple testing
        labels: the column of both tables that is not to be tested, such as a class
        resize: height and width to give the images of folders
        header: whether the first line of tables of text holds the columns' names
        index: whether their first column holds row names or row numbers, which are left out
        separator: what stands between their fields: a character, tab or space; default: found in the file
        json: FILE.json to write the result to, with all digits and all features

    Examples:
        latentia test a.npy b.npy
        latentia test real.csv synthetic.csv --method kolmogorov-smirnov --labels species
        latentia test photos/ samples/ --method classifier --resize 32 32 --json test.json
    """
    from latentia.data.read import read_rows
    from latentia.metrics.two_sample import two_sample_test
    from latentia.runs.files import write_json

    reading: dict[str, Any] = {"labels": labels, "resize": resize}
    reading |= {"header": header, "index": index, "separator": separator}
    first = read_rows(a, **reading)
    second = read_rows(b, **reading, like=first.spec if first.spec.table else None)
    x, y = _sample(first), _sample(second)
    result = two_sample_test(x, y, method, permutations, seed, level, correction=correction)
    print_test(result)
    if json is not None:
        write_json(json, result.to_json())


def _sample(rows: Any) -> Any:
    """Return rows as a table with its columns' names, or as an array.

    Raises:
        DataError: for categories, between which there is no distance.
    """
    import pandas as pd

    if any(column.kind == "categorical" for column in rows.spec.support.columns):
        raise DataError(f"{rows.name} has columns of categories, which have no distance: encode or drop them")
    return pd.DataFrame(rows.x.numpy(), columns=list(rows.spec.columns)) if rows.spec.columns else rows.x
