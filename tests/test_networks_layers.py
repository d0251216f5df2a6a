"""Layers of critics and generators, against the same computation written out row by row."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from latentia.errors import UsageError
from latentia.networks.heads import head
from latentia.networks.layers import Maxout, activation_named, entries_at, normal_init
from latentia.networks.minibatch import (
    MinibatchDeviation,
    MinibatchDiscrimination,
    closeness,
    mean_deviation,
    minibatch_layer,
)
from latentia.networks.mlp import MLP
from latentia.networks.norms import ConditionalBatchNorm, VectorBatchNorm, batch_norm
from latentia.networks.resnet import down_block, up_block

pytestmark = pytest.mark.usefixtures("seeded_draws")


# --- minibatch layers -------------------------------------------------------------------------------------------


def test_closeness_is_the_mean_over_the_other_rows():
    M = torch.randn(6, 3, 4)
    expected = torch.zeros(6, 3)
    for i in range(6):
        for k in range(3):
            for j in range(6):
                if j != i:
                    expected[i, k] += math.exp(
                        -sum(abs(float(a - b)) for a, b in zip(M[i, k], M[j, k], strict=True))
                    )
    expected /= 5
    assert torch.allclose(closeness(M), expected, atol=1e-6)


def test_closeness_is_none_for_rows_apart_and_one_for_equal_rows():
    apart = 1e6 * torch.arange(4.0)[:, None, None].expand(4, 2, 3)
    assert closeness(apart).abs().max() < 1e-6
    for rows in (2, 4, 64):
        assert torch.allclose(closeness(torch.ones(rows, 2, 3)), torch.ones(rows, 2))
    assert torch.allclose(closeness(torch.ones(1, 2, 3)), torch.zeros(1, 2))


def test_minibatch_discrimination_appends_the_closeness_of_projections():
    layer, h = MinibatchDiscrimination(7, kernels=3, dims=2), torch.randn(5, 7)
    T = layer.projection.weight.T  # (7, 3 · 2)
    M = (h @ T).view(5, 3, 2)
    assert torch.allclose(layer(h), torch.cat([h, closeness(M)], dim=1), atol=1e-6)


def test_closeness_has_second_derivatives():
    """R1 and other penalties differentiate scores twice."""
    M = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(closeness, M)


@pytest.mark.parametrize(("group", "sizes"), [(None, [7]), (3, [3, 3, 1]), (7, [7]), (20, [7])])
def test_minibatch_deviation_is_the_mean_over_features_of_the_deviation_over_rows(group, sizes):
    h = torch.randn(7, 4) * torch.tensor([1.0, 10.0, 0.1, 0.0])
    layer = MinibatchDeviation(group)
    y = layer(h)
    assert torch.equal(y[:, :4], h)
    start = 0
    for size in sizes:
        rows = h[start : start + size]
        deviations = [
            math.sqrt(sum(float(v - column.mean()) ** 2 for v in column) / size + 1e-8) for column in rows.T
        ]
        expected = sum(deviations) / 4
        assert y[start : start + size, 4].tolist() == pytest.approx([expected] * size, rel=1e-4)
        start += size


def test_the_deviation_of_equal_rows_has_a_finite_gradient():
    h = torch.ones(5, 3, requires_grad=True)
    mean_deviation(h).backward()
    assert h.grad.isfinite().all()


def test_minibatch_layers_are_named():
    assert minibatch_layer("none", 3) is None
    with pytest.raises(UsageError, match="unknown minibatch layer 'deviaton'; did you mean 'deviation'"):
        minibatch_layer("deviaton", 3)
    with pytest.raises(UsageError, match="a group has at least 2 rows; got 1"):
        MinibatchDeviation(1)


# --- norms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planes", [True, False])
def test_conditional_batch_norm_is_one_gain_and_bias_a_class(planes):
    layer = ConditionalBatchNorm(3, 4, planes=planes)
    nn.init.normal_(layer.start)
    nn.init.normal_(layer.slope)
    x = torch.randn(50, 3, *([5, 6] if planes else [])) * 3 + 1
    classes = torch.arange(50) % 4
    y = layer(x, F.one_hot(classes, 4).float())
    for channel in range(3):
        values = x[:, channel]
        standard = (values - values.mean()) / torch.sqrt(values.var(correction=0) + 1e-5)
        for c in range(4):
            gain = layer.start[channel] + layer.slope[channel, c]
            bias = layer.start[3 + channel] + layer.slope[3 + channel, c]
            rows = classes == c
            assert torch.allclose(y[rows, channel], gain * standard[rows] + bias, atol=1e-5)


def test_conditional_batch_norm_starts_as_batch_norm_and_tells_contexts_apart_later():
    layer, plain = ConditionalBatchNorm(3, 2), nn.BatchNorm2d(3)
    x, context = torch.randn(8, 3, 4, 4), torch.randn(8, 2)
    y = layer(x, context)
    assert torch.allclose(y, plain(x), atol=1e-6)
    y.pow(3).sum().backward()
    assert (layer.slope.grad != 0).all()  # it does not stay where it starts
    assert torch.allclose(layer.eval()(x, context), plain.eval()(x), atol=1e-6)


def test_conditional_batch_norm_needs_its_context():
    with pytest.raises(UsageError, match="a conditional norm needs a context; got none"):
        ConditionalBatchNorm(3, 2)(torch.randn(8, 3, 4, 4))


def test_batch_norm_of_vectors_is_torch_s_and_takes_a_single_row_by_its_running_moments():
    """The last batch of an epoch may have one row, which has no spread: torch's layer would refuse it."""
    layer, plain = VectorBatchNorm(4), nn.BatchNorm1d(4)
    x = torch.randn(20, 4) * 3 + 2
    assert torch.equal(layer(x), plain(x))
    assert torch.equal(layer.running_var, plain.running_var)
    before = layer.running_mean.clone()
    assert torch.allclose(layer(x[:1]), plain.eval()(x[:1]))
    assert torch.equal(layer.running_mean, before)
    assert torch.equal(layer.eval()(x), plain(x))
    assert ConditionalBatchNorm(4, 2, planes=False)(x[:1], torch.ones(1, 2)).isfinite().all()


@pytest.mark.parametrize("context", [0, 2])
def test_batch_norms_have_torch_s_own_settings(context):
    """B9: the second positional argument of torch's batch norms is eps."""
    for planes in (True, False):
        norms = [m for m in batch_norm(5, planes=planes, context=context).modules() if hasattr(m, "eps")]
        assert [norm.eps for norm in norms] == [1e-5]


# --- activations ------------------------------------------------------------------------------------------------


def test_maxout_is_the_largest_of_its_linear_maps():
    network = MLP((3,), (1,), hidden=(4,), activation="maxout")
    first, last = network.layers[0], network.layers[-1]
    assert first.weight.shape == (5 * 4, 3)
    x = torch.randn(9, 3)
    maps = [x @ first.weight[4 * j : 4 * j + 4].T + first.bias[4 * j : 4 * j + 4] for j in range(5)]
    expected = torch.stack(maps).amax(0) @ last.weight.T + last.bias
    assert torch.allclose(network(x), expected, atol=1e-6)
    assert Maxout(2)(torch.zeros(3, 8)).shape == (3, 4)


def test_maxout_has_second_derivatives():
    x = torch.randn(4, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: Maxout(5)(x).pow(3), x)


# --- heads ------------------------------------------------------------------------------------------------------


def test_a_projection_head_is_the_formula():
    """s = w·h + b + (Vc)·h, Miyato and Koyama's equation 3."""
    layer, h, context = head(7, 1, context=3), torch.randn(5, 7), torch.randn(5, 3)
    w, b, V = layer.linear.weight[0], layer.linear.bias[0], layer.embedding.weight
    expected = [sum(w[f] * h[i, f] + (V[f] @ context[i]) * h[i, f] for f in range(7)) + b for i in range(5)]
    assert layer(h, context).shape == (5, 1)
    assert torch.allclose(layer(h, context)[:, 0], torch.stack(expected), atol=1e-5)
    with pytest.raises(UsageError, match="a projection critic scores rows given their context"):
        layer(h)


@pytest.mark.parametrize("minibatch", ["discrimination", "deviation"])
def test_a_head_scores_what_the_minibatch_layer_appends_to(minibatch):
    layer, h, context = head(7, 1, minibatch=minibatch, context=3), torch.randn(5, 7), torch.randn(5, 3)
    wide = layer.mixing(h)
    assert wide.shape[1] > 7
    expected = layer.linear(wide) + (layer.embedding(context) * wide).sum(1, keepdim=True)
    assert torch.allclose(layer(h, context), expected)


def test_a_head_without_extras_is_a_linear_map():
    assert type(head(7, 2)) is nn.Linear
    with pytest.raises(UsageError, match="conditioning='projection' is for critics, with one output; got 2"):
        head(7, 2, context=3)


def test_a_context_enters_at_one_place():
    assert entries_at("projection", 5) == (0, 0, 5)
    with pytest.raises(UsageError, match="unknown conditioning 'projecton'; did you mean 'projection'"):
        entries_at("projecton", 5)


# --- residual blocks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "halve"), [(False, True), (True, True), (False, False)])
@pytest.mark.parametrize("inputs", [3, 6])
def test_a_block_that_reads_is_the_paper_s(first, halve, inputs):
    """Written as in the paper: 1×1 before the mean, which is equal, and no ReLU on an image."""
    block, x = down_block(inputs, 6, norm="none", first=first, halve=halve), torch.randn(2, inputs, 9, 8)
    convolutions = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 3 - (inputs == 6 and not halve)
    pool = (lambda h: F.avg_pool2d(h, 2)) if halve else (lambda h: h)
    h = x if first else F.relu(x)
    h = F.relu(F.conv2d(h, convolutions[0].weight, convolutions[0].bias, padding=1))
    h = pool(F.conv2d(h, convolutions[1].weight, convolutions[1].bias, padding=1))
    shortcut = x
    if len(convolutions) == 3:
        shortcut = pool(F.conv2d(x, convolutions[2].weight, convolutions[2].bias))
    assert torch.allclose(block(x), h + shortcut, atol=1e-5)
    assert convolutions[0].out_channels == (6 if first else inputs)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_block_that_writes_is_the_paper_s(norm, context):
    """Written as in the paper: doubling before 1×1, which is equal."""
    block, x = up_block(6, 4, norm=norm, context=context), torch.randn(8, 6, 5, 4)
    given = torch.randn(8, 2) if context else None
    normed = (lambda h: F.batch_norm(h, None, None, training=True)) if norm == "batch" else (lambda h: h)
    doubled = lambda h: h.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
    one, two, match = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    h = doubled(F.relu(normed(x)))
    h = F.relu(normed(F.conv2d(h, one.weight, one.bias, padding=1)))
    h = F.conv2d(h, two.weight, two.bias, padding=1)
    expected = h + F.conv2d(doubled(x), match.weight, match.bias)
    assert torch.allclose(block(x, given), expected, atol=1e-5)


# --- first weights ----------------------------------------------------------------------------------------------


def test_first_weights_from_a_narrow_normal_distribution():
    network = nn.Sequential(nn.Conv2d(8, 64, 3), nn.BatchNorm2d(64), nn.Linear(300, 100))
    normal_init(network, 0.05)
    for layer in (network[0], network[2]):
        # 4,608 and 30,000 numbers: six standard errors of the standard deviation are 0.0031 and 0.0012.
        assert layer.weight.std().item() == pytest.approx(0.05, abs=6 * 0.05 / math.sqrt(2 * 4608))
        assert not layer.bias.any()
    assert (network[1].weight == 1).all()


def test_first_weights_under_spectral_norm_are_normalised_at_once():
    network = MLP((30,), (1,), hidden=(40,), norm="spectral")
    normal_init(network)
    network.eval()
    for layer in (network.layers[0], network.layers[-1]):
        assert layer.parametrizations.weight.original.std().item() == pytest.approx(0.02, rel=0.5)
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.1)


def test_first_weights_leave_conditional_batch_norm_alone():
    layer = ConditionalBatchNorm(3, 2)
    normal_init(layer)
    assert not layer.slope.any()
    assert layer.start.tolist() == [1, 1, 1, 0, 0, 0]


def test_a_leaky_relu_has_the_slope_of_dcgan_s_critic():
    """Radford, Metz and Chintala (2016), section 4: 0.2; torch's default is 0.01."""
    assert activation_named("leaky-relu")(torch.tensor([-1.0, 2.0])).tolist() == pytest.approx([-0.2, 2.0])
