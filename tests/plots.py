"""What tests read off a plot."""

from __future__ import annotations

from typing import Any

import numpy as np


def lines(axes: Any) -> dict[str, np.ndarray]:
    """Return the points of each line by its label: (n, 2)."""
    return {line.get_label(): line.get_xydata() for line in axes.lines}
