"""The command line: ``latentia VERB …``. Verbs are functions of this package's files; see `latentia.cli.commands`.

Before the verb, ``--import my_parts.py`` imports a file of the user's own for the parts that it registers.

Exit codes: 0 done; 1 it failed; 2 the words typed make no sense; 130 interrupted by Ctrl-C, 143 by
SIGTERM, 129 by SIGHUP.
"""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from latentia.cli.commands import arguments, verbs
from latentia.errors import DataWarning, LatentiaError, PluginWarning, RenamedWarning, RunError, UsageError
from latentia.interrupts import StopRequest, stoppable
from latentia.plugins import import_part
from latentia.version import __version__

FAILED, MISUSED, STOPPED_BY = 1, 2, 128  # the last and the signal's number


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
    with stoppable() as request:
        try:
            with _noting():
                code = _run([word for word in typed if word != "--debug"])
            sys.stdout.flush()
        except SystemExit as end:  # after a help screen
            return int(end.code or 0)
        except BrokenPipeError:  # the reader has seen enough, as in `latentia recipes | head -1`
            _drop(sys.stdout)
            return FAILED
        except (Exception, KeyboardInterrupt) as error:
            if "--debug" in typed and isinstance(error, Exception):
                traceback.print_exc()
            return _failed(error, request, typed)
        return code


def _failed(error: BaseException, request: StopRequest, words: Sequence[str]) -> int:
    """Say in one line why a command did not come to its end, and return the exit code.

    While a signal stops it, other code may turn the `KeyboardInterrupt` into an error that nobody foresaw.
    """
    if isinstance(error, LatentiaError) or not (request.is_set() or isinstance(error, KeyboardInterrupt)):
        _say(f"error: {_line(error, [word for word in words if word != '--debug'])}")
        return MISUSED if isinstance(error, UsageError) else FAILED
    number = request.by or signal.SIGINT
    by = "" if number == signal.SIGINT else f" by {number.name}"
    about = f"; {error}" if isinstance(error, KeyboardInterrupt) and str(error) else ""
    _say(f"interrupted{by}{about}")
    return STOPPED_BY + number


def _say(line: str) -> None:
    """Print a line on standard error; where the terminal is gone, nobody reads what is left in the streams."""
    try:
        print(f"latentia: {line}", file=sys.stderr, flush=True)
        sys.stdout.flush()
    except OSError:
        _drop(sys.stdout)
        _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, for the flush at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(words: list[str]) -> int:
    """Do what the words say; the first is the verb, but for the files that are to be imported before."""
    words = _imported(words)
    if not words or words[0] in ("-h", "--help", "help"):
        from latentia.cli.lists import print_overview

        print_overview()
        return 0
    if words[0] == "--version":
        print(f"latentia {__version__}")
        return 0
    verb = verbs[words[0]]
    return verb(**arguments(verb, _values(words[0], words[1:]))) or 0


def _imported(words: list[str]) -> list[str]:
    """Import the files that come before the verb, for the parts that they register; return the words after them.

    Raises:
        UsageError: for a file that cannot be imported, none at all, and ``--import`` after the verb.
    """
    while words and _imports(words[0]):
        _, equals, file = words[0].partition("=")
        file, words = (file, words[1:]) if equals else ("".join(words[1:2]), words[2:])
        if not file or file.startswith("-"):
            raise UsageError("--import needs a Python file: latentia --import my_parts.py VERB ...")
        import_part(file)
    if any(map(_imports, words)):
        raise UsageError("--import stands before the verb: latentia --import FILE VERB ...")
    return words


def _imports(word: str) -> bool:
    return word.partition("=")[0] == "--import"


def _from_verb(words: Sequence[str]) -> Sequence[str]:
    """Return the words from the verb on, without the files that are imported before it."""
    while words and _imports(words[0]):
        words = words[1:] if "=" in words[0] else words[2:]
    return words


@contextmanager
def _noting() -> Generator[None]:
    """Print each warning about data, a plugin or an old name as a line on standard error, once."""
    with warnings.catch_warnings():
        plain = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, DataWarning | PluginWarning | RenamedWarning):
                print(f"latentia: note: {message}", file=sys.stderr)
            else:
                plain(message, category, *rest)

        warnings.showwarning = show
        yield


def _values(name: str, words: list[str]) -> dict[str, Any]:
    """Read a verb's options from the words after it."""
    from latentia.cli.commands import about, further_options
    from latentia.cli.parse import parse
    from latentia.signatures import signature_of

    verb = verbs[name]
    if verbs.facts(name).get("recipe", False):
        from latentia.cli.with_recipe import parse_with_recipe

        return parse_with_recipe(name, verb, words)
    signature = signature_of(verb)
    groups = {"": signature.options, **further_options(name, words)}
    return parse(f"latentia {name}", about(signature.doc), groups, words)


def _line(error: BaseException, words: Sequence[str]) -> str:
    """Return an error's message as one line; of an error that nobody foresaw, also its type and what to do."""
    from latentia.cli.spelling import line_of

    message = " ".join(
        (
            line_of(error, _from_verb(words)) if isinstance(error, UsageError | RunError) else str(error)
        ).split()
    )
    if isinstance(error, LatentiaError):
        return message
    return f"unexpected {type(error).__name__}: {message or 'without a message'}; --debug shows where"
