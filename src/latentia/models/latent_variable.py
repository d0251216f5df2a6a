"""Latent variable models: a prior p(z), a decoder for p(x | z) and an encoder for q(z | x)."""

from abc import ABC

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from latentia.core.model import Bounded, Conditional, Decodes, Encodes, Generative, Imputes, Pathwise
from latentia.core.objective import Blocks
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.distributions.likelihoods import Likelihood
from latentia.distributions.posteriors import Posterior, sample_and_kl, sample_with_log_prob
from latentia.distributions.priors import Prior
from latentia.errors import UsageError
from latentia.functional.bounds import iwae
from latentia.models.imputation import imputed
from latentia.models.semi_amortised import Refinement
from latentia.networks.conditioning import ContextEncoder
from latentia.networks.scaling import Scaling
from latentia.options import Count

_DECODED_AT_ONCE = 4096  # codes; keeps an importance-weighted bound's memory bounded
_ENTRIES_AT_ONCE = 2**19  # of decoded rows: 2 MB, which fit into two cores' caches


class _Autoencoding(Generative, Conditional, Encodes, Decodes, ABC):
    """What latent variable models have in common: they sample through the prior, encode and decode."""

    def __init__(
        self,
        data: DataSpec,
        *,
        prior: Prior,
        encoder: nn.Module,
        posterior: Posterior,
        decoder: nn.Module,
        likelihood: Likelihood,
        scaling: Scaling,
        refinement: Refinement | None = None,
        context_encoder: ContextEncoder | None = None,
    ) -> None:
        super().__init__()
        self.data = data
        self.prior = prior
        self.encoder = encoder
        self.posterior = posterior
        self.decoder = decoder
        self.likelihood = likelihood
        self.scaling = scaling
        self.refinement = refinement
        self.context_encoder = context_encoder or ContextEncoder()

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return q(z | x), with semi-amortised refinement if there is one: batch shape (B,), event shape (d,)."""
        h = self.encoder(self.scaling(x), context)
        if self.refinement is not None:
            h = self.refinement(h, lambda h: self._elbo(h, x, context), through=self.training)
        return self.posterior(h)

    def prior_distribution(self) -> Distribution:
        """Return the prior p(z), with its current parameters: batch shape (), event shape (d,)."""
        return self.prior(lambda inputs: self.posterior(self.encoder(inputs)))

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x | z), batch shape (B,), for codes (B, d)."""
        return self.likelihood(self.decoder(z, context))

    def reconstruction(self, z: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the reconstruction term log p(x | z) of S codes of each row, (S, B, d): (S, B) nats."""
        draws, rows = z.shape[:2]
        x = x.expand(draws, *x.shape).flatten(0, 1)
        context = None if context is None else context.expand(draws, *context.shape).flatten(0, 1)
        return self.likelihood.reconstruction(self.decoder(z.flatten(0, 1), context), x).view(draws, rows)

    @torch.no_grad()
    def sample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n rows: z from the prior, then x from p(x | z)."""
        with using_generator(generator):
            x = self.decode(self.prior_distribution().sample((n,)), context).sample()
        return self.data.support.project(x)

    def _elbo(self, h: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        """Return a one-sample ELBO of each row for posterior parameters h: (B,) nats."""
        z, kl = sample_and_kl(self.posterior(h), self.prior_distribution(), 1)
        return self.reconstruction(z, x, context)[0] - kl

    def begin(self, rows: Blocks) -> None:
        """Fit the scaling of real data to the rows, and initialise the prior from them."""
        self.scaling.fit(rows)
        self.prior.begin(rows)


class LatentVariable(_Autoencoding, Bounded, Pathwise, Imputes):
    """p(x) = ∫ p(x | z) p(z) dz, with an encoder q(z | x) for a lower bound of log p(x).

    Args:
        data: what a row is.
        prior: p(z).
        encoder: a network from scaled rows (and a context) to the parameters of the posterior.
        posterior: q(z | x).
        decoder: a network from codes (and a context) to the parameters of the likelihood.
        likelihood: p(x | z).
        scaling: the affine map between rows and network input; the encoder's and the likelihood's.
        refinement: gradient steps on each row's posterior parameters; None: the encoder's are used.
        context_encoder: encodes what the model is conditioned on; none for an unconditional model.
    """

    imputation = "by 10 steps of a Markov chain on the codes each"

    @property
    def measure(self) -> str | None:
        """The base measure of log p(x): counting, Lebesgue or mixed."""
        return self.likelihood.measure

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        mean: bool = False,
    ) -> Tensor:
        """Draw n rows: z from the prior, then x from p(x | z), or the mean of p(x | z) in the place of a draw.

        A mean is not rounded to the support, except in tables of several kinds, and has no gaps: bits become
        probabilities, and of categories it is the likeliest.

        Args:
            n: number of rows.
            context: (n, c) what to condition on, for conditional models.
            generator: where randomness comes from; torch's global state without one.
            mean: return the mean of each row given its code, without the likelihood's noise
        """
        if not mean:
            return super().sample(n, context, generator=generator)
        means = self.rsample(n, context, generator=generator)
        return self.data.support.present.project(means) if self.data.support.columns else means

    @torch.no_grad()
    def impute(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        steps: Count = 10,
    ) -> Tensor:
        """Return rows with each missing cell, NaN, drawn from its distribution given the cells that are there.

        z from p(z | present), by ``steps`` Metropolis-Hastings steps that propose from the encoder's q, then the
        missing cells from p(x | z). One step is a draw from q(z | x); many are exact. An encoder that was fitted to
        rows without gaps reads rows completed by the last step's draw.

        Args:
            x: (B, *event) rows.
            context: (B, c) what to condition on, for conditional models.
            generator: where randomness comes from; torch's global state without one.
            steps: of the chain

        Raises:
            DataError: for rows of another shape, or values outside the support.
            UsageError: for fewer steps than 1.

        References:
            Mattei and Frellsen (2018), Leveraging the exact likelihood of deep latent variable models, algorithm 1.
        """
        with using_generator(generator):
            return imputed(self, self.data, x, context, steps)

    def rsample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n means of p(x | z), differentiable in the decoder's parameters."""
        with using_generator(generator):
            z = self.prior_distribution().sample((n,))
        return self.decode(z, context).mean

    def log_prob_bound(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        samples: int = 1,
        repeats: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the ELBO, with the KL in closed form where there is one, or the importance-weighted bound.

        ELBO(x) = E_q[log p(x | z)] - KL(q(z | x) ‖ p(z)) for ``samples=1``, and
        L_K(x) = E log (1/K) Σ_k p(x, z_k) / q(z_k | x) for K > 1.

        Raises:
            UsageError: for ``samples`` or ``repeats`` below 1.
            DataError: for rows of another shape, or values outside the support.

        References:
            Kingma and Welling (2014), equation 3; Burda, Grosse and Salakhutdinov (2016), equation 8.
        """
        if samples < 1 or repeats < 1:
            raise UsageError(f"samples and repeats must be at least 1; got {samples} and {repeats}")
        self.data.check(x)
        posterior, prior = self.encode(x, context), self.prior_distribution()
        with using_generator(generator):
            if samples == 1:
                z, kl = sample_and_kl(posterior, prior, repeats)
                return self.reconstruction(z, x, context).mean(0) - kl
            bounds = [iwae(self._log_weights(posterior, prior, x, context, samples)) for _ in range(repeats)]
        return torch.stack(bounds).mean(0)

    def _log_weights(
        self, posterior: Distribution, prior: Distribution, x: Tensor, context: Tensor | None, samples: int
    ) -> Tensor:
        """Return log p(x, z_k) - log q(z_k | x), (samples, B) nats, decoded in blocks."""
        codes = min(_DECODED_AT_ONCE, _ENTRIES_AT_ONCE // x[0].numel())
        block = max(1, codes // len(x))
        # Allocated beforehand: results allocated block by block would fragment the memory between the blocks' large
        # tensors (gigabytes for thousands of samples).
        log_w = x.new_empty(samples, len(x))
        for start in range(0, samples, block):
            z, log_q = sample_with_log_prob(posterior, min(block, samples - start))
            log_w[start : start + block] = self.reconstruction(z, x, context) + prior.log_prob(z) - log_q
        return log_w


class RelaxedLatentVariable(_Autoencoding):
    """A latent variable model with a loss as reconstruction term, and so without a bound of log p(x)."""

    why_no_likelihood = "its reconstruction term is a loss, not a normalised likelihood"
