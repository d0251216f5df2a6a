"""Signals that ask a program to stop: Ctrl-C anywhere, and on the command line SIGTERM and SIGHUP too.

A training takes the request as a flag, so that its step ends and its checkpoint is written; anywhere else it raises
`KeyboardInterrupt`. In a process that is not the command line's, SIGTERM and SIGHUP are left to their owner.
"""

import math
import signal
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NAMES = ("SIGTERM", "SIGHUP")  # those of them that the system has
_ECHOES = 1.0  # seconds in which signals are one request: a closing terminal sends SIGHUP thrice


class Stopped(KeyboardInterrupt):
    """What a signal other than Ctrl-C's raises.

    A class of its own, since Python notes when a plain `KeyboardInterrupt` passes code that an extension runs, and then
    kills itself by SIGINT at its exit, whoever has caught it.
    """


class StopRequest:
    """A handler of signals, which remembers the one that came.

    Attributes:
        by: the signal, or None before one comes.
    """

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self._at = -math.inf

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Raise `Stopped` for a signal, unless it only repeats one."""
        if self.takes(number):
            raise Stopped

    def is_set(self) -> bool:
        """Whether a signal has come."""
        return self.by is not None

    def takes(self, number: int) -> bool:
        """Remember a signal; return whether it is a request of its own, as Ctrl-C always is."""
        now = time.monotonic()
        if number != signal.SIGINT and now - self._at < _ECHOES:
            return False
        self.by, self._at = signal.Signals(number), now
        return True


@contextmanager
def stoppable() -> Generator[StopRequest]:
    """Let SIGTERM and SIGHUP stop a program as Ctrl-C does, unless they are ignored or have a handler."""
    request = StopRequest()
    ours = {number: request for number in _present() if signal.getsignal(number) is signal.SIG_DFL}
    with _handling(ours):
        yield request


@contextmanager
def interruptible() -> Generator[StopRequest]:
    """Turn the first Ctrl-C into a flag, so that a step ends before the training stops; a second one raises.

    The same goes for the signals that ``stoppable`` has taken. One that is ignored stays ignored.
    """
    requests = {number: signal.getsignal(number) for number in _present()}
    taken = {number: each for number, each in requests.items() if isinstance(each, StopRequest)}
    request = next(iter(taken.values()), StopRequest())

    def press(number: int, _: FrameType | None) -> None:
        again = request.is_set()
        if request.takes(number) and again:
            raise KeyboardInterrupt if number == signal.SIGINT else Stopped

    ctrl_c = [] if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None) else [signal.SIGINT]
    with _handling(dict.fromkeys([*ctrl_c, *taken], press)):
        yield request


def _present() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


@contextmanager
def _handling(handlers: Mapping[signal.Signals, Any]) -> Generator[None]:
    """Put handlers in place for a while; outside the main thread, which alone may, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
