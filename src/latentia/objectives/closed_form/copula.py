"""Gaussian copulas: the margins of columns, and the correlation of the normal variables behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from latentia.core.closed_form import ClosedForm
from latentia.core.objective import Blocks
from latentia.data.support import Support
from latentia.errors import UsageError
from latentia.functional.category_scores import category_scores
from latentia.functional.gaussian.latent_correlation import nearest_correlation, polychoric, polyserial
from latentia.models.copula import GaussianCopulaModel
from latentia.models.margins import ClassMargin, DiscreteMargin, Margin, normal_scores
from latentia.models.sequential_trees import checked_present, supports_of

_BLOCK = 4096  # rows that are copied at once
_LEVELS, _GROUPS = (
    64,
    200,
)  # intervals of a discrete column, and groups of a continuous one, in a pair's likelihood
_CLASSES = 64  # classes of a column by which others' categories are put in order


class CopulaFit(ClosedForm):
    """Fit each margin to its column, then each correlation to its pair of columns.

    Of two continuous columns it is the correlation of the normal scores of their ranks; of a continuous and a discrete
    one, and of two discrete ones, it maximises the likelihood of the pair with the margins held. The matrix of them all
    is made positive definite by raising its eigenvalues. Unordered categories are first put in the order of their
    scores by all other columns.

    Args:
        model: the copula.
        shrinkage: a of R ← (1 − a) R + a I.

    Raises:
        UsageError: for a shrinkage outside of [0, 1].

    References:
        Joe (1997), Multivariate models and dependence concepts, section 10.1 (inference functions for margins).

    Example:
        >>> from latentia.core.objective import Batch
        >>> from latentia.data.spec import DataSpec
        >>> from latentia.models.copula_densities import ExactCopula
        >>> z = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
        >>> x = torch.stack([z[:, 0].exp(), 0.6 * z[:, 0] + 0.8 * z[:, 1]], 1)
        >>> model = ExactCopula(DataSpec((2,), Support("real")))
        >>> metrics = CopulaFit(model).solve(Batch(x))
        >>> round(float(model.correlation[0, 1]), 1)
        0.6
    """

    model: GaussianCopulaModel

    def __init__(self, model: GaussianCopulaModel, *, shrinkage: float = 0.0) -> None:
        super().__init__()
        if not 0 <= shrinkage <= 1:
            raise UsageError(f"shrinkage must be from 0 to 1; got {shrinkage}")
        self.model, self.shrinkage = model, shrinkage

    def solve(self, rows: Blocks) -> Mapping[str, float]:
        """Fit margins and correlations; return the mean |ρ| of pairs, if there are some.

        Raises:
            DataError: for rows outside the support, or a column without a value.
        """
        x = torch.cat([block.x for block in rows.blocks(_BLOCK)])
        model = self.model
        model.data.check(x, name="the rows")
        flat = x.flatten(1)
        checked_present(flat)
        flags = flat[:, model.with_gaps].isnan().to(flat)
        _arrange(model, flat)
        seen = [*flat.unbind(1), *flags.unbind(1)]
        for margin, values in zip(model.margins, seen, strict=True):
            margin.place(values[~values.isnan()])
        model.correlation = self._correlation(
            [Variable(*each) for each in zip(model.margins, seen, strict=True)]
        )
        model.fitted.fill_(True)
        size = len(model.correlation)
        pairs = model.correlation[torch.triu_indices(size, size, 1).unbind()].abs()
        return {"mean_correlation": float(pairs.mean())} if len(pairs) else {}

    def _correlation(self, variables: Sequence[Variable]) -> Tensor:
        """Return R: (L, L)."""
        D, L = self.model.data.size, len(variables)
        own = {(j, D + i) for i, j in enumerate(self.model.with_gaps)}  # never seen together
        R = torch.eye(L, dtype=torch.float64)
        for i in range(L):
            for j in range(i + 1, L):
                if (i, j) not in own:
                    R[i, j] = R[j, i] = pair_correlation(variables[i], variables[j])
        shrunk = (1 - self.shrinkage) * R + self.shrinkage * torch.eye(L, dtype=R.dtype)
        return nearest_correlation(shrunk).to(self.model.correlation.device)


class Variable:
    """What a pair's likelihood reads of a column: normal scores, and groups of rows whose values are near each other.

    Args:
        margin: of the column, fitted.
        values: (n,), NaN where there is none.

    Attributes:
        present: (n,) where there is a value.
        scores: (n,) of a continuous column: the normal scores of ranks, standardised; 0 where there is no value.
        group: (n,) the number of each row's group.
        means: (G,) the mean score of each group, of a continuous column.
        intervals: (G,) the ends of each group's interval, of a discrete column.
    """

    def __init__(self, margin: Margin, values: Tensor) -> None:
        self.present = ~values.isnan()
        self.discrete = isinstance(margin, DiscreteMargin)
        held = values[self.present]
        self.group = torch.zeros(len(values), dtype=torch.int64, device=values.device)
        self.scores = torch.zeros(len(values), dtype=torch.float64, device=values.device)
        if isinstance(margin, DiscreteMargin):
            low, high = margin.interval(held)
            group, ends = _grouped(low, high)
            self.group[self.present], self.intervals = group, ends
        else:
            scores = normal_scores(held, held.sort().values)
            scores = (scores - scores.mean()) / scores.std(correction=0).clamp_min(1e-12)
            self.scores[self.present] = scores
            self.group[self.present], self.means = _means(scores)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.intervals[0] if self.discrete else self.means)


def pair_correlation(first: Variable, second: Variable) -> float:
    """Return the estimate of ρ from the rows in which both have a value; 0 where either does not vary in them."""
    both = first.present & second.present
    if first.discrete and not second.discrete:
        first, second = second, first
    if not first.discrete and not second.discrete:
        pair = torch.stack([first.scores[both], second.scores[both]])
        pair = pair - pair.mean(1, keepdim=True)
        scale = pair.square().sum(1).prod().sqrt()
        return float(pair[0] @ pair[1] / scale) if bool(scale > 1e-9) else 0.0
    index = first.group[both] * second.groups + second.group[both]
    counts = torch.bincount(index, minlength=first.groups * second.groups)
    counts = counts.view(first.groups, second.groups).double()
    if min(int((counts.sum(d) > 0).sum()) for d in (0, 1)) < 2:
        return 0.0
    if first.discrete:
        return polychoric(counts, first.intervals, second.intervals)
    return polyserial(first.means, counts, second.intervals)


def _grouped(low: Tensor, high: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the group of each interval (n,), at most 64 of them, and the groups' ends."""
    ends, codes, counts = low.unique(return_inverse=True, return_counts=True)
    group = torch.arange(len(ends), device=low.device)
    if len(ends) > _LEVELS:
        before = counts.cumsum(0) - counts
        group = (before * _LEVELS // len(low)).unique(return_inverse=True)[1]
    number = int(group[-1]) + 1
    group = group[codes]
    lowest = low.new_full((number,), torch.inf).scatter_reduce(0, group, low, "amin")
    highest = low.new_full((number,), -torch.inf).scatter_reduce(0, group, high, "amax")
    return group, (lowest, highest)


def _means(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the group of each score (n,), at most 200 of them, and the groups' mean scores."""
    rank = scores.argsort(stable=True).argsort()
    group = rank * min(_GROUPS, len(scores)) // len(scores)
    sums = scores.new_zeros(int(group.max()) + 1).index_add_(0, group, scores)
    return group, sums / torch.bincount(group)


def _arrange(model: GaussianCopulaModel, x: Tensor) -> None:
    """Put the unordered categories of rows (n, D) in an order by the other columns."""
    supports = supports_of(model.data)
    unordered = [j for j, each in enumerate(supports) if each.kind == "categorical" and each.levels != 2]
    if not unordered or len(supports) < 2:
        return
    parts = [_target(x[:, j], each) for j, each in enumerate(supports)]
    for j in unordered:
        margin, present = model.columns[j], ~x[:, j].isnan()
        others = torch.cat([part for i, part in enumerate(parts) if i != j], 1)[present]
        if isinstance(margin, ClassMargin):
            margin.arrange(category_scores(x[present, j].long(), margin.levels, others))


def _target(values: Tensor, support: Support) -> Tensor:
    """Return what a column (n,) is to be predicted by: its standardised ranks, or its most frequent classes; (n, m)."""
    filled = values.nan_to_num(-1)
    if support.kind == "categorical":
        _, codes, counts = filled.unique(return_inverse=True, return_counts=True)
        rank = counts.argsort(descending=True, stable=True).argsort().clamp_max(_CLASSES)
        return one_hot(rank[codes]).double()
    scores = normal_scores(filled, filled.sort().values)
    return ((scores - scores.mean()) / scores.std(correction=0).clamp_min(1e-12))[:, None]
