"""Registries: mappings from a name to a member, filled by decorated definitions found in a package's files.

To add a member, write one decorated function or class in one file of the registry's package::

    @recipes.register("vae")
    def vae(data: DataSpec, *, latent_dim: int = 16) -> Recipe:
        \"\"\"One line that `latentia recipes` shows.\"\"\"

Names and one-line descriptions are read from the files' syntax trees, so listing a registry imports nothing.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from latentia.errors import UnknownNameError

T = TypeVar("T")


@dataclass(frozen=True)
class _Listing:
    """Where a member is defined, and its docstring's first line."""

    module: str
    summary: str
    aliases: tuple[str, ...] = ()


class Registry(Mapping[str, T]):
    """Map names to members that decorated definitions in a package's files provide.

    Args:
        name: the registry's own name, as its decorators are written: ``recipes`` for ``@recipes.register``.
        package: the package whose files hold the definitions, sub-packages included.

    Lookups take a name as the field writes it too, in capitals or without hyphens, and aliases that a decorator names.

    Raises:
        UnknownNameError: (from lookups) for a name that is not there, with the nearest ones.

    Example:
        >>> shapes = Registry[object]("shapes", package="latentia.registry")
        >>> @shapes.register("square", aliases=("quad",))
        ... def square():
        ...     "Four equal sides."
        >>> shapes["square"] is shapes["SQUARE"] is shapes["quad"] is square, shapes.summaries()
        (True, {'square': 'Four equal sides.'})
    """

    def __init__(self, name: str, package: str) -> None:
        self.name = name
        self.package = package
        self._members: dict[str, T] = {}
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._written: dict[str, str] = {}

    def register(self, name: str, *, aliases: tuple[str, ...] = (), **facts: Any) -> Callable[[T], T]:
        """Return a decorator that adds a definition under ``name``, with facts that ``facts(name)`` returns."""

        def add(member: T) -> T:
            self._members[name] = member
            self._facts[name] = facts
            self._written |= {_plain(each): name for each in (name, *aliases)}
            return member

        return add

    def name_of(self, name: str) -> str:
        """Return the name of the member that is meant; names that mean none are returned as they are.

        Example:
            >>> recipes.name_of("WGAN-GP"), recipes.name_of("dcgan"), recipes.name_of("cgan")
            ('wgan-gp', 'dc-gan', 'conditional-gan')
        """
        if name in self._members or name in self._listings:
            return name
        return (self._listed_as | self._written).get(_plain(name), name)

    def facts(self, name: str) -> Mapping[str, Any]:
        """Return the keyword arguments that the member's decorator was given."""
        _ = self[name]
        return self._facts[self.name_of(name)]

    def summaries(self) -> dict[str, str]:
        """Return the first line of each member's docstring, by name in alphabetical order."""
        return {name: self._summary(name) for name in self}

    def __getitem__(self, name: str) -> T:
        name = self.name_of(name)
        if name not in self._members:
            self._import(name)
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._listings, *self._members}))

    def __len__(self) -> int:
        return len({*self._listings, *self._members})

    def __contains__(self, name: object) -> bool:
        return name in self._members or name in self._listings

    def __getattr__(self, name: str) -> ModuleType:
        """Return a module of the package: `latentia.metrics` names both a registry and the package that fills it."""
        if not name.startswith("_"):  # copy, pickle and inspect look for names of their own
            module = f"{self.package}.{name}"
            try:
                return importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name != module:  # the module is there and imports one that is not
                    raise
        raise AttributeError(f"a registry has no attribute or module {name!r}")

    def __repr__(self) -> str:
        return f"<{self.name}: {', '.join(self)}>"

    def _import(self, name: str) -> None:
        if name not in self._listings:
            raise UnknownNameError(unknown(f"{self.name[:-1]} name", name, self))
        importlib.import_module(self._listings[name].module)

    def _summary(self, name: str) -> str:
        if name in self._listings:
            return self._listings[name].summary
        return _first_line(self._members[name].__doc__)

    @cached_property
    def _listings(self) -> dict[str, _Listing]:
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.submodule_search_locations is None:
            return {}
        return dict(
            listing
            for folder in spec.submodule_search_locations
            for path in sorted(Path(folder).rglob("*.py"))
            for listing in self._definitions(path, Path(folder))
        )

    @cached_property
    def _listed_as(self) -> dict[str, str]:
        return {
            _plain(each): name
            for name, listing in self._listings.items()
            for each in (name, *listing.aliases)
        }

    def _definitions(self, path: Path, folder: Path) -> Iterator[tuple[str, _Listing]]:
        text = path.read_text(encoding="utf-8")
        if f"@{self.name}.register(" not in text:  # parsing is the slow part
            return
        parts = path.relative_to(folder).with_suffix("").parts
        module = ".".join([self.package, *(part for part in parts if part != "__init__")])
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for name, aliases in self._registered_names(node):
                    yield name, _Listing(module, _first_line(ast.get_docstring(node)), aliases)

    def _registered_names(
        self, node: ast.FunctionDef | ast.ClassDef
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        for decorator in node.decorator_list:
            match decorator:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=self.name), attr="register"),
                    args=[ast.Constant(value=str(name))],
                    keywords=keywords,
                ):
                    given = (each.value for each in keywords if each.arg == "aliases")
                    yield name, next((ast.literal_eval(value) for value in given), ())
                case _:
                    pass


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """Return the line that says a name is unknown and lists near matches, or everything there is.

    Example:
        >>> unknown("recipe name", "vea", ["gan", "vae"])
        "unknown recipe name 'vea'; did you mean 'vae'?"
    """
    known = sorted(known)
    near = difflib.get_close_matches(given, known, n=3, cutoff=0.6)
    if near:
        return f"unknown {what} {given!r}; did you mean {' or '.join(map(repr, near))}?"
    return f"unknown {what} {given!r}; there are: {', '.join(known) or 'none'}"


def check_name(what: str, given: str, known: Collection[str]) -> None:
    """Raise `UnknownNameError` with the nearest names, unless a name is known.

    Example:
        >>> check_name("norm", "bach", ["batch", "none"])
        Traceback (most recent call last):
        latentia.errors.UnknownNameError: unknown norm 'bach'; did you mean 'batch'?
    """
    if given not in known:
        raise UnknownNameError(unknown(what, given, known))


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0].strip()


# The registries. Their types are narrowed where they are used, so that naming them imports nothing.
recipes: Registry[Any] = Registry("recipes", package="latentia.recipes")
datasets: Registry[Any] = Registry("datasets", package="latentia.data")
metrics: Registry[Any] = Registry("metrics", package="latentia.metrics")
likelihoods: Registry[Any] = Registry("likelihoods", package="latentia.distributions")
priors: Registry[Any] = Registry("priors", package="latentia.distributions")
posteriors: Registry[Any] = Registry("posteriors", package="latentia.distributions")
divergences: Registry[Any] = Registry("divergences", package="latentia.functional")
