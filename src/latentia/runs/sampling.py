"""How a run's model is sampled, and the options of that: those that the model declares, and rejection by a critic.

A model declares a sampling option as a keyword of its ``sample`` with an annotation, a default and a line in the
docstring's ``Args:``::

    def sample(self, n, context=None, *, generator=None, temperature: Positive = 1.0) -> Tensor:

``run.sample(8, temperature=0.7)``, ``latentia sample RUN --temperature 0.7`` and its help read it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from latentia.checks import checked
from latentia.core.model import Generative
from latentia.core.objective import Objective
from latentia.errors import UsageError
from latentia.options import Between
from latentia.runs.critic_ratio import CriticReading
from latentia.signatures import Option, signature_of

_COMMON = [option.name for option in signature_of(Generative.sample).options]  # to every model's sample


_RESERVED = ("n", "given", "seed", "run", "out")


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draw rows of a model, by options.

    Attributes:
        name: of the recipe, for messages.
        model: what is sampled.
        critic: whose density ratio may reject samples, where the training had one.
    """

    name: str
    model: Generative
    critic: CriticReading | None

    @classmethod
    def of(cls, name: str, model: Generative, objective: Objective) -> Sampler:
        """Return the sampler of what was trained."""
        return cls(name, model, _critic_of(objective))

    @property
    def options(self) -> dict[str, Option]:
        """The sampling options, by name: the model's own, and those of rejection where there is a critic."""
        own = [each for each in signature_of(type(self.model).sample).options if each.name not in _COMMON]
        for option in own:
            if option.name in _RESERVED:
                raise UsageError(
                    f"{type(self.model).__name__} declares a sampling option {option.name!r}, which is an argument of "
                    "every run's sample: give it another name"
                )
        by_critic = [] if self.critic is None else signature_of(Rejection).options
        return {option.name: option for option in [*own, *by_critic]}

    def sample(
        self, n: int, context: Tensor | None, generator: torch.Generator | None, given: Mapping[str, Any]
    ) -> Tensor:
        """Draw n rows: (n, *event).

        Args:
            n: number of rows.
            context: (n, c) what to condition on, for conditional models.
            generator: where randomness comes from; torch's global state without one.
            given: options by name; the others have their defaults.

        Raises:
            UsageError: for an option that this model does not have, and for a value that is not allowed.
        """
        options = {name: checked(name, value, self._option(name).hint) for name, value in given.items()}
        rejection = Rejection(**{name: options.pop(name) for name in _OF_REJECTION if name in options})
        if self.critic is None or not rejection.wanted:
            return self.model.sample(n, context, generator=generator, **options)
        return self.critic.sample(
            self.model, n, context, quantile=rejection.quantile, generator=generator, **options
        )

    def _option(self, name: str) -> Option:
        if name not in self.options:
            there = ", ".join(self.options) or "none"
            raise UsageError(
                f"{name!r} is no sampling option of {self.name}; it has {there}",
                options=[name, *self.options],
            )
        return self.options[name]


@dataclass(frozen=True)
class Rejection:
    """Rejection of samples by a critic's density ratio.

    Attributes:
        rejection: keep only those samples that the critic accepts, by its density ratio
        quantile: level of the ratios that rejection, then implied, accepts half the time; 0.8 keeps many, the default
            few
    """

    rejection: bool = False
    quantile: Annotated[float | None, Between(0, 1, "()")] = None

    @property
    def wanted(self) -> bool:
        """Whether any sample is to be rejected."""
        return self.rejection or self.quantile is not None


_OF_REJECTION = ("rejection", "quantile")


def _critic_of(objective: Objective) -> CriticReading | None:
    try:
        return CriticReading.of(objective)
    except UsageError:
        return None
