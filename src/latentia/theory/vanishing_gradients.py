"""Vanishing gradients: the norm of the generator's gradient as the critic approaches its optimum."""

import copy
from collections.abc import Iterable, Mapping, Sequence

import torch

from latentia.core.objective import Batch, Objective
from latentia.core.player import Optim
from latentia.core.train import BatchSource
from latentia.theory.best_response import best_response, player_losses


def gradient_by_critic_steps(
    objective: Objective,
    batches: BatchSource | Iterable[Batch],
    held_out: Batch,
    *,
    at: Sequence[int],
    optim: Optim,
    seed: int = 0,
    players: tuple[str, str] = ("critic", "generator"),
) -> Mapping[int, float]:
    """Measure the norm of the generator's gradient while only the critic is trained; the game is unchanged.

    ‖∂L_G/∂θ‖ after k critic updates, over all the generator's parameters. Where the two distributions hardly overlap
    and the critic nears its optimum, it falls to 0 with the minimax loss, whose slope at a row is the critic's times D;
    it does not with −log D, whose slope has the factor 1 − D instead, nor with a critic of bounded slope (Wasserstein).

    Args:
        objective: the game in its current state.
        batches: that the critic is trained on, as for `latentia.train`.
        held_out: rows for the measurement; the gradient is a mean over as many samples.
        at: numbers of critic updates, each at least 1.
        optim: the critic's optimiser.
        seed: of all draws; all gradients are taken at the same samples.
        players: the trained player, and the one whose gradient is measured.

    Returns:
        The norm by number of critic updates.

    Reference: Arjovsky & Bottou (2017), Towards Principled Methods for Training GANs, theorem 2.4 and figure 2.

    Example:
        >>> import latentia as lt
        >>> rows = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)) + 5
        >>> game = lt.recipes["gan"](lt.DataSpec((2,), lt.Support("real")), hidden=8, loss="minimax").objective
        >>> norms = gradient_by_critic_steps(game, [Batch(rows)], Batch(rows), at=(1, 5), optim=Optim())
        >>> list(norms)
        [1, 5]
    """
    critic, generator = players
    steps = best_response(objective, critic, batches, optim=optim, steps=max(at), seed=seed)
    return {
        step: _gradient_norm(twin, generator, held_out, seed)
        for step, twin in enumerate(steps, start=1)
        if step in at
    }


def _gradient_norm(objective: Objective, player: str, rows: Batch, seed: int) -> float:
    """Return the norm of a player's gradient in one step of a copy, since a step may update running statistics."""
    twin = copy.deepcopy(objective).train()
    parameters = [p for p in twin.players()[player].parameters() if p.requires_grad]
    loss = next(player_losses(twin, player, rows, torch.Generator().manual_seed(seed)))
    gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
    return float(torch.nn.utils.get_total_norm(gradients))
