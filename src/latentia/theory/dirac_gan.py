"""The Dirac-GAN: scalar generator against scalar critic, with the losses and penalties that networks train with.

The data are the point 0, the generator makes the point θ, and the critic is a line: D(x) = e + ψ x, where e is the
score of a row as likely real as generated. The equilibrium is (θ, ψ) = (0, 0). Whether training converges to it is
decided by the eigenvalues of the Jacobian of the gradient vector field.

Reference: Mescheder, Geiger & Nowozin (2018), Which Training Methods for GANs do actually Converge?, section 2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.gan.loss_pairs import LossPair
from latentia.functional.gan.penalties import ScoreFunction

PenaltyFunction: TypeAlias = Callable[[ScoreFunction, Tensor, Tensor], Tensor]
"""(critic, real rows (B, 1), generated rows (B, 1)) → (B,) a regulariser added to the critic's loss."""

_NODES = 64  # of the quadrature over instance noise; exact for polynomials up to degree 127
_STEP, _JUMP = (
    1e-6,
    1e-3,
)  # a field that changes by more than _JUMP over a distance _STEP is not differentiable there


@dataclass(frozen=True)
class DiracGan:
    """A Dirac-GAN: its losses, regularisers and constraints.

    Attributes:
        losses: of critic and generator.
        penalty: added to the critic's loss, its weight included: ``lambda critic, real, fake: 0.3 * r1(critic, real)``.
        noise: s, standard deviation of instance noise: real and generated points are 0 + ε and θ + ε′, with
            ε, ε′ ~ N(0, s²), and the losses are expectations.
        consensus: γ, weight of the regulariser ½‖v‖² added to both players' losses.
        clip: c; ψ is clipped to [−c, c] after each step; None for no clipping.

    Raises:
        UsageError: for a negative noise or consensus, a bound that is not positive, or noise with a relativistic
            pair (whose losses are of pairs of rows, not of points).

    Reference: Mescheder, Geiger & Nowozin (2018), definition 2.1; consensus: Mescheder, Nowozin & Geiger (2017), The
    Numerics of GANs, section 4; instance noise: Sønderby et al. (2017), Amortised MAP Inference.

    Example:
        >>> from latentia.functional import loss_pair, r1
        >>> game = DiracGan(loss_pair("minimax"), lambda critic, real, fake: 0.3 * r1(critic, real))
        >>> eigenvalues(game).real  # −γ/2, twice
        tensor([-0.1500, -0.1500], dtype=torch.float64)
    """

    losses: LossPair
    penalty: PenaltyFunction | None = None
    noise: float = 0.0
    consensus: float = 0.0
    clip: float | None = None

    def __post_init__(self) -> None:
        if not (self.noise >= 0 and self.consensus >= 0):
            given = f"{self.noise} and {self.consensus}"
            raise UsageError(f"noise and consensus must be at least 0; got {given}")
        if self.clip is not None and not self.clip > 0:
            raise UsageError(f"clip must be positive, or left out; got {self.clip}")
        if self.noise and self.losses.relativistic:
            raise UsageError(
                "noise is averaged over points, and a relativistic pair has losses of pairs: leave noise out"
            )


def player_losses(game: DiracGan, point: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of generator and critic at (θ, ψ), without the consensus term.

    Args:
        game: the Dirac-GAN.
        point: (2,) θ and ψ, in float64 for accurate eigenvalues.

    Returns:
        () and (), in the losses' units.
    """
    theta, psi = point
    noise, weights = _noise(game, point)
    real, fake = noise[:, None], (theta + noise)[:, None]
    even = game.losses.even or 0.0

    def critic(x: Tensor) -> Tensor:
        return even + psi * x.squeeze(1)

    real_scores, fake_scores = critic(real), critic(fake)
    real_loss, fake_loss = game.losses.critic(real_scores, fake_scores)
    critic_loss = weights @ (real_loss + fake_loss)
    if game.penalty is not None:
        critic_loss = critic_loss + weights @ game.penalty(critic, real, fake)
    return weights @ game.losses.generator(fake_scores, real_scores), critic_loss


def field(game: DiracGan, point: Tensor) -> Tensor:
    """Return the gradient vector field v = (−∂L_G/∂θ, −∂L_D/∂ψ) − γ ∇½‖v‖², differentiable in the point.

    Args:
        game: the Dirac-GAN; clipping is not part of the field.
        point: (2,) θ and ψ.

    Returns:
        (2,).

    Reference: Mescheder, Geiger & Nowozin (2018), eq. 3; Mescheder, Nowozin & Geiger (2017), eq. 13 (consensus).

    Example:
        >>> from latentia.functional import loss_pair
        >>> field(DiracGan(loss_pair("wasserstein")), torch.tensor([1.0, 2.0]))  # it turns
        tensor([ 2., -1.])
    """
    with torch.enable_grad():
        moving = point if point.requires_grad else point.detach().requires_grad_()
        generator_loss, critic_loss = player_losses(game, moving)
        v = -torch.stack([_gradient(generator_loss, moving)[0], _gradient(critic_loss, moving)[1]])
        if game.consensus:
            v = v - game.consensus * _gradient(v.square().sum() / 2, moving)
    return v if point.requires_grad else v.detach()


def jacobian(game: DiracGan, point: Tensor) -> Tensor:
    """Return ∂v/∂(θ, ψ) by automatic differentiation.

    Args:
        game: the Dirac-GAN.
        point: (2,) θ and ψ.

    Returns:
        (2, 2), row i the gradient of v_i.
    """
    moving = point.detach().requires_grad_()
    return torch.stack([_gradient(v, moving).detach() for v in field(game, moving)])


def eigenvalues(game: DiracGan, point: Tensor | None = None) -> Tensor:
    """Return the eigenvalues of the Jacobian at the equilibrium, sorted by their imaginary parts.

    Training with small steps h converges locally if all real parts are negative, and diverges if one is positive. Where
    both are 0, to first order the continuous dynamics cycle and simultaneous steps diverge, since |1 + hλ| > 1;
    higher-order terms decide, and let the non-saturating pair converge slowly. In theory, with
    f′ = √(−g′(e) c′(e)) from the slopes of the generator's and the critic's loss on generated rows, c″ the
    curvature of the sum of the critic's two losses, and γ the total weight of r1 and r2:

        none: ±i f′;  r1, r2: −γ/2 ± √(γ²/4 − f′²);  noise s: the same with γ = s² c″;  consensus: −γ f′² ± i f′

    Args:
        game: the Dirac-GAN.
        point: (2,) θ and ψ of the equilibrium; default: (0, 0) in float64.

    Returns:
        (2,) complex.

    Raises:
        UsageError: where the field is not 0, or not differentiable: that of WGAN-GP jumps at ψ = 0.

    Reference: Mescheder, Geiger & Nowozin (2018), lemmas 2.3, 3.2 (instance noise) and 3.3 (r1 and r2).

    Example:
        >>> from latentia.functional import loss_pair
        >>> eigenvalues(DiracGan(loss_pair("non-saturating"))).imag
        tensor([-0.5000,  0.5000], dtype=torch.float64)
    """
    point = torch.zeros(2, dtype=torch.float64) if point is None else point
    _check_equilibrium(game, point)
    matrix = jacobian(game, point)
    if not bool(matrix.isfinite().all()):
        raise UsageError(f"the field has no Jacobian at {point.tolist()}: the penalty is not smooth there")
    values = torch.linalg.eigvals(matrix)
    return values[torch.argsort(values.imag)]


def _noise(game: DiracGan, point: Tensor) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of the Gauss-Hermite rule for N(0, s²); for s = 0, the node 0 with weight 1."""
    if not game.noise:
        return point.new_zeros(1), point.new_ones(1)
    from numpy.polynomial.hermite_e import hermegauss

    nodes, weights = (torch.as_tensor(part).to(point) for part in hermegauss(_NODES))
    return game.noise * nodes, weights / weights.sum()


def _gradient(value: Tensor, point: Tensor) -> Tensor:
    """Return the gradient in the point: zeros where the value does not depend on it."""
    if not value.requires_grad:
        return torch.zeros_like(point)
    (gradient,) = torch.autograd.grad(value, point, create_graph=True, materialize_grads=True)
    return gradient


def _check_equilibrium(game: DiracGan, point: Tensor) -> None:
    rest = float(field(game, point).norm())
    if rest > _JUMP:
        raise UsageError(f"{point.tolist()} is no equilibrium: the field has norm {rest:.3g} there")
    for way in _STEP * torch.eye(2, dtype=point.dtype):
        if float((field(game, point + way) - field(game, point - way)).norm()) > _JUMP:
            raise UsageError(f"the field jumps at {point.tolist()}, so it has no Jacobian there")
