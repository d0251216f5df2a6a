"""Building blocks of all networks: activations, initial weights, layers that read a context, features, precision."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from latentia.registry import Registry, activations, check_name

_POWER_ITERATIONS = 15  # of spectral norm after new weights, as many as torch does at construction


class Maxout(nn.Module):
    """The largest of several linear maps, h_i = max_j z_ji; the input holds the outputs of map 1, then of map 2, ….

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
"""Inputs of an activation for each output; one for those that are not named."""


def activation_named(name: str) -> nn.Module:
    """Return a new activation layer; `UsageError` for an unknown name, with near matches."""
    check_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


@torch.no_grad()
def normal_init(module: nn.Module, std: float = 0.02) -> None:
    """Initialise the weights of all linear maps and convolutions from N(0, std²), and their biases with 0.

    Gains and biases of norms are not changed.

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
            for parameter in layer.parameters():  # with spectral norm, the unnormalised weights
                _ = parameter.normal_(0, std) if parameter.dim() > 1 else parameter.zero_()
            for _ in range(_POWER_ITERATIONS):  # each access of a weight is one
                layer.weight  # noqa: B018  # pyright: ignore[reportUnusedExpression]


class ReadsContext(nn.Module, ABC):
    """A layer with the context as a second input."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the layer's output for (B, ...) input and (B, c) context."""


def through(layers: Iterable[nn.Module], x: Tensor, context: Tensor | None = None) -> Tensor:
    """Apply layers one after the other, with the context for those that read one."""
    for layer in layers:
        x = layer(x, context) if isinstance(layer, ReadsContext) else layer(x)
    return x


PLACES = ("concatenation", "batch-norm", "projection")
"""Where a context may enter: at the input, by gain and bias of batch norm, or at a critic's features."""


def entries_at(conditioning: str, context: int, places: Sequence[str] = PLACES) -> tuple[int, ...]:
    """Return the entries of the context that enter at each place of a network: all at one place, 0 at others.

    Raises:
        UsageError: for a conditioning that the network does not have, with near matches.
    """
    check_name("conditioning", conditioning, places)
    return tuple(context if place == conditioning else 0 for place in places)


class FeatureNetwork(nn.Module, ABC):
    """A network whose last layer reads a feature vector of each row, which also serves as a representation."""

    @abstractmethod
    def features(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, F) features of (B, *in_shape) rows; batch norm aside, they depend on their own row only."""


def at_least_float32(x: Tensor) -> Tensor:
    """Return bfloat16 and float16 as float32, and other types unchanged, so that losses are never in half precision."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
