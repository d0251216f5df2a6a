"""Randomness from a generator that the caller passes, which leaves torch's own where it was."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from latentia.core.randomness import using_generator


def draw() -> torch.Tensor:
    return torch.cat([torch.rand(3), Normal(0, 1).sample((2,)), torch.randperm(4).float()])


def test_what_is_drawn_comes_from_the_generator_which_goes_on():
    generator, own = (torch.Generator().manual_seed(7) for _ in range(2))
    before = torch.get_rng_state()
    with using_generator(generator):
        first = torch.rand(3)
    with using_generator(generator):
        second = torch.rand(3)
    assert torch.equal(torch.cat([first, second]), torch.rand(6, generator=own)[:6])
    assert torch.equal(torch.get_rng_state(), before)


def test_none_draws_from_torch_s_own():
    torch.manual_seed(3)
    with using_generator(None):
        first = draw()
    torch.manual_seed(3)
    assert torch.equal(first, draw())


def test_torch_s_own_generator_can_be_passed_and_goes_on():
    torch.manual_seed(3)
    with using_generator(torch.default_generator):
        first = draw()
    assert not torch.equal(first, draw())
    torch.manual_seed(3)
    assert torch.equal(first, draw())


def test_an_error_inside_puts_everything_back():
    generator, before = torch.Generator().manual_seed(7), torch.get_rng_state()

    def fails() -> None:
        with using_generator(generator):
            torch.rand(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert torch.equal(torch.get_rng_state(), before)
    plain = torch.Generator().manual_seed(7)
    torch.rand(1, generator=plain)
    assert torch.equal(torch.rand(1, generator=generator), torch.rand(1, generator=plain))


def test_it_can_be_nested():
    outer, inner = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    with using_generator(outer):
        a = torch.rand(2)
        with using_generator(inner):
            b = torch.rand(2)
        c = torch.rand(2)
    plain = torch.Generator().manual_seed(1)
    assert torch.equal(a, torch.rand(2, generator=plain))
    assert torch.equal(c, torch.rand(2, generator=plain))
    assert torch.equal(b, torch.rand(2, generator=torch.Generator().manual_seed(2)))
