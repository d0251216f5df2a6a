"""Options that know themselves: an option's annotation says which values it may have, and when it has an effect.

An annotation stands in the signature of a recipe or a verb, or on a field of a dataclass of settings::

    prior: Annotated[str, OneOf(priors)] = "standard-normal"
    draws: Annotated[int, AtLeast(1)] = 1
    dropout: Annotated[float, Between(0, 1, "[)")] = 0.0
    penalty_weight: Annotated[float | None, AtLeast(0), Needs("penalty")] = None

Checks, help, contract tests, widgets and tuning read it from there. This module imports nothing heavy: help is shown
without torch, from syntax trees (`latentia.signatures`).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

LARGEST_SEED = 2**63 - 1


class Values(ABC):
    """The values that an option may have, besides its type; ``str`` of it is how help and errors say them."""

    @abstractmethod
    def resolved(self, value: Any) -> Any:
        """Return a value of the option's type as recipes see it.

        Raises:
            ValueError: for one that is not allowed; the message goes on after the option's name.
        """


@dataclass(frozen=True)
class Range(Values):
    """Numbers from one to another; write it as `AtLeast`, `Above`, `AtMost`, `Below` or `Between`.

    Attributes:
        least: the lower end.
        most: the upper end.
        ends: which of the ends belong to it, in interval notation: ``[)`` is the lower one alone.
    """

    least: float
    most: float
    ends: str = "[]"

    def __contains__(self, value: float) -> bool:
        above = value >= self.least if self.ends[0] == "[" else value > self.least
        return above and (value <= self.most if self.ends[1] == "]" else value < self.most)

    def resolved(self, value: Any) -> Any:
        """Return the number, or each number of several."""
        for each in value if isinstance(value, tuple | list) else (value,):
            if each not in self:
                raise ValueError(f"must be {self}; got {each}")
        return value

    def __str__(self) -> str:
        least, most = _number(self.least), _number(self.most)
        low = f"{'at least' if self.ends[0] == '[' else 'above'} {least}"
        high = f"{'at most' if self.ends[1] == ']' else 'below'} {most}"
        if math.isinf(self.most):
            return low
        if math.isinf(self.least):
            return high
        if self.ends == "()":
            return f"between {least} and {most}, both excluded"
        return f"from {least} to {most}" if self.ends == "[]" else f"{low} and {high}"


def _number(value: float) -> str:
    return "2^63 - 1" if value == LARGEST_SEED else str(value)


def AtLeast(least: float) -> Range:  # noqa: N802
    """Return the numbers from one on."""
    return Range(least, math.inf)


def Above(least: float) -> Range:  # noqa: N802
    """Return the numbers above one."""
    return Range(least, math.inf, "(]")


def AtMost(most: float) -> Range:  # noqa: N802
    """Return the numbers up to one."""
    return Range(-math.inf, most)


def Below(most: float) -> Range:  # noqa: N802
    """Return the numbers below one."""
    return Range(-math.inf, most, "[)")


def Between(least: float, most: float, ends: str = "[]") -> Range:  # noqa: N802
    """Return the numbers from one to another; ``ends`` says in interval notation which ends belong to them.

    Example:
        >>> print(AtLeast(1)), print(Between(0, 1)), print(Between(0, 1, "[)")), print(Between(0, 1, "()"))
        at least 1
        from 0 to 1
        at least 0 and below 1
        between 0 and 1, both excluded
        (None, None, None, None)
    """
    return Range(least, most, ends)


class OneOf(Values):
    """One of several names: words, and the names of registries and tables as they are when they are looked at.

    Args:
        choices: a name each, or a collection of names, such as a registry.
        prefix: what may stand before a name, as ``non-saturating-``.
        numbered: whether a name may carry a number, as ``alpha(0.5)``.
        part: the class of the objects that Python may give in the place of their name, as "LossPair".

    Example:
        >>> OneOf("auto", {"mlp": 1, "conv": 2}).names
        ('auto', 'mlp', 'conv')
    """

    def __init__(
        self, *choices: str | Collection[str], prefix: str = "", numbered: bool = False, part: str = ""
    ) -> None:
        self.choices, self.prefix, self.numbered, self.part = choices, prefix, numbered, part

    @property
    def names(self) -> tuple[str, ...]:
        """The names that there are now."""
        several = ((each,) if isinstance(each, str) else each for each in self.choices)
        return tuple(dict.fromkeys(name for names in several for name in names))

    def resolved(self, value: Any) -> Any:
        """Return the name as its registry writes it."""
        if not isinstance(value, str):  # an object in the place of its name, where the type allows it
            return value
        stem = self._stem(value)
        for name in (stem, *(each.name_of(stem) for each in self.choices if hasattr(each, "name_of"))):  # pyright: ignore
            if name in self.names:
                return value.replace(stem, name)
        raise LookupError(value)

    def __str__(self) -> str:
        return ", ".join(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OneOf) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((self.prefix, self.numbered))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._facts()[1:]}"

    def _facts(self) -> tuple[Any, ...]:
        return type(self), self.names, self.prefix, self.numbered, self.part

    def _stem(self, value: str) -> str:
        if value in self.names:
            return value
        stem = value.removeprefix(self.prefix)
        return stem.partition("(")[0] if self.numbered else stem


class SomeOf(OneOf):
    """Some of several names joined by ``+``, each once, or the word ``none``.

    Example:
        >>> SomeOf("colour", "shift", "cutout").resolved("shift+cutout")
        'shift+cutout'
    """

    def resolved(self, value: Any) -> Any:
        """Return the joined names."""
        if value == "none":
            return value
        parts = [super(SomeOf, self).resolved(part) for part in value.split("+")]
        if len({*parts}) < len(parts):
            raise ValueError(f"names each at most once; got {value!r}")
        return "+".join(parts)

    def __str__(self) -> str:
        return f"none, or some of {super().__str__()} joined by +"


class Label(Values):
    """A name among the labels of the data, which only the data knows."""

    def resolved(self, value: Any) -> Any:
        """Return the name."""
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Label)

    def __hash__(self) -> int:
        return hash(Label)

    def __str__(self) -> str:
        return "a label of the data"

    __repr__ = __str__


class Having(Collection[str]):
    """The names of a table whose entries have some words, such as the networks with a size of that name.

    Args:
        table: a registry whose decorators state ``sizes``, or a mapping to entries with ``sizes`` or ``slots``.
        words: what an entry has; all of them.

    Example:
        >>> list(Having({"mlp": {"sizes": ("hidden", "layers")}, "conv": {"sizes": ("width",)}}, "width"))
        ['conv']
    """

    def __init__(self, table: Mapping[str, Any], *words: str) -> None:
        self.table, self.words = table, words

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.table if {*self.words} <= {*self._words(name)})

    def __len__(self) -> int:
        return sum(1 for _ in self)  # a list of itself would ask for its length

    def __contains__(self, name: object) -> bool:
        return any(name == each for each in self)

    def _words(self, name: str) -> Iterator[str]:
        """Iterate over what an entry has; one that is read from a syntax tree has the keywords that it is made of."""
        table: Any = self.table
        facts = table.known_facts(name) if hasattr(table, "known_facts") else {}
        # A member that another module has added has no facts to read: it is there itself.
        entry = facts or (table[name] if isinstance(table, dict) or table.has(name) else {})
        if isinstance(entry, Mapping):
            return iter([*entry, *(entry.get("sizes") or ())])
        return iter([*getattr(entry, "slots", ()), *getattr(entry, "sizes", ())])


class Needs:
    """An option that has an effect only where another one has some values.

    Args:
        option: the other one.
        values: names, collections of names, or a `Range`; none stands for all but None, False, 0 and "none".

    ``auto`` meets every need: what it stands for is known with the data.

    Example:
        >>> Needs("penalty").met({"penalty": "r1"}), Needs("critics", AtLeast(2)).met({"critics": 1})
        (True, False)
    """

    def __init__(self, option: str, *values: str | Collection[str] | Range) -> None:
        self.option, self.values = option, values

    def met(self, options: Mapping[str, Any]) -> bool:
        """Whether the option has an effect with these values of the others."""
        value = options.get(
            self.option, "auto"
        )  # a recipe may have no such option, and always what it stands for
        if not self.values:
            return value not in (None, False, 0, "none")
        return value == "auto" or any(_among(value, each) for each in self.values)

    @property
    def names(self) -> tuple[str, ...]:
        """The values by name."""
        words = (each for each in self.values if not isinstance(each, Range))
        return tuple(name for each in words for name in ([each] if isinstance(each, str) else each))

    def __str__(self) -> str:
        *more, last = [*self.names, *(str(each) for each in self.values if isinstance(each, Range))] or [""]
        return f"{', '.join(more)} or {last}" if more else last

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Needs) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(self.option)

    def __repr__(self) -> str:
        return f"Needs({self.option}, {self})"


def _among(value: Any, values: str | Collection[str] | Range) -> bool:
    if isinstance(values, Range):
        return isinstance(value, int | float) and value in values
    return value == values if isinstance(values, str) else value in values


# --- annotations that many options share ------------------------------------------------------------------------

Count = Annotated[int, AtLeast(1)]
Whole = Annotated[int, AtLeast(0)]
Positive = Annotated[float, Above(0)]
NonNegative = Annotated[float, AtLeast(0)]
Fraction = Annotated[float, Between(0, 1)]
Seed = Annotated[int, Between(0, LARGEST_SEED)]
