"""Parts from outside the package: a user's own file, or an installed package that names an entry point.

A part registers itself when its module is imported, as `latentia.registry` says; nothing else is needed of it. An
installed package names its module in the entry point group ``latentia.plugins``::

    [project.entry-points."latentia.plugins"]
    my-parts = "my_package.parts"
"""

import importlib
import sys
import traceback
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from latentia.errors import LatentiaError, PluginWarning, UsageError

GROUP = "latentia.plugins"


def import_part(given: str) -> ModuleType:
    """Import a Python file, or a module by its dotted name, for the parts that it registers.

    A file is imported as the module of its own name, as ``import my_parts`` does with ``my_parts.py`` in the working
    directory; its folder is where its own imports are looked for. A second import of the same file does nothing.

    Args:
        given: the path of a file that ends in .py, or a module's name.

    Raises:
        UsageError: for a file or a module that is not there, is named as another module is, or fails: with the place.
    """
    file = Path(given)
    if file.suffix != ".py":
        return _imported(given, given)
    if not file.is_file():
        raise UsageError(f"there is no file {given} to import: give the path of a Python file")
    if not file.stem.isidentifier():
        raise UsageError(f"{given} is no name of a module: rename it, to letters, digits and underscores")
    loaded = sys.modules.get(file.stem)
    if loaded is not None and _file_of(loaded) == file.resolve():
        return loaded
    if loaded is not None or file.stem in sys.stdlib_module_names:
        raise UsageError(f"{given} has the name of another module, {file.stem}: rename it")
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    return _imported(file.stem, given)


@cache
def load_plugins() -> tuple[str, ...]:
    """Import the modules of the entry point group, once; return the names of the entry points.

    One that fails is left out, with a `PluginWarning` that says why.
    """
    from importlib.metadata import entry_points

    loaded: list[str] = []
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            message = " ".join(str(error).split())
            line = f"the plugin {entry.name} ({entry.value}) is left out: {type(error).__name__}: {message}"
            warnings.warn(line, PluginWarning, stacklevel=2)
        else:
            loaded.append(entry.name)
    return tuple(loaded)


def _imported(module: str, given: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module:
            raise UsageError(
                f"there is no module {given} to import: give the path of a Python file, or an installed module"
            ) from error
        raise UsageError(f"importing {given} fails{_place(error)}: {_said(error)}") from error


def _said(error: Exception) -> str:
    message = " ".join(str(error).split())
    return message if isinstance(error, LatentiaError) else f"{type(error).__name__}: {message}"


def _place(error: Exception) -> str:
    """Return the line of the user's file at which an import fails."""
    if isinstance(error, SyntaxError):
        return f" at line {error.lineno}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_outside(frame.filename)]
    return f" at line {own[-1].lineno} of {Path(own[-1].filename).name}" if own else ""


def _is_outside(file: str) -> bool:
    return not file.startswith("<") and not Path(file).is_relative_to(Path(__file__).parent)


def _file_of(module: Any) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file).resolve()
