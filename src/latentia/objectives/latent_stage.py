"""Objectives on codes: fit a density to the codes of a trained encoder."""

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
    """Apply another objective to codes z = E[q(z | x)] in place of rows; the encoder is frozen.

    Args:
        codec: a trained model that encodes and decodes.
        inner: the objective of a density of codes, whose model can be sampled.

    Raises:
        UsageError: for an inner model that cannot be sampled.
    """

    def __init__(self, codec: Codec, inner: Objective) -> None:
        super().__init__()
        if not isinstance(inner.model, Generative):
            raise UsageError(
                f"a density of codes must be able to sample; {type(inner.model).__name__} is not"
            )
        self.codec = codec.requires_grad_(False).eval()
        self.inner = inner
        self.encoder = _Encoder(codec)

    @property
    def model(self) -> LatentDensity:  # pyright: ignore
        """The distribution of rows: codes from the fitted density, decoded."""
        density: Any = self.inner.model
        return LatentDensity(self.codec, density).train(self.training)

    @property
    def finished(self) -> bool:  # pyright: ignore
        """Whether the inner objective has finished."""
        return self.inner.finished

    def train(self, mode: bool = True) -> OnLatents:
        """Set the mode of the inner objective; the encoder stays in eval mode, without dropout or batch statistics."""
        super().train(mode)
        self.codec.eval()
        return self

    def players(self) -> Mapping[str, nn.Module]:
        """Return the players of the inner objective."""
        return self.inner.players()

    def begin(self, rows: Blocks) -> None:
        """Initialise the inner objective from the codes."""
        self.inner.begin(self.encoder.codes(rows))

    def step(self, batch: Batch) -> Step:
        """Do a step of the inner objective on a batch's codes."""
        self.inner.clock.copy_(self.clock)
        return (yield from self.inner.step(self.encoder.codes(batch)))


class _Encoder:
    """Encodes sets of rows and caches the last one, since closed forms read the same rows at every step."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.rows: Tensor | None = None
        self.last: Batch | None = None

    @torch.no_grad()
    def codes(self, rows: Blocks) -> Batch:
        """Return the mean code of each row, as a batch."""
        x = rows.x if isinstance(rows, Batch) else None
        if self.last is None or x is None or x is not self.rows:
            parts = [self.codec.encode(block.x.float()).mean for block in rows.blocks(_BLOCK)]
            self.rows, self.last = x, Batch(torch.cat(parts))
        return self.last
