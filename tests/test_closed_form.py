"""Closed forms: what an objective that is solved in one step needs to say."""

from __future__ import annotations

import torch
from torch import nn

from latentia.core.closed_form import ClosedForm
from latentia.core.objective import Batch
from latentia.core.train import train


class Mean(ClosedForm):
    """x̄ of the rows, in closed form."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(1, 1).requires_grad_(False)
        self.gradients: list[bool] = []

    def solve(self, rows):
        self.gradients.append(torch.is_grad_enabled())
        self.model.bias.copy_(torch.cat([block.x for block in rows.blocks(2)]).mean(0))
        return {"mean": self.model.bias.clone()}


def test_a_closed_form_is_one_method_and_one_step():
    objective, rows = Mean(), Batch(torch.tensor([[1.0], [2.0], [6.0]]))
    for _ in range(2):  # a second training solves it anew
        states = list(train(objective, [rows] * 5, steps=5))
        assert [state.step for state in states] == [1]
        assert float(states[-1].metrics["mean"]) == 3.0
        assert objective.finished
    assert objective.gradients == [False, False]
    assert not objective.players()
    assert "done" in objective.state_dict()
