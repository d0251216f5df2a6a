"""Reparametrised latents: an invertible map after the encoder and its inverse before the decoder; p(x) is unchanged."""

from torch import Tensor, nn
from torch.distributions import Distribution, Transform

from latentia.distributions.posteriors import Posterior
from latentia.distributions.transformed import Transformed
from latentia.models.latent_variable import LatentVariable


def with_mapped_latents(model: LatentVariable, f: Transform) -> LatentVariable:
    """Return a model whose codes are f(z) where the given model's are z; both models share their modules.

    Encoder f ∘ q(z | x), decoder p(x | f⁻¹(z)), the same prior. Where f preserves the prior, it preserves p(x), the
    bound and KL(q(z | x) ‖ p(z)) too: unlabelled data cannot distinguish the two models.

    Args:
        model: with codes z.
        f: a map of codes; see `latentia.theory.identifiability.mixing`.

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
    """The posterior of f(z)."""

    def __init__(self, posterior: Posterior, f: Transform) -> None:
        super().__init__()
        self.posterior = posterior
        self.numbers = posterior.param_dim
        self.f = f

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution of f(z) from (B, P) parameters."""
        return Transformed(self.posterior(h), self.f)


class _MapUndone(nn.Module):
    """A decoder applied to f⁻¹(z)."""

    def __init__(self, decoder: nn.Module, f: Transform) -> None:
        super().__init__()
        self.decoder = decoder
        self.f = f

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the decoder's output at f⁻¹(z)."""
        return self.decoder(self.f.inv(z), context)
