"""A decision tree on some columns of a table, whose leaves hold values of another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentia.data.support import Support
from latentia.functional.category_scores import category_scores
from latentia.models.cells import cells_for

_PSEUDO_COUNT = 0.5


class ColumnTree(nn.Module):
    """p(x_j | the columns before it): the values of x_j of the training rows that share a leaf of a tree.

    A gap is a value as any other. In the order of a leaf's cells, n_c of its n values are in cell c, and

        p(c | leaf) = (n_c + ½ C q_c) / (n + ½ C),  q_c = (N_c + ½) / (N + ½ C)

    with C cells: a column's categories or bins, and one of gaps where it has them; N_c of all N rows are in c. A
    leaf's pseudo-counts are ½ on average, and as frequent as the cells in the whole column: ½ in each would drown the
    few rows of a leaf where a column has many categories. Trees read categories by their
    scores, gaps as a number below all others.

    Args:
        support: of the column x_j.
        predictors: the supports of the columns that it depends on, in their order.
        bins: number of bins of numbers.

    Attributes:
        branches: (N, 2) nodes to go on at where a feature is at most, or above, the threshold.
        feature: (N,) which predictor a node splits by.
        threshold: (N,) where.
        leaf: (N,) number of a leaf, −1 of other nodes.
        starts: (L + 1,) where the values of each leaf begin in ``values``.
        values: (n,) of the column, by leaf and then in ascending order; a gap is infinite, so that it is last.
        scores: (Σ K,) for the categories of each unordered predictor a number to split by.
    """

    branches: Tensor
    feature: Tensor
    threshold: Tensor
    leaf: Tensor
    starts: Tensor
    values: Tensor
    scores: Tensor

    def __init__(self, support: Support, predictors: Sequence[Support], *, bins: int) -> None:
        super().__init__()
        self.support, self.predictors = support, tuple(predictors)
        self.cells = cells_for(support, bins)
        levels = [_levels(each) for each in predictors]
        self.first_scores = [sum(levels[:i]) for i in range(len(levels))]
        for name in ("branches", "feature", "leaf"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("starts", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("values", torch.zeros(0))
        self.register_buffer("scores", torch.zeros(sum(levels)))

    @property
    def leaves(self) -> int:
        """Number of leaves; 0 before the tree is placed."""
        return len(self.starts) - 1

    @property
    def cell_count(self) -> int:
        """C: number of cells, with that of gaps where there may be some."""
        return self.cells.count + self.support.missing

    def score(self, x: Tensor, targets: Tensor) -> None:
        """Set the scores of unordered predictors by rows (n, P) and what is to be predicted, (n, m)."""
        scores = [
            category_scores(x[:, i].nan_to_num(0).long(), levels, targets)
            for i, each in enumerate(self.predictors)
            if (levels := _levels(each))
        ]
        self.scores = torch.cat(scores).float() if scores else self.scores

    def place(self, nodes: dict[str, Tensor], x: Tensor, values: Tensor) -> None:
        """Set the tree, and the values of its leaves.

        Args:
            nodes: branches, feature, threshold and leaf.
            x: (n, P) predictors of the training rows.
            values: (n,) the column's values in these rows, NaN where there is none.
        """
        for name, value in nodes.items():
            setattr(self, name, value)
        leaf = self.find(x)
        values = values.nan_to_num(torch.inf)
        order = torch.argsort(values, stable=True)
        order = order[torch.argsort(leaf[order], stable=True)]
        self.values = values[order].contiguous()
        sizes = torch.bincount(leaf, minlength=int(self.leaf.max()) + 1)
        self.starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        self.cells.place(values[values.isfinite()])

    def features(self, x: Tensor) -> Tensor:
        """Return predictors (B, P) as the tree compares them, in float32."""
        features = x.float().clone()
        for i, each in enumerate(self.predictors):
            if levels := _levels(each):
                scores = self.scores[self.first_scores[i] :][:levels]
                features[:, i] = torch.where(x[:, i].isnan(), torch.nan, scores[x[:, i].nan_to_num(0).long()])
        return torch.where(features.isnan(), torch.finfo(torch.float32).min, features)

    def find(self, x: Tensor) -> Tensor:
        """Return the leaf of each row of predictors, (B, P): (B,)."""
        if len(self.leaf) == 1:
            return torch.zeros(len(x), dtype=torch.int64, device=x.device)
        features, node = self.features(x), torch.zeros(len(x), dtype=torch.int64, device=x.device)
        inner = torch.arange(len(x), device=x.device)
        while len(inner):
            here = node[inner]
            value = features[inner, self.feature[here].long()]
            side = (value.double() > self.threshold[here]).long()
            node[inner] = self.branches[here, side].long()
            inner = inner[self.leaf[node[inner]] < 0]
        return self.leaf[node].long()

    def draw_value(self, leaf: Tensor, *, present: bool = False) -> Tensor:
        """Draw a value of the training rows in each leaf (B,); ``present``: one that is not a gap."""
        first, size = self._range(leaf, present)
        u = torch.rand(len(leaf), dtype=torch.float64, device=leaf.device)
        drawn = self.values[first + (u * size).long()]
        if not present:
            return torch.where(drawn.isinf(), torch.nan, drawn)
        known = self.values[~self.values.isinf()]  # of all leaves, for one that holds gaps alone
        return torch.where(size > 0, drawn, known[(u * len(known)).long()])

    def draw_from_cells(self, leaf: Tensor, *, present: bool = False) -> Tensor:
        """Draw a cell of each leaf (B,) by its probability, and a value in it; ``present``: not a gap."""
        size, prior = self._range(leaf, present)[1], self._prior()
        prior = prior[: self.cells.count] if present else prior
        u = torch.rand(len(leaf), dtype=torch.float64, device=leaf.device)
        seen = self._cell_of(self.draw_value(leaf, present=present))
        pseudo = torch.multinomial(prior, len(leaf), replacement=True)
        cell = torch.where(u * (size + prior.sum()) < size, seen, pseudo)
        inside = self.cells.draw(cell.clamp_max(self.cells.count - 1)).to(self.values)
        return torch.where(cell < self.cells.count, inside, torch.nan)

    def log_prob(self, x: Tensor, leaf: Tensor) -> Tensor:
        """Return log p(x_j | leaf) of values (B,): log p(c | leaf), and that of x in its cell c; (B,) nats."""
        cell = self._cell_of(x)
        held, key = self._keys(), leaf * self.cell_count + cell
        counts = (torch.searchsorted(held, key, right=True) - torch.searchsorted(held, key)).double()
        prior = self._prior()
        total = self._range(leaf, False)[1] + prior.sum()
        within = self.cells.log_within(x.nan_to_num(0), cell.clamp_max(self.cells.count - 1))
        return ((counts + prior[cell]) / total).log() + torch.where(x.isnan(), 0.0, within)

    def _prior(self) -> Tensor:
        """Return the pseudo-counts of a leaf's cells, ½ C q: (C,)."""
        counts = torch.bincount(self._cell_of(self.values), minlength=self.cell_count).double()
        counts += _PSEUDO_COUNT
        return counts * (_PSEUDO_COUNT * self.cell_count / counts.sum())

    def _keys(self) -> Tensor:
        """Return leaf · C + cell of each held value, in ascending order: (n,)."""
        leaf = torch.repeat_interleave(self.starts.diff())
        return leaf * self.cell_count + self._cell_of(self.values)

    def _cell_of(self, x: Tensor) -> Tensor:
        return torch.where(x.isfinite(), self.cells.of(x.nan_to_num(0, 0, 0)), self.cells.count)

    def _range(self, leaf: Tensor, present: bool) -> tuple[Tensor, Tensor]:
        """Return where each leaf's values begin, and their number, without gaps where they must be present."""
        first, size = self.starts[leaf], self.starts[leaf + 1] - self.starts[leaf]
        if present:
            gaps = torch.cat([self.starts[:1], self.values.isinf().cumsum(0)])
            size = size - (gaps[first + size] - gaps[first])
        return first, size


def _levels(support: Support) -> int:
    """Return K of an unordered column, 0 of all others."""
    return support.levels or 0 if support.kind == "categorical" else 0
