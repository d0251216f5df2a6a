"""What adversarial recipes are made of, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from tests.games import GREY, game
from torch import Tensor, nn

import latentia as lt
from latentia.data.attributes import Attribute
from latentia.data.spec import DataSpec, Support
from latentia.errors import UsageError
from latentia.functional.gan.diversity import DIVERSITY, matches_contexts
from latentia.objectives.gan.adversarial import Adversarial


def test_dc_gan_has_batch_norm_where_it_can():
    def norms(data: DataSpec, **options) -> int:
        critics = game("dc-gan", data, **options).critics
        return sum(isinstance(module, nn.BatchNorm2d) for module in critics.modules())

    small = DataSpec((1, 8, 8), Support("unit"))
    assert norms(GREY) == 1
    assert norms(DataSpec((3, 32, 32), Support("unit"))) == 2
    assert norms(GREY, network="auto") == 1
    assert norms(small) == 0  # a critic of one layer
    assert norms(GREY, penalty="r1") == 0
    assert norms(GREY, critic_norm="none") == 0
    with pytest.raises(UsageError, match="and 8×8 images have no other"):
        game("dc-gan", small, critic_norm="batch")
    with pytest.raises(UsageError, match="couples the rows"):
        game("dc-gan", GREY, critic_norm="batch", penalty="r1")


def test_dc_gan_starts_from_small_normal_weights():
    played = game("dc-gan", GREY, width=16)
    for module in played.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.25)
            assert module.bias is None or module.bias.abs().max() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": "r1x"}, "unknown penalty 'r1x'; did you mean 'r1'"),
        ({"loss": "wasserstien"}, "unknown loss 'wasserstien'; did you mean 'wasserstein'"),
        ({"combined": "hard", "critics": 2}, "unknown combined 'hard'; did you mean 'hardest'"),
        ({"diversity": "mode"}, "unknown diversity 'mode'"),
        ({"augment": "shfit", "data": GREY}, "unknown augment 'shfit'; did you mean 'shift'"),
        ({"augment": "shift"}, "augment='shift' is for images"),
        ({"prior": "uniforn"}, "unknown prior 'uniforn'; did you mean 'uniform'"),
        ({"prior": "gaussian-mixture"}, "unknown prior 'gaussian-mixture'; there are: standard-normal, uniform"),
        ({"conditioning": "projecting", "conditional": True, "data": GREY}, "unknown conditioning 'projecting'"),
        ({"minibatch": "deviatoin"}, "unknown minibatch 'deviatoin'; did you mean 'deviation'"),
        ({"penalty": "r1", "penalty_weight": -1.0}, "penalty_weight must be at least 0; got -1"),
        ({"penalty": "r1", "penalty_every": 0}, "penalty_every must be at least 1; got 0"),
        ({"clip_weights": 0.0}, "clip_weights must be above 0; got 0.0"),
        ({"critics": 0}, "critics must be at least 1; got 0"),
        ({"pack": 0}, "pack must be at least 1; got 0"),
        ({"replay": -1}, "replay must be at least 0; got -1"),
        ({"unroll_steps": -1}, "unroll_steps must be at least 0; got -1"),
        ({"unroll_steps": 1, "unroll_lr": 0.0}, "unroll_lr must be above 0; got 0.0"),
        ({"instance_noise": -0.1}, "must be at least 0; got -0.1"),
        ({"diversity": "gdpp", "diversity_weight": -1.0}, "diversity_weight must be at least 0; got -1"),
        ({"label_smoothing": 0.5}, "label_smoothing must be at least 0 and below 0.5; got 0.5"),
        ({"label_flips": -0.1}, "label_flips must be at least 0 and below 0.5; got -0.1"),
        ({"label_smoothing": 0.1, "loss": "wasserstein", "clip_weights": 0.1}, "wasserstein has none"),
        ({"loss": "wasserstein"}, "no optimum unless the critic's slope is bounded: set penalty='gradient'"),
        (
            {"loss": "wasserstein", "penalty": "gradient", "critics": 2, "combined": "softmax"},
            "combined='softmax' compares critics' scores",
        ),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"dropout": 0.5, "layers": 0}, "dropout=0.5 needs hidden layers, and this mlp has none"),
        ({"beta1": 1.0}, "beta1 must be at least 0 and below 1; got 1.0"),
        ({"name": "multi-critic-gan", "critics": 1}, "critics must be at least 2; got 1"),
        ({"penalty_weight": 3.0}, "penalty_weight=3.0 is for penalty, which is off: set penalty, or leave"),
        ({"penalty_every": 4}, "penalty_every=4 is for penalty"),
        ({"combined": "hardest"}, "combined='hardest' is for critics"),
        ({"unroll_lr": 0.5}, "unroll_lr=0.5 is for unroll_steps"),
        ({"diversity_weight": 2.0}, "diversity_weight=2.0 is for diversity"),
        ({"instance_noise_steps": 9}, "instance_noise_steps=9 is for instance_noise"),
        ({"conditioning": "projection"}, "conditioning='projection' is for conditional"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        game(**options)


@pytest.mark.parametrize("name", DIVERSITY)
def test_rows_given_a_measured_number_have_no_others_to_be_compared_with(name):
    """No two have the same: terms that compare rows of one context would be 0 all the time."""
    of_age = GREY.with_classes(()).with_role("factor", [Attribute("age", (20.0, 80.0), "real")])
    if not matches_contexts(name):
        game(data=of_age, conditional=True, diversity=name)
        return
    with pytest.raises(
        UsageError, match="no two have the same age, a measured number: choose gdpp or pulling-away"
    ):
        game(data=of_age, conditional=True, diversity=name)
    game(data=of_age, diversity=name)


def test_an_f_gan_names_divergences():
    with pytest.raises(UsageError, match="unknown divergence 'reverse-lk'; did you mean 'reverse-kl'"):
        game("f-gan", divergence="reverse-lk")
    with pytest.raises(UsageError, match="needs its parameter"):
        game("f-gan", divergence="alpha")
    with pytest.raises(UsageError, match="unknown loss 'non-saturating-kll'; did you mean 'non-saturating'"):
        game(loss="non-saturating-kll")


@pytest.mark.parametrize("divergence", ["kl", "alpha(0.5)"])
def test_a_non_saturating_f_gan_raises_the_critics_value_itself(divergence):
    """The generators descend −f*(g_f(v)) and −g_f(v); what the critic descends is the same."""
    scores = torch.tensor([-1.0, 0.0, 2.0])
    record = lt.divergences["kl"] if divergence == "kl" else lt.divergences["alpha"](0.5)
    plain, other = (
        game("f-gan", divergence=divergence, non_saturating=each).losses for each in (False, True)
    )
    empty = torch.empty(0)
    assert torch.equal(other.generator(scores, empty), -record.activation(scores))
    assert torch.allclose(plain.generator(scores, empty), -record.conjugate(record.activation(scores)))
    for ours, theirs in zip(other.critic(scores, scores), plain.critic(scores, scores), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "bound", [{"penalty": "r1"}, {"clip_weights": 0.1}, {"critic_norm": "spectral"}], ids=str
)
def test_a_wasserstein_critic_may_be_bounded_in_any_way(bound):
    assert game(loss="wasserstein", critics=2, **bound).combined == "mean"


def test_critics_of_different_packs_are_refused():
    one, two = game(), game(pack=2)
    with pytest.raises(UsageError, match=r"critics must be at least 1, all of one pack; got packs \[1, 2\]"):
        Adversarial(one.model, [one.critics[0], two.critics[0]], one.losses)
    with pytest.raises(UsageError, match=r"all of one pack; got packs \[\]"):
        Adversarial(one.model, [], one.losses)


@pytest.mark.slow
def test_half_precision_agrees_on_the_ring_to_within_noise():
    """Energy distances of four runs each: their means differ by less than five standard errors, 1 in 400 (t, 6)."""
    x = lt.datasets["ring"](seed=0, n=2000).x
    held_out = lt.datasets["ring"](split="test", seed=0, n=1000).x
    options = {
        "hidden": 64,
        "latent_dim": 2,
        "lr": 1e-3,
        "critic_lr": 1e-3,
        "batch_size": 256,
        "progress": False,
    }
    distances = {}
    for precision in ("float32", "bf16"):
        runs = [
            lt.fit("r3-gan", x, steps=300, seed=seed, precision=precision, penalty_weight=0.1, **options)
            for seed in range(4)
        ]
        distances[precision] = torch.tensor([energy(run.sample(1000, seed=0), held_out) for run in runs])
    full, half = distances.values()
    error = ((full.var() + half.var()) / 4).sqrt().item()
    assert abs(full.mean().item() - half.mean().item()) < 5 * error + 1e-4
    assert max(full.max(), half.max()) < 0.1  # both have learned it; a point in the middle is at 0.6


def energy(x: Tensor, y: Tensor) -> float:
    return (2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean()).item()
