"""The verb that looks at a table."""

from pathlib import Path
from typing import Annotated

from latentia.cli.commands import verbs
from latentia.cli.tables import print_columns
from latentia.options import OneOf


@verbs.register("describe", group="See what there is")
def describe(
    table: Path,
    *,
    columns: tuple[str, ...] = (),
    header: Annotated[str, OneOf("auto", "yes", "no")] = "auto",
    index: Annotated[str, OneOf("auto", "yes", "no")] = "auto",
    separator: str | None = None,
) -> None:
    """Show what the columns of a table are taken for, before anything is fitted to it.

    Columns are real, integer, count, boolean, categorical, ordinal, datetime, id, constant or text; drop leaves one
    out. Ids, constants and texts are not modelled.

    Args:
        table: a .csv or .parquet file
        columns: what columns are where they are not to be inferred, as age=count year=categorical note=drop id=id
        header: whether the first line of a table of text holds the columns' names
        index: whether its first column holds row names or row numbers, which are left out
        separator: what stands between its fields: a character, tab or space; default: found in the file

    Examples:
        latentia describe table.csv
        latentia describe table.csv --columns year=categorical note=drop
    """
    from latentia.data import look

    found = look.describe(table, columns, header=header, index=index, separator=separator)
    print_columns(list(found), found.to_numpy().tolist())
    print(found.attrs["rows"])
