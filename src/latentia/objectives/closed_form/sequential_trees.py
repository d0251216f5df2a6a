"""Sequential trees: scikit-learn's trees, one for each column on those before it. It has no players."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from latentia.core.closed_form import ClosedForm
from latentia.core.model import Density
from latentia.core.objective import Blocks
from latentia.errors import UsageError
from latentia.models.column_tree import ColumnTree
from latentia.models.sequential_trees import SequentialTreesModel, checked_present

_BLOCK = 4096  # rows that are copied at once
_CLASSES = 64  # classes that a tree separates; rarer ones count as one of them


class TreeGrowth(ClosedForm):
    """Grow a tree for each column on the columns before it, until leaves would be smaller than ``leaf``.

    Trees of categories lower Gini's impurity, those of numbers the squared error of their ranks; where a column has
    gaps, these are one of its classes, or a second number after the rank.

    Args:
        model: whose trees are grown.
        leaf: least number of rows in a leaf.

    Raises:
        UsageError: for leaves of less than one row.

    References:
        Reiter (2005), Using CART to generate partially synthetic public use microdata; Breiman, Friedman, Olshen and
        Stone (1984), Classification and Regression Trees.

    Example:
        >>> from latentia.core.objective import Batch
        >>> from latentia.data.spec import DataSpec, Support
        >>> from latentia.models.sequential_trees import SequentialTrees
        >>> model = SequentialTrees(DataSpec((2,), Support("binary")))
        >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(10, 1)
        >>> TreeGrowth(model).solve(Batch(x))["leaves"]  # one of the first column, two of the second
        3.0
        >>> model.sample(100).sum(1).unique()
        tensor([1.])
    """

    model: SequentialTreesModel

    def __init__(self, model: SequentialTreesModel, *, leaf: int = 5) -> None:
        super().__init__()
        if leaf < 1:
            raise UsageError(f"leaf must be at least 1; got {leaf}")
        self.model, self.leaf = model, leaf

    def solve(self, rows: Blocks) -> Mapping[str, float]:
        """Grow the trees; return their number of leaves, and of a density the rows' mean log-likelihood in nats.

        Raises:
            DataError: for rows outside the support, or a column without a value.
        """
        x = torch.cat([block.x for block in rows.blocks(_BLOCK)])
        self.model.data.check(x, name="the rows")
        flat = x.flatten(1)
        checked_present(flat)
        order = self.model.order
        trees = [tree for tree in self.model.trees if isinstance(tree, ColumnTree)]
        for i, tree in enumerate(trees):
            grow(tree, flat[:, order[:i]], flat[:, order[i]], self.leaf)
        metrics = {"leaves": float(sum(tree.leaves for tree in trees))}
        if isinstance(self.model, Density):
            metrics["log_likelihood"] = float(self.model.log_prob(x).mean())
        return metrics


def grow(tree: ColumnTree, x: Tensor, values: Tensor, leaf: int) -> None:
    """Grow a tree of a column's values (n,) on predictors (n, P), with at least ``leaf`` rows in each leaf."""
    if not x.shape[1] or len(x) < 2 * leaf:
        tree.place(_single(x), x, values)
        return
    is_class = tree.support.kind in ("binary", "categorical")
    targets = _classes(values) if is_class else _numbers(values)
    tree.score(x, one_hot(targets).double() if is_class else targets)
    tree.place(_nodes(_fitted(tree.features(x), targets, is_class, leaf), x), x, values)


def _fitted(features: Tensor, targets: Tensor, is_class: bool, leaf: int) -> Any:
    """Return the arrays of scikit-learn's tree."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if is_class else DecisionTreeRegressor
    tree = kind(min_samples_leaf=leaf, random_state=0)
    with warnings.catch_warnings():  # of many categories for few rows, which are categories all the same
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return tree.fit(features.cpu().numpy(), targets.cpu().numpy()).tree_


def _nodes(tree: Any, x: Tensor) -> dict[str, Tensor]:
    """Return a tree's nodes as tensors on the rows' device."""
    left = torch.from_numpy(tree.children_left)
    is_leaf = left < 0
    number = torch.where(is_leaf, is_leaf.cumsum(0) - 1, -1)
    nodes = {
        "branches": torch.stack([left, torch.from_numpy(tree.children_right)], 1).int(),
        "feature": torch.from_numpy(tree.feature).int(),
        "threshold": torch.from_numpy(tree.threshold).double(),
        "leaf": number.int(),
    }
    return {name: value.to(x.device) for name, value in nodes.items()}


def _single(x: Tensor) -> dict[str, Tensor]:
    """Return the nodes of a tree of one leaf."""
    nodes = {name: torch.full((1,), -1, dtype=torch.int32) for name in ("branches", "feature")}
    nodes |= {"threshold": torch.zeros(1, dtype=torch.float64), "leaf": torch.zeros(1, dtype=torch.int32)}
    nodes["branches"] = nodes["branches"].expand(1, 2).contiguous()
    return {name: value.to(x.device) for name, value in nodes.items()}


def _classes(values: Tensor) -> Tensor:
    """Return the class of each value, gaps being one, the most frequent 64 of them and the others as one: (n,)."""
    _, codes, counts = values.nan_to_num(-1).unique(return_inverse=True, return_counts=True)
    rank = counts.argsort(descending=True, stable=True).argsort()
    return rank.clamp_max(_CLASSES)[codes]


def _numbers(values: Tensor) -> Tensor:
    """Return the standardised ranks of numbers, ties at their mean, and gaps as a second column: (n, m)."""
    gaps = values.isnan()
    _, codes, counts = values[~gaps].unique(return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - counts / 2)[codes].double()
    filled = torch.full_like(values, float(ranks.mean()), dtype=torch.float64)
    filled[~gaps] = ranks
    columns = torch.stack([filled, gaps.double()], 1) if bool(gaps.any()) else filled[:, None]
    return (columns - columns.mean(0)) / columns.std(0, correction=0).clamp_min(1e-12)
