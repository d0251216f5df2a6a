"""Draw the pictures of docs/mathematics.md into docs/images: python docs/make_mathematics.py."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import latentia as lt
from latentia.figures import two_samples
from latentia.figures.drawing import png
from latentia.functional.kernel.kernels import gaussian_kernel
from latentia.functional.transport import wasserstein_lp
from latentia.theory.figures import divergences

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES = Path(__file__).parent / "images"
N = torch.distributions.Normal


def figures() -> dict[str, Figure]:
    """Return each picture by the name of its file."""
    return {
        "moving-apart": moving_apart(),
        "coverage-and-quality": coverage_and_quality(),
        "conjugates": divergences.conjugate_pair(lt.divergences["kl"]),
        "transport-plan": transport_plan(),
        "witness": witness(),
        "four-panels": two_samples.four_panels(draws(300), 2 * draws(200) + 1, ("data", "model")),
        "simplex": divergences.simplex_projection(torch.tensor([0.5, 0.2, 0.3])),
    }


def draws(*shape: int) -> torch.Tensor:
    """Return standard normal draws, the same at each call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def moving_apart() -> Figure:
    """Draw divergences of two uniform distributions on [0, 1], which are disjoint from a shift of 1 on."""

    def uniform(x: torch.Tensor) -> torch.Tensor:
        return torch.where((x >= 0) & (x < 1), 0.0, -torch.inf)

    return divergences.moving_apart(uniform, torch.linspace(0, 2, 41), torch.linspace(-1, 4, 5001))


def coverage_and_quality() -> Figure:
    """Draw a distribution with two modes, and a model that covers one of them."""
    x = torch.linspace(-4, 6, 200, dtype=torch.float64)
    p = (N(-1.0, 0.5).log_prob(x).exp() + N(3.0, 0.7).log_prob(x).exp()) / 2
    q = N(-0.5, 1.0).log_prob(x).exp()
    return divergences.coverage_and_quality(x, p / p.sum(), q / q.sum())


def transport_plan() -> Figure:
    """Draw a plan between twelve points on the line, optimal for the squared distance."""
    x = torch.linspace(0, 1, 12, dtype=torch.float64)
    p, q = (0.6 + draws(2, 12).double().sigmoid()).unbind(0)
    p, q = p / p.sum(), q / q.sum()
    plan = wasserstein_lp(p, q, (x[:, None] - x - 0.5).square()).plan
    return two_samples.transport_plan(plan, x, x + 0.5)


def witness() -> Figure:
    """Draw the witness function of a narrow and a wide Gaussian with equal means."""
    points = draws(400, 1)
    return two_samples.witness_function(
        points[:200], 2 * points[200:], partial(gaussian_kernel, bandwidth=1.0)
    )


def main() -> None:
    """Draw and write all pictures."""
    IMAGES.mkdir(exist_ok=True)
    for name, figure in figures().items():
        figure.set_dpi(110)
        (IMAGES / f"{name}.png").write_bytes(png(figure))


if __name__ == "__main__":
    main()
