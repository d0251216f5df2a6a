"""Critics as they will be after some steps of their own, for a generator that looks ahead."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.gan.unroll import unrolled
from latentia.networks.critic import Critic
from latentia.objectives.gan.views import View, ViewScore


@dataclass(frozen=True)
class Unroll:
    """How far the generator looks ahead.

    Attributes:
        steps: of plain gradient descent that each critic takes.
        lr: their size.

    Raises:
        UsageError: for no step, or a size that is not positive.

    Reference: Metz et al. (2017), Unrolled generative adversarial networks, equations 7 to 10.
    """

    steps: int
    lr: float

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.lr > 0:
            raise UsageError(
                f"unroll_steps must be at least 1 and unroll_lr positive; got {self.steps} and {self.lr}"
            )

    def score(
        self,
        critic: Critic,
        loss: Callable[[ViewScore], Tensor],
        clip: float | None,
    ) -> ViewScore:
        """Return the score that a critic will give, as a function of all that its loss depends on.

        The critic itself stays as it is, its weights and the buffers of its norms.

        Args:
            critic: as it is now.
            loss: from a score to what the critic descends: one number.
            clip: c, where its weights are kept in [-c, c].
        """
        network = critic.network
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}

        def score(parameters: Mapping[str, Tensor], view: View) -> Tensor:
            return critic.score(view.x, view.context, tensors={**parameters, **buffers})

        later = unrolled(
            lambda parameters: loss(partial(score, parameters)),
            {name: each for name, each in network.named_parameters() if each.requires_grad},
            steps=self.steps,
            lr=self.lr,
            bound=math.inf if clip is None else clip,
        )
        return partial(score, later)
