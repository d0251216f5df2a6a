"""Latent variable models: a prior of codes, an encoder that infers them and a decoder that reads them."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from latentia.core.model import Bounded, Decodes, Encodes, Generative, Pathwise
from latentia.core.objective import Blocks
from latentia.core.randomness import drawing_from
from latentia.data.spec import DataSpec
from latentia.distributions.diagonal_gaussian import DiagonalGaussian
from latentia.distributions.likelihoods import Likelihood
from latentia.errors import UsageError
from latentia.functional.bounds import iwae
from latentia.networks.scaling import Scaling

_DECODED_AT_ONCE = 4096  # rows; keeps an importance-weighted bound's memory bounded, and its blocks in cache


class _Autoencoding(Generative, Encodes, Decodes, ABC):
    """What all latent variable models do: sample through the prior, encode and decode."""

    def __init__(
        self,
        data: DataSpec,
        *,
        prior: nn.Module,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        scaling: Scaling,
    ) -> None:
        super().__init__()
        self.data = data
        self.prior = prior
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.scaling = scaling

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return q(z | x): a Gaussian with diagonal covariance, batch shape (B,), event shape (d,)."""
        mean, log_var = self.encoder(self.scaling(x), context).chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_var)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x | z), batch shape (B,), for codes (B, d)."""
        return self.likelihood(self.decoder(z, context))

    def reconstruction(self, z: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return what training raises for S codes of each row, (S, B, d): log p(x | z), (S, B) nats."""
        draws, rows = z.shape[:2]
        x = x.expand(draws, *x.shape).flatten(0, 1)
        context = None if context is None else context.expand(draws, *context.shape).flatten(0, 1)
        return self.likelihood.reconstruction(self.decoder(z.flatten(0, 1), context), x).view(draws, rows)

    @torch.no_grad()
    def sample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n rows: z from the prior, then x from p(x | z)."""
        with drawing_from(generator):
            x = self.decode(self.prior().sample((n,)), context).sample()
        return self.data.support.project(x)

    def begin(self, rows: Blocks) -> None:
        """Take from the rows what the scaling of real data needs."""
        self.scaling.fit(rows)


class LatentVariable(_Autoencoding, Bounded, Pathwise):
    """p(x) = ∫ p(x | z) p(z) dz, with an encoder q(z | x) that bounds it from below.

    Args:
        data: what a row is.
        prior: a module that returns p(z), as `StandardNormal` does.
        encoder: a network from scaled rows (and a context) to the 2d numbers mean and log-variance.
        decoder: a network from codes (and a context) to the numbers that the likelihood reads.
        likelihood: p(x | z).
        scaling: the affine map between rows and network input; the encoder's and the likelihood's.
    """

    @property
    def measure(self) -> str | None:
        """The measure that bounds of log p(x) refer to: counting or Lebesgue."""
        return self.likelihood.measure

    def rsample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n means of p(x | z), differentiable in the decoder's parameters."""
        with drawing_from(generator):
            z = self.prior().sample((n,))
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
        """Return the ELBO, with its closed-form KL where it has one, or the importance-weighted bound.

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
        posterior = self.encode(x, context)
        with drawing_from(generator):
            if samples == 1:
                z = posterior.rsample((repeats,))
                return self.reconstruction(z, x, context).mean(0) - kl_divergence(posterior, self.prior())
            bounds = [
                iwae(torch.cat(list(self._log_weights(posterior, x, context, samples))))
                for _ in range(repeats)
            ]
        return torch.stack(bounds).mean(0)

    def _log_weights(
        self, posterior: Distribution, x: Tensor, context: Tensor | None, samples: int
    ) -> Iterator[Tensor]:
        """Yield blocks of log p(x, z_k) - log q(z_k | x), (k, B) nats."""
        block = max(1, _DECODED_AT_ONCE // len(x))
        for start in range(0, samples, block):
            z = posterior.rsample((min(block, samples - start),))
            log_joint = self.reconstruction(z, x, context) + self.prior().log_prob(z)
            yield log_joint - posterior.log_prob(z)


class RelaxedLatentVariable(_Autoencoding):
    """A latent variable model whose reconstruction term is a loss and no likelihood, so that it has no bound."""

    why_no_likelihood = "its reconstruction term is a loss, not a normalised likelihood"
