"""Which recipes take some data: each is made for it, and begun on some of its rows."""

from typing import Any

import torch

from latentia.core.randomness import using_generator
from latentia.data.rows import Rows
from latentia.data.streams import Stream
from latentia.errors import DataError, UsageError
from latentia.registry import recipes
from latentia.runs.build import build
from latentia.runs.options import Training
from latentia.runs.parts import read_parts

_ROWS = 2000  # that objectives begin with here


def recipes_for(data: Any, **reading: Any) -> list[str]:
    """Return the names of the recipes that take this data with their default options.

    Each recipe is made for the data and begun on at most 2,000 of its rows; none is trained.

    Args:
        data: what ``fit`` takes.
        reading: how it is read, as ``fit`` takes it: ``labels="species"``, ``columns={...}``, ``support=...``.

    Raises:
        DataError: for data that cannot be read.
        UsageError: for arguments that do not fit the data.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"age": [31.5, 45.2, None, 8.1] * 9, "town": ["Ulm", "Bonn", "Ulm", None] * 9})
        >>> "gaussian-mixture" in recipes_for(table), "dc-gan" in recipes_for(table)
        (True, False)
    """
    return [name for name, reason in reasons_against(data, **reading).items() if not reason]


def reasons_against(data: Any, **reading: Any) -> dict[str, str]:
    """Return for each recipe why it does not take this data, or an empty line."""
    rows, _, _ = read_parts(data, Training(), **reading)
    return {name: _reason(name, rows) for name in recipes}


def _reason(name: str, rows: Rows | Stream) -> str:
    try:
        _begin(name, rows)
    except (UsageError, DataError) as error:
        return str(error)
    return ""


def _begin(name: str, rows: Rows | Stream) -> None:
    """Make a recipe for rows, and let its objective take from some of them what it begins with."""
    recipe = build(name, rows.spec, {}, Training())
    if isinstance(rows, Rows):
        some = rows.select(torch.arange(min(_ROWS, len(rows))))
        seen = some if recipe.transform is None else some.transformed(recipe.transform)
        with using_generator(torch.Generator().manual_seed(0)):
            recipe.objective.begin(seen)
