"""Products of categorical distributions, the components of latent-class models, and their M-step."""

from dataclasses import dataclass

import torch
from torch import Tensor

_IMPOSSIBLE = -1e30  # a finite stand-in for log 0, which times 0 is not defined


@dataclass(frozen=True)
class Categories:
    """K products of G independent categorical variables: p(x | k) = Π_g θ_kg(x_g).

    Attributes:
        probabilities: (K, F) θ, variable after variable.
        groups: the number of outcomes of each variable; their sum is F.

    Example:
        >>> coin = Categories(torch.tensor([[0.2, 0.8]]), (2,))
        >>> coin.log_prob(torch.tensor([[0.0, 1.0]])).exp()
        tensor([[0.8000]])
    """

    probabilities: Tensor
    groups: tuple[int, ...]

    def log_prob(self, indicators: Tensor) -> Tensor:
        """Return log p(x | k) of rows as one-hot indicators (B, F), all zeros where one is not known: (B, K) nats."""
        found = indicators @ self.probabilities.log().clamp_min(_IMPOSSIBLE).mT
        return torch.where(found < _IMPOSSIBLE / 2, -torch.inf, found)

    def draw(self, k: Tensor) -> Tensor:
        """Draw the outcomes of rows of components (B,) from torch's global generator: (B, G)."""
        parts = [_drawn(theta[k]) for theta in self.probabilities.split(list(self.groups), dim=1)]
        return (
            torch.stack(parts, dim=1) if parts else torch.empty(len(k), 0, dtype=torch.long, device=k.device)
        )

    def maximised(self, counts: Tensor, pseudo_count: float) -> "Categories":
        """Return the most likely probabilities: θ_kg(l) = (N_kgl + a) / Σ_m (N_kgm + a), G of them.

        It is the maximum of the posterior under a Dirichlet(1 + a) prior. A variable without a count in a component,
        nor a pseudo-count, keeps its probabilities.

        Args:
            counts: (K, F) N, the expected numbers of rows of a component with an outcome.
            pseudo_count: a.

        Reference: Bishop (2006), Pattern Recognition and Machine Learning, eqs. 9.58 and 2.41.
        """
        sizes = list(self.groups)
        kept = self.probabilities.split(sizes, dim=1)
        parts = [
            _normalised(part + pseudo_count, old)
            for part, old in zip(counts.split(sizes, dim=1), kept, strict=True)
        ]
        return Categories(torch.cat([counts[:, :0], *parts], dim=1), self.groups)


def uniform(components: int, groups: tuple[int, ...]) -> Tensor:
    """Return the probabilities (K, F) of uniform distributions, in float64."""
    row = [1 / size for size in groups for _ in range(size)]
    return torch.tensor(row, dtype=torch.float64).expand(components, -1).clone()


def _normalised(counts: Tensor, old: Tensor) -> Tensor:
    total = counts.sum(1, keepdim=True)
    return torch.where(total > 0, counts / torch.where(total > 0, total, 1.0), old)


def _drawn(theta: Tensor) -> Tensor:
    """Draw one outcome for each row of probabilities (B, L) by inverting their distribution function: (B,)."""
    reached = theta.cumsum(1)
    u = torch.rand(len(theta), 1, dtype=theta.dtype, device=theta.device) * reached[:, -1:]
    return (u >= reached).sum(1).clamp_max(theta.shape[1] - 1)
