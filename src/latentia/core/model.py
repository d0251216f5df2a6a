"""What a learned model can do. A capability is a type: ``isinstance(model, Density)`` asks for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

if TYPE_CHECKING:
    from latentia.functional.gan.loss_pairs import LossPair
    from latentia.networks.critic import Critic


class Generative(nn.Module, ABC):
    """A model that can be sampled."""

    @abstractmethod
    def sample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n rows: (n, *event) in data space, in the support, without gradient.

        Args:
            n: number of rows.
            context: (n, *context) what to condition on, for conditional models.
            generator: where randomness comes from; torch's global state without one.
        """


class Pathwise(ABC):
    """A model whose samples are differentiable in its parameters."""

    @abstractmethod
    def rsample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n rows: (n, *event), differentiable in the parameters, not rounded to the support."""


class Density(ABC):
    """A model with an exact density."""

    @abstractmethod
    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log p(x) of each row, exactly: (B,) nats."""


class Bounded(ABC):
    """A model whose log-density has a lower bound."""

    @abstractmethod
    def log_prob_bound(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        samples: int = 1,
        repeats: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return a stochastic lower bound of log p(x) of each row: (B,) nats.

        Args:
            x: (B, *event) rows.
            context: (B, *context) what to condition on, for conditional models.
            samples: K of the importance-weighted bound; 1 is the ELBO. More make it tighter.
            repeats: independent bounds to average; more lower only the variance.
            generator: where randomness comes from; torch's global state without one.
        """


class Encodes(ABC):
    """A model with a latent code for each row."""

    @abstractmethod
    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return q(z | x), the distribution of the codes of rows: batch shape (B,); a `PointMass` if deterministic."""


class Decodes(ABC):
    """A model of p(x | z): a distribution of rows for each code."""

    @abstractmethod
    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x | z) for codes: batch shape (B,); a `PointMass` if deterministic."""


class Conditional(ABC):
    """A model of p(x | c) that encodes what is known of rows as its context c.

    Attributes:
        context_encoder: a module that is called with a batch and returns its context (B, c), or None where the model
            is not conditional after all: a `ContextEncoder`.
    """

    context_encoder: nn.Module


class SamplesContext(ABC):
    """A model conditional on factors that samples those which are not given: it knows their distribution."""

    @abstractmethod
    def sample_context(
        self, n: int, given: Mapping[str, Any], *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return n contexts, (n, *context), from what is given; draw the rest.

        Args:
            n: number of rows.
            given: attributes by name, each as `latentia.data.attributes.Attribute.given` takes it.
            generator: where randomness comes from; torch's global state without one.
        """


class HasCritic(ABC):
    """An objective whose critics score rows: they give a density ratio, and have features.

    Attributes:
        losses: what critics and generator descend, which says what a score means.
    """

    losses: LossPair

    @abstractmethod
    def row_critics(self) -> Sequence[Critic]:
        """Return the critics of rows, or of packs of rows; none where they read something else with them."""


class Translates(ABC):
    """A model that carries rows of one domain into another."""

    @abstractmethod
    def translate(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the rows (B, *event) in the domain that the context (B, c) names, without gradient."""


class Imputes(ABC):
    """A model that fills the entries of rows that are missing.

    Attributes:
        imputation: how it draws them, in words.
    """

    imputation: str = "exactly"

    @abstractmethod
    def impute(
        self, x: Tensor, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the rows with each missing entry drawn from its distribution given those that are there.

        The entries of a row are drawn jointly, and those that are there stay as they are.

        Args:
            x: (B, *event) rows, in which NaN is what to fill, also where the data that the model is of has no gaps.
            context: (B, *context) what to condition on, for conditional models.
            generator: where randomness comes from; torch's global state without one.

        Returns:
            (B, *event) without NaN, in the support, without gradient.
        """


@runtime_checkable
class LatentVariableModel(Protocol):
    """p(x) = ∫ p(x | z) p(z) dz with prior, likelihood and encoder at hand; `LatentVariable` is one."""

    def prior_distribution(self) -> Distribution:
        """Return the prior p(z): batch shape (), event shape (d,)."""
        ...

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return q(z | x): batch shape (B,), event shape (d,)."""
        ...

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x | z) for codes (B, d): batch shape (B,)."""
        ...

    def reconstruction(self, z: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log p(x | z) for S codes of each row, (S, B, d): (S, B) nats."""
        ...
