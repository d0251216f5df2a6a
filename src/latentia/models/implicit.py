"""Implicit models: a network maps codes from the prior to data space; there are samples and no density."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentia.core.model import Conditional, Generative, Pathwise
from latentia.core.objective import Blocks
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.distributions.priors import Prior, PriorSetting, make_prior
from latentia.networks.conditioning import ContextEncoder
from latentia.networks.scaling import Scaling
from latentia.networks.simplex import SimplexHead


class Implicit(Generative, Conditional, Pathwise):
    """x = G(z) with z from the prior; bounded data leaves G through tanh, scaled to the data's range.

    Categories of encoded rows leave it through a softmax, or as draws; a table's row is drawn in proportion to them.

    Args:
        data: what a row is.
        prior: p(z).
        network: from codes (and a context) to scaled rows.
        scaling: the affine map between rows and network output; the critic's first layer uses it too.
        context_encoder: encodes what the model is conditioned on; none for an unconditional model.
        head: of the categories of encoded rows; softmax by default.
    """

    measure = None
    context_encoder: ContextEncoder

    def __init__(
        self,
        data: DataSpec,
        *,
        prior: Prior,
        network: nn.Module,
        scaling: Scaling,
        context_encoder: ContextEncoder | None = None,
        head: SimplexHead | None = None,
    ) -> None:
        super().__init__()
        self.data = data
        self.prior = prior
        self.network = network
        self.scaling = scaling
        self.context_encoder = context_encoder or ContextEncoder()
        self.head = head or SimplexHead(data.blocks)

    @classmethod
    def of_noise(cls, data: DataSpec, network: nn.Module, latent_dim: int) -> Implicit:
        """Make the model of a network of one's own: z ~ N(0, I), and the scaling that rows like these have.

        Args:
            data: what a row is.
            network: from (B, latent_dim) codes, and a context or None, to (B, *event) scaled rows.
            latent_dim: entries of a code.

        Example:
            >>> import latentia as lt
            >>> from latentia.networks.mlp import MLP
            >>> line = lt.DataSpec((1,), lt.Support("real"))
            >>> Implicit.of_noise(line, MLP((3,), (1,), hidden=[8]), latent_dim=3).sample(5).shape
            torch.Size([5, 1])
        """
        scaling = Scaling(data)
        prior = make_prior("standard-normal", PriorSetting(latent_dim, data, scaling))
        return cls(data, prior=prior, network=network, scaling=scaling)

    def rsample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n rows: (n, *event), differentiable in the network's parameters, not rounded."""
        with using_generator(generator):
            return self.push(self.codes(n), context)

    def codes(self, n: int) -> Tensor:
        """Draw n codes from the prior: (n, d)."""
        return self.prior().sample((n,))

    def push(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return G(z), rows of data that are not rounded: (B, *event)."""
        return self.scaling.inverse(self.scaled(z, context))

    def scaled(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return G(z) as networks read rows, in [-1, 1] where the data is bounded: (B, *event)."""
        y = self.network(z, context)
        return torch.tanh(y) if self.scaling.bounded else self.head(y)

    @torch.no_grad()
    def sample(
        self, n: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n rows, rounded to the support."""
        return self.data.support.project(self.rsample(n, context, generator=generator))

    def begin(self, rows: Blocks) -> None:
        """Take from the rows what the scaling of real data needs."""
        self.scaling.fit(rows)
