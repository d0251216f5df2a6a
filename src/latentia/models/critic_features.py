"""What a critic learned of rows, as a representation."""

from typing import Any

from torch import Tensor, nn

from latentia.core.model import Encodes
from latentia.distributions.point_mass import PointMass
from latentia.errors import UsageError
from latentia.networks.critic import Critic
from latentia.registry import unknown


class CriticFeatures(nn.Module, Encodes):
    """Encode rows by a layer of a critic: what its last layer reads, or the output of any layer by name.

    z = h(x) with the score f(x) = w·h(x) + b, or the flattened output of another layer

    Args:
        critic: of single rows.
        layer: a name among ``critic.network.named_modules()``, as "layers.2"; None is what the last layer reads.

    Raises:
        UsageError: for a critic of packs, and a layer that the network does not have.

    Reference: Radford, Metz & Chintala (2016), Unsupervised representation learning with deep convolutional generative
    adversarial networks, section 5.1.

    Example:
        >>> import torch
        >>> from latentia.data.spec import DataSpec, Support
        >>> from latentia.networks.mlp import MLP
        >>> from latentia.networks.scaling import Scaling
        >>> critic = Critic(MLP((2,), (1,), hidden=(5,)), Scaling(DataSpec((2,), Support("real"))))
        >>> CriticFeatures(critic).encode(torch.zeros(3, 2)).mean.shape
        torch.Size([3, 5])
    """

    def __init__(self, critic: Critic, layer: str | None = None) -> None:
        super().__init__()
        if critic.pack > 1:
            raise UsageError(f"this critic scores packs of {critic.pack} rows: no single row has features")
        names = [name for name, _ in critic.network.named_modules() if name]
        if layer is not None and layer not in names:
            raise UsageError(unknown("layer of the critic", layer, names))
        self.critic = critic
        self.layer = layer

    def encode(self, x: Tensor, context: Tensor | None = None) -> PointMass:
        """Return the features of (B, *event) rows, as a point mass of event shape (F,)."""
        features = (
            self.critic.features(x, context) if self.layer is None else self._at(self.layer, x, context)
        )
        return PointMass(features.flatten(1), event_dim=1)

    def _at(self, layer: str, x: Tensor, context: Tensor | None) -> Tensor:
        """Return a layer's output for rows."""
        seen: list[Any] = []
        module = self.critic.network.get_submodule(layer)
        handle = module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        try:
            self.critic(x, context)
        finally:
            handle.remove()
        if not seen or seen[-1].shape[:1] != x.shape[:1]:
            raise UsageError(f"layer {layer!r} of the critic gives no vector for each row: choose another")
        return seen[-1]
