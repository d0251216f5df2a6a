"""Schedules at their ends, in between, and against torch's own cosine."""

from __future__ import annotations

import pytest
import torch

from latentia.errors import UnknownNameError, UsageError
from latentia.functional.schedules import SCHEDULES, constant, cosine, learning_rate_factor, warmup


def test_warmup_is_linear_from_0_to_1_and_stays():
    assert [warmup(step, 5) for step in range(8)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1])
    assert warmup(0, 0) == warmup(7, 0) == 1.0
    assert [warmup(step, 1) for step in (0, 1, 2)] == [0.0, 1.0, 1.0]


def test_constant_is_one():
    assert {constant(step, 10) for step in (0, 5, 10, 99)} == {1.0}


def test_cosine_equals_torch():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=10)
    for step in range(11):
        assert cosine(step, 10) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimiser.step()
        theirs.step()


def test_cosine_ends_and_stays_at_zero():
    assert cosine(0, 1) == 1.0
    assert cosine(1, 1) == cosine(10, 10) == cosine(99, 10) == pytest.approx(0.0, abs=1e-15)
    assert cosine(5, 10) == pytest.approx(0.5)


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_every_factor_lies_between_0_and_1_and_the_first_step_moves(schedule):
    for total, warmup_steps in [(1, 0), (1, 1), (10, 0), (10, 3), (10, 10), (10, 50)]:
        factors = [learning_rate_factor(schedule, step, total, warmup_steps) for step in range(total)]
        assert all(0 < factor <= 1 for factor in factors)


def test_warmup_then_cosine():
    factors = [learning_rate_factor("cosine", step, 12, warmup_steps=4) for step in range(13)]
    assert factors[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert factors[4:] == pytest.approx([cosine(step, 8) for step in range(9)])
    assert factors[12] == pytest.approx(0.0, abs=1e-15)


def test_without_warmup_constant_is_one_from_the_first_step():
    assert [learning_rate_factor("constant", step, 5) for step in range(5)] == [1.0] * 5


@pytest.mark.parametrize("call", [lambda: warmup(-1, 5), lambda: warmup(1, -5), lambda: cosine(0, 0)])
def test_numbers_out_of_range_are_refused(call):
    with pytest.raises(UsageError, match="got"):
        call()


def test_unknown_schedule_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'cosine'"):
        learning_rate_factor("cosin", 0, 10)
