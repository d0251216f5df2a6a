"""Critics: networks that score rows."""

from __future__ import annotations

from torch import Tensor, nn

from latentia.networks.scaling import Scaling


class Critic(nn.Module):
    """Score rows: one number each, without bound.

    Its first layer scales the data as the generator's last one does, so real and generated rows are always
    compared in one range.

    Args:
        network: from scaled rows (and a context) to (B, 1).
        scaling: the affine map between rows and network input; a copy, for players share no module.
    """

    def __init__(self, network: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.network = network
        self.scaling = scaling

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the scores of (B, *event) rows: (B,)."""
        return self.network(self.scaling(x), context).squeeze(-1)
