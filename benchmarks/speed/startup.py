"""Start-up: how long commands take from their first line to their last, each in a process of its own.

    python benchmarks/speed/startup.py [--repetitions 7] [--json startup.json]

Help and lists import no torch; a fit of 20 epochs on the digits, and its evaluation, import what they use. Medians over
the repetitions; the commands take turns, so that a busy minute meets all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {  # and the goal in seconds, on two cores
    "--help": 0.15,
    "recipes": 0.25,
    "fit vae --help": 0.3,
    "fit vae --data digits --out run": 3.2,
    "evaluate run": 1.6,
}


def seconds(command: str, folder: Path) -> float:
    """Return how long a command takes; a run that is in the way is removed before."""
    if command.startswith("fit") and (folder / "run").exists():
        shutil.rmtree(folder / "run")
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "latentia", *command.split()], cwd=folder, check=True, capture_output=True
    )
    return time.perf_counter() - start


def measured(repetitions: int) -> dict[str, list[float]]:
    """Return the seconds of each command in each repetition, after one that fills the caches of files."""
    with tempfile.TemporaryDirectory() as place:
        taken: dict[str, list[float]] = {command: [] for command in COMMANDS}
        for _ in range(repetitions + 1):
            for command, times in taken.items():
                times.append(seconds(command, Path(place)))
    return {command: times[1:] for command, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file to write the medians and all times to")
    args = parser.parse_args()
    taken = measured(args.repetitions)
    medians = {command: statistics.median(times) for command, times in taken.items()}
    for command, goal in COMMANDS.items():
        print(f"latentia {command:<34} {medians[command]:6.2f} s   goal {goal:.2f} s")
    if args.json is not None:
        cores = os.cpu_count()
        args.json.write_text(json.dumps({"cores": cores, "medians": medians, "seconds": taken}, indent=2))


if __name__ == "__main__":
    main()
