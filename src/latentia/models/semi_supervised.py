"""A latent variable model with a class as a second latent variable, which is observed for some rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution
from torch.nn.functional import one_hot

from latentia.core.model import Bounded, Conditional, Decodes, Encodes, Generative, Imputes, SamplesContext
from latentia.core.objective import Blocks
from latentia.core.randomness import using_generator
from latentia.data.attributes import Attribute, given_values
from latentia.data.spec import DataSpec
from latentia.distributions.class_and_code import ClassAndCode
from latentia.distributions.posteriors import sample_and_kl
from latentia.errors import UsageError
from latentia.functional.semi_supervised import enumerated_bound, marginal_bound
from latentia.models.imputation import imputed
from latentia.models.latent_variable import LatentVariable
from latentia.networks.conditioning import ContextEncoder
from latentia.options import Count


class SemiSupervised(Generative, Conditional, SamplesContext, Bounded, Encodes, Decodes, Imputes):
    """p(x) = Σ_y p(y) ∫ p(x | z, y) p(z) dz, with a classifier q(y | x) and an encoder q(z | x, y).

    A row's code holds both latent variables, (z, y), with y one-hot.

    Args:
        given_class: p(x | y), a model that is conditional on a one-hot class.
        classifier: a network from scaled rows to a logit for each class.
        classes: their names.
        context_encoder: encodes the rows' class, which may have other values too, such as "unlabelled"; one-hot by
            default.

    References:
        Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep generative models (M2).
    """

    imputation = "by 10 steps of a Markov chain on classes and codes each"

    def __init__(
        self,
        given_class: LatentVariable,
        *,
        classifier: nn.Module,
        classes: tuple[str, ...],
        context_encoder: ContextEncoder | None = None,
    ) -> None:
        super().__init__()
        self.data: DataSpec = given_class.data
        self.given_class = given_class
        self.classifier = classifier
        self.classes = classes
        self.context_encoder = context_encoder or ContextEncoder([Attribute("class", classes, role="label")])
        self.class_logits = nn.Parameter(torch.zeros(len(classes)))

    @property
    def measure(self) -> str | None:
        """The base measure of log p(x)."""
        return self.given_class.measure

    @property
    def log_prior(self) -> Tensor:
        """The learned distribution of classes, log p(y): (C,) nats."""
        return self.class_logits.log_softmax(0)

    def class_log_probs(self, x: Tensor) -> Tensor:
        """Return log q(y | x), (B, C) nats."""
        return self.classifier(self.given_class.scaling(x)).log_softmax(-1)

    def bounds(self, x: Tensor, draws: int = 1) -> tuple[Tensor, Tensor]:
        """Return estimates of E_q[log p(x | z, y)] and KL(q(z | x, y) ‖ p(z)) for each class: twice (B, C) nats."""
        C, inner = len(self.classes), self.given_class
        rows = x.repeat_interleave(C, dim=0)
        context = self._each_class(x).repeat(len(x), 1)
        z, kl = sample_and_kl(inner.encode(rows, context), inner.prior_distribution(), draws)
        reconstruction = inner.reconstruction(z, rows, context).mean(0)
        return reconstruction.view(-1, C), kl.view(-1, C)

    def log_prob_bound(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        samples: int = 1,
        repeats: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return a bound of log p(x), or of log p(x | y) given one-hot classes, by enumerating the classes.

        For ``samples=1`` Kingma's U(x) = Σ_y q(y | x) [ELBO(x | y) + log p(y)] + H(q(y | x)); for K > 1 the classes are
        summed out exactly, log Σ_y p(y) e^L_K(x | y), with importance-weighted bounds L_K. With
        ELBOs this would be no bound: by Jensen's inequality, noise in the exponent raises it.

        Raises:
            UsageError: for ``samples`` or ``repeats`` below 1.
            DataError: for rows of another shape, or values outside the support.
        """
        bound_of = partial(self.given_class.log_prob_bound, x, samples=samples, generator=generator)
        if context is not None:
            return bound_of(context, repeats=repeats)
        if samples < 1 or repeats < 1:
            raise UsageError(f"samples and repeats must be at least 1; got {samples} and {repeats}")
        self.data.check(x)

        def once(repeats: int) -> Tensor:
            each = [bound_of(y.expand(len(x), -1), repeats=repeats) for y in self._each_class(x)]
            return torch.stack(each, dim=1) + self.log_prior

        if samples == 1:
            return enumerated_bound(once(repeats), self.class_log_probs(x))
        return torch.stack([marginal_bound(once(1)) for _ in range(repeats)]).mean(0)

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return q(z, y | x), batch shape (B,) and event shape (d + C,); given one-hot classes, y is one of them."""
        log_q = self.class_log_probs(x) if context is None else context.log()
        each = [self.given_class.encode(x, y.expand(len(x), -1)) for y in self._each_class(x)]
        return ClassAndCode(log_q, each)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x | z, y), batch shape (B,), for codes (B, d + C); weights of classes are normalised."""
        C = len(self.classes)
        weights = (z[:, -C:] if context is None else context).clamp_min(0)
        total = weights.sum(1, keepdim=True)
        y = torch.where(total > 0, weights / total.clamp_min(1e-12), 1 / C)
        return self.given_class.decode(z[:, :-C], y)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        mean: bool = False,
    ) -> Tensor:
        """Draw n rows: y from p(y) unless it is given one-hot, z from the prior, x from p(x | z, y).

        Args:
            n: number of rows.
            context: (n, C) one-hot classes, or weights of them.
            generator: where randomness comes from; torch's global state without one.
            mean: return the mean of each row given its code, without the likelihood's noise
        """
        if context is None:
            context = self.sample_context(n, {}, generator=generator)
        return self.given_class.sample(n, context, generator=generator, mean=mean)

    @torch.no_grad()
    def impute(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        steps: Count = 10,
    ) -> Tensor:
        """Return rows with each missing cell, NaN, drawn given the cells that are there.

        A chain on (z, y), each step of which proposes y from the classifier and z from the encoder given y.

        Args:
            x: (B, *event) rows.
            context: (B, C) one-hot classes, where they are known.
            generator: where randomness comes from; torch's global state without one.
            steps: of the chain

        Raises:
            DataError: for rows of another shape, or values outside the support.
            UsageError: for fewer steps than 1.
        """
        if context is not None:
            return self.given_class.impute(x, context, generator=generator, steps=steps)
        with using_generator(generator):
            return imputed(_Joint(self), self.data, x, None, steps)

    @torch.no_grad()
    def sample_context(
        self, n: int, given: Mapping[str, Any], *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return n one-hot classes, (n, C): those given as ``class``, or drawn from p(y)."""
        if given:
            label = Attribute("class", self.classes, role="label")
            (weights,) = given_values([label], n, given).values()
            return weights.to(self.class_logits)
        with using_generator(generator):
            y = Categorical(logits=self.class_logits, validate_args=False).sample((n,))
        return one_hot(y, len(self.classes)).to(self.class_logits.dtype)

    def begin(self, rows: Blocks) -> None:
        """Fit the scaling of real data to the rows, and initialise the prior from them."""
        self.given_class.begin(rows)

    def _each_class(self, like: Tensor) -> Tensor:
        """Return the one-hot vectors of all classes: (C, C)."""
        return torch.eye(len(self.classes), dtype=like.dtype, device=like.device)


@dataclass(frozen=True, eq=False)
class _Joint:
    """A semi-supervised model as one of codes (z, y), with y one-hot, which is unknown."""

    model: SemiSupervised

    def prior_distribution(self) -> Distribution:
        """Return p(z) p(y): batch shape (), event shape (d + C,)."""
        prior = self.model.given_class.prior_distribution()
        return ClassAndCode(self.model.log_prior, [prior] * len(self.model.classes))

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return q(z, y | x)."""
        return self.model.encode(x, context)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x | z, y)."""
        return self.model.decode(z, context)

    def reconstruction(self, z: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return log p(x | z, y) for S codes of each row, (S, B, d + C): (S, B) nats."""
        C, inner = len(self.model.classes), self.model.given_class
        return torch.cat([inner.reconstruction(each[None, :, :-C], x, each[:, -C:]) for each in z])
