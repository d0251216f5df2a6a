"""Penalties that are added to the critics' loss, by name.

To add one, decorate a function of a critic, real rows and fake rows that returns (B,):
``@penalties.register(name, weight=10.0)``, with the weight it has by default.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.errors import UsageError
from latentia.functional.gan.penalties import ScoreFunction, dragan, gradient_penalty, interpolate, r1, r2
from latentia.networks.critic import batch_norm_layers
from latentia.objectives.gan.views import Turn, as_points
from latentia.registry import Registry, penalties, unknown

PENALTIES: Registry[Callable[[ScoreFunction, Tensor, Tensor], Tensor]] = penalties
_DRAGAN_SCALE = 0.5  # of the batch's standard deviation, as in the paper


@penalties.register("gradient", weight=10.0)
def _wgan_gp(critic: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:
    return gradient_penalty(critic, interpolate(real, fake))


@penalties.register("one-sided-gradient", weight=10.0)
def _wgan_lp(critic: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:
    return gradient_penalty(critic, interpolate(real, fake), one_sided=True)


@penalties.register("r1", weight=1.0)
def _r1(critic: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001
    return r1(critic, real)


@penalties.register("r2", weight=1.0)
def _r2(critic: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001
    return r2(critic, fake)


@penalties.register("r1-r2", weight=1.0)
def _r1_r2(critic: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:
    return r1(critic, real) + r2(critic, fake)


@penalties.register("dragan", weight=10.0)
def _dragan(critic: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001
    deviation = float(real.std(correction=0))
    if len(real) == 1 and not deviation > 0:  # a number alone, the end of an epoch: there is no noise to add
        return gradient_penalty(critic, real)
    if not deviation > 0:
        raise UsageError(
            "the dragan penalty's noise is half the standard deviation of a batch, and all entries of this one are "
            "equal: choose another penalty, or larger batches"
        )
    return dragan(critic, real, _DRAGAN_SCALE * deviation)


@dataclass(frozen=True)
class Penalty:
    """A penalty of a game: weight times the mean over rows, every so many steps with so many times the weight.

    Attributes:
        name: of `PENALTIES`.
        weight: λ or γ; None is the paper's.
        every: steps from one to the next (lazy regularisation).

    Raises:
        UsageError: for a name that is none, a negative weight, or fewer steps than 1.

    Reference: Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, appendix B (lazy).
    """

    name: str
    weight: float | None = None
    every: int = 1
    label = "penalty"

    def __post_init__(self) -> None:
        if self.name not in PENALTIES:
            raise UsageError(unknown("penalty", self.name, ["none", *PENALTIES]))
        if self.weight is not None and not self.weight >= 0:
            raise UsageError(f"penalty_weight must be at least 0; got {self.weight}")
        if self.every < 1:
            raise UsageError(f"penalty_every must be at least 1 step; got {self.every}")

    def __call__(self, turn: Turn) -> Tensor:
        """Return what the critics descend, summed over them: one number, 0 at the steps that are left out."""
        points = [as_points(score, turn.real, turn.fake) for score in turn.scores]
        if turn.step is None:
            return torch.stack([self.of(*each) for each in points]).sum()
        if turn.step % self.every:
            return turn.real.x.new_zeros(())
        return torch.stack([self.every * self.of(*each) for each in points]).sum()

    def of(self, critic: ScoreFunction, real: Tensor, fake: Tensor) -> Tensor:
        """Return the weighted mean over rows, whatever the step: one number."""
        weight = PENALTIES.facts(self.name).get("weight", 1.0) if self.weight is None else self.weight
        return weight * PENALTIES[self.name](critic, real, fake).mean()


def refuse_batch_norm(critic: nn.Module) -> None:
    """Raise `UsageError` for a critic whose scores have no gradient of one row alone, and name the layer.

    Minibatch layers are let through: a row's score reads the others by design, and the gradient is that of all scores,
    as Karras et al. (2018) and (2020) penalise it.
    """
    layers = batch_norm_layers(critic)
    if layers:
        raise UsageError(
            f"a gradient penalty needs a critic whose scores have a gradient of their own row; layer {layers[0]} "
            "couples the rows of a batch: choose critic_norm none or spectral, or penalty none"
        )
