"""Terms that are added to the critics' or the generator's loss.

A term is a callable: it takes a `Turn` and returns one number. One that is an ``nn.Module`` learns with the generator,
or with the player that its attribute ``player`` names; one with an attribute ``label`` is logged under it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Protocol, TypeAlias, cast, runtime_checkable

import torch
from torch import Tensor, nn

from latentia.errors import UsageError
from latentia.functional.gan.diversity import DIVERSITY, Made, fewest_rows
from latentia.objectives.gan.views import Turn
from latentia.registry import unknown

Term: TypeAlias = Callable[[Turn], Tensor]

PLAYERS = ("generator", "critic")


@runtime_checkable
class JoinsPlayer(Protocol):
    """A module that says with which player its parameters move: "generator" or "critic"."""

    player: str


@runtime_checkable
class Labelled(Protocol):
    """A term that says under which name it is logged."""

    label: str


@dataclass(frozen=True)
class Diversity:
    """A term of `DIVERSITY` in the generator's loss, and its weight.

    Raises:
        UsageError: for a name that is none, and a negative weight.
    """

    name: str
    weight: float
    label = "diversity"

    def __post_init__(self) -> None:
        if self.name not in DIVERSITY:
            raise UsageError(unknown("diversity", self.name, ["none", *DIVERSITY]))
        if not self.weight >= 0:
            raise UsageError(f"diversity_weight must be at least 0; got {self.weight}")

    def __call__(self, turn: Turn) -> Tensor:
        """Return the weighted term; 0 for the last batch of an epoch where that has too few rows to compare."""
        codes, rows = turn.drawn
        if len(rows) < fewest_rows(self.name) and turn.step:  # in the first step the term itself refuses them
            return rows.new_zeros(())
        return self.weight * DIVERSITY[self.name](Made(codes, rows, turn.features, turn.context))


def label_of(term: Term) -> str:
    """Return the name under which a term is logged: its label, or the name of its function or class.

    Example:
        >>> label_of(Diversity("gdpp", 1.0)), label_of(nn.Linear(1, 1))
        ('diversity', 'linear')
    """
    if isinstance(term, Labelled):
        return term.label
    name = term.__name__ if isinstance(term, FunctionType) else type(term).__name__
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("_<>")).lower()


def logged(player: str, terms: Sequence[Term], values: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the values of a player's terms by their labels; those of one label are summed."""
    named: dict[str, Tensor] = {}
    for term, value in zip(terms, values, strict=True):
        name = f"{player}_{label_of(term)}"
        named[name] = named[name] + value if name in named else value
    return named


def modules_among(terms: Sequence[object]) -> list[nn.Module]:
    """Return the terms that are modules, each once."""
    return list({id(term): term for term in terms if isinstance(term, nn.Module)}.values())


def player_of(term: nn.Module) -> str:
    """Return the player with which a term's parameters move: the generator by default.

    Raises:
        UsageError: for a term that names another.
    """
    if not isinstance(term, JoinsPlayer):
        return "generator"
    named = str(cast("JoinsPlayer", term).player)
    if named not in PLAYERS:
        raise UsageError(f"{type(term).__name__}.player must be {' or '.join(PLAYERS)}; got {named!r}")
    return named


def total(values: Sequence[Tensor], zero: Tensor) -> Tensor:
    """Return the sum of terms, or a number 0 on the device of another tensor."""
    return torch.stack(list(values)).sum() if values else zero.new_zeros(())
