"""The state of a training: all that the next step depends on, as named tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.core.finiteness import Watch
from latentia.core.logged import Logged
from latentia.core.objective import Objective
from latentia.core.player import Player
from latentia.errors import RunError


@dataclass(frozen=True)
class State:
    """Where a training stands after a step.

    Attributes:
        step: steps done.
        rows: rows in the step's batch.
        logged: what the step logged, each a mean over its rows, still on the device; with ``gradient_norm/PLAYER``
            where it was taken.
        objective: what is trained.
        players: who moves.
        generators: the training's own sources of randomness, by device type.
        watch: what is known of losses that are not finite.
    """

    step: int
    rows: int
    logged: Logged
    objective: Objective
    players: Mapping[str, Player]
    generators: Mapping[str, torch.Generator]
    watch: Watch

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the step logged, as numbers; this waits for the device, and raises as `check` does."""
        self.check()
        return self.logged.read()

    def check(self) -> None:
        """Wait for the device, and raise `NonFiniteError` if a loss or a gradient so far was not finite."""
        self.watch.read()

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of all that the next step depends on: weights, buffers, optimisers, randomness.

        Raises:
            NonFiniteError: as `check`; a training does not go on from what a bad loss has left.
        """
        self.check()
        live = {
            **prefixed("objective", self.objective.state_dict()),
            **{
                f"optimiser.{name}.{key}": value
                for name, player in self.players.items()
                for key, value in player.tensors().items()
            },
            **{f"generator.{name}": generator.get_state() for name, generator in self.generators.items()},
        }
        return {name: value.detach().clone() for name, value in live.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what ``tensors`` returned; the step count comes with the objective's clock."""
        load_module(self.objective, within("objective", tensors))
        for name, player in self.players.items():
            player.load_tensors(within(f"optimiser.{name}", tensors))
        for name, generator in self.generators.items():
            if f"generator.{name}" in tensors:
                generator.set_state(tensors[f"generator.{name}"].cpu().clone())


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same tensors with ``prefix.`` before every name."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def within(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix.``, without it."""
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}


def load_module(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load named tensors into a module; buffers take the stored shape, for some depend on the data.

    Raises:
        RunError: naming tensors that are missing, unexpected or of another shape.
    """
    own = {name: value.shape for name, value in module.state_dict().items()}
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or extra:
        raise RunError(
            "the stored weights do not fit the configured model: "
            f"missing {_few(missing)}, unexpected {_few(extra)}"
        )
    for name, parameter in module.named_parameters():
        if parameter.shape != tensors[name].shape:
            raise RunError(
                f"the stored weights do not fit the configured model: {name} has shape "
                f"{tuple(tensors[name].shape)}, expected {tuple(parameter.shape)}"
            )
    for name, buffer in list(module.named_buffers()):
        if name in own and buffer.shape != tensors[name].shape:
            _replace_buffer(module, name, torch.empty_like(tensors[name], device=buffer.device))
    module.load_state_dict(dict(tensors))


def _replace_buffer(module: nn.Module, name: str, value: Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(path), leaf, value)


def _few(names: list[str]) -> str:
    return (
        ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "none"
    )
