"""The distance of a game from a Nash equilibrium: what each player gains by a best response to the others."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from latentia.core.objective import Batch, Objective
from latentia.core.player import Optim
from latentia.core.train import BatchSource
from latentia.theory.best_response import best_response, player_losses


@dataclass(frozen=True)
class NashGap:
    """The gains of all players by their best responses.

    Attributes:
        gains: by player, the decrease of its loss by its best response, in the loss's units, on held-out rows.
    """

    gains: Mapping[str, float]

    @property
    def total(self) -> float:
        """The sum of all gains: 0 at a Nash equilibrium, positive elsewhere."""
        return sum(self.gains.values())


def nash_gap(
    objective: Objective,
    batches: BatchSource | Iterable[Batch],
    held_out: Batch,
    *,
    steps: int,
    optim: Optim | Mapping[str, Optim],
    seed: int = 0,
) -> NashGap:
    """Estimate the duality gap by k best-response steps of each player, on copies; the game is unchanged.

    gap = Σ_i [L_i(x) − min_{x_i'} L_i(x_i', x_{−i})]; of a zero-sum game max_D′ V(G, D′) − min_G′ V(G′, D)

    Each minimum is estimated by gradient descent from the player's current parameters, so the gap is underestimated; it
    may be slightly negative where a response overfits the batches. Both losses of a player are taken on the same rows
    and with the same random draws.

    Args:
        objective: the game in its current state.
        batches: that the responses are trained on, as for `latentia.train`.
        held_out: rows that the losses are evaluated on; more rows make the gap less noisy.
        steps: k.
        optim: the optimiser of the responses, one for all players or by name.
        seed: of all draws.

    Reference: Grnarova et al. (2019), A domain agnostic measure for monitoring and evaluating GANs, section 3.

    Example:
        >>> import latentia as lt
        >>> rows = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)) + 5
        >>> game = lt.recipes["gan"](lt.DataSpec((2,), lt.Support("real")), hidden=8).objective
        >>> gap = nash_gap(game, [Batch(rows)], Batch(rows), steps=20, optim=Optim())
        >>> gap.gains["critic"] > 0  # it can still learn to separate 5 from 0
        True
    """
    gains: dict[str, float] = {}
    for name in objective.players():
        own = optim if isinstance(optim, Optim) else optim[name]
        *_, answered = best_response(objective, name, batches, optim=own, steps=steps, seed=seed)
        gains[name] = _loss(objective, name, held_out, seed) - _loss(answered, name, held_out, seed)
    return NashGap(gains)


def _loss(objective: Objective, player: str, rows: Batch, seed: int) -> float:
    """Return a player's first loss in a step of a copy, since a step may update running statistics."""
    game = player_losses(copy.deepcopy(objective).train(), player, rows, torch.Generator().manual_seed(seed))
    return next(game).item()
