"""Training dynamics of a Dirac-GAN: simultaneous and alternating gradient steps, and the gradient flow."""

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.theory.dirac_gan import DiracGan, field


def simultaneous(game: DiracGan, start: Tensor, *, steps: int, lr: float) -> Tensor:
    """Return the trajectory of simultaneous gradient descent: x ← x + h v(x).

    Args:
        game: the Dirac-GAN.
        start: (2,) θ and ψ.
        steps: at least 1.
        lr: h, above 0.

    Returns:
        (steps + 1, 2) the points, from the start on.

    Raises:
        UsageError: for fewer than 1 step, or a learning rate that is not positive.

    Reference: Mescheder, Geiger & Nowozin (2018), algorithm 1.

    Example:
        >>> from latentia.functional import loss_pair
        >>> path = simultaneous(DiracGan(loss_pair("wasserstein")), torch.tensor([1.0, 0.0]), steps=1, lr=0.5)
        >>> path.tolist()
        [[1.0, 0.0], [1.0, -0.5]]
    """
    _check(steps, lr)
    path = [start]
    for _ in range(steps):
        path.append(_clipped(game, path[-1] + lr * field(game, path[-1])))
    return torch.stack(path)


def alternating(
    game: DiracGan,
    start: Tensor,
    *,
    steps: int,
    lr: float,
    critic_steps: int = 1,
    critic_lr: float | None = None,
) -> Tensor:
    """Return the trajectory of alternating gradient descent: the generator's step, then the critic's from there.

    Without a penalty both eigenvalues of a round have modulus 1 as long as the product of both learning rates,
    ``critic_steps`` and f′² is at most 4: to first order the trajectory cycles for ever.

    Args:
        game: the Dirac-GAN.
        start: (2,) θ and ψ.
        steps: rounds, at least 1.
        lr: h, above 0.
        critic_steps: critic updates per round.
        critic_lr: the critic's h; default: the generator's.

    Returns:
        (steps + 1, 2) the points after each round, from the start on.

    Raises:
        UsageError: for fewer than 1 step, or a learning rate that is not positive.

    Reference: Mescheder, Geiger & Nowozin (2018), algorithm 2 and lemma 2.5.

    Example:
        >>> from latentia.functional import loss_pair
        >>> path = alternating(DiracGan(loss_pair("wasserstein")), torch.tensor([0.0, 1.0]), steps=1, lr=0.5)
        >>> path.tolist()
        [[0.0, 1.0], [0.5, 0.75]]
    """
    critic_lr = lr if critic_lr is None else critic_lr
    _check(steps, lr)
    _check(critic_steps, critic_lr)
    generator, critic = torch.eye(2).to(start)
    point, path = start, [start]
    for _ in range(steps):
        point = point + lr * generator * field(game, point)
        for _ in range(critic_steps):
            point = _clipped(game, point + critic_lr * critic * field(game, point))
        path.append(point)
    return torch.stack(path)


def flow(game: DiracGan, start: Tensor, times: Tensor) -> Tensor:
    """Integrate the gradient flow dx/dt = v(x), the limit of small steps, to a relative accuracy of 1e-8.

    A critic at its clipping bound stays there while the field points outwards.

    Args:
        game: the Dirac-GAN.
        start: (2,) θ and ψ at the first time.
        times: (T,) increasing.

    Returns:
        (T, 2) the points in float64.

    Raises:
        UsageError: where the integration fails.

    Example:
        >>> from latentia.functional import loss_pair
        >>> times = torch.tensor([0.0, torch.pi / 6])  # a twelfth of a turn
        >>> flow(DiracGan(loss_pair("wasserstein")), torch.tensor([0.0, 1.0]), times)[-1]
        tensor([0.5000, 0.8660], dtype=torch.float64)
    """
    from scipy.integrate import solve_ivp

    def right_hand_side(_: float, x: list[float]) -> list[float]:
        point = torch.tensor(x, dtype=torch.float64)
        v = field(game, point)
        held = game.clip is not None and abs(point[1]) >= game.clip and point[1] * v[1] > 0
        return [float(v[0]), 0.0 if held else float(v[1])]

    ends = (float(times[0]), float(times[-1]))
    solved = solve_ivp(right_hand_side, ends, start.tolist(), "DOP853", times.tolist(), rtol=1e-8, atol=1e-10)
    if not solved.success:
        raise UsageError(f"the flow could not be integrated: {solved.message}")
    return torch.as_tensor(solved.y.T)


def _clipped(game: DiracGan, point: Tensor) -> Tensor:
    """Return the point with ψ clipped to [−c, c], as `latentia.functional.clip_weights_` clips a critic's weights."""
    if game.clip is None:
        return point
    return torch.stack([point[0], point[1].clamp(-game.clip, game.clip)])


def _check(steps: int, lr: float) -> None:
    if steps < 1 or not lr > 0:
        raise UsageError(f"steps must be at least 1 and lr above 0; got {steps} and {lr}")
