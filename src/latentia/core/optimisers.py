"""Optimisers: torch's fused kernels on lists that are prepared once, and torch.optim where there is no kernel."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from latentia.registry import Registry, optimisers

if TYPE_CHECKING:
    from latentia.core.player import Optim

Maker = Callable[..., torch.optim.Optimizer]
"""A class like those of torch.optim: of parameters, ``lr``, and which of the other `SETTINGS` it has."""

OPTIMISERS: Registry[Maker] = optimisers
optimisers.add(
    {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "sgd": torch.optim.SGD,
    }
)
_KERNELS: Mapping[Maker, str] = {
    torch.optim.Adam: "_fused_adam_",
    torch.optim.AdamW: "_fused_adamw_",
    torch.optim.SGD: "_fused_sgd_",
}
SETTINGS = ("lr", "betas", "momentum", "weight_decay")
_DEVICES = ("cpu", "cuda")
_EPS = 1e-8


class Optimiser(Protocol):
    """What moves parameters.

    Attributes:
        state: for each parameter that has moved, its tensors, under the names that torch.optim gives them.
    """

    @property
    def state(self) -> dict[nn.Parameter, dict[str, Any]]:
        """The tensors that the next step depends on."""
        ...

    def step(self, lr: float, bad: Tensor | None = None) -> None:
        """Move every parameter that has a gradient, unless ``bad`` is 1: (), on the parameters' device."""
        ...

    def load(self, parameter: nn.Parameter, tensors: dict[str, Tensor]) -> None:
        """Take a parameter's tensors from elsewhere."""
        ...


def has_setting(name: str, setting: str) -> bool:
    """Whether an optimiser has a setting, such as ``betas`` or ``momentum``.

    Example:
        >>> has_setting("adam", "betas"), has_setting("adam", "momentum")
        (True, False)
    """
    return setting in _settings_of(OPTIMISERS[name])


@cache
def _settings_of(maker: Maker) -> frozenset[str]:
    return frozenset(inspect.signature(maker).parameters)


def optimiser(parameters: list[nn.Parameter], optim: Optim) -> Optimiser:
    """Return the fused optimiser of these parameters, or torch.optim's where the kernel or the device lacks one."""
    kernel = _KERNELS.get(OPTIMISERS[optim.name], "")
    if hasattr(torch, kernel or "-") and all(each.device.type in _DEVICES for each in parameters):
        return FusedOptimiser(parameters, optim)
    return TorchOptimiser(parameters, optim)


@dataclass(frozen=True)
class _Lists:
    """What a kernel is given, for parameters of one device and dtype; ``counters`` are the distinct ones of steps."""

    parameters: list[nn.Parameter]
    averages: list[list[Tensor]]
    steps: list[Tensor]
    counters: list[Tensor]


class FusedOptimiser:
    """Adam, AdamW or SGD by one kernel over all parameters: the arithmetic of torch.optim with ``fused=True``.

    torch.optim gathers, groups and checks its lists at every step, which takes longer than a small model's kernel,
    and its first step imports the compiler.

    Args:
        parameters: what moves.
        optim: how; adam, adamw or sgd.
    """

    def __init__(self, parameters: list[nn.Parameter], optim: Optim) -> None:
        self.parameters = parameters
        self.state: dict[nn.Parameter, dict[str, Any]] = {}
        self.counts = has_setting(optim.name, "betas")  # as Adam does
        self.names = ("exp_avg", "exp_avg_sq") if self.counts else ("momentum_buffer",) * bool(optim.momentum)
        self.kernel: Callable[..., None] = getattr(torch, _KERNELS[OPTIMISERS[optim.name]])
        self.settings = _settings(optim)
        self.whole: list[_Lists] = []  # the lists of all parameters, while their steps are counted together

    def step(self, lr: float, bad: Tensor | None = None) -> None:
        """Move every parameter that has a gradient, unless ``bad`` is 1."""
        with torch.no_grad():
            for lists in self._lists([p for p in self.parameters if p.grad is not None]):
                gradients = [p.grad for p in lists.parameters]
                for counter in lists.counters:  # masked or not: nothing follows a step that is bad
                    counter.add_(1)
                more = ([], lists.steps) if self.counts else ()
                self.kernel(
                    lists.parameters, gradients, *lists.averages, *more, lr=lr, found_inf=bad, **self.settings
                )

    def load(self, parameter: nn.Parameter, tensors: dict[str, Tensor]) -> None:
        """Take a parameter's tensors from elsewhere."""
        self.state[parameter] = tensors
        self.whole = []

    def _lists(self, moving: list[nn.Parameter]) -> list[_Lists]:
        """Return the lists of these parameters; those of all parameters are kept."""
        if len(moving) < len(self.parameters):
            self._count_apart()
            return [self._prepared(group) for group in _groups(moving)]
        if not self.whole:
            self.whole = [self._prepared(group) for group in _groups(moving)]
        return self.whole

    def _prepared(self, group: list[nn.Parameter]) -> _Lists:
        new = [p for p in group if p not in self.state]
        shared = torch.zeros((), dtype=torch.float32, device=group[0].device)
        for p in new:
            self.state[p] = {"step": shared} if self.counts else {}
            self.state[p] |= {name: torch.zeros_like(p, requires_grad=False) for name in self.names}
        averages = [[self.state[p][name] for p in group] for name in self.names]
        steps = [self.state[p]["step"] for p in group] if self.counts else []
        return _Lists(group, averages or [[]], steps, list({id(each): each for each in steps}.values()))

    def _count_apart(self) -> None:
        """Give each parameter a counter of its own, for some are about to move without the others."""
        self.whole = []
        for tensors in self.state.values():
            if "step" in tensors:
                tensors["step"] = tensors["step"].clone()


class TorchOptimiser:
    """torch.optim's own; it cannot be masked, so that ``bad`` is read before each move, which waits for the device.

    Args:
        parameters: what moves.
        optim: how.
    """

    def __init__(self, parameters: list[nn.Parameter], optim: Optim) -> None:
        settings = {name: getattr(optim, name) for name in SETTINGS if has_setting(optim.name, name)}
        self.inner = OPTIMISERS[optim.name](parameters, **settings)

    @property
    def state(self) -> dict[nn.Parameter, dict[str, Any]]:
        """The tensors that the next step depends on."""
        return self.inner.state  # pyright: ignore[reportReturnType]

    def step(self, lr: float, bad: Tensor | None = None) -> None:
        """Move every parameter that has a gradient, unless ``bad`` is 1."""
        if bad is not None and bool(bad):
            return
        for group in self.inner.param_groups:
            group["lr"] = lr
        self.inner.step()

    def load(self, parameter: nn.Parameter, tensors: dict[str, Tensor]) -> None:
        """Take a parameter's tensors from elsewhere."""
        self.inner.state[parameter] = tensors


def _settings(optim: Optim) -> dict[str, Any]:
    """Return the settings of a kernel, which are the same at every step."""
    common = {"weight_decay": optim.weight_decay, "maximize": False}
    if has_setting(optim.name, "betas"):
        beta1, beta2 = optim.betas
        return {**common, "beta1": beta1, "beta2": beta2, "eps": _EPS, "amsgrad": False}
    # Buffers begin at 0, from where m · 0 + g is what torch.optim begins with.
    return {
        **common,
        "momentum": optim.momentum,
        "dampening": 0.0,
        "nesterov": False,
        "is_first_step": False,
    }


def _groups(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Return the parameters of each device and dtype together."""
    groups: dict[tuple[torch.device, torch.dtype], list[nn.Parameter]] = {}
    for p in parameters:
        groups.setdefault((p.device, p.dtype), []).append(p)
    return list(groups.values())
