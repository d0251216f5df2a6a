"""The progress bar of a training, and the lines that are printed above it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from latentia.core.state import State
from latentia.runs.diagnostics.finding import Finding

if TYPE_CHECKING:
    from rich.progress import Progress

_SHOWN = {  # what is logged: how it is called here, for a bar has to fit into 80 columns
    "elbo": "elbo",
    "kl": "kl",
    "log_likelihood": "log-lik",
    "generator_loss": "generator",
    "critic_loss": "critic",
    "loss": "loss",
}
_EVERY = 0.1  # seconds between redraws
_LONG = 2.0  # seconds, after which work that goes on is shown

S = TypeVar("S", bound=Sized)


@contextmanager
def progress_bar(
    title: str, steps: int, steps_per_epoch: int, *, show: bool
) -> Generator[Callable[[State], None]]:
    """Show a bar with the epoch and the latest numbers, and yield the function that moves it."""
    if not show:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[numbers]}"),
    )
    epochs = -(-steps // steps_per_epoch)
    drawn = 0.0
    with _shown(Progress(*columns, console=Console(stderr=True))) as bar:
        task = bar.add_task(title, total=steps, epoch=0, epochs=epochs, numbers="")

        def move(state: State) -> None:
            nonlocal drawn
            now = time.monotonic()
            if now - drawn < _EVERY and state.step < steps and not state.objective.finished:
                return
            drawn = now
            numbers = [
                f"{name} {state.metrics[key]:.2f}" for key, name in _SHOWN.items() if key in state.metrics
            ]
            total = state.step if state.objective.finished else steps
            epoch = -(-state.step // steps_per_epoch)
            bar.update(task, completed=state.step, total=total, epoch=epoch, numbers="  ".join(numbers[:2]))

        yield move


def counted(blocks: Iterable[S], total: int, title: str) -> Iterator[S]:
    """Yield blocks of rows, and show on standard error how many there were once that takes more than two seconds."""
    begun, done, move = time.monotonic(), 0, None
    with ExitStack() as stack:
        for block in blocks:
            yield block
            done += len(block)
            if move is None and done < total and time.monotonic() - begun > _LONG:
                move = stack.enter_context(_row_bar(title, total))
            if move is not None:
                move(done)


@contextmanager
def _row_bar(title: str, total: int) -> Generator[Callable[[int], None]]:
    """Show a bar of rows, and yield the function that moves it to a number of them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), MofNCompleteColumn())
    bar = Progress(*columns, TextColumn("rows"), TimeRemainingColumn(), console=Console(stderr=True))
    with _shown(bar):
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def _shown(bar: Progress) -> Generator[Progress]:
    """Show a bar for a while; a terminal that is closed meanwhile is no reason to fail."""
    bar.start()
    try:
        yield bar
    finally:
        with suppress(OSError):
            bar.stop()


def print_note(text: str) -> None:
    """Print a note as a line on standard error, above a bar that is shown there, if the terminal still is."""
    with suppress(OSError):
        print(f"latentia: note: {text}", file=sys.stderr)


def print_finding(finding: Finding) -> None:
    """Print a finding as a line on standard error, above a bar that is shown there, if the terminal still is."""
    with suppress(OSError):
        print(f"latentia: {finding.severity}: {finding}", file=sys.stderr)
