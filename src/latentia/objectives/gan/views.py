"""Views: what critics read of real rows and of samples, and what a term of a loss is given of a turn."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from latentia.functional.gan.penalties import ScoreFunction


class Drawn(NamedTuple):
    """A batch of samples.

    Attributes:
        codes: (B, d) z.
        rows: (B, *event) G(z), scaled as networks read them.
    """

    codes: Tensor
    rows: Tensor


@dataclass(frozen=True)
class View:
    """One side of the game: what a critic scores.

    Attributes:
        x: (B, *event) rows, scaled as networks read them; (B', pack, *event) where critics score packs.
        context: (B, c) or (B', pack, c), what the critic reads with them, or None.
    """

    x: Tensor
    context: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


ViewScore: TypeAlias = Callable[[View], Tensor]
"""One critic: a view → (B,) scores, or (B',) of packs."""


class Views(nn.Module, ABC):
    """What critics read of real rows and of samples; each side may have a context of its own.

    Parameters, such as an encoder's, join the generator's player. Its loss then has a part on the real side too, and
    both sides are differentiated: see `LossPair.encoder_loss`.
    """

    @abstractmethod
    def real(self, x: Tensor, context: Tensor | None) -> View:
        """Return the real side, of (B, *event) scaled rows and their context."""

    @abstractmethod
    def generated(self, drawn: Drawn, context: Tensor | None) -> View:
        """Return the generated side, of samples and the context they are drawn given."""


class RowViews(Views):
    """Rows with the context that they are given, on both sides: what most critics read."""

    def real(self, x: Tensor, context: Tensor | None) -> View:
        """Return the rows and their context."""
        return View(x, context)

    def generated(self, drawn: Drawn, context: Tensor | None) -> View:
        """Return the samples and the same context."""
        return View(drawn.rows, context)


@dataclass(frozen=True)
class Turn:
    """What a term of a loss reads of one turn, of the critics or of the generator.

    Attributes:
        scores: one function for each critic.
        real: the real side, as critics read it.
        fake: the generated side. In the generator's turn it is differentiable.
        x: (B, *event) real rows, scaled as networks read them, before `CriticInput` and packing.
        drawn: codes and samples, before `CriticInput` and packing.
        context: (B, c) what rows and samples are conditioned on, or None.
        critic_features: a view → (B, F), what the first critic's last layer reads.
        step: steps done so far; None in an unrolled step of the critics, in which no term is left out.
    """

    scores: Sequence[ViewScore]
    real: View
    fake: View
    x: Tensor
    drawn: Drawn
    context: Tensor | None
    critic_features: Callable[[View], Tensor]
    step: int | None

    def features(self) -> tuple[Tensor, Tensor]:
        """Return the first critic's features of the generated and of the real side: (B, F) each."""
        return self.critic_features(self.fake), self.critic_features(self.real)


def as_points(score: ViewScore, real: View, fake: View) -> tuple[ScoreFunction, Tensor, Tensor]:
    """Return a score as a function of points alone, the real points and the generated ones.

    Where both sides have one context it is held fixed, and a point is a row x. Where each has its own, a point is the
    vector (x, context): what interpolates or differentiates a joint critic has to do so in both parts.

    Example:
        >>> x, z, G, c = torch.ones(3, 2), torch.ones(3, 1), torch.zeros(3, 2), torch.zeros(3, 1)
        >>> f, real, fake = as_points(lambda view: view.x.sum(1) + 10 * view.context[:, 0], View(x, z), View(G, c))
        >>> real.shape, f(real), f((real + fake) / 2)
        (torch.Size([3, 3]), tensor([12., 12., 12.]), tensor([6., 6., 6.]))
    """
    if real.context is fake.context or real.context is None or fake.context is None:
        return (lambda points: score(View(points, real.context))), real.x, fake.x
    event, kind = real.x.shape[1:], real.context.shape[1:]

    def joint(points: Tensor) -> Tensor:
        x, context = points.split([event.numel(), kind.numel()], dim=1)
        return score(View(x.unflatten(1, event), context.unflatten(1, kind)))

    return joint, _joined(real.x, real.context), _joined(fake.x, fake.context)


def _joined(x: Tensor, context: Tensor) -> Tensor:
    return torch.cat([x.flatten(1), context.flatten(1)], dim=1)
