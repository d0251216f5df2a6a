"""Replay: generated rows of earlier steps, shown to the critic again so that it does not forget them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentia.errors import UsageError


class Replay(nn.Module):
    """A store of earlier rows, which take the place of half of each new batch.

    The store is a buffer: a resumed training goes on with the same rows.

    Args:
        size: rows that are kept.
        event_shape: of a row.

    Raises:
        UsageError: for a size below 1.

    Reference: Shrivastava et al. (2017), Learning from simulated and unsupervised images, section 2.3.
    """

    stored: Tensor
    count: Tensor

    def __init__(self, size: int, event_shape: Sequence[int]) -> None:
        super().__init__()
        if size < 1:
            raise UsageError(f"replay must keep at least 1 row, or be left out; got {size}")
        self.register_buffer("stored", torch.zeros(size, *event_shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, fake: Tensor) -> Tensor:
        """Keep rows while there is room; then return them with half exchanged for stored ones: (B, *event)."""
        filled = int(self.count)
        if filled < len(self.stored):
            new = fake[: len(self.stored) - filled]
            self.stored[filled : filled + len(new)] = new
            self.count += len(new)
            return fake
        half = min(len(fake) // 2, len(self.stored))
        places = torch.randperm(len(self.stored), device=fake.device)[:half]
        old = self.stored[places].to(fake)
        self.stored[places] = fake[:half].to(self.stored)
        return torch.cat([old, fake[half:]])
