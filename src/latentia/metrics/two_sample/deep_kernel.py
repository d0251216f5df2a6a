"""The test with a deep kernel, learned on one half of the points and used on the other."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from latentia.core.randomness import using_generator
from latentia.errors import DataError, UsageError
from latentia.functional.kernel.kernels import squared_distances
from latentia.metrics.two_sample.kernels import kernel_outcome
from latentia.metrics.two_sample.problem import TwoSampleProblem
from latentia.metrics.two_sample.result import TestOutcome
from latentia.networks.mlp import MLP

_SMALLEST = 1e-8  # added to the variance, so that the criterion is finite where it vanishes
_LOG_SMALLEST = -80.0  # exp of much less is denormal, and slow
_POINTS = 1000  # that the first scales are taken from
_CLOSE = 0.05  # the fraction of pairs of features that are close to each other at first


class DeepKernel(nn.Module):
    """k(x, y) = ((1 − ε) exp(−‖φ(x) − φ(y)‖²/s₀) + ε) exp(−‖x − y‖²/s), with φ, ε, s₀ and s learned.

    It starts with ε = ½, s the square of the points' median distance, and s₀ the square of the distance that a
    twentieth of the pairs of φ(x) are closer than: one half sees what is global, the other what is local.

    Args:
        points: (N, D) float64 points that the scales are taken from; φ sees them standardised.
        hidden: widths of φ's layers, the last that of φ(x).

    Reference: Liu et al. (2020), Learning Deep Kernels for Non-Parametric Two-Sample Tests, eq. 1.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, points: Tensor, hidden: Sequence[int]) -> None:
        super().__init__()
        sd = points.std(0)
        self.register_buffer("mean", points.mean(0))
        self.register_buffer("sd", sd.where(sd > 0, torch.ones_like(sd)))
        self.phi = MLP(points.shape[1:], hidden[-1:], hidden=hidden[:-1], activation="softplus").to(points)
        some = points[torch.randperm(len(points))[:_POINTS]]
        close = distance_quantile(self.features(some).detach(), _CLOSE)
        self.mixing = nn.Parameter(points.new_tensor(0.0))
        self.log_s0 = nn.Parameter(points.new_tensor(2 * math.log(close)))
        self.log_s = nn.Parameter(points.new_tensor(2 * math.log(distance_quantile(some, 0.5))))

    def features(self, x: Tensor) -> Tensor:
        """Return φ(x), (n, hidden[-1])."""
        return self.phi((x - self.mean) / self.sd)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return k(x_i, y_j), (n, m)."""
        deep = _gaussian(self.features(x), self.features(y), self.log_s0)
        epsilon = self.mixing.sigmoid()
        return ((1 - epsilon) * deep + epsilon) * _gaussian(x, y, self.log_s)


def deep_kernel(
    problem: TwoSampleProblem,
    *,
    steps: int = 400,
    learning_rate: float = 2e-3,
    hidden: Sequence[int] = (50, 50, 50, 50),
) -> TestOutcome:
    """Test by MMD² with a deep kernel that is learned on a random half of each sample, on the other halves.

    The halves share no point, so the kernel is fixed for the test, whose permutations are exact.

    Args:
        problem: the two samples, and how to test them.
        steps: of Adam.
        learning_rate: of Adam.
        hidden: widths of the network's layers.

    Reference: Liu et al. (2020), Learning Deep Kernels for Non-Parametric Two-Sample Tests, algorithm 1.
    """
    problem.at_least(4, "for a half to learn the kernel on and a half to test on")
    if steps < 1 or not learning_rate > 0 or not hidden or min(hidden) < 1:
        raise UsageError(
            f"a deep kernel needs steps >= 1, learning_rate > 0 and hidden widths >= 1; got {steps}, "
            f"{learning_rate} and {tuple(hidden)}"
        )
    generator = problem.generator()
    x_learn, x_test = _halves(len(problem.x), generator)
    y_learn, y_test = _halves(len(problem.y), generator)
    x, y, rows = problem.x, problem.y, {"x": x_test, "y": y_test}
    kernel = learn_kernel(
        x[x_learn], y[y_learn], steps=steps, learning_rate=learning_rate, hidden=hidden, generator=generator
    )
    settings = {"kernel": "deep", "steps": steps, "learning_rate": learning_rate, "hidden": tuple(hidden)}
    found = kernel_outcome(replace(problem, x=x[x_test], y=y[y_test]), kernel, settings)
    points = (replace(each, row=int(rows[each.sample][each.row])) for each in found.points)
    return replace(found, points=tuple(points))


def learn_kernel(
    x: Tensor,
    y: Tensor,
    *,
    steps: int,
    learning_rate: float,
    hidden: Sequence[int],
    generator: torch.Generator,
    batch: int = 256,
) -> DeepKernel:
    """Learn a deep kernel that separates two samples: ascend J of equally many points of both."""
    with using_generator(generator):
        kernel = DeepKernel(torch.cat([x, y]), hidden)
    size = min(len(x), len(y), batch)
    optimiser = torch.optim.Adam(kernel.parameters(), lr=learning_rate)
    for _ in range(steps):
        a, b = (each[torch.randperm(len(each), generator=generator)[:size]] for each in (x, y))
        points = torch.cat([a, b])
        loss = -power_criterion(kernel(points, points))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return kernel.requires_grad_(False)


def power_criterion(K: Tensor) -> Tensor:
    """Return J = MMD²/σ, which the power of the test grows with, from the kernel matrix of x and y.

    H_ij = k(x_i, x_j) + k(y_i, y_j) − k(x_i, y_j) − k(x_j, y_i),  MMD² = Σ_{i≠j} H_ij / n(n − 1),
    σ² = 4 (Σ_i (Σ_j H_ij)²/n³ − (Σ_ij H_ij)²/n⁴) + 10⁻⁸

    Args:
        K: (2n, 2n), of n points of x and then n of y.

    Returns:
        () differentiable.

    Reference: Liu et al. (2020), Learning Deep Kernels for Non-Parametric Two-Sample Tests, eqs. 2 to 5.
    """
    n = len(K) // 2
    H = K[:n, :n] + K[n:, n:] - K[:n, n:] - K[n:, :n]
    mmd2 = (H.sum() - H.diagonal().sum()) / (n * (n - 1))
    variance = 4 * (H.sum(1).square().sum() / n**3 - H.sum().square() / n**4)
    return mmd2 / (variance + _SMALLEST).sqrt()


def distance_quantile(points: Tensor, level: float) -> float:
    """Return the quantile at a level, in [0, 1], of the distances between different points.

    Raises:
        DataError: where all points are equal.
    """
    distances = nn.functional.pdist(points)
    distances = distances[distances > 0]
    if not len(distances):
        raise DataError("the halves of x and y that the kernel is learned on hold one point only, repeated")
    return float(distances.quantile(level))


def _gaussian(x: Tensor, y: Tensor, log_s: Tensor) -> Tensor:
    """Return exp(−‖x − y‖²/s), (n, m)."""
    return (-squared_distances(x, y) / log_s.exp()).clamp(min=_LOG_SMALLEST).exp()


def _halves(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    order = torch.randperm(n, generator=generator)
    return order[: n // 2], order[n // 2 :]
