"""What the files of a package register, read from their syntax trees: nothing is imported."""

import ast
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Listing:
    """A member of a registry as its file defines it.

    Attributes:
        module: where it is defined.
        definition: its name there; empty where it is a value in a table.
        summary: the first line of its docstring.
        facts: the keyword arguments of its decorator, or of the call that makes it, with the values that are
            constants.
        named: the keyword arguments of its decorator that are plain names, as they are written.
    """

    module: str
    definition: str = ""
    summary: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    named: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names that the decorator gives it."""
        return self.facts.get("aliases", ())


def listings(registry: str, package: str) -> dict[str, Listing]:
    """Return what a package's files add to the registry of a name, by name.

    Args:
        registry: as decorators write it: ``recipes`` for ``@recipes.register``.
        package: whose files are read, sub-packages included; or a single module.

    Example:
        >>> listings("recipes", "latentia.recipes")["flow"].module
        'latentia.recipes.flow'
    """
    return {
        name: listing
        for module, path in _files(package)
        for name, listing in _definitions(registry, module, path.read_text(encoding="utf-8"))
    }


def first_line(doc: str | None) -> str:
    """Return the first line of a docstring, or an empty one."""
    return (doc or "").strip().partition("\n")[0].strip()


def _files(package: str) -> Iterator[tuple[str, Path]]:
    """Iterate over the modules of a package, or a single module, and their files, without importing any."""
    top, *inner = package.split(".")
    spec = importlib.util.find_spec(top)
    for folder in () if spec is None else spec.submodule_search_locations or ():
        base = Path(folder).joinpath(*inner)
        if base.with_suffix(".py").is_file():
            yield package, base.with_suffix(".py")
        for path in sorted(base.rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            yield ".".join([package, *(part for part in parts if part != "__init__")]), path


def _definitions(registry: str, module: str, text: str) -> Iterator[tuple[str, Listing]]:
    if f"@{registry}.register(" not in text and f"{registry}.add(" not in text:  # parsing is the slow part
        return
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for name, keywords in _registered(registry, node):
                facts, named = dict(_constants(keywords)), dict(_plain_names(keywords))
                yield name, Listing(module, node.name, first_line(ast.get_docstring(node)), facts, named)
        for name, facts in _added(registry, node):
            yield name, Listing(module, facts=facts)


def _registered(
    registry: str, node: ast.FunctionDef | ast.ClassDef
) -> Iterator[tuple[str, list[ast.keyword]]]:
    """Iterate over the names that decorators give a definition, with the decorators' keyword arguments."""
    for decorator in node.decorator_list:
        match decorator:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=owner), attr="register"),
                args=[ast.Constant(value=str(name))],
                keywords=keywords,
            ) if owner == registry:
                yield name, keywords
            case _:
                pass


def _added(registry: str, node: ast.stmt) -> Iterator[tuple[str, dict[str, Any]]]:
    """Iterate over the names of a table that is added, with the keywords of the calls that make its values."""
    match node:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id=owner), attr="add"),
                args=[ast.Dict(keys=keys, values=values)],
            )
        ) if owner == registry:
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    keywords = value.keywords if isinstance(value, ast.Call) else []
                    unknown = {str(each.arg): None for each in keywords}
                    yield key.value, unknown | dict(_constants(keywords))
        case _:
            pass


def _constants(keywords: Iterable[ast.keyword]) -> Iterator[tuple[str, Any]]:
    """Iterate over the keyword arguments of a call that are written as constants."""
    for each in keywords:
        with suppress(ValueError):
            yield str(each.arg), ast.literal_eval(each.value)


def _plain_names(keywords: Iterable[ast.keyword]) -> Iterator[tuple[str, str]]:
    """Iterate over the keyword arguments of a call that are names, such as that of a class."""
    for each in keywords:
        if isinstance(each.value, ast.Name):
            yield str(each.arg), each.value.id
