"""The command line: ``latentia VERB …``. Verbs are functions of this package's files; see `latentia.cli.verb`.

Exit codes: 0 done; 1 it failed; 2 the words typed make no sense; 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from latentia import __version__
from latentia.cli.verb import arguments, verbs
from latentia.errors import DataWarning, LatentiaError, RenamedWarning, UsageError

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; an error is one line on standard error.

    Args:
        words: what was typed after ``latentia``; without, ``sys.argv``'s.

    Example:
        >>> main(["--version"])
        latentia 0.1.0
        0
    """
    typed = sys.argv[1:] if words is None else words
    debug = "--debug" in typed
    try:
        with _noting():
            code = _run([word for word in typed if word != "--debug"])
        sys.stdout.flush()
    except SystemExit as end:  # after a help screen
        return int(end.code or 0)
    except BrokenPipeError:  # the reader has seen enough, as in `latentia recipes | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return FAILED
    except KeyboardInterrupt:
        print("latentia: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"latentia: error: {_line(error)}", file=sys.stderr)
        return MISUSED if isinstance(error, UsageError) else FAILED
    return code


def _run(words: list[str]) -> int:
    """Do what the words say; the first is the verb."""
    if not words or words[0] in ("-h", "--help", "help"):
        from latentia.cli.lists import print_overview

        print_overview()
        return 0
    if words[0] == "--version":
        print(f"latentia {__version__}")
        return 0
    verb = verbs[words[0]]
    return verb(**arguments(verb, _values(words[0], words[1:]))) or 0


@contextmanager
def _noting() -> Generator[None]:
    """Print each warning about data or an old name as a line on standard error, once."""
    with warnings.catch_warnings():
        plain = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, DataWarning | RenamedWarning):
                print(f"latentia: note: {message}", file=sys.stderr)
            else:
                plain(message, category, *rest)

        warnings.showwarning = show
        yield


def _values(name: str, words: list[str]) -> dict[str, Any]:
    """Read a verb's options from the words after it."""
    from latentia.cli.parse import parse
    from latentia.cli.verb import about, options_of

    verb = verbs[name]
    if verbs.facts(name).get("recipe", False):
        from latentia.cli.with_recipe import parse_with_recipe

        return parse_with_recipe(name, verb, words)
    return parse(f"latentia {name}", about(verb), {"": options_of(verb)}, words)


def _line(error: Exception) -> str:
    """Return an error's message as one line; of an error that nobody foresaw, also its type and what to do."""
    told = " ".join(str(error).split())
    if isinstance(error, LatentiaError):
        return told
    return f"unexpected {type(error).__name__}: {told or 'without a message'}; --debug shows where"
