"""The adversarial family.

Rows B4, B5, B6, B13, B15, B17 of docs/known-mistakes.md.
"""

from __future__ import annotations

import copy
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.draws import seeded
from tests.games import rows
from tests.problems import small_sizes
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.data.spec import DataSpec, Support
from latentia.errors import UsageError
from latentia.functional.gan.loss_pairs import LOSS_PAIRS, loss_pair
from latentia.networks.conv import ConvDecoder, ConvEncoder
from latentia.objectives.gan.views import View
from latentia.signatures import signature_of

PLANE = DataSpec((2,), Support("real"))
GREY = DataSpec((1, 8, 8), Support("unit"))


def small(data: DataSpec = PLANE, **options):
    """Return a small GAN's recipe with weights from a fixed seed."""
    sizes = small_sizes(options.get("network", "auto"), data)
    with seeded():
        return lt.recipes["gan"](data, **sizes | {"latent_dim": 3} | options)


class Told(nn.Module):
    """A critic whose score of rows is a function of them."""

    pack = 1

    def __init__(self, score):
        super().__init__()
        self.score = lambda y, context=None: score(y)


def parameters(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- the game ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["non-saturating", "minimax"])
def test_the_losses_are_those_of_the_paper(loss):
    """The critic descends −E log D(x) − E log(1 − D(G(z))); the generator one of two losses."""
    game = small(loss=loss).objective
    x = rows()
    with seeded(5):
        fake = game.model.rsample(16).detach()
    terms = game.critic_losses(View(game.seen(x)), View(game.seen(fake)))
    real, made = game.critics[0](x), game.critics[0](fake)
    assert terms.real_loss.item() == pytest.approx(-logsigmoid(real).mean().item(), rel=1e-6)
    assert terms.fake_loss.item() == pytest.approx(-torch.log1p(-torch.sigmoid(made)).mean().item(), rel=1e-5)
    assert terms.real_accuracy.item() == pytest.approx((real > 0).float().mean().item())
    assert terms.fake_accuracy.item() == pytest.approx((made < 0).float().mean().item())
    assert torch.equal(terms.scores[0][0], real)
    assert torch.equal(terms.scores[0][1], made)
    with seeded(5):
        value = game.generator_loss(x, None)
    expected = {
        "non-saturating": -logsigmoid(made).mean(),
        "minimax": torch.log1p(-torch.sigmoid(made)).mean(),
    }[loss]
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_relativistic_generator_is_given_the_real_scores():
    game = small(loss="relativistic-average").objective
    x = rows()
    seen = []

    def watched(fake_scores, real_scores):
        seen.append((fake_scores, real_scores))
        return fake_scores

    for relativistic in (True, False):
        game.losses = replace(game.losses, generator=watched, relativistic=relativistic)
        game.generator_loss(x, None)
    (_, given), (fake_scores, empty) = seen
    assert torch.equal(given, game.critics[0](x))
    assert fake_scores.shape == (16,)
    assert empty.shape == (0,)


def test_both_players_read_real_rows_once_scaled():
    """A critic scales rows of data itself, so its scores of these are those that both updates of a step use."""
    game = small(loss="relativistic-paired").objective
    x, seen = 50 * rows() + 7, []
    game.begin(Batch(x))

    losses = game.losses

    def critic_loss(real_scores, fake_scores):
        seen.append(real_scores)
        return losses.critic(real_scores, fake_scores)

    def generator_loss(fake_scores, real_scores):
        seen.append(real_scores)
        return losses.generator(fake_scores, real_scores)

    game.losses = replace(losses, critic=critic_loss, generator=generator_loss)
    told = game.step(Batch(x))
    assert [next(told)[0] for _ in range(2)] == ["critic", "generator"]
    expected = game.critics[0](x)
    assert len(seen) == 2
    assert all(torch.allclose(each, expected, atol=1e-6) for each in seen)


@pytest.mark.parametrize(
    ("loss", "real", "fake", "shares"),
    [
        ("non-saturating", [-1.0, 1.0, 2.0, 3.0], [-1.0, 0.5, -1.0, -1.0], (0.75, 0.75)),
        ("least-squares", [0.4, 0.6, 0.7, 0.8], [0.2, 0.3, 0.4, 0.45], (0.75, 1.0)),  # its even score is 1/2
        (
            "relativistic-average",
            [5.0, 7.0, 8.0, 9.0],
            [4.0, 5.0, 6.0, 8.0],
            (0.75, 0.75),
        ),  # means 7.25, 5.75
    ],
)
def test_accuracies_are_counted_at_the_loss_s_own_even_score(loss, real, fake, shares):
    game = small(loss=loss).objective

    game.critics = nn.ModuleList([Told(lambda y: y)])
    terms = game.critic_losses(View(torch.tensor(real)), View(torch.tensor(fake)))
    assert (terms.real_accuracy.item(), terms.fake_accuracy.item()) == shares


@pytest.mark.parametrize("name", LOSS_PAIRS)
def test_the_help_names_every_loss(name):
    told = help_of("gan", "loss")
    assert re.search(rf"\b{name}\b", told), f"name {name} in the help of gan's option loss"


def help_of(recipe: str, option: str) -> str:
    return next(each.explanation for each in signature_of(lt.recipes[recipe]).options if each.name == option)


def test_the_help_says_that_f_divergences_are_losses_too():
    told = help_of("gan", "loss")
    named = re.search(
        r"of an f-divergence, as (\S+) or (\S+), is its variational bound, which (\S+) makes", told
    )
    assert [loss_pair(name).relativistic for name in named.groups()] == [False] * 3


def test_only_the_non_saturating_loss_teaches_where_the_critic_is_sure():
    """B15: through the recipe's option, with a critic that calls every sample fake with a logit of −20."""
    norms = {}
    for loss in ("non-saturating", "minimax"):
        game = small(loss=loss).objective

        game.critics = nn.ModuleList([Told(lambda y: y.flatten(1).sum(1) - 20)])
        value = game.generator_loss(rows() * 0, None)
        gradient = torch.autograd.grad(value, list(game.model.parameters()))
        norms[loss] = sum(g.norm().item() for g in gradient)
    assert norms["minimax"] < 1e-6
    assert norms["non-saturating"] > 0.1
    with pytest.raises(UsageError, match="unknown loss 'non-saturated'; did you mean 'non-saturating'"):
        small(loss="non-saturated")


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_the_critic_moves_so_often_and_then_the_generator_once(critic_steps):
    game = small(critic_steps=critic_steps).objective
    told = game.step(Batch(rows()))
    names = [next(told)[0] for _ in range(critic_steps + 1)]
    assert names == ["critic"] * critic_steps + ["generator"]
    with pytest.raises(StopIteration) as end:
        next(told)
    assert set(end.value.value) == {
        "generator_loss", "critic_loss", "critic_loss_real", "critic_loss_fake",
        "critic_accuracy_real", "critic_accuracy_fake",
        "sample_diversity", "range_outside", "range_covered", "critic_saturated", "twice_jsd_bound",
    }  # fmt: skip
    logged = end.value.value
    total = logged["critic_loss_real"] + logged["critic_loss_fake"]
    assert logged["critic_loss"].item() == pytest.approx(total.item())
    with pytest.raises(UsageError, match="critic_steps must be at least 1; got 0"):
        small(critic_steps=0)


@pytest.mark.parametrize("reuse", [False, True])
def test_each_critic_step_sees_new_fakes(reuse):
    game = small(critic_steps=3, reuse_samples=reuse).objective
    seen = []

    def watched(real, fake):
        seen.append(fake.x)
        return type(game).critic_losses(game, real, fake)

    game.critic_losses = watched
    told = game.step(Batch(rows()))
    for _ in range(3):
        next(told)
    assert len(seen) == 3
    assert not torch.equal(seen[0], seen[1])
    assert not any(fake.requires_grad for fake in seen)


@pytest.mark.parametrize("data", [PLANE, GREY], ids=["mlp", "conv"])
def test_no_players_step_leaves_anything_in_the_other(data):
    """B6: weights and gradients of the other player are bit-identical; batch-norm statistics may move."""
    recipe = small(data)
    game = recipe.objective
    plain = type(game).step

    def watched(batch):
        for name, loss in plain(game, batch):
            other = game.players()[{"critic": "generator", "generator": "critic"}[name]]
            before = parameters(other)
            yield name, loss
            assert equal(before, parameters(other))
            assert all(p.grad is None for p in other.parameters())
        return {}

    game.step = watched
    before = {name: parameters(player) for name, player in game.players().items()}
    statistics = {name: b.clone() for name, b in game.model.named_buffers()}
    list(train(game, [Batch(rows(data))], optim=recipe.optim, steps=1))
    for name, player in game.players().items():
        assert not equal(before[name], parameters(player)), name
    moved = [name for name, b in game.model.named_buffers() if not torch.equal(b, statistics[name])]
    assert any("running_mean" in name for name in moved) == (data is GREY)


@pytest.mark.parametrize("critic_norm", ["none", "batch", "spectral"])
def test_the_score_of_real_rows_does_not_depend_on_the_fakes(critic_norm):
    """B5: real and fake rows pass the critic apart, batch norm or not."""
    data = DataSpec((1, 16, 16), Support("unit"))  # two layers, of which the second is normalised
    game = small(data, critic_norm=critic_norm).objective
    assert any(isinstance(m, nn.BatchNorm2d) for m in game.critics.modules()) == (critic_norm == "batch")
    x = rows(data)
    values = []
    for seed in (1, 2):
        twin = copy.deepcopy(game).train()
        fake = twin.seen(rows(data, seed=seed) ** 3)
        values.append(twin.critic_losses(View(twin.seen(x)), View(fake)).real_loss.item())
    assert values[0] == values[1]


@pytest.mark.parametrize("critic_norm", ["none", "spectral"])
@pytest.mark.parametrize("data", [PLANE, GREY], ids=["mlp", "conv"])
def test_scores_do_not_mix_rows(data, critic_norm):
    """B13: D(x)[0] = D(x[:1]); without batch norm also while training."""
    critic = small(data, critic_norm=critic_norm).objective.critics[0].eval()
    x = rows(data)
    assert critic(x).shape == (16,)
    assert critic(x)[0].item() == pytest.approx(critic(x[:1])[0].item(), abs=1e-6)


def test_the_critic_s_output_is_unbounded():
    """B3: scores are logits; no sigmoid is hidden in the network."""
    critic = small().objective.critics[0]
    assert critic(rows() * 1e4).abs().max() > 10


# --- ranges -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("support", ["binary", "unit", "discrete(17)", "discrete(256)", "real"])
@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_the_range_comes_from_the_data(support, network):
    """B17: a generator that is pushed to either end reaches the data's, and the critic sees ±1 for both."""
    data = DataSpec((1, 8, 8), Support.parse(support))
    game, seen = small(data, network=network).objective, []
    game.critics[0].network.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    last = [m for m in game.model.network.modules() if isinstance(m, nn.Linear | nn.ConvTranspose2d)][-1]
    low, high = data.support.bounds or (-math.inf, math.inf)
    for sign, end in ((1, high), (-1, low)):
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, 100.0 * sign)
        made = game.model.eval().rsample(4)
        if math.isfinite(end):
            assert torch.allclose(made, torch.tensor(end), atol=1e-4)
            game.critics[0](made)
            assert torch.allclose(seen[-1], torch.tensor(float(sign)))
        else:
            assert torch.allclose(made, torch.tensor(100.0 * sign))
        data.check(game.model.sample(4))


def test_real_data_is_scaled_alike_for_both_players_by_its_own_moments():
    recipe, seen = small(), []
    recipe.objective.critics[0].network.register_forward_pre_hook(
        lambda module, arguments: seen.append(arguments[0])
    )
    x = rows(n=500) * torch.tensor([0.01, 50.0]) + torch.tensor([3.0, -700.0])
    list(train(recipe.objective, [Batch(x)], optim=recipe.optim, steps=1))
    for scaling in (recipe.objective.model.scaling, recipe.objective.critics[0].scaling):
        assert torch.allclose(scaling.shift, x.mean(0), rtol=1e-4)
        assert torch.allclose(scaling.scale, x.std(0, correction=0), rtol=1e-4)
    assert recipe.objective.model.scaling is not recipe.objective.critics[0].scaling
    assert torch.allclose(seen[0].mean(0), torch.zeros(2), atol=1e-3)  # the real rows
    assert torch.allclose(seen[0].std(0), torch.ones(2), atol=0.01)


def test_grey_bytes_are_fitted_and_sampled_as_bytes(digits):
    run = lt.fit("gan", (digits * 15).astype(np.uint8), steps=2, width=4, progress=False)
    sample = run.sample(10, seed=0)
    assert run.spec.support == Support("discrete", 256)
    run.spec.check(sample)
    assert sample.max() > 1


def test_it_has_samples_only():
    model = small().objective.model
    assert isinstance(model, lt.Generative | lt.Pathwise)
    assert not isinstance(model, lt.Density | lt.Bounded | lt.Encodes | lt.Decodes)
    assert model.rsample(4).requires_grad
    assert not model.sample(4).requires_grad
    with pytest.raises(UsageError, match="gan does not encode; it can sample"):
        lt.fit("gan", rows().numpy(), steps=1, progress=False).encode(rows().numpy())


# --- networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 11), (28, 28), (30, 45), (32, 32), (64, 17), (65, 65)])
def test_convolutional_networks_take_and_make_images_of_any_size(size, channels):
    data = DataSpec((channels, *size), Support("unit"))
    recipe = small(data, width=2, critic_norm="spectral")
    for state in train(recipe.objective, [Batch(rows(data, 4))], optim=recipe.optim, steps=1):
        assert math.isfinite(state.metrics["critic_loss"])
    sample = recipe.objective.model.sample(3)
    data.check(sample)
    assert sample.shape == (3, channels, *size)


def test_every_entry_of_an_image_depends_on_the_code_and_is_read_by_the_critic():
    """Nothing is cut off or padded with constants, also where doubling does not reach the size."""
    torch.manual_seed(0)
    for size in ((8, 8), (9, 11), (30, 45)):
        z, x = torch.randn(20, 5), torch.randn(1, 1, *size, requires_grad=True)
        image = ConvDecoder(5, (1, *size), width=4, norm="none")(z)
        assert (image.std(0) > 0).all()
        ConvEncoder((1, *size), 3, width=4)(x).square().sum().backward()
        used = (x.grad[0, 0] != 0).float()
        last = min(size) - min(size) % 4 - 4  # a strided convolution may leave out the last rows of odd sizes
        assert used[:last, :last].all()


def test_batch_norms_have_torch_s_own_settings():
    """B9: the second positional argument of BatchNorm2d is eps."""
    data = DataSpec((1, 16, 16), Support("unit"))
    norms = [m for m in small(data, critic_norm="batch").objective.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) >= 3
    assert all(norm.eps == 1e-5 for norm in norms)


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (1, 28)])
def test_images_that_are_too_small_for_convolutions_are_refused(size):
    data = DataSpec((1, *size), Support("unit"))
    with pytest.raises(UsageError, match=r"at least 8×8; got rows of shape .*use network='mlp'"):
        small(data, network="conv")
    assert small(data).objective.model.sample(2).shape == (2, 1, *size)  # auto takes mlp
    with pytest.raises(UsageError, match="at least 8×8"):
        small(PLANE, network="conv")


def test_spectral_norm_bounds_every_layer_of_the_critic():
    critic = small(GREY, critic_norm="spectral").objective.critics[0].train()
    for _ in range(50):  # power iteration, one step a pass
        critic(rows(GREY))
    critic.eval()
    layers = [m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(layers) >= 2
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert norm.item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": PLANE, "norm": "spectral"}, "unknown norm 'spectral'; there are: auto, batch, none"),
        ({"data": GREY, "norm": "spectral"}, "unknown norm 'spectral'; there are: auto, batch, none"),
        (
            {"data": GREY, "critic_norm": "batch"},
            "excludes the first layer, and 8×8 images have no other",
        ),
        ({"data": GREY, "norm": "btach"}, "unknown norm 'btach'"),
        ({"data": GREY, "network": "vnet"}, "unknown network 'vnet'"),
        ({"data": GREY, "latent_dim": 0}, "latent_dim must be at least 1; got 0"),
        ({"data": GREY, "width": 0}, "width must be at least 1; got 0"),
        ({"data": GREY, "lr": 0.0}, "lr must be above 0; got 0"),
        (
            {"data": DataSpec((3,), Support("categorical", 4))},
            "a generator models binary, discrete, unit, real data",
        ),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        small(**options)


def test_it_learns_a_shifted_gaussian():
    """On standardised rows the start is close already; the test is that training keeps mean and spread."""
    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 0.5]) + 5
    run = lt.fit("gan", x, epochs=12, hidden=32, latent_dim=4, lr=1e-3, critic_lr=1e-3, progress=False)
    sample = run.sample(4000, seed=0)
    assert (sample.mean(0) - x.mean(0)).abs().max() < 0.6 * x.std(0).max()
    assert (sample.std(0) / x.std(0)).min() > 0.4
    assert (sample.std(0) / x.std(0)).max() < 2
