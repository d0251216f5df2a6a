"""Autoencoders: a deterministic code for each row and a decoder, without a distribution of rows."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from latentia.core.objective import Blocks
from latentia.data.spec import DataSpec
from latentia.distributions.likelihoods import Likelihood
from latentia.distributions.point_mass import PointMass
from latentia.models.latent_density import Codec
from latentia.networks.scaling import Scaling


class Autoencoder(Codec):
    """z = f(x), x̂ = g(z): codes without a prior; to sample, fit a density to them (`LatentDensity`).

    Args:
        data: what a row is.
        encoder: a network from scaled rows (and a context) to codes of d entries.
        decoder: a network from codes (and a context) to the parameters of the likelihood.
        likelihood: p(x | z), or a reconstruction loss.
        scaling: the affine map between rows and network input.
    """

    def __init__(
        self,
        data: DataSpec,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        scaling: Scaling,
    ) -> None:
        super().__init__()
        self.data = data
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.scaling = scaling

    def encode(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return the code of each row, as a point mass: batch shape (B,), event shape (d,)."""
        return PointMass(self.encoder(self.scaling(x), context), event_dim=1)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x | z), batch shape (B,), for codes (B, d)."""
        return self.likelihood(self.decoder(z, context))

    def reconstruction(
        self, x: Tensor, context: Tensor | None = None, *, corrupted: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return codes (B, d), of corrupted rows if given, and the reconstruction term of each row, (B,)."""
        z = self.encoder(self.scaling(x if corrupted is None else corrupted), context)
        return z, self.likelihood.reconstruction(self.decoder(z, context), x)

    @torch.no_grad()
    def begin(self, rows: Blocks) -> None:
        """Fit the scaling of real data to the rows."""
        self.scaling.fit(rows)
