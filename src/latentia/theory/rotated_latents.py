"""The same law of rows with other codes: an invertible map after the encoder, and its inverse before the decoder."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution, Transform

from latentia.distributions.posteriors import Posterior
from latentia.distributions.transformed import Transformed
from latentia.models.latent_variable import LatentVariable


def with_mapped_latents(model: LatentVariable, f: Transform) -> LatentVariable:
    """Return a model whose codes are f(z) where the given model's are z; their parts are the same modules.

    Encoder f ∘ q(z | x), decoder p(x | f⁻¹(z)), prior as it is. Where f leaves the prior's law as it is, so it leaves
    p(x), the bound and KL(q(z | x) ‖ p(z)); without labels no data tells the two models apart.

    Args:
        model: with codes z.
        f: on codes; see `latentia.theory.identifiability.mixing`.

    Reference: Locatello et al. (2019), Challenging common assumptions in the unsupervised learning of disentangled
    representations, theorem 1.
    """
    return LatentVariable(
        model.data,
        prior=model.prior,
        encoder=model.encoder,
        posterior=_Mapped(model.posterior, f),
        decoder=_MapUndone(model.decoder, f),
        likelihood=model.likelihood,
        scaling=model.scaling,
        refinement=model.refinement,
    ).train(model.training)


class _Mapped(Posterior):
    """The law of f(z)."""

    def __init__(self, posterior: Posterior, f: Transform) -> None:
        super().__init__()
        self.posterior = posterior
        self.numbers = posterior.param_dim
        self.f = f

    def forward(self, h: Tensor) -> Distribution:
        """Return the law of f(z) for (B, P) numbers."""
        return Transformed(self.posterior(h), self.f)


class _MapUndone(nn.Module):
    """A decoder that reads f⁻¹(z)."""

    def __init__(self, decoder: nn.Module, f: Transform) -> None:
        super().__init__()
        self.decoder = decoder
        self.f = f

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return what the decoder writes for f⁻¹(z)."""
        return self.decoder(self.f.inv(z), context)
