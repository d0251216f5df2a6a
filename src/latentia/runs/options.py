"""Options: which belong to the training and which to the recipe, with their one-line explanations."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from latentia.errors import UsageError
from latentia.registry import recipes, unknown

PATIENCE = 10  # epochs; an adversary's samples may be worse for some, and recover


@dataclass(frozen=True)
class Training:
    """How long and how a recipe is trained; no recipe has an option of one of these names.

    Attributes:
        epochs: passes over the rows; the recipe's own number without, or what a resumed run was begun with
        steps: steps to do, instead of epochs
        batch_size: rows in a step; the recipe's own number without
        seed: of the weights, the order of rows and the noise
        device: where to compute: cpu, cuda, cuda:1, ...
        precision: float32, or bf16 for mixed precision
        compile: compile the functions that compute the losses (pays off in runs over a minute)
        accumulate: parts into which each batch is split, to save memory
        schedule: of the learning rate: constant or cosine
        warmup: steps over which the learning rate first rises from 0
        clip: largest norm of each player's gradient
        ema: decay of an exponential moving average of the weights (0.999, say), which then samples and scores
        monitor: metric of the validation rows to record each epoch; without, likelihood or bound, or energy-distance
        patience: epochs without a better monitor after which to stop and restore the best weights
        stop_on: the monitor to stop by, with a patience of 10 epochs unless another is given
        validation: share of the rows to hold out, for data that comes without a validation part
        split_seed: of the split into training, validation and test rows, for data that comes without one
        checkpoint_every: steps between checkpoints; without, one after three seconds and then every half minute
    """

    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"
    compile: bool = False
    accumulate: int = 1
    schedule: str = "constant"
    warmup: int = 0
    clip: float | None = None
    ema: float | None = None
    monitor: str | None = None
    patience: int | None = None
    stop_on: str | None = None
    validation: float | None = None
    split_seed: int = 0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise UsageError("give epochs or steps, not both")
        for name in ("epochs", "steps", "batch_size", "accumulate", "patience", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1; got {value}")
        if self.stop_on is not None and self.monitor not in (None, self.stop_on):
            raise UsageError(
                f"stop_on={self.stop_on!r} is a monitor with patience, and monitor={self.monitor!r} is another: "
                "give one of them"
            )
        for name in ("seed", "split_seed"):
            checked_seed(name, getattr(self, name))
        if self.ema is not None and not 0 < self.ema < 1:
            raise UsageError(f"ema must be between 0 and 1, as 0.999; got {self.ema}")
        if self.validation is not None and not 0 < self.validation < 1:
            raise UsageError(f"validation must be a share between 0 and 1; got {self.validation}")

    @property
    def watched(self) -> str | None:
        """The metric that was asked for, by either name."""
        return self.stop_on or self.monitor

    @property
    def waits(self) -> int | None:
        """Epochs without a better value after which the training stops; None never stops it."""
        return PATIENCE if self.patience is None and self.stop_on is not None else self.patience


_OWNERS = 3  # recipes that are named as having an option
TRAINING = tuple(field.name for field in dataclasses.fields(Training))


def split_options(
    recipe: Callable[..., Any] | None, options: Mapping[str, Any]
) -> tuple[Training, dict[str, Any]]:
    """Split options into those of the training and, with their defaults, those of the recipe.

    Raises:
        UsageError: for a name that is neither, with the nearest ones, and for a value that is not of its type.
    """
    own = {} if recipe is None else recipe_options(recipe)
    hints = get_type_hints(Training) | ({} if recipe is None else get_type_hints(recipe))
    for name in options:
        if name not in own and name not in TRAINING:
            other = "" if recipe is None else owned_elsewhere(name, recipe)
            raise UsageError(other or unknown("option", name, [*own, *TRAINING]))
    given = {name: checked(name, value, hints.get(name, Any)) for name, value in options.items()}
    training = Training(**{name: value for name, value in given.items() if name in TRAINING})
    return training, own | {name: value for name, value in given.items() if name in own}


def owned_elsewhere(option: str, recipe: Callable[..., Any]) -> str:
    """Return the line that says which other recipes have an option, or an empty one where none has.

    Example:
        >>> owned_elsewhere("bandwidth", recipes["vae"])
        "'bandwidth' is an option of kernel-density, not of vae"
    """
    owners = [name for name in recipes if option in recipe_options(recipes[name])]
    if not owners:
        return ""
    this = next((name for name in recipes if recipes[name] is recipe), "this recipe")
    more = f" and {len(owners) - _OWNERS} others" if len(owners) > _OWNERS else ""
    return f"{option!r} is an option of {', '.join(owners[:_OWNERS])}{more}, not of {this}"


def recipe_options(recipe: Callable[..., Any]) -> dict[str, Any]:
    """Return a recipe's keyword options with their defaults, in its order."""
    parameters = inspect.signature(recipe).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


def explanations(documented: object) -> dict[str, str]:
    """Return the one-line explanation of each argument in a docstring's ``Args:`` or ``Attributes:``.

    Example:
        >>> explanations(Training)["steps"]
        'steps to do, instead of epochs'
    """
    doc = inspect.getdoc(documented) or ""
    section = re.search(r"^(?:Args|Attributes):\n((?:[ ]+.*\n?|\n)*)", doc, re.MULTILINE)
    if section is None:
        return {}
    entries = re.findall(r"^    (\w+): ((?:.*\n?)(?:^ {8,}.*\n?)*)", section[1], re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


_CALLED = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    type(None): "None",
}
_LARGEST_SEED = 2**63 - 1


def checked(name: str, value: Any, hint: Any) -> Any:
    """Return an option's value if it is of its type; NumPy's scalars become those of Python.

    Args:
        name: the option's, for messages.
        value: what was given.
        hint: the type of the signature. Numbers, text, truth values, None, and a ``Literal``'s choices are told
            apart; of other types, any value is taken that JSON can hold.

    Raises:
        UsageError: for a value of another type, that is not finite, or that config.json cannot hold.

    Example:
        >>> checked("epochs", 2, int | None)
        2
        >>> checked("epochs", 1.5, int | None)
        Traceback (most recent call last):
        latentia.errors.UsageError: epochs must be a whole number or None; got 1.5
    """
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if not any(_fits(value, kind) for kind in kinds):
        raise UsageError(_complaint(name, value, kinds))
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} must be a finite number; got {value}")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        given = type(value).__name__
        raise UsageError(f"{name} must be a value that JSON can hold; got {given}") from None
    return value


def checked_seed(name: str, value: Any) -> int:
    """Return a seed: a whole number from 0 to 2⁶³ - 1."""
    seed: int = checked(name, value, int)
    if not 0 <= seed <= _LARGEST_SEED:
        raise UsageError(f"{name} must be from 0 to {_LARGEST_SEED}; got {seed}")
    return seed


def at_least(name: str, value: Any, least: int) -> int:
    """Return a whole number that is large enough."""
    number: int = checked(name, value, int)
    if number < least:
        raise UsageError(f"{name} must be at least {least}; got {number}")
    return number


def _fits(value: object, kind: Any) -> bool:
    """Whether a value is of one kind; True is no number, and a whole number is a number."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind not in _CALLED:
        return True
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _complaint(name: str, value: object, kinds: tuple[Any, ...]) -> str:
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices and isinstance(value, str):
        return unknown(name, value, choices)
    expected = [*map(repr, choices), *(_CALLED[kind] for kind in kinds if kind in _CALLED)]
    given = " ".join(repr(value).split())
    return f"{name} must be {' or '.join(expected)}; got {given if len(given) < 60 else given[:60] + '…'}"
