"""Time several ways to do the same work in one process, in turn, and record medians and their ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


def compare(
    name: str,
    sides: Mapping[str, Callable[[], int]],
    *,
    repetitions: int = 5,
    unit: str = "items/s",
    goals: Mapping[tuple[str, str], float | None] | None = None,
    facts: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Run every side once to warm up, then all of them in turn; print and write rates and ratios.

    Args:
        name: of the JSON file.
        sides: functions that do some work and return how many items it was.
        repetitions: counted turns.
        unit: of the rates.
        goals: {(side, peer): the ratio of their rates to reach, or None to report it only}.
        facts: what else the JSON file is to hold.
    """
    for side in sides.values():
        side()
    rates: dict[str, list[float]] = {label: [] for label in sides}
    for _ in range(repetitions):
        for label, side in sides.items():
            start = time.perf_counter()
            items = side()
            rates[label].append(items / (time.perf_counter() - start))
    medians = {label: statistics.median(values) for label, values in rates.items()}
    result: dict[str, object] = {
        "command": " ".join(
            ["python", *(Path(part).name if i == 0 else part for i, part in enumerate(sys.argv))]
        ),
        "machine": machine(),
        "unit": unit,
        "median": medians,
        "spread": {label: [min(values), max(values)] for label, values in rates.items()},
        "ratios": ratios(rates, goals or {}),
        **(facts or {}),
    }
    for label, median in medians.items():
        low, high = min(rates[label]), max(rates[label])
        print(f"{label:36s} {median:12,.1f} {unit}   [{low:,.1f} to {high:,.1f}]")
    for row in result["ratios"]:  # type: ignore[union-attr]
        print(f"{row['side']} / {row['peer']}: {row['ratio']:.2f} (goal {row['goal']}), turns {row['turns']}")
    write(name, result)
    return result


def ratios(
    rates: Mapping[str, list[float]], goals: Mapping[tuple[str, str], float | None]
) -> list[dict[str, object]]:
    """Return the median over turns of each requested ratio: both sides of a turn ran under the same load."""
    rows: list[dict[str, object]] = []
    for (side, peer), goal in goals.items():
        turns = [a / b for a, b in zip(rates[side], rates[peer], strict=True)]
        rows.append(
            {
                "side": side,
                "peer": peer,
                "ratio": statistics.median(turns),
                "goal": goal,
                "turns": [round(t, 3) for t in turns],
            }
        )
    return rows


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "amx": "amx_bf16" in flags,
        "avx512_bf16": "avx512_bf16" in flags,
    }


def write(name: str, result: Mapping[str, object]) -> None:
    """Write a result as JSON under results/."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {RESULTS.name}/{name}.json")
