"""Players: optimisers by name, learning rates, and a state that comes back into each parameter's layout."""

from __future__ import annotations

import math

import pytest
import torch
from tests.draws import seeded
from tests.running import same, weights
from torch import nn

from latentia.core.player import OPTIMISERS, Optim, Player
from latentia.errors import NonFiniteError, UsageError
from latentia.networks.conv import channels_last


def convolution(seed: int = 0) -> nn.Module:
    with seeded(seed):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))


def loss_of(module: nn.Module, seed: int) -> torch.Tensor:
    x = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    return module(x).square().mean()


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("fall_in_line", [True, False], ids=["channels last", "contiguous"])
def test_a_state_that_was_saved_comes_back_bit_for_bit(name, fall_in_line):
    """Through contiguous tensors, as in a file, into channels-last parameters."""
    optim = Optim(name, momentum=0.9 if name in ("sgd", "rmsprop") else 0.0, lr=0.01, weight_decay=0.01)
    modules = [convolution(), convolution()]
    if fall_in_line:
        for module in modules:
            channels_last(module)
    first, second = (Player("model", module, optim) for module in modules)
    for seed in range(3):
        first.descend(loss_of(modules[0], seed), step=seed)
    stored = {key: value.detach().clone().contiguous() for key, value in first.tensors().items()}
    modules[1].load_state_dict(modules[0].state_dict())
    second.load_tensors(stored)
    for (parameter, state), other in zip(first.optimiser.state.items(), second.parameters, strict=True):
        for key, value in state.items():
            found = second.optimiser.state[other][key]
            assert torch.equal(value, found)
            assert value.dtype == found.dtype
            assert value.stride() == found.stride()
            assert parameter.stride() == other.stride()
    for seed in range(3, 6):
        norms = [
            player.descend(loss_of(m, seed), step=seed)
            for player, m in zip((first, second), modules, strict=True)
        ]
        assert norms[0] == norms[1]
    for a, b in zip(modules[0].parameters(), modules[1].parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_state_that_is_loaded_between_two_steps_is_gone_on_from(name):
    module = convolution()
    player = Player(
        "model", module, Optim(name, lr=0.01, momentum=0.9 if name in ("sgd", "rmsprop") else 0.0)
    )
    player.descend(loss_of(module, 0))
    at_one = weights(module), {key: value.clone() for key, value in player.tensors().items()}
    player.descend(loss_of(module, 1), step=1)
    at_two = weights(module)
    module.load_state_dict(at_one[0])
    player.load_tensors(at_one[1])
    player.descend(loss_of(module, 1), step=1)
    assert same(weights(module), at_two)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_parameters_of_two_types_move_as_those_of_each_alone(name):
    def two() -> nn.ModuleList:
        with seeded():
            return nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2).double()])

    together, apart, x = two(), two(), torch.arange(6.0).view(2, 3)
    player = Player("model", together, Optim(name, lr=0.1))
    alone = [Player("model", each, Optim(name, lr=0.1)) for each in apart]
    for step in range(2):
        player.descend(sum(each(x.to(each.weight)).square().mean() for each in together), step)
        for each, mover in zip(apart, alone, strict=True):
            mover.descend(each(x.to(each.weight)).square().mean(), step)
    assert same(weights(together), weights(apart))


def test_an_optimiser_that_has_not_moved_has_no_state():
    assert Player("model", convolution(), Optim()).tensors() == {}


WAYS = {
    "constant": {},
    "weight decay": {"weight_decay": 0.1},
    "cosine with warm-up": {"schedule": "cosine", "warmup": 2},
    "clipped": {"clip": 0.05},
}
MOMENTA = {
    "adam": {"betas": (0.5, 0.9)},
    "adamw": {},
    "rmsprop": {"momentum": 0.9},
    "sgd": {"momentum": 0.9},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_each_optimiser_moves_as_torch_s_own(name, way, dtype):
    """Bit for bit, also where a layer has no gradient at some steps."""
    ours, theirs = convolution().to(dtype), convolution().to(dtype)
    optim = Optim(name, lr=0.01, **WAYS[way], **MOMENTA[name])
    player = Player("model", ours, optim, horizon=6)
    fused = {} if name == "rmsprop" else {"fused": True}
    optimiser = OPTIMISERS[name](
        theirs.parameters(), lr=0.01, weight_decay=optim.weight_decay, **MOMENTA[name], **fused
    )
    for step in range(6):
        player.descend(some_layers(ours, step), step)
        optimiser.zero_grad()
        some_layers(theirs, step).backward()
        if optim.clip is not None:
            torch.nn.utils.clip_grad_norm_(theirs.parameters(), optim.clip)
        optimiser.param_groups[0]["lr"] = player.rate(step)
        optimiser.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.dtype == dtype
        for key, value in optimiser.state[b].items():
            assert torch.equal(player.optimiser.state[a][key], value), key


def some_layers(module: nn.Module, step: int) -> torch.Tensor:
    """Return a loss of the whole network, and at steps 1 and 4 of its first layer alone."""
    x = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(step)).to(module[0].weight.dtype)
    return (module[0] if step in (1, 4) else module)(x).square().mean()


def test_the_learning_rate_of_a_step_is_the_schedule_s():
    player = Player("model", convolution(), Optim(lr=0.2, schedule="cosine", warmup=2), horizon=6)
    rates, taken = [], player.optimiser.step
    player.optimiser.step = lambda lr, bad=None: (rates.append(lr), taken(lr, bad))
    for step in range(6):
        player.descend(first_square(player), step)
    fall = [0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(4)]
    assert rates == pytest.approx([0.1, 0.2, *(0.2 * each for each in fall)])


def first_square(player: Player) -> torch.Tensor:
    return player.parameters[0].square().sum()


def test_frozen_parameters_do_not_move():
    module = convolution()
    module[0].requires_grad_(False)
    before = module[0].weight.clone()
    player = Player("model", module, Optim("sgd", lr=1.0))
    player.descend(loss_of(module, 0))
    assert torch.equal(module[0].weight, before)
    with pytest.raises(UsageError, match="player 'model' has no parameter that requires gradients"):
        Player("model", module[0], Optim())


def test_the_norm_is_taken_every_tenth_step_and_wherever_it_clips():
    for clip, taken in ((None, [0, 10, 20]), (1e6, list(range(21)))):
        player = Player("model", convolution(), Optim("sgd", lr=1e-3, clip=clip))
        norms = [player.descend(first_square(player), step) for step in range(21)]
        assert [step for step, norm in enumerate(norms) if norm is not None] == taken


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_moves_nothing(value):
    player = Player("model", convolution(), Optim("sgd", lr=1.0))
    before = [p.detach().clone() for p in player.parameters]
    with pytest.raises(NonFiniteError, match="the gradient of player 'model' has norm"):
        player.descend(first_square(player) * value)
    assert all(torch.equal(a, b) for a, b in zip(before, player.parameters, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "adma"}, "unknown optimiser 'adma'; did you mean 'adam'"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'; did you mean 'cosine'"),
        ({"lr": 0.0}, "lr must be positive; got 0"),
        ({"lr": -1.0}, "lr must be positive"),
        ({"lr": math.nan}, "lr must be positive"),
        ({"clip": 0.0}, "clip must be positive, or left out"),
        ({"warmup": -1}, "warmup must be at least 0 steps; got -1"),
        ({"betas": (1.0, 0.9)}, "must be from 0 to below 1; got \\(1.0, 0.9\\)"),
        ({"betas": (0.9, math.nan)}, "must be from 0 to below 1"),
        ({"name": "sgd", "momentum": -0.1}, "momentum and weight_decay must be at least 0; got -0.1 and 0"),
        ({"weight_decay": -1.0}, "momentum and weight_decay must be at least 0; got 0.0 and -1"),
        ({"momentum": 0.9}, "momentum is for rmsprop and sgd; adam has betas"),
        ({"name": "sgd", "betas": (0.5, 0.9)}, "betas are for adam and adamw; sgd has momentum"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    """A19: no field is accepted and then not used."""
    with pytest.raises(UsageError, match=message):
        Optim(**options)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_without_the_fused_kernel_torch_s_optimiser_goes_on_from_the_same_state(name, monkeypatch):
    """A version or a device that lacks it reads the same checkpoints, and a bad step moves nothing there either."""
    optim = Optim(name, lr=0.01, **({"momentum": 0.9} if name == "sgd" else {}))
    fused, modules = Player("model", convolution(), optim), [convolution()]
    monkeypatch.delattr(torch, f"_fused_{name}_")
    plain = Player("model", modules[0], optim)
    assert type(fused.optimiser).__name__ == "FusedOptimiser"
    assert type(plain.optimiser).__name__ == "TorchOptimiser"
    plain.descend(loss_of(modules[0], 0))
    kept = {key: value.clone() for key, value in plain.tensors().items()}
    fused.load_tensors(kept)
    assert fused.tensors().keys() == kept.keys()
    before = [p.detach().clone() for p in plain.parameters]
    plain.backward(loss_of(modules[0], 1))
    plain.step(1, torch.ones(()))
    assert all(torch.equal(a, b) for a, b in zip(before, plain.parameters, strict=True))
