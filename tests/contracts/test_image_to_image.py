"""What every image-to-image network promises: shapes, gradients, contexts, determinism, precision, copies."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from latentia.errors import UsageError
from latentia.networks.norms import IMAGE_NORMS
from latentia.networks.registry import NETWORKS, Size, image_to_image_factory, networks_with

pytestmark = pytest.mark.usefixtures("seeded_draws")

NAMES = networks_with("image_to_image")
IMAGERS = [name for name in NAMES if "width" in NETWORKS[name].sizes]
SMALL = Size(hidden=24, layers=2, width=4)
IN, OUT, CONTEXT, ROWS = (3, 13, 16), (2, 3, 13, 16), 5, 6
CASES = [(name, norm) for name in IMAGERS for norm in IMAGE_NORMS] + [
    (name, norm) for name in NAMES if name not in IMAGERS for norm in ("none", "batch")
]
each_norm = pytest.mark.parametrize(("name", "norm"), CASES)
each = pytest.mark.parametrize("name", NAMES)


def network(name: str, norm: str | None = None, *, context: int = CONTEXT, **options) -> nn.Module:
    """Return a small network from IN to OUT, unless other shapes are given."""
    shapes = [options.pop("in_shape", IN), options.pop("out_shape", OUT)]
    norms = {} if norm is None else {"norm": norm}
    return image_to_image_factory(name)(*shapes, context=context, **{"size": SMALL} | norms | options)


def given(rows: int = ROWS) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, *IN), torch.randn(rows, CONTEXT)


# --- shapes -----------------------------------------------------------------------------------------------------

SIZES = [(n, n) for n in (8, 9, 11, 15, 16, 17, 28, 31, 32, 33, 64)] + [(8, 15), (9, 40), (45, 30), (64, 17)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}×{size[1]}")
@pytest.mark.parametrize("name", IMAGERS)
def test_images_of_any_size_from_8_keep_their_size_and_every_pixel_counts(name, size):
    narrow = network(
        name, in_shape=(2, *size), out_shape=(1, *size), context=0, size=Size(width=3), attention=8
    )
    x = torch.randn(2, 2, *size, requires_grad=True)
    y = narrow(x)
    assert y.shape == (2, 1, *size)
    assert (y.std((0, 1)) > 0).all()  # no pixel is constant
    y.square().sum().backward()
    assert (x.grad != 0).any(dim=0).all()  # every pixel of every channel is read


@each
@pytest.mark.parametrize(
    ("in_shape", "out_shape"), [((1, 8, 8), (1, 8, 8)), ((4, 9, 8), (3, 9, 8)), ((1, 8, 8), (2, 5, 3, 8, 8))]
)
def test_channels_may_change_and_an_entry_may_have_several_parameters(name, in_shape, out_shape):
    made = network(name, in_shape=in_shape, out_shape=out_shape)
    assert made(torch.randn(ROWS, *in_shape), torch.randn(ROWS, CONTEXT)).shape == (ROWS, *out_shape)


# --- gradients and contexts -------------------------------------------------------------------------------------


@each_norm
@pytest.mark.parametrize("context", [0, CONTEXT])
def test_every_parameter_has_a_gradient(name, norm, context):
    made = network(name, norm, context=context, **({"attention": 8} if name in IMAGERS else {}))
    x, c = given()
    made(x, c if context else None).square().sum().backward()
    largest = max(p.grad.abs().max() for p in made.parameters())
    for parameter, p in made.named_parameters():
        assert p.grad.isfinite().all()
        assert p.grad.abs().max() > 1e-6 * largest, f"{parameter} does not learn"


@each_norm
def test_the_context_changes_the_output_of_its_own_row_alone(name, norm):
    made = network(name, norm)
    x, c = given()
    made(x, c)  # running moments
    made.eval()
    y = made(x, c)
    other = c.clone()
    other[0] = torch.randn(CONTEXT)
    changed = (made(x, other) - y).flatten(1).abs().amax(1)
    assert changed[0] > 1e-4
    assert changed[1:].max() < 1e-5


@pytest.mark.parametrize("name", IMAGERS)
def test_the_context_enters_every_level(name):
    """Of a U-Net also the lowest: with the modulation of one norm alone, whichever, the output changes."""
    made = network(name).eval()
    x, c = given()
    slopes = [p for parameter, p in made.named_parameters() if parameter.endswith("slope")]
    starts = [p.detach().clone() for p in slopes]
    norms = [m for m in made.modules() if isinstance(m, nn.GroupNorm | nn.InstanceNorm2d)]
    assert len(slopes) == len(norms) >= 6
    for slope, start in zip(slopes, starts, strict=True):
        with torch.no_grad():
            for each_slope in slopes:
                each_slope.zero_()
            slope.copy_(start)
            assert not torch.allclose(made(x, c), made(x, -c), atol=1e-6)


@pytest.mark.parametrize("name", IMAGERS)
def test_a_context_that_is_missing_or_not_expected_is_refused(name):
    x, c = given()
    with pytest.raises(UsageError, match="reads a context vector; got none"):
        network(name)(x)
    with pytest.raises(UsageError, match=r"reads no context vector; got shape \(6, 5\)"):
        network(name, context=0)(x, c)


# --- learning ---------------------------------------------------------------------------------------------------


@each
def test_the_identity_of_one_batch_is_learned_in_a_few_steps(name):
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(torch.randn(4, 1, 4, 4), size=(9, 12), mode="bilinear")
    size = Size(hidden=200, layers=1, width=8)
    made = network(name, in_shape=x.shape[1:], out_shape=x.shape[1:], context=0, size=size)
    optimiser = torch.optim.Adam(made.parameters(), 0.005)
    for _ in range(100):
        optimiser.zero_grad()
        (made(x) - x).square().mean().backward()
        optimiser.step()
    assert (made(x) - x).square().mean() < 0.02 * x.var()


@pytest.mark.parametrize("name", IMAGERS)
def test_what_the_context_says_is_learned(name):
    """x to x or to −x, as one entry of the context says."""
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(torch.randn(8, 1, 4, 4), size=(8, 8), mode="bilinear")
    c = torch.tensor([[1.0], [-1.0]]).repeat(4, 1)
    made = network(name, in_shape=(1, 8, 8), out_shape=(1, 8, 8), context=1, size=Size(width=8))
    optimiser = torch.optim.Adam(made.parameters(), 0.003)
    for _ in range(150):
        optimiser.zero_grad()
        (made(x, c) - c[:, :, None, None] * x).square().mean().backward()
        optimiser.step()
    assert (made(x, c) - c[:, :, None, None] * x).square().mean() < 0.1 * x.var()


# --- every network, as a module ---------------------------------------------------------------------------------


@each_norm
def test_outputs_in_eval_mode_are_deterministic_and_of_each_row_by_itself(name, norm):
    made = network(name, norm, size=Size(hidden=24, layers=2, width=4, dropout=0.5))
    x, c = given()
    assert not torch.equal(made(x, c), made(x, c))  # dropout
    made.eval()
    y = made(x, c)
    assert torch.equal(made(x, c), y)
    assert torch.allclose(made(x[:1], c[:1]), y[:1], atol=1e-5)


@each_norm
def test_copies_and_states_give_the_same_output_and_share_nothing(name, norm):
    made, twin = network(name, norm), network(name, norm)
    x, c = given()
    made(x, c)
    twin.load_state_dict(made.state_dict())
    y = made.eval()(x, c)
    assert torch.equal(twin.eval()(x, c), y)
    copied = copy.deepcopy(made)
    assert torch.equal(copied(x, c), y)
    with torch.no_grad():
        for parameter in [*twin.parameters(), *copied.parameters()]:
            parameter.add_(1)
    assert torch.equal(made(x, c), y)


@each_norm
def test_bf16_returns_float32_near_the_output_of_float32(name, norm):
    made = network(name, norm, **({"attention": 8} if name in IMAGERS else {}))
    x, c = given()
    plain = made(x, c)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = made(x, c)
    assert y.dtype == torch.float32
    assert (y - plain).abs().mean() < 0.05 * plain.abs().mean()
    y.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize("name", IMAGERS)
def test_convolution_weights_are_laid_out_channels_last(name):
    weights = [p for p in network(name).parameters() if p.dim() == 4]
    assert weights
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGERS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_shape": (3, 7, 16), "out_shape": (3, 7, 16)}, r"at least 8×8; got rows of shape \(3, 7, 16\)"),
        ({"in_shape": (5,)}, r"got rows of shape \(5,\): use network='mlp'"),
        ({"out_shape": (3, 16, 16)}, r"keeps height and width; got \(3, 13, 16\) to \(3, 16, 16\)"),
        ({"norm": "btach"}, "unknown norm 'btach'; did you mean 'batch'"),
        ({"norm": "spectral"}, "is none or batch or group or instance; got 'spectral'"),
        ({"attention": -1}, "context and attention at least 0; got .*attention=-1"),
        ({"blocks": 0}, "width and blocks must be at least 1, .*; got .*blocks=0"),
    ],
)
def test_what_a_network_cannot_be_is_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        network(name, **options)


@pytest.mark.parametrize("name", IMAGERS)
def test_blocks_are_as_many_as_requested(name):
    counts = [
        sum(type(m).__name__ == "Residual" for m in network(name, blocks=n).modules()) for n in (1, 2, 3)
    ]
    assert counts[1] - counts[0] == counts[2] - counts[1] > 0


def test_an_mlp_has_no_attention_and_none_of_the_norms_of_feature_maps():
    with pytest.raises(
        UsageError, match="no residual blocks and no attention; got blocks=None and attention=8"
    ):
        network("mlp", attention=8)
    with pytest.raises(UsageError, match="got blocks=2 and attention=0"):
        network("mlp", blocks=2)
    with pytest.raises(UsageError, match="is none or batch; got 'instance'"):
        network("mlp", "instance")
