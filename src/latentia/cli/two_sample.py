"""The verb that tests whether two samples come from one distribution."""

from pathlib import Path
from typing import Annotated, Any

from latentia.cli.commands import verbs
from latentia.cli.tables import print_test
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
    distances: Annotated[str | None, OneOf(("standardised", "ranks", "raw"))] = None,
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

    A and B are .npy, .npz, .csv or .parquet files, folders of images, or data sets that have a name. Of tables the
    columns are matched by name; words are categories, and gaps are compared too. Images are tested pixel by pixel.
    The exit code is 0 whatever the decision.

    Args:
        a: one sample, a file, a folder or a name
        b: the other, of the same features
        method: the test
        permutations: random splits of the pooled rows, for tests by permutation
        seed: of every draw
        level: significance level: the probability of rejecting equal distributions that is accepted
        correction: of the features' p-values for multiple testing
        distances: how the columns of two tables are measured: standardised, each divided by its standard deviation,
            by ranks, or raw; default: standardised
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
    from latentia.metrics.two_sample import two_sample_test
    from latentia.runs.files import write_json

    reading: dict[str, Any] = {"labels": labels, "resize": resize}
    reading |= {"header": header, "index": index, "separator": separator}
    x, y = (_sample(each, **reading) for each in (a, b))
    result = two_sample_test(
        x, y, method, permutations, seed, level, correction=correction, distances=distances
    )
    print_test(result)
    if json is not None:
        write_json(json, result.to_json())


def _sample(source: str, *, labels: str | None, resize: tuple[int, int] | None, **text: Any) -> Any:
    """Return a table's frame without its labels, or other rows as an array."""
    import pandas as pd

    from latentia.data.ingest.files import FileOptions, is_table, read_file
    from latentia.data.ingest.layout import TextOptions
    from latentia.data.ingest.tables import take_labels
    from latentia.data.read import read_rows
    from latentia.metrics import points
    from latentia.registry import datasets

    if source not in datasets and is_table(source):
        options = FileOptions(TextOptions(**text), resize)
        options.check(source, source)
        frame: Any = read_file(Path(source), options)
        return take_labels(frame, labels)[0]
    rows: Any = read_rows(source, labels=labels, resize=resize, **text)
    if points.is_table(rows.spec):
        return pd.DataFrame(rows.x.numpy(), columns=list(rows.spec.columns))
    return rows.x
