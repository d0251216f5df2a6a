"""Semi-amortised inference: an encoder's guess, improved by gradient steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import latentia as lt
from latentia.errors import UsageError
from latentia.models.semi_amortised import Refinement

TARGET = torch.tensor([[3.0, 0.0], [0.0, 0.4]])


def bound(h: Tensor) -> Tensor:
    """A paraboloid, highest at the target: its gradient is target − h."""
    return -0.5 * (h - TARGET).square().sum(1)


def test_a_step_goes_up_the_gradient_of_each_row_by_its_own_and_no_farther_than_the_clip():
    h = torch.zeros(2, 2)
    assert torch.allclose(Refinement(1, 0.1)(h, bound, through=False), 0.1 * TARGET)
    steep = Refinement(1, 0.1)(h, lambda h: 100 * bound(h), through=False)
    assert torch.allclose(steep, 0.5 * torch.nn.functional.normalize(TARGET))
    assert torch.allclose(Refinement(400, 0.1)(h, bound, through=False), TARGET, atol=1e-4)


def test_gradients_flow_through_the_steps_in_a_training_and_not_elsewhere():
    """h + η(t − h), twice, has the slope (1 − η)² in h."""
    h = torch.zeros(2, 2, requires_grad=True)
    out = Refinement(2, 0.1)(h, bound, through=True)
    (slope,) = torch.autograd.grad(out.sum(), h)
    assert torch.allclose(slope, torch.full((2, 2), 0.81))
    assert not Refinement(2, 0.1)(h, bound, through=False).requires_grad


def test_it_raises_the_bound_of_a_model_whose_encoder_is_poor(digits):
    """A decoder that is learned with a linear encoder of few steps; one model, its bound with and without steps."""
    options = {"latent_dim": 4, "hidden": 32, "epochs": 15, "seed": 0, "refine_steps": 8, "refine_lr": 0.05}
    run = lt.fit("vae", digits, progress=False, **options)
    x = torch.from_numpy(digits[:, None]).float()

    def elbo() -> float:
        values = run.model.log_prob_bound(x, repeats=20, generator=torch.Generator().manual_seed(1))
        return values.mean().item()

    refined = elbo()
    again = elbo()
    assert refined == again  # the noise of its steps is fixed outside a training
    run.model.refinement = None
    assert refined > elbo() + 0.5
    assert np.isfinite(run.history["loss"]).all()


def test_encoder_and_decoder_both_learn_through_the_steps(digits):
    run = lt.fit("vae", digits, latent_dim=2, hidden=8, steps=1, refine_steps=2, progress=False)
    run.model.train()
    x = torch.from_numpy(digits[:16, None]).float()
    terms = run.recipe.objective.terms(x, None)
    (terms[1] - terms[0]).backward()
    for name, parameter in run.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_what_means_nothing_is_refused(digits):
    with pytest.raises(UsageError, match="refine_steps must be at least 0; got -1"):
        lt.fit("vae", digits, steps=1, progress=False, refine_steps=-1)
    with pytest.raises(UsageError, match="refine_lr must be above 0; got 0"):
        lt.fit("vae", digits, steps=1, progress=False, refine_steps=1, refine_lr=0.0)
    with pytest.raises(UsageError, match=r"refine_lr=0\.5 is for refine_steps, which is off"):
        lt.fit("vae", digits, steps=1, refine_lr=0.5, progress=False)
    with pytest.raises(UsageError, match="no loss_functions to compile"):
        lt.fit("vae", digits, steps=1, refine_steps=1, compile=True, progress=False)
