"""Critics: scores, features and packs of rows, and the layers that mix rows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latentia.core.objective import Batch
from latentia.data.spec import DataSpec, Support
from latentia.errors import UsageError
from latentia.networks.critic import (
    Critic,
    batch_norm_layers,
    minibatch_layers,
    packed,
    packed_shape,
    row_mixing_layers,
)
from latentia.networks.mlp import MLP
from latentia.networks.norms import ConditionalBatchNorm
from latentia.networks.registry import Size, encoder_factory
from latentia.networks.scaling import Scaling

pytestmark = pytest.mark.usefixtures("seeded_draws")

PLANE = DataSpec((2,), Support("real"))
BYTES = DataSpec((3, 8, 8), Support("discrete", 256))
TABLE = DataSpec((2,), Support.parse("table(categorical(3), binary)"))


def judge(data: DataSpec, network: str = "mlp", *, pack: int = 1, context: int = 0, **options) -> Critic:
    """Return a small critic of this data, which has seen rows that are not standard."""
    scaling = Scaling(data)
    scaling.fit(Batch(torch.randn(100, *data.event_shape) * 3 + 7))
    read = encoder_factory(network)
    size = Size(hidden=6, layers=2, width=2)
    shape = packed_shape(scaling.out_shape, pack)
    network = read(shape, 1, context=context * pack, size=size, **{"norm": "none"} | options)
    return Critic(network, scaling, pack=pack)


def rows(data: DataSpec, n: int) -> torch.Tensor:
    if data is TABLE:
        return torch.stack([torch.arange(n) % 3, torch.arange(n) % 2], dim=1).float()
    return data.support.project(torch.randn(n, *data.event_shape) * 40 + 100)


@pytest.mark.parametrize(
    ("data", "network"), [(PLANE, "mlp"), (BYTES, "conv"), (BYTES, "resnet"), (TABLE, "mlp")]
)
@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("pack", [1, 2, 3])
def test_a_pack_is_its_rows_channels_or_entries_one_after_the_other(data, network, context, pack):
    critic = judge(data, network, pack=pack, context=context)
    x = rows(data, 6)
    given = torch.randn(6, context) if context else None
    joined = [torch.cat([critic.scaling(row[None])[0] for row in x[i : i + pack]]) for i in range(0, 6, pack)]
    contexts = None if given is None else given.reshape(6 // pack, -1)
    expected = critic.network(torch.stack(joined), contexts).squeeze(1)
    scores = critic(packed(x, pack), packed(given, pack))
    assert scores.shape == (6 // pack,)
    assert torch.allclose(scores, expected, atol=1e-6)
    assert torch.allclose(
        critic(packed(x, pack), contexts), expected, atol=1e-6
    )  # flat contexts are taken too
    scaled = packed(critic.scaling(x), pack)
    assert torch.allclose(critic.score(scaled, packed(given, pack)), expected, atol=1e-6)
    features = critic.features(packed(x, pack), packed(given, pack))
    assert torch.equal(features, critic.scaled_features(scaled, packed(given, pack)))
    assert torch.allclose(features, critic.network.features(torch.stack(joined), contexts), atol=1e-6)


def test_packs_keep_their_rows_in_order():
    x = torch.arange(12.0).view(6, 2)
    assert packed(x, 3).tolist() == [x[:3].tolist(), x[3:].tolist()]
    assert packed(x, 1) is x
    assert packed(None, 2) is None
    x = x.requires_grad_()
    packed(x, 2)[1].sum().backward()
    assert x.grad[:, 0].tolist() == [0, 0, 1, 1, 0, 0]


def test_a_score_of_a_pack_depends_on_no_other_pack():
    critic, x = judge(PLANE, pack=2), torch.randn(6, 2)
    moved = x.clone()
    moved[2:] += 5
    scores, others = critic(packed(x, 2)), critic(packed(moved, 2))
    assert torch.allclose(scores[0], others[0], atol=1e-6)
    assert not torch.isclose(scores[1:], others[1:]).any()


def test_rows_that_are_not_packed_are_refused():
    message = r"this critic scores packs of shape \(2, 2\); got \(2,\): use packed\(\)"
    with pytest.raises(UsageError, match=message):
        judge(PLANE, pack=2)(torch.randn(6, 2))
    with pytest.raises(UsageError, match="pack must be at least 1; got 0"):
        Critic(MLP((2,), (1,)), Scaling(PLANE), pack=0)


def test_features_are_what_the_last_linear_map_reads():
    critic, x = judge(PLANE), torch.randn(5, 2)
    last = [m for m in critic.modules() if isinstance(m, nn.Linear)][-1]
    expected = critic.features(x) @ last.weight.T + last.bias
    assert critic.features(x).shape == (5, 6)
    assert torch.allclose(critic(x), expected.squeeze(1), atol=1e-6)
    with pytest.raises(UsageError, match=r"features are what a FeatureNetwork has .*; Linear is none"):
        Critic(nn.Linear(2, 1), Scaling(PLANE)).features(x)


def test_scores_are_given_with_other_tensors_in_place_of_the_network_s():
    critic, x = judge(PLANE, norm="batch"), torch.randn(5, 2)
    tensors = {name: torch.zeros_like(p) for name, p in critic.network.named_parameters()}
    tensors[list(tensors)[-1]] = torch.full((1,), 3.0)  # the last bias
    before = critic(x)
    assert critic.score(x, tensors=tensors).tolist() == [3.0] * 5
    assert torch.equal(critic(x), before)


@pytest.mark.parametrize(
    ("network", "options", "batch_norms", "minibatches"),
    [
        ("mlp", {}, [], []),
        ("conv", {"norm": "spectral"}, [], []),
        ("resnet", {"minibatch": "deviation"}, [], ["network.head.mixing (MinibatchDeviation)"]),
        ("conv", {"norm": "batch"}, ["network.body.3 (BatchNorm2d)"], []),
        (
            "mlp",
            {"norm": "batch", "minibatch": "discrimination"},
            ["network.layers.1 (VectorBatchNorm)", "network.layers.4 (VectorBatchNorm)"],
            ["network.layers.6.mixing (MinibatchDiscrimination)"],
        ),
    ],
)
def test_layers_that_mix_rows_are_named(network, options, batch_norms, minibatches):
    critic = judge(DataSpec((1, 16, 16), Support("unit")), network, **options)
    assert batch_norm_layers(critic) == batch_norms
    assert minibatch_layers(critic) == minibatches
    assert row_mixing_layers(critic) == batch_norms + minibatches
    assert critic.mixes_rows is bool(batch_norms + minibatches)


def test_conditional_and_foreign_batch_norms_are_named_and_norms_of_single_rows_are_not():
    assert batch_norm_layers(ConditionalBatchNorm(2, 3)) == ["norm (BatchNorm2d)"]
    assert batch_norm_layers(nn.Sequential(nn.BatchNorm3d(2), nn.SyncBatchNorm(2))) == [
        "0 (BatchNorm3d)",
        "1 (SyncBatchNorm)",
    ]
    alone = nn.Sequential(nn.LayerNorm(2), nn.GroupNorm(1, 2), nn.InstanceNorm2d(2, affine=True))
    assert row_mixing_layers(alone) == []
