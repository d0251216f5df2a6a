"""The last layer of generators of encoded rows: the entries of each category lie in the simplex."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CATEGORIES = ("softmax", "gumbel")


class SimplexHead(nn.Module):
    """Turn the entries of each category into probabilities, or into a draw whose gradient is a relaxed draw's.

    Of a block's entries l, softmax returns softmax(l). gumbel returns the one-hot vector of arg max (l + g), with
    independent standard Gumbel numbers g: category k with probability softmax(l)_k; its gradient is that of
    softmax((l + g) / τ) (straight-through). A block of one entry is the second of two categories, and the first has
    l = 0: its softmax is the logistic function. Entries in no block are left as they are.

    Args:
        blocks: (first, length) of the entries of each category.
        categories: softmax or gumbel.
        temperature: τ, used by gumbel alone.

    Example:
        >>> head = SimplexHead([(1, 2)])
        >>> head(torch.tensor([[7.0, 0.0, 0.0]])).tolist()
        [[7.0, 0.5, 0.5]]

    References:
        Jang, Gu and Poole (2017), Categorical reparameterization with Gumbel-softmax; Maddison, Mnih and Teh (2017),
        The concrete distribution.
    """

    def __init__(
        self, blocks: Sequence[tuple[int, int]], categories: str = "softmax", temperature: float = 0.5
    ) -> None:
        super().__init__()
        self.blocks, self.categories, self.temperature = tuple(blocks), categories, temperature

    def forward(self, y: Tensor) -> Tensor:
        """Return (B, D) rows for (B, D) outputs of a network."""
        if not self.blocks:
            return y
        parts, end = list[Tensor](), 0
        for first, length in self.blocks:
            parts += [y[:, end:first], self._category(y[:, first : first + length])]
            end = first + length
        return torch.cat([*parts, y[:, end:]], dim=1)

    def _category(self, y: Tensor) -> Tensor:
        if y.shape[1] == 1:
            return self._of_logits(torch.cat([torch.zeros_like(y), y], dim=1))[:, 1:]
        return self._of_logits(y)

    def _of_logits(self, logits: Tensor) -> Tensor:
        if self.categories == "softmax":
            return logits.softmax(1)
        noisy = logits - torch.empty_like(logits).exponential_().log()
        soft = (noisy / self.temperature).softmax(1)
        hard = torch.zeros_like(soft).scatter(1, noisy.argmax(1, keepdim=True), 1.0)
        return hard + (soft - soft.detach())
