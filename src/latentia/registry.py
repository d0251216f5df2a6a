"""Registries: mappings from a name to a member, filled by decorated definitions found in a package's files.

To add a member, write one decorated function or class in one file of the registry's package::

    @recipes.register("vae")
    def vae(data: DataSpec, *, latent_dim: int = 16) -> Recipe:
        \"\"\"One line that `latentia recipes` shows.\"\"\"

Members that are values, such as records, are added as a table: ``loss_pairs.add({"hinge": LossPair(…)})``. Names and
one-line descriptions are read from the files' syntax trees, so listing a registry imports nothing. A file outside of
the package registers in the same way, once it is imported: see `latentia.plugins`.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from latentia.errors import UnknownNameError, UsageError
from latentia.listings import Listing, first_line, listings
from latentia.plugins import load_plugins

T = TypeVar("T")
_NONE: Mapping[str, Any] = MappingProxyType({})


class Registry(Mapping[str, T]):
    """Map names to members that decorated definitions in a package's files provide.

    Args:
        name: the registry's own name, as its decorators are written: ``recipes`` for ``@recipes.register``.
        package: the package whose files hold the definitions, sub-packages included; or a single module.
        what: what a name of the registry is called in error messages; by default "recipe name" for ``recipes``.
        through: module and name of a decorator that every member passes through, such as the one that checks options.

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

    def __init__(
        self, name: str, package: str, what: str = "", *, through: tuple[str, str] | None = None
    ) -> None:
        self.name = name
        self.package = package
        self.what = what or f"{name[:-1]} name"
        self.through = through
        self._members: dict[str, T] = {}
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._written: dict[str, str] = {}
        self._outside: dict[str, str] = {}

    def register(self, name: str, *, aliases: tuple[str, ...] = (), **facts: Any) -> Callable[[T], T]:
        """Return a decorator that adds a definition under ``name``, with facts that ``facts(name)`` returns.

        Raises:
            UsageError: for a name that another module's member has.
        """
        module = _caller()

        def add(member: T) -> T:
            member = self._passed(member)
            self._put(name, member, module, aliases, facts)
            return member

        return add

    def add(self, members: Mapping[str, T], /) -> None:
        """Add members that are values, such as records, under their names.

        Raises:
            UsageError: for a name that another module's member has.
        """
        module = _caller()
        for name, member in members.items():
            self._put(name, member, module)

    def name_of(self, name: str) -> str:
        """Return the name of the member that is meant; names that mean none are returned as they are.

        Example:
            >>> recipes.name_of("WGAN-GP"), recipes.name_of("dcgan"), recipes.name_of("cgan")
            ('wgan-gp', 'dc-gan', 'conditional-gan')
        """
        if name in self:
            return name
        return (self._listed_as | self._written).get(_plain(name), name)

    def name_of_member(self, member: object) -> str | None:
        """Return the name under which an object is registered, among members that are imported; None without one."""
        return next((name for name, each in self._members.items() if each is member), None)

    def module_outside(self, name: str) -> str | None:
        """Return the module that a member comes from where it is not the registry's own package; None where it is."""
        return self._outside.get(self.name_of(name))

    def facts(self, name: str) -> Mapping[str, Any]:
        """Return the keyword arguments that the member's decorator was given."""
        _ = self[name]
        return self._facts[self.name_of(name)]

    def known_facts(self, name: str) -> Mapping[str, Any]:
        """Return the constants among the keyword arguments of a member's decorator, without importing the member.

        A member that is added as a call, such as `Network(encoder=…)`, has the keywords of this call; None stands for
        values that are not constants.
        """
        name = self.name_of(name)
        listing = self._listings.get(name)
        return self._facts.get(name) or ({} if listing is None else listing.facts)

    def known_names(self, name: str) -> Mapping[str, str]:
        """Return the keyword arguments of a member's decorator that are plain names, as the package's file has them."""
        listing = self._listings.get(self.name_of(name))
        return {} if listing is None else listing.named

    def has(self, name: str) -> bool:
        """Whether a member is there without importing anything more."""
        return name in self._members

    def listed(self, name: str) -> tuple[str, str] | None:
        """Return the module and the name there of a member that the package defines; None of any other."""
        listing = self._listings.get(self.name_of(name))
        return None if listing is None else (listing.module, listing.definition)

    def summaries(self) -> dict[str, str]:
        """Return the first line of each member's docstring, by name in alphabetical order."""
        return {name: self._summary(name) for name in self}

    def __getitem__(self, name: str) -> T:
        name = self.name_of(name)
        if name not in self._members:
            self._import(name)
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        load_plugins()
        return iter(sorted({*self._listings, *self._members}))

    def __len__(self) -> int:
        load_plugins()
        return len({*self._listings, *self._members})

    def __contains__(self, name: object) -> bool:
        if name in self._members or name in self._listings:
            return True
        return bool(load_plugins()) and name in self._members

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

    def _put(
        self,
        name: str,
        member: T,
        module: str,
        aliases: tuple[str, ...] = (),
        facts: Mapping[str, Any] = _NONE,
    ) -> None:
        own = _top(module) == _top(self.package)
        if not own:
            self._refuse_taken(name, module)
            self._outside[name] = module
        self._members[name] = member
        self._facts[name] = facts
        self._written |= {_plain(each): name for each in (name, *aliases)}

    def _refuse_taken(self, name: str, module: str) -> None:
        """Raise `UsageError` where a name means another module's member; a module may be run again."""
        taken = self.name_of(name)
        if taken in self and self._outside.get(taken) != module:
            raise UsageError(
                f"the {self.what} {name!r} is taken, by {self._outside.get(taken, 'latentia')}: choose another name"
            )

    def _passed(self, member: T) -> T:
        if self.through is None:
            return member
        module, decorator = self.through
        return getattr(importlib.import_module(module), decorator)(member)

    def _import(self, name: str) -> None:
        if name not in self._listings:
            raise UnknownNameError(unknown(self.what, name, self))
        importlib.import_module(self._listings[name].module)

    def _summary(self, name: str) -> str:
        if name in self._listings:
            return self._listings[name].summary
        return first_line(self._members[name].__doc__)

    @cached_property
    def _listings(self) -> Mapping[str, Listing]:
        return listings(self.name, self.package)

    @cached_property
    def _listed_as(self) -> dict[str, str]:
        return {
            _plain(each): name
            for name, listing in self._listings.items()
            for each in (name, *listing.aliases)
        }


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


def _top(module: str) -> str:
    return module.partition(".")[0]


def _caller() -> str:
    """Return the name of the module that registers."""
    here = inspect.currentframe()
    caller = here and here.f_back and here.f_back.f_back
    return str(caller.f_globals.get("__name__", "")) if caller else ""


def _registry(name: str, package: str, what: str = "") -> Registry[Any]:
    return Registry(name, package=f"latentia.{package}", what=what)


# The registries. Their types are narrowed where they are used, so that naming them imports nothing.
recipes: Registry[Any] = Registry(
    "recipes", package="latentia.recipes", through=("latentia.checks", "resolving")
)
datasets = _registry("datasets", "data")
column_kinds = _registry("column_kinds", "data.columns", "kind of column")
metrics = _registry("metrics", "metrics")
likelihoods = _registry("likelihoods", "distributions")
priors = _registry("priors", "distributions")
posteriors = _registry("posteriors", "distributions")
divergences = _registry("divergences", "functional")

# Parts of these: losses and penalties of adversarial games, layers, optimisers, kernels, schedules, covariances.
loss_pairs = _registry("loss_pairs", "functional.gan", "loss pair")
diversity_terms = _registry("diversity_terms", "functional.gan", "diversity")
augmentations = _registry("augmentations", "functional.gan", "augmentation")
critic_weightings = _registry("critic_weightings", "functional.gan", "way to combine critics")
penalties = _registry("penalties", "objectives.gan", "penalty")
activations = _registry("activations", "networks", "activation")
networks = _registry("networks", "networks.registry", "network")
norms = _registry("norms", "networks.norms", "norm")
minibatch_layers = _registry("minibatch_layers", "networks", "minibatch layer")
optimisers = _registry("optimisers", "core.optimisers", "optimiser")
constraints = _registry("constraints", "objectives.vae", "constraint")
kernels = _registry("kernels", "functional.kernel", "kernel")
density_kernels = _registry("density_kernels", "functional.kernel", "kernel")
schedules = _registry("schedules", "functional.schedules", "schedule")
temperature_schedules = _registry("temperature_schedules", "functional.likelihood", "schedule")
interpolations = _registry("interpolations", "functional.interpolation", "path")
rotations = _registry("rotations", "functional.rotations", "rotation")
covariances = _registry("covariances", "functional.mixtures", "covariance")
gaussian_covariances = _registry("gaussian_covariances", "models.gaussian", "covariance")
two_sample_tests = _registry("two_sample_tests", "metrics.two_sample", "method")
classifiers = _registry("classifiers", "metrics.two_sample", "classifier")
corrections = _registry("corrections", "metrics.two_sample", "correction")
