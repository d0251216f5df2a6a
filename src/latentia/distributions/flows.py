"""Normalising flows z = g(z₀), conditional on features of a row or not, from zuko's transforms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.distributions import Transform

from latentia.errors import UsageError
from latentia.registry import unknown

LAYERS = ("iaf", "maf", "realnvp")


@dataclass(frozen=True)
class Flows:
    """The size of a flow.

    Attributes:
        transforms: number of invertible layers.
        hidden: units of each of the two hidden layers in the network of an invertible layer.
    """

    transforms: int = 2
    hidden: int = 64

    def __post_init__(self) -> None:
        if self.transforms < 1 or self.hidden < 1:
            raise UsageError(
                f"a flow's transforms and hidden must be at least 1; got {self.transforms} and {self.hidden}"
            )


class Flow(nn.Module):
    """An invertible map g from z₀ to z, which may depend on features of a row.

    Zuko's lazy transforms f map z to z₀; so g is the inverse of f, unless f is used in the other direction.

    Args:
        transform: f, a lazy transform.
        forwards: whether g is f itself.
    """

    def __init__(self, transform: nn.Module, *, forwards: bool = False) -> None:
        super().__init__()
        self.transform = transform
        self.forwards = forwards

    def forward(self, features: Tensor | None) -> Transform:
        """Return g for (B, c) features, or for none."""
        f: Any = self.transform(features)
        return f if self.forwards else f.inv


def flow_named(layer: str, dim: int, size: Flows, *, features: int = 0) -> Flow:
    """Return a flow on codes of d entries.

    iaf computes g in one pass and its inverse in d passes; maf its inverse in one and g in d; realnvp both in one.

    Raises:
        UsageError: for an unknown layer, or realnvp with one entry.

    References:
        Kingma et al. (2016), Improved variational inference with inverse autoregressive flow; Papamakarios, Pavlakou
        and Murray (2017), Masked autoregressive flow; Dinh, Sohl-Dickstein and Bengio (2017), Real NVP.
    """
    import zuko

    hidden = [size.hidden, size.hidden]
    make: Callable[..., Any]
    match layer:
        case "iaf" | "maf":
            make = zuko.flows.MAF
        case "realnvp" if dim > 1:
            make = zuko.flows.RealNVP
        case "realnvp":
            raise UsageError("realnvp couples entries of the code, and latent_dim is 1: choose maf or iaf")
        case _:
            raise UsageError(unknown("flow", layer, LAYERS))
    flow = make(dim, context=features, transforms=size.transforms, hidden_features=hidden)
    return Flow(flow.transform, forwards=layer == "iaf")
