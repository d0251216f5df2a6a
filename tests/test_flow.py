"""Normalising flows: exact densities of rows in their own units.

Rows C3, C7, C8, C9, C10 of docs/known-mistakes.md.
"""

from __future__ import annotations

import math

import pytest
import torch

import latentia as lt
from latentia.data.spec import DataSpec, Support
from latentia.errors import UsageError
from latentia.models.flow import LAYERS, NormalizingFlow

PLANE = DataSpec((2,), Support("real"))


def flow(layer: str) -> NormalizingFlow:
    """Return a flow with random weights, for data with means of 3 and -40 and standard deviations of 2 and 10."""
    torch.manual_seed(1)
    model = NormalizingFlow(PLANE, transforms=3, hidden=16, layer=layer)
    model.scaling.shift.copy_(torch.tensor([3.0, -40.0]))
    model.scaling.scale.copy_(torch.tensor([2.0, 10.0]))
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("layer", LAYERS)
def test_the_density_integrates_to_one(layer):
    model = flow(layer)
    x, y = torch.linspace(-37, 43, 1201), torch.linspace(-240, 160, 1201)
    with torch.no_grad():
        p = (
            torch.cat([model.log_prob(part) for part in torch.cartesian_prod(x, y).split(50_000)])
            .double()
            .exp()
        )
    total = p.sum() * (x[1] - x[0]) * (y[1] - y[0])
    assert total.item() == pytest.approx(1.0, abs=5e-3)  # of the grid and its edges


@pytest.mark.parametrize("layer", LAYERS)
def test_the_density_is_the_change_of_variables_by_autograd(layer):
    model = flow(layer)
    rows = model.sample(5, generator=torch.Generator().manual_seed(0))

    def latent(x):
        return model.flow().transform(model.scaling(x[None]))[0]

    for x, log_prob in zip(rows, model.log_prob(rows), strict=True):
        jacobian = torch.autograd.functional.jacobian(latent, x)
        z = latent(x)
        expected = -0.5 * z.square().sum() - math.log(2 * math.pi) + torch.linalg.slogdet(jacobian).logabsdet
        assert log_prob.item() == pytest.approx(expected.item(), abs=1e-3)


def test_it_reaches_the_entropy_of_a_gaussian_in_its_units():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 2, generator=generator) * torch.tensor([2.0, 10.0]) + 5
    run = lt.fit("flow", x, transforms=2, hidden=16, epochs=15, progress=False)
    held_out = torch.randn(2000, 2, generator=generator) * torch.tensor([2.0, 10.0]) + 5
    entropy = math.log(2 * math.pi * math.e) + math.log(20)
    # The mean over 2,000 rows has a standard error of 0.022 nats; the flow may lose some hundredths more.
    assert run.model.log_prob(held_out).mean().item() == pytest.approx(-entropy, abs=0.12)


def test_what_a_flow_cannot_be_is_refused():
    with pytest.raises(UsageError, match="unknown layer 'real-nvp'; did you mean 'realnvp'"):
        lt.recipes["flow"](PLANE, layer="real-nvp")
    with pytest.raises(UsageError, match="couples entries, and these rows have one: choose 'maf'"):
        lt.recipes["flow"](DataSpec((1,), Support("real")))
    with pytest.raises(UsageError, match="transforms must be at least 1; got 0"):
        lt.recipes["flow"](PLANE, transforms=0)


@pytest.mark.parametrize("layer", LAYERS)
def test_rows_far_outside_have_finite_densities_and_gradients_and_come_back_from_their_codes(layer):
    """C7, C10: splines are the identity beyond ±5 standard deviations; their edges are met, and ten times that."""
    model = flow(layer).double()
    far = torch.tensor([-50.0, -5.0, 0.0, 5.0, 50.0], dtype=torch.float64)
    x = torch.cartesian_prod(far, far) * model.scaling.scale + model.scaling.shift
    x.requires_grad_()
    log_prob = model.log_prob(x)
    (slope,) = torch.autograd.grad(log_prob.sum(), x)
    assert log_prob.isfinite().all()
    assert slope.isfinite().all()
    transform, scaled = model.flow().transform, model.scaling(x.detach())
    back, ladj = transform.inv.call_and_ladj(transform(scaled))
    torch.testing.assert_close(back, scaled, rtol=1e-6, atol=1e-6)
    expected = -transform.log_abs_det_jacobian(scaled, transform(scaled))
    torch.testing.assert_close(ladj, expected, rtol=1e-6, atol=1e-6)
