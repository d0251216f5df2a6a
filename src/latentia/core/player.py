"""Players: the modules that move, each with an optimiser of its own. The only place that touches optimisers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.core.optimisers import OPTIMISERS, SETTINGS, has_setting, optimiser
from latentia.errors import NonFiniteError, UsageError
from latentia.functional.schedules import SCHEDULES, learning_rate_factor
from latentia.registry import check_name

EVERY = 10  # steps between norms of gradients: each reads the whole gradient, 4 % of a small model's step


@dataclass(frozen=True)
class Optim:
    """How a player descends.

    Attributes:
        name: adam, adamw, rmsprop, sgd, or another that `latentia.registry.optimisers` has.
        lr: the learning rate at the schedule's height.
        betas: decay rates of the two averages of Adam and its kin.
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
        for setting in SETTINGS[1:]:
            if getattr(self, setting) != getattr(Optim, setting) and not has_setting(self.name, setting):
                raise UsageError(_not_for(setting, self.name))


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
        self.together = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.optimiser = optimiser(self.parameters, optim)

    def descend(self, loss: Tensor, step: int = 0) -> float | None:
        """Move once down the gradient of a scalar loss; return the gradient's norm where `sync_and_clip` takes it.

        This is for a loop of your own: the norm is read at once, which waits for the device.

        Raises:
            NonFiniteError: for a norm that is not finite; nothing has moved.
        """
        self.backward(loss)
        norm = self.sync_and_clip(step)
        size = None if norm is None else float(norm)
        if size is not None and not math.isfinite(size):
            raise NonFiniteError(f"the gradient of player {self.name!r} has norm {size}")
        self.step(step)
        return size

    def backward(self, loss: Tensor, *, fraction: float = 1.0, keep_graph: bool = False) -> None:
        """Add a loss's gradient, times its fraction of the rows, to this player's parameters and no other's."""
        moving = [p for p in self.parameters if p.requires_grad]
        if loss.requires_grad and moving:
            loss = loss if fraction == 1.0 else loss * fraction
            loss.backward(inputs=moving, retain_graph=keep_graph)
        if all(p.grad is None for p in moving):
            raise UsageError(f"the loss of player {self.name!r} does not depend on its parameters")

    def sync_and_clip(self, step: int, rows: int = 1, sound: Tensor | None = None) -> Tensor | None:
        """Average the gradient over processes by their rows, then clip it; return its norm before clipping.

        Where nothing is clipped, one process takes the norm every tenth step, and it is None in between: a gradient
        that is not finite is then found by the loss of the next step. Several processes take it at every step, for
        one of them may have found what the others have not.

        Args:
            step: steps done before this one.
            rows: of this process.
            sound: (), 0, or NaN where this process has found a loss that is not finite; so it is then in all of
                them.
        """
        if self.together:
            self._average_over_processes(rows, sound)
        if self.optim.clip is None and step % EVERY and not self.together:
            return None
        moved = [p for p in self.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in moved if p.grad is not None])
        if self.optim.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(moved, self.optim.clip, norm)
        return norm

    def step(self, step: int, bad: Tensor | None = None) -> None:
        """Take one step of the optimiser at the schedule's learning rate, unless ``bad`` is 1; drop the gradient."""
        self.optimiser.step(self.rate(step), bad)
        self.zero_grad()

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        optim = self.optim
        if optim.schedule == "constant" and not optim.warmup:
            return optim.lr
        return optim.lr * learning_rate_factor(optim.schedule, step, self.horizon or 1, optim.warmup)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        for p in self.parameters:  # what zero_grad does, which takes as long as a small layer
            p.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the optimiser's state as named tensors."""
        return {
            f"{number}.{key}": value
            for number, parameter in enumerate(self.parameters)
            for key, value in self.optimiser.state.get(parameter, {}).items()
            if isinstance(value, Tensor)
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Read back what ``tensors`` returns, into each parameter's memory layout."""
        found: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            number, _, key = name.partition(".")
            found.setdefault(int(number), {})[key] = _as_stored(value, self.parameters[int(number)])
        for number, state in found.items():
            self.optimiser.load(self.parameters[number], state)

    def _average_over_processes(self, rows: int, sound: Tensor | None) -> None:
        """Replace the gradient by its mean over all rows of all processes: one flat buffer, one reduction."""
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        weight = parts[0].new_tensor([float(rows)])
        if sound is not None:
            weight = weight + sound.to(weight)
        flat = torch.cat([part.flatten() * rows for part in parts] + [weight])
        torch.distributed.all_reduce(flat)
        flat = flat[:-1] / flat[-1]
        for parameter, mean in zip(self.parameters, flat.split([p.numel() for p in parts]), strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(mean.view_as(parameter)).detach()


def _not_for(setting: str, name: str) -> str:
    """Return the line that says which optimisers have a setting, and what this one has."""
    owners = [each for each in OPTIMISERS if has_setting(each, setting)]
    others = [each for each in SETTINGS[1:] if has_setting(name, each) and each != "weight_decay"]
    verb = "are" if setting.endswith("s") else "is"
    return f"{setting} {verb} for {' and '.join(owners)}; {name} has {' and '.join(others) or 'none'}"


def _as_stored(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """Return a copy of a stored tensor, in the parameter's layout where it has its shape, on its device."""
    like = parameter if value.shape == parameter.shape else value
    return torch.empty_like(like, dtype=value.dtype, device=parameter.device).copy_(value).detach()
