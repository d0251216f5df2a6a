"""Differentiable augmentation: what each change leaves as it is, and how far it goes."""

from __future__ import annotations

import pytest
import torch
from tests.draws import seeded_generator
from torch import Tensor

from latentia.errors import UsageError
from latentia.functional.gan.augmentation import AUGMENTATIONS, augmented, colour, cutout, shift


def images(n: int = 6, channels: int = 3, height: int = 16, width: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, channels, height, width, dtype=torch.float64, generator=generator)


def moved(image: Tensor, down: int, along: int) -> Tensor:
    """Return an image rolled by some pixels, with 0 where something came round."""
    _, height, width = image.shape
    result = image.roll((-down, -along), (1, 2))
    i, j = torch.arange(height) + down, torch.arange(width) + along
    inside = ((i >= 0) & (i < height))[:, None] & ((j >= 0) & (j < width))
    return result * inside


def test_a_shift_moves_each_image_by_some_whole_number_of_pixels():
    """Each result is one of the 5 · 7 shifts of up to an eighth of 16 and of 24."""
    x = images(40)
    seen = set()
    for image, found in zip(x, shift(x, seeded_generator()), strict=True):
        moves = [(i, j) for i in range(-4, 5) for j in range(-5, 6) if torch.equal(found, moved(image, i, j))]
        assert len(moves) == 1
        seen.add(moves[0])
    down, along = zip(*seen, strict=True)
    assert (min(down), max(down)) == (-2, 2)
    assert (min(along), max(along)) == (-3, 3)


@pytest.mark.parametrize(("height", "width"), [(16, 24), (8, 8), (9, 15)])
def test_a_hole_is_half_as_high_and_wide_unless_the_border_cuts_it(height, width):
    x = torch.ones(300, 2, height, width)
    holes = cutout(x, seeded_generator()) == 0
    assert torch.equal(holes[:, 0], holes[:, 1])
    rows, columns = holes[:, 0].any(2), holes[:, 0].any(1)
    assert torch.equal(holes[:, 0], rows[:, :, None] & columns[:, None, :])  # a rectangle
    for side, size in ((rows, height), (columns, width)):
        half = int(size / 2 + 0.5)
        lengths = side.sum(1)
        assert (lengths <= half).all()
        inside = ~(side[:, 0] | side[:, -1])
        assert (lengths[inside] == half).all()
        assert lengths.min() <= half // 2 + 1  # centres anywhere, at the border too
        assert inside.any()
        for each in side:  # in one piece
            assert (each[1:] ^ each[:-1]).sum() <= 2


def test_a_hole_leaves_the_rest_as_it_is():
    x = images()
    found = cutout(x, seeded_generator())
    assert torch.equal(found[found != 0], x[found != 0])


def test_colours_change_by_brightness_saturation_and_contrast():
    """Undone with the numbers drawn: x + b, about the mean over channels, about the image's mean."""
    x = images(500)
    found = colour(x, seeded_generator())
    for image, new in zip(x[:50], found[:50], strict=True):
        brightness = (new.mean() - image.mean()).item()  # the other two leave the mean
        assert -0.5 <= brightness <= 0.5
        grey, new_grey = image.mean(0), new.mean(0)
        contrast = ((new_grey - new_grey.mean()) / (grey - grey.mean())).mean().item()
        assert 0.5 <= contrast <= 1.5
        assert torch.allclose(
            new_grey - new_grey.mean(), contrast * (grey - grey.mean())
        )  # saturation leaves it
        tint, new_tint = image - grey, new - new_grey
        saturation = (new_tint / tint).median().item() / contrast
        assert -1e-9 <= saturation <= 2
        assert torch.allclose(new_tint, saturation * contrast * tint)
    assert (found.mean((1, 2, 3)) - x.mean((1, 2, 3))).abs().max() > 0.49


def test_the_numbers_are_uniform_over_their_ranges():
    """2,000 images: means are off by 4 standard deviations once in 15,000 draws."""
    x = images(1, height=8, width=8).expand(2000, -1, -1, -1)
    found = colour(x, seeded_generator())
    grey, new_grey = x.mean(1), found.mean(1)
    contrast = new_grey.std((1, 2)) / grey.std((1, 2))
    saturation = (found - new_grey[:, None]).std((1, 2, 3)) / (x - grey[:, None]).std((1, 2, 3)) / contrast
    brightness = found.mean((1, 2, 3)) - x.mean((1, 2, 3))
    for drawn, low, high in ((brightness, -0.5, 0.5), (saturation, 0, 2), (contrast, 0.5, 1.5)):
        error = (high - low) / (12 * 2000) ** 0.5
        assert abs(drawn.mean().item() - (low + high) / 2) < 4 * error
        assert drawn.min() < low + 0.01 * (high - low)
        assert drawn.max() > high - 0.01 * (high - low)


def test_an_image_of_one_channel_has_no_saturation():
    x = images(channels=1)
    for image, new in zip(x, colour(x, seeded_generator()), strict=True):
        contrast = (new.std() / image.std()).item()
        assert 0.5 <= contrast <= 1.5
        assert torch.allclose(new - new.mean(), contrast * (image - image.mean()))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_image_is_changed_by_itself_and_otherwise(name):
    """With the same draws, the other images of a batch do not matter; two equal images come out different."""
    x = images(8)
    other = torch.cat([x[:1], -5 * x[1:]])
    first, second = (augmented(each, [name], seeded_generator(3)) for each in (x, other))
    assert torch.equal(first[0], second[0])
    same = augmented(x[:1].expand(8, -1, -1, -1), [name], seeded_generator(3))
    assert not torch.equal(same[0], same[1])
    assert first.shape == x.shape


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_pass_through(name):
    x = images(2, height=8, width=8).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: augmented(y, [name], seeded_generator()), x)
    (gradient,) = torch.autograd.grad(augmented(x, [name], seeded_generator()).sum(), x)
    assert gradient.abs().sum() > 0


def test_they_are_applied_in_turn():
    x = images()
    draws = seeded_generator(), seeded_generator()
    expected = cutout(shift(colour(x, draws[0]), draws[0]), draws[0])
    assert torch.equal(augmented(x, ["colour", "shift", "cutout"], draws[1]), expected)
    assert augmented(x, []) is x


def test_what_is_no_image_and_names_that_are_none_are_refused():
    with pytest.raises(UsageError, match=r"augmentation is for images .*; got \(5,\)"):
        augmented(torch.zeros(2, 5), ["shift"])
    with pytest.raises(UsageError, match="unknown augmentation 'color'; did you mean 'colour'"):
        augmented(images(), ["color"])
