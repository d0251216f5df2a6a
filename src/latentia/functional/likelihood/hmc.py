"""Hamiltonian Monte Carlo along an annealing path, for many chains of many rows at once.

Each row has its own step size at each temperature. Step sizes are adapted on chains that are then discarded: adapting
them on the weighted chains would bias the weights.
"""

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.likelihood.ais import Move, Path, Point

# Acceptance that step sizes are adapted to: higher than 0.65, the optimum of one long stationary chain.
TARGET = 0.8
_GAIN = 0.5  # of the adaptation: a row whose proposals are all rejected takes steps 0.67 times as long


def hamiltonian_move(
    path: Path,
    here: Point,
    beta: float,
    step_size: Tensor,
    *,
    leapfrog: int,
    generator: torch.Generator | None = None,
) -> tuple[Point, Tensor]:
    """Move chains by one trajectory of Hamiltonian dynamics, accepted or rejected: f_β is invariant.

    v ~ N(0, I); L leapfrog steps of length ε u, u ~ U(½, 1) for each chain, which avoids periodic trajectories;
    accepted with probability min(1, exp(log f_β(z′) − ½‖v′‖² − log f_β(z) + ½‖v‖²)).

    Args:
        path: the annealing path.
        here: C chains of B rows.
        beta: β.
        step_size: (B,) ε of each row.
        leapfrog: L, the number of steps and of decoder evaluations per code.
        generator: where randomness comes from; torch's global state without one.

    Returns:
        the chains afterwards, and the acceptance probability, (C, B); 0 where a trajectory diverged.

    Reference: Neal (2011), MCMC using Hamiltonian dynamics, sections 5.3.2 and 5.5.2.2.
    """
    chance, velocity = _uniform(here.ratio, generator), _normal(here.z, generator)
    steps = (step_size * (0.5 + 0.5 * _uniform(here.ratio, generator)))[..., None]
    there, arrived = _trajectory(path, here, velocity, beta, steps, leapfrog)
    gain = there.log_density(beta) - here.log_density(beta)
    energy = 0.5 * (velocity.square().sum(-1) - arrived.square().sum(-1))
    probability = (gain + energy).clamp(max=0).exp().nan_to_num(nan=0.0)
    return here.moved(there, chance < probability), probability


def hamiltonian(
    path: Path,
    betas: Tensor,
    step_sizes: Tensor,
    *,
    leapfrog: int,
    generator: torch.Generator | None = None,
) -> Move:
    """Return Hamiltonian moves with given step sizes, for `ais` and `reverse_ais`.

    Args:
        path: the annealing path.
        betas: (T + 1,) temperatures.
        step_sizes: (T − 1, B) ε of each row at β_1 .. β_{T−1}.
        leapfrog: L.
        generator: where randomness comes from; torch's global state without one.
    """
    values = betas.tolist()

    def move(point: Point, t: int) -> tuple[Point, Tensor]:
        size = step_sizes[t - 1]
        return hamiltonian_move(path, point, values[t], size, leapfrog=leapfrog, generator=generator)

    return move


def adapted_step_sizes(
    path: Path,
    z: Tensor,
    betas: Tensor,
    *,
    leapfrog: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return a step size for each row at each temperature, adapted on one pass of separate chains.

    ε_1 = d^(−¼); after a move at β_t, log ε_{t+1} = log ε_t + ½ (a_t − 0.8), a_t the mean acceptance of a row's
    chains; the step size of β_t is the one updated after it, ε_{t+1}.

    Args:
        path: the annealing path.
        z: (C, B, d) draws from the start.
        betas: (T + 1,) temperatures.
        leapfrog: L.
        generator: where randomness comes from; torch's global state without one.

    Returns:
        (T − 1, B).

    Raises:
        UsageError: for fewer than 1 leapfrog step.

    Reference: Wu et al. (2017), On the quantitative analysis of decoder-based generative models, who adapt the weighted
    chains themselves, to an acceptance of 0.65.
    """
    if leapfrog < 1:
        raise UsageError(f"a trajectory needs at least 1 leapfrog step; got {leapfrog}")
    point, log_size = path.at(z), torch.full_like(z[0, :, 0], z.shape[2] ** -0.25).log()
    sizes: list[Tensor] = []
    for beta in betas[1:-1].tolist():
        point, acceptance = hamiltonian_move(
            path, point, beta, log_size.exp(), leapfrog=leapfrog, generator=generator
        )
        log_size = log_size + _GAIN * (acceptance.mean(0) - TARGET)
        sizes.append(log_size.exp())
    return torch.stack(sizes) if sizes else z.new_zeros(0, z.shape[1])


def _trajectory(
    path: Path, point: Point, velocity: Tensor, beta: float, steps: Tensor, leapfrog: int
) -> tuple[Point, Tensor]:
    """Return the point after L leapfrog steps, and the velocity there."""
    velocity = velocity + 0.5 * steps * point.slope(beta)
    for left in reversed(range(leapfrog)):
        point = path.at(torch.addcmul(point.z, steps, velocity))
        velocity = velocity + (steps if left else 0.5 * steps) * point.slope(beta)
    return point, velocity


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=generator)
