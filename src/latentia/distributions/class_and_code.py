"""The joint distribution of a class and a code."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.nn.functional import one_hot


class ClassAndCode(Distribution):
    """A class and, given the class, a code: q(z, y) = q(y) q(z | y), as the vector (z, one-hot y).

    Args:
        log_q: (B, C) log q(y), in nats.
        codes: C conditionals q(z | y) with batch shape (B,) and event shape (d,).
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  # pyright: ignore
    support = constraints.real_vector  # pyright: ignore

    def __init__(self, log_q: Tensor, codes: Sequence[Distribution]) -> None:
        self.log_q, self.codes = log_q, codes
        size = codes[0].event_shape.numel() + len(codes)
        super().__init__(log_q.shape[:-1], torch.Size((size,)), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(y) + log q(z | y) of (*, B, d + C) vectors: (*, B) nats."""
        C = len(self.codes)
        z, y = value[..., :-C], value[..., -C:]
        each = torch.stack([q.log_prob(z) for q in self.codes], dim=-1) + self.log_q
        return torch.where(y > 0, each, torch.zeros_like(each)).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # pyright: ignore
        """Draw classes and codes: (*sample, B, d + C)."""
        shape = torch.Size(sample_shape)
        y = one_hot(Categorical(logits=self.log_q, validate_args=False).sample(shape), len(self.codes))
        z = torch.stack([q.sample(shape) for q in self.codes], dim=-1)
        return torch.cat([(z * y[..., None, :].to(z.dtype)).sum(-1), y.to(z.dtype)], dim=-1)

    @property
    def mean(self) -> Tensor:
        """The mean code and the probabilities of classes: (B, d + C)."""
        probs = self.log_q.exp()
        means = torch.stack([q.mean for q in self.codes], dim=-1)
        return torch.cat([(means * probs[:, None]).sum(-1), probs], dim=-1)
