"""Objectives on codes: fit a law to what a trained encoder makes of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentia.core.model import Generative
from latentia.core.objective import Batch, Blocks, Objective, Step
from latentia.errors import UsageError
from latentia.models.latent_density import Codec, LatentDensity

_BLOCK = 4096  # rows that are encoded at once


class OnLatents(Objective):
    """Play another objective's game on codes z = E[q(z | x)] instead of rows; the encoder does not move.

    Args:
        codec: a trained model that encodes and decodes.
        inner: how a law of codes learns; its model can be sampled.

    Raises:
        UsageError: for an inner model that cannot be sampled.
    """

    def __init__(self, codec: Codec, inner: Objective) -> None:
        super().__init__()
        if not isinstance(inner.model, Generative):
            raise UsageError(f"a law of codes is to be sampled; {type(inner.model).__name__} cannot be")
        self.codec = codec.requires_grad_(False).eval()
        self.inner = inner
        self.encoder = _Encoder(codec)

    @property
    def model(self) -> LatentDensity:  # pyright: ignore
        """The law of rows: codes from the fitted law, decoded."""
        density: Any = self.inner.model
        return LatentDensity(self.codec, density).train(self.training)

    @property
    def finished(self) -> bool:  # pyright: ignore
        """Whether the inner objective has finished."""
        return self.inner.finished

    def train(self, mode: bool = True) -> OnLatents:
        """Set the mode of the inner game; the encoder stays in eval mode, without dropout or batch statistics."""
        super().train(mode)
        self.codec.eval()
        return self

    def players(self) -> Mapping[str, nn.Module]:
        """Return the players of the inner game."""
        return self.inner.players()

    def begin(self, rows: Blocks) -> None:
        """Let the inner objective begin on codes."""
        self.inner.begin(self.encoder.codes(rows))

    def step(self, batch: Batch) -> Step:
        """Play the inner game on a batch's codes."""
        self.inner.clock.copy_(self.clock)
        return (yield from self.inner.step(self.encoder.codes(batch)))


class _Encoder:
    """Encodes sets of rows, and remembers the last one: closed forms read the same rows at every step."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.rows: Tensor | None = None
        self.last: Batch | None = None

    @torch.no_grad()
    def codes(self, rows: Blocks) -> Batch:
        """Return the mean code of each row, as a batch."""
        x = rows.x if isinstance(rows, Batch) else None
        if self.last is None or x is None or x is not self.rows:
            parts = [self.codec.encode(block.x).mean for block in rows.blocks(_BLOCK)]
            self.rows, self.last = x, Batch(torch.cat(parts))
        return self.last
