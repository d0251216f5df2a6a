"""Every rule of the training loop (docs/design.md, section 3).

Rows B6, D18, D19, D20, D21, D22 of docs/known-mistakes.md.
"""

from __future__ import annotations

import copy
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from tests.draws import seeded
from tests.running import same, weights
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode

import latentia as lt
from latentia.core.finiteness import READ_EVERY, Watch
from latentia.core.logged import Logged, read_all
from latentia.core.objective import Batch, Objective
from latentia.core.player import Optim, Player
from latentia.core.train import train
from latentia.data.batches import Batches
from latentia.data.rows import Rows
from latentia.errors import NonFiniteError, UsageError

SGD = Optim("sgd", lr=0.1)


class Game(Objective):
    """A game defined by a function: named modules, and a step that takes the game and a batch."""

    def __init__(self, step: Callable[[Game, Batch], object], **modules: nn.Module) -> None:
        super().__init__()
        self.names = list(modules)
        for name, module in modules.items():
            self.add_module(name, module)
        self.model = modules[self.names[0]]
        self.tell = step

    def players(self):
        return {name: self.get_submodule(name) for name in self.names}

    def step(self, batch):
        return self.tell(self, batch)


def linear(seed: int = 0, inputs: int = 2, outputs: int = 1) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return layer


def rows(n: int = 6, seed: int = 0, size: int = 2) -> Tensor:
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def regression(game: Game, batch: Batch):
    loss = (game.model(batch.x) - 3).square().mean()
    yield "model", loss
    return {"loss": loss.detach()}


def last(states: Iterator) -> object:
    *_, state = states
    return state


# --- yields and players -----------------------------------------------------------------------------------------


def test_after_each_yield_the_named_player_has_moved_and_no_other():
    seen = []

    def step(game, batch):
        for name in ("critic", "critic", "model"):
            before = {player: weights(game.get_submodule(player)) for player in ("model", "critic")}
            yield name, (game.model(batch.x) + game.critic(batch.x)).square().mean()
            moved = [p for p in before if not same(before[p], weights(game.get_submodule(p)))]
            seen.append((name, moved))
        return {}

    last(train(Game(step, model=linear(0), critic=linear(1)), [Batch(rows())], optim=SGD, steps=1))
    assert seen == [("critic", ["critic"]), ("critic", ["critic"]), ("model", ["model"])]


def test_players_of_one_yield_take_all_gradients_before_any_moves():
    """The bilinear game a·b: simultaneous descent and ascent is a rotation, alternating is another one."""

    def step(game, batch):
        value = (game.model.weight * game.critic.weight).sum()
        yield {"model": value, "critic": -value}
        return {}

    game = Game(step, model=nn.Linear(1, 1, bias=False), critic=nn.Linear(1, 1, bias=False))
    a, b, lr = 1.0, 2.0, 0.1
    game.model.weight.data.fill_(a)
    game.critic.weight.data.fill_(b)
    for _ in train(game, [Batch(rows())], optim=SGD, steps=5):
        a, b = a - lr * b, b + lr * a
        assert game.model.weight.item() == pytest.approx(a, rel=1e-6)
        assert game.critic.weight.item() == pytest.approx(b, rel=1e-6)


@pytest.mark.parametrize("modules", ["shared", "left out"])
def test_players_are_disjoint_and_cover_every_trainable_parameter(modules):
    model, other = linear(0), linear(1)
    game = Game(regression, model=model, critic=nn.Sequential(other, model) if modules == "shared" else other)
    if modules == "left out":
        game.names.remove("critic")
        with pytest.raises(UsageError, match=r"critic\.weight requires gradients but belongs to no player"):
            next(train(game, [Batch(rows())], optim=SGD))
        for parameter in other.parameters():
            parameter.requires_grad_(False)
        assert next(train(game, [Batch(rows())], optim=SGD)).step == 1  # frozen parameters need no player
    else:
        with pytest.raises(UsageError, match=r"'model' and 'critic' share the parameter 1\.weight"):
            next(train(game, [Batch(rows())], optim=SGD))


def test_a_player_that_is_not_there_is_refused():
    def step(game, batch):
        yield "critik", game.model(batch.x).mean()
        return {}

    with pytest.raises(UsageError, match="named player 'critik'; the players are: model"):
        next(train(Game(step, model=linear()), [Batch(rows())], optim=SGD))
    with pytest.raises(UsageError, match="no optim for player 'model'"):
        next(train(Game(regression, model=linear()), [Batch(rows())], optim={"modell": SGD}))


@pytest.mark.parametrize("through_other", [False, True])
def test_a_loss_that_does_not_depend_on_its_player_is_refused(through_other):
    def step(game, batch):
        yield "model", game.critic(batch.x).mean() if through_other else torch.tensor(1.0)
        return {}

    with pytest.raises(UsageError, match="loss of player 'model' does not depend on its parameters"):
        next(train(Game(step, model=linear(0), critic=linear(1)), [Batch(rows())], optim=SGD))


@pytest.mark.parametrize("told", [torch.ones(2, requires_grad=True), None])
def test_a_yield_that_is_no_player_with_a_scalar_loss_is_refused(told):
    def step(game, batch):
        yield told if told is None else ("model", told * game.model.weight.sum())
        return {}

    with pytest.raises(UsageError, match=r"one number.*shape \(2,\)|yields \(player, loss\)"):
        next(train(Game(step, model=linear()), [Batch(rows())], optim=SGD))


class Normed(nn.Module):
    """A network with batch-norm statistics and spectral-norm vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(spectral_norm(nn.Linear(2, 3)), nn.BatchNorm1d(3), nn.Linear(3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_a_loss_leaves_nothing_in_anothers_weights_but_statistics_move():
    """B6: parameters and gradients of the player that did not move are bit-identical."""
    seen = []

    def step(game, batch):
        for moving, still in (("critic", "model"), ("model", "critic")):
            other = game.get_submodule(still)
            before = {name: p.detach().clone() for name, p in other.named_parameters()}
            statistics = {name: b.clone() for name, b in other.named_buffers()}
            yield moving, game.critic(game.model(batch.x)).square().mean()  # no detach: it depends on both
            assert all(torch.equal(before[name], p) for name, p in other.named_parameters())
            assert all(p.grad is None for p in other.parameters())
            seen.append({name for name, b in other.named_buffers() if not torch.equal(b, statistics[name])})
        return {}

    torch.manual_seed(0)
    game = Game(step, model=Normed(), critic=Normed())
    for module in game.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 0.5
    last(train(game, [Batch(rows().float())], optim=SGD, steps=1))
    for moved in seen:
        assert {name.rpartition(".")[2] for name in moved} >= {"running_mean", "running_var"}
    state = weights(game)
    again = last(train(game, [Batch(rows().float())], optim=SGD, steps=2)).objective.state_dict()
    assert any("_u" in name and not torch.equal(state[name], again[name]) for name in state)


def test_a_gradient_that_someone_left_behind_survives():
    """A player's step reads and clears its own gradient only."""

    def critic_only(game, batch):
        yield "critic", (game.critic(batch.x) * game.model(batch.x)).mean()
        return {}

    game = Game(critic_only, model=linear(0), critic=linear(1))
    game.model.weight.grad = torch.full_like(game.model.weight, 7.0)
    last(train(game, [Batch(rows())], optim=SGD, steps=1))
    assert torch.equal(game.model.weight.grad, torch.full_like(game.model.weight, 7.0))


# --- clipping, schedules ----------------------------------------------------------------------------------------


def test_clipping_comes_after_backward_and_equals_a_hand_computation():
    """D18: a step of plain descent moves by at most lr · clip, in the gradient's direction."""
    clip, x = 0.5, rows()
    game = Game(regression, model=linear())
    w, b = (p.detach().clone().requires_grad_() for p in game.model.parameters())
    for state in train(game, [Batch(x)], optim=Optim("sgd", lr=0.1, clip=clip), steps=4):
        loss = (x @ w.T + b - 3).square().mean()
        gw, gb = torch.autograd.grad(loss, (w, b))
        norm = torch.cat([gw.flatten(), gb]).norm()
        assert norm > clip
        factor = clip / (norm + 1e-6)
        assert torch.cat([gw.flatten(), gb]).mul(factor).norm() <= clip
        with torch.no_grad():
            w -= 0.1 * factor * gw
            b -= 0.1 * factor * gb
        assert torch.allclose(game.model.weight, w, rtol=1e-12)
        assert torch.allclose(game.model.bias, b, rtol=1e-12)
        assert state.metrics["gradient_norm/model"] == pytest.approx(norm.item())


def test_a_small_gradient_is_not_clipped():
    moved = {}
    for clip in (None, 1e6):
        game = Game(regression, model=linear())
        last(train(game, [Batch(rows())], optim=Optim("sgd", lr=0.1, clip=clip), steps=3))
        moved[clip] = weights(game.model)
    assert same(moved[None], moved[1e6])


@pytest.mark.parametrize("warmup", [0, 3])
def test_the_schedule_is_applied_at_every_step(warmup):
    """With a constant gradient of 1, plain descent moves by the learning rate of the step."""

    def step(game, batch):
        yield "model", game.model.weight.sum()
        return {}

    game, total = Game(step, model=nn.Linear(1, 1, bias=False)), 10
    optim = Optim("sgd", lr=0.5, schedule="cosine", warmup=warmup)
    before = game.model.weight.item()
    for number, _ in enumerate(train(game, [Batch(rows())], optim=optim, steps=total)):
        rise = min(1.0, (number + 1) / warmup) if warmup else 1.0
        fall = 0.5 * (1 + math.cos(math.pi * max(0, number - warmup) / (total - warmup)))
        assert before - game.model.weight.item() == pytest.approx(0.5 * rise * fall, abs=1e-6)
        before = game.model.weight.item()
    assert number == total - 1


def test_a_cosine_needs_to_know_the_number_of_steps():
    with pytest.raises(UsageError, match="the cosine schedule needs to know the number of steps"):
        next(train(Game(regression, model=linear()), [Batch(rows())], optim=Optim(schedule="cosine")))


# --- accumulation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [12, 13])
@pytest.mark.parametrize("parts", [2, 4, 5])
def test_accumulation_equals_the_big_batch(n, parts):
    """Also where the micro-batches are of uneven sizes: each counts by its rows."""
    results = {}
    for accumulate in (1, parts):
        game = Game(regression, model=linear(), critic=linear(1))
        game.tell = two_players
        state = last(train(game, [Batch(rows(n))], optim=SGD, accumulate=accumulate, steps=3))
        results[accumulate] = (torch.cat([p.flatten() for p in game.parameters()]), state.metrics)
    assert torch.allclose(results[1][0], results[parts][0], atol=1e-6)
    assert results[1][1] == pytest.approx(results[parts][1], abs=1e-6)


def two_players(game: Game, batch: Batch):
    for _ in range(2):
        loss = (game.critic(batch.x) - game.model(batch.x)).square().mean()
        yield "critic", loss
    value = (game.critic(batch.x) * game.model(batch.x)).mean()
    yield {"model": value, "critic": -value + game.critic(batch.x).square().mean()}
    return {"loss": loss.detach(), "value": value.detach()}


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 20])
def test_the_parts_of_a_batch_are_nearly_equal_and_lose_no_row(parts):
    batch = Batch(rows(10), index=torch.arange(10))
    split = batch.split(parts)
    sizes = [len(part) for part in split]
    assert len(split) == min(parts, 10)
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat([part.x for part in split]), batch.x)
    assert torch.equal(torch.cat([part.index for part in split]), batch.index)


@pytest.mark.parametrize("differ", ["yields", "players"])
def test_micro_batches_that_play_different_games_are_refused(differ):
    def step(game, batch):
        first = batch.index[0] == 0
        if differ == "players":
            yield (
                ("model" if first else "critic"),
                game.get_submodule("model" if first else "critic")(batch.x).mean(),
            )
        else:
            for _ in range(1 + int(first)):
                yield "model", game.model(batch.x).mean()
        return {}

    game = Game(step, model=linear(0), critic=linear(1))
    before = weights(game.critic)
    with pytest.raises(UsageError, match=f"micro-batches of a step .* different .*{differ}"):
        next(train(game, [Batch(rows(), index=torch.arange(6))], optim=SGD, accumulate=2))
    assert same(before, weights(game.critic))


# --- randomness and modes ---------------------------------------------------------------------------------------


class Noisy(Game):
    """A VAE in miniature: noise from torch's global functions, dropout and batch norm."""

    def __init__(self) -> None:
        with seeded():
            body = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
        super().__init__(noisy_step, model=body)


def noisy_step(game: Game, batch: Batch):
    for _ in range(2):
        loss = (game.model(batch.x + torch.randn_like(batch.x)) - batch.x).square().mean()
        yield "model", loss
    return {"loss": loss.detach()}


def play(body: Callable[[Game], object], steps: int = 4, **options) -> dict[str, Tensor]:
    game = Noisy()
    for _ in train(game, [Batch(rows().float())], optim=Optim("adam", lr=0.01), steps=steps, **options):
        body(game)
    return weights(game)


@pytest.mark.parametrize(
    "preview",
    [
        lambda game: torch.randn(3),
        lambda game: torch.manual_seed(5),
        lambda game: game.model(torch.randn(9, 2)),  # in eval mode: batch statistics stay
        lambda game: torch.randperm(10),
    ],
    ids=["draws", "seeds", "forward pass", "permutation"],
)
def test_a_preview_in_the_body_leaves_the_training_bit_identical(preview):
    assert same(play(lambda game: None), play(preview))


def test_a_sample_of_a_run_in_the_making_leaves_the_training_bit_identical(digits):
    def fitted(preview: bool) -> dict[str, Tensor]:
        recipe = lt.recipes["vae"](lt.DataSpec((1, 8, 8), lt.Support("discrete", 17)), hidden=8, latent_dim=2)
        for parameter in recipe.objective.parameters():
            parameter.data = torch.full_like(parameter, 0.01)
        x = torch.from_numpy(digits[:20, None]).float()
        for state in train(recipe.objective, [Batch(x)], optim=recipe.optim, steps=3):
            if preview:
                state.objective.model.sample(3)
                state.objective.model.sample(3, generator=torch.Generator().manual_seed(1))
                state.objective.model.log_prob_bound(x, samples=3)
        return weights(recipe.objective)

    assert same(fitted(False), fitted(True))


def test_the_loop_leaves_the_global_randomness_alone_and_its_seed_matters():
    before = torch.get_rng_state()
    first = play(lambda game: None)
    assert torch.equal(before, torch.get_rng_state())
    assert not same(first, play(lambda game: None, seed=1))


def test_the_model_trains_in_train_mode_and_is_in_eval_mode_in_the_body():
    modes = []

    def step(game, batch):
        modes.append(game.model.training)
        yield "model", game.model(batch.x).mean()
        modes.append(game.model.training)
        return {}

    for state in train(Game(step, model=linear()), [Batch(rows())], optim=SGD, steps=2):
        modes += [state.objective.training]
    assert modes == [True, True, False] * 2


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, partial(torch.autocast, "cpu")])
def test_a_step_that_yields_inside_a_context_manager_is_refused(context):
    def step(game, batch):
        loss = game.model(batch.x).mean()
        with context():
            yield "model", loss
        return {}

    with pytest.raises(UsageError, match="yielded inside a context manager"):
        next(train(Game(step, model=linear()), [Batch(rows())], optim=SGD))
    assert torch.is_grad_enabled()
    assert not torch.is_autocast_enabled("cpu")


def test_a_step_that_is_decorated_with_no_grad_trains_in_closed_form():
    class ClosedForm(Objective):
        def __init__(self):
            super().__init__()
            self.model = nn.Module()
            self.register_buffer("mean", torch.zeros(2, dtype=torch.float64))

        def players(self):
            return {}

        @torch.no_grad()
        def step(self, batch):
            yield from ()
            self.mean.copy_(batch.x.mean(0))
            self.finished = True
            return {"mean": self.mean[0]}

    states = list(train(ClosedForm(), [Batch(rows())]))
    assert len(states) == 1  # finished ends it
    assert torch.allclose(states[0].objective.mean, rows().mean(0))
    with pytest.raises(UsageError, match="accumulate averages gradients"):
        next(train(ClosedForm(), [Batch(rows())], accumulate=2))


# --- values that are not finite --------------------------------------------------------------------------------


def spoiled(game: Game, batch: Batch):
    """Learn well for two steps, then fail in the way that the game names."""
    loss = game.model(batch.x).square().mean()
    if int(game.clock) == 2:
        loss = {"nan": loss * torch.nan, "inf": loss + torch.inf, "gradient": Spoil.apply(loss)}[game.fault]
    yield "critic", game.critic(batch.x).square().mean()
    yield {"model": loss, "critic": game.critic(batch.x).square().mean()}
    return {"loss": loss.detach(), "twice": 2 * loss.detach()}


class Spoil(torch.autograd.Function):
    """The identity, with NaN for a gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.nan


@pytest.mark.parametrize("fault", ["nan", "inf", "gradient"])
def test_a_number_that_is_not_finite_stops_the_training_with_player_step_and_terms(fault):
    game = Game(spoiled, model=linear(0), critic=linear(1))
    game.fault, start = fault, weights(game)
    states = train(game, [Batch(rows())], optim=Optim("adam", lr=0.1, clip=1.0))
    next(states), next(states)
    with pytest.raises(NonFiniteError) as error:
        next(states).check()
    message = str(error.value)
    assert "player 'model'" in message
    assert "at step 2" in message
    assert "loss=" in message
    assert "twice=" in message
    assert "the weights of step 0 are back" in message
    assert "\n" not in message
    assert same(start, weights(game))
    assert all(p.grad is None for p in game.parameters())


def test_the_weights_of_a_whole_sound_step_come_back_with_their_statistics():
    """After step 100 a newer copy is kept: what step 130 spoils is undone to there, batch statistics too."""
    game, bad = Noisy(), Batch(torch.full((6, 2), torch.inf))
    batches = [Batch(torch.randn(6, 2)) for _ in range(130)]
    states, kept = train(game, [*batches, bad], optim=Optim(lr=0.01)), {}
    for state in itertools.islice(states, 130):
        if state.step == 100:
            kept = weights(game)
    with pytest.raises(
        NonFiniteError, match=r"player 'model' is nan at step 130 .* weights of step 100 are back"
    ):
        next(states).check()
    assert same(kept, weights(game))


def test_the_last_copy_from_before_a_bad_step_comes_back_and_older_ones_are_forgotten():
    game = Game(spoiled, model=linear(0))
    watch, weight = Watch(game), game.model.weight
    for step in (0, 50, 100, 200):  # none is due at 50
        nn.init.constant_(weight, step)
        watch.good.before(step)
    for step, expected in ((0, 0), (100, 0), (101, 100), (200, 100), (201, 200), (None, 200)):
        watch.good.put_back(step)
        assert weight.eq(expected).all()
    watch.look(200, "the loss is", torch.zeros(()))
    watch.read()
    assert [step for step, _ in watch.good.copies] == [200]


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
@pytest.mark.parametrize("fault", ["nan", "gradient"])
def test_nobody_moves_from_the_first_bad_number_until_it_is_read(name, fault):
    """The findings are read at step 20 here; the error is that of step 2, and comes again when it is read again."""
    game = Game(spoiled, model=linear(0), critic=linear(1))
    game.fault, seen = fault, [weights(game)]
    states = noted(train(game, [Batch(rows())], optim=Optim(name, lr=0.1, clip=1.0)), game, seen)
    with pytest.raises(NonFiniteError, match=r"player 'model' .* nan at step 2 .*weights of step 0 are back"):
        list(states)
    assert len(seen) == READ_EVERY
    assert not same(seen[1], seen[2])
    model = [{key: value for key, value in each.items() if "model" in key} for each in seen]
    assert all(same(model[2], each) for each in model[3:])


def noted(states: Iterator, game: Game, seen: list) -> Iterator:
    """Go through states, and note the weights after each."""
    for state in states:
        seen.append(weights(game))
        yield state


def test_an_error_that_a_bad_number_leads_to_is_that_numbers():
    """A later step fails on what the bad one left behind, before the findings were due to be read."""

    def step(game, batch):
        if not bool(game.seen.isfinite()):
            raise ValueError("the covariance is not positive definite")
        loss = game.model(batch.x).square().mean() * (torch.nan if int(game.clock) == 3 else 1.0)
        yield "model", loss
        game.seen = loss.detach()
        return {"loss": loss.detach()}

    game = Game(step, model=linear())
    game.seen = torch.zeros(())
    with pytest.raises(NonFiniteError, match=r"loss of player 'model' is nan at step 3 \(loss=nan\)"):
        list(train(game, [Batch(rows())], optim=SGD, steps=10))


def test_going_on_after_a_bad_number_was_read_raises_again():
    game = Game(spoiled, model=linear(0), critic=linear(1))
    game.fault = "nan"
    states = train(game, [Batch(rows())], optim=SGD)
    state = last(itertools.islice(states, 5))
    for read in (state.check, state.tensors, lambda: state.metrics, lambda: next(states)):
        with pytest.raises(NonFiniteError, match="at step 2"):
            read()


class Waits(TorchDispatchMode):
    """Count what reads a tensor from its device: item, float, bool and tolist all come down to it."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default):
            self.count += 1
        return function(*args, **(kwargs or {}))


class Stacks(TorchDispatchMode):
    """Count the tables that are made of what several steps have logged."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten.stack.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["vae", "gan", "wgan-gp", "autoencoder"])
def test_nothing_in_a_step_waits_for_the_device(name):
    """On a GPU each wait costs more than a small step; what is read is read every twentieth step."""
    data = Rows(torch.randn(256, 2), lt.DataSpec((2,), lt.Support("real")))
    recipe = lt.recipes[name](data.spec, **({} if name == "autoencoder" else {"latent_dim": 2}))
    states = train(recipe.objective, Batches(data, 32), optim=recipe.optim)
    list(itertools.islice(states, READ_EVERY))
    with Waits() as waits:
        assert len(list(itertools.islice(states, READ_EVERY - 1))) == READ_EVERY - 1
    assert waits.count == 0
    with Waits() as waits:
        list(itertools.islice(states, READ_EVERY))
    assert 0 < waits.count < READ_EVERY


def test_what_a_step_logs_is_read_in_one_transfer():
    logged = [
        Logged({"loss": torch.tensor(float(i)), "kl": torch.tensor(2.0), "beta": 0.5}) for i in range(9)
    ]
    with Stacks() as seen:
        read = read_all(logged)
    assert seen.count == 1
    assert [each["loss"] for each in read] == [float(i) for i in range(9)]
    assert read[0] == {"loss": 0.0, "kl": 2.0, "beta": 0.5}


def test_a_later_change_in_place_does_not_change_what_was_logged():
    value = torch.ones(())
    logged = Logged({"value": value})
    value.fill_(2.0)
    assert logged.read() == {"value": 1.0}


def test_the_clock_is_a_number_that_follows_its_buffer():
    game = Game(regression, model=linear())
    assert game.steps_done == 0
    for _ in range(3):
        game.tick()
    assert (game.steps_done, int(game.clock)) == (3, 3)
    game.clock.fill_(7)
    assert game.steps_done == 7
    game.load_state_dict({**game.state_dict(), "clock": torch.tensor(5)})
    assert game.steps_done == 5
    twin = copy.deepcopy(game)
    twin.tick()
    assert (twin.steps_done, game.steps_done) == (6, 5)
    with Waits() as waits:
        game.tick()
        assert game.steps_done == 6
    assert waits.count == 0


def test_weights_that_diverge_leave_a_model_that_works():
    """The weights of a step whose loss is NaN are the ones to blame: they are not kept."""
    run_or_error = None
    try:
        lt.fit("vae", torch.randn(50, 3), lr=1e3, hidden=6, latent_dim=2, progress=False)
    except NonFiniteError as error:
        run_or_error = error.run
    assert isinstance(run_or_error, lt.Run)
    assert bool(run_or_error.sample(20, seed=0).isfinite().all())


def test_a_last_step_that_spoils_the_weights_is_noticed():
    game = Game(lambda game, batch: one_loss(game, batch, game.model), model=linear(0))
    start = weights(game)
    with pytest.raises(
        NonFiniteError, match=r"the last step made model.weight infinite or NaN; the weights of step 0"
    ):
        list(train(game, [Batch(rows())], optim=Optim("sgd", lr=1e308), steps=1))
    assert same(start, weights(game))


def one_loss(game: Game, batch: Batch, model: nn.Module):
    loss = model(batch.x).square().mean()
    yield "model", loss
    return {"loss": loss.detach()}


# --- precision and compilation ----------------------------------------------------------------------------------


def test_bf16_computes_in_half_precision_keeps_float32_weights_and_agrees():
    """D19: bfloat16 has 8 bits, so losses agree to about a percent and are not equal."""
    from latentia.networks.conv import ConvDecoder, ConvEncoder
    from latentia.networks.mlp import MLP

    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert MLP((2,), (3,), hidden=(4,))(torch.zeros(5, 2)).dtype == torch.float32
        assert ConvEncoder((1, 8, 8), 3, width=4)(torch.zeros(5, 1, 8, 8)).dtype == torch.float32
        assert ConvDecoder(3, (1, 8, 8), width=4)(torch.zeros(5, 3)).dtype == torch.float32
    losses = {}
    x = torch.randn(64, 8)
    for precision in ("float32", "bf16"):
        torch.manual_seed(0)
        game = Game(reconstruct, model=MLP((8,), (8,), hidden=(32,)))
        states = train(game, [Batch(x)], optim=Optim(lr=1e-3), precision=precision, steps=20)
        losses[precision] = [state.metrics["loss"] for state in states]
        assert all(p.dtype == torch.float32 for p in game.parameters())
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bf16"] != losses["float32"]
    with pytest.raises(UsageError, match="unknown precision 'fp16'; there are: float32, bf16"):
        next(train(game, [Batch(x)], optim=SGD, precision="fp16"))


def reconstruct(game: Game, batch: Batch):
    loss = (game.model(batch.x) - batch.x).square().mean()
    yield "model", loss
    return {"loss": loss.detach()}


class Timed(Objective):
    """An objective with one loss function, and one function that is none."""

    loss_functions = ("loss",)

    def __init__(self) -> None:
        super().__init__()
        self.model = linear()

    def players(self):
        return {"model": self.model}

    def step(self, batch):
        loss = self.loss(batch.x)
        yield "model", loss
        return {"loss": loss.detach()}

    def loss(self, x):
        return self.model(x).square().mean()


def test_compile_compiles_the_functions_that_compute_losses_and_no_module(monkeypatch):
    compiled, called = [], []

    def recorder(function, **options):
        compiled.append(function)

        def call(*arguments):
            called.append(len(arguments[1]))
            return function(*arguments)

        return call

    monkeypatch.setattr(torch, "compile", recorder)
    objective = Timed()
    batches = [Batch(rows(6)), Batch(rows(6)), Batch(rows(2))]
    fast = [s.metrics["loss"] for s in train(objective, batches, optim=SGD, steps=6, compile=True)]
    assert [function.__name__ for function in compiled] == ["loss"]
    assert called == [6, 6, 6, 6]  # the last, smaller batch of an epoch stays eager
    assert fast == [s.metrics["loss"] for s in train(Timed(), batches, optim=SGD, steps=6)]


def test_an_objective_without_functions_to_compile_is_refused():
    with pytest.raises(UsageError, match="compile: Game names no loss_functions to compile"):
        next(train(Game(regression, model=linear()), [Batch(rows())], optim=SGD, compile=True))


def test_every_recipes_compiled_functions_exist_and_are_used(monkeypatch, digits):
    """A name in loss_functions that the step does not call would be compiled for nothing."""
    for name in ("vae", "gan"):
        called = set()

        def recorder(function, called=called, **options):
            return lambda *arguments: (called.add(function.__name__), function(*arguments))[1]

        monkeypatch.setattr(torch, "compile", recorder)
        run = lt.fit(
            name, digits[:64], steps=1, compile=True, network="mlp", hidden=4, latent_dim=2, progress=False
        )
        assert called == set(type(run.recipe.objective).loss_functions)


def test_a_compiled_objective_can_be_fitted_again(monkeypatch, digits):
    """A deep copy trains itself, and not the objective whose functions were compiled."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    options = {"steps": 2, "progress": False}
    run = lt.fit("vae", digits[:64], compile=True, hidden=4, latent_dim=2, **options)
    before = weights(run.model)
    again = lt.fit(run.recipe, digits[:64], **options)
    assert same(before, weights(run.model))
    assert not same(before, weights(again.model))


# --- batches ----------------------------------------------------------------------------------------------------


def test_an_iterable_without_at_is_read_again_and_again():
    batches = [Batch(rows(3)), Batch(rows(2))]
    states = list(train(Game(regression, model=linear()), batches, optim=SGD, steps=5))
    assert [state.rows for state in states] == [3, 2, 3, 2, 3]
    with pytest.raises(UsageError, match="no batches"):
        list(train(Game(regression, model=linear()), iter(batches), optim=SGD, steps=5))


def test_what_a_step_logs_may_be_tensors_with_gradients_or_numbers():
    def step(game, batch):
        loss = game.model(batch.x).square().mean()
        yield "model", loss
        return {"loss": loss, "five": 5, "half": torch.tensor(0.5)}

    state = last(train(Game(step, model=linear()), [Batch(rows())], optim=SGD, steps=1))
    assert state.metrics["five"] == 5.0
    assert state.metrics["half"] == 0.5
    assert all(type(value) is float for value in state.metrics.values())


def test_what_a_step_logs_is_exact_in_any_mixture_of_types():
    logged = {"loss": torch.tensor(0.5), "rows": torch.tensor(2**24 + 1)}
    assert Logged(logged).read() == {"loss": 0.5, "rows": 2**24 + 1}


def test_integers_are_given_to_the_step_as_floating_point_numbers():
    seen = []

    def step(game, batch):
        seen.append(batch.x.dtype)
        yield "model", game.model.weight.sum()
        return {}

    last(train(Game(step, model=linear()), [Batch(torch.ones(2, 2, dtype=torch.uint8))], optim=SGD, steps=1))
    assert seen == [torch.float32]


@pytest.mark.parametrize(
    "optim", [Optim("adam"), Optim("adamw"), Optim("rmsprop"), Optim("sgd", momentum=0.9)]
)
def test_resume_from_tensors_is_exact(optim):
    """D22, for every optimiser: k + m steps = k steps, tensors, m steps; the tensors are copies."""
    batches = lt_batches()
    whole = weights(last(train(Noisy(), batches, optim=optim, steps=7)).objective)
    states = train(Noisy(), batches, optim=optim)
    for state in states:
        if state.step == 3:
            kept = state.tensors()
        if state.step == 5:  # what came after must not be in what was kept
            break
    again = last(train(Noisy(), batches, optim=optim, steps=7, resume=kept))
    assert again.step == 7
    assert same(whole, weights(again.objective))


def lt_batches():
    return Batches(Rows(rows(10).float(), lt.DataSpec((2,), lt.Support("real"))), 4, seed=3)


# --- the whole loop ---------------------------------------------------------------------------------------------


def test_the_loop_equals_a_hand_written_wgan_loop_step_by_step():
    """Weight clipping, three critic steps, two optimisers: equal to the last bit."""
    torch.manual_seed(0)
    nets = [nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))]
    copies = copy.deepcopy(nets)
    data = [rows(5, seed=seed).float() for seed in range(4)]

    def step(game, batch):
        for _ in range(3):
            fake = game.model(torch.randn(len(batch), 2)).detach()
            loss = game.critic(fake).mean() - game.critic(batch.x).mean()
            yield "critic", loss
            with torch.no_grad():
                for parameter in game.critic.parameters():
                    parameter.clamp_(-0.05, 0.05)
        value = -game.critic(game.model(torch.randn(len(batch), 2))).mean()
        yield "model", value
        return {"critic_loss": loss.detach(), "model_loss": value.detach()}

    game = Game(step, model=nets[0], critic=nets[1])
    optim = {"model": Optim("adam", lr=1e-2, betas=(0.5, 0.9)), "critic": Optim("rmsprop", lr=5e-3)}
    states = train(game, [Batch(x) for x in data], optim=optim, steps=8, seed=11)

    model, critic = copies
    move_model = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.5, 0.9), fused=True)
    move_critic = torch.optim.RMSprop(critic.parameters(), lr=5e-3)
    noise = torch.Generator().manual_seed(11)
    for number, state in enumerate(states):
        real = data[number % 4]
        for _ in range(3):
            fake = model(torch.randn(5, 2, generator=noise)).detach()
            loss = critic(fake).mean() - critic(real).mean()
            move_critic.zero_grad()
            loss.backward()
            move_critic.step()
            for parameter in critic.parameters():
                parameter.data.clamp_(-0.05, 0.05)
        value = -critic(model(torch.randn(5, 2, generator=noise))).mean()
        move_model.zero_grad()
        value.backward()
        move_model.step()
        assert same(weights(model), weights(game.model))
        assert same(weights(critic), weights(game.critic))
        assert state.metrics["critic_loss"] == loss.item()
        assert state.metrics["model_loss"] == value.item()
    assert number == 7


# --- several processes ------------------------------------------------------------------------------------------


def idle_critic(game: Game, batch: Batch):
    """Two players; on batches that begin with a negative number one layer of the model goes unused."""
    hidden = game.model[0](batch.x)
    out = game.model[1](hidden) if batch.index[0] != 1 else hidden[:, :1]
    yield {"model": out.square().sum(-1).mean(), "critic": (game.critic(batch.x) - 1).square().mean()}
    return {}


def make_game() -> Game:
    return Game(idle_critic, model=nn.Sequential(linear(0, 2, 3), linear(1, 3, 1)), critic=linear(2))


def process(rank: int, store: str, result: str) -> None:
    """Train on this process's part of the batch, of unequal size: rows 0, 2, 3, 4 or row 1, 5."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    index = torch.tensor([[0, 2, 3, 4], [1, 5]][rank])
    game = make_game()
    optim = Optim("sgd", lr=0.1, clip=0.5)
    last(train(game, [Batch(rows()[index], index=index)], optim=optim, steps=3))
    if rank == 0:
        from safetensors.torch import save_file

        save_file(weights(game), result)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo's file store needs a POSIX system")
def test_two_processes_equal_one_on_the_union_of_their_batches(tmp_path):
    """Unequal parts count by their rows, unused parameters count as zero, and clipping comes last."""
    from safetensors.torch import load_file

    result = str(tmp_path / "weights.safetensors")
    torch.multiprocessing.spawn(process, args=(str(tmp_path / "store"), result), nprocs=2)

    game = make_game()
    optimiser = torch.optim.SGD(game.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        parts = [torch.tensor([0, 2, 3, 4]), torch.tensor([1, 5])]
        for part in parts:
            share = len(part) / 6
            losses = next(idle_critic(game, Batch(rows()[part], index=part)))
            (share * (losses["model"] + losses["critic"])).backward()
        for player in game.players().values():
            torch.nn.utils.clip_grad_norm_(player.parameters(), 0.5)
        optimiser.step()
    found = load_file(result)
    for name, parameter in game.named_parameters():
        assert torch.allclose(found[name], parameter, atol=1e-12), name


# --- what fit does with it --------------------------------------------------------------------------------------


def test_epoch_means_are_weighted_by_rows():
    """D21: 10 rows in batches of 4, 4 and 2; a learning rate of almost 0, so that the weights do not change."""
    x = rows(10).float() + 1
    recipe = lt.Recipe(Game(regression_of_rows, model=nn.Linear(2, 1)), Optim("sgd", lr=1e-30), batch_size=4)
    run = lt.fit(recipe, x, epochs=2, progress=False)
    with torch.no_grad():
        expected = (run.model(x) - 3).square().mean().item()
        parts = [(run.model(x[i : i + 4]) - 3).square().mean().item() for i in (0, 4, 8)]
    assert run.history["loss"].tolist() == pytest.approx([expected] * 2, rel=1e-5)
    assert sum(parts) / 3 != pytest.approx(expected, rel=1e-3)
    assert run.history["epoch"].tolist() == [1, 2]
    assert run.history["step"].tolist() == [3, 6]


def regression_of_rows(game: Game, batch: Batch):
    loss = (game.model(batch.x) - 3).square().mean()
    yield "model", loss
    return {"loss": loss.detach()}


def test_a_player_alone_descends():
    """`Player` can be used in a loop of one's own."""
    layer = linear()
    player, x = Player("model", layer, SGD), rows()
    before = (layer(x) - 3).square().mean().item()
    norm = player.descend((layer(x) - 3).square().mean())
    assert norm > 0
    assert (layer(x) - 3).square().mean().item() < before
