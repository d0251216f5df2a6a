"""Where a verb's rows come from: the options that all verbs share which work on rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latentia.data.rows import Rows
    from latentia.runs.run import Run


@dataclass(frozen=True)
class Source:
    """Where a verb's rows come from.

    Attributes:
        data: rows, a name or a file; the test part of the named set it was fitted to, or the share held out, without
        labels: the column of a table that holds classes
        resize: height and width to give the images of a folder
    """

    data: str | None = None
    labels: str | None = None
    resize: tuple[int, int] | None = None

    def rows(self, run: Run) -> Rows:
        """Read the rows, which are to be like a run's.

        Raises:
            UsageError: without data, where nothing was held out or it is not there any more.
            DataError: for data that cannot be read, or is of another shape or other values.
        """
        from latentia.runs.evaluate import held_out_rows

        return held_out_rows(run, self.data, labels=self.labels, resize=self.resize)
