"""Every network by name, with every norm, way of conditioning and minibatch layer.

Row B13 of docs/known-mistakes.md.
"""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from latentia.errors import UsageError
from latentia.networks.conv import ConvDecoder, ConvEncoder
from latentia.networks.critic import row_mixing_layers
from latentia.networks.heads import CriticHead
from latentia.networks.images import maps
from latentia.networks.mlp import MLP
from latentia.networks.norms import ConditionalBatchNorm
from latentia.networks.registry import CONDITIONINGS, Size, decoder_factory, encoder_factory, networks_with
from latentia.networks.resnet import ResNetDecoder, ResNetEncoder

pytestmark = pytest.mark.usefixtures("seeded_draws")

SMALL = Size(hidden=6, layers=2, width=2)
IMAGE, LATENT, CLASSES, ROWS = (3, 16, 18), 5, 4, 7
PAIRS = networks_with("encoder", "decoder")
MLPS = [name for name in PAIRS if name.endswith("mlp")]
IMAGERS = [name for name in PAIRS if name not in MLPS]

READERS = [
    pytest.param(*case, id="-".join(case))
    for case in itertools.product(
        PAIRS, ("none", "batch", "spectral"), CONDITIONINGS, ("none", "discrimination", "deviation")
    )
    if case[:2] != ("resnet", "batch")
]
WRITERS = [
    pytest.param(*case, id="-".join(case))
    for case in itertools.product(PAIRS, ("none", "batch"), CONDITIONINGS)
]


def reader(network: str, norm: str = "none", conditioning: str = "concatenation", minibatch: str = "none"):
    read = encoder_factory(network)
    return read(
        IMAGE, 1, context=CLASSES, size=SMALL, norm=norm, conditioning=conditioning, minibatch=minibatch
    )


def writer(network: str, norm: str = "none", conditioning: str = "concatenation", dropout: float = 0.0):
    write = decoder_factory(network)
    size = SMALL.with_dropout(dropout)
    return write(LATENT, IMAGE, context=CLASSES, size=size, norm=norm, conditioning=conditioning)


def seen():
    """Return rows and their contexts as a critic sees them."""
    return torch.randn(ROWS, *IMAGE), torch.eye(CLASSES)[torch.arange(ROWS) % CLASSES]


def drawn():
    """Return codes and their contexts as a generator sees them."""
    return torch.randn(ROWS, LATENT), torch.eye(CLASSES)[torch.arange(ROWS) % CLASSES]


# --- what a critic is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "norm", "conditioning", "minibatch"), READERS)
def test_a_critic_scores_rows_and_every_weight_learns(network, norm, conditioning, minibatch):
    critic = reader(network, norm, conditioning, minibatch)
    x, context = seen()
    assert critic.features(x, context).shape[0] == ROWS
    scores = critic(x, context)
    assert scores.shape == (ROWS, 1)
    assert scores.dtype == torch.float32
    scores.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in critic.parameters())


@pytest.mark.parametrize(("network", "norm", "conditioning", "minibatch"), READERS)
def test_scores_depend_on_the_class(network, norm, conditioning, minibatch):
    critic = reader(network, norm, conditioning, minibatch).eval()
    x, context = seen()
    assert not torch.allclose(critic(x, context), critic(x, context.roll(1, 0)), atol=1e-5)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("network", "norm", "conditioning", "minibatch"), READERS)
def test_a_score_depends_on_other_rows_where_that_is_declared_and_nowhere_else(
    network, norm, conditioning, minibatch, training
):
    """B13. Batch norm mixes rows in training only; minibatch layers always do, and features never have them."""
    critic = reader(network, norm, conditioning, minibatch)
    critic(*seen())  # moves running moments away from where they start
    critic.train(training)
    x, context = seen()
    others = torch.cat([x[:3], 5 * torch.randn(ROWS - 3, *IMAGE) + 1])
    state = copy.deepcopy(critic.state_dict())
    pairs = []
    for rows in (x, others):
        critic.load_state_dict(state)  # spectral norm's vectors move at each pass in training
        pairs.append((critic(rows, context)[:3], critic.features(rows, context)[:3]))
    (scores, features), (other_scores, other_features) = pairs
    assert bool(row_mixing_layers(critic)) == (norm == "batch" or minibatch != "none")
    mixed = training and norm == "batch"
    assert torch.allclose(features, other_features, atol=1e-5) is not mixed
    assert torch.allclose(scores, other_scores, atol=1e-5) is not (mixed or minibatch != "none")
    if not mixed and minibatch == "none":
        critic.load_state_dict(state)
        assert torch.allclose(critic(x[:1], context[:1]), scores[:1], atol=1e-5)


@pytest.mark.parametrize("minibatch", ["none", "discrimination", "deviation"])
@pytest.mark.parametrize("network", PAIRS)
def test_a_critic_s_score_is_its_head_s_of_its_features(network, minibatch):
    critic = reader(network, conditioning="projection", minibatch=minibatch)
    x, context = seen()
    head = next(m for m in critic.modules() if isinstance(m, CriticHead))
    assert torch.allclose(critic(x, context), head(critic.features(x, context), context), atol=1e-6)
    assert head.embedding.weight.shape[1] == CLASSES


@pytest.mark.parametrize("network", PAIRS)
def test_a_projection_critic_reads_its_rows_apart_from_their_class(network):
    critic = reader(network, conditioning="projection")
    x, context = seen()
    assert torch.equal(critic.features(x, context), critic.features(x, context.roll(1, 0)))
    assert not torch.equal(
        reader(network).features(x, context), reader(network).features(x, context.roll(1, 0))
    )


# --- spectral norm ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
@pytest.mark.parametrize("network", PAIRS)
def test_every_layer_of_a_spectral_critic_has_largest_singular_value_one(network, conditioning):
    """The projection's V too; a kernel counts as the matrix of its output channels."""
    critic = reader(network, "spectral", conditioning)
    for _ in range(100):  # power iterations, one at each pass
        critic(*seen())
    critic.eval()
    layers = [m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    count = {"conv": 3, "resnet": 9}.get(network, 3) + (conditioning == "projection")
    assert len(layers) == count
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert norm.item() == pytest.approx(1, abs=0.01)


# --- what a generator is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "norm", "conditioning"), WRITERS)
def test_a_generator_makes_images_of_its_class(network, norm, conditioning):
    generator = writer(network, norm, conditioning)
    z, context = drawn()
    image = generator(z, context)
    assert image.shape == (ROWS, *IMAGE)
    assert image.dtype == torch.float32
    image.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())
    conditional = [m for m in generator.modules() if isinstance(m, ConditionalBatchNorm)]
    assert bool(conditional) == (norm == "batch" and conditioning == "projection")
    for layer in conditional:
        nn.init.normal_(layer.slope)
    generator.eval()
    assert not torch.allclose(generator(z, context), generator(z, context.roll(1, 0)), atol=1e-5)


@pytest.mark.parametrize("network", PAIRS)
def test_a_generator_with_conditional_batch_norm_starts_without_its_class(network):
    """As every class has gain 1 and bias 0, and the class enters nowhere else."""
    generator = writer(network, "batch", "projection").eval()
    z, context = drawn()
    assert torch.equal(generator(z, context), generator(z, context.roll(1, 0)))
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(norms) == {"conv": 2, "resnet": 5}.get(network, 2)
    assert not any(norm.affine for norm in norms)


@pytest.mark.parametrize("network", PAIRS)
def test_without_a_context_either_way_of_conditioning_is_the_plain_network(network):
    read, write = encoder_factory(network), decoder_factory(network)
    for conditioning in CONDITIONINGS:
        generator = write(LATENT, IMAGE, context=0, size=SMALL, norm="batch", conditioning=conditioning)
        critic = read(IMAGE, 1, context=0, size=SMALL, norm="none", conditioning=conditioning)
        assert critic(generator(torch.randn(ROWS, LATENT))).shape == (ROWS, 1)
        assert not any(isinstance(m, ConditionalBatchNorm | CriticHead) for m in critic.modules())


@pytest.mark.parametrize("size", [(8, 8), IMAGE[1:]])
@pytest.mark.parametrize("network", PAIRS)
def test_generators_drop_units_in_training_only(network, size):
    """Also where an image is doubled only once, so that the first layers are all there is."""
    write = decoder_factory(network)
    generator = write(LATENT, (1, *size), context=0, size=SMALL.with_dropout(0.5), norm="none")
    z = torch.randn(ROWS, LATENT)
    assert not torch.equal(generator(z), generator(z))
    generator.eval()
    assert torch.equal(generator(z), generator(z))
    plain = write(LATENT, (1, *size), context=0, size=SMALL, norm="none")
    assert torch.equal(plain(z), plain(z))


# --- every network, as a module ---------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", ["deep copy", "state"])
@pytest.mark.parametrize(("network", "norm", "conditioning", "minibatch"), READERS)
def test_critics_are_copied_and_saved(network, norm, conditioning, minibatch, copied):
    critic = reader(network, norm, conditioning, minibatch)
    x, context = seen()
    critic(x, context)
    if copied == "state":
        twin = reader(network, norm, conditioning, minibatch)
        twin.load_state_dict(critic.state_dict())
    else:
        twin = copy.deepcopy(critic)
    scores = critic.eval()(x, context)
    assert torch.equal(twin.eval()(x, context), scores)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    assert torch.equal(critic(x, context), scores)


@pytest.mark.parametrize(("network", "norm", "conditioning"), WRITERS)
def test_generators_are_copied_and_saved(network, norm, conditioning):
    generator, twin = writer(network, norm, conditioning), writer(network, norm, conditioning)
    z, context = drawn()
    generator(z, context)
    twin.load_state_dict(generator.state_dict())
    image = generator.eval()(z, context)
    assert torch.equal(twin.eval()(z, context), image)
    assert torch.equal(copy.deepcopy(generator)(z, context), image)


@pytest.mark.parametrize("minibatch", ["none", "discrimination", "deviation"])
@pytest.mark.parametrize("conditioning", CONDITIONINGS)
@pytest.mark.parametrize("network", PAIRS)
def test_bf16_returns_float32_near_the_scores_of_float32(network, conditioning, minibatch):
    """bfloat16 has 8 bits: 0.4 % of a number, and a few times that after a few layers."""
    critic, generator = (
        reader(network, "none", conditioning, minibatch),
        writer(network, "batch", conditioning),
    )
    z, context = drawn()
    plain_image = generator(z, context)
    plain = critic(plain_image, context)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = generator(z, context)
        scores = critic(plain_image, context)
    assert image.dtype == scores.dtype == torch.float32
    assert (scores - plain).abs().max() < 0.03 * (1 + plain.abs().max())
    assert (image - plain_image).abs().max() < 0.05 * (1 + plain_image.abs().max())


@pytest.mark.parametrize("network", PAIRS)
def test_scores_have_second_derivatives(network):
    """What gradient penalties need: along a random direction against finite differences of the first derivative."""
    critic = reader(network, "spectral", "projection", "deviation").double().eval()
    x, context = seen()
    x, context = x.double().requires_grad_(), context.double()

    def squared_slope() -> torch.Tensor:
        (slope,) = torch.autograd.grad(critic(x, context).sum(), x, create_graph=True)
        return slope.square().sum()

    weight = max(critic.parameters(), key=lambda p: p.dim())
    (gradient,) = torch.autograd.grad(squared_slope(), weight)
    direction, step = torch.randn_like(weight), 1e-8  # so small that hardly a ReLU turns
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(sign * step * direction)
        values.append(squared_slope().item())
        with torch.no_grad():
            weight.sub_(sign * step * direction)
    assert (gradient * direction).sum().item() == pytest.approx(
        (values[0] - values[1]) / (2 * step), rel=1e-3
    )


# --- sizes ------------------------------------------------------------------------------------------------------

SQUARES = [(n, n) for n in (8, 9, 12, 16, 28, 30, 32, 64, 96, 128, 256)]
OTHERS = [(8, 15), (9, 11), (30, 45), (64, 17), (8, 256)]


@pytest.mark.parametrize("size", SQUARES + OTHERS, ids=lambda size: f"{size[0]}×{size[1]}")
@pytest.mark.parametrize("network", IMAGERS)
def test_images_of_any_size_from_8_are_read_and_made_to_their_edges(network, size):
    read, write = encoder_factory(network), decoder_factory(network)
    narrow = Size(width=6)  # with fewer feature maps, ReLU may leave none at an entry
    generator = write(3, (1, *size), context=0, size=narrow, norm="batch")
    critic = read((1, *size), 1, context=0, size=narrow, norm="none")
    image = generator(torch.randn(8, 3)).detach()
    assert image.shape == (8, 1, *size)
    assert (image.std(0) > 0).all()  # no entry is a constant
    x = image[:2].requires_grad_()
    critic(x).sum().backward()
    used = (x.grad != 0).any(dim=(0, 1))
    # Halving may leave out less than one cell of the smallest map.
    for side, length in enumerate(size):
        cell = 2 ** ((min(size) // 4).bit_length() - 1)
        assert used.any(dim=1 - side)[: length - length % cell].all()


@pytest.mark.parametrize("pair", [(ConvEncoder, ConvDecoder), (ResNetEncoder, ResNetDecoder)])
def test_feature_maps_double_at_each_halving_up_to_eight_times(pair):
    assert [maps(64, stage) for stage in range(7)] == [64, 128, 256, 512, 512, 512, 512]
    encoder, decoder = (
        pair[0]((1, 256, 256), 1, width=2),
        pair[1](3, (1, 256, 256), width=2),
    )
    assert max(m.out_channels for m in encoder.modules() if isinstance(m, nn.Conv2d)) == 16
    assert decoder.small == (16, 4, 4)
    narrow = pair[1](3, (3, 32, 32), width=64, widest=2)
    assert narrow.small[0] == 128


def test_small_images_keep_the_feature_maps_that_they_had():
    """256-128-64 at 32×32 and 512-256-128-64 at 64×64, as DCGAN."""
    for side, expected in ((32, [64, 128, 256]), (64, [64, 128, 256, 512])):
        encoder = ConvEncoder((3, side, side), 1, width=64)
        assert [m.out_channels for m in encoder.modules() if isinstance(m, nn.Conv2d)] == expected
        decoder = ConvDecoder(3, (3, side, side), width=64)
        ups = [m.in_channels for m in decoder.modules() if isinstance(m, nn.ConvTranspose2d)]
        assert ups == expected[::-1]


@pytest.mark.parametrize("network", IMAGERS)
@pytest.mark.parametrize("shape", [(1, 7, 8), (1, 8, 7), (5,)])
def test_rows_that_a_network_cannot_read_or_make_are_refused(network, shape):
    read, write = encoder_factory(network), decoder_factory(network)
    message = r"for images of at least 8×8; got rows of shape .*use network='mlp'"
    with pytest.raises(UsageError, match=message):
        read(shape, 1, context=0, size=SMALL, norm="none")
    with pytest.raises(UsageError, match=message):
        write(3, shape, context=0, size=SMALL, norm="none")


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", PAIRS)
def test_names_that_are_none_are_refused(network):
    with pytest.raises(UsageError, match="unknown norm 'btach'; did you mean 'batch'"):
        reader(network, "btach")
    with pytest.raises(UsageError, match="unknown norm 'btach'"):
        writer(network, "btach")
    with pytest.raises(UsageError, match="the norm of a decoder is none or batch; got 'spectral'"):
        writer(network, "spectral")
    for make in (reader, writer):
        with pytest.raises(UsageError, match="unknown conditioning 'projecton'; did you mean 'projection'"):
            make(network, conditioning="projecton")
    with pytest.raises(UsageError, match="unknown minibatch layer 'discriminaton'; did you mean"):
        reader(network, minibatch="discriminaton")


def test_combinations_that_mean_nothing_are_refused():
    with pytest.raises(UsageError, match="the norm of a ResNet encoder is none or spectral; got 'batch'"):
        reader("resnet", "batch")
    with pytest.raises(UsageError, match="norm='batch' needs hidden layers, and this mlp has none"):
        MLP((3,), (1,), norm="batch")
    for make in (
        lambda: MLP((3,), (1,), hidden=(4,), context=2, conditioning="batch-norm"),
        lambda: ConvDecoder(3, (1, 8, 8), context=2, norm="none", conditioning="batch-norm"),
    ):
        with pytest.raises(UsageError, match="conditioning='batch-norm' needs norm='batch'; got norm='none'"):
            make()
    with pytest.raises(UsageError, match="unknown conditioning 'projection'; there are"):
        ConvDecoder(3, (1, 8, 8), context=2, conditioning="projection")
    with pytest.raises(UsageError, match="unknown conditioning 'batch-norm'"):
        ConvEncoder((1, 8, 8), 3, context=2, conditioning="batch-norm")
    for activation in ("gated", "maxout"):
        with pytest.raises(UsageError, match=f"activation='{activation}' is for mlp"):
            ConvEncoder((1, 8, 8), 3, activation=activation)


# --- fully connected networks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("network", MLPS)
def test_layers_before_batch_norm_have_no_bias(network):
    for norm in ("none", "batch"):
        generator = writer(network, norm)
        linear = [m for m in generator.modules() if isinstance(m, nn.Linear)]
        assert [layer.bias is None for layer in linear] == [norm == "batch", norm == "batch", False]


def test_an_mlp_with_batch_norm_is_its_layers_one_after_the_other():
    network, x = MLP((3,), (2,), hidden=(5, 4), norm="batch", activation="tanh"), torch.randn(9, 3)
    one, two, last = (m for m in network.modules() if isinstance(m, nn.Linear))
    h = x
    for layer in (one, two):
        h = h @ layer.weight.T
        h = torch.tanh((h - h.mean(0)) / torch.sqrt(h.var(0, correction=0) + 1e-5))
    assert torch.allclose(network(x), h @ last.weight.T + last.bias, atol=1e-5)


def test_an_mlp_s_name_tells_its_activation():
    for network, activation in (("mlp", "ReLU"), ("gated-mlp", "GLU"), ("maxout-mlp", "Maxout")):
        for module in (reader(network), writer(network)):
            kinds = [type(m).__name__ for m in module.layers if not isinstance(m, nn.Linear)]
            assert kinds == [activation] * 2


# --- whole networks, written out --------------------------------------------------------------------------------


def test_a_resnet_critic_sums_what_is_positive_in_each_last_feature_map():
    critic, x = ResNetEncoder((3, 20, 16), 1, width=4), torch.randn(ROWS, 3, 20, 16)
    *blocks, _ = critic.body
    assert len(blocks) == 3  # two that halve, one that does not
    h = x
    for block in blocks:
        h = block(h)
    assert h.shape == (ROWS, 8, 5, 4)
    features = h.clamp(min=0).sum((2, 3))
    assert torch.allclose(critic.features(x), features, atol=1e-5)
    assert torch.allclose(critic(x), features @ critic.head.weight.T + critic.head.bias, atol=1e-5)


@pytest.mark.parametrize("decoder", [ConvDecoder, ResNetDecoder])
def test_an_image_is_cut_from_the_upper_left_of_the_next_larger_one(decoder):
    generator, z = decoder(5, (2, 3, 18, 21), width=4, norm="none"), torch.randn(ROWS, 5)
    small = generator.tail(z).view(ROWS, 8, 5, 6)
    h = small
    for layer in generator.body:
        h = layer(h)
    assert h.shape == (ROWS, 6, 20, 24)
    assert torch.allclose(generator(z), h[:, :, :18, :21].reshape(ROWS, 2, 3, 18, 21), atol=1e-6)


def test_a_resnet_generator_ends_in_a_convolution_of_normed_feature_maps():
    *blocks, norm, activation, last = ResNetDecoder(5, (3, 16, 16), width=4).body
    assert [type(m) for m in (norm, activation, last)] == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d]
    assert len(blocks) == 2
