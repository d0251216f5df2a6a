"""Sequential trees: each column is drawn from the leaf of a tree on the columns before it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor, nn

from latentia.core.model import Density, Generative, Imputes
from latentia.core.randomness import using_generator
from latentia.data.spec import DataSpec
from latentia.data.support import Support
from latentia.errors import DataError, UsageError
from latentia.models.column_tree import ColumnTree
from latentia.registry import check_name

ORDERS = ("given", "fewest-categories")
_DRAWS = 32  # of each row's missing entries, of which one is chosen
_BLOCK = 4096  # rows that are filled at once


class SequentialTreesModel(Generative, Imputes):
    """p(x) = Π_j p(x_j | leaf of tree j that x_1, …, x_{j−1} reach), for columns in an order of their own.

    Rows are flattened to D columns; a gap, NaN, is a value of its column. In each leaf a column has a histogram, by
    which missing entries are filled; how values are drawn is the subclass's.

    Args:
        data: what a row is.
        order: of the columns: given, or fewest-categories, by which binary columns and categories come before numbers.
        bins: number of bins of each column of numbers.

    Attributes:
        order: the columns' numbers, in their order.
        trees: one for each column of this order.

    Raises:
        UsageError: for an unknown order.
    """

    imputation = "by the weights of 32 draws each"

    def __init__(self, data: DataSpec, *, order: str = "given", bins: int = 20) -> None:
        super().__init__()
        check_name("order", order, ORDERS)
        self.data = data
        supports = supports_of(data)
        self.order = column_order(supports) if order == "fewest-categories" else list(range(data.size))
        ordered = [supports[j] for j in self.order]
        self.trees = nn.ModuleList(ColumnTree(each, ordered[:i], bins=bins) for i, each in enumerate(ordered))

    @abstractmethod
    def draw(self, tree: ColumnTree, leaf: Tensor, *, present: bool = False) -> Tensor:
        """Draw a tree's column for rows in these leaves (B,) from torch's global generator; ``present``: no gap."""

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw n rows, column by column."""
        trees = self._trees()
        x = torch.empty(n, self.data.size, device=trees[0].values.device)
        with using_generator(generator):
            for i, (j, tree) in enumerate(zip(self.order, trees, strict=True)):
                x[:, j] = self.draw(tree, tree.find(x[:, self.order[:i]]))
        return self.data.support.project(x.view(n, *self.data.event_shape).to(torch.get_default_dtype()))

    @torch.no_grad()
    def impute(
        self,
        x: Tensor,
        context: Tensor | None = None,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return rows whose missing entries are drawn given the others.

        32 rows are drawn from the trees with the known entries held, and one of them is chosen by the probability of
        the known entries given the drawn ones before them: sampling and importance resampling.

        Args:
            x: (B, *event) rows, NaN where an entry is missing.
            context: none.
            generator: where randomness comes from.

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        replace(self.data, support=self.data.support.or_missing).check(x)
        flat = x.flatten(1).clone()
        with using_generator(generator):
            for rows in flat.isnan().any(1).nonzero()[:, 0].split(_BLOCK):
                flat[rows] = self._filled(flat[rows])
        return self.data.support.project(flat.view_as(x))

    def log_columns(self, x: Tensor) -> Tensor:
        """Return log p(x_j | leaf) of each column of rows (B, *event), with histograms in the leaves: (B, D) nats."""
        flat = x.flatten(1)
        found = flat.new_empty(flat.shape, dtype=torch.float64)
        for i, (j, tree) in enumerate(zip(self.order, self._trees(), strict=True)):
            found[:, j] = tree.log_prob(flat[:, j], tree.find(flat[:, self.order[:i]]))
        return found

    def _filled(self, x: Tensor) -> Tensor:
        """Return rows (B, D) with a draw of what is missing."""
        many = x.repeat_interleave(_DRAWS, 0)
        log_weights = many.new_zeros(len(many), dtype=torch.float64)
        for i, (j, tree) in enumerate(zip(self.order, self._trees(), strict=True)):
            missing, leaf = many[:, j].isnan(), tree.find(many[:, self.order[:i]])
            drawn = self.draw(tree, leaf, present=True)
            many[:, j] = torch.where(missing, drawn.to(many), many[:, j])
            log_weights += torch.where(missing, 0.0, tree.log_prob(many[:, j], leaf))
        chosen = torch.multinomial(log_weights.view(-1, _DRAWS).softmax(1), 1)[:, 0]
        return many[chosen + torch.arange(len(x), device=x.device) * _DRAWS]

    def _trees(self) -> list[ColumnTree]:
        trees = [tree for tree in self.trees if isinstance(tree, ColumnTree)]
        if not trees[0].leaves:
            raise UsageError("these trees have no leaves yet: fit them")
        return trees


class SequentialTrees(SequentialTreesModel):
    """Trees whose columns are drawn from the training values in a leaf: there are samples and no density."""

    measure = None

    def draw(self, tree: ColumnTree, leaf: Tensor, *, present: bool = False) -> Tensor:
        """Draw one of the leaf's training values."""
        return tree.draw_value(leaf, present=present)


class BinnedSequentialTrees(SequentialTreesModel, Density):
    """Trees with a histogram in each leaf: an exact density, of numbers constant in each bin."""

    def draw(self, tree: ColumnTree, leaf: Tensor, *, present: bool = False) -> Tensor:
        """Draw a cell of the leaf's histogram and a value in it."""
        return tree.draw_from_cells(leaf, present=present)

    @torch.no_grad()
    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return Σ_j log p(x_j | leaf) of each row, with which entries are missing and the values of the others: (B,).

        Raises:
            DataError: for rows of another shape, or values outside the support.
        """
        self.data.check(x)
        return self.log_columns(x).sum(1)


def supports_of(data: DataSpec) -> list[Support]:
    """Return the support of each of the D entries of a flattened row."""
    return list(data.support.columns) or [data.support] * data.size


def column_order(supports: list[Support]) -> list[int]:
    """Return the columns' numbers, those of fewest categories first and numbers last, otherwise as they are."""
    levels = [2 if each.kind == "binary" else each.levels or float("inf") for each in supports]
    return sorted(range(len(supports)), key=levels.__getitem__)


def checked_present(x: Tensor) -> None:
    """Raise `DataError` for a column (n,) of rows (n, D) without a value."""
    empty = x.isnan().all(0).nonzero()[:, 0].tolist()
    if empty:
        raise DataError(f"column {empty[0]} has no value in any of {len(x)} rows: leave it out")
