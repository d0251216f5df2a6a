"""Critics: networks that score rows."""

from collections.abc import Mapping, Sequence
from typing import overload

import torch
from torch import Tensor, nn
from torch.func import functional_call

from latentia.errors import UsageError
from latentia.networks.layers import FeatureNetwork
from latentia.networks.minibatch import MinibatchLayer
from latentia.networks.scaling import Scaling

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Critic(nn.Module):
    """Score rows, or packs of rows: one number each, without bound.

    Its first layer scales the data as the generator's last one does, so real and generated rows are always
    compared in one range.

    Args:
        network: from scaled rows (and a context) to (B, 1); for packs, from rows of shape `packed_shape`.
        scaling: the affine map between rows and network input; a copy, for players share no module.
        pack: rows that one score is for, as `packed` puts them together.

    References:
        Lin et al. (2018), PacGAN: the power of two samples in generative adversarial networks, section 2 (packs).
    """

    def __init__(self, network: nn.Module, scaling: Scaling, *, pack: int = 1) -> None:
        super().__init__()
        if pack < 1:
            raise UsageError(f"pack must be at least 1; got {pack}")
        self.network = network
        self.scaling = scaling
        self.pack = pack

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return scores: (B,) of (B, *event) rows, or (B',) of (B', pack, *event) packs.

        Args:
            x: the rows; packs of them where pack is above 1.
            context: (B, c) of the rows; (B', pack, c) of the packs, flattened or not.
        """
        return self.score(self._scaled(x), context)

    def features(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return what the last layer reads, (B, F): each row's own features, without those of a minibatch layer.

        Raises:
            UsageError: for a network that is no `FeatureNetwork`.
        """
        return self.scaled_features(self._scaled(x), context)

    def score(
        self, y: Tensor, context: Tensor | None = None, *, tensors: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Return the scores of rows, or of packs, that are scaled already.

        Args:
            y: as the network reads them.
            context: of the rows or packs.
            tensors: parameters and buffers by name that stand in for the network's own.
        """
        read = self._joined(y, context)
        scores = (
            self.network(*read) if tensors is None else functional_call(self.network, dict(tensors), read)
        )
        return scores.squeeze(-1)

    def scaled_features(self, y: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the features of rows, or of packs, that are scaled already."""
        if not isinstance(self.network, FeatureNetwork):
            raise UsageError(
                f"features are what a FeatureNetwork has before its last layer; {type(self.network).__name__} is none"
            )
        return self.network.features(*self._joined(y, context))

    @property
    def mixes_rows(self) -> bool:
        """Whether a row's score depends on the other rows of its batch: by batch norm or a minibatch layer."""
        return bool(row_mixing_layers(self))

    def _scaled(self, x: Tensor) -> Tensor:
        if self.pack == 1:
            return self.scaling(x)
        packs = (self.pack, *self.scaling.event_shape)
        if tuple(x.shape[1:]) != packs:
            raise UsageError(
                f"this critic scores packs of shape {packs}; got {tuple(x.shape[1:])}: use packed()"
            )
        return self.scaling(x.flatten(0, 1)).unflatten(0, (-1, self.pack))

    def _joined(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return what the network is given: of packs, the rows' channels or entries one after the other."""
        if self.pack == 1:
            return y, context
        return y.flatten(1, 2), None if context is None else context.flatten(1)


@overload
def packed(x: Tensor, pack: int) -> Tensor: ...
@overload
def packed(x: None, pack: int) -> None: ...
def packed(x: Tensor | None, pack: int) -> Tensor | None:
    """Put rows together that follow one another: (B, *event) to (⌈B / pack⌉, pack, *event).

    The last pack is filled up with the first rows. Contexts (B, c) go the same way, and none stays none; packs of one
    are the rows as they are.

    Example:
        >>> packed(torch.arange(5)[:, None], 2).flatten(1).tolist()
        [[0, 1], [2, 3], [4, 0]]
    """
    if x is None or pack == 1:
        return x
    packs = -(-len(x) // pack)
    filled = x if packs * pack == len(x) else x[torch.arange(packs * pack, device=x.device) % len(x)]
    return filled.unflatten(0, (packs, pack))


def packed_shape(shape: Sequence[int], pack: int) -> tuple[int, ...]:
    """Return the shape of what a network reads of a pack: as many times the channels of images or entries of rows.

    Example:
        >>> packed_shape((3, 8, 8), 2), packed_shape((5,), 3)
        ((6, 8, 8), (15,))
    """
    return (pack * shape[0], *shape[1:])


def batch_norm_layers(module: nn.Module) -> list[str]:
    """Return the names and kinds of a module's batch-norm layers.

    Example:
        >>> batch_norm_layers(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
        ['1 (BatchNorm1d)']
    """
    return _layers(module, _BATCH_NORMS)


def minibatch_layers(module: nn.Module) -> list[str]:
    """Return the names and kinds of a module's minibatch layers, which mix rows by design."""
    return _layers(module, (MinibatchLayer,))


def row_mixing_layers(module: nn.Module) -> list[str]:
    """Return the names and kinds of all layers that couple the rows of a batch."""
    return _layers(module, (*_BATCH_NORMS, MinibatchLayer))


def _layers(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[str]:
    found = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, kinds)]
    return [f"{name} ({type(layer).__name__})" for name, layer in found]
