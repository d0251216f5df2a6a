"""Parts from outside the package that a run is made of: config.json names them, and loading the run asks for them.

Nothing is executed because a folder names it: the user imports the file, on the command line with ``--import``.
"""

import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from latentia import registry
from latentia.errors import RunError, UsageError
from latentia.registry import Registry

_REGISTRIES: Mapping[str, Registry[Any]] = {
    name: each for name, each in vars(registry).items() if isinstance(each, Registry)
}
_JOINED = "non-saturating-"  # what a name of a loss may begin with


def outside_parts(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parts from outside that a run's configuration names, as JSON values.

    Args:
        config: with recipe, options, training and data, as config.json has them.

    Returns:
        For each: ``registry`` and ``name``; the ``module`` that registered it, and its ``file``, from the working
        directory where it is below that, None where it belongs to an installed package.
    """
    return [
        {"registry": kind, "name": name, "module": module, "file": _file(module)}
        for name in sorted(set(_words(config)))
        for kind, known in _REGISTRIES.items()
        if (module := known.module_outside(name)) is not None
    ]


def by_name(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with registered names in the place of objects, which config.json cannot hold.

    Raises:
        UsageError: for an object that no registry names.
    """
    return {option: _by_name(option, value) for option, value in options.items()}


def _by_name(option: str, value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool | list | tuple | dict):
        return value
    named = (each.name_of_member(value) for each in _REGISTRIES.values())
    found = next((name for name in named if name is not None), None)
    if found is None:
        raise UsageError(
            f"{option} is a {type(value).__name__} without a name, and a run folder holds names: add it to its "
            "registry in latentia.registry, or keep the run in memory",
            options=[option],
        )
    return found


def refuse_missing_parts(path: Path, config: Mapping[str, Any]) -> None:
    """Raise `RunError`, which says what to import, for a run that is made of parts that are not registered."""
    missing = [part for part in _recorded(path, config) if part["name"] not in _REGISTRIES[part["registry"]]]
    if not missing:
        return
    named = ", ".join(f"the {_REGISTRIES[part['registry']].what} {part['name']!r}" for part in missing)
    files = list(dict.fromkeys(part["file"] for part in missing if part["file"] is not None))
    modules = list(dict.fromkeys(part["module"] for part in missing))
    if not files:
        raise RunError(
            f"{path} uses {named} of a package that is not installed: install {', '.join(modules)}"
        )
    typed = " ".join(f"--import {file}" for file in files)
    raise RunError(
        f"{path} uses {named} of {', '.join(files)}, not imported here: put {typed} between latentia and the verb, "
        f"or in Python import {', '.join(modules)} first"
    )


def _recorded(path: Path, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    parts = config.get("parts", [])
    keys = {"registry", "name", "module", "file"}
    sound = isinstance(parts, list) and all(isinstance(part, dict) and keys <= part.keys() for part in parts)
    if not sound or any(part["registry"] not in _REGISTRIES for part in parts):
        raise RunError(f"{path} holds a config.json whose parts are not readable; it is damaged")
    return parts


def _words(config: Mapping[str, Any]) -> Iterator[str]:
    """Iterate over all words of a configuration that may name a part."""
    values = [config["recipe"], *config["options"].values(), *config["training"].values()]
    if config["data"].get("named"):
        values.append(config["data"]["name"])
    values += [column["kind"] for column in config["data"].get("spec", {}).get("table", ())]
    for value in values:
        for word in re.findall(r"[\w.\-]+", value) if isinstance(value, str) else ():
            yield from {word, word.removeprefix(_JOINED)}


def _file(module: str) -> str | None:
    """Return the file of a user's own module, as it is named on the command line."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    if any(path.is_relative_to(Path(sysconfig.get_path(kind)).resolve()) for kind in ("purelib", "platlib")):
        return None
    return (path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path).as_posix()
