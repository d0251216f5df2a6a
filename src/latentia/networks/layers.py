"""What the layers of networks share: precision, initialisation, activations, context and features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from latentia.registry import Registry, activations, check_name


def at_least_float32(x: Tensor) -> Tensor:
    """Return bfloat16 and float16 as float32, and leave the rest: losses never see half precision."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


_LOOKS = 15  # at a weight, each of which is a power iteration of spectral norm: as many as when it is made


@torch.no_grad()
def normal_init(module: nn.Module, std: float = 0.02) -> None:
    """Draw the weights of all linear maps and convolutions from N(0, std²), and set their biases to 0.

    Gains and biases of norms stay as they are.

    Reference: Radford, Metz and Chintala (2016), Unsupervised representation learning with deep convolutional
    generative adversarial networks, section 4.

    Example:
        >>> layer = nn.Linear(100, 100)
        >>> normal_init(layer)
        >>> round(layer.weight.std().item(), 2), layer.bias.abs().max().item()
        (0.02, 0.0)
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            for parameter in layer.parameters():  # with spectral norm, the weights before it
                _ = parameter.normal_(0, std) if parameter.dim() > 1 else parameter.zero_()
            for _ in range(_LOOKS):
                layer.weight  # noqa: B018  # pyright: ignore[reportUnusedExpression]


class Maxout(nn.Module):
    """The largest of several linear maps: h_i = max_j z_ij, with the pieces z_1j … z_nj one after the other.

    Args:
        pieces: linear maps for each unit.

    References:
        Goodfellow et al. (2013), Maxout networks, section 3.

    Example:
        >>> import torch
        >>> Maxout(2)(torch.tensor([[1.0, 2.0, 3.0, 0.0]]))
        tensor([[3., 2.]])
    """

    def __init__(self, pieces: int = 5) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, units) for (B, pieces · units)."""
        return x.unflatten(1, (self.pieces, -1)).amax(1)


ACTIVATIONS: Registry[Callable[[], nn.Module]] = activations
activations.add(
    {
        "relu": nn.ReLU,
        "leaky-relu": partial(nn.LeakyReLU, 0.2),  # the slope of DCGAN's critic; torch's own is 0.01
        "tanh": nn.Tanh,
        "silu": nn.SiLU,
        "elu": nn.ELU,
        "softplus": nn.Softplus,
        "gated": nn.GLU,
        "maxout": Maxout,
    }
)
PIECES: Mapping[str, int] = {"gated": 2, "maxout": 5}
"""How many numbers an activation reads for each that it returns; one where not named."""


def activation_named(name: str) -> nn.Module:
    """Return a new activation layer; `UsageError` lists near matches for a name that is none."""
    check_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


PLACES = ("concatenation", "batch-norm", "projection")
"""Where a context may enter: the input, the gain and bias of batch norm, or the features before a critic's score."""


class ReadsContext(nn.Module, ABC):
    """A layer that is given the context beside its input."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the layer's output for (B, ...) input and (B, c) context."""


class FeatureNetwork(nn.Module, ABC):
    """A network whose last layer reads features: a vector for each row, which is also a representation."""

    @abstractmethod
    def features(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, F) features of (B, *in_shape) rows, each of its own row alone unless batch norm mixes rows."""


def through(layers: Iterable[nn.Module], x: Tensor, context: Tensor | None = None) -> Tensor:
    """Pass x through layers one after the other; those that read a context are given it."""
    for layer in layers:
        x = layer(x, context) if isinstance(layer, ReadsContext) else layer(x)
    return x


def entries_at(conditioning: str, context: int, places: Sequence[str] = PLACES) -> tuple[int, ...]:
    """Return how many entries of the context enter at each of a network's places: all at one of them, else 0.

    Raises:
        UsageError: for a way of conditioning that the network does not have, with near matches.
    """
    check_name("conditioning", conditioning, places)
    return tuple(context if place == conditioning else 0 for place in places)
