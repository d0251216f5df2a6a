"""Options: which belong to the training and which to the recipe, with their one-line explanations."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from latentia.errors import UsageError
from latentia.registry import recipes, unknown
from latentia.runs.values import checked, checked_seed

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
