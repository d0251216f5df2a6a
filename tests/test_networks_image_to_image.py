"""Parts of image-to-image networks, against the same computation written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from latentia.errors import UsageError
from latentia.networks.attention import SelfAttention
from latentia.networks.embeddings import sinusoidal_embedding
from latentia.networks.norms import FiLM, feature_norm
from latentia.networks.resnet import Residual
from latentia.networks.translator import ResidualTranslator
from latentia.networks.unet import Level, UNet

pytestmark = pytest.mark.usefixtures("seeded_draws")


# --- modulation and norms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "batch", "instance", "group"])
def test_film_is_a_gain_and_a_bias_of_normalised_channels(norm):
    """γ(c) ⊙ (x − μ)/√(σ² + ε) + β(c), with the moments of the norm's own set of entries."""
    (layer,) = feature_norm(norm, 8, context=3)
    x, c = torch.randn(5, 8, 4, 6) * 3 + 1, torch.randn(5, 3)
    assert isinstance(layer, FiLM)
    gain = 1 + c @ layer.slope[:8].T
    bias = c @ layer.slope[8:].T
    sets = {"batch": (0, 2, 3), "instance": (2, 3), "group": (2, 3, 4)}.get(norm)
    h = x.unflatten(1, (2, 4)) if norm == "group" else x
    if sets is not None:
        h = (h - h.mean(sets, keepdim=True)) / (h.var(sets, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = gain[:, :, None, None] * h.reshape(x.shape) + bias[:, :, None, None]
    assert torch.allclose(layer(x, c), expected, atol=1e-4)


def test_film_without_initial_slopes_does_not_depend_on_the_context_at_first():
    layer, x = FiLM(nn.Identity(), 3, context=2), torch.randn(4, 3)
    assert torch.equal(layer(x, torch.randn(4, 2)), x)


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (2, 1), (6, 1), (8, 2), (32, 8), (24, 6), (128, 32), (512, 32)]
)
def test_groups_have_at_least_four_maps_and_are_at_most_32(channels, groups):
    (layer,) = feature_norm("group", channels)
    assert layer.num_groups == groups


def test_without_a_context_norms_have_gains_and_biases_of_their_own():
    assert feature_norm("none", 4) == []
    for norm in ("batch", "instance", "group"):
        (layer,) = feature_norm(norm, 4)
        assert layer.weight.shape == layer.bias.shape == (4,)


# --- attention --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "heads"), [(6, 1), (64, 1), (128, 2), (192, 3), (96, 1)])
def test_attention_is_a_weighted_mean_over_pixels_in_each_head(channels, heads):
    layer, x = SelfAttention(channels), torch.randn(2, channels, 2, 3)
    assert layer.heads == heads
    d = channels // heads
    pixels = layer.norm(x).flatten(2).transpose(1, 2)  # (B, 6, channels)
    q, k, v = (
        part.reshape(2, 6, heads, d) for part in (pixels @ layer.project.weight.flatten(1).T).chunk(3, dim=-1)
    )
    mixed = torch.zeros(2, 6, heads, d)
    for head in range(heads):
        for row in range(2):
            weights = torch.softmax(q[row, :, head] @ k[row, :, head].T / math.sqrt(d), dim=1)
            mixed[row, :, head] = weights @ v[row, :, head]
    out = mixed.reshape(2, 6, channels) @ layer.out.weight.flatten(1).T + layer.out.bias
    expected = x + out.transpose(1, 2).reshape(x.shape)
    assert torch.allclose(layer(x), expected, atol=1e-5)


# --- embeddings -------------------------------------------------------------------------------------------------


def test_a_sinusoidal_embedding_is_its_formula():
    t = torch.tensor([0.0, 0.5, 3.0, 700.0], dtype=torch.float64)
    e = sinusoidal_embedding(t, 6)
    for row, value in zip(e, t.tolist(), strict=True):
        for i in range(3):
            angle = value * 10_000 ** (-2 * i / 6)
            assert row[i].item() == pytest.approx(math.sin(angle), abs=1e-9)
            assert row[i + 3].item() == pytest.approx(math.cos(angle), abs=1e-9)


def test_embeddings_of_integers_are_float32_and_sizes_are_checked():
    assert sinusoidal_embedding(torch.arange(3), 4).dtype == torch.float32
    for entries in (0, 1, 5):
        with pytest.raises(UsageError, match=f"an even number of entries from 2; got {entries}"):
            sinusoidal_embedding(torch.arange(3), entries)


# --- whole networks, written out --------------------------------------------------------------------------------


def test_a_level_joins_its_feature_maps_with_those_of_lower_resolution():
    """Odd sizes are rounded up by the strided convolution, and cut after doubling."""
    halve, up = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(6, 2, 1)
    level, x = Level([nn.Tanh()], [halve, nn.Upsample(scale_factor=2)], [up]), torch.randn(3, 2, 9, 12)
    h = torch.tanh(x)
    lower = F.interpolate(halve(h), scale_factor=2)
    assert lower.shape[-2:] == (10, 12)
    expected = up(torch.cat([h, lower[:, :, :9, :12]], dim=1))
    assert torch.allclose(level(x), expected, atol=1e-6)


def test_a_unet_has_a_level_for_each_resolution_and_doubles_its_feature_maps():
    unet = UNet((3, 32, 32), (1, 32, 32), width=8, blocks=2)
    levels = [m for m in unet.modules() if isinstance(m, Level)]
    assert len(levels) == 3  # 32, 16, 8; the lowest, 4, has none
    halvings = [m.out_channels for m in unet.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert halvings == [16, 32, 64]
    assert [len(level.down) for level in levels] == [2, 2, 2]
    assert sum(isinstance(m, Residual) for m in unet.modules()) == 3 * 4 + 3  # one more at the lowest
    shortcuts = [m for m in unet.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(shortcuts) == 3  # where maps are joined
    assert unet(torch.zeros(1, 3, 32, 32)).shape == (1, 1, 32, 32)
    narrow = UNet((1, 32, 32), (1, 32, 32), width=8, widest=2)
    assert max(m.out_channels for m in narrow.modules() if isinstance(m, nn.Conv2d)) == 16


def test_the_skip_connection_hands_fine_detail_past_the_lower_resolutions():
    """With nothing from below, a change of one pixel still changes the output, in its neighbourhood only."""
    unet = UNet((1, 16, 16), (1, 16, 16), width=4, norm="none").eval()
    level = unet.body[1]
    with torch.no_grad():
        level.inner[-1].weight.zero_()
        level.inner[-1].bias.zero_()
    x = torch.randn(1, 1, 16, 16)
    other = x.clone()
    other[0, 0, 2, 2] += 1
    changed = (unet(other) - unet(x)).abs()[0, 0] > 1e-7
    assert changed[2, 2]
    assert not changed[9:].any()  # seven 3×3 convolutions reach no further
    assert not changed[:, 9:].any()


def attention_layers(network: nn.Module) -> int:
    return sum(isinstance(m, SelfAttention) for m in network.modules())


@pytest.mark.parametrize(
    ("side", "attention", "layers"),
    [(32, 0, 0), (32, 4, 1), (32, 7, 1), (31, 7, 0), (32, 8, 3), (32, 16, 5), (32, 32, 7)],
)
def test_attention_is_where_feature_maps_are_small(side, attention, layers):
    """One layer behind each block of both paths, and one at the lowest resolution."""
    assert attention_layers(UNet((1, side, side), (1, side, side), width=4, attention=attention)) == layers


@pytest.mark.parametrize(("side", "attention", "layers"), [(31, 7, 0), (31, 8, 2), (32, 8, 2)])
def test_a_translator_attends_behind_each_block_where_feature_maps_are_small(side, attention, layers):
    made = ResidualTranslator((1, side, side), (1, side, side), width=2, blocks=2, attention=attention)
    assert attention_layers(made) == layers


@pytest.mark.parametrize(("side", "blocks", "halvings"), [(8, 6, 1), (15, 6, 1), (16, 6, 2), (64, 6, 2)])
def test_a_translator_has_six_blocks_at_a_quarter_of_the_resolution(side, blocks, halvings):
    translator = ResidualTranslator((3, side, side), (3, side, side), width=2)
    assert sum(type(m).__name__ == "Residual" for m in translator.body) == blocks
    assert sum(isinstance(m, nn.Upsample) for m in translator.body) == halvings
    sizes = []
    for module in translator.body:
        if type(module).__name__ == "Residual":
            module.register_forward_hook(lambda _, read, __: sizes.append(read[0].shape))
    translator(torch.zeros(1, 3, side, side))
    assert set(sizes) == {torch.Size([1, 2 * 2**halvings, -(-side // 2**halvings), -(-side // 2**halvings)])}


@pytest.mark.parametrize(("shorter", "blocks"), [(255, 6), (256, 9)])
def test_large_images_have_nine_blocks(shorter, blocks):
    translator = ResidualTranslator((1, shorter, 300), (1, shorter, 300), width=1)
    assert sum(type(m).__name__ == "Residual" for m in translator.body) == blocks


@pytest.mark.parametrize("network", [UNet, ResidualTranslator])
def test_each_block_drops_maps_and_has_no_bias_that_its_norm_takes_away(network):
    made = network((1, 8, 8), (1, 8, 8), width=4, norm="batch", dropout=0.3)
    blocks = [m for m in made.modules() if isinstance(m, Residual)]
    for block in blocks:
        assert [m.p for m in block.modules() if isinstance(m, nn.Dropout2d)] == [0.3]
        assert all(m.bias is None for m in block.modules() if isinstance(m, nn.Conv2d))
    assert blocks


def test_a_translator_is_its_layers_one_after_the_other():
    """Reflected edges in 7×7 and in the blocks, zeros elsewhere; instance norm behind all but the last."""
    made = ResidualTranslator((1, 9, 9), (2, 9, 9), width=3, blocks=1)
    convolutions = [m for m in made.modules() if isinstance(m, nn.Conv2d)]
    assert [m.kernel_size[0] for m in convolutions] == [7, 3, 3, 3, 3, 7]
    assert [m.padding_mode for m in convolutions] == [
        "reflect",
        "zeros",
        "reflect",
        "reflect",
        "zeros",
        "reflect",
    ]
    first, down, one, two, up, last = convolutions

    def reflected(layer: nn.Conv2d, h: torch.Tensor) -> torch.Tensor:
        edge = layer.kernel_size[0] // 2
        return F.conv2d(F.pad(h, [edge] * 4, mode="reflect"), layer.weight, layer.bias)

    x = torch.randn(4, 1, 9, 9)
    h = F.relu(F.instance_norm(reflected(first, x)))
    h = F.relu(F.instance_norm(F.conv2d(h, down.weight, stride=2, padding=1)))
    branch = F.instance_norm(reflected(two, F.relu(F.instance_norm(reflected(one, h)))))
    h = h + branch
    h = F.relu(F.instance_norm(F.conv2d(F.interpolate(h, scale_factor=2), up.weight, padding=1)))
    expected = reflected(last, h)[:, :, :9, :9]
    assert torch.allclose(made(x), expected, atol=1e-4)
