"""Penalties on critics: terms added to a critic's loss that bound its slope.

A critic is any function from points (B, *event) to scores (B,); a context goes in by a closure,
``lambda x: critic(x, context)``. Penalties belong on scores without bound: behind a sigmoid the slope would be
that of a probability. Every penalty is ≥ 0, one value per row and without its weight (λ or γ): the critic's loss
is *plus* λ times the mean. Norms run over all entries of a row, and never over rows. A critic whose layers mix
rows (batch normalisation) has no gradient of a row's own; it needs another normalisation.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.checks import same_shape

ScoreFunction: TypeAlias = Callable[[Tensor], Tensor]


def interpolate(real: Tensor, fake: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return a random point between each real row and its fake: x̂ = ε x + (1 − ε) x̃, ε ~ U(0, 1) for each row.

    Args:
        real: (B, *event) x.
        fake: (B, *event) x̃.
        generator: draws ε, on the rows' device; torch's own where None.

    Returns:
        (B, *event).

    Raises:
        UsageError: for shapes that differ, or integers.

    Reference: Gulrajani et al. (2017), Improved Training of Wasserstein GANs, algorithm 1.

    Example:
        >>> x = interpolate(torch.ones(3, 2), torch.zeros(3, 2), torch.Generator().manual_seed(0))
        >>> x[0].unique().numel(), x[:, 0].unique().numel()  # one ε for a row, another for the next
        (1, 3)
    """
    _rows(real=real, fake=fake)
    same_shape(real=real, fake=fake)
    epsilon = torch.rand(len(real), generator=generator, dtype=real.dtype, device=real.device)
    return torch.lerp(fake, real, epsilon.reshape(-1, *[1] * (real.dim() - 1)))


def perturb(real: Tensor, scale: float, generator: torch.Generator | None = None) -> Tensor:
    """Return x + δ with δ ~ N(0, scale² I).

    Args:
        real: (B, *event) x.
        scale: standard deviation of the noise, in data units, above 0.
        generator: draws δ, on the rows' device; torch's own where None.

    Returns:
        (B, *event).

    Raises:
        UsageError: for a scale that is not positive, or integers.
    """
    _rows(real=real)
    if not scale > 0:
        raise UsageError(f"scale must be positive; got {scale}")
    noise = torch.randn(real.shape, generator=generator, dtype=real.dtype, device=real.device)
    return real + scale * noise


def gradient_norms(critic: ScoreFunction, x: Tensor) -> Tensor:
    """Return ‖∇f(x)‖₂ over all entries of each row.

    Where gradients are recorded, the norms can be trained through; where they are not (``torch.no_grad``), the
    values are the same. At a zero gradient the norm's own slope is taken as 0.

    Args:
        critic: f.
        x: (B, *event) points; they need not require gradients.

    Returns:
        (B,) score units over data units.

    Raises:
        UsageError: for integer points, or scores that are not (B,) or do not depend on the points.

    Example:
        >>> gradient_norms(lambda x: x.square().sum(1) / 2, torch.tensor([[3.0, 4.0]])).tolist()
        [5.0]
    """
    gradients = _gradients(critic, x)
    return torch.linalg.vector_norm(gradients, dim=1)


def gradient_penalty(
    critic: ScoreFunction, points: Tensor, center: float = 1.0, *, one_sided: bool = False
) -> Tensor:
    """Return (‖∇f(x̂)‖ − c)², or max(0, ‖∇f(x̂)‖ − c)² where it is one-sided.

    Two-sided with c = 1 on points of `interpolate` it is that of WGAN-GP, one-sided that of WGAN-LP. Both belong
    to the Euclidean cost: a cost ‖x − y‖₁ would bound max |∂f| instead.

    Args:
        critic: f.
        points: (B, *event) x̂.
        center: c ≥ 0.
        one_sided: whether only slopes above c are penalised.

    Returns:
        (B,).

    Raises:
        UsageError: for a negative center, and as `gradient_norms`.

    References:
        Gulrajani et al. (2017), Improved Training of Wasserstein GANs, eq. 3 (two-sided, weight λ = 10).
        Petzka, Fischer & Lukovnikov (2018), On the Regularization of Wasserstein GANs (one-sided).

    Example:
        >>> gradient_penalty(lambda x: 3 * x.sum(1), torch.zeros(2, 1))
        tensor([4., 4.])
    """
    if not center >= 0:
        raise UsageError(f"center must be at least 0, as a norm is; got {center}")
    excess = gradient_norms(critic, points) - center
    return (excess.clamp(min=0) if one_sided else excess).square()


def r1(critic: ScoreFunction, real: Tensor) -> Tensor:
    """Return ½‖∇f(x)‖² on real rows; the paper's R₁ is γ times its mean.

    Args:
        critic: f.
        real: (B, *event) x ~ p.

    Returns:
        (B,).

    Raises:
        UsageError: as `gradient_norms`.

    Reference: Mescheder, Geiger & Nowozin (2018), Which Training Methods for GANs do actually Converge?, eq. 9.

    Example:
        >>> r1(lambda x: 3 * x.sum(1), torch.zeros(2, 1))
        tensor([4.5000, 4.5000])
    """
    return _gradients(critic, real).square().sum(1) / 2


def r2(critic: ScoreFunction, fake: Tensor) -> Tensor:
    """Return ½‖∇f(x̃)‖² on generated rows; the paper's R₂ is γ times its mean.

    Args:
        critic: f.
        fake: (B, *event) x̃ ~ q.

    Returns:
        (B,).

    Raises:
        UsageError: as `gradient_norms`.

    Reference: Mescheder, Geiger & Nowozin (2018), Which Training Methods for GANs do actually Converge?, eq. 10.
    """
    return r1(critic, fake)


def dragan(
    critic: ScoreFunction,
    real: Tensor,
    scale: float,
    center: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return (‖∇f(x + δ)‖ − c)² around real rows, δ ~ N(0, scale² I).

    Args:
        critic: f.
        real: (B, *event) x ~ p.
        scale: standard deviation of δ, in data units.
        center: c, the paper's k.
        generator: draws δ, on the rows' device; torch's own where None.

    Returns:
        (B,).

    Raises:
        UsageError: for a scale that is not positive, and as `gradient_penalty`.

    Reference: Kodali et al. (2017), On Convergence and Stability of GANs.
    """
    return gradient_penalty(critic, perturb(real, scale, generator), center)


def consistency(critic: ScoreFunction, x: Tensor, augmented: Tensor) -> Tensor:
    """Return (f(x) − f(T(x)))²: a critic should not read what an augmentation T changes.

    On real and on generated rows, each with its own weight, it is balanced consistency. Of a critic with dropout
    the augmented rows may be the rows themselves.

    Args:
        critic: f.
        x: (B, *event).
        augmented: (B, *event) T(x), row by row.

    Returns:
        (B,).

    Raises:
        UsageError: for numbers of rows that differ, or scores that are not (B,).

    References:
        Zhang et al. (2020), Consistency Regularization for Generative Adversarial Networks.
        Zhao et al. (2021), Improved Consistency Regularization for GANs.

    Example:
        >>> consistency(lambda x: x.sum(1), torch.ones(2, 3), torch.zeros(2, 3))
        tensor([9., 9.])
    """
    scores, others = _scores(critic, x), _scores(critic, augmented)
    same_shape(scores=scores, scores_of_augmented=others)
    return (scores - others).square()


def _rows(**tensors: Tensor) -> None:
    for name, rows in tensors.items():
        if not (rows.is_floating_point() and rows.numel()):
            given = f"{tuple(rows.shape)} of {rows.dtype}"
            raise UsageError(f"{name} must be floating-point rows (B, *event), at least one; got {given}")


def _scores(critic: ScoreFunction, x: Tensor) -> Tensor:
    scores = critic(x)
    if scores.shape != x.shape[:1]:
        given = tuple(scores.shape)
        raise UsageError(
            f"critic must give one score for each row, ({len(x)},); got {given}: squeeze the rest"
        )
    return scores


def _gradients(critic: ScoreFunction, x: Tensor) -> Tensor:
    """Return ∇f(x) of each row: (B, entries)."""
    _rows(points=x)
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        # A view, for the critic's weights may depend on x themselves, after steps that are unrolled.
        points = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
        scores = _scores(critic, points)
        gradient = None
        if scores.requires_grad:  # the sum's gradient holds each row's own, for a score reads its row only
            (gradient,) = torch.autograd.grad(scores.sum(), points, create_graph=recorded, allow_unused=True)
    if gradient is None:
        raise UsageError("critic's scores do not depend on the points: compute them from its argument")
    return gradient.reshape(len(gradient), -1)
