"""The last layer of networks that read rows: a linear map of their features, and what critics add to it."""

from torch import Tensor, nn

from latentia.errors import UsageError
from latentia.networks.layers import ReadsContext, at_least_float32
from latentia.networks.minibatch import MinibatchLayer, minibatch_layer
from latentia.networks.norms import wrapped


class CriticHead(ReadsContext):
    """Score features: s = w·h + b, and by projection s = w·h + (Vc)·h + b for a row with context c.

    h are the features φ(x), with what a minibatch layer appends to them. The projection is the critic's best form
    where log p(c | x) is linear in the features for real and for generated rows alike.

    Args:
        mixing: a minibatch layer; None scores each row by itself.
        linear: w and b.
        embedding: V; None leaves the context out.

    References:
        Miyato and Koyama (2018), cGANs with projection discriminator, eq. 3.
    """

    def __init__(
        self,
        mixing: MinibatchLayer | None,
        linear: nn.Module,
        embedding: nn.Module | None,
    ) -> None:
        super().__init__()
        self.mixing = mixing
        self.linear = linear
        self.embedding = embedding

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return (B, out_features) for (B, F) features."""
        h = x if self.mixing is None else self.mixing(x)
        scores = at_least_float32(self.linear(h))
        if self.embedding is None:
            return scores
        if context is None:
            raise UsageError("a projection critic scores rows given their context; got none")
        return scores + (at_least_float32(self.embedding(context)) * h).sum(1, keepdim=True)


def head(
    features: int, out_features: int, *, norm: str = "none", minibatch: str = "none", context: int = 0
) -> nn.Module:
    """Return the last layer: a linear map, with a minibatch layer before it and a projected context, on request.

    Args:
        features: entries of its input.
        out_features: entries of its output; 1 with a context.
        norm: spectral, or another, which the last layer does not have.
        minibatch: none, discrimination or deviation.
        context: entries of the context that is projected, or 0.
    """
    if context and out_features != 1:
        raise UsageError(f"conditioning='projection' is for critics, with one output; got {out_features}")
    mixing = minibatch_layer(minibatch, features)
    wide = features + (0 if mixing is None else mixing.added)
    linear = wrapped(nn.Linear(wide, out_features), norm)
    embedding = wrapped(nn.Linear(context, wide, bias=False), norm) if context else None
    if mixing is None and embedding is None:
        return linear
    return CriticHead(mixing, linear, embedding)
