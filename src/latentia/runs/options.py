"""Options: which belong to the training and which to the recipe, with their one-line explanations."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from latentia.checks import checked, dead_options, hints_of, keyword_options, refuse_dead
from latentia.errors import UsageError
from latentia.options import AtLeast, Between, Count, OneOf, Positive, Seed, Whole
from latentia.registry import metrics, recipes, schedules, unknown
from latentia.signatures import explanations as explanations
from latentia.syntax import UnreadableError, signature_in

NUMBER_ENCODINGS = ("standardised", "quantile-normal")
PATIENCE = 10  # epochs; an adversary's samples may be worse for some, and recover


@dataclass(frozen=True)
class Training:
    """How long and how a recipe is trained; no recipe has an option of one of these names.

    Attributes:
        epochs: passes over the rows; default: the recipe's, or that of the run that is resumed
        steps: steps to do, instead of epochs
        batch_size: rows in a step; default: the recipe's
        seed: of the weights, the order of rows and the noise
        device: where to compute: cpu, cuda, cuda:1, ...
        precision: of the computations; bf16 is mixed precision
        compile: compile the functions that compute the losses (pays off in runs over a minute)
        accumulate: parts into which each batch is split, to save memory
        schedule: of the learning rate
        warmup: steps over which the learning rate first rises from 0
        clip: largest norm of each player's gradient
        ema: decay rate of an exponential moving average of the weights, such as 0.999, which is then sampled and
            scored
        monitor: metric of the validation rows to record, within 5 % of the time; default: the likelihood, its bound, or
            energy-distance
        patience: epochs without a better monitor after which to stop and restore the best weights
        stop_on: the monitor to stop by; patience is then 10 epochs by default
        validation: fraction of the rows to hold out, for data that comes without a validation part; default: 0.1 of
            files and frames with 200 rows or more, to score the run on; 0 holds out none
        split_seed: of the split into training, validation and test rows, for data that comes without one
        copies: of rows, in such a split: keep them where the seed puts them, group those of one row in one part, drop
            all but the first; default: group them where chance does not explain them
        number_encoding: of numbers, for recipes of real vectors; quantile-normal gives each column a standard normal
            margin, which helps with skewed ones
        checkpoint_every: steps between checkpoints; default: the first after three seconds, then one every half minute
    """

    epochs: Count | None = None
    steps: Count | None = None
    batch_size: Count | None = None
    seed: Seed = 0
    device: str = "cpu"
    precision: Annotated[str, OneOf("float32", "bf16")] = "float32"
    compile: bool = False
    accumulate: Count = 1
    schedule: Annotated[str, OneOf(schedules)] = "constant"
    warmup: Whole = 0
    clip: Positive | None = None
    ema: Annotated[float | None, Between(0, 1, "()")] = None
    monitor: Annotated[str | None, OneOf("none", metrics)] = None
    patience: Count | None = None
    stop_on: Annotated[str | None, OneOf(metrics)] = None
    validation: Annotated[float | None, Between(0, 1, "[)")] = None
    split_seed: Seed = 0
    copies: Annotated[str | None, OneOf("keep", "group", "drop")] = None
    number_encoding: Annotated[str, OneOf(NUMBER_ENCODINGS)] = "standardised"
    checkpoint_every: Count | None = None

    def __post_init__(self) -> None:
        for name, hint in hints_of(Training).items():
            object.__setattr__(self, name, checked(name, getattr(self, name), hint))
        if self.epochs is not None and self.steps is not None:
            raise UsageError("give epochs or steps, not both", options=["epochs", "steps"])
        if self.stop_on is not None and self.monitor not in (None, self.stop_on):
            raise UsageError(
                f"stop_on={self.stop_on!r} is a monitor with patience, and monitor={self.monitor!r} is another: "
                "give one of them",
                options=["stop_on", "monitor"],
            )

    @property
    def watched(self) -> str | None:
        """The metric that was requested, by either name."""
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
        UsageError: for a name that is neither, with the nearest ones; for a value that is not allowed; and for an
            option of the recipe that has no effect with the other values.
    """
    own = {} if recipe is None else keyword_options(recipe)
    hints = hints_of(Training) | ({} if recipe is None else hints_of(recipe))
    for name in options:
        if name not in own and name not in TRAINING:
            other = "" if recipe is None else owned_elsewhere(name, recipe)
            raise UsageError(other or unknown("option", name, [*own, *TRAINING]), options=[name])
    given = {name: checked(name, value, hints.get(name, Any)) for name, value in options.items()}
    training = Training(**{name: value for name, value in given.items() if name in TRAINING})
    asked = own | {name: value for name, value in given.items() if name in own}
    refuse_dead(asked, own, hints)
    return training, asked


def living(recipe: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in which those without effect have their default: earlier versions took any value of them."""
    defaults = keyword_options(recipe)
    dead = dead_options(options, defaults, hints_of(recipe))
    return {name: defaults[name] if name in dead else value for name, value in options.items()}


def owned_elsewhere(option: str, recipe: Callable[..., Any]) -> str:
    """Return the line that says which other recipes have an option, or an empty one where none has.

    Example:
        >>> owned_elsewhere("bandwidth", recipes["vae"])
        "'bandwidth' is an option of kernel-density, not of vae"
    """
    this = next((name for name in recipes if recipes.has(name) and recipes[name] is recipe), "this recipe")
    return owned_by_others(option, this)


def owned_by_others(option: str, this: str) -> str:
    """Return the line that says which recipes have an option that the one of a name has not, or an empty one."""
    owners = [name for name in recipes if name != this and option in option_names(name)]
    if not owners:
        return ""
    more = f" and {len(owners) - _OWNERS} others" if len(owners) > _OWNERS else ""
    return f"{option!r} is an option of {', '.join(owners[:_OWNERS])}{more}, not of {this}"


def option_names(recipe: str) -> list[str]:
    """Return the names of a recipe's options; the module that defines it is not imported for that."""
    listed = recipes.listed(recipe)
    try:
        return (
            [option.name for option in signature_in(*listed).keywords]
            if listed
            else [*recipe_options(recipes[recipe])]
        )
    except UnreadableError:
        return [*recipe_options(recipes[recipe])]


recipe_options = keyword_options


def checked_seed(name: str, value: Any) -> int:
    """Return a seed: a whole number from 0 to 2⁶³ - 1."""
    return checked(name, value, Seed)


def at_least(name: str, value: Any, least: int) -> int:
    """Return a whole number that is large enough."""
    return checked(name, value, Annotated[int, AtLeast(least)])
