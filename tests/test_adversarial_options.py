"""Options of adversarial games, each against what it is by definition."""

from __future__ import annotations

import math

import pytest
import torch
from tests.draws import seeded
from tests.games import GREY, PLANE, batch, game, penalty, recipe, rows
from torch.nn.functional import softplus

import latentia as lt
from latentia.core.objective import Batch
from latentia.core.train import train
from latentia.errors import UsageError
from latentia.functional.gan.diversity import Made, mode_seeking
from latentia.objectives.gan.critic_input import InstanceNoise
from latentia.objectives.gan.critic_penalties import Penalty
from latentia.objectives.gan.replay import Replay
from latentia.objectives.gan.views import View

# --- several critics, packs, minibatch layers -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["mean", "softmax", "hardest"])
def test_the_generator_descends_a_combination_of_its_losses_to_the_critics(how):
    played = game(critics=3, combined=how)
    weights = list(played.model.parameters())
    with seeded(1):
        value = played.generator_loss(rows(), None)
    found = torch.autograd.grad(value, weights)
    each = []
    for critic in played.critics:
        with seeded(1):
            fake = played.model.rsample(16)
        loss = softplus(-critic(fake)).mean()
        each.append((loss.item(), torch.autograd.grad(loss, weights)))
    losses = [loss for loss, _ in each]
    total = sum(math.exp(loss) for loss in losses)
    shares = {
        "mean": [1 / 3] * 3,
        "softmax": [math.exp(loss) / total for loss in losses],
        "hardest": [float(loss == max(losses)) for loss in losses],
    }[how]
    assert len(set(losses)) == 3
    assert value.item() == pytest.approx(
        sum(s * loss for s, loss in zip(shares, losses, strict=True)), rel=1e-5
    )
    for i, gradient in enumerate(found):
        expected = sum(share * gradients[i] for share, (_, gradients) in zip(shares, each, strict=True))
        assert torch.allclose(gradient, expected, atol=1e-6)


def test_each_of_several_critics_learns_as_it_would_alone():
    played = game(critics=2, penalty="r1")
    real, fake = played.seen(rows()), played.seen(rows(seed=1))
    terms = played.critic_losses(View(real), View(fake))
    total = terms.real_loss + terms.fake_loss + penalty(played, real, fake)
    for critic in played.critics:
        own = list(critic.parameters())
        alone = softplus(-critic.score(real)).mean() + softplus(critic.score(fake)).mean()
        alone = alone + Penalty("r1").of(critic.score, real, fake)
        pairs = zip(
            torch.autograd.grad(total, own, retain_graph=True), torch.autograd.grad(alone, own), strict=True
        )
        assert all(torch.allclose(a, b, atol=1e-7) for a, b in pairs)
    first, second = (next(critic.parameters()) for critic in played.critics)
    assert not torch.equal(first, second)


def test_a_packed_critic_scores_rows_that_follow_one_another():
    """17 rows in packs of 3: the last is filled up with the first row."""
    played = game("pac-gan", pack=3)
    x = rows(n=17)
    seen = played.seen(x)
    assert seen.shape == (6, 3, 2)
    assert torch.equal(seen[1], x[3:6])
    assert torch.equal(seen[5], torch.stack([x[15], x[16], x[0]]))
    network = played.critics[0].network
    assert torch.equal(played.critics[0].score(seen), network(seen.reshape(6, 6)).squeeze(1))


@pytest.mark.parametrize("minibatch", ["discrimination", "deviation"])
def test_first_losses_of_minibatch_critics_are_of_order_one(minibatch):
    """Whatever the size of the batch."""
    for n in (8, 256):
        played = game("minibatch-gan", minibatch=minibatch, hidden=256, layers=2)
        x = rows(n=n)
        terms = played.critic_losses(View(played.seen(x)), View(played.seen(x / 10)))
        assert (terms.real_loss + terms.fake_loss).item() < 4


# --- what critics see -----------------------------------------------------------------------------------------------


def test_instance_noise_fades_linearly_and_is_gone_at_the_given_step():
    noise = InstanceNoise(noise=0.4, noise_steps=200)
    told = [noise.deviation(torch.tensor(step)).item() for step in (0, 50, 100, 199, 200, 1000)]
    assert told == pytest.approx([0.4, 0.3, 0.2, 0.002, 0, 0])
    assert InstanceNoise(noise=0.4).deviation(torch.tensor(10**6)).item() == pytest.approx(0.4)


@pytest.mark.parametrize("step", [0, 30, 60])
def test_all_that_critics_see_is_noisy_in_units_of_the_scaled_rows(step):
    """20,000 entries: the standard deviation is off by 3 % once in 10⁹ draws."""
    played = game(instance_noise=0.5, instance_noise_steps=60)
    played.begin(Batch(rows(n=100) * 50))
    played.clock.fill_(step)
    x = torch.zeros(10_000, 2)
    noise = played.seen(x) - played.model.scaling(x)
    assert noise.std().item() == pytest.approx(0.5 * (1 - step / 60), rel=0.03, abs=1e-6)
    seen = []
    played.critics[0].network.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    with seeded(2):
        loss = played.generator_loss(rows(), None)
    with seeded(2):
        clean = played.model.scaled(played.model.codes(16))
    assert torch.equal(seen[0], clean) == (step == 60)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(loss, list(played.model.parameters())))


def test_real_and_made_images_are_changed_alike_and_gradients_pass():
    played = game(data=GREY, augment="shift+cutout+colour")
    seen = []
    for critic in played.critics:
        critic.network.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    told = played.step(batch(GREY))
    for player in ("critic", "generator"):
        assert next(told)[0] == player
    assert len(seen) == 3  # real and fake of the critic's step, fake of the generator's
    flat = played.model.scaling(torch.full((64, 1, 16, 16), 0.9))
    changed = played.seen(torch.full((64, 1, 16, 16), 0.9))
    assert (flat != changed).flatten(1).any(1).all()
    loss = played.generator_loss(rows(GREY), None)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(loss, list(played.model.parameters())))


def test_labels_that_are_smoothed_or_flipped_reach_the_critic_only():
    plain, told = game(), game(label_smoothing=0.2)
    x, y = plain.seen(rows()), plain.seen(rows(seed=1))
    real, fake = (plain.critics[0].score(each) for each in (x, y))
    terms = told.critic_losses(View(x), View(y))
    assert terms.real_loss.item() == pytest.approx(
        (0.8 * softplus(-real) + 0.2 * softplus(real)).mean().item()
    )
    assert terms.fake_loss.item() == pytest.approx(softplus(fake).mean().item())
    for other in (told, game(label_flips=0.3)):
        with seeded(1):
            expected = plain.generator_loss(rows(), None)
        with seeded(1):
            assert other.generator_loss(rows(), None).item() == expected.item()
    flips = game(label_flips=0.3)
    assert flips.critic_losses(View(x), View(y)).real_loss != flips.critic_losses(View(x), View(y)).real_loss


def test_replay_fills_and_then_exchanges_half():
    """Rows are identified by a number: the critic sees new rows and stored ones, and each is in one place."""
    torch.manual_seed(0)
    replay = Replay(5, (1,))
    batches = [torch.arange(4.0)[:, None] + 10 * k for k in range(30)]
    assert torch.equal(replay(batches[0]), batches[0])
    assert torch.equal(replay(batches[1]), batches[1])  # one more fits
    assert replay.stored[:, 0].tolist() == [0, 1, 2, 3, 10]
    for new in batches[2:]:
        before = set(replay.stored[:, 0].tolist())
        shown = replay(new)
        old, kept = set(shown[:2, 0].tolist()), shown[2:]
        assert old < before
        assert len(old) == 2
        assert torch.equal(kept, new[2:])
        assert set(replay.stored[:, 0].tolist()) == (before - old) | set(new[:2, 0].tolist())
    assert int(replay.count) == 5
    assert Replay(1, (1,))(torch.ones(4, 1)).shape == (4, 1)


def test_replay_is_for_the_critic_and_resumes_bit_exactly():
    def played(resume=None, steps=6):
        made = recipe(replay=20)
        return list(train(made.objective, [batch()], optim=made.optim, steps=steps, seed=1, resume=resume))

    whole = played()[-1].tensors()
    half = played(steps=3)[-1].tensors()
    rest = played(resume=half)[-1].tensors()
    assert whole["objective.replay.count"] == 20
    assert all(torch.equal(value, rest[key]) for key, value in whole.items())
    with pytest.raises(UsageError, match="replay keeps rows without what they are conditioned on"):
        game(data=GREY, conditional=True, replay=10)


# --- diversity, conditions ------------------------------------------------------------------------------------------


def test_diversity_is_added_with_its_weight():
    plain, told = game(), game("mode-seeking-gan", diversity_weight=3.0)
    with seeded(6):
        base = plain.generator_loss(rows(), None)
    with seeded(6):
        value = told.generator_loss(rows(), None)
    with seeded(6):
        codes = told.model.codes(16)
    made = told.model.scaling(told.model.push(codes))
    term = mode_seeking(Made(codes, made, lambda: (made, made)))
    assert value.item() == pytest.approx((base + 3 * term).item(), rel=1e-5)


def test_gdpp_reads_the_first_critic_s_features_as_it_sees_rows():
    played, seen = game(diversity="gdpp", pack=2, critics=2), []
    features = played.critics[0].scaled_features

    def watched(y, context=None):
        seen.append(y)
        return features(y, context)

    played.critics[0].scaled_features = watched
    loss = played.generator_loss(rows(), None)
    fake, real = seen
    assert torch.equal(real, played.seen(rows()))
    assert fake.requires_grad
    assert fake.shape == (8, 2, 2)
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, list(played.model.parameters())))


@pytest.mark.parametrize("conditioning", ["concatenation", "projection"])
def test_samples_are_of_the_class_that_is_asked_for(conditioning):
    """Classes around −2 and 2, with a standard deviation of 0.3: their means come out apart, in that order."""
    y = torch.arange(256) % 2
    x = 0.3 * torch.randn(256, 2, generator=torch.Generator().manual_seed(0)) + 4.0 * y[:, None] - 2
    options = {"hidden": 32, "layers": 1, "lr": 2e-3, "critic_lr": 2e-3, "latent_dim": 2, "progress": False}
    run = lt.fit(
        "conditional-gan", x, labels=["low" if each == 0 else "high" for each in y],
        conditioning=conditioning, penalty="r1", steps=250, **options,
    )  # fmt: skip
    low, high = (run.sample(200, {"class": name}, seed=0).mean().item() for name in ("low", "high"))
    assert low < -1 < 1 < high


def test_critics_are_conditioned_on_the_class_of_each_row_of_a_pack():
    played = game(data=GREY, conditional=True, pack=2)
    given, seen = batch(GREY), []
    played.critics[0].network.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[1]))
    told = played.step(given)
    for _ in range(2):
        next(told)
    assert all(torch.equal(context, given.context.reshape(8, 4)) for context in seen)


REUSING = [
    {},
    {"critic_steps": 3, "loss": "wasserstein", "penalty": "gradient"},
    {"loss": "relativistic-paired", "pack": 2, "penalty": "r1-r2"},
    {"unroll_steps": 2},
    {"diversity": "gdpp", "critics": 2},
    {"data": GREY, "conditional": True, "norm": "none"},
]


@pytest.mark.parametrize("options", REUSING, ids=lambda options: "-".join(options) or "plain")
def test_samples_used_again_teach_what_new_ones_of_the_same_codes_would(options):
    """Where every draw gives the same codes, three steps end in the same weights, with a forward pass less each."""
    told = dict(options)
    data = told.pop("data", PLANE)
    codes, ends, passes = torch.randn(16, 3, generator=torch.Generator().manual_seed(3)), [], []
    for reuse in (False, True):
        made = recipe(data=data, reuse_samples=reuse, **told)
        played, seen = made.objective, []
        played.model.codes = lambda n: codes
        played.model.network.register_forward_hook(
            lambda module, given, y, seen=seen: seen.append(y.requires_grad)
        )
        list(train(played, [batch(data)], optim=made.optim, steps=3))
        ends.append(dict(played.named_parameters()))
        passes.append(seen)
    steps = told.get("critic_steps", 1)
    assert passes == [3 * [*steps * [False], True], 3 * [*(steps - 1) * [False], True]]
    assert all(torch.allclose(value, ends[1][key], atol=1e-6) for key, value in ends[0].items())


def test_dc_gan_uses_samples_again_and_others_draw_new_ones():
    drawn = []
    for name in ("dc-gan", "gan"):
        played = game(name, GREY)
        codes = played.model.codes
        count = []
        played.model.codes = lambda n, codes=codes, count=count: count.append(n) or codes(n)
        told = played.step(batch(GREY))
        assert [next(told)[0] for _ in range(2)] == ["critic", "generator"]
        drawn.append(len(count))
    assert drawn == [1, 2]


@pytest.mark.parametrize(
    "options",
    [
        {"diversity": "mode-seeking"},
        {"diversity": "distance-ratio"},
        {"diversity": "pulling-away"},
        {"penalty": "dragan"},
    ],
    ids=str,
)
def test_an_epoch_may_end_with_a_single_row(options):
    """65 rows of one number in batches of 64; but a first batch of one row is refused, and nothing is done silently."""
    x = rows(n=65)[:, :1]
    spec = lt.DataSpec((1,), lt.Support("real"))
    made = recipe(data=spec, **options)
    *_, state = train(made.objective, [Batch(x[:64]), Batch(x[64:])], optim=made.optim, steps=4)
    assert all(math.isfinite(value) for value in state.metrics.values())
    if "diversity" in options:
        with pytest.raises(UsageError, match="at least"):
            list(train(recipe(data=spec, **options).objective, [Batch(x[:1])], optim=made.optim, steps=1))


def test_a_pack_is_not_of_more_rows_than_a_batch():
    made = recipe("pac-gan", pack=20)
    with pytest.raises(UsageError, match="pack=20 rows are judged together, and batches have 16"):
        list(train(made.objective, [batch()], optim=made.optim, steps=1))
    ended = recipe("pac-gan", pack=16)
    assert len(list(train(ended.objective, [batch(), batch(n=5)], optim=ended.optim, steps=2))) == 2


@pytest.mark.parametrize("name", ["hinge", "total-variation"])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_untrue_labels_leave_the_even_score_of_losses_whose_best_score_is_a_sign(name, share):
    """Real rows that score 0.5 and fake ones that score −0.5 are told right, whatever the critic is told of labels."""
    for option in ("label_smoothing", "label_flips"):
        played = game(loss=name, **{option: share})
        played.critics = torch.nn.ModuleList([Scored()])
        terms = played.critic_losses(View(torch.full((4,), 0.5)), View(torch.full((4,), -0.5)))
        assert (terms.real_accuracy, terms.fake_accuracy) == (1, 1)


class Scored(torch.nn.Module):
    """A critic whose rows are scores."""

    def score(self, y, context=None):
        return y
