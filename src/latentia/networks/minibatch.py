"""Layers that show a critic how close together the rows of a batch are."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latentia.errors import UsageError
from latentia.networks.layers import at_least_float32
from latentia.registry import Registry, minibatch_layers

_FAR = 80.0  # e⁻⁸⁰ is the smallest number worth having: smaller ones soon become subnormal, which is slow


def closeness(M: Tensor) -> Tensor:
    """Return how close each row is to the others, in the mean over these.

    o_ik = 1/(B − 1) Σ_{j ≠ i} exp(−‖M_ik − M_jk‖₁)

    Args:
        M: (B, K, D) vectors of the rows, in K kinds.

    Returns:
        (B, K), from 0 (far from every other row, or alone) to 1 (all rows are one).

    Reference: Salimans et al. (2016), Improved techniques for training GANs, section 3.2, whose sum over all rows is
    B − 1 times this, and 1 for the row itself. The next layer's weights make up for that; of the sum, those of small
    batches would mean nothing in large ones, and first scores would be in the tens.
    """
    # One entry at a time: twice as fast as one (B, B, K, D) array.
    distances = sum(((m[:, None] - m[None]).abs() for m in M.unbind(-1)), start=M.new_zeros(()))
    total = torch.exp(-distances.clamp(max=_FAR)).sum(1) - 1  # the row's own term is exp(0)
    return total / max(1, len(M) - 1)


def mean_deviation(h: Tensor) -> Tensor:
    """Return the standard deviation of each feature over the rows, and of these the mean over features: a number.

    (1/F) Σ_f √(1/B Σ_i (h_if − h̄_f)² + 10⁻⁸)

    Args:
        h: (B, F) features.

    Reference: Karras et al. (2018), Progressive growing of GANs, section 3.
    """
    return (h.var(0, correction=0) + 1e-8).sqrt().mean()


class MinibatchLayer(nn.Module):
    """A layer that appends to each row's features what it reads of the batch's other rows.

    Attributes:
        added: how many numbers it appends.
    """

    added: int


class MinibatchDiscrimination(MinibatchLayer):
    """Append to each row's features its closeness to the other rows, in learned projections M = hT.

    Args:
        features: entries of a row's features.
        kernels: kinds of closeness, each one number more.
        dims: entries of the projection in which each is measured.

    References:
        Salimans et al. (2016), Improved techniques for training GANs, section 3.2.
    """

    def __init__(self, features: int, kernels: int = 50, dims: int = 5) -> None:
        super().__init__()
        self.added = kernels
        self.projection = nn.Linear(features, kernels * dims, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        """Return (B, F + kernels) for (B, F) features."""
        M = at_least_float32(self.projection(h)).unflatten(1, (self.added, -1))
        return torch.cat([at_least_float32(h), closeness(M)], dim=1)


class MinibatchDeviation(MinibatchLayer):
    """Append to each row's features how far the features of its group of rows spread, one number.

    Args:
        group: rows that are compared, which follow one another in the batch; the last group may have fewer. Without,
            the whole batch.

    References:
        Karras et al. (2018), Progressive growing of GANs, section 3.
    """

    added = 1

    def __init__(self, group: int | None = None) -> None:
        super().__init__()
        if group is not None and group < 2:
            raise UsageError(f"a group has at least 2 rows; got {group}")
        self.group = group

    def forward(self, h: Tensor) -> Tensor:
        """Return (B, F + 1) for (B, F) features."""
        h = at_least_float32(h)
        groups = h.split(self.group or max(1, len(h)))
        spreads = [mean_deviation(rows).expand(len(rows), 1) for rows in groups]
        return torch.cat([h, torch.cat(spreads)], dim=1)


MINIBATCH: Registry[Callable[[int], MinibatchLayer | None]] = minibatch_layers
"""From the entries of a row's features to a new layer, or to none."""
minibatch_layers.add(
    {
        "none": lambda _: None,
        "discrimination": MinibatchDiscrimination,
        "deviation": lambda _: MinibatchDeviation(),
    }
)


def minibatch_layer(name: str, features: int) -> MinibatchLayer | None:
    """Return the layer of a name for features of this many entries, None for none.

    Raises:
        UsageError: for a name that is none, with near matches.
    """
    return MINIBATCH[name](features)
