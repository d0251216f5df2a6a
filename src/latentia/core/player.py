"""Players: the modules that move, each with an optimiser of its own. The only place that touches optimisers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from latentia.errors import NonFiniteError, UsageError
from latentia.functional.schedules import SCHEDULES, learning_rate_factor
from latentia.registry import check_name

OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
_ADAMS = ("adam", "adamw")
_FUSED = ("adam", "adamw", "sgd")  # one kernel over all parameters; measured faster than foreach on a CPU
_NORM_EVERY = 10  # steps; a norm reads the whole gradient, which takes 4 % of a small model's step


@dataclass(frozen=True)
class Optim:
    """How a player descends.

    Attributes:
        name: adam, adamw, rmsprop or sgd.
        lr: the learning rate at the schedule's height.
        betas: decay rates of Adam's two averages.
        momentum: of sgd and rmsprop.
        weight_decay: strength of the decay of weights.
        schedule: constant or cosine; cosine falls to 0 over all steps of the training.
        warmup: steps over which the learning rate first rises linearly from 0.
        clip: largest norm of a player's whole gradient; None leaves it.
    """

    name: str = "adam"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: int = 0
    clip: float | None = None

    def __post_init__(self) -> None:
        check_name("optimiser", self.name, OPTIMISERS)
        check_name("schedule", self.schedule, SCHEDULES)
        if not self.lr > 0:
            raise UsageError(f"lr must be positive; got {self.lr}")
        if self.clip is not None and not self.clip > 0:
            raise UsageError(f"clip must be positive, or left out; got {self.clip}")
        if self.warmup < 0:
            raise UsageError(f"warmup must be at least 0 steps; got {self.warmup}")
        if not (self.momentum >= 0 and self.weight_decay >= 0):
            raise UsageError(
                f"momentum and weight_decay must be at least 0; got {self.momentum} and {self.weight_decay}"
            )
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UsageError(f"betas (beta1 and beta2) must be from 0 to below 1; got {self.betas}")
        if self.momentum and self.name in _ADAMS:
            raise UsageError(f"momentum is for sgd and rmsprop; {self.name} has betas")
        if self.betas != Optim.betas and self.name not in _ADAMS:
            raise UsageError(f"betas are for adam and adamw; {self.name} has momentum")

    def build(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Return torch's optimiser for these parameters."""
        extra: dict[str, Any] = {"betas": self.betas} if self.name in _ADAMS else {"momentum": self.momentum}
        if self.name in _FUSED:
            extra["fused"] = True
        return OPTIMISERS[self.name](parameters, lr=self.lr, weight_decay=self.weight_decay, **extra)


class Player:
    """A named module that descends losses.

    Args:
        name: the player's name in the game.
        module: what moves; its parameters that require gradients.
        optim: how it descends.
        horizon: steps of the whole training, for schedules that need to know.
    """

    def __init__(self, name: str, module: nn.Module, optim: Optim, horizon: int | None = None) -> None:
        if optim.schedule != "constant" and horizon is None:
            raise UsageError(f"the {optim.schedule} schedule needs to know the number of steps: give steps=")
        self.name = name
        self.optim = optim
        self.horizon = horizon
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        if not self.parameters:
            raise UsageError(f"player {name!r} has no parameter that requires gradients")
        self.optimiser = optim.build(self.parameters)

    def descend(self, loss: Tensor, step: int = 0) -> float | None:
        """Move once down the gradient of a scalar loss; return the gradient's norm, as `ready` does."""
        self.backward(loss)
        norm = self.sync_and_clip(step)
        self.step(step)
        return norm

    def backward(self, loss: Tensor, *, share: float = 1.0, keep_graph: bool = False) -> None:
        """Add a loss's gradient, times its share of the rows, to this player's parameters and no other's."""
        moving = [p for p in self.parameters if p.requires_grad]
        if loss.requires_grad and moving:
            loss = loss if share == 1.0 else loss * share
            loss.backward(inputs=moving, retain_graph=keep_graph)
        if all(p.grad is None for p in moving):
            raise UsageError(f"the loss of player {self.name!r} does not depend on its parameters")

    def sync_and_clip(self, step: int, rows: int = 1) -> float | None:
        """Average the gradient over processes by their rows, then clip it; return its norm before clipping.

        Where nothing is clipped, the norm is taken every tenth step, and is None in between: a gradient that is
        not finite is then seen by the loss of the next step.

        Raises:
            NonFiniteError: for a norm that is not finite; nothing has moved.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            self._average_over_processes(rows)
        if self.optim.clip is None and step % _NORM_EVERY:
            return None
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        size = float(norm)
        if not size < float("inf"):
            raise NonFiniteError(f"the gradient of player {self.name!r} has norm {size}")
        if self.optim.clip is not None:
            moved = [p for p in self.parameters if p.grad is not None]
            torch.nn.utils.clip_grads_with_norm_(moved, self.optim.clip, norm)
        return size

    def step(self, step: int) -> None:
        """Take one step of the optimiser at the schedule's learning rate, and drop the gradient."""
        factor = learning_rate_factor(self.optim.schedule, step, self.horizon or 1, self.optim.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = self.optim.lr * factor
        self.optimiser.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Forget the gradient."""
        for p in self.parameters:  # what zero_grad does, which takes as long as a small layer
            p.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the optimiser's state as named tensors."""
        return {
            f"{number}.{key}": value
            for number, parameter in enumerate(self.parameters)
            for key, value in self.optimiser.state[parameter].items()
            if isinstance(value, Tensor)
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Read back what ``tensors`` returns, into each parameter's memory layout."""
        for name, value in tensors.items():
            number, _, key = name.partition(".")
            parameter = self.parameters[int(number)]
            fused = self.optim.name in _FUSED  # whose step counts live beside the parameters
            like = parameter if value.shape == parameter.shape else value
            device = parameter.device if fused or like is parameter else value.device
            self.optimiser.state[parameter][key] = (
                torch.empty_like(like, dtype=value.dtype, device=device).copy_(value).detach()
            )

    def _average_over_processes(self, rows: int) -> None:
        """Replace the gradient by its mean over all rows of all processes: one flat buffer, one reduction."""
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        flat = torch.cat([part.flatten() * rows for part in parts] + [parts[0].new_tensor([float(rows)])])
        torch.distributed.all_reduce(flat)
        flat = flat[:-1] / flat[-1]
        for parameter, mean in zip(self.parameters, flat.split([p.numel() for p in parts]), strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(mean.view_as(parameter)).detach()
