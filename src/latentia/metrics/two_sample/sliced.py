"""The test by the sliced Wasserstein distance; each projection is sorted once for all permutations."""

import torch
from torch import Tensor

from latentia.errors import UsageError
from latentia.metrics.two_sample.permutation import by_permutation, permutation_settings, random_splits
from latentia.metrics.two_sample.problem import TwoSampleProblem
from latentia.metrics.two_sample.result import Feature, TestOutcome

_SPLITS_AT_ONCE = 16  # so that a block of cumulative sums stays in the processor's cache


def sliced_wasserstein(problem: TwoSampleProblem, *, projections: int = 100) -> TestOutcome:
    """Test by the sliced 1-Wasserstein distance, over the same directions for all permutations.

    Features are ranked by the Wasserstein distance of their own marginals, in units of their standard deviation.

    Args:
        problem: the two samples, and how to test them.
        projections: how many random directions.

    Reference: Bonneel et al. (2015), Sliced and Radon Wasserstein Barycenters, section 2.
    """
    if projections < 1:
        raise UsageError(f"projections must be at least 1; got {projections}")
    generator, points = problem.generator(), problem.points
    directions = torch.randn(projections, points.shape[1], generator=generator, dtype=points.dtype)
    projected = points @ torch.nn.functional.normalize(directions, dim=1).T.to(points.device)
    splits = random_splits(len(problem.x), len(problem.y), problem.permutations, generator).to(points.device)
    statistics = wasserstein_of_splits(projected, splits).mean(0)
    return TestOutcome(
        **by_permutation(statistics, problem),
        effect_size=float(statistics[0] / projected.std(0).mean()),
        effect="sliced W1 / standard deviation of the projections",
        features=_by_marginal(problem, splits[:, :1]),
        settings={"p": 1, "projections": projections, **permutation_settings(problem)},
    )


@torch.no_grad()
def wasserstein_of_splits(values: Tensor, splits: Tensor) -> Tensor:
    """Return the 1-Wasserstein distance of each of many splits of the same numbers.

    With z_1 ≤ … ≤ z_N the values sorted and c_k of the first k in the first group,
    W_1 = ∫ |F − G| = Σ_k |c_k/n − (k − c_k)/m| (z_{k+1} − z_k), so the values are sorted only once.

    Args:
        values: (N, L), L sets of N numbers.
        splits: (N, S) of 0 and 1: which are in the first group; the same number in every split.

    Returns:
        (L, S) in the units of the values.

    Reference: Vallender (1974), Calculation of the Wasserstein Distance between Probability Distributions on
    the Line, eq. 3.

    Example:
        >>> splits = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> wasserstein_of_splits(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), splits)
        tensor([[2., 1.]])
    """
    n, N = float(splits[:, 0].sum()), len(values)
    z, order = values.sort(dim=0)
    gaps, k = z.diff(dim=0), torch.arange(1, N, dtype=values.dtype, device=values.device)
    ones = splits.T.float().contiguous()  # counts are exact in float32, and half as long to read
    distances = values.new_empty(values.shape[1], len(ones))
    for line in range(values.shape[1]):
        for rows in torch.arange(len(ones)).split(_SPLITS_AT_ONCE):
            block = ones[rows[0] : rows[-1] + 1]
            c = block.index_select(1, order[:-1, line]).cumsum(1).to(values.dtype)
            difference = c.mul_(N / (n * (N - n))).sub_(k / (N - n)).abs_()
            distances[line, rows[0] : rows[-1] + 1] = difference @ gaps[:, line]
    return distances


def _by_marginal(problem: TwoSampleProblem, split: Tensor) -> tuple[Feature, ...]:
    """Rank features by the Wasserstein distance of their marginals in units of their standard deviation."""
    points = problem.points
    distances = wasserstein_of_splits(points, split)[:, 0]
    effects = distances / points.std(0).where(distances > 0, torch.ones_like(distances))
    order = effects.argsort(descending=True).tolist()
    return tuple(Feature(problem.names[j], float(distances[j]), float(effects[j])) for j in order)
