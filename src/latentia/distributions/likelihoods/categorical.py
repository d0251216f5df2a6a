"""The categorical likelihood: a probability for each of K levels."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.distributions.constraints import Constraint

from latentia.data.spec import DataSpec
from latentia.distributions.likelihoods.base import Likelihood
from latentia.errors import UsageError
from latentia.networks.scaling import Affine
from latentia.registry import likelihoods

_MOST = 256  # levels: a row of D entries has D times as many parameters


class Levels(Distribution):
    """A categorical distribution on 0..K-1: P(k) = softmax(logits)_k.

    Args:
        logits: (*batch, K).
        ordered: whether the levels are numbers, which have a mean, or names, which have a mode only.

    Example:
        >>> levels = Levels(torch.tensor([0.0, 0.0, 9.0]).log_softmax(0), ordered=False)
        >>> levels.mean, levels.log_prob(torch.tensor(2.0)).exp() > 0.99
        (tensor(2.), tensor(True))
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.nonnegative_integer  # pyright: ignore

    def __init__(self, logits: Tensor, *, ordered: bool) -> None:
        self.categorical = Categorical(logits=logits, validate_args=False)
        self.ordered = ordered
        super().__init__(logits.shape[:-1], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P(k), elementwise, in nats."""
        return self.categorical.log_prob(value.long())

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw levels, as floating-point numbers."""
        return self.categorical.sample(torch.Size(sample_shape)).to(self.categorical.logits.dtype)

    @property
    def mean(self) -> Tensor:
        """The mean, Σ k P(k); for levels without order, which have none, the most likely level."""
        if not self.ordered:
            return self.categorical.logits.argmax(-1).to(self.categorical.logits.dtype)
        levels = torch.arange(self.categorical.logits.shape[-1], device=self.categorical.logits.device)
        return self.categorical.probs @ levels.to(self.categorical.probs)


@likelihoods.register("categorical")
class CategoricalLikelihood(Likelihood):
    """A probability for each of K levels, at most 256, from logits: log p(x) = Σ log softmax(h)_x.

    It has K parameters for each entry and assumes no order or shape: neighbouring levels are not tied
    (van den Oord et al. 2016, Pixel recurrent neural networks, section 3).
    """

    kinds = ("discrete", "categorical")
    measure = "counting"

    def __init__(self, data: DataSpec, scaling: Affine) -> None:
        super().__init__(data, scaling)
        self.params_per_entry = data.support.levels or 0
        if self.params_per_entry > _MOST:
            raise UsageError(
                f"likelihood='categorical' is for at most {_MOST} levels; this data is {data.support}"
            )

    def forward(self, h: Tensor) -> Distribution:
        """Return the categorical distribution with logits h, (B, K, *event)."""
        return self.independent(Levels(h.movedim(1, -1), ordered=self.support.kind == "discrete"))
