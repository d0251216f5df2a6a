"""Numbers for unordered categories, by which trees can split them and copulas can order them."""

import torch
from torch import Tensor


def category_scores(codes: Tensor, levels: int, targets: Tensor) -> Tensor:
    """Return a number for each category, so that categories with similar targets have similar numbers.

    s = u/√n of the first left singular vector u of (√n_k (ȳ_k − ȳ)), the matrix of the categories' mean targets. For
    one target, and for one of two classes, this is the order of the means, among which is the best split of all.

    Args:
        codes: (n,) the rows' categories, 0 to K − 1.
        levels: K.
        targets: (n, m) what to predict: numbers, or classes as one column each.

    Returns:
        (K,), of the targets' dtype; 0 for a category without rows, and for all where nothing differs.

    References:
        Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees, theorem 4.5; Coppersmith, Hong
        and Hosking (1999), Partitioning nominal attributes in decision trees.

    Example:
        >>> scores = category_scores(torch.tensor([0, 1, 1, 2]), 4, torch.tensor([[5.0], [1.0], [1.0], [4.0]]))
        >>> scores.sort().indices.tolist()  # category 3 has no rows, and the mean's 0
        [1, 3, 2, 0]
    """
    centred = targets - targets.mean(0)
    counts = centred.new_zeros(levels).index_add_(0, codes, centred.new_ones(len(codes)))
    sums = centred.new_zeros(levels, targets.shape[1]).index_add_(0, codes, centred)
    root = counts.clamp_min(1).sqrt()
    left, sizes, right = torch.linalg.svd(sums / root[:, None], full_matrices=False)
    if not bool(sizes[0] > 0):
        return torch.zeros_like(root)
    first = right[0]
    sign = torch.where(
        first[first.abs().argmax()] < 0, -1.0, 1.0
    )  # so that the result is the same everywhere
    return sign * left[:, 0] / root
