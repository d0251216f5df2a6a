"""Errors whose message is one line: what was given, what was expected, what to do."""

from collections.abc import Iterable


class LatentiaError(Exception):
    """The base of every error that Latentia raises on purpose; the command line prints its one line."""


class UsageError(LatentiaError, ValueError):
    """A name, an option or a combination of options that does not exist or does not fit.

    Args:
        message: one line, in which options are spelled as in Python.
        options: the names of the options in it, which the command line spells in its own way.
    """

    def __init__(self, message: object = "", *, options: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.options = tuple(options)


class UnfitError(UsageError):
    """Data of a support that a recipe's model is not for."""


class UnknownNameError(UsageError, KeyError):
    """A name that a registry does not hold."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes


class DataError(LatentiaError, ValueError):
    """Data that cannot be read, or that breaks what was declared about it."""


class DataWarning(UserWarning):
    """Data that is not read quite as it stands; the command line prints it as a note."""


class RenamedWarning(UserWarning):
    """An option under the name that it had in an earlier version; the command line prints it as a note."""


class PluginWarning(UserWarning):
    """An installed plugin that cannot be imported; the command line prints it as a note."""


class RunError(LatentiaError):
    """A run folder that cannot be written, read or continued."""


class NonFiniteError(LatentiaError, ArithmeticError):
    """A loss or a gradient that is not finite; the last good weights are kept.

    Attributes:
        run: the run with those weights, where the error comes from ``fit``.
    """

    run: object = None
