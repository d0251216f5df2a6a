"""Networks and the scaling around them, against the same computation written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from latentia.core.objective import Batch
from latentia.data.moments import mean_and_variance
from latentia.data.spec import DataSpec, Support
from latentia.errors import UsageError
from latentia.networks.conv import ConvDecoder, ConvEncoder, stages
from latentia.networks.layers import at_least_float32
from latentia.networks.mlp import ACTIVATIONS, MLP
from latentia.networks.registry import (
    NETWORKS,
    Network,
    Size,
    encoder_factory,
    image_to_image_factory,
    network_name,
    networks_with,
    size_of,
)
from latentia.networks.scaling import Scaling
from latentia.options import Having
from latentia.registry import networks

IMAGE = DataSpec((1, 8, 8), Support("unit"))
TABLE = DataSpec((5,), Support("real"))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_mlp_is_its_layers_one_after_the_other(activation):
    torch.manual_seed(0)
    network = MLP((2, 3), (4, 5), hidden=(7, 6), context=2, activation=activation)
    x, context = torch.randn(9, 2, 3), torch.randn(9, 2)
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert len(layers) == 3
    h = torch.cat([x.flatten(1), context], dim=1)
    for layer in layers[:-1]:
        h = ACTIVATIONS[activation]()(h @ layer.weight.T + layer.bias)
    expected = (h @ layers[-1].weight.T + layers[-1].bias).view(9, 4, 5)
    assert torch.allclose(network(x, context), expected, atol=1e-6)


def test_gated_units_are_products_of_a_linear_map_and_a_sigmoid():
    network = MLP((3,), (2,), hidden=(4,), activation="gated")
    first, last = (module for module in network.modules() if isinstance(module, nn.Linear))
    x = torch.randn(9, 3)
    a, b = (x @ first.weight.T + first.bias).split(4, dim=1)
    assert torch.allclose(network(x), (a * torch.sigmoid(b)) @ last.weight.T + last.bias, atol=1e-6)


def test_an_mlp_without_hidden_layers_is_linear():
    network = MLP((3,), (2,))
    x, y = torch.randn(2, 4, 3)
    assert torch.allclose(network(x + y) + network(torch.zeros(4, 3)), network(x) + network(y), atol=1e-6)


def test_unknown_names_are_refused_with_near_matches():
    with pytest.raises(UsageError, match="unknown activation 'rleu'; did you mean 'relu'"):
        MLP((1,), (1,), activation="rleu")
    with pytest.raises(UsageError, match="unknown network 'covn'; did you mean 'conv'"):
        network_name("covn", IMAGE)


@pytest.mark.parametrize(
    ("data", "name"),
    [(IMAGE, "conv"), (TABLE, "mlp"), (DataSpec((1, 7, 9), Support("unit")), "mlp")],
)
def test_auto_is_conv_for_images_that_are_large_enough(data, name):
    assert network_name("auto", data) == name


def test_a_network_says_which_slots_it_fills_and_a_slot_which_networks_fill_it():
    assert NETWORKS["conv"].slots == ("encoder", "decoder")
    assert networks_with("encoder", "decoder") == ["conv", "gated-mlp", "maxout-mlp", "mlp", "resnet"]
    with pytest.raises(
        UsageError, match=r"network='conv' has no image_to_image; those that have one: .*unet"
    ):
        image_to_image_factory("conv")
    with pytest.raises(
        UsageError,
        match="network='unet' has no encoder; those that have one: conv, gated-mlp, maxout-mlp, mlp, resnet",
    ):
        network_name("unet", IMAGE)
    assert network_name("unet", IMAGE, ["image_to_image"]) == "unet"
    assert network_name("MLP", IMAGE) == "mlp"


def test_a_network_of_one_s_own_is_found_by_its_slots_and_sizes(monkeypatch):
    for name in ("_members", "_facts", "_written", "_outside"):
        monkeypatch.setattr(NETWORKS, name, dict(getattr(NETWORKS, name)))

    def encoder(in_shape, out_features, *, context, size, norm, **_):
        return MLP(in_shape, (out_features,), hidden=(size.hidden,), context=context, norm=norm)

    networks.add({"one-layer": Network(encoder=encoder, sizes=("hidden",))})
    assert "one-layer" in networks_with("encoder")
    assert "one-layer" in Having(NETWORKS, "encoder", "hidden")
    assert "one-layer" not in Having(NETWORKS, "decoder")
    made = encoder_factory("one-layer")((2,), 3, context=0, size=Size(hidden=4), norm="none")
    assert made(torch.zeros(5, 2)).shape == (5, 3)
    with pytest.raises(UsageError, match="network='one-layer' has no decoder; those that have one: conv"):
        network_name("one-layer", TABLE)


def test_slots_and_sizes_are_the_same_from_syntax_trees_as_from_the_networks():
    for name, network in NETWORKS.items():
        assert {*Having(NETWORKS, *network.slots, *network.sizes)} >= {name}
        for word in ("encoder", "decoder", "image_to_image", "hidden", "layers", "width"):
            assert (name in Having(NETWORKS, word)) == (word in (*network.slots, *network.sizes))


@pytest.mark.parametrize("options", [{"hidden": 0}, {"layers": -1}, {"width": 0}])
def test_sizes_are_positive(options):
    with pytest.raises(UsageError, match="hidden and width must be at least 1 and layers at least 0"):
        Size(**options)


@pytest.mark.parametrize(("network", "size"), [("conv", "hidden"), ("conv", "layers"), ("mlp", "width")])
def test_a_size_that_the_network_does_not_have_is_refused(network, size):
    with pytest.raises(UsageError, match=f"{size} is no size of network='{network}', which has"):
        size_of(network, Size(**{size: 3}), sized)


def test_a_size_that_the_network_has_is_taken_and_defaults_are_left_alone():
    assert size_of("mlp", Size(hidden=7), sized) == Size(hidden=7)
    assert size_of("conv", Size(width=3), sized) == Size(width=3)


def sized(*, hidden: int = 400, layers: int = 1, width: int = 32) -> None:
    """A recipe with the defaults of `Size`."""


@pytest.mark.parametrize(("side", "expected"), [(8, 1), (15, 1), (16, 2), (28, 2), (31, 2), (32, 3), (64, 4)])
def test_images_are_halved_until_the_shorter_side_is_4_to_7(side, expected):
    assert stages(side, side) == stages(side, 1000) == stages(1000, side) == expected
    assert 4 <= side // 2**expected <= 7


def test_a_convolutional_network_reads_its_context():
    torch.manual_seed(0)
    encoder = ConvEncoder((1, 8, 8), 3, width=4, context=2)
    decoder = ConvDecoder(3, (1, 8, 8), width=4, context=2)
    one, other = torch.eye(2)[[0]].expand(5, 2), torch.eye(2)[[1]].expand(5, 2)
    x, z = torch.randn(5, 1, 8, 8), torch.randn(5, 3)
    assert not torch.allclose(encoder(x, one), encoder(x, other))
    assert not torch.allclose(decoder(z, one), decoder(z, other))


def test_convolution_weights_are_laid_out_channels_last():
    weights = [p for p in ConvEncoder((3, 16, 16), 3, width=4).parameters() if p.dim() == 4]
    assert weights
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("bfloat16", "float32"), ("float16", "float32"), ("float32", "float32"), ("float64", "float64")],
)
def test_half_precision_becomes_float32_and_nothing_else_changes(given, expected):
    assert at_least_float32(torch.zeros(2, dtype=getattr(torch, given))).dtype == getattr(torch, expected)


@pytest.mark.parametrize("block", [1, 7, 100, 4096])
def test_moments_are_numpy_s_whatever_the_blocks_and_far_from_zero(block, monkeypatch):
    """Sums of squares about 0 would lose every digit of a variance of 1 at a mean of 10⁸."""
    x = np.random.default_rng(0).normal(size=(100, 2, 3)) + np.array([1e8, 0.0, -5.0])
    monkeypatch.setattr("latentia.data.moments._BLOCK_NUMBERS", 6 * block)
    mean, variance = mean_and_variance(Batch(torch.from_numpy(x)))
    assert mean.numpy() == pytest.approx(x.mean(0), rel=1e-12)
    assert variance.numpy() == pytest.approx(x.var(0), rel=1e-6)


def test_bounded_data_is_scaled_by_its_range_and_never_by_its_rows():
    scaling = Scaling(DataSpec((2,), Support("discrete", 256)))
    scaling.fit(Batch(torch.full((5, 2), 7.0)))
    assert scaling(torch.tensor([[0.0, 255.0]]))[0].tolist() == pytest.approx([-1, 1], abs=1e-6)
    assert scaling.inverse(torch.tensor([[-1.0, 1.0]]))[0].tolist() == pytest.approx([0, 255], abs=1e-4)


def test_real_data_is_standardised_and_a_constant_column_is_only_shifted():
    scaling = Scaling(TABLE)
    x = torch.randn(200, 5) * torch.tensor([1.0, 10.0, 0.1, 5.0, 0.0]) + 3
    assert torch.equal(scaling(x), x)  # until it has seen rows
    scaling.fit(Batch(x))
    y = scaling(x)
    assert torch.allclose(y.mean(0), torch.zeros(5), atol=1e-4)
    assert torch.allclose(y.std(0, correction=0), torch.tensor([1.0, 1, 1, 1, 0]), atol=1e-4)
